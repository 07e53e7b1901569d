//! The tags of a repository, page by page (OCI distribution-spec, "Listing tags").

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use futures_util::FutureExt as _;
use reqwest::{StatusCode, Url};
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use tokio::time::Instant;
use wharf_core::reference::is_tag;
use wharf_core::{Reference, Watch};

use crate::answer::{Topic, refusal};
use crate::client::{Call, Client, whom};
use crate::error::RegistryError;
use crate::exchange::Incoming;
use crate::link;
use crate::place::Place;

/// Bounds one page, in bytes. A registry without pages sends the whole list at once: 8 MiB have room for
/// more than 200,000 tags of 30 characters.
const PAGE_MAX: u64 = 8 * 1024 * 1024;

/// Bounds a list, in bytes of memory. The largest public repositories have some hundred thousand tags.
const LIST_MAX: usize = 32 * 1024 * 1024;

/// What a tag takes beside its text, in bytes.
const TAG_OVERHEAD: usize = 48;

/// How long the pages of a list may take in all. Half a million tags take some minutes.
pub(crate) const LIST_TIME: Duration = Duration::from_secs(15 * 60);

/// Bounds the pages, for a registry whose next page is always there and always empty.
const PAGES_MAX: usize = 20_000;

/// The tags of a page, as far as they are tags: what is not one cannot be pulled, and must not reach a
/// terminal.
#[derive(Default)]
struct Tags(Vec<String>);

struct Wire {
    tags: Tags,
}

struct Page {
    tags: Vec<String>,
    next: Option<Url>,
}

/// The pages of one list that were read already, by a hash of their addresses.
#[derive(Default)]
pub(crate) struct Pages {
    seen: HashSet<u64>,
    hasher: RandomState,
}

impl Pages {
    /// Notes a page. Says whether it is a new one.
    pub(crate) fn note(&mut self, url: &Url) -> bool {
        self.seen.insert(self.hasher.hash_one(url.as_str()))
    }
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
        let (mut all, mut bytes, began) = (Vec::new(), 0, Instant::now());
        let mut pages = Pages::default();
        let mut call = Call::document("tags/list".to_owned());
        for _ in 0..PAGES_MAX {
            let mut pauses = self.pauses(place);
            let mut decide = |error: &_| Self::decide_aloud(place, &mut pauses, error, watch);
            let asked = &call;
            let step = || self.page(place, repository, asked, watch).boxed();
            let page = self.persist(&mut decide, step).await?;
            let more = page.tags.iter().map(|tag| tag.len() + TAG_OVERHEAD);
            bytes += more.sum::<usize>();
            if bytes > LIST_MAX || began.elapsed() > LIST_TIME {
                break;
            }
            all.extend(page.tags);
            let Some(next) = page.next else {
                return Ok(all);
            };
            if !pages.note(&next) {
                return Err(in_a_circle(repository, place));
            }
            call.url = Some(next);
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
        let next = next_page(&incoming, root, place)?;
        let body = incoming.body(PAGE_MAX).await?;
        let wire: Wire = serde_json::from_slice(&body)
            .map_err(|_| protocol(&incoming, "the answer is not a list of tags"))?;
        Ok(Page {
            tags: wire.tags.0,
            next,
        })
    }
}

/// The next page's address. It may only be the same registry's: it is asked with credentials.
pub(crate) fn next_page(
    incoming: &Incoming,
    root: &Url,
    place: &Place,
) -> Result<Option<Url>, RegistryError> {
    let current = incoming.response.url();
    let next = link::next(incoming.response.headers(), current);
    let Some(mut next) = next.map_err(|reason| protocol(incoming, &reason))? else {
        return Ok(None);
    };
    // A registry that does not know that TLS ends in front of it.
    if root.scheme() == "https" && next.scheme() == "http" && next.host() == root.host() {
        let same_port = next.port() == root.port();
        if !same_port || next.set_scheme("https").is_err() {
            return Err(elsewhere(incoming));
        }
    }
    if next.origin() != root.origin() {
        return Err(elsewhere(incoming));
    }
    if next.set_username("").is_err() || next.set_password(None).is_err() || next == *current {
        return Err(protocol(incoming, "its next page is the same page"));
    }
    place.tell_namespace(&mut next);
    Ok(Some(next))
}

fn elsewhere(incoming: &Incoming) -> RegistryError {
    protocol(
        incoming,
        "the next page is at another address than the registry's, which is not asked",
    )
}

fn in_a_circle(repository: &Reference, place: &Place) -> RegistryError {
    RegistryError::Protocol {
        request: format!("tags of {}", repository.familiar_repository()),
        reason: format!("the pages of {} lead in a circle", place.name),
    }
}

fn protocol(incoming: &Incoming, reason: &str) -> RegistryError {
    RegistryError::Protocol {
        request: incoming.request.clone(),
        reason: reason.to_owned(),
    }
}

impl<'de> Deserialize<'de> for Wire {
    /// Go's rules: keys in any case, the last one counts, `null` is nothing.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Wire;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Wire, A::Error> {
                let mut tags = Tags::default();
                while let Some(key) = map.next_key::<String>()? {
                    if key.eq_ignore_ascii_case("tags") {
                        tags = map.next_value::<Option<Tags>>()?.unwrap_or_default();
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Wire { tags })
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl<'de> Deserialize<'de> for Tags {
    /// One tag after the other: a page of eight megabytes may hold millions of empty texts.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Tags;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of tags")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tags, A::Error> {
                let mut tags = Tags::default();
                while let Some(tag) = list.next_element::<Option<Cow<'de, str>>>()? {
                    if let Some(tag) = tag.filter(|tag| is_tag(tag)) {
                        tags.0.push(tag.into_owned());
                    }
                }
                Ok(tags)
            }
        }
        deserializer.deserialize_seq(List)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<Vec<String>> {
        Some(serde_json::from_str::<Wire>(json).ok()?.tags.0)
    }

    #[test]
    fn reads_a_page_as_go_does() {
        let one = Some(vec!["a".to_owned()]);
        for json in [
            r#"{"tags":["a"]}"#,
            r#"{"name":"x","Tags":["a",null,"","not a tag","a\u0020b"],"more":[1]}"#,
            r#"{"tags":["z"],"tags":["a"]}"#,
        ] {
            assert_eq!(read(json), one, "{json}");
        }
        for json in ["{}", r#"{"tags":null}"#, r#"{"tags":[]}"#] {
            assert_eq!(read(json), Some(Vec::new()), "{json}");
        }
        for json in ["[]", r#"{"tags":7}"#, r#"{"tags":[7]}"#, "null", ""] {
            assert_eq!(read(json), None, "{json}");
        }
    }

    #[test]
    fn knows_a_page_again() {
        let mut pages = Pages::default();
        let (one, two) = ("http://a/1".parse().unwrap(), "http://a/2".parse().unwrap());
        assert!(pages.note(&one) && pages.note(&two) && !pages.note(&one));
    }
}
