//! `wharf cp`: copies files of an image to this machine, straight from its layers.
//!
//! The rules of the destination are `docker cp`'s, but for one: a folder is not merged into one that
//! has something in it already.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::io::{self, BufWriter, IsTerminal as _, Seek as _, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use clap::Args;
use wharf_archive::files::{Kind, Node, Place};
use wharf_archive::outside::{Destination, obstacle};
use wharf_engine::{ImageFiles, LocalEngine, is_file};

use super::files::{platform, split_whole, warn, wrong};
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::interrupt;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Follow a link that is copied, instead of copying the link
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Look into the image for this platform: "linux/arm64"
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// From where, and to where.
    names: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.exactly(&arguments.names, 2)?;
    let [from, to] = &arguments.names[..] else {
        return Ok(());
    };
    let (image, path) = split_whole(from)?;
    let platform = platform(arguments.platform.as_deref())?;
    let engine = context.engine()?;
    let files = engine.files(image, platform.as_ref())?;
    warn(&files.notices());
    let bytes = path.as_bytes();
    let found = if arguments.follow_link || path.ends_with('/') {
        files.tree.find(bytes)
    } else {
        files.tree.find_link(bytes)
    };
    let place = found.map_err(|error| wrong(image, &error))?;
    if to == "-" {
        if io::stdout().is_terminal() {
            let message = "refusing to write an archive to a terminal: redirect it";
            return Err(Failure::error(message));
        }
        return to_stdout(&engine, &files, place);
    }
    interrupt::guarded(|| to_disk(&engine, &files, (place, path), Path::new(to)))
}

/// A file or a folder, written to this machine.
fn to_disk(
    engine: &LocalEngine,
    files: &ImageFiles,
    (place, path): (Place, &str),
    to: &Path,
) -> Result<()> {
    let whole = files.tree.path(place);
    let name = whole.rsplit(|&b| b == b'/').next().unwrap_or_default();
    let cannot =
        |error: io::Error| Failure::error(format!("cannot write {}: {error}", to.display()));
    let into_folder = to.is_dir();
    let is_folder = files.tree.kind(place) == Kind::Folder;
    // `docker cp`: the folder itself goes into one that is there, unless the path ends with `/.`.
    let inside = into_folder && (!is_folder || !path.ends_with("/.") && place != Place::ROOT);
    let destination = if inside {
        Destination::in_folder(to, OsStr::from_bytes(name))
    } else {
        Destination::open(to)
    };
    let mut destination = destination.map_err(cannot)?;
    if !is_folder {
        if files.tree.kind(place) == Kind::File {
            destination = destination.followed().map_err(cannot)?;
        }
        return one(engine, files, place, &destination);
    }
    warn(&engine.extract(files, place, &destination)?);
    Ok(())
}

/// One file or link, in the place of what was there.
fn one(
    engine: &LocalEngine,
    files: &ImageFiles,
    place: Place,
    destination: &Destination,
) -> Result<()> {
    let node = files.tree.node(place);
    let path = destination.path().display();
    let cannot = |error: io::Error| Failure::error(format!("cannot write {path}: {error}"));
    if node.entry.kind == Kind::Symlink {
        let link = OsStr::from_bytes(node.entry.link);
        return destination.new_link(link).map_err(cannot);
    }
    if !is_file(&node) {
        return Err(Failure::error(
            "devices and pipes are not copied; see `wharf unpack`",
        ));
    }
    if let Some(obstacle) = obstacle(destination) {
        return Err(Failure::error(format!("{path}: {obstacle}")));
    }
    let new = destination.new_file().map_err(cannot)?;
    let (mut file, mut length) = (new.file(), 0);
    engine.read_files(files, &[place], &mut |_, bytes| {
        length += bytes.len() as u64;
        // What is all zeros takes no room: a hole stays one.
        if bytes.iter().all(|&b| b == 0) {
            file.seek(SeekFrom::Start(length)).map(drop)
        } else {
            file.write_all(bytes)
        }
    })?;
    file.set_len(length).map_err(cannot)?;
    // Whose it is, and what it may do as somebody else, stays in the image.
    new.finish(node.entry.mode & 0o777).map_err(cannot)
}

