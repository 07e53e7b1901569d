//! `GET /images/NAME/json`

use axum::http::StatusCode;
use axum::response::Response;
use wharf_core::Platform;
use wharf_engine::{Engine, ListQuery};

use crate::engine::Api;
use crate::engine::answer::{Failure, Result, json_escaped};
use crate::engine::query::Query;
use crate::engine::version::ApiVersion;
use crate::engine::wire::inspect::{ContainerConfig, GO_ZERO_TIME, GRAPH_DRIVER};
use crate::engine::wire::summary::Descriptor;
use crate::engine::wire::{ImageInspect, ManifestSummary, Shape};

pub(in crate::engine) async fn get(
    api: &Api,
    version: &ApiVersion,
    name: String,
    query: &Query,
) -> Result<Response> {
    let with_manifests = !version.is_before(48) && query.is("manifests");
    let platform = if version.is_before(49) {
        None
    } else {
        query.platform("platform")?
    };
    if with_manifests && platform.is_some() {
        let message = "conflicting options: manifests and platform options cannot both be set";
        return Err(Failure::bad(message));
    }
    let (mut image, config) = api
        .rows(move |engine| Box::pin(find(engine, name, platform, with_manifests)))
        .await?;
    image.graph_driver = Some(GRAPH_DRIVER);
    shape(&mut image, &config, version);
    Ok(json_escaped(StatusCode::OK, &image))
}

async fn find(
    engine: &dyn Engine,
    name: String,
    platform: Option<Platform>,
    with_manifests: bool,
) -> wharf_engine::Result<(ImageInspect, bytes::Bytes)> {
    let detail = engine.inspect(&name, platform.as_ref()).await?;
    let mut image = ImageInspect::of(&detail)?;
    if with_manifests {
        let query = ListQuery {
            all: true,
            ..ListQuery::default()
        };
        let trees = engine.image_tree(&query).await?;
        let shown = trees.iter().find(|tree| tree.id == detail.summary.id);
        if let Some(tree) = shown {
            image.descriptor = Some(Descriptor::of(&tree.target));
            image.manifests = Some(tree.platforms.iter().map(ManifestSummary::of).collect());
        }
    }
    Ok((image, detail.config))
}

/// What a version of the API shows otherwise (Docker 28.5: `getImagesByName`).
fn shape(image: &mut ImageInspect, config: &[u8], version: &ApiVersion) {
    if version.is_before(44) {
        image.virtual_size = Some(image.size);
        if image.created.is_empty() {
            GO_ZERO_TIME.clone_into(&mut image.created);
        }
    }
    if version.is_before(45) {
        image.container_config = Some(ContainerConfig::of(config));
    }
    if version.is_before(48) {
        image.descriptor = None;
    }
    if version.is_before(50) {
        image.config.shape = Shape::Before150;
    }
}
