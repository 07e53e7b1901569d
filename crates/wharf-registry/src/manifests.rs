//! Manifests: fetched by tag or digest, bounded, and hashed here whatever the registry says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt as _;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use tracing::debug;
use wharf_core::content::{DOCUMENT_MAX, digest_like};
use wharf_core::media_type::MANIFESTS;
use wharf_core::reference::DEFAULT_TAG;
use wharf_core::{Descriptor, Digest, Manifest, Reference, Watch};

use crate::answer::{Topic, refusal};
use crate::client::{Call, Client, whom};
use crate::error::RegistryError;
use crate::exchange::Incoming;
use crate::payload::Payload;
use crate::place::Place;

/// The header in which a registry says what it sends.
const DIGEST_HEADER: &str = "docker-content-digest";

/// How many bytes of manifests are kept for the copy that follows a resolve. A large index and its
/// image have some 50 KiB; two manifests of the greatest size still fit.
const CACHE_MAX: usize = 8 * 1024 * 1024;

/// A manifest as it came, with its digest checked.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    pub(crate) bytes: Bytes,
    /// What the registry says that it is.
    pub(crate) media_type: String,
    pub(crate) place: Arc<Place>,
}

/// Manifests that were just fetched, the latest in front.
#[derive(Default)]
pub(crate) struct Cache(Mutex<VecDeque<(Digest, Bytes)>>);

impl Cache {
    pub(crate) fn get(&self, digest: &Digest) -> Option<Bytes> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter()
            .find(|(kept, _)| kept == digest)
            .map(|(_, bytes)| bytes.clone())
    }

    fn put(&self, digest: Digest, bytes: Bytes) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(kept, _)| *kept != digest);
        kept.push_front((digest, bytes));
        let mut room = CACHE_MAX;
        kept.retain(|(_, bytes)| {
            room = room.saturating_sub(bytes.len());
            room > 0
        });
    }
}

/// Which manifest, and what it is called.
struct Target<'a> {
    repository: &'a Reference,
    /// By its digest, if that is known: then it counts, and the tag doesn't (Docker 28.5: pull).
    digest: Option<&'a Digest>,
    /// For messages: `busybox:musl`.
    name: String,
}

impl Target<'_> {
    fn of(reference: &Reference) -> Target<'_> {
        Target {
            repository: reference,
            digest: reference.digest(),
            name: reference.familiar(),
        }
    }

    fn call(&self, method: Method) -> Call {
        let tag_or_digest = match self.digest {
            Some(digest) => digest.as_str(),
            None => self.repository.tag().unwrap_or(DEFAULT_TAG),
        };
        let accept = HeaderValue::from_str(&MANIFESTS.join(", ")).ok();
        Call {
            // The length of an answer to HEAD is asked for, and that is not the packed one's.
            packed: method == Method::GET,
            method,
            accept,
            ..Call::get(format!("manifests/{tag_or_digest}"))
        }
    }
}

impl Client {
    /// Fetches the manifest that a reference names, from the first place that has it.
    pub(crate) async fn resolve(
        &self,
        reference: &Reference,
        watch: &dyn Watch,
    ) -> Result<(Manifest, Arc<Place>), RegistryError> {
        let target = Target::of(reference);
        let places = self.places(reference)?;
        let fetched = self.fetch(&places, &target, watch).await?;
        self.prefer(reference, &fetched.place);
        let manifest = parse(&fetched, &target)?;
        Ok((manifest, fetched.place))
    }

    /// Fetches a manifest by its digest, unless it was fetched a moment ago.
    pub(crate) async fn manifest(
        &self,
        repository: &Reference,
        what: &Descriptor,
        watch: &dyn Watch,
    ) -> Result<Bytes, RegistryError> {
        if let Some(bytes) = self.manifests.get(&what.digest) {
            return Ok(bytes);
        }
        let reference = repository.with_digest(what.digest.clone());
        let places = self.preferred_places(repository)?;
        Ok(self
            .fetch(&places, &Target::of(&reference), watch)
            .await?
            .bytes)
    }

