//! Writes files of an image into a new folder (security rules 1 to 3 and 9).
//!
//! ```text
//! DIR.wharf-XXXX, mode 0700:  folders ─► files, layer by layer, on all cores ─► links, devices
//!                             ─► the folders' owners, modes and times ─► renamed to DIR
//! ```
//!
//! The folder is new and nobody else's, and the tree has only folders above anything, so no name leads
//! over a link; each is opened below the folder's descriptor all the same, with `openat2` and
//! `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`. A file is written once, by the layer that it is from: what a
//! later layer hides is never written. Each layer is compared with its diff ID on the way. Nothing is
//! synced: whoever unpacks can unpack again.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps, XattrFlags, chownat,
    fchmod, fchown, fsetxattr, futimens, linkat, makedev, mkdirat, mknodat, openat2, symlinkat,
    utimensat,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use wharf_archive::files::contents::contents;
use wharf_archive::files::holes::{Expanding, Piece};
use wharf_archive::files::{Entry, Kind, Place, Tree};
use wharf_store::Store;

use super::{FileLayer, ImageFiles, gone, unreadable};
use crate::{EngineError, ErrorKind, Result};

/// More threads than this wait for the disk.
const THREADS_MAX: usize = 8;

/// How many open folders a thread keeps: files come in their folders' order, mostly.
const FOLDERS_MAX: usize = 64;

/// Where everything goes, and who does it.
struct Target {
    root: OwnedFd,
    /// May owners be set, and devices made?
    privileged: bool,
    notices: Mutex<Notices>,
}

/// What could not be made as it is: each kind is told of once, with its first example.
#[derive(Default)]
struct Notices(BTreeMap<&'static str, (String, usize)>);

/// Writes what is below a folder of the image.
pub(super) fn extract(
    store: &Store,
    files: &ImageFiles,
    below: Place,
    into: &Path,
) -> Result<Vec<String>> {
    let cannot = |error: io::Error| cannot_write(into, &error);
    let parent = into
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let name = into.file_name().unwrap_or(OsStr::new("rootfs"));
    let temporary = tempfile::Builder::new()
        .prefix(&format!(".{}.wharf-", name.to_string_lossy()))
        .tempdir_in(parent)
        .map_err(cannot)?;
    let root = File::open(temporary.path()).map_err(cannot)?;
    let target = Target {
        root: root.into(),
        privileged: rustix::process::geteuid().is_root(),
        notices: Mutex::default(),
    };
    let tree = &files.tree;
    let mut names = tree.below(below);
    let strip = match tree.path(below).len() {
        0 => 0,
        length => length + 1,
    };
    names
        .iter_mut()
        .for_each(|(path, _)| drop(path.drain(..strip)));
    let plan = Plan::new(tree, &names);
    let failed = |(path, error): (String, Errno)| {
        EngineError::new(ErrorKind::Internal, format!("cannot write {path}"))
            .because(io::Error::from(error))
    };
    for (path, _) in &plan.folders {
        target
            .folder(path)
            .map_err(|error| failed((shown(path), error)))?;
    }
    write_layers(store, files, &target, &plan)?;
    for (path, place) in &plan.others {
        target
            .other(path, &tree.node(*place).entry)
            .map_err(|error| failed((shown(path), error)))?;
    }
    for (path, first) in &plan.links {
        target
            .link(first, path)
            .map_err(|error| failed((shown(path), error)))?;
    }
    // From the inside out: what is written into a folder changes its time.
    for (path, place) in plan.folders.iter().rev() {
        target
            .finish_folder(path, &tree.node(*place).entry)
            .map_err(|error| failed((shown(path), error)))?;
    }
    let whole = if below == Place::ROOT {
        tree.root()
    } else {
        Some(tree.node(below))
    };
    target
        .finish_root(whole.as_ref().map(|node| &node.entry))
        .map_err(|error| failed((shown(b"/"), error)))?;
    put_in_place(temporary, into)?;
    let notices = target
        .notices
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    Ok(notices.lines())
}

/// Renames the finished folder. An empty one that was there makes room; nothing else does.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing is promised of an unpacked image after a power loss"
)]
fn put_in_place(temporary: tempfile::TempDir, into: &Path) -> Result<()> {
    let renamed = std::fs::rename(temporary.path(), into);
    match renamed {
        Ok(()) => {
            // It isn't under its old name any more: there is nothing left to remove.
            drop(temporary.keep());
            Ok(())
        }
        Err(error) => Err(cannot_write(into, &error)),
    }
}

/// A name, and what has it.
type Named<'a> = (&'a [u8], Place);

