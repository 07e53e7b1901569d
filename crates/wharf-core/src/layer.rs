//! What a layer's bytes say about it, learned while they pass.
//!
//! A store that receives a layer hands the bytes to an [`Inspect`], which inflates them on the way:
//! this crate has the contract, `wharf-archive` reads tar, gzip and zstd.

use serde::{Deserialize, Serialize};

use crate::{Descriptor, Digest};

/// What is known of a layer once all of it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerFacts {
    /// The digest of the layer's tar, unpacked: what an image's config lists.
    pub diff_id: Digest,
    /// The sum of the regular files' sizes, in bytes: what Docker's classic store shows as SIZE.
    pub size: u64,
}

/// Why a layer cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the layer cannot be read: {reason}")]
pub struct LayerError {
    /// What is wrong with it.
    pub reason: String,
}

/// Reads one layer's bytes, as they come from the registry, in order.
pub trait Inspect: Send {
    /// Takes the next bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<(), LayerError>;
    /// Says what was in them, once all have come.
    fn finish(self: Box<Self>) -> Result<LayerFacts, LayerError>;
}

/// Takes what an [`Inspect`] writes down of a layer: what is in it, and where. The store keeps it beside
/// the layer's blob, unsynced, and nobody but the inspector's crate knows how it is written.
///
/// It can be lost and made again, so an error in writing ends the notes and not the reading, and whoever
/// reads them must see by themselves whether they are whole.
pub type Notes = Box<dyn std::io::Write + Send>;

/// Makes an [`Inspect`] for each layer.
pub trait Inspector: Send + Sync {
    /// Is it a layer that can be read?
    fn reads(&self, layer: &Descriptor) -> bool;
    /// Starts on `layer`, and writes down what is in it; `None` if it isn't a layer that can be read.
    fn begin(&self, layer: &Descriptor, notes: Option<Notes>) -> Option<Box<dyn Inspect>>;
}
