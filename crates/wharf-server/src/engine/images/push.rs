//! `POST /images/NAME/push`

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Response;
use wharf_engine::PushOptions;

use super::labels;
use crate::engine::answer::{Failure, Result};
use crate::engine::progress::{Lines, What, run};
use crate::engine::query::{Query, name, new_name};
use crate::engine::version::ApiVersion;
use crate::engine::{Api, auth};

pub(in crate::engine) async fn post(
    api: &Arc<Api>,
    version: &ApiVersion,
    text: &str,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Response> {
    // Without a tag, all of them are sent.
    let reference = match query.given("tag") {
        None => name(text)?,
        Some(tag) => {
            new_name(text, tag)?.ok_or_else(|| Failure::bad("invalid reference format"))?
        }
    };
    let platform = if version.is_before(46) {
        None
    } else {
        query.platform("platform")?
    };
    if let Some(platform) = platform.clone() {
        // Docker looks for it before it answers (28.5: PushImage), and then without a tag means the latest.
        let name = reference.familiar();
        api.rows(move |engine| {
            Box::pin(async move { engine.inspect(&name, Some(&platform)).await.map(drop) })
        })
        .await?;
    }
    let options = PushOptions {
        platform,
        whose: auth::whose(headers, &reference),
        ..PushOptions::default()
    };
    let place = api.operation()?;
    let lines = Lines::new(What::Push, Arc::clone(&api.metrics));
    let (api, watch) = (Arc::clone(api), Arc::clone(&lines));
    run(lines, async move {
        let _place = place;
        let pushed = api.engine.push(&reference, &options, watch).await;
        api.metrics.pushed(pushed.is_ok());
        pushed?;
        let shown = reference.familiar();
        let attributes = labels(&api, &shown).await;
        let repository = reference.familiar_repository();
        api.events.tell("push", &shown, attributes, repository);
        Ok(())
    })
    .await
}
