//! Files and folders that survive a power loss.
//!
//! A file's bytes are durable after its own sync; its name is durable after the sync of its folder.
//! Whoever renames or makes something here does both, in that order.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::{Result, StoreError};

/// Makes the names in a folder durable.
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| StoreError::io("sync the folder", path, source))
}

/// Renames a file whose bytes are durable already, and makes its new name durable.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that the ban points to"
)]
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|source| StoreError::io("put in place", to, source))?;
    to.parent().map_or(Ok(()), sync_directory)
}

/// Renames a file that can be made again: a power loss may take it, or leave it without its bytes.
#[expect(
    clippy::disallowed_methods,
    reason = "what is renamed here need not be durable"
)]
pub(crate) fn replace(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|source| StoreError::io("put in place", to, source))
}

/// Makes a folder, and those above it as far as `below`, with durable names. `below` is there.
pub(crate) fn create_directory(path: &Path, below: &Path) -> Result<()> {
    if path == below {
        return Ok(());
    }
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    match fs::create_dir(path) {
        Ok(()) => sync_directory(parent),
        // Whoever made it may not have come to sync it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => sync_directory(parent),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_directory(parent, below)?;
            create_directory(path, below)
        }
        Err(source) => Err(StoreError::io("make the folder", path, source)),
    }
}

/// Removes a file. Was it there?
pub(crate) fn remove(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(StoreError::io("remove", path, source)),
    }
}
