//! Writes files of an image into a new folder (security rules 1 to 3 and 9).
//!
//! ```text
//! .DIR.wharf-…, mode 0700:  folders ─► files, layer by layer, on all cores ─► links, devices
//!                             ─► the folders' owners, modes and times ─► renamed to DIR
//! ```
//!
//! The folder is new and nobody else's, and the tree has only folders above anything, so no name leads
//! over a link; each is opened below the folder's descriptor all the same, with `openat2` and
//! `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`. A file is written once, by the layer that it is from: what a
//! later layer hides is never written. Each layer is compared with its diff ID on the way. Nothing is
//! synced: whoever unpacks can unpack again.

mod plan;
mod target;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::io::Errno;
use wharf_archive::files::contents::contents;
use wharf_archive::files::holes::{Expanding, Piece};
use wharf_archive::files::{Place, Tree};
use wharf_archive::outside::{Destination, is_abandoned};
use wharf_os::thread::spawn_scoped;
use wharf_store::Store;

use super::{FileLayer, ImageFiles, gone, unreadable};
use crate::{EngineError, ErrorKind, Result};
use plan::{Names, Plan};
use target::{Folders, Target};

/// More threads than this wait for the disk.
const THREADS_MAX: usize = 8;

/// What stands beside the files of an unpacked image.
pub(super) enum Around<'a> {
    /// Nothing: the folder is the image's root.
    Nothing,
    /// An OCI runtime bundle, with this config.json: the image's root is `rootfs` in it.
    Bundle(&'a [u8]),
}

/// The permissions of a bundle's folder, and of its config.json.
const BUNDLE_MODE: u32 = 0o755;
const CONFIG_MODE: u32 = 0o644;

/// Writes what is below a folder of the image.
pub(super) fn extract(
    store: &Store,
    files: &ImageFiles,
    below: Place,
    into: &Destination,
    around: &Around<'_>,
) -> Result<Vec<String>> {
    let cannot = |error: io::Error| cannot_write(into.path(), &error);
    let mut notices = Vec::new();
    for left in into.left_over().unwrap_or_default() {
        notices.push(format!(
            "{} is left over from a command that was killed; remove it, unless one still runs",
            left.display()
        ));
    }
    let folder = into.new_folder().map_err(cannot)?;
    let root = match around {
        Around::Nothing => folder.as_fd().try_clone_to_owned(),
        Around::Bundle(_) => folder.make("rootfs"),
    };
    let target = Target::below(root.map_err(cannot)?);
    write_tree(store, files, below, &target)?;
    if let Around::Bundle(config) = around {
        let written = folder
            .make_file("config.json", CONFIG_MODE)
            .and_then(|mut file| file.write_all(config))
            .and_then(|()| folder.set_mode(BUNDLE_MODE));
        written.map_err(cannot)?;
    }
    folder.finish().map_err(cannot)?;
    notices.extend(target.into_notices());
    Ok(notices)
}

fn write_tree(store: &Store, files: &ImageFiles, below: Place, target: &Target) -> Result<()> {
    let tree = &files.tree;
    let (names, plan) = (Names::below(tree, below), Plan::new(tree, below));
    for place in &plan.folders {
        let path = names.of(*place);
        target.folder(&path).map_err(|error| failed(&path, error))?;
    }
    write_layers(store, files, target, names, &plan)?;
    for (_, place) in &plan.others {
        let path = names.of(*place);
        target
            .other(&path, &tree.node(*place).entry)
            .map_err(|error| failed(&path, error))?;
    }
    for (place, first) in &plan.links {
        let path = names.of(*place);
        target
            .link(&names.of(*first), &path)
            .map_err(|error| failed(&path, error))?;
    }
    // From the inside out: what is written into a folder changes its time.
    for place in plan.folders.iter().rev() {
        let path = names.of(*place);
        target
            .finish_folder(&path, &tree.node(*place).entry)
            .map_err(|error| failed(&path, error))?;
    }
    let whole = if below == Place::ROOT {
        tree.root()
    } else {
        Some(tree.node(below))
    };
    target
        .finish_root(whole.as_ref().map(|node| &node.entry))
        .map_err(|error| failed(b"/", error))
}

