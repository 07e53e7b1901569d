//! Images on this machine's disk: bytes, rows, and what keeps the two in step.
//!
//! | module | what it holds |
//! |---|---|
//! | [`store`] | [`Store`]: opens the folder, reads and writes rows |
//! | [`rows`] | what the rows say: names, images, manifests, layers |
//! | [`catalog`] | the rows: [`Reading`] and [`Writing`], over SQLite |
//! | [`lease`] | [`Lease`]: keeps what an operation in progress needs |
//! | [`sink`] | [`DiskSink`]: content that arrives |
//! | [`source`] | [`DiskSource`]: content that leaves |
//! | [`notes`] | what is in a layer, written down while it was read |
//! | [`room`] | [`WhileRoom`]: files that do not take the last of the disk |
//! | [`uploads`] | [`Uploads`]: content that is pushed to the registry server, piece by piece |
//! | [`collect`] | garbage collection of the whole store |
//! | [`check`] | reads everything, and repairs |
//! | [`error`] | what can go wrong, in an operator's words |
//!
//! The catalog (rows) and the blobs (bytes) are two types with narrow interfaces; nothing above this
//! crate sees SQL or a path. `docs/disk-format.md` says what lies on the disk, and why.

pub mod catalog;
pub mod check;
pub mod collect;
pub mod error;
pub mod lease;
pub mod notes;
pub mod room;
pub mod rows;
pub mod sink;
pub mod source;
pub mod store;
pub mod uploads;

mod blobs;
mod durable;
mod fail;
mod files;
mod ingest;
mod pieces;
mod root;

#[cfg(test)]
mod tests;

pub use catalog::{Reading, Sharers, Version, Work, Writing};
pub use check::{CheckProgress, CheckReport, check};
pub use collect::{CollectOptions, Collected, PARTIAL_KEPT};
pub use error::{StoreError, StoreErrorKind};
pub use lease::Lease;
pub use notes::NotesFile;
pub use room::WhileRoom;
pub use rows::{
    Child, Freed, ImageRow, LayerRow, LinkKind, Listed, ManifestKind, ManifestRow, Name,
};
pub use sink::{DiskSink, SinkOptions};
pub use source::{BlobFile, DiskSource, FileSource};
pub use store::{Rehearsal, Store};
pub use uploads::{UploadError, Uploads};

/// A result of the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A name that nobody else has made: 32 hex digits.
fn random_id() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        let source = std::io::Error::other(error.to_string());
        StoreError::io(
            "get random numbers from",
            std::path::Path::new("/dev/urandom"),
            source,
        )
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
