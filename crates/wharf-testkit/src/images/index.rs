//! Indexes: several platforms under one name, and attestations beside them.

use bytes::Bytes;
use serde_json::json;
use wharf_core::{Descriptor, Platform};

use super::image::{BuiltImage, Flavor, to_bytes};

/// An index in the making.
#[derive(Clone)]
pub struct Index {
    flavor: Flavor,
    entries: Vec<Descriptor>,
    images: Vec<BuiltImage>,
    indexes: Vec<BuiltIndex>,
}

/// An index with everything that it lists and that is here.
#[derive(Clone, Debug)]
pub struct BuiltIndex {
    /// The index's descriptor.
    pub index: Descriptor,
    /// The index's bytes.
    pub raw: Bytes,
    /// The images that it lists.
    pub images: Vec<BuiltImage>,
    /// The indexes that it lists.
    pub indexes: Vec<Self>,
}

impl Index {
    /// Starts with no entries and OCI's media types.
    pub const fn builder() -> Self {
        Self {
            flavor: Flavor::Oci,
            entries: Vec::new(),
            images: Vec::new(),
            indexes: Vec::new(),
        }
    }

    /// Uses Docker's or OCI's media types.
    #[must_use]
    pub const fn flavor(mut self, flavor: Flavor) -> Self {
        self.flavor = flavor;
        self
    }

    /// Lists an image, with its platform.
    #[must_use]
    pub fn image(mut self, image: BuiltImage) -> Self {
        let entry = Descriptor {
            platform: image.platform.clone(),
            ..image.manifest.clone()
        };
        self.images.push(image);
        self.entry(entry)
    }

    /// Lists an attestation of an image, as BuildKit does: for no platform.
    #[must_use]
    pub fn attestation(mut self, of: &BuiltImage, attestation: BuiltImage) -> Self {
        let mut entry = attestation.manifest.clone();
        entry.platform = Some(Platform::new("unknown", "unknown", ""));
        let digest = of.manifest.digest.to_string();
        entry
            .annotations
            .insert("vnd.docker.reference.digest".into(), digest);
        entry.annotations.insert(
            "vnd.docker.reference.type".into(),
            "attestation-manifest".into(),
        );
        self.images.push(attestation);
        self.entry(entry)
    }

    /// Lists another index.
    #[must_use]
    pub fn index(mut self, index: BuiltIndex) -> Self {
        let entry = index.index.clone();
        self.indexes.push(index);
        self.entry(entry)
    }

    /// Lists anything, here or not.
    #[must_use]
    pub fn entry(mut self, entry: Descriptor) -> Self {
        self.entries.push(entry);
        self
    }

    /// Computes everything.
    pub fn build(self) -> BuiltIndex {
        let raw = to_bytes(&json!({
            "schemaVersion": 2,
            "mediaType": self.flavor.index(),
            "manifests": self.entries,
        }));
        BuiltIndex {
            index: Descriptor::of(self.flavor.index(), &raw),
            raw,
            images: self.images,
            indexes: self.indexes,
        }
    }
}
