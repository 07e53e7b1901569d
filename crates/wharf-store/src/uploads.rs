//! Content that is pushed to the registry server, piece by piece.

use std::error::Error;

use bytes::Bytes;
use futures_util::Stream;
use wharf_core::Digest;

use crate::{Lease, StoreError};

/// Why an upload could not go on.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// There is none with this ID, or not any more.
    #[error("there is no upload {0}")]
    Unknown(String),
    /// Bytes came for another offset than the next one.
    #[error("the upload has {length} bytes; bytes for offset {offset} do not follow them")]
    Offset {
        /// How many bytes are here.
        length: u64,
        /// Where the new ones start.
        offset: u64,
    },
    /// Another request is writing to it.
    #[error("another request is writing to the upload {0}")]
    Busy(String),
    /// The bytes stopped coming; what came is kept.
    #[error("the upload broke off")]
    Interrupted(#[source] Box<dyn Error + Send + Sync>),
    /// The bytes are not those that the digest names. The upload is gone.
    #[error("the upload's digest is {actual}, not {expected}")]
    Digest {
        /// The digest that was given.
        expected: Digest,
        /// The digest of what came.
        actual: Digest,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The uploads of a store. They survive the process: any other goes on with them by their ID.
#[derive(Clone)]
pub struct Uploads {}

#[expect(unused_variables, reason = "signatures first")]
impl Uploads {
    /// Starts one, and says its ID: 32 hex digits.
    pub fn begin(&self) -> Result<String, UploadError> {
        todo!()
    }
    /// How many bytes it has.
    pub fn len(&self, id: &str) -> Result<u64, UploadError> {
        todo!()
    }
    /// Appends bytes that start at `offset` (the present length if `None`), and says the new length.
    /// Bytes that came before an error are kept.
    pub async fn append<S, E>(
        &self,
        id: &str,
        offset: Option<u64>,
        bytes: S,
    ) -> Result<u64, UploadError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
        E: Into<Box<dyn Error + Send + Sync>> + Send,
    {
        todo!()
    }
    /// Ends one: verified, it is a blob, held by `lease`. Returns the blob's size.
    pub async fn finish(
        &self,
        id: &str,
        digest: &Digest,
        lease: &Lease,
    ) -> Result<u64, UploadError> {
        todo!()
    }
    /// Gives one up.
    pub fn cancel(&self, id: &str) -> Result<(), UploadError> {
        todo!()
    }
}
