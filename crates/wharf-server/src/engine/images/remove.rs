//! `DELETE /images/NAME`

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use wharf_core::Platform;
use wharf_engine::{RemoveOptions, Removed};

use super::labels;
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
    tell(api, &removed).await;
    let gone: Vec<Gone> = removed.iter().map(Gone::from).collect();
    Ok(json(StatusCode::OK, &gone))
}

/// Tells of what went: of names, and of images. A digest that goes with its repository's last tag is not told of
/// (Docker 28.5: ImageDelete).
pub(super) async fn tell(api: &Api, removed: &[Removed]) {
    for one in removed {
        let (action, id) = match one {
            Removed::Untagged {
                image,
                along: false,
                ..
            } => ("untag", image),
            Removed::Deleted(id) => ("delete", id),
            Removed::Untagged { along: true, .. } | Removed::DeletedLayers(_) => continue,
        };
        let id = id.as_str();
        api.events.tell(action, id, labels(api, id).await, id);
    }
}
