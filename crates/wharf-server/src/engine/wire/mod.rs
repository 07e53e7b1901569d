//! What the Engine API says about images: shapes, names and orders of fields as Docker 28.5 has them.
//!
//! `wharf inspect` prints the same, so it is here for the command line too.

pub mod inspect;
pub mod run_config;
pub mod summary;

pub use inspect::{ImageInspect, Metadata, RootFs};
pub use run_config::Shape;
pub use summary::{ImageSummary, ManifestSummary};
