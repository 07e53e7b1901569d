//! Content that is pushed to the registry server, piece by piece.
//!
//! `ingest/upload-<id>`: the bytes so far. Its length is all there is to know, so an upload outlives
//! the process, and another one goes on with it. It's locked while a request writes to it.

use std::error::Error;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use wharf_core::Digest;

use crate::catalog::Durability;
use crate::durable::remove;
use crate::ingest::fetch::joined;
use crate::ingest::follow::Follow;
use crate::store::Inner;
use crate::{Lease, StoreError, fail, files};

/// The beginning of an upload's file name.
pub(crate) const PREFIX: &str = "upload-";
/// How long an upload may rest before a collection removes it.
pub(crate) const RESTS_MAX: Duration = Duration::from_hours(24);
/// How much is gathered before it's written, in bytes.
const BATCH: usize = 256 * 1024;

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
pub struct Uploads {
    store: Arc<Inner>,
}

/// An upload that this request alone works on.
struct Open {
    file: File,
    path: PathBuf,
    length: u64,
}

impl Uploads {
    pub(crate) fn new(store: Arc<Inner>) -> Self {
        Self { store }
    }

    /// Starts one, and says its ID: 32 hex digits.
    pub fn begin(&self) -> Result<String, UploadError> {
        self.store.writable()?;
        let id = crate::random_id()?;
        let path = self.path(&id)?;
        files::create_new(&path)
            .map_err(|source| StoreError::io("start the upload", &path, source))?;
        Ok(id)
    }

    /// How many bytes it has.
    pub fn len(&self, id: &str) -> Result<u64, UploadError> {
        let path = self.path(id)?;
        files::length(&path).map_err(|source| lost(id, path, source))
    }

    /// Appends bytes that start at `offset` (the present length if `None`), and says the new length.
    /// Bytes that came before an error are kept.
    pub async fn append<S, E>(
        &self,
        id: &str,
        offset: Option<u64>,
        mut bytes: S,
    ) -> Result<u64, UploadError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
        E: Into<Box<dyn Error + Send + Sync>> + Send,
    {
        let open = self.open(id)?;
        let mut length = open.length;
        if let Some(offset) = offset.filter(|offset| *offset != length) {
            return Err(UploadError::Offset { length, offset });
        }
        let open = Arc::new(open);
        loop {
            let (mut batch, mut len, mut ended) = (Vec::new(), 0, None);
            while len < BATCH && ended.is_none() {
                match bytes.next().await {
                    Some(Ok(chunk)) => {
                        len += chunk.len();
                        batch.push(chunk);
                    }
                    Some(Err(error)) => ended = Some(Err(UploadError::Interrupted(error.into()))),
                    None => ended = Some(Ok(())),
                }
            }
            let writer = Arc::clone(&open);
            let write = wharf_os::blocking::start(move || writer.write(length, &batch));
            joined(write).await.map_err(StoreError::from)??;
            length += len as u64;
            if let Some(ended) = ended {
                return ended.map(|()| length);
            }
        }
    }

    /// Ends one: verified, it is a blob, held by `lease`. Returns the blob's size, in bytes.
    pub async fn finish(
        &self,
        id: &str,
        digest: &Digest,
        lease: &Lease,
    ) -> Result<u64, UploadError> {
        let open = Arc::new(self.open(id)?);
        let (reader, algorithm) = (Arc::clone(&open), digest.algorithm());
        let read = wharf_os::blocking::start(move || {
            let (file, path, size) = (&reader.file, reader.path.as_path(), reader.length);
            Follow {
                file,
                path,
                algorithm,
                size,
            }
            .all(None)
        });
        let actual = joined(read).await.map_err(StoreError::from)??.digest;
        if actual != *digest {
            remove(&open.path)?;
            return Err(UploadError::Digest {
                expected: digest.clone(),
                actual,
            });
        }
        let lock = self.store.ingest.lock(digest, || ()).await?;
        let (store, token) = (Arc::clone(&self.store), lease.token().to_owned());
        let (digest, size) = (digest.clone(), open.length);
        let publish = wharf_os::blocking::start(move || {
            let _lock = lock;
            store.blobs.publish(&open.file, &open.path, &digest)?;
            store
                .catalog
                .write(&store.leases, Durability::Full, |rows| {
                    rows.arrive(&digest, size, None)?;
                    rows.hold(&token, &digest)
                })?;
            fail::point("upload-committed");
            Ok::<_, StoreError>(())
        });
        joined(publish).await.map_err(StoreError::from)??;
        Ok(size)
    }

    /// Gives one up.
    pub fn cancel(&self, id: &str) -> Result<(), UploadError> {
        let open = self.open(id)?;
        remove(&open.path)?;
        Ok(())
    }

    /// An ID comes from a stranger: what isn't one of ours never becomes a path.
    fn path(&self, id: &str) -> Result<PathBuf, UploadError> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if id.len() != 32 || !id.bytes().all(hex) {
            return Err(UploadError::Unknown(id.to_owned()));
        }
        Ok(self.store.ingest.folder.join(format!("{PREFIX}{id}")))
    }

    fn open(&self, id: &str) -> Result<Open, UploadError> {
        let path = self.path(id)?;
        let file = files::open_writable(&path).map_err(|source| lost(id, path.clone(), source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(UploadError::Busy(id.to_owned())),
            Err(TryLockError::Error(source)) => {
                return Err(StoreError::io("lock", &path, source).into());
            }
        }
        let about = file
            .metadata()
            .map_err(|source| StoreError::io("look at", &path, source))?;
        // It may have been ended or given up between the open and the lock.
        if std::os::unix::fs::MetadataExt::nlink(&about) == 0 || !path.exists() {
            return Err(UploadError::Unknown(id.to_owned()));
        }
        Ok(Open {
            file,
            path,
            length: about.len(),
        })
    }
}

impl Open {
    fn write(&self, offset: u64, bytes: &[Bytes]) -> Result<(), StoreError> {
        let mut at = offset;
        for chunk in bytes {
            self.file
                .write_all_at(chunk, at)
                .map_err(|source| StoreError::io("write", &self.path, source))?;
            at += chunk.len() as u64;
        }
        Ok(())
    }
}

fn lost(id: &str, path: PathBuf, source: io::Error) -> UploadError {
    match source.kind() {
        io::ErrorKind::NotFound => UploadError::Unknown(id.to_owned()),
        _ => StoreError::io("open the upload", &path, source).into(),
    }
}
