//! What is done with images: a file for each request.

pub(super) mod create;
pub(super) mod distribution;
pub(super) mod history;
pub(super) mod inspect;
pub(super) mod list;
pub(super) mod load;
pub(super) mod prune;
pub(super) mod push;
pub(super) mod remove;
pub(super) mod save;
pub(super) mod search;
pub(super) mod tag;

use std::collections::BTreeMap;

use super::Api;

/// The labels of an image, for its events: none if it has gone.
async fn labels(api: &Api, name: &str) -> BTreeMap<String, String> {
    let name = name.to_owned();
    let found = api.rows(move |engine| Box::pin(async move { engine.identify(&name).await }));
    found.await.map(|found| found.labels).unwrap_or_default()
}