/// Writes every layer's files, several layers at once. Layers without files are read, too: all of
/// them have to be right.
fn write_layers(
    store: &Store,
    files: &ImageFiles,
    target: &Target,
    names: Names<'_>,
    plan: &Plan,
) -> Result<()> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(THREADS_MAX).min(files.layers.len().max(1));
    // The largest first, so that no thread begins a long one when the others are done.
    let mut order: Vec<usize> = (0..files.layers.len()).collect();
    order.sort_by_key(|&number| std::cmp::Reverse(files.layers[number].size));
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let none = Vec::new();
    let run = || -> Result<()> {
        while let Some(&number) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let wanted = plan.files.get(&number).unwrap_or(&none);
            let layer = &files.layers[number];
            let written = write_layer(store, layer, &files.tree, target, names, wanted);
            if let Err(error) = written {
                stop.store(true, Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        // This thread is one of them, so that the work is done where no other can be started.
        let all: Vec<_> = (1..threads)
            .map_while(|_| spawn_scoped(scope, "unpack", run).ok())
            .collect();
        let mut result = run();
        for one in all {
            let done = one.join().unwrap_or_else(|_| {
                Err(EngineError::new(
                    ErrorKind::Internal,
                    "the unpacking stopped",
                ))
            });
            result = result.and(done);
        }
        result
    })
}

fn write_layer(
    store: &Store,
    layer: &FileLayer,
    tree: &Tree,
    target: &Target,
    names: Names<'_>,
    wanted: &[(u64, Place)],
) -> Result<()> {
    let mut blob = store
        .blob(&layer.blob)?
        .ok_or_else(|| gone(&layer.blob))?
        .file;
    let mut folders = Folders::new(target);
    let mut entries = Vec::with_capacity(wanted.len());
    for (_, place) in wanted {
        let entry = tree.node(*place).entry;
        if entry.size == 0 {
            let path = names.of(*place);
            let file = folders
                .create(&path)
                .map_err(|error| failed(&path, error))?;
            target
                .finish_file(&file, &path, &entry)
                .map_err(|error| failed(&path, error))?;
        }
        entries.push(entry);
    }
    let mut expanding = Expanding::new(&entries);
    let mut open: Option<(usize, File, u64)> = None;
    let mut take = |number: usize, piece: Piece<'_>| -> io::Result<()> {
        if is_abandoned() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let entry = &entries[number];
        let (_, file, done) = match &mut open {
            Some(open) if open.0 == number => open,
            _ => {
                let path = names.of(wanted[number].1);
                open.insert((number, File::from(folders.create(&path)?), 0))
            }
        };
        match piece {
            Piece::Data(bytes) => {
                file.write_all(bytes)?;
                *done += bytes.len() as u64;
            }
            Piece::Hole(length) => {
                *done += length;
                file.set_len(*done)?;
                file.seek(SeekFrom::End(0))?;
            }
        }
        if *done == entry.size
            && let Some((_, file, _)) = open.take()
        {
            let path = names.of(wanted[number].1);
            target.finish_file(&file.into(), &path, entry)?;
        }
        Ok(())
    };
    let ranges = expanding.ranges();
    contents(
        &mut blob,
        &ranges,
        Some(&layer.diff_id),
        &mut |at, bytes| expanding.write(at, bytes, &mut take),
    )
    .and_then(|()| expanding.finish(&mut take))
    .map_err(|error| unreadable(layer, error))
}

fn shown(path: &[u8]) -> String {
    OsStr::from_bytes(path).to_string_lossy().into_owned()
}

fn failed(path: &[u8], error: Errno) -> EngineError {
    let message = format!("cannot write {}", shown(path));
    EngineError::new(ErrorKind::Internal, message).because(io::Error::from(error))
}

fn cannot_write(path: &Path, error: &io::Error) -> EngineError {
    let message = format!("cannot write {}: {error}", path.display());
    EngineError::new(ErrorKind::Internal, message)
}
