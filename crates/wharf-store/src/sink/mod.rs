//! Content that arrives.
//!
//! A blob's life: its lock, the rows once more (another process may just have finished), what `ingest/`
//! holds, the missing pieces, the digest, the sync, the rename, the row. A manifest comes last: its row
//! says that everything is here, and all that a listing shows is computed with it, in one transaction.

mod manifests;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use wharf_core::layer::{Inspector, LayerFacts, Notes};
use wharf_core::media_type::is_manifest;
use wharf_core::{ContentError, Descriptor, Digest, Event, LayerStatus, Sink, Source, Watch};

use crate::catalog::Durability;
use crate::ingest::DigestLock;
use crate::ingest::fetch::{Fetch, fetch, joined};
use crate::ingest::follow::{Follow, Followed};
use crate::ingest::partial::Partial;
use crate::ingest::restore::Trust;
use crate::store::Inner;
use crate::{Lease, Result, StoreError, fail, files};

/// How content is stored.
#[derive(Clone)]
pub struct SinkOptions {
    /// Reads the layers on their way in: `verify = "full"`. Without one only blob digests are
    /// verified.
    pub inspector: Option<Arc<dyn Inspector>>,
    /// How many ranged connections fetch one large blob.
    pub connections: usize,
    /// How many of them there may be in all, beside the first one of each blob. Each connection takes
    /// up to a megabyte of memory.
    pub further_connections: usize,
    /// Keeps an image whose config cannot be read, or doesn't fit its layers, as an artifact, instead of
    /// refusing it: what a registry does with what is pushed to it.
    pub lenient: bool,
}

impl Default for SinkOptions {
    fn default() -> Self {
        Self {
            inspector: None,
            connections: 1,
            further_connections: 0,
            lenient: false,
        }
    }
}

/// The store as a place to copy to.
#[derive(Clone)]
pub struct DiskSink {
    store: Arc<Inner>,
    lease: Arc<Lease>,
    options: SinkOptions,
    further: Arc<Semaphore>,
}

/// How much of a blob is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// All that is wanted. It's leased.
    Whole,
    /// The file; nobody has verified it, or read it as the layer that it is.
    Unread,
    Absent,
}

#[async_trait]
impl Sink for DiskSink {
    fn place(&self) -> String {
        self.store.root.path.display().to_string()
    }

    async fn contains(&self, what: &Descriptor) -> Result<bool, ContentError> {
        if is_manifest(&what.media_type) {
            return self.has_manifest(what).await;
        }
        Ok(self.presence(what).await? == Presence::Whole)
    }

    async fn put(
        &self,
        what: &Descriptor,
        source: Arc<dyn Source>,
        watch: Arc<dyn Watch>,
    ) -> Result<(), ContentError> {
        if is_manifest(&what.media_type) {
            return self.put_manifest(what, source.as_ref()).await;
        }
        self.put_blob(what, source, watch).await
    }
}

impl DiskSink {
    pub(crate) fn new(store: Arc<Inner>, lease: Arc<Lease>, options: SinkOptions) -> Self {
        Self {
            store,
            lease,
            further: Arc::new(Semaphore::new(options.further_connections)),
            options,
        }
    }

