//! Tests from the outside in, and what they share: a store in a temporary folder, images made on the
//! spot, and a place that serves them with faults.

mod checking;
mod downloads;
mod folder;
mod holding;
mod kill;
mod naming;
mod noting;
mod packing;
mod place;
pub(crate) mod power;
mod power_loss;
mod processes;
mod pruning;
mod reading;
mod recognising;
mod salvaging;
mod special;
mod uploading;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use wharf_core::copy::{Options, copy};
use wharf_core::event::Unwatched;
use wharf_core::layer::{Inspect, Inspector, LayerError, LayerFacts, Notes};
use wharf_core::media_type::{OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST};
use wharf_core::{ContentError, Descriptor, Digest, Hasher, Platform, Reference, Sink as _};

use self::place::Place;
use crate::{Lease, SinkOptions, Store};

/// A store in a folder of its own.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        Self { store, folder }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    pub(crate) fn lease(&self) -> Arc<Lease> {
        Arc::new(self.store.lease().unwrap())
    }

    pub(crate) fn sink(&self, options: SinkOptions) -> crate::DiskSink {
        self.store.sink(self.lease(), options)
    }

    pub(crate) async fn put(
        &self,
        what: &Descriptor,
        place: &Arc<Place>,
    ) -> Result<(), ContentError> {
        self.sink(inspected())
            .put(what, place.clone(), Arc::new(Unwatched))
            .await
    }

    /// Copies an image here, and names it.
    pub(crate) async fn pull(&self, image: &Image, name: &str) {
        let place = Place::of(&image.blobs);
        pull(&self.store, &place, &image.manifest, image.id(), name).await;
    }

    /// Every file of the store, except the database's and the notes.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        fn walk(folder: PathBuf, all: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(path, all)
                } else {
                    all.push(path)
                }
            }
        }
        let mut all = Vec::new();
        walk(self.root(), &mut all);
        let notes = self.root().join("notes");
        all.retain(|path| {
            !path.starts_with(&notes)
                && !path
                    .file_name()
                    .unwrap()
                    .to_string_lossy()
                    .starts_with("wharf.db")
        });
        all.sort();
        all
    }

    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.root()
            .join("blobs")
            .join("sha256")
            .join(&hex[..2])
            .join(hex)
    }

    /// Changes a byte of a blob, as a bad disk would.
    pub(crate) fn damage(&self, digest: &Digest) {
        let path = self.blob_path(digest);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[0] ^= 1;
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
}

pub(crate) async fn pull(
    store: &Store,
    place: &Arc<Place>,
    root: &Descriptor,
    image: &Digest,
    name: &str,
) {
    let lease = Arc::new(store.lease().unwrap());
    // Held until the name holds it.
    let sink = Arc::new(store.sink(Arc::clone(&lease), inspected()));
    let options = Options::everything(3);
    copy(place.clone(), sink, root, &options, Arc::new(Unwatched))
        .await
        .unwrap();
    let reference = reference(name);
    store
        .write(|rows| {
            rows.set_name(&reference, &root.digest, Some(image))?;
            rows.set_repo_digest(&reference.with_digest(root.digest.clone()), image)
        })
        .unwrap();
    drop(lease);
}

pub(crate) fn inspected() -> SinkOptions {
    SinkOptions {
        inspector: Some(Arc::new(Toy)),
        connections: 3,
        further_connections: 2,
        ..SinkOptions::default()
    }
}

pub(crate) fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

/// Bytes that don't compress, always the same for a seed.
pub(crate) fn noise(seed: u64, len: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

/// An image made on the spot.
pub(crate) struct Image {
    pub(crate) manifest: Descriptor,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    pub(crate) blobs: Vec<Bytes>,
}

impl Image {
    pub(crate) fn new(layers: &[Bytes]) -> Self {
        Self::built(layers, "amd64", &|bytes| toy_diff_id(bytes))
    }

    pub(crate) fn small(seed: u64) -> Self {
        Self::new(&[noise(1, 500), noise(seed, 700)])
    }

    pub(crate) fn for_platform(seed: u64, architecture: &str) -> Self {
        Self::built(&[noise(seed, 600)], architecture, &|bytes| {
            toy_diff_id(bytes)
        })
    }

    pub(crate) fn built(
        layers: &[Bytes],
        architecture: &str,
        diff_id: &dyn Fn(&Bytes) -> Digest,
    ) -> Self {
        let diff_ids: Vec<_> = layers.iter().map(diff_id).collect();
        let config = serde_json::json!({
            "created": "2024-05-06T07:08:09Z", "architecture": architecture, "os": "linux",
            "config": { "Labels": { "role": "test" } },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = Bytes::from(config.to_string());
        let described: Vec<_> = layers
            .iter()
            .map(|layer| Descriptor::of(OCI_LAYER, layer))
            .collect();
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": Descriptor::of(OCI_CONFIG, &config), "layers": described,
        });
        let manifest = Bytes::from(manifest.to_string());
        let mut blobs = vec![manifest.clone(), config.clone()];
        blobs.extend(layers.iter().cloned());
        Self {
            manifest: Descriptor::of(OCI_MANIFEST, &manifest),
            config: Descriptor::of(OCI_CONFIG, &config),
            layers: described,
            blobs,
        }
    }

    pub(crate) fn id(&self) -> &Digest {
        &self.config.digest
    }
}

/// An index of these images.
pub(crate) fn index(images: &[&Image]) -> (Descriptor, Bytes) {
    let manifests: Vec<_> = images
        .iter()
        .zip(["amd64", "arm64", "s390x"])
        .map(|(image, architecture)| Descriptor {
            platform: Some(Platform::new("linux", architecture, "")),
            ..image.manifest.clone()
        })
        .collect();
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests,
    });
    let bytes = Bytes::from(index.to_string());
    (Descriptor::of(OCI_INDEX, &bytes), bytes)
}

/// Reads layers that aren't tars, and notes how many bytes they have: the diff ID is the digest of the bytes after a prefix, the size twice
/// their number. A layer that begins with `broken` cannot be read.
struct Toy;

struct ToyLayer {
    hasher: Hasher,
    size: u64,
    notes: Option<Notes>,
}

const TOY_PREFIX: &[u8] = b"unpacked";

pub(crate) fn toy_diff_id(bytes: &[u8]) -> Digest {
    Digest::of(&[TOY_PREFIX, bytes].concat())
}

impl Inspector for Toy {
    fn reads(&self, layer: &Descriptor) -> bool {
        layer.media_type == OCI_LAYER
    }

    fn begin(&self, layer: &Descriptor, notes: Option<Notes>) -> Option<Box<dyn Inspect>> {
        let mut hasher = Hasher::new(wharf_core::digest::Algorithm::Sha256);
        hasher.update(TOY_PREFIX);
        self.reads(layer).then(|| {
            Box::new(ToyLayer {
                hasher,
                size: 0,
                notes,
            }) as Box<_>
        })
    }
}

impl Inspect for ToyLayer {
    fn write(&mut self, bytes: &[u8]) -> Result<(), LayerError> {
        if self.size == 0 && bytes.starts_with(b"broken") {
            return Err(LayerError {
                reason: "it is broken".into(),
            });
        }
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<LayerFacts, LayerError> {
        if let Some(notes) = &mut self.notes {
            write!(notes, "{} bytes", self.size).unwrap();
        }
        Ok(LayerFacts {
            diff_id: self.hasher.finish(),
            size: self.size * 2,
        })
    }
}
