//! Images made on the spot: good ones and bad ones, the same bytes in every run.
//!
//! | module | what it holds |
//! |---|---|
//! | [`layer`] | [`Layer`]: a tar, packed |
//! | [`image`] | [`Image`]: config, layers, manifest; artifacts too |
//! | [`index`] | [`Index`]: several platforms under one name, attestations |
//! | [`samples`] | ready ones: small, many layers, wrong diff ID, too large, an index in itself |

pub mod image;
pub mod index;
pub mod layer;
pub mod samples;

use bytes::Bytes;
use wharf_core::Descriptor;

pub use image::{BuiltImage, Flavor, Image};
pub use index::{BuiltIndex, Index};
pub use layer::Layer;

/// Something that can be put into a registry under a name.
pub trait Content {
    /// The descriptor of what the name points to.
    fn root(&self) -> &Descriptor;
    /// All blobs that it needs.
    fn blobs(&self) -> Vec<(Descriptor, Bytes)>;
    /// All manifests that it is made of, children before parents, the root last.
    fn manifests(&self) -> Vec<(Descriptor, Bytes)>;
}

impl Content for BuiltImage {
    fn root(&self) -> &Descriptor {
        &self.manifest
    }

    fn blobs(&self) -> Vec<(Descriptor, Bytes)> {
        self.blobs.clone()
    }

    fn manifests(&self) -> Vec<(Descriptor, Bytes)> {
        vec![(self.manifest.clone(), self.raw.clone())]
    }
}

impl Content for BuiltIndex {
    fn root(&self) -> &Descriptor {
        &self.index
    }

    fn blobs(&self) -> Vec<(Descriptor, Bytes)> {
        let inner = self.indexes.iter().flat_map(Content::blobs);
        self.images
            .iter()
            .flat_map(|image| image.blobs.clone())
            .chain(inner)
            .collect()
    }

    fn manifests(&self) -> Vec<(Descriptor, Bytes)> {
        let images = self.images.iter().flat_map(Content::manifests);
        let inner = self.indexes.iter().flat_map(Content::manifests);
        images
            .chain(inner)
            .chain([(self.index.clone(), self.raw.clone())])
            .collect()
    }
}