/// What is written, by kind.
#[derive(Default)]
struct Plan<'a> {
    folders: Vec<Named<'a>>,
    /// By layer: files in the order of their contents.
    files: BTreeMap<usize, Vec<(u64, Named<'a>)>>,
    others: Vec<Named<'a>>,
    /// Further names: each with the first one of the same file.
    links: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Plan<'a> {
    fn new(tree: &Tree, names: &'a [(Vec<u8>, Place)]) -> Self {
        let mut plan = Self::default();
        // No two entries of a layer have one place: what has the same place is the same file.
        let mut first: HashMap<(usize, u64), &[u8]> = HashMap::new();
        for (path, place) in names {
            let named = (path.as_slice(), *place);
            if tree.kind(*place) == Kind::Folder {
                plan.folders.push(named);
                continue;
            }
            let node = tree.node(*place);
            let offset = node.entry.offset;
            if let Some(known) = first.get(&(node.layer, offset)) {
                plan.links.push((path, known));
                continue;
            }
            first.insert((node.layer, offset), path);
            match node.entry.kind {
                Kind::File => {
                    let files = plan.files.entry(node.layer).or_default();
                    files.push((offset, named));
                }
                _ => plan.others.push(named),
            }
        }
        for files in plan.files.values_mut() {
            files.sort_by_key(|(offset, _)| *offset);
        }
        plan
    }
}

