//! Stands in for a power loss: a record of what is durable, and the disk that is left.
//!
//! A file has the bytes that it had when it was last synced. Its name, and every removal and rename, is on
//! the disk already: a file system may write these at any time, and another program's sync makes it do so.
//! That is the order in which the most can go wrong.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The bytes of each file, by its inode, as they were when it was last synced.
type Synced = HashMap<u64, Vec<u8>>;

/// The disks that tests look at, by their stores' folders. A store that is in none is not recorded.
static DISKS: Mutex<Option<HashMap<PathBuf, Synced>>> = Mutex::new(None);

/// Records what is durable below a store's folder.
pub(crate) struct Disk {
    root: PathBuf,
}

/// Notes that a file was synced. Folders are not looked at: names are always durable here.
pub(crate) fn synced(path: &Path) {
    with_disk(path, |disk| {
        if let Some((inode, bytes)) = read(path) {
            disk.insert(inode, bytes);
        }
    });
}

/// Notes that the whole file system was synced.
pub(crate) fn all_synced(root: &Path) {
    with_disk(root, |disk| {
        each_file(root, &mut |path| disk.extend(read(path)))
    });
}

fn with_disk(path: &Path, change: impl FnOnce(&mut Synced)) {
    let mut disks = DISKS.lock().unwrap_or_else(PoisonError::into_inner);
    let disks = disks.get_or_insert_default();
    let found = disks.iter_mut().find(|(root, _)| path.starts_with(root));
    if let Some((_, disk)) = found {
        change(disk);
    }
}

fn read(path: &Path) -> Option<(u64, Vec<u8>)> {
    // Shared memory, and SQLite's locks are on it: closing it here would end them.
    if path.ends_with("wharf.db-shm") {
        return None;
    }
    let about = std::fs::metadata(path)
        .ok()
        .filter(|about| about.is_file())?;
    Some((about.ino(), std::fs::read(path).ok()?))
}

impl Disk {
    /// How long the file is that would be left.
    pub(crate) fn synced_len(&self, path: &Path) -> Option<usize> {
        let mut len = None;
        with_disk(&self.root, |disk| {
            let inode = std::fs::metadata(path).ok().map(|about| about.ino());
            len = inode.and_then(|inode| disk.get(&inode)).map(Vec::len);
        });
        len
    }

    /// Begins: all that is in the folder now is durable.
    pub(crate) fn record(root: &Path) -> Self {
        let mut disk = Synced::new();
        each_file(root, &mut |path| disk.extend(read(path)));
        let mut disks = DISKS.lock().unwrap_or_else(PoisonError::into_inner);
        disks.get_or_insert_default().insert(root.to_owned(), disk);
        Self {
            root: root.to_owned(),
        }
    }

    /// Makes the folder `to` what a power loss would leave now.
    pub(crate) fn lose_power(&self, to: &Path) {
        std::fs::create_dir(to).unwrap();
        each_file(&self.root, &mut |path| {
            let copy = to.join(path.strip_prefix(&self.root).unwrap());
            std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
            if path.ends_with("wharf.db-shm") {
                return;
            }
            with_disk(&self.root, |disk| {
                let inode = std::fs::metadata(path).unwrap().ino();
                let bytes = disk.get(&inode).cloned().unwrap_or_default();
                std::fs::write(&copy, bytes).unwrap();
            });
        });
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let mut disks = DISKS.lock().unwrap_or_else(PoisonError::into_inner);
        disks.get_or_insert_default().remove(&self.root);
    }
}

fn each_file(folder: &Path, take: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            each_file(&path, take);
        } else {
            take(&path);
        }
    }
}
