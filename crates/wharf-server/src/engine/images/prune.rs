//! `POST /images/prune`

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use wharf_engine::PruneOptions;

use super::remove::{Gone, tell};
use crate::engine::answer::{Result, json};
use crate::engine::query::Query;
use crate::engine::{Api, filters};

/// What a prune has removed.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    images_deleted: Option<Vec<Gone>>,
    space_reclaimed: u64,
}

pub(in crate::engine) async fn post(api: &Api, query: &Query) -> Result<Response> {
    let options = PruneOptions {
        filters: filters::parse(query.get("filters"))?,
        ..PruneOptions::default()
    };
    let pruned = api
        .rows(move |engine| Box::pin(async move { engine.prune(&options).await }))
        .await?;
    tell(api, &pruned.removed);
    api.events.tell_prune(pruned.reclaimed);
    let gone: Vec<Gone> = pruned.removed.iter().map(Gone::from).collect();
    let report = Report {
        images_deleted: (!gone.is_empty()).then_some(gone),
        space_reclaimed: pruned.reclaimed,
    };
    Ok(json(StatusCode::OK, &report))
}
