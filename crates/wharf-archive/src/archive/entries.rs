//! What lies where in an archive: one pass over its headers, reading nothing else.
//!
//! The rules are those of the layers' reader: the PAX size wins, PAX headers belong to the next entry
//! that isn't an `L` or `K` header, of duplicates the last one wins. Names are resolved here, in words
//! alone: nothing of an archive is ever unpacked.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::{ArchiveError, Result};
use crate::layer::fault::TarProblem;
use crate::layer::header::{BLOCK, Block, Header, Kind, text};
use crate::layer::limits::{NAME_MAX, PAX_MAX};
use crate::layer::pax::Pax;

/// Bounds the entries, in number. An archive has a few for each layer; this is room for some
/// ten thousand layers.
pub(super) const ENTRIES_MAX: u64 = 65_536;

/// Bounds the names of all entries together, in bytes, for the memory that they take: 8 MiB. Real ones
/// have some 70 bytes each.
const NAMES_MAX: u64 = 8 << 20;

/// Bounds how many links lead to a file. Docker writes one.
const LINKS_MAX: usize = 8;

/// Where something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) size: u64,
}

enum Entry {
    File(Place),
    Link(String),
    Folder,
}

/// The archive's entries, by name.
pub(super) struct Entries(HashMap<String, Entry>);

/// The headers that are about the next entry.
#[derive(Default)]
struct Ahead {
    pax: Vec<u8>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Entries {
    /// Goes over the headers.
    pub(super) fn read(file: &File) -> Result<Self> {
        let len = file.metadata()?.len();
        let (mut entries, mut at, mut ahead) = (HashMap::new(), 0, Ahead::default());
        let (mut number, mut names, mut zeros) = (0, 0, false);
        while at < len {
            let mut block: Block = [0; BLOCK];
            read_at(file, &mut block, at, len)?;
            at += BLOCK as u64;
            if block.iter().all(|&b| b == 0) {
                if zeros {
                    break;
                }
                zeros = true;
                continue;
            }
            if zeros {
                return Err(header(TarProblem::LoneZeroBlock));
            }
            number += 1;
            if number > ENTRIES_MAX {
                let what = "entries";
                return Err(ArchiveError::TooMany {
                    what,
                    max: ENTRIES_MAX,
                });
            }
            let content = read_one(file, &block, at, len, &mut ahead)?;
            if let Some((name, mut entry)) = content.entry {
                if let Entry::File(place) = &mut entry {
                    place.offset = at;
                }
                names += name.len() as u64;
                if names > NAMES_MAX {
                    let what = "bytes of names";
                    return Err(ArchiveError::TooMany {
                        what,
                        max: NAMES_MAX,
                    });
                }
                entries.insert(name, entry);
            }
            if content.size > len - at {
                return Err(ArchiveError::Truncated);
            }
            // The last padding may be missing.
            at += content.size + content.size.wrapping_neg() % BLOCK as u64;
        }
        Ok(Self(entries))
    }

    /// Finds a file, through links; `None` if it isn't there.
    pub(super) fn file(&self, name: &str) -> Option<Place> {
        let mut name = inside("", name)?;
        for _ in 0..LINKS_MAX {
            match self.0.get(&name)? {
                Entry::File(place) => return Some(*place),
                Entry::Link(target) => name.clone_from(target),
                Entry::Folder => return None,
            }
        }
        None
    }

    /// Every file that isn't a link.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, Place)> {
        self.0.iter().filter_map(|(name, entry)| match entry {
            Entry::File(place) => Some((name.as_str(), *place)),
            _ => None,
        })
    }

    /// The folders at the top, sorted by name.
    pub(super) fn top_folders(&self) -> BTreeSet<String> {
        let tops = self.0.iter().filter_map(|(name, entry)| {
            let top = name.split('/').next()?;
            let is_folder = top.len() < name.len() || matches!(entry, Entry::Folder);
            is_folder.then_some(top)
        });
        let named = tops.filter(|top| !top.is_empty());
        named.map(str::to_owned).collect()
    }
}

/// One header: what it names, and how many bytes follow it.
struct Content {
    entry: Option<(String, Entry)>,
    size: u64,
}

