//! A place in memory: for tests, and the simplest thing that passes the conformance suite.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};

use crate::content::{DOCUMENT_MAX, digest_like};
use crate::manifest::Kind;
use crate::media_type::is_manifest;
use crate::{
    ContentError, Descriptor, Digest, Event, LayerStatus, Manifest, Reader, Sink, Source, Watch,
};

/// How many bytes a [`Reader`] of a [`Memory`] hands out at once. Odd, so that nobody gets used to
/// whole blocks.
const CHUNK: usize = 4093;

/// A place that holds its content in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    blobs: Arc<Mutex<HashMap<Digest, Bytes>>>,
}

impl Memory {
    /// An empty place.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `bytes` here without asking whether what they refer to is here too.
    pub fn insert(&self, media_type: &str, bytes: impl Into<Bytes>) -> Descriptor {
        let bytes = bytes.into();
        let descriptor = Descriptor::of(media_type, &bytes);
        self.lock().insert(descriptor.digest.clone(), bytes);
        descriptor
    }

    /// Puts `bytes` here under a name that need not be theirs, as a disk fault would.
    pub fn insert_as(&self, name: Digest, bytes: impl Into<Bytes>) {
        self.lock().insert(name, bytes.into());
    }

    /// Takes content away, as a disk fault would.
    pub fn remove(&self, what: &Digest) {
        self.lock().remove(what);
    }

    /// The bytes of `what`, if they are here.
    pub fn get(&self, what: &Digest) -> Option<Bytes> {
        self.lock().get(what).cloned()
    }

    /// Everything that is here, in the digests' order.
    pub fn digests(&self) -> Vec<Digest> {
        let mut all: Vec<_> = self.lock().keys().cloned().collect();
        all.sort();
        all
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Bytes>> {
        // Every change is one insert or remove: after a panic the map is whole.
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is `what` here, with all that it refers to?
    fn holds(&self, what: &Descriptor) -> bool {
        let Some(bytes) = self.get(&what.digest) else {
            return false;
        };
        if !is_manifest(&what.media_type) {
            return true;
        }
        Manifest::parse(&what.media_type, bytes).is_ok_and(|manifest| {
            manifest
                .children()
                .into_iter()
                .all(|child| self.holds(child))
        })
    }

    /// An image comes after its parts. An index may come with some of its images only: it is then
    /// kept, but `contains` does not vouch for it.
    fn check_children(&self, what: &Descriptor, bytes: &Bytes) -> Result<(), ContentError> {
        if !is_manifest(&what.media_type) {
            return Ok(());
        }
        let manifest = Manifest::parse(&what.media_type, bytes.clone()).map_err(|error| {
            let (what, place) = (what.digest.clone(), Sink::place(self));
            ContentError::Document {
                what,
                place,
                source: Box::new(error),
            }
        })?;
        if matches!(manifest.kind, Kind::Index(_)) {
            return Ok(());
        }
        match manifest
            .children()
            .into_iter()
            .find(|child| !self.holds(child))
        {
            Some(child) => Err(ContentError::Missing {
                what: child.digest.clone(),
                place: Sink::place(self),
            }),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Source for Memory {
    fn place(&self) -> String {
        "memory".into()
    }

    async fn open(&self, what: &Descriptor, range: Range<u64>) -> Result<Reader, ContentError> {
        let missing = || ContentError::Missing {
            what: what.digest.clone(),
            place: Source::place(self),
        };
        let bytes = self.get(&what.digest).ok_or_else(missing)?;
        let end = range.end.min(bytes.len() as u64);
        let start = range.start.min(end);
        let part = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        let (from, to) = part.ok_or_else(missing)?;
        Ok(Reader {
            range: start..end,
            bytes: chunks(bytes.slice(from..to)),
        })
    }
}

#[async_trait]
impl Sink for Memory {
    fn place(&self) -> String {
        "memory".into()
    }

    async fn contains(&self, what: &Descriptor) -> Result<bool, ContentError> {
        Ok(self.holds(what))
    }

    async fn put(
        &self,
        what: &Descriptor,
        source: Arc<dyn Source>,
        watch: Arc<dyn Watch>,
    ) -> Result<(), ContentError> {
        if self.holds(what) {
            return Ok(());
        }
        let (digest, place) = (&what.digest, source.place());
        if is_manifest(&what.media_type) && what.size > DOCUMENT_MAX {
            let (what, size) = (digest.to_string(), what.size);
            return Err(ContentError::TooLarge { what, size, place });
        }
        let mut reader = source.open(what, 0..what.size).await?;
        let mut all = BytesMut::new();
        while let Some(chunk) = reader.bytes.next().await {
            all.extend_from_slice(&chunk?);
            let (done, total) = (all.len() as u64, what.size);
            if done > total {
                break;
            }
            let status = LayerStatus::Downloading { done, total };
            watch.event(Event::Layer {
                digest: digest.clone(),
                status,
            });
        }
        let (expected, actual) = (what.size, all.len() as u64);
        if expected != actual {
            return Err(ContentError::Size {
                what: digest.clone(),
                expected,
                actual,
                place,
            });
        }
        let all = all.freeze();
        let actual = digest_like(digest, &all);
        if actual != *digest {
            return Err(ContentError::Mismatch {
                expected: digest.clone(),
                actual,
                place,
            });
        }
        self.check_children(what, &all)?;
        self.lock().insert(digest.clone(), all);
        Ok(())
    }
}

/// Bytes as a stream of small pieces.
pub(crate) fn chunks(bytes: Bytes) -> stream::BoxStream<'static, Result<Bytes, ContentError>> {
    stream::unfold(bytes, |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        let chunk = rest.split_to(CHUNK.min(rest.len()));
        Some((Ok(chunk), rest))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, Place};

    #[tokio::test]
    async fn keeps_the_contract() {
        conformance::run(async || {
            let memory = Memory::new();
            Place::new(Arc::new(memory.clone()), Arc::new(memory))
        })
        .await;
    }

    #[tokio::test]
    async fn hands_out_the_part_that_was_asked_for() {
        let memory = Memory::new();
        let what = memory.insert("text/plain", "0123456789");
        for (range, expected) in [
            (0..10, "0123456789"),
            (3..5, "34"),
            (8..99, "89"),
            (10..10, ""),
        ] {
            let reader = memory.open(&what, range.clone()).await.unwrap();
            let parts: Vec<_> = reader.bytes.map(Result::unwrap).collect().await;
            assert_eq!(parts.concat(), expected.as_bytes(), "{range:?}");
        }
        memory.remove(&what.digest);
        assert!(memory.open(&what, 0..1).await.is_err());
        assert!(memory.digests().is_empty());
    }
}