/// A tar of it, as `docker cp … -` writes one.
fn to_stdout(engine: &LocalEngine, files: &ImageFiles, place: Place) -> Result<()> {
    let tree = &files.tree;
    let whole = tree.path(place);
    let start = whole
        .iter()
        .rposition(|&b| b == b'/')
        .map_or(0, |at| at + 1);
    let mut out = tar::Builder::new(BufWriter::new(io::stdout().lock()));
    // What has one place in one layer is one file with several names. Names are put together when they are
    // needed: of a million deep files they would take gigabytes.
    let (mut contents, mut links, mut first) = (Vec::new(), Vec::new(), HashMap::new());
    let mut add = |path: &[u8], place: Place| {
        let node = tree.node(place);
        if !is_file(&node) || node.entry.size == 0 {
            return append(&mut out, &path[start..], &node);
        }
        match first.entry((node.layer, node.entry.offset)) {
            Entry::Vacant(entry) => {
                entry.insert(place);
                contents.push(place);
            }
            Entry::Occupied(known) => links.push((place, *known.get())),
        }
        Ok(())
    };
    if !whole.is_empty() {
        add(&whole, place).map_err(Failure::output)?;
    }
    if tree.kind(place) == Kind::Folder {
        tree.walk(place, &mut add).map_err(Failure::output)?;
    }
    // File by file in the layers' order, so that each layer is read once.
    let (mut last, mut left, mut failed) = (usize::MAX, 0_u64, None);
    let read = engine.read_files(files, &contents, &mut |at, bytes| {
        let place = contents[at];
        let written = (|| {
            if last != at {
                let node = tree.node(place);
                (last, left) = (at, node.entry.size);
                append(&mut out, &tree.path(place)[start..], &node)?;
            }
            left -= bytes.len() as u64;
            out.get_mut().write_all(bytes)?;
            if left == 0 {
                let size = tree.node(place).entry.size;
                let padding = usize::try_from(size.wrapping_neg() % 512).unwrap_or(0);
                out.get_mut().write_all(&[0; 512][..padding])?;
            }
            Ok(())
        })();
        written.inspect_err(|error: &io::Error| failed = Some(io::Error::from(error.kind())))
    });
    if let Some(error) = failed {
        return Err(Failure::output(error));
    }
    read?;
    for (place, target) in links {
        let (path, target) = (tree.path(place), tree.path(target));
        link(&mut out, &path[start..], &target[start..]).map_err(Failure::output)?;
    }
    let mut rest = out.into_inner().map_err(Failure::output)?;
    rest.flush().map_err(Failure::output)
}

/// A further name of a file that is in the archive already.
fn link(out: &mut tar::Builder<impl Write>, path: &[u8], target: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Link);
    header.set_size(0);
    header.set_mode(0o644);
    let name = |bytes| Path::new(std::ffi::OsStr::from_bytes(bytes));
    out.append_link(&mut header, name(path), name(target))
}

/// A header, without the content behind it.
fn append(out: &mut tar::Builder<impl Write>, path: &[u8], node: &Node<'_>) -> io::Result<()> {
    let entry = &node.entry;
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(match entry.kind {
        Kind::File | Kind::HardLink => tar::EntryType::Regular,
        Kind::Folder => tar::EntryType::Directory,
        Kind::Symlink => tar::EntryType::Symlink,
        Kind::CharDevice => tar::EntryType::Char,
        Kind::BlockDevice => tar::EntryType::Block,
        Kind::Fifo => tar::EntryType::Fifo,
    });
    header.set_mode(entry.mode);
    header.set_uid(entry.uid);
    header.set_gid(entry.gid);
    header.set_mtime(u64::try_from(entry.mtime).unwrap_or(0));
    // The content follows by itself: the builder is only told how much it is.
    header.set_size(if is_file(node) { entry.size } else { 0 });
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    match entry.kind {
        Kind::Symlink => {
            let link = Path::new(std::ffi::OsStr::from_bytes(entry.link));
            out.append_link(&mut header, path, link)
        }
        Kind::CharDevice | Kind::BlockDevice => {
            header.set_device_major(entry.device.0)?;
            header.set_device_minor(entry.device.1)?;
            out.append_data(&mut header, path, io::empty())
        }
        _ => out.append_data(&mut header, path, io::empty()),
    }
}
