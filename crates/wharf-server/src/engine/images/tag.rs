//! `POST /images/NAME/tag`

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use crate::engine::Api;
use crate::engine::answer::{Failure, Result};
use crate::engine::query::{Query, new_name};

pub(in crate::engine) async fn post(api: &Api, name: String, query: &Query) -> Result<Response> {
    let target = new_name(query.get("repo"), query.get("tag"))?;
    let target = target.ok_or_else(|| Failure::bad("the parameter repo is missing"))?;
    let shown = target.familiar();
    let image = api
        .rows(move |engine| Box::pin(async move { engine.tag(&name, &target).await }))
        .await?;
    let id = image.id.as_str();
    api.events.tell("tag", id, image.labels, &shown);
    Ok(StatusCode::CREATED.into_response())
}