    /// Works with rows and files on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T, ContentError> {
        let this = self.clone();
        Ok(joined(wharf_os::blocking::start(move || work(&this))).await??)
    }

    async fn presence(&self, what: &Descriptor) -> Result<Presence, ContentError> {
        let what = what.clone();
        self.blocking(move |this| this.presence_now(&what)).await
    }

    fn presence_now(&self, what: &Descriptor) -> Result<Presence> {
        let store = &self.store;
        if store.blobs.size(&what.digest)? != Some(what.size) {
            return Ok(Presence::Absent);
        }
        let unread = |facts: Option<&LayerFacts>| {
            let inspector = self.options.inspector.as_ref();
            facts.is_none() && inspector.is_some_and(|inspector| inspector.reads(what))
        };
        let row = store.catalog.read(|rows| rows.blob_row(&what.digest))?;
        let whole =
            row.is_some_and(|row| row.here && row.size == what.size && !unread(row.facts.as_ref()));
        if !whole {
            return Ok(Presence::Unread);
        }
        // It may be collected between the look and the lease, so both happen at once.
        let (held, _) = store
            .catalog
            .write(&store.leases, Durability::Process, |rows| {
                let here = rows.blob_row(&what.digest)?.is_some_and(|row| row.here);
                if here {
                    rows.hold(self.lease.token(), &what.digest)?;
                }
                Ok::<_, StoreError>(here)
            })?;
        Ok(if held {
            Presence::Whole
        } else {
            Presence::Absent
        })
    }

    async fn put_blob(
        &self,
        what: &Descriptor,
        source: Arc<dyn Source>,
        watch: Arc<dyn Watch>,
    ) -> Result<(), ContentError> {
        if self.presence(what).await? == Presence::Whole {
            return Ok(());
        }
        let status = |status| {
            watch.event(Event::Layer {
                digest: what.digest.clone(),
                status,
            })
        };
        let mut joined = Joined::default();
        let lock = self.store.ingest.lock(&what.digest, || {
            let done = self.store.ingest.glance(&what.digest, what.size);
            if let Some(done) = joined.news(done) {
                let total = what.size;
                status(LayerStatus::Downloading { done, total });
            }
        });
        let lock = Arc::new(lock.await?);
        // Whoever had the lock before may have put it.
        let presence = self.presence(what).await?;
        if presence == Presence::Whole {
            if joined.seen.is_some() {
                status(LayerStatus::Verifying);
                status(LayerStatus::Downloaded);
            }
            return Ok(());
        }
        if presence == Presence::Unread {
            status(LayerStatus::Verifying);
            if let Some(facts) = self.read_local(what).await? {
                self.commit(what, facts, lock).await?;
                status(LayerStatus::Downloaded);
                return Ok(());
            }
        }
        let (facts, partial) = self.fetch(what, source, &watch, &lock).await?;
        let (digest, ingest) = (what.digest.clone(), self.store.ingest.clone());
        self.blocking(move |this| {
            if let Err(error) = partial.check_synced() {
                // Some of its bytes may be on no disk: the next attempt uses none of them.
                ingest.discard(&digest)?;
                return Err(error);
            }
            let (file, path) = partial.file();
            this.store.blobs.publish(file, path, &digest)?;
            this.keep_notes(&digest);
            ingest.discard(&digest).map(drop)
        })
        .await?;
        self.commit(what, facts, lock).await?;
        status(LayerStatus::Downloaded);
        Ok(())
    }

    /// Fetches a blob into `ingest/`, and verifies it there.
    async fn fetch(
        &self,
        what: &Descriptor,
        source: Arc<dyn Source>,
        watch: &Arc<dyn Watch>,
        lock: &Arc<DigestLock>,
    ) -> Result<(Option<LayerFacts>, Arc<Partial>), ContentError> {
        let mut trust = Trust::Durable;
        loop {
            let (of, held) = (what.clone(), Arc::clone(lock));
            let partial = self
                .blocking(move |this| {
                    Partial::open(&this.store.ingest, held, &of.digest, of.size, trust)
                        .map(Arc::new)
                })
                .await?;
            let reused = partial.done() > 0;
            let job = Fetch {
                what: what.clone(),
                source: Arc::clone(&source),
                watch: Arc::clone(watch),
                partial: Arc::clone(&partial),
                connections: self.options.connections,
                further: Arc::clone(&self.further),
                reported: std::sync::Mutex::default(),
            };
            let fetched = fetch(job, self.inspect(what)).await;
            let result = match fetched {
                // Bytes of an earlier attempt may be to blame: a power loss can leave such.
                Ok(followed) if followed.digest != what.digest && reused => None,
                Ok(followed) => Some(judge(what, followed, || source.place())),
                Err(error @ ContentError::Size { .. }) => Some(Err(error)),
                Err(error) => return Err(error),
            };
            if let Some(Ok(facts)) = result {
                return Ok((facts, partial));
            }
            if result.is_none() && trust == Trust::Durable {
                // Those parts are fetched again that are not what came. All of them, if all are.
                trust = Trust::Nothing;
                continue;
            }
            let digest = what.digest.clone();
            self.blocking(move |this| this.store.ingest.discard(&digest))
                .await?;
            if let Some(result) = result {
                result?;
            }
        }
    }

    fn inspect(&self, what: &Descriptor) -> Option<Box<dyn wharf_core::layer::Inspect>> {
        self.options
            .inspector
            .as_ref()
            .filter(|inspector| inspector.reads(what))
            .and_then(|inspector| inspector.begin(what, self.new_notes(&what.digest)))
    }

    /// A file for what the inspector writes down. Without one the layer is read all the same.
    fn new_notes(&self, digest: &Digest) -> Option<Notes> {
        let made = files::open_or_create(&self.store.ingest.notes(digest))
            .and_then(|file| file.set_len(0).map(|()| file));
        match made {
            Ok(file) => Some(Box::new(file)),
            Err(error) => {
                tracing::debug!(%digest, %error, "no notes are taken of a layer");
                None
            }
        }
    }

    /// Puts the notes in place. The caller holds the blob's lock.
    fn keep_notes(&self, digest: &Digest) {
        let store = &self.store;
        if let Err(error) = store.notes.publish(&store.ingest.notes(digest), digest) {
            tracing::debug!(%digest, %error, "the notes of a layer are lost");
        }
    }

    /// Verifies a file that is in place already; `None` if it's not what its name says.
    async fn read_local(
        &self,
        what: &Descriptor,
    ) -> Result<Option<Option<LayerFacts>>, ContentError> {
        let (what, inspect) = (what.clone(), self.inspect(what));
        let place = self.place();
        self.blocking(move |this| {
            let Some((file, size)) = this.store.blobs.open(&what.digest)? else {
                return Ok(None);
            };
            let path = std::path::Path::new(what.digest.as_str());
            let follow = Follow {
                file: &file,
                path,
                algorithm: what.digest.algorithm(),
                size,
            };
            let followed = follow.all(inspect)?;
            if followed.digest != what.digest {
                return Ok(None);
            }
            let facts = judge(&what, followed, || place)?;
            this.store.blobs.settle(&file, &what.digest)?;
            this.keep_notes(&what.digest);
            Ok(Some(facts))
        })
        .await
    }

    /// Says that a blob is here, and leases it.
    async fn commit(
        &self,
        what: &Descriptor,
        facts: Option<LayerFacts>,
        lock: Arc<DigestLock>,
    ) -> Result<(), ContentError> {
        let what = what.clone();
        self.blocking(move |this| {
            let store = &this.store;
            store
                .catalog
                .write(&store.leases, Durability::Full, |rows| {
                    rows.arrive(&what.digest, what.size, facts.as_ref())?;
                    rows.hold(this.lease.token(), &what.digest)
                })?;
            fail::point("blob-committed");
            drop(lock);
            Ok(())
        })
        .await
    }
}

/// What was seen of a download that somebody else, here or in another process, has under way: whoever
/// waits for it is shown how far it is.
#[derive(Default)]
struct Joined {
    seen: Option<u64>,
}

impl Joined {
    /// How many bytes are there, if that is news.
    fn news(&mut self, done: Option<u64>) -> Option<u64> {
        let news = done.filter(|done| self.seen != Some(*done))?;
        self.seen = Some(news);
        Some(news)
    }
}

/// Decides on what was read.
fn judge(
    what: &Descriptor,
    followed: Followed,
    place: impl FnOnce() -> String,
) -> Result<Option<LayerFacts>, ContentError> {
    if followed.digest != what.digest {
        return Err(ContentError::Mismatch {
            expected: what.digest.clone(),
            actual: followed.digest,
            place: place(),
        });
    }
    match followed.layer {
        Some(Err(source)) => Err(ContentError::Layer {
            layer: what.digest.clone(),
            source,
        }),
        Some(Ok(facts)) => Ok(Some(facts)),
        None => Ok(None),
    }
}
