//! What a registry needs of the place that keeps its content.
//!
//! A place keeps blobs once, whatever the number of repositories that hold them, and links them to
//! each repository that they were pushed or mounted to. A question about a blob always names the
//! repository, and the answer for a blob that is only in another one is the same as for none.
//!
//! An upload's life: `begin`, `append` any number of times, `finish` or `cancel`. What `append` has
//! taken stays when the connection breaks, so that a client goes on from there.

use std::fmt;
use std::fs::File;
use std::io;
use std::str::FromStr;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use wharf_core::{Descriptor, Digest, Manifest, Reference};

/// The domain under which pushed images are named in a store. `.internal` is reserved for private
/// use, so it is never somebody's registry.
pub const DOMAIN: &str = "wharf.internal";

/// Bounds an upload's ID, in bytes. Ours have 32.
const UPLOAD_ID_MAX: usize = 64;

/// A repository's name, known to be valid: `team/app`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repository(Reference);

impl Repository {
    /// Its name within the registry: `team/app`.
    pub fn name(&self) -> &str {
        self.0.path()
    }

    /// Its name in a store: `wharf.internal/team/app`.
    pub const fn reference(&self) -> &Reference {
        &self.0
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a text is not a repository's name.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("invalid repository name")]
pub struct RepositoryError;

impl FromStr for Repository {
    type Err = RepositoryError;

    fn from_str(name: &str) -> Result<Self, RepositoryError> {
        let reference = Reference::of_repository(&format!("{DOMAIN}/{name}"));
        reference.map(Self).map_err(|_| RepositoryError)
    }
}

/// The name of an upload in progress. Whoever knows it may go on with the upload, so a backend
/// makes it of at least 128 random bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UploadId(String);

impl UploadId {
    /// Its text: letters, digits and dashes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for UploadId {
    type Err = BackendError;

    /// It may become a file's name: nothing but letters, digits and dashes gets through.
    fn from_str(text: &str) -> Result<Self, BackendError> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if text.is_empty() || text.len() > UPLOAD_ID_MAX || !text.bytes().all(word) {
            return Err(BackendError::UploadUnknown);
        }
        Ok(Self(text.to_owned()))
    }
}

/// What a manifest is asked for by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Its tag.
    Tag(String),
    /// Its digest.
    Digest(Digest),
}

/// A blob that can be read.
#[derive(Debug)]
pub struct Blob {
    /// Its length, in bytes.
    pub size: u64,
    /// Where its bytes are.
    pub content: Content,
}

/// Where a blob's bytes are.
#[derive(Debug)]
pub enum Content {
    /// In a file of its own.
    File(File),
    /// In memory.
    Memory(Bytes),
}

/// A manifest as it was pushed.
#[derive(Clone, Debug)]
pub struct StoredManifest {
    /// The type that it was pushed with.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: Bytes,
}

/// A manifest to be stored.
#[derive(Clone, Debug)]
pub struct NewManifest {
    /// What it is; its descriptor fits its bytes.
    pub manifest: Manifest,
    /// The tag that shall point to it.
    pub tag: Option<String>,
    /// What it refers to, and how it is listed among the subject's referrers.
    pub referrer: Option<(Digest, Descriptor)>,
}

/// The bytes of a request's body.
pub type BodyStream = BoxStream<'static, io::Result<Bytes>>;

/// A place that keeps a registry's content. Methods that are not `async` may block.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// The blob, if the repository holds it.
    fn blob(&self, repository: &Repository, digest: &Digest) -> Result<Option<Blob>, BackendError>;

    /// Takes a blob out of the repository. Was it there?
    fn delete_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, BackendError>;

    /// Gives the repository `to` a blob of `from`. False if `from` does not hold it.
    fn mount(
        &self,
        from: &Repository,
        to: &Repository,
        digest: &Digest,
    ) -> Result<bool, BackendError>;

    /// The manifest, if the repository holds it.
    fn manifest(
        &self,
        repository: &Repository,
        target: &Target,
    ) -> Result<Option<StoredManifest>, BackendError>;

    /// Takes a tag, or a manifest with all its tags, out of the repository. Was it there?
    fn delete_manifest(
        &self,
        repository: &Repository,
        target: &Target,
    ) -> Result<bool, BackendError>;

    /// At most `limit` of the repository's tags, in order, those behind `after`. `None` if there
    /// is no such repository.
    fn tags(
        &self,
        repository: &Repository,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<Vec<String>>, BackendError>;

    /// At most `limit` names of repositories, in order, those behind `after`.
    fn repositories(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, BackendError>;

    /// The manifests in the repository whose subject is `subject`, in the order of their digests.
    fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, BackendError>;

    /// Begins an upload.
    fn begin_upload(&self, repository: &Repository) -> Result<UploadId, BackendError>;

    /// How many bytes of an upload are here.
    fn upload_len(&self, repository: &Repository, id: &UploadId) -> Result<u64, BackendError>;

    /// Ends an upload without a blob.
    fn cancel_upload(&self, repository: &Repository, id: &UploadId) -> Result<(), BackendError>;

    /// Stores a manifest, durably, and points its tag to it.
    ///
    /// Fails with [`BackendError::Missing`] unless the repository holds all that it needs.
    async fn put_manifest(
        &self,
        repository: &Repository,
        new: &NewManifest,
    ) -> Result<(), BackendError>;

    /// Takes an upload's next bytes, which start at `offset`. Returns its length then.
    async fn append(
        &self,
        repository: &Repository,
        id: &UploadId,
        offset: u64,
        bytes: BodyStream,
    ) -> Result<u64, BackendError>;

    /// Makes an upload a blob of the repository, durably, if its bytes are those of `digest`. The
    /// upload is over then, whether they are or not.
    async fn finish_upload(
        &self,
        repository: &Repository,
        id: &UploadId,
        digest: &Digest,
    ) -> Result<(), BackendError>;
}

/// Why a backend did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// A manifest needs what the repository does not hold.
    #[error("the repository does not hold what the manifest refers to")]
    Missing(Vec<Digest>),
    /// A manifest contradicts itself or its config.
    #[error("{0}")]
    Invalid(String),
    /// The bytes are not those that the digest names.
    #[error("the uploaded bytes are {actual}, not {expected}")]
    Mismatch {
        /// The digest that the client gave.
        expected: Digest,
        /// The digest of the bytes.
        actual: Digest,
    },
    /// There is no such upload in this repository.
    #[error("the upload is not known here; begin it again")]
    UploadUnknown,
    /// The upload does not go on at the offset that the client gave.
    #[error("the upload goes on at byte {0}")]
    Offset(u64),
    /// Another request is writing to the upload.
    #[error("another request is writing to this upload; try again")]
    Busy,
    /// The client's bytes stopped coming. What came is kept.
    #[error("the request's body broke off")]
    Body(#[source] io::Error),
    /// The place itself failed.
    #[error(transparent)]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl BackendError {
    /// Wraps the place's own error.
    pub fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Failed(error.into())
    }
}
