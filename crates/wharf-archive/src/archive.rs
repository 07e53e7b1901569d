//! Archives of images: one tar that is an OCI layout and a docker-archive at once.
//!
//! ```text
//! blobs/sha256/<hex>   manifests, configs and layers, the stored bytes as they are
//! index.json           what is in it, by manifest: names are annotations (OCI image-layout)
//! manifest.json        the same by image: config, names, layers (Docker since 1.10)
//! oci-layout           which layout it is
//! repositories         the names once more (Docker before 1.10)
//! ```
//!
//! [`ArchiveSink`] writes one from front to back. [`ArchiveSource`] reads this one and every other that
//! Docker, skopeo, podman, buildah, crane and umoci write: it goes once over the headers, and then
//! reads whichever bytes are asked for, from several threads. What is compressed as a whole, or comes
//! through a pipe, goes through [`spool`] first.

mod entries;
mod images;
mod legacy;
mod read;
mod spool;
mod v1;
mod wire;
mod write;

pub use self::images::KnownLayers;
pub use self::read::{
    ArchiveImage, ArchiveName, ArchiveSource, LeftOut, open_archive, open_archive_beside,
};
pub use self::spool::{is_packed, spool};
pub use self::write::{ArchiveSink, Saved};

use std::io;

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Reading or writing failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The archive ends too early (Docker's words).
    #[error("unexpected EOF")]
    Truncated,
    /// A header is no header (Docker's words).
    #[error("archive/tar: invalid tar header: {0}")]
    Header(String),
    /// An entry that no archive of images has.
    #[error(
        "the archive has {what}, {name:?}, which no archive of images needs; nothing was loaded"
    )]
    Entry {
        /// What it is.
        what: &'static str,
        /// The entry's name.
        name: String,
    },
    /// A limit.
    #[error("the archive has more than {max} {what}; nothing was loaded")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: u64,
    },
    /// It unpacks to far more than an archive of images does.
    #[error("the archive unpacks to more than {0} times its size; nothing was loaded")]
    Ratio(u64),
    /// A file that another one names is not there (Docker's words).
    #[error("open {0}: no such file or directory")]
    Missing(String),
    /// A document is longer than is read.
    #[error("{name} in the archive has {size} bytes; at most {max} are read")]
    TooLarge {
        /// Which one.
        name: String,
        /// Its size.
        size: u64,
        /// The limit.
        max: u64,
    },
    /// A document is not what it must be.
    #[error("{name} in the archive is malformed: {reason}")]
    Document {
        /// Which one.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The layers that are named are not those that the config names (Docker's words).
    #[error("invalid manifest, layers length mismatch: expected {expected}, got {actual}")]
    LayerCount {
        /// How many manifest.json names.
        expected: usize,
        /// How many the config names.
        actual: usize,
    },
    /// What is named as a config has nothing of one (Docker's words).
    #[error("invalid image JSON, no RootFS key")]
    NoRootFs,
    /// A name is none (Docker's words).
    #[error("invalid tag {0:?}")]
    Tag(String),
    /// `repositories` names a folder that the archive does not have (Docker's words).
    #[error("invalid target ID: {0}")]
    Target(String),
}

/// A result of reading or writing an archive.
pub type Result<T, E = ArchiveError> = std::result::Result<T, E>;

#[cfg(test)]
mod tests;