fn read_one(file: &File, block: &Block, at: u64, len: u64, ahead: &mut Ahead) -> Result<Content> {
    let head = Header::read(block).map_err(header)?;
    let size = head.size().map_err(header)?;
    let max = match head.kind() {
        Kind::Pax | Kind::PaxGlobal => PAX_MAX,
        Kind::LongName | Kind::LongLink => NAME_MAX,
        kind => return entry(block, &head, kind, size, std::mem::take(ahead)),
    };
    if size > max {
        return Err(header(TarProblem::NameTooLong));
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
    read_at(file, &mut bytes, at, len)?;
    match head.kind() {
        Kind::LongName => ahead.name = Some(bytes),
        Kind::LongLink => ahead.link = Some(bytes),
        kind => {
            let pax = Pax::parse(&bytes).map_err(header)?;
            if kind == Kind::Pax {
                ahead.pax = bytes;
            } else if pax.size.is_some() || pax.real_size.is_some() {
                return Err(header(TarProblem::GlobalSize));
            }
        }
    }
    Ok(Content { entry: None, size })
}

/// An entry proper.
fn entry(block: &Block, head: &Header<'_>, kind: Kind, size: u64, ahead: Ahead) -> Result<Content> {
    let pax = Pax::parse(&ahead.pax).map_err(header)?;
    let name = ahead.name.as_deref().map(text).or(pax.path);
    let mut full = Vec::new();
    if name.is_none() && &block[257..263] == b"ustar\0" {
        // POSIX: the beginning of a long name.
        full.extend_from_slice(text(&block[345..500]));
        if !full.is_empty() {
            full.push(b'/');
        }
    }
    full.extend_from_slice(name.unwrap_or(head.name()));
    let raw = String::from_utf8_lossy(&full).into_owned();
    let refuse = |what| {
        let name = raw.clone();
        Err(ArchiveError::Entry { what, name })
    };
    if full.starts_with(b"/") || std::str::from_utf8(&full).is_err() {
        return refuse("a name that is absolute or not UTF-8");
    }
    let Some(name) = inside("", &raw) else {
        return refuse("a name that leads out of it");
    };
    let stored = pax.size.unwrap_or(size);
    let target = ahead.link.as_deref().map(text).or(pax.link);
    let target = String::from_utf8_lossy(target.unwrap_or(head.link())).into_owned();
    let (entry, size) = match (kind, block[156]) {
        (Kind::Sparse, _) => return refuse("a file with holes"),
        _ if pax.real_size.is_some() => return refuse("a file with holes"),
        (Kind::Bare, b'5') => (Entry::Folder, 0),
        (Kind::Regular, _) if raw.ends_with('/') => (Entry::Folder, 0),
        (Kind::Regular, _) => {
            let offset = 0;
            (
                Entry::File(Place {
                    offset,
                    size: stored,
                }),
                stored,
            )
        }
        (Kind::Symlink, _) | (Kind::Bare, b'1') => {
            // A symbolic link counts from its folder, a hard link from the archive's top.
            let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
            let from = if kind == Kind::Symlink { folder } else { "" };
            match inside(from, &target) {
                Some(target) if !target.is_empty() => (Entry::Link(target), 0),
                _ => return refuse("a link that leads out of it"),
            }
        }
        (Kind::Bare, _) => return refuse("a device or a pipe"),
        // A volume's label, a folder's listing.
        _ => {
            return Ok(Content {
                entry: None,
                size: stored,
            });
        }
    };
    Ok(Content {
        entry: Some((name, entry)),
        size,
    })
}

/// `name`, seen from `folder`, from the top; `None` if it leads out, or is absolute.
fn inside(folder: &str, name: &str) -> Option<String> {
    if name.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(name.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn read_at(file: &File, bytes: &mut [u8], at: u64, len: u64) -> Result<()> {
    if bytes.len() as u64 > len.saturating_sub(at) {
        return Err(ArchiveError::Truncated);
    }
    file.read_exact_at(bytes, at)?;
    Ok(())
}

fn header(problem: TarProblem) -> ArchiveError {
    ArchiveError::Header(problem.to_string())
}
