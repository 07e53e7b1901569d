//! Manifests that arrive: last, in one transaction with all that is computed from them.

use std::sync::Arc;

use wharf_core::content::read_document;
use wharf_core::manifest::Kind;
use wharf_core::{ContentError, Descriptor, Digest, ImageConfig, Manifest, Source};

use super::DiskSink;
use crate::catalog::{Durability, ManifestArrival};
use crate::ingest::DigestLock;
use crate::ingest::partial::Partial;
use crate::ingest::restore::Trust;
use crate::rows::ManifestKind;
use crate::{Result, StoreError, fail};

impl DiskSink {
    pub(super) async fn has_manifest(&self, what: &Descriptor) -> Result<bool, ContentError> {
        let (digest, size) = (what.digest.clone(), what.size);
        self.blocking(move |this| {
            let store = &this.store;
            let file_here = store.blobs.size(&digest)? == Some(size);
            if !file_here || !store.catalog.read(|rows| rows.is_whole(&digest))? {
                return Ok(false);
            }
            // An image that was stored unread is here for whoever does not read it either.
            let reads = this.options.inspector.is_some();
            if reads && store.catalog.read(|rows| rows.has_unread_layers(&digest))? {
                return Ok(false);
            }
            let (held, _) = store
                .catalog
                .write(&store.leases, Durability::Process, |rows| {
                    let here = rows.is_whole(&digest)?;
                    if here {
                        rows.hold(this.lease.token(), &digest)?;
                    }
                    Ok::<_, StoreError>(here)
                })?;
            Ok(held)
        })
        .await
    }

    pub(super) async fn put_manifest(
        &self,
        what: &Descriptor,
        source: &dyn Source,
    ) -> Result<(), ContentError> {
        let place = source.place();
        let raw = read_document(source, what).await?;
        let parsed = Manifest::parse(&what.media_type, raw);
        let manifest = parsed.map_err(|source| ContentError::Document {
            what: what.digest.clone(),
            place: place.clone(),
            source: source.into(),
        })?;
        let lock = Arc::new(self.store.ingest.lock(&what.digest, || ()).await?);
        self.blocking(move |this| this.put_manifest_now(&manifest, &place, &lock))
            .await
    }

    fn put_manifest_now(
        &self,
        manifest: &Manifest,
        place: &str,
        lock: &Arc<DigestLock>,
    ) -> Result<()> {
        let (store, digest) = (&self.store, &manifest.descriptor.digest);
        let config = match &manifest.kind {
            Kind::Image(parts) => self.config(digest, &parts.config, parts.layers.len(), place)?,
            _ => None,
        };
        let kind = match (&manifest.kind, &config) {
            (Kind::Index(_), _) => ManifestKind::Index,
            (_, Some(_)) => ManifestKind::Image,
            _ => ManifestKind::Artifact,
        };
        let arrival = ManifestArrival {
            manifest,
            config: config.as_ref(),
            place,
            incomplete: false,
        };
        let row = store.catalog.read(|rows| {
            let row = rows.manifest(digest)?.filter(|row| row.kind == kind);
            Ok::<_, StoreError>(row.is_some() && rows.is_whole(digest)?)
        })?;
        let file_here = store.blobs.size(digest)? == Some(manifest.descriptor.size);
        if !file_here || !row {
            self.write_document(manifest, lock)?;
        }
        let durability = if row {
            Durability::Process
        } else {
            Durability::Full
        };
        store.catalog.write(&store.leases, durability, |rows| {
            if !row || !rows.is_whole(digest)? {
                rows.arrive_manifest(&arrival)?;
            }
            rows.hold(self.lease.token(), digest)
        })?;
        fail::point("manifest-committed");
        Ok(())
    }

    /// Writes a document's file. The caller holds its lock.
    fn write_document(&self, manifest: &Manifest, lock: &Arc<DigestLock>) -> Result<()> {
        let (store, what) = (&self.store, &manifest.descriptor);
        store.ingest.discard(&what.digest)?;
        let (digest, size) = (&what.digest, what.size);
        let lock = Arc::clone(lock);
        let partial = Partial::open(&store.ingest, lock, digest, size, Trust::Durable)?;
        partial.write_document(&manifest.raw)?;
        let (file, path) = partial.file();
        store.blobs.publish(file, path, &what.digest)?;
        store.ingest.discard(&what.digest).map(drop)
    }

    /// Reads an image's config; `None` if it's none and that's to be borne.
    fn config(
        &self,
        parent: &Digest,
        what: &Descriptor,
        layers: usize,
        place: &str,
    ) -> Result<Option<ImageConfig>> {
        let found = self.store.open_blob(&what.digest)?;
        let missing = || StoreError::MissingChild {
            parent: parent.clone(),
            child: what.digest.clone(),
        };
        let blob = found.ok_or_else(missing)?;
        let read = self
            .store
            .read_document(&what.digest, &blob)
            .and_then(|raw| {
                let config = ImageConfig::parse(raw)
                    .and_then(|config| config.check_history().map(|()| config));
                config.map_err(|source| {
                    StoreError::Content(ContentError::Document {
                        what: what.digest.clone(),
                        place: place.to_owned(),
                        source: source.into(),
                    })
                })
            });
        if !self.options.lenient {
            return read.map(Some);
        }
        Ok(read
            .ok()
            .filter(|config| config.fields.rootfs.diff_ids.len() == layers))
    }
}
