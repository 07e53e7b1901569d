//! `GET /images/NAME/history`

use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use wharf_engine::HistoryEntry;

use crate::engine::Api;
use crate::engine::answer::{Result, json};
use crate::engine::query::Query;
use crate::engine::version::ApiVersion;

/// What stands for the ID of a step that is no image.
const MISSING: &str = "<missing>";

/// One step, the last one first.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Step {
    comment: String,
    created: i64,
    created_by: String,
    id: String,
    size: u64,
    tags: Option<Vec<String>>,
}

impl From<HistoryEntry> for Step {
    fn from(entry: HistoryEntry) -> Self {
        Self {
            comment: entry.comment,
            created: entry.created.map_or(0, Timestamp::as_second),
            created_by: entry.created_by,
            id: entry.id.map_or(MISSING.to_owned(), |id| id.to_string()),
            size: entry.size,
            tags: (!entry.tags.is_empty()).then_some(entry.tags),
        }
    }
}

pub(in crate::engine) async fn get(
    api: &Api,
    version: &ApiVersion,
    name: String,
    query: &Query,
) -> Result<Response> {
    let platform = if version.is_before(48) {
        None
    } else {
        query.platform("platform")?
    };
    let steps = api
        .rows(move |engine| Box::pin(async move { engine.history(&name, platform.as_ref()).await }))
        .await?;
    let steps: Vec<Step> = steps.into_iter().map(Step::from).collect();
    Ok(json(StatusCode::OK, &steps))
}
