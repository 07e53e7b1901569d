//! An opened archive: the images that were found in it, and their bytes.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use wharf_core::{ContentError, Descriptor, Digest, Platform, Reader, Reference, Source};

use super::Result;
use super::entries::{Entries, Place};
use super::images::{KnownLayers, Opening};

/// How much is read at once, in bytes. Each read is a trip to another thread.
pub(super) const READ: u64 = 256 * 1024;

/// An archive, opened. Clones share it.
#[derive(Clone)]
pub struct ArchiveSource {
    inner: Arc<Inner>,
}

struct Inner {
    file: Arc<File>,
    blobs: HashMap<Digest, Place>,
    /// The manifests that were made for images without one.
    made: HashMap<Digest, Bytes>,
    images: Vec<ArchiveImage>,
    left_out: Vec<LeftOut>,
}

/// What an archive lists beside its images: a signature, a bill of materials, a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its manifest.
    pub digest: Digest,
    /// What it says that it is; empty if it says nothing.
    pub artifact_type: String,
}

/// An image of an archive.
#[derive(Clone, Debug)]
pub struct ArchiveImage {
    /// Its manifest, or the index that it came in.
    pub root: Descriptor,
    /// The image's ID: its config's digest.
    pub image: Digest,
    /// For which platform it is.
    pub platform: Platform,
    /// Its names, in order, each with what it points to.
    pub names: Vec<ArchiveName>,
    /// Was its manifest made of plain archives, so that a push has to compress its layers?
    pub local: bool,
}

/// A name in an archive.
#[derive(Clone, Debug)]
pub struct ArchiveName {
    /// The name, with its tag.
    pub reference: Reference,
    /// What it points to: the image's manifest, or an index that has it.
    pub root: Descriptor,
}

/// Opens an archive that isn't packed as a whole (else see [`spool`](super::spool)).
pub fn open_archive(file: File) -> Result<ArchiveSource> {
    open_archive_beside(file, &|_| None)
}

/// Does the same where layers may be missing in the archive that are elsewhere. The images then refer to those.
pub fn open_archive_beside(file: File, known: KnownLayers<'_>) -> Result<ArchiveSource> {
    let entries = Entries::read(&file)?;
    let mut opening = Opening::new(file, entries, known);
    let images = opening.images()?;
    Ok(ArchiveSource {
        inner: Arc::new(Inner {
            file: opening.file,
            blobs: opening.blobs,
            made: opening.made,
            left_out: opening.left_out,
            images,
        }),
    })
}

impl ArchiveSource {
    /// The images in it, in the order of its documents.
    pub fn images(&self) -> &[ArchiveImage] {
        &self.inner.images
    }

    /// What it lists that is no image, in the same order.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.inner.left_out
    }

    /// Everything that it may give, in no order.
    pub fn digests(&self) -> Vec<Digest> {
        let inner = &self.inner;
        inner
            .blobs
            .keys()
            .chain(inner.made.keys())
            .cloned()
            .collect()
    }

    /// A document that was made for an image without one.
    #[cfg(test)]
    pub(super) fn inner_made(&self, digest: &Digest) -> Bytes {
        self.inner.made[digest].clone()
    }

    /// Is it in the archive, with that size? An index may list what was not saved.
    pub fn has(&self, what: &Descriptor) -> bool {
        let blob = self.inner.blobs.get(&what.digest).map(|place| place.size);
        let made = self
            .inner
            .made
            .get(&what.digest)
            .map(|raw| raw.len() as u64);
        blob.or(made) == Some(what.size)
    }
}

#[async_trait]
impl Source for ArchiveSource {
    fn place(&self) -> String {
        "the archive".to_owned()
    }

    async fn open(&self, what: &Descriptor, range: Range<u64>) -> Result<Reader, ContentError> {
        if let Some(raw) = self.inner.made.get(&what.digest) {
            let raw = raw.clone();
            return Ok(Reader {
                range: 0..raw.len() as u64,
                bytes: stream::once(async move { Ok(raw) }).boxed(),
            });
        }
        let (digest, place) = (what.digest.clone(), self.place());
        let Some(found) = self.inner.blobs.get(&what.digest).copied() else {
            return Err(ContentError::Missing {
                what: digest,
                place,
            });
        };
        if found.size != what.size {
            let (expected, actual) = (what.size, found.size);
            return Err(ContentError::Size {
                what: digest,
                expected,
                actual,
                place,
            });
        }
        let range = range.start.min(found.size)..range.end.min(found.size);
        let at = found.offset + range.start..found.offset + range.end;
        let bytes = stream::try_unfold((Arc::clone(&self.inner.file), at), next).boxed();
        Ok(Reader { range, bytes })
    }
}

type Rest = (Arc<File>, Range<u64>);

/// Reads the next bytes.
async fn next((file, rest): Rest) -> Result<Option<(Bytes, Rest)>, ContentError> {
    if rest.is_empty() {
        return Ok(None);
    }
    let len = READ.min(rest.end - rest.start);
    let (reader, start) = (Arc::clone(&file), rest.start);
    let read = wharf_os::blocking::start(move || {
        let mut buffer = vec![0; usize::try_from(len).unwrap_or_default()];
        reader
            .read_exact_at(&mut buffer, start)
            .map(|()| Bytes::from(buffer))
    });
    let bytes = read
        .await
        .map_err(ContentError::place)?
        .map_err(ContentError::place)?;
    Ok(Some((bytes, (file, rest.start + len..rest.end))))
}
