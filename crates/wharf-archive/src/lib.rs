//! Layers: what is in them, learned while their bytes pass; and a small one made on the spot.
//!
//! | module | what it does |
//! |---|---|
//! | [`archive`] | archives of images, written and read: docker-archive and OCI layout in one tar |
//! | [`layout`] | a folder as a place to copy from and to: an OCI layout |
//! | [`layer`] | reads a layer as it comes: gzip, zstd or plain; its diff ID and its size |
//! | [`files`] | what is in layers: written down while they pass, merged, read back |
//! | [`outside`] | writes files and folders outside of the store, below opened folders |
//! | [`pack`](mod@pack) | packs a plain layer, on all cores |
//! | [`write`](mod@write) | writes a small layer, the same bytes every time |
//!
//! Everything here is fed with bytes and never asks for any, so that one thread can serve the network,
//! the disk and this at its own pace, and nothing holds a layer in memory.

pub mod archive;
pub mod files;
pub mod layer;
pub mod layout;
pub mod outside;
pub mod pack;
pub mod write;

pub use layer::LayerInspector;
