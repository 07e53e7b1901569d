//! Packing what was made here out of plain archives (`wharf import`, `wharf load` of a
//! docker-archive), before it is sent for the first time.
//!
//! A packed layer is read back and compared with its diff ID, like one that was pulled, and kept
//! beside the plain one: the next push finds it. It goes when the image goes.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Seek as _};
use std::sync::Arc;

use wharf_archive::LayerInspector;
use wharf_archive::pack::{Packing, pack};
use wharf_core::content::Document;
use wharf_core::event::Unwatched;
use wharf_core::manifest::Kind;
use wharf_core::media_type::{
    DOCKER_LAYER, DOCKER_LAYER_GZIP, OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, OCI_MANIFEST,
};
use wharf_core::{Descriptor, Digest, Manifest, Sink as _};
use wharf_store::{FileSource, SinkOptions};

use super::{Pusher, damaged};
use crate::local::translate::{self, Origin};
use crate::{Compression, EngineError, ErrorKind, Result};

/// How gzip and zstd begin.
const GZIP_MAGIC: [u8; 4] = [0x1f, 0x8b, 8, 0];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

impl Pusher<'_> {
    /// The same image with its plain layers packed; `None` if it has none.
    pub(super) async fn pack(&self, image: &Manifest) -> Result<Option<Manifest>> {
        let Kind::Image(parts) = &image.kind else {
            return Ok(None);
        };
        if !parts.layers.iter().any(is_plain) {
            return Ok(None);
        }
        let mut layers = Vec::new();
        for layer in &parts.layers {
            layers.push(if is_plain(layer) {
                self.packed_layer(layer).await?
            } else {
                layer.clone()
            });
        }
        let docker = layers
            .iter()
            .all(|layer| layer.media_type == DOCKER_LAYER_GZIP);
        let media_type = if docker {
            image.descriptor.media_type.as_str()
        } else {
            OCI_MANIFEST
        };
        // What is made here out of archives has no annotations.
        let none = BTreeMap::new();
        let made = Manifest::of_image(media_type, parts.config.clone(), layers, &none);
        let made = made.map_err(|error| {
            EngineError::new(ErrorKind::Internal, "the manifest cannot be written").because(error)
        })?;
        let document = Document {
            bytes: made.raw.clone(),
            place: "this push".to_owned(),
        };
        self.lease.hold(&made.descriptor.digest)?;
        self.store
            .sink(Arc::clone(&self.lease), SinkOptions::default())
            .put(&made.descriptor, Arc::new(document), Arc::new(Unwatched))
            .await
            .map_err(translate::content(Origin::Store))?;
        Ok(Some(made))
    }

    /// The packed form of a plain layer: one that is here, or a new one.
    async fn packed_layer(&self, plain: &Descriptor) -> Result<Descriptor> {
        let media_type = match (self.options.compression, plain.media_type.as_str()) {
            (Compression::Zstd, _) => OCI_LAYER_ZSTD,
            (Compression::Gzip, DOCKER_LAYER) => DOCKER_LAYER_GZIP,
            (Compression::Gzip, _) => OCI_LAYER_GZIP,
        };
        if let Some((digest, size)) = self.packed_before(&plain.digest)? {
            self.lease.hold(&digest)?;
            return Ok(Descriptor::new(media_type, digest, size));
        }
        let blob = self.store.blob(&plain.digest)?;
        let mut blob = blob.ok_or_else(|| damaged(&plain.digest))?.file;
        let mut spool = self.store.spool()?;
        let how = match self.options.compression {
            Compression::Gzip => Packing::Gzip,
            Compression::Zstd => Packing::Zstd,
        };
        let packing = wharf_os::blocking::start(move || {
            let packed = pack(&mut blob, &mut spool, how)?;
            spool.rewind()?;
            Ok::<_, io::Error>((packed, spool))
        });
        let packed = packing
            .await
            .map_err(|error| cannot_pack(&plain.digest, error))?;
        let (packed, spool) = packed.map_err(|error| cannot_pack(&plain.digest, error))?;
        let what = Descriptor::new(media_type, packed.digest, packed.size);
        let source = FileSource::new(spool, "the packed layer")
            .map_err(|error| cannot_pack(&plain.digest, error))?;
        let options = SinkOptions {
            inspector: Some(Arc::new(LayerInspector::default())),
            ..SinkOptions::default()
        };
        self.lease.hold(&what.digest)?;
        self.store
            .sink(Arc::clone(&self.lease), options)
            .put(&what, Arc::new(source), Arc::new(Unwatched))
            .await
            .map_err(translate::content(Origin::Store))?;
        Ok(what)
    }

    fn packed_before(&self, diff_id: &Digest) -> Result<Option<(Digest, u64)>> {
        let magic = match self.options.compression {
            Compression::Gzip => GZIP_MAGIC,
            Compression::Zstd => ZSTD_MAGIC,
        };
        let all = self
            .store
            .read(|rows| Ok::<_, EngineError>(rows.blobs_of_layer(diff_id)?))?;
        for (digest, size) in all {
            let Some(mut blob) = self.store.blob(&digest)? else {
                continue;
            };
            let mut begins = [0; 4];
            if blob.file.read_exact(&mut begins).is_ok() && begins[..3] == magic[..3] {
                return Ok(Some((digest, size)));
            }
        }
        Ok(None)
    }
}

fn is_plain(layer: &Descriptor) -> bool {
    matches!(layer.media_type.as_str(), OCI_LAYER | DOCKER_LAYER)
}

fn cannot_pack(
    layer: &Digest,
    error: impl std::error::Error + Send + Sync + 'static,
) -> EngineError {
    EngineError::new(ErrorKind::Internal, format!("cannot pack layer {layer}")).because(error)
}
