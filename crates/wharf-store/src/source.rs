//! Content that leaves: blobs, as they came, and files that are about to become some.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use wharf_core::{ContentError, Descriptor, Reader, Source};

use crate::ingest::fetch::joined;
use crate::pieces::pieces;
use crate::store::Inner;

/// An open blob. It stays readable even if the blob is removed meanwhile.
#[derive(Debug)]
pub struct BlobFile {
    /// How many bytes it has.
    pub size: u64,
    /// The file, for reading.
    pub file: File,
}

/// The store as a place to copy from.
#[derive(Clone)]
pub struct DiskSource {
    store: Arc<Inner>,
}

impl DiskSource {
    pub(crate) fn new(store: Arc<Inner>) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Source for DiskSource {
    fn place(&self) -> String {
        self.store.root.path.display().to_string()
    }

    async fn open(&self, what: &Descriptor, range: Range<u64>) -> Result<Reader, ContentError> {
        let (store, digest) = (Arc::clone(&self.store), what.digest.clone());
        let opened = wharf_os::blocking::start(move || store.open_blob(&digest));
        let missing = || ContentError::Missing {
            what: what.digest.clone(),
            place: self.place(),
        };
        let blob = joined(opened).await??.ok_or_else(missing)?;
        if blob.size != what.size {
            return Err(ContentError::Size {
                what: what.digest.clone(),
                expected: what.size,
                actual: blob.size,
                place: self.place(),
            });
        }
        let range = range.start.min(blob.size)..range.end.min(blob.size);
        Ok(Reader {
            range: range.clone(),
            bytes: pieces(Arc::new(blob.file), range).boxed(),
        })
    }
}

/// One open file as a place to copy from: whatever is asked for is its bytes, from the first to the
/// last. A layer that was packed or received into a [`Store::spool`](crate::Store::spool) file enters the store through it.
#[derive(Clone, Debug)]
pub struct FileSource {
    file: Arc<File>,
    size: u64,
    place: String,
}

impl FileSource {
    /// Takes over a file; `place` names it in errors.
    pub fn new(file: File, place: impl Into<String>) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self {
            file: Arc::new(file),
            size,
            place: place.into(),
        })
    }

    /// How many bytes it has.
    pub const fn size(&self) -> u64 {
        self.size
    }
}

#[async_trait]
impl Source for FileSource {
    fn place(&self) -> String {
        self.place.clone()
    }

    async fn open(&self, _: &Descriptor, range: Range<u64>) -> Result<Reader, ContentError> {
        let range = range.start.min(self.size)..range.end.min(self.size);
        Ok(Reader {
            range: range.clone(),
            bytes: pieces(Arc::clone(&self.file), range).boxed(),
        })
    }
}
