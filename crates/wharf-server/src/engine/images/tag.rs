//! `POST /images/NAME/tag`

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::labels;
use crate::engine::Api;
use crate::engine::answer::{Failure, Result};
use crate::engine::query::{Query, new_name};

pub(in crate::engine) async fn post(api: &Api, name: String, query: &Query) -> Result<Response> {
    let target = new_name(query.get("repo"), query.get("tag"))?;
    let target = target.ok_or_else(|| Failure::bad("the parameter repo is missing"))?;
    let shown = target.familiar();
    let (source, new) = (name.clone(), target);
    let image = api
        .rows(move |engine| {
            Box::pin(async move {
                engine.tag(&source, &new).await?;
                // What the name shows now: another request may have moved it since, which is its event.
                engine
                    .inspect(&new.familiar(), None)
                    .await
                    .map(|found| found.summary.id)
            })
        })
        .await?;
    let attributes = labels(api, image.as_str()).await;
    api.events.tell("tag", image.as_str(), attributes, &shown);
    Ok(StatusCode::CREATED.into_response())
}
