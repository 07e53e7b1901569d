//! Referrers: manifests that say that they are about another one, as signatures and bills of materials
//! do (OCI distribution-spec, "Listing referrers").
//!
//! A registry that knows nothing of them keeps their list as an index, under a tag that is made of the
//! subject's digest; then whoever pushes a referrer keeps that index up to date.

use futures_util::FutureExt as _;
use reqwest::header::HeaderValue;
use reqwest::{StatusCode, Url};
use tokio::time::Instant;
use wharf_core::content::DOCUMENT_MAX;
use wharf_core::manifest::Kind;
use wharf_core::media_type::OCI_INDEX;
use wharf_core::{Descriptor, Digest, Manifest, Reference, Watch};

use crate::answer::{Topic, refusal};
use crate::client::{Call, Client, whom};
use crate::error::RegistryError;
use crate::place::Place;
use crate::tags::{LIST_TIME, Pages, next_page};

/// Bounds a list. Images have a handful.
const REFERRERS_MAX: usize = 10_000;

/// Bounds the pages, for a registry whose next page is always there and always empty.
const PAGES_MAX: usize = 1000;

/// Bounds a list, in bytes: what annotations may hold besides.
const LIST_MAX: usize = 8 * 1024 * 1024;

/// One page of a list.
struct Page {
    manifests: Vec<Descriptor>,
    /// How many bytes the page has.
    length: usize,
    next: Option<Url>,
}

/// What refers to a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Referrers {
    /// The manifests.
    pub manifests: Vec<Descriptor>,
    /// Does the registry keep the list by itself?
    pub kept: bool,
}

/// The tag under which a registry that knows nothing of referrers has the list.
pub fn referrers_tag(subject: &Digest) -> String {
    format!("{}-{}", subject.algorithm().as_str(), subject.hex())
}

impl Client {
    /// What refers to `subject` in the registry itself.
    pub(crate) async fn referrers(
        &self,
        repository: &Reference,
        subject: &Digest,
        watch: &dyn Watch,
    ) -> Result<Referrers, RegistryError> {
        let place = &self.registry_place(repository.domain())?;
        if let Some(manifests) = self.listed(place, repository, subject, watch).await? {
            let kept = true;
            return Ok(Referrers { manifests, kept });
        }
        let tag = referrers_tag(subject);
        let Ok(named) = repository.without_tag().with_tag(&tag) else {
            return Ok(Referrers::default());
        };
        let manifests = match self.resolve(&named, watch).await {
            Ok((manifest, _)) => entries(manifest),
            Err(RegistryError::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        let kept = false;
        Ok(Referrers { manifests, kept })
    }

    /// The registry's own list; `None` if it keeps none.
    async fn listed(
        &self,
        place: &Place,
        repository: &Reference,
        subject: &Digest,
        watch: &dyn Watch,
    ) -> Result<Option<Vec<Descriptor>>, RegistryError> {
        let mut call = Call::document(format!("referrers/{subject}"));
        call.accept = Some(HeaderValue::from_static(OCI_INDEX));
        let (mut all, mut bytes, began) = (Vec::new(), 0, Instant::now());
        let mut pages = Pages::default();
        for _ in 0..PAGES_MAX {
            let mut pauses = self.pauses(place);
            let mut decide = |error: &_| Self::decide_aloud(place, &mut pauses, error, watch);
            let asked = &call;
            let step = || {
                self.page_of_referrers(place, repository, asked, watch)
                    .boxed()
            };
            let Some(page) = self.persist(&mut decide, step).await? else {
                return Ok(None);
            };
            bytes += page.length;
            all.extend(page.manifests);
            if all.len() > REFERRERS_MAX || bytes > LIST_MAX || began.elapsed() > LIST_TIME {
                break;
            }
            let Some(next) = page.next else {
                return Ok(Some(all));
            };
            if !pages.note(&next) {
                return Err(RegistryError::Protocol {
                    request: format!("referrers of {subject}"),
                    reason: format!("the pages of {} lead in a circle", place.name),
                });
            }
            call.url = Some(next);
        }
        Err(RegistryError::Protocol {
            request: format!("referrers of {subject}"),
            reason: format!("{} lists referrers without end", place.name),
        })
    }

    async fn page_of_referrers(
        &self,
        place: &Place,
        repository: &Reference,
        call: &Call,
        watch: &dyn Watch,
    ) -> Result<Option<Page>, RegistryError> {
        let mut incoming = self.ask(place, repository, call, watch).await?;
        match incoming.response.status() {
            StatusCode::OK => {}
            // The endpoint is not there; nor are those of registries that say so in other words.
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::BAD_REQUEST
                if call.url.is_none() =>
            {
                return Ok(None);
            }
            _ => {
                let shown = repository.familiar_repository();
                let whom = whom(place, shown);
                return Err(refusal(&mut incoming, &Topic::Repository, whom).await);
            }
        }
        let root = self.root(place).await?;
        let next = next_page(&incoming, root, place)?;
        let media_type = incoming
            .header("content-type")
            .unwrap_or_default()
            .to_owned();
        let body = incoming.body(DOCUMENT_MAX).await?;
        let length = body.len();
        let Ok(manifest) = Manifest::parse(&media_type, body) else {
            // Some answer every unknown address with a page for people. A list that has begun goes on as one.
            if call.url.is_some() {
                return Err(RegistryError::Protocol {
                    request: incoming.request,
                    reason: "the answer is not a list of referrers".to_owned(),
                });
            }
            return Ok(None);
        };
        Ok(Some(Page {
            manifests: entries(manifest),
            length,
            next,
        }))
    }
}

fn entries(manifest: Manifest) -> Vec<Descriptor> {
    match manifest.kind {
        Kind::Index(index) => index.manifests,
        Kind::Image(_) | Kind::Artifact(_) => Vec::new(),
    }
}
