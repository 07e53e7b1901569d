//! `copy(from, to, root)`: pulling, pushing, saving, loading, serving and sending to another host
//! are this one operation.
//!
//! Children come before parents, so that a manifest is only ever put where all that it needs is.
//! A blob that the sink contains is never asked for.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};

use crate::content::{ContentError, Document, Sink, Source, read_document};
use crate::event::Unwatched;
use crate::manifest::{Index, Kind, ManifestError};
use crate::media_type::is_manifest;
use crate::{Descriptor, Digest, Event, LayerStatus, Manifest, Watch};

/// Bounds how deep indexes may lie in indexes. Real ones are one deep; two is allowed by the
/// image-spec's wording; a loop is none of ours to follow.
const DEPTH_MAX: usize = 4;

/// Chooses which manifests of an index are copied.
pub type Choose = Arc<dyn Fn(&Index) -> Vec<Descriptor> + Send + Sync>;

/// How to copy.
#[derive(Clone)]
pub struct Options {
    /// How many blobs are under way at once.
    pub parallel: usize,
    /// Which manifests of an index are copied. The index itself is always copied whole.
    pub choose: Choose,
}

impl Options {
    /// Copies everything that an index lists.
    pub fn everything(parallel: usize) -> Self {
        Self {
            parallel,
            choose: Arc::new(|index| index.manifests.clone()),
        }
    }
}

/// Why a copy failed.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A place failed, or its content is wrong.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A manifest cannot be read.
    #[error("manifest {what} from {place}")]
    Manifest {
        /// Which one.
        what: Descriptor,
        /// Where it came from.
        place: String,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// Indexes lie in indexes without end.
    #[error("{0} lies more than {DEPTH_MAX} indexes deep; an index must not contain itself")]
    TooDeep(Descriptor),
}

/// Copies `root`, and all that it refers to, from `from` to `to`.
///
/// Nothing is done twice: what `to` contains is skipped. After an error, what was copied so far is
/// in `to` and makes the next attempt shorter; `root` itself is there only after `Ok`.
pub async fn copy(
    from: Arc<dyn Source>,
    to: Arc<dyn Sink>,
    root: &Descriptor,
    options: &Options,
    watch: Arc<dyn Watch>,
) -> Result<(), CopyError> {
    let seen = Mutex::default();
    let task = Task {
        from,
        to,
        options: options.clone(),
        watch,
        seen,
    };
    task.manifest(root, 0).await
}

struct Task {
    from: Arc<dyn Source>,
    to: Arc<dyn Sink>,
    options: Options,
    watch: Arc<dyn Watch>,
    /// The manifests that are done. An index of indexes may list the same ones over and over: four
    /// levels of 4096 entries would never end.
    seen: Mutex<HashSet<Digest>>,
}

impl Task {
    fn manifest<'a>(
        &'a self,
        what: &'a Descriptor,
        depth: usize,
    ) -> BoxFuture<'a, Result<(), CopyError>> {
        async move {
            if depth >= DEPTH_MAX {
                return Err(CopyError::TooDeep(what.clone()));
            }
            if self.is_done(what) {
                return Ok(());
            }
            let manifest = self.read_manifest(what).await?;
            match &manifest.kind {
                Kind::Index(index) => {
                    for child in (self.options.choose)(index) {
                        self.child(&child, depth).await?;
                    }
                }
                // All of it is here: there is nothing to say of its layers (Docker 28.5: pull).
                Kind::Image(_) | Kind::Artifact(_) if self.to.contains(what).await? => {}
                Kind::Image(_) | Kind::Artifact(_) => self.parts(&manifest).await?,
            }
            let document = Document {
                bytes: manifest.raw.clone(),
                place: self.from.place(),
            };
            self.to
                .put(what, Arc::new(document), Arc::new(Unwatched))
                .await?;
            self.seen().insert(what.digest.clone());
            Ok(())
        }
        .boxed()
    }

    fn is_done(&self, what: &Descriptor) -> bool {
        self.seen().contains(&what.digest)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, HashSet<Digest>> {
        // Every change is one insert: after a panic the set is whole.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn child(&self, what: &Descriptor, depth: usize) -> Result<(), CopyError> {
        if is_manifest(&what.media_type) {
            return self.manifest(what, depth + 1).await;
        }
        // An index may list anything; what isn't a manifest is a blob.
        self.blob(what, false).await
    }

    async fn read_manifest(&self, what: &Descriptor) -> Result<Manifest, CopyError> {
        let raw = read_document(self.from.as_ref(), what).await?;
        Manifest::parse(&what.media_type, raw).map_err(|source| CopyError::Manifest {
            what: what.clone(),
            place: self.from.place(),
            source,
        })
    }

    /// Copies an image's config and layers, several at once. A blob that is listed twice is
    /// copied once.
    async fn parts(&self, manifest: &Manifest) -> Result<(), CopyError> {
        let mut seen = HashSet::new();
        let config = manifest.children().first().map(|d| d.digest.clone());
        let blobs: Vec<Descriptor> = manifest
            .children()
            .into_iter()
            .filter(|d| seen.insert(d.digest.clone()))
            .cloned()
            .collect();
        let missing: Vec<_> = stream::iter(blobs)
            .map(|blob| async { Ok::<_, CopyError>((self.to.contains(&blob).await?, blob)) })
            .buffered(self.options.parallel.max(1))
            .try_collect()
            .await?;
        for (here, blob) in &missing {
            if Some(&blob.digest) != config.as_ref() {
                let status = if *here {
                    LayerStatus::Exists
                } else {
                    LayerStatus::Waiting { total: blob.size }
                };
                self.report(blob, status);
            }
        }
        let mut missing: Vec<_> = missing.into_iter().filter(|(here, _)| !here).collect();
        if self.options.parallel > 1 {
            // Begun last, the largest one would run on alone when all others are done. One at a time,
            // the order matters to nobody but an archive, which keeps the manifest's.
            missing.sort_by_key(|(_, blob)| std::cmp::Reverse(blob.size));
        }
        stream::iter(missing.into_iter().map(Ok))
            .try_for_each_concurrent(self.options.parallel.max(1), |(_, blob)| {
                let is_layer = Some(&blob.digest) != config.as_ref();
                async move { self.blob(&blob, is_layer).await }
            })
            .await
    }

    async fn blob(&self, what: &Descriptor, is_layer: bool) -> Result<(), CopyError> {
        let watch: Arc<dyn Watch> = if is_layer {
            Arc::clone(&self.watch)
        } else {
            Arc::new(Unwatched)
        };
        self.to.put(what, Arc::clone(&self.from), watch).await?;
        if is_layer {
            self.report(what, LayerStatus::Complete);
        }
        Ok(())
    }

    fn report(&self, blob: &Descriptor, status: LayerStatus) {
        self.watch.event(Event::Layer {
            digest: blob.digest.clone(),
            status,
        });
    }
}

#[cfg(test)]
mod tests;
