//! Content that leaves.

use std::fs::File;
use std::ops::Range;

use async_trait::async_trait;
use wharf_core::{ContentError, Descriptor, Reader, Source};

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
pub struct DiskSource {}

#[async_trait]
#[expect(unused_variables, reason = "signatures first")]
impl Source for DiskSource {
    fn place(&self) -> String {
        todo!()
    }
    async fn open(&self, what: &Descriptor, range: Range<u64>) -> Result<Reader, ContentError> {
        todo!()
    }
}