/// Writes every layer's files, several layers at once. Layers without files are read, too: all of
/// them have to be right.
fn write_layers(store: &Store, files: &ImageFiles, target: &Target, plan: &Plan<'_>) -> Result<()> {
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
            let written = write_layer(store, layer, &files.tree, target, wanted);
            if let Err(error) = written {
                stop.store(true, Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let mut result = Ok(());
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
    wanted: &[(u64, Named<'_>)],
) -> Result<()> {
    let mut blob = store
        .blob(&layer.blob)?
        .ok_or_else(|| gone(&layer.blob))?
        .file;
    let mut folders = Folders::new(target);
    let mut entries = Vec::with_capacity(wanted.len());
    for (_, (path, place)) in wanted {
        let entry = tree.node(*place).entry;
        if entry.size == 0 {
            let file = folders.create(path).map_err(|error| failed(path, error))?;
            target
                .finish_file(&file, path, &entry)
                .map_err(|error| failed(path, error))?;
        }
        entries.push(entry);
    }
    let mut expanding = Expanding::new(&entries);
    let mut open: Option<(usize, File, u64)> = None;
    let mut take = |number: usize, piece: Piece<'_>| -> io::Result<()> {
        let (path, entry) = (wanted[number].1.0, &entries[number]);
        let (_, file, done) = match &mut open {
            Some(open) if open.0 == number => open,
            _ => open.insert((number, File::from(folders.create(path)?), 0)),
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
            target.finish_file(&file.into(), path, entry)?;
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

/// Folders that are open, for the files in them.
struct Folders<'a> {
    target: &'a Target,
    open: Vec<(Vec<u8>, OwnedFd)>,
}

impl<'a> Folders<'a> {
    fn new(target: &'a Target) -> Self {
        Self {
            target,
            open: Vec::new(),
        }
    }

    /// Makes a file. There is none of its name yet.
    fn create(&mut self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let (folder, name) = split(path);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        if folder.is_empty() {
            return self.target.open(&self.target.root, name, flags, mode);
        }
        if let Some(place) = self.open.iter().position(|(known, _)| known == folder) {
            let known = self.open.remove(place);
            self.open.push(known);
        } else {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = self
                .target
                .open(&self.target.root, folder, flags, Mode::empty())?;
            if self.open.len() == FOLDERS_MAX {
                self.open.remove(0);
            }
            self.open.push((folder.to_vec(), opened));
        }
        match self.open.last() {
            Some((_, folder)) => self.target.open(folder, name, flags, mode),
            None => Err(Errno::NOENT),
        }
    }
}

impl Target {
    /// Opens a name below a folder, without following any link.
    fn open(
        &self,
        at: &OwnedFd,
        path: &[u8],
        flags: OFlags,
        mode: Mode,
    ) -> rustix::io::Result<OwnedFd> {
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match openat2(at, path, flags, mode, how) {
            // A kernel before 5.6, or a sandbox that does not know the call: the folder is ours alone, and
            // has no links in it before the last step.
            Err(Errno::NOSYS | Errno::PERM) => {
                rustix::fs::openat(at, path, flags | OFlags::NOFOLLOW, mode)
            }
            other => other,
        }
    }

    fn folder(&self, path: &[u8]) -> rustix::io::Result<()> {
        mkdirat(&self.root, path, Mode::RWXU)
    }

    fn finish_file(
        &self,
        file: &OwnedFd,
        path: &[u8],
        entry: &Entry<'_>,
    ) -> rustix::io::Result<()> {
        self.finish(file, path, entry)?;
        futimens(file, &times(entry))
    }

    fn finish_folder(&self, path: &[u8], entry: &Entry<'_>) -> rustix::io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = self.open(&self.root, path, flags, Mode::empty())?;
        self.finish(&folder, path, entry)?;
        futimens(&folder, &times(entry))
    }

    fn finish_root(&self, entry: Option<&Entry<'_>>) -> rustix::io::Result<()> {
        let Some(entry) = entry else {
            return fchmod(&self.root, Mode::from_raw_mode(0o755));
        };
        self.finish(&self.root, b"/", entry)?;
        futimens(&self.root, &times(entry))
    }

    /// Owner first: setting it takes away set-uid bits and capabilities.
    fn finish(&self, file: &OwnedFd, path: &[u8], entry: &Entry<'_>) -> rustix::io::Result<()> {
        if self.privileged {
            fchown(file, Some(uid(entry)?), Some(gid(entry)?))?;
        }
        fchmod(file, Mode::from_raw_mode(entry.mode))?;
        for (name, value) in entry.xattrs() {
            match fsetxattr(file, name, value, XattrFlags::empty()) {
                Ok(()) => {}
                Err(Errno::PERM | Errno::OPNOTSUPP | Errno::ACCESS) => {
                    self.notice("extended attributes were left out", path);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A symbolic link, a device, a pipe.
    fn other(&self, path: &[u8], entry: &Entry<'_>) -> rustix::io::Result<()> {
        let (folder, name) = split(path);
        let opened;
        let at = if folder.is_empty() {
            &self.root
        } else {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            opened = self.open(&self.root, folder, flags, Mode::empty())?;
            &opened
        };
        let kind = match entry.kind {
            Kind::Symlink => {
                symlinkat(entry.link, at, name)?;
                return self.finish_special(at, name, entry, false);
            }
            Kind::CharDevice => FileType::CharacterDevice,
            Kind::BlockDevice => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        if kind != FileType::Fifo && !self.privileged {
            self.notice("devices were left out, which only root makes", path);
            return Ok(());
        }
        let device = makedev(entry.device.0, entry.device.1);
        match mknodat(at, name, kind, Mode::from_raw_mode(entry.mode), device) {
            Ok(()) => self.finish_special(at, name, entry, true),
            Err(Errno::PERM) => {
                self.notice("devices were left out, which may not be made here", path);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn finish_special(
        &self,
        at: &OwnedFd,
        name: &[u8],
        entry: &Entry<'_>,
        mode: bool,
    ) -> rustix::io::Result<()> {
        if self.privileged {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            chownat(at, name, Some(uid(entry)?), Some(gid(entry)?), flags)?;
        }
        if mode {
            rustix::fs::chmodat(at, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())?;
        }
        utimensat(at, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// A further name of a file. Both lie below folders of ours, with no link above them.
    fn link(&self, first: &[u8], path: &[u8]) -> rustix::io::Result<()> {
        match linkat(&self.root, first, &self.root, path, AtFlags::empty()) {
            // A device that was left out has no further names.
            Err(Errno::NOENT) if !self.privileged => Ok(()),
            other => other,
        }
    }

    fn notice(&self, what: &'static str, path: &[u8]) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = notices.0.entry(what).or_insert_with(|| (shown(path), 0));
        entry.1 += 1;
    }
}

impl Notices {
    fn lines(&self) -> Vec<String> {
        let line = |(what, (first, count)): (&&str, &(String, usize))| match count {
            1 => format!("{what}: {first}"),
            _ => format!("{what}: {first} and {} more", count - 1),
        };
        self.0.iter().map(line).collect()
    }
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

fn uid(entry: &Entry<'_>) -> rustix::io::Result<Uid> {
    let raw = u32::try_from(entry.uid).ok().filter(|id| *id != u32::MAX);
    raw.map(Uid::from_raw).ok_or(Errno::INVAL)
}

fn gid(entry: &Entry<'_>) -> rustix::io::Result<Gid> {
    let raw = u32::try_from(entry.gid).ok().filter(|id| *id != u32::MAX);
    raw.map(Gid::from_raw).ok_or(Errno::INVAL)
}

fn times(entry: &Entry<'_>) -> Timestamps {
    let time = Timespec {
        tv_sec: entry.mtime,
        tv_nsec: entry.nanos.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
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