    /// Asks what the manifest is that a reference names.
    pub(crate) async fn head(
        &self,
        reference: &Reference,
        watch: &dyn Watch,
    ) -> Result<Descriptor, RegistryError> {
        let target = Target::of(reference);
        let places = self.places(reference)?;
        let described = self
            .in_turn(&places, |place| {
                let target = &target;
                async move {
                    let mut pauses = self.pauses(place);
                    let mut decide =
                        |error: &_| Self::decide_aloud(place, &mut pauses, error, watch);
                    let step = || self.head_once(place, target, watch).boxed();
                    self.persist(&mut decide, step).await
                }
                .boxed()
            })
            .await?;
        if let Some(described) = described {
            return Ok(described);
        }
        // Not every registry says in a HEAD what it has.
        let fetched = self.fetch(&places, &target, watch).await?;
        Ok(parse(&fetched, &target)?.descriptor)
    }

    /// Does the registry itself have this manifest?
    pub(crate) async fn has_manifest(
        &self,
        repository: &Reference,
        digest: &Digest,
        watch: &dyn Watch,
    ) -> Result<bool, RegistryError> {
        let place = &self.registry_place(repository.domain())?;
        let reference = repository.with_digest(digest.clone());
        let target = &Target::of(&reference);
        let mut pauses = self.pauses(place);
        let mut decide = |error: &_| Self::decide_aloud(place, &mut pauses, error, watch);
        let step = || self.head_once(place, target, watch).boxed();
        match self.persist(&mut decide, step).await {
            Ok(_) => Ok(true),
            Err(RegistryError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Puts a manifest into its repository, under its digest or under `tag`.
    pub(crate) async fn put_manifest(
        &self,
        repository: &Reference,
        tag: Option<&str>,
        manifest: &Manifest,
        watch: &dyn Watch,
    ) -> Result<(), RegistryError> {
        let place = &self.registry_place(repository.domain())?;
        let mut pauses = self.pauses(place);
        let mut decide = |error: &_| Self::decide_aloud(place, &mut pauses, error, watch);
        let step = || {
            let sent = self.put_manifest_once(place, repository, tag, manifest, watch);
            sent.boxed()
        };
        self.persist(&mut decide, step).await
    }

    async fn put_manifest_once(
        &self,
        place: &Place,
        repository: &Reference,
        tag: Option<&str>,
        manifest: &Manifest,
        watch: &dyn Watch,
    ) -> Result<(), RegistryError> {
        let what = &manifest.descriptor;
        let tag_or_digest = tag.unwrap_or(what.digest.as_str());
        let mut call = Call::push(Method::PUT, format!("manifests/{tag_or_digest}"));
        call.payload = Some(Payload::bytes(manifest.raw.clone()));
        if let Ok(media_type) = HeaderValue::from_str(&what.media_type) {
            call.more.insert(CONTENT_TYPE, media_type);
        }
        let mut incoming = self.ask(place, repository, &call, watch).await?;
        let shown = repository.familiar_repository();
        if !incoming.response.status().is_success() {
            let topic = Topic::Repository;
            let refused = refusal(&mut incoming, &topic, whom(place, shown)).await;
            return Err(refused.of_push());
        }
        let said = incoming
            .header(DIGEST_HEADER)
            .and_then(|text| text.parse::<Digest>().ok());
        match said {
            // One that computes another algorithm's digest says nothing about this one.
            Some(actual)
                if actual.algorithm() == what.digest.algorithm() && actual != what.digest =>
            {
                Err(RegistryError::Mismatch {
                    name: format!("{shown}:{tag_or_digest}"),
                    expected: what.digest.clone(),
                    actual,
                    place: place.name.clone(),
                })
            }
            _ => Ok(()),
        }
    }

    async fn head_once(
        &self,
        place: &Arc<Place>,
        target: &Target<'_>,
        watch: &dyn Watch,
    ) -> Result<Option<Descriptor>, RegistryError> {
        let call = target.call(Method::HEAD);
        let mut incoming = self.ask(place, target.repository, &call, watch).await?;
        self.check(&mut incoming, place, target).await?;
        let digest = incoming
            .header(DIGEST_HEADER)
            .and_then(|text| text.parse().ok());
        let size = incoming
            .header("content-length")
            .filter(|_| !incoming.is_gzip())
            .and_then(|text| text.parse::<u64>().ok());
        Ok(match (digest, size.filter(|size| *size > 0)) {
            (Some(digest), Some(size)) => {
                Some(Descriptor::new(media_type(&incoming), digest, size))
            }
            _ => None,
        })
    }

    async fn fetch(
        &self,
        places: &[Arc<Place>],
        target: &Target<'_>,
        watch: &dyn Watch,
    ) -> Result<Fetched, RegistryError> {
        let fetched = self
            .in_turn(places, |place| {
                async move {
                    let mut pauses = self.pauses(place);
                    let mut decide =
                        |error: &_| Self::decide_aloud(place, &mut pauses, error, watch);
                    let step = || self.fetch_once(place, target, watch).boxed();
                    self.persist(&mut decide, step).await
                }
                .boxed()
            })
            .await?;
        Ok(fetched)
    }

    async fn fetch_once(
        &self,
        place: &Arc<Place>,
        target: &Target<'_>,
        watch: &dyn Watch,
    ) -> Result<Fetched, RegistryError> {
        let call = target.call(Method::GET);
        let mut incoming = self.ask(place, target.repository, &call, watch).await?;
        self.check(&mut incoming, place, target).await?;
        let media_type = media_type(&incoming);
        let said = incoming
            .header(DIGEST_HEADER)
            .and_then(|text| text.parse::<Digest>().ok());
        let bytes = incoming.body(DOCUMENT_MAX).await?;
        // By tag, the registry's word is all there is to compare with; by digest, it's nothing.
        if let Some(expected) = target.digest.cloned().or(said) {
            let actual = digest_like(&expected, &bytes);
            if actual != expected {
                let (name, place) = (target.name.clone(), place.name.clone());
                return Err(RegistryError::Mismatch {
                    name,
                    expected,
                    actual,
                    place,
                });
            }
            self.manifests.put(expected, bytes.clone());
        } else {
            self.manifests.put(Digest::of(&bytes), bytes.clone());
        }
        debug!(name = %target.name, place = %place.name, %media_type, "manifest");
        Ok(Fetched {
            bytes,
            media_type,
            place: Arc::clone(place),
        })
    }

    async fn check(
        &self,
        incoming: &mut Incoming,
        place: &Place,
        target: &Target<'_>,
    ) -> Result<(), RegistryError> {
        if incoming.response.status() != reqwest::StatusCode::OK {
            let topic = Topic::Manifest(target.name.clone());
            let repository = target.repository.familiar_repository();
            return Err(refusal(incoming, &topic, whom(place, repository)).await);
        }
        Ok(())
    }
}

fn parse(fetched: &Fetched, target: &Target<'_>) -> Result<Manifest, RegistryError> {
    let parsed = Manifest::parse(&fetched.media_type, fetched.bytes.clone());
    parsed.map_err(|source| RegistryError::Manifest {
        name: target.name.clone(),
        place: fetched.place.name.clone(),
        source,
    })
}

/// The Content-Type without its parameters.
fn media_type(incoming: &Incoming) -> String {
    let whole = incoming.header("content-type").unwrap_or_default();
    whole
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_was_just_fetched_within_its_bounds() {
        let cache = Cache::default();
        let large = Bytes::from(vec![b'x'; CACHE_MAX / 2]);
        let (a, b, c) = (Digest::of(b"a"), Digest::of(b"b"), Digest::of(b"c"));
        cache.put(a.clone(), Bytes::from_static(b"a"));
        assert!(cache.get(&a).is_some());
        cache.put(b.clone(), large.clone());
        cache.put(c.clone(), large);
        assert!(cache.get(&a).is_none() && cache.get(&b).is_none());
        assert!(cache.get(&c).is_some());
    }
}
