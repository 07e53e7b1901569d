//! The tags of a repository, page by page (OCI distribution-spec, "Listing tags").

use futures_util::FutureExt as _;
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use wharf_core::reference::is_tag;
use wharf_core::{Reference, Watch, go_json};

use crate::answer::{Topic, refusal};
use crate::client::{Call, Client, whom};
use crate::error::RegistryError;
use crate::exchange::Incoming;
use crate::place::Place;

/// Bounds one page, in bytes. Registries that do not page at all send everything at once.
const PAGE_MAX: u64 = 16 * 1024 * 1024;

/// Bounds a list. The largest public repositories have some hundred thousand tags.
const TAGS_MAX: usize = 1_000_000;

/// Bounds the values of one page: its tags, and a few about them.
const VALUES_MAX: usize = TAGS_MAX + 1000;

/// Bounds the pages, for a registry whose next page is always there and always empty.
const PAGES_MAX: usize = 20_000;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    /// `null` for a repository without tags, from some.
    tags: Vec<String>,
}

struct Page {
    tags: Vec<String>,
    next: Option<Url>,
}

impl Client {
    /// Lists the tags of a repository, in the registry's order.
    pub(crate) async fn tags(
        &self,
        repository: &Reference,
        watch: &dyn Watch,
    ) -> Result<Vec<String>, RegistryError> {
        let places = self.places(repository)?;
        self.in_turn(&places, |place| {
            self.tags_of(place, repository, watch).boxed()
        })
        .await
    }

    async fn tags_of(
        &self,
        place: &Place,
        repository: &Reference,
        watch: &dyn Watch,
    ) -> Result<Vec<String>, RegistryError> {
        let mut all = Vec::new();
        let mut call = Call::get("tags/list".to_owned());
        for _ in 0..PAGES_MAX {
            let mut pauses = self.pauses(place);
            let mut decide = |error: &_| Self::decide_aloud(place, &mut pauses, error, watch);
            let asked = &call;
            let step = || self.page(place, repository, asked, watch).boxed();
            let page = self.persist(&mut decide, step).await?;
            // What is not a tag cannot be pulled, and must not reach a terminal.
            all.extend(page.tags.into_iter().filter(|tag| is_tag(tag)));
            if all.len() > TAGS_MAX {
                break;
            }
            match page.next {
                None => return Ok(all),
                next => call.url = next,
            }
        }
        Err(RegistryError::Protocol {
            request: format!("tags of {}", repository.familiar_repository()),
            reason: format!("{} lists tags without end", place.name),
        })
    }

    async fn page(
        &self,
        place: &Place,
        repository: &Reference,
        call: &Call,
        watch: &dyn Watch,
    ) -> Result<Page, RegistryError> {
        let mut incoming = self.ask(place, repository, call, watch).await?;
        if incoming.response.status() != StatusCode::OK {
            let shown = repository.familiar_repository();
            return Err(refusal(&mut incoming, &Topic::Repository, whom(place, shown)).await);
        }
        let root = self.root(place).await?;
        let next = next_page(&incoming, root, call.url.as_ref())?;
        let body = incoming.body(PAGE_MAX).await?;
        let wire: Wire = go_json::from_slice_within(&body, VALUES_MAX)
            .map_err(|_| protocol(&incoming, "the answer is not a list of tags"))?;
        Ok(Page {
            tags: wire.tags,
            next,
        })
    }
}

/// The next page's address. It may only be the same registry's: it's asked with credentials.
pub(crate) fn next_page(
    incoming: &Incoming,
    root: &Url,
    current: Option<&Url>,
) -> Result<Option<Url>, RegistryError> {
    let Some(target) = incoming.header("link").and_then(next_target) else {
        return Ok(None);
    };
    let next = incoming.response.url().join(target).ok();
    match next {
        Some(next) if next.origin() == root.origin() && Some(&next) != current => Ok(Some(next)),
        _ => Err(protocol(
            incoming,
            "the next page of tags is at an address that is not asked",
        )),
    }
}

/// The target of `<…>; rel="next"` (RFC 8288).
fn next_target(header: &str) -> Option<&str> {
    header.split(',').find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let next = parameters.split(';').any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            name.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
        });
        next.then_some(target)
    })
}

fn protocol(incoming: &Incoming, reason: &str) -> RegistryError {
    RegistryError::Protocol {
        request: incoming.request.clone(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_next_page() {
        let header = "</v2/a/tags/list?last=b&n=2>; rel=\"next\"";
        assert_eq!(next_target(header), Some("/v2/a/tags/list?last=b&n=2"));
        assert_eq!(next_target("</a>; rel=prev, </b>; REL=next"), Some("/b"));
        for none in ["", "</a>; rel=\"prev\"", "/a; rel=next", "<"] {
            assert_eq!(next_target(none), None, "{none}");
        }
    }
}
