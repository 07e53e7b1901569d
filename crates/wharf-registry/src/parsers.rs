//! The parsers of what strangers send, for the fuzz targets. Nothing else uses this.

use reqwest::Url;

use crate::auth::challenge::{self, Challenge};
use crate::credentials::json;
use crate::link;
use crate::no_proxy::NoProxy;

/// Reads headers `WWW-Authenticate`: in which order which schemes can be met, and why not, if none can.
pub fn challenges<'a>(headers: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, Option<String>) {
    let all = challenge::of(headers);
    let shown = |challenge: &Challenge| match challenge {
        Challenge::Basic => "Basic".to_owned(),
        Challenge::Bearer(bearer) => format!("Bearer {}", bearer.realm),
    };
    (all.usable.iter().map(shown).collect(), all.problem)
}

/// Reads headers `Link` of an answer from `current`: the next page's address, or why they cannot be read.
pub fn next_page<'a>(
    headers: impl Iterator<Item = &'a [u8]>,
    current: &str,
) -> Result<Option<String>, String> {
    let current: Url = current.parse().map_err(|_| "not an address".to_owned())?;
    Ok(link::next_of(headers, &current)?.map(String::from))
}

/// Is `address` reached without a proxy, by this `NO_PROXY`? `None` if it is not an address.
pub fn is_direct(no_proxy: &str, address: &str) -> Option<bool> {
    let url: Url = address.parse().ok()?;
    Some(NoProxy::new(no_proxy).covers(&url))
}

/// Is this the content of a `config.json`?
pub fn is_credentials_file(text: &[u8]) -> bool {
    json::object(text).is_ok()
}
