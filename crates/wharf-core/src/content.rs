//! Where content comes from and goes to.
//!
//! A write's life: [`crate::copy::copy`] asks the sink what it lacks, children before parents, and hands it the
//! source. The sink opens the source, because only the sink knows which bytes it holds already from
//! an attempt that broke off, and how many connections it wants; it verifies, makes the content
//! durable, and only then answers `Ok`. Retrying a broken connection is the source's business.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use crate::layer::LayerError;
use crate::limits::DOCUMENT_RESERVE;
pub use crate::limits::{DOCUMENT_MAX, LAYER_MAX};
use crate::{Descriptor, Digest, Watch};

/// Bytes of one blob.
pub struct Reader {
    /// Which bytes these are. It covers what was asked for, and is more where the place cannot
    /// send a part: then it starts at 0 and ends with the blob.
    pub range: Range<u64>,
    /// The bytes, in order.
    pub bytes: BoxStream<'static, Result<Bytes, ContentError>>,
}

/// A place that content comes from.
#[async_trait]
pub trait Source: Send + Sync {
    /// The place's name, for errors.
    fn place(&self) -> String;

    /// Opens the bytes `range` of `what`.
    ///
    /// The bytes are not verified: whoever stores them does that. A connection that breaks is
    /// opened again, from where it broke, within the source's limits; an error is final.
    async fn open(&self, what: &Descriptor, range: Range<u64>) -> Result<Reader, ContentError>;
}

/// A place that content goes to.
#[async_trait]
pub trait Sink: Send + Sync {
    /// The place's name, for errors.
    fn place(&self) -> String;

    /// True only if `what` *and everything it refers to* is durably here.
    async fn contains(&self, what: &Descriptor) -> Result<bool, ContentError>;

    /// Stores `what` from `source` if its bytes match. Idempotent. Children come before parents.
    ///
    /// Returns once the content is durable. Reports bytes to `watch` as they come.
    async fn put(
        &self,
        what: &Descriptor,
        source: Arc<dyn Source>,
        watch: Arc<dyn Watch>,
    ) -> Result<(), ContentError>;
}

/// Why content could not be read or stored.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The place does not have it.
    #[error("{what} is not in {place}")]
    Missing {
        /// What was asked for.
        what: Digest,
        /// Which place was asked.
        place: String,
    },
    /// The bytes are not those that the digest names.
    #[error("{place} sent other bytes than {expected}: theirs are {actual}; nothing was kept")]
    Mismatch {
        /// The digest that was asked for.
        expected: Digest,
        /// The digest of what came.
        actual: Digest,
        /// Who sent them.
        place: String,
    },
    /// The content is longer or shorter than its descriptor says.
    #[error("{what} from {place} has {actual} bytes where its descriptor says {expected}")]
    Size {
        /// What was asked for.
        what: Digest,
        /// The descriptor's size.
        expected: u64,
        /// How many bytes came.
        actual: u64,
        /// Who sent them.
        place: String,
    },
    /// A manifest or config is larger than wharf reads.
    #[error("{what} in {place} has {size} bytes; a manifest or config may have {DOCUMENT_MAX}")]
    TooLarge {
        /// What was asked for.
        what: String,
        /// Its size.
        size: u64,
        /// Where it is.
        place: String,
    },
    /// A layer's content is not what the image's config says.
    #[error(
        "layer {layer} does not hold what the image's config says: expected diff ID {expected}, \
         found {actual}"
    )]
    DiffId {
        /// The layer's blob.
        layer: Digest,
        /// What the config lists.
        expected: Digest,
        /// What was computed.
        actual: Digest,
    },
    /// A layer's tar or compression is damaged.
    #[error("layer {layer}")]
    Layer {
        /// The layer's blob.
        layer: Digest,
        /// What is wrong with it.
        source: LayerError,
    },
    /// A manifest or config does not say what it must.
    #[error("{what} in {place}")]
    Document {
        /// What was read.
        what: Digest,
        /// Where it came from.
        place: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The place itself failed: its own error says how.
    #[error(transparent)]
    Place(Box<dyn std::error::Error + Send + Sync>),
}

impl ContentError {
    /// Wraps a place's own error.
    pub fn place(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Place(error.into())
    }
}

/// Reads a manifest or config whole, and verifies it.
pub async fn read_document(source: &dyn Source, what: &Descriptor) -> Result<Bytes, ContentError> {
    let place = || source.place();
    if what.size > DOCUMENT_MAX {
        let what_text = what.digest.to_string();
        return Err(ContentError::TooLarge {
            what: what_text,
            size: what.size,
            place: place(),
        });
    }
    let mut reader = source.open(what, 0..what.size).await?;
    let reserve = what.size.min(DOCUMENT_RESERVE);
    let mut all = BytesMut::with_capacity(usize::try_from(reserve).unwrap_or(0));
    while let Some(chunk) = reader.bytes.next().await {
        all.extend_from_slice(&chunk?);
        if all.len() as u64 > what.size {
            break;
        }
    }
    let (expected, actual) = (what.size, all.len() as u64);
    if expected != actual {
        let what = what.digest.clone();
        return Err(ContentError::Size {
            what,
            expected,
            actual,
            place: place(),
        });
    }
    let all = all.freeze();
    let actual = digest_like(&what.digest, &all);
    if actual != what.digest {
        let expected = what.digest.clone();
        return Err(ContentError::Mismatch {
            expected,
            actual,
            place: place(),
        });
    }
    Ok(all)
}

/// The digest of `bytes` by the algorithm of `like`.
pub fn digest_like(like: &Digest, bytes: &[u8]) -> Digest {
    let mut hasher = crate::Hasher::new(like.algorithm());
    hasher.update(bytes);
    hasher.finish()
}

/// One document that is in memory already, as a source: a manifest that was resolved by its tag.
pub struct Document {
    /// The document's bytes.
    pub bytes: Bytes,
    /// Where they came from.
    pub place: String,
}

#[async_trait]
impl Source for Document {
    fn place(&self) -> String {
        self.place.clone()
    }

    async fn open(&self, _: &Descriptor, _: Range<u64>) -> Result<Reader, ContentError> {
        let bytes = self.bytes.clone();
        Ok(Reader {
            range: 0..bytes.len() as u64,
            bytes: futures_util::stream::once(async move { Ok(bytes) }).boxed(),
        })
    }
}
