//! The nouns of container images, and the contracts between the places that hold them.
//!
//! One idea carries everything: content is named by its digest and never changes; a name is a row
//! that points to a digest. This crate knows no disk, no network, no environment and no terminal.
//!
//! | module | what it holds |
//! |---|---|
//! | [`digest`] | `Digest`: parsed once, strictly; `Hasher` computes one |
//! | [`media_type`] | the media types of Docker and OCI, and what each one is |
//! | [`descriptor`] | `Descriptor`: media type, digest, size: the only key to content |
//! | [`reference`] | `Reference`: Docker's grammar of image names |
//! | [`platform`] | `Platform`: os, architecture, variant, and Docker's matching |
//! | [`manifest`] | `Manifest`: image, index or artifact, with its raw bytes |
//! | [`config`] | `ImageConfig`: what Docker shows of an image |
//! | [`content`] | `Source` and `Sink`: where content comes from and goes to |
//! | [`limits`] | what sizes a document may declare |
//! | [`layer`] | what a layer's bytes say about it, learned while they pass |
//! | [`copy`] | `copy(from, to, root)`: pull, push, save, load and send are this |
//! | [`event`] | what a long operation reports |
//! | [`human`] | Docker's units and relative times |
//! | [`go_json`] | JSON as Go reads and writes it: what Docker takes, prints and answers |
//! | `conformance`, `memory` | for tests: what every `Sink` must do, and the simplest one |

pub mod config;
pub mod content;
pub mod copy;
pub mod descriptor;
pub mod digest;
pub mod event;
pub mod go_json;
pub mod human;
pub mod layer;
pub mod limits;
pub mod manifest;
pub mod media_type;
pub mod platform;
pub mod reference;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
#[cfg(any(test, feature = "conformance"))]
pub mod memory;

pub use config::ImageConfig;
pub use content::{ContentError, Reader, Sink, Source};
pub use descriptor::Descriptor;
pub use digest::{Digest, Hasher};
pub use event::{Event, LayerStatus, Watch};
pub use manifest::Manifest;
pub use platform::Platform;
pub use reference::Reference;
