//! `GET /distribution/NAME/json`: what a registry has under a name.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use wharf_core::event::Unwatched;
use wharf_core::manifest::Kind;
use wharf_core::{ImageConfig, Platform};
use wharf_engine::{EngineError, ErrorKind, RemoteManifest};

use crate::engine::answer::{Result, json};
use crate::engine::query::name;
use crate::engine::wire::summary::{Descriptor, WirePlatform};
use crate::engine::{Api, auth};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Distribution {
    descriptor: Descriptor,
    platforms: Option<Vec<WirePlatform>>,
}

pub(in crate::engine) async fn get(api: &Api, text: &str, headers: &HeaderMap) -> Result<Response> {
    let reference = name(text)?.or_latest();
    let whose = auth::whose(headers, &reference);
    let _place = api.operation()?;
    let found = api
        .engine
        .remote_manifest(&reference, &whose, Arc::new(Unwatched))
        .await
        .map_err(in_the_registry_s_words)?;
    let platforms = platforms(&found);
    let answer = Distribution {
        descriptor: Descriptor::of(&found.manifest.descriptor),
        platforms: (!platforms.is_empty()).then_some(platforms),
    };
    Ok(json(StatusCode::OK, &answer))
}

fn platforms(found: &RemoteManifest) -> Vec<WirePlatform> {
    match &found.manifest.kind {
        Kind::Index(index) => {
            let listed = index.manifests.iter();
            listed
                .filter_map(|entry| entry.platform.as_ref())
                .map(WirePlatform::of)
                .collect()
        }
        Kind::Image(_) => {
            let config = found.config.clone().map(ImageConfig::parse);
            let fields = config.and_then(Result::ok).map(|config| config.fields);
            let platform = fields
                .map(|f| Platform::new(&f.os, &f.architecture, &f.variant))
                .filter(|platform| !platform.os.is_empty() || !platform.architecture.is_empty());
            platform.iter().map(WirePlatform::of).collect()
        }
        Kind::Artifact(_) => Vec::new(),
    }
}

/// Here Docker repeats only what the registry has said: not that it was a pull that found nothing.
fn in_the_registry_s_words(mut error: EngineError) -> EngineError {
    if error.kind == ErrorKind::NotFound
        && let Some((_, said)) = error.message.split_once(" not found: ")
    {
        error.message = said.to_owned();
    }
    error
}
