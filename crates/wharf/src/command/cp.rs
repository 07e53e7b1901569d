//! `wharf cp`: copies files of an image to this machine, straight from its layers.
//!
//! The rules of the destination are `docker cp`'s, but for one: a folder is not merged into one that
//! has something in it already.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufWriter, IsTerminal as _, Seek as _, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use wharf_archive::files::{Kind, Node, Place};
use wharf_engine::target::{folder_of, obstacle};
use wharf_engine::{ImageFiles, LocalEngine, is_file};

use super::files::{platform, split_whole, wrong};
use crate::context::Context;
use crate::exit::{Failure, Result, say};

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
    let whole = files.tree.path(place);
    let name = whole.rsplit(|&b| b == b'/').next().unwrap_or_default();
    let name = std::ffi::OsStr::from_bytes(name);
    let to = Path::new(to);
    if files.tree.kind(place) != Kind::Folder {
        let target = if to.is_dir() {
            to.join(name)
        } else {
            to.to_owned()
        };
        return one(&engine, &files, place, &target);
    }
    // `docker cp`: the folder itself goes into one that is there, unless the path ends with `/.`.
    let inside = to.is_dir() && !path.ends_with("/.") && place != Place::ROOT;
    let target = if inside { to.join(name) } else { to.to_owned() };
    for notice in engine.extract(&files, place, &target)? {
        say(&format!("WARNING: {notice}\n"));
    }
    Ok(())
}

/// One file or link, in the place of what was there.
fn one(engine: &LocalEngine, files: &ImageFiles, place: Place, target: &Path) -> Result<()> {
    let node = files.tree.node(place);
    let cannot =
        |error: &io::Error| Failure::error(format!("cannot write {}: {error}", target.display()));
    if node.entry.kind == Kind::Symlink {
        let link = PathBuf::from(std::ffi::OsStr::from_bytes(node.entry.link));
        return std::os::unix::fs::symlink(link, target).map_err(|error| cannot(&error));
    }
    if !is_file(&node) {
        return Err(Failure::error(
            "devices and pipes are not copied; see `wharf unpack`",
        ));
    }
    // Into what a link leads to; what is no file is not replaced by one.
    let through = fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
    let target = through.as_path();
    if let Some(obstacle) = obstacle(target) {
        let message = format!("{}: {obstacle}", target.display());
        return Err(Failure::error(message));
    }
    let mut file =
        tempfile::NamedTempFile::new_in(folder_of(target)).map_err(|error| cannot(&error))?;
    let mut length = 0;
    engine.read_files(files, &[place], &mut |_, bytes| {
        length += bytes.len() as u64;
        // What is all zeros takes no room: a hole stays one.
        if bytes.iter().all(|&b| b == 0) {
            file.seek(SeekFrom::Start(length)).map(drop)
        } else {
            file.write_all(bytes)
        }
    })?;
    file.as_file()
        .set_len(length)
        .map_err(|error| cannot(&error))?;
    // Whose it is, and what it may do as somebody else, stays in the image.
    let mode = fs::Permissions::from_mode(node.entry.mode & 0o777);
    file.as_file()
        .set_permissions(mode)
        .map_err(|error| cannot(&error))?;
    file.persist(target).map_err(|error| cannot(&error.error))?;
    Ok(())
}

/// A tar of it, as `docker cp … -` writes one.
fn to_stdout(engine: &LocalEngine, files: &ImageFiles, place: Place) -> Result<()> {
    let tree = &files.tree;
    let whole = tree.path(place);
    let start = whole
        .iter()
        .rposition(|&b| b == b'/')
        .map_or(0, |at| at + 1);
    let mut all = vec![(whole, place)];
    if tree.kind(place) == Kind::Folder {
        all.extend(tree.below(place));
    }
    all.retain(|(path, _)| !path.is_empty());
    let mut out = tar::Builder::new(BufWriter::new(io::stdout().lock()));
    // What has one place in one layer is one file with several names.
    let (mut contents, mut links, mut first) = (Vec::new(), Vec::new(), HashMap::new());
    for (path, place) in &all {
        let node = tree.node(*place);
        if !is_file(&node) || node.entry.size == 0 {
            append(&mut out, &path[start..], &node).map_err(Failure::output)?;
            continue;
        }
        let known = *first
            .entry((node.layer, node.entry.offset))
            .or_insert(path.as_slice());
        if known == path {
            contents.push((path, *place));
        } else {
            links.push((path, known));
        }
    }
    // File by file in the layers' order, so that each layer is read once.
    let places: Vec<Place> = contents.iter().map(|(_, place)| *place).collect();
    let (mut last, mut left, mut failed) = (usize::MAX, 0_u64, None);
    let read = engine.read_files(files, &places, &mut |at, bytes| {
        let (path, place) = contents[at];
        let written = (|| {
            if last != at {
                let node = tree.node(place);
                (last, left) = (at, node.entry.size);
                append(&mut out, &path[start..], &node)?;
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
    for (path, target) in links {
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
