//! `DELETE /images/NAME`

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use wharf_core::Platform;
use wharf_engine::{RemoveOptions, Removed};

use crate::engine::Api;
use crate::engine::answer::{Failure, Result, json};
use crate::engine::query::{Query, platform};
use crate::engine::version::ApiVersion;

/// One thing that went.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) enum Gone {
    Untagged(String),
    Deleted(String),
}

impl From<&Removed> for Gone {
    fn from(removed: &Removed) -> Self {
        match removed {
            Removed::Untagged { name, .. } => Self::Untagged(name.clone()),
            Removed::Deleted(digest) | Removed::DeletedLayers(digest) => {
                Self::Deleted(digest.to_string())
            }
        }
    }
}

pub(in crate::engine) async fn delete(
    api: &Api,
    version: &ApiVersion,
    name: String,
    query: &Query,
) -> Result<Response> {
    if name.trim().is_empty() {
        return Err(Failure::bad("image name cannot be blank"));
    }
    let platforms: Vec<Platform> = if version.is_before(50) {
        Vec::new()
    } else {
        query
            .all("platforms")
            .map(platform)
            .collect::<Result<_>>()?
    };
    let options = RemoveOptions {
        force: query.is("force"),
        platforms,
    };
    let removed = api
        .rows(move |engine| Box::pin(async move { engine.remove(&name, &options).await }))
        .await?;
    tell(api, &removed);
    let gone: Vec<Gone> = removed.iter().map(Gone::from).collect();
    Ok(json(StatusCode::OK, &gone))
}

/// Tells of what went: of names, and of images. A digest that goes with its repository's last tag is not told of
/// (Docker 28.5: ImageDelete).
pub(super) fn tell(api: &Api, removed: &[Removed]) {
    for one in removed {
        let (action, id, labels) = match one {
            Removed::Untagged {
                image,
                labels,
                along: false,
                ..
            } => ("untag", image, labels.clone()),
            Removed::Deleted(id) => ("delete", id, BTreeMap::new()),
            Removed::Untagged { along: true, .. } | Removed::DeletedLayers(_) => continue,
        };
        api.events.tell(action, id.as_str(), labels, id.as_str());
    }
}
