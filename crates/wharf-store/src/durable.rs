//! Files and folders that survive a power loss.
//!
//! A file's bytes are durable after its own sync; its name is durable after the sync of its folder.
//! Whoever renames or makes something here does both, in that order.

use std::fs::{self, File};
use std::io;
use std::path::Path;

#[cfg(not(test))]
use no_power_loss as power;

#[cfg(test)]
use crate::tests::power;
use crate::{Result, StoreError, files};

/// Stands in for the tests' record of what is durable.
#[cfg(not(test))]
mod no_power_loss {
    pub(super) const fn synced(_: &std::path::Path) {}
    pub(super) const fn all_synced(_: &std::path::Path) {}
}

/// Tells the tests' record that a file or a folder was made durable, here or by SQLite.
pub(crate) fn note_synced(path: &Path) {
    power::synced(path);
}

/// Makes a file's bytes durable, and all that is known about it.
pub(crate) fn sync(file: &File, path: &Path) -> Result<()> {
    file.sync_all()
        .map_err(|source| StoreError::io("sync", path, source))?;
    note_synced(path);
    Ok(())
}

/// Makes a file's bytes durable, and its length.
pub(crate) fn sync_data(file: &File, path: &Path) -> Result<()> {
    file.sync_data()
        .map_err(|source| StoreError::io("sync", path, source))?;
    note_synced(path);
    Ok(())
}

/// Makes the bytes of a file durable that may not be there.
pub(crate) fn sync_if_there(path: &Path) -> Result<()> {
    match files::open(path) {
        Ok(file) => sync(&file, path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(StoreError::io("open", path, source)),
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| StoreError::io("sync the folder", path, source))?;
    #[cfg(test)]
    SYNCED.with_borrow_mut(|synced| synced.push(path.to_owned()));
    note_synced(path);
    Ok(())
}

#[cfg(test)]
thread_local! {
    /// The folders whose names this thread has made durable.
    static SYNCED: std::cell::RefCell<Vec<std::path::PathBuf>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Forgets which folders were synced.
#[cfg(test)]
pub(crate) fn record() {
    SYNCED.with_borrow_mut(Vec::clear);
}

/// Returns which folders this thread has synced.
#[cfg(test)]
pub(crate) fn recorded() -> Vec<std::path::PathBuf> {
    SYNCED.with_borrow(Clone::clone)
}

/// Makes the names of a file durable, and those of the folders above it as far as `below`.
pub(crate) fn sync_names(path: &Path, below: &Path) -> Result<()> {
    let folders = path.ancestors().skip(1);
    folders
        .take_while(|folder| folder.starts_with(below))
        .try_for_each(sync_directory)
}

/// Makes everything durable on the file system that holds a folder.
pub(crate) fn sync_file_system(path: &Path) -> Result<()> {
    #[cfg(target_os = "linux")]
    File::open(path)
        .and_then(|folder| Ok(rustix::fs::syncfs(folder)?))
        .map_err(|source| StoreError::io("sync the disk that holds", path, source))?;
    #[cfg(not(target_os = "linux"))]
    rustix::fs::sync();
    power::all_synced(path);
    Ok(())
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

/// Bounds the steps up and down that making one folder takes: others may remove what was just made.
const STEPS_MAX: usize = 1024;

/// Makes a folder, and those above it as far as `below`, with durable names. `below` is there.
pub(crate) fn create_directory(path: &Path, below: &Path) -> Result<()> {
    let mut wanted = vec![path];
    for _ in 0..STEPS_MAX {
        let Some(&folder) = wanted.last().filter(|folder| **folder != below) else {
            return Ok(());
        };
        let parent = folder.parent().unwrap_or(below);
        let failed = |source| StoreError::io("make the folder", folder, source);
        match files::create_folder(folder) {
            Ok(()) => {}
            // Another process has made it, and may not have synced it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Above the store there may be links; in it there are none.
                let above = below.as_os_str().is_empty();
                if !(files::is_folder(folder) || above && folder.is_dir()) {
                    return Err(failed(io::ErrorKind::NotADirectory.into()));
                }
            }
            // Without a parent between this one and `below`, `below` itself was removed.
            Err(error) if error.kind() == io::ErrorKind::NotFound && parent != below => {
                wanted.push(parent);
                continue;
            }
            Err(source) => return Err(failed(source)),
        }
        sync_directory(or_here(parent))?;
        wanted.pop();
    }
    let source = io::Error::other("other processes remove the folders above it again and again");
    Err(StoreError::io("make the folder", path, source))
}

/// The parent of a relative path with one component is the folder that the process is in.
fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
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
