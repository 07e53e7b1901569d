//! `GET /images/json`

use std::collections::HashMap;

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::Response;
use tokio::sync::Mutex;
use wharf_core::go_json::{Html, compact};
use wharf_engine::{Engine, ImageTree, ListQuery, Version};

use crate::engine::answer::{Result, sent};
use crate::engine::query::Query;
use crate::engine::version::ApiVersion;
use crate::engine::wire::summary::{Descriptor, UNKNOWN};
use crate::engine::wire::{ImageSummary, ManifestSummary};
use crate::engine::{Api, filters};

/// What old clients are shown for an image without any name.
const NO_TAG: &str = "<none>:<none>";
const NO_DIGEST: &str = "<none>@<none>";

pub(in crate::engine) async fn get(
    api: &Api,
    version: &ApiVersion,
    query: &Query,
) -> Result<Response> {
    let mut wanted = filters::parse(query.get("filters"))?;
    if version.is_before(41)
        && let Some(pattern) = query.given("filter")
    {
        wanted.add("reference", pattern);
    }
    let list = Wanted {
        measured: !version.is_before(42) && query.is("shared-size"),
        with_manifests: !version.is_before(47) && query.is("manifests"),
        version: version.clone(),
        query: ListQuery {
            all: query.is("all"),
            filters: wanted,
        },
    };
    let text = if list.query.filters.is_empty() {
        latest(api, list).await?
    } else {
        // What fits a filter may be a matter of time.
        api.rows(move |engine| Box::pin(async move { list.text(engine).await }))
            .await?
    };
    Ok(sent(StatusCode::OK, text))
}

/// The latest list, for clients that ask again and again while nothing changes. Whoever asks meanwhile waits for
/// it, so that a crowd costs as much as one.
#[derive(Default)]
pub(in crate::engine) struct LatestList(Mutex<Option<Latest>>);

struct Latest {
    of: Version,
    list: Wanted,
    text: Bytes,
}

async fn latest(api: &Api, list: Wanted) -> Result<Bytes> {
    let mut latest = api.list.0.lock().await;
    let before = latest.take();
    let now = api
        .rows(move |engine| {
            Box::pin(async move {
                // Asked before the rows are read: who changes them in between makes another version.
                let of = engine.version().await?;
                if let Some(before) = before
                    && before.of == of
                    && before.list == list
                {
                    return Ok(before);
                }
                let text = list.text(engine).await?;
                Ok(Latest { of, list, text })
            })
        })
        .await?;
    let text = now.text.clone();
    *latest = Some(now);
    Ok(text)
}

/// What is to be listed, and how.
#[derive(Clone, PartialEq, Eq)]
struct Wanted {
    query: ListQuery,
    /// With how much each image shares with others.
    measured: bool,
    with_manifests: bool,
    version: ApiVersion,
}

impl Wanted {
    /// The whole answer.
    async fn text(&self, engine: &dyn Engine) -> wharf_engine::Result<Bytes> {
        let query = self.query.clone();
        let mut images = collect(engine, query, self.measured, self.with_manifests).await?;
        for image in &mut images {
            shape(image, &self.version);
        }
        Ok((compact(&images, Html::Plain) + "\n").into())
    }
}

async fn collect(
    engine: &dyn Engine,
    query: ListQuery,
    measured: bool,
    with_manifests: bool,
) -> wharf_engine::Result<Vec<ImageSummary>> {
    let listed = engine.images(&query).await?;
    let mut images: Vec<ImageSummary> = listed.into_iter().map(ImageSummary::of).collect();
    if measured {
        let usage = engine.disk_usage().await?.images.into_iter();
        let shared: HashMap<String, u64> = usage
            .map(|image| (image.summary.id.to_string(), image.shared))
            .collect();
        for image in &mut images {
            let bytes = shared.get(&image.id).copied().unwrap_or_default();
            image.shared_size = i64::try_from(bytes).unwrap_or(i64::MAX);
        }
    }
    if with_manifests {
        let all = ListQuery { all: true, ..query };
        let trees = engine.image_tree(&all).await?;
        for image in &mut images {
            let shown = |tree: &&ImageTree| tree.id.as_str() == image.id;
            if let Some(tree) = trees.iter().find(shown) {
                image.descriptor = Some(Descriptor::of(&tree.target));
                image.manifests = Some(tree.platforms.iter().map(ManifestSummary::of).collect());
            }
        }
    }
    Ok(images)
}

/// What a version of the API shows otherwise (Docker 28.5: `getImagesJSON`).
fn shape(image: &mut ImageSummary, version: &ApiVersion) {
    let is_empty = |names: &Option<Vec<String>>| names.as_ref().is_none_or(Vec::is_empty);
    if version.is_before(43) {
        let (no_tags, no_digests) = (is_empty(&image.repo_tags), is_empty(&image.repo_digests));
        if no_tags && no_digests {
            image.repo_tags = Some(vec![NO_TAG.to_owned()]);
            image.repo_digests = Some(vec![NO_DIGEST.to_owned()]);
        } else if no_tags {
            image.repo_tags = None;
        } else if no_digests {
            image.repo_digests = None;
        }
    }
    if version.is_before(44) {
        image.virtual_size = Some(image.size);
    }
    if version.is_before(48) {
        image.descriptor = None;
    }
    if version.is_before(51) {
        image.containers = UNKNOWN;
    }
}
