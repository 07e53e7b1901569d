//! Opening the folder, reading and writing rows.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use wharf_core::Digest;
use wharf_core::layer::LayerFacts;

use crate::collect::Collected;
use crate::rows::Freed;
use crate::sink::{DiskSink, SinkOptions};
use crate::source::{BlobFile, DiskSource};
use crate::uploads::Uploads;
use crate::{Lease, Reading, Result, StoreError, Writing};

/// The store in one folder. Cloning is cheap; all clones are the same store.
#[derive(Clone)]
pub struct Store {}

#[expect(unused_variables, reason = "signatures first")]
impl Store {
    /// Opens the store in `root`, and makes it if it isn't there.
    pub fn open(root: &Path) -> Result<Self> {
        todo!()
    }
    /// The store's folder, for messages.
    pub fn root(&self) -> &Path {
        todo!()
    }
    /// Starts an operation: what it puts or finds here isn't collected while the lease lives.
    pub fn lease(&self) -> Result<Lease> {
        todo!()
    }
    /// A place to copy to.
    pub fn sink(&self, lease: Arc<Lease>, options: SinkOptions) -> DiskSink {
        todo!()
    }
    /// A place to copy from.
    pub fn source(&self) -> DiskSource {
        todo!()
    }
    /// Reads rows, all of one moment.
    pub fn read<T, E: From<StoreError>>(
        &self,
        read: impl FnOnce(&Reading<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        todo!()
    }
    /// Changes rows, all or nothing; durable on return. Blobs that nothing refers to any more are
    /// gone on return too, unless a lease holds them.
    pub fn write<T, E: From<StoreError>>(
        &self,
        write: impl FnOnce(&mut Writing<'_>) -> Result<T, E>,
    ) -> Result<(T, Freed), E> {
        todo!()
    }
    /// Opens a blob.
    pub fn blob(&self, digest: &Digest) -> Result<Option<BlobFile>> {
        todo!()
    }
    /// Reads a manifest or a config whole, and verifies it.
    pub fn document(&self, digest: &Digest) -> Result<Option<Bytes>> {
        todo!()
    }
    /// Records what was learned of a layer that was stored unread, and computes the sizes of the
    /// images that have it again.
    pub fn set_layer_facts(&self, blob: &Digest, facts: &LayerFacts) -> Result<()> {
        todo!()
    }
    /// Frees what nothing refers to, in the whole store.
    pub fn collect(&self) -> Result<Collected> {
        todo!()
    }
    /// Content that arrives piece by piece, under an ID.
    pub fn uploads(&self) -> Uploads {
        todo!()
    }
}
