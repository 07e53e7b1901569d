//! `POST /images/load`

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use wharf_engine::{LoadInput, LoadOptions, words};

use super::labels;
use crate::engine::answer::{Failure, Result};
use crate::engine::progress::{Lines, What, run};
use crate::engine::query::Query;
use crate::engine::version::ApiVersion;
use crate::engine::{Api, body};

pub(in crate::engine) async fn post(
    api: &Arc<Api>,
    version: &ApiVersion,
    query: &Query,
    body: Body,
) -> Result<Response> {
    let platform = if version.is_before(48) {
        None
    } else {
        query.platform("platform")?
    };
    let quiet = !query.has("quiet") || query.is("quiet");
    let input = LoadInput::Stream(Box::new(body::reader(body, api.archive().await?)));
    let lines = Lines::new(What::Load { quiet }, Arc::clone(&api.metrics));
    // A load is answered at once: what fails is a line, never a status (Docker 28.5: `postImagesLoad`).
    lines.begin_at_once();
    let (api, to) = (Arc::clone(api), Arc::clone(&lines));
    run(lines, async move {
        let options = LoadOptions { platform };
        let watch = Arc::clone(&to);
        let loaded = api.engine.load(input, &options, watch).await;
        let loaded = loaded.map_err(Failure::from)?;
        for line in words::loaded(&loaded) {
            to.text(&line);
        }
        for one in &loaded {
            let id = one.image.as_str();
            api.events.tell("load", id, labels(&api, id).await, id);
        }
        Ok(())
    })
    .await
}
