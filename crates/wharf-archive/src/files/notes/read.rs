//! Reads notes: the entries' part as one buffer, in which everything stays where it is.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;

use xxhash_rust::xxh3::xxh3_64;

use super::{
    ENTRIES_MAX, ENTRY_LEN, FOLDER, FOLDER_LEN, MAGIC, TRAILER_LEN, Trailer, array, field,
};
use crate::files::tree::{WHITEOUT, notes_max};
use crate::files::{Entry, Form, Kind};

/// What is in a layer.
pub struct Layer {
    /// The entries' part of its notes. Every record in it is whole.
    bytes: Vec<u8>,
    entries: usize,
    /// It has entries that begin like whiteouts.
    whiteouts: bool,
}

/// What is at a place of a layer's notes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Record<'a> {
    /// What stands before the last word of the names that follow.
    Above(&'a [u8]),
    /// An entry: its kind and the last word of its name; the rest is looked at when it is needed.
    Entry {
        kind: Kind,
        name: &'a [u8],
        link: &'a [u8],
    },
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Layer({} entries)", self.entries)
    }
}

/// Reads the trailer of notes; `None` if there is none.
pub(super) fn trailer(notes: &File) -> io::Result<Option<Trailer>> {
    let mut trailer = [0; TRAILER_LEN];
    let length = notes.metadata()?.len();
    let Some(start) = length.checked_sub(TRAILER_LEN as u64) else {
        return Ok(None);
    };
    match notes.read_exact_at(&mut trailer, start) {
        Ok(()) => {}
        // It became shorter under our hands.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    Ok(Trailer::decode(&trailer)
        .filter(|trailer| trailer.entries_end <= trailer.points && trailer.points <= start))
}

impl Layer {
    /// Reads notes; `None` if they are damaged, cut off or of another version.
    pub fn read(mut notes: &File) -> io::Result<Option<Self>> {
        let Some(trailer) =
            trailer(notes)?.filter(|t| t.entries_end <= ENTRIES_MAX.min(notes_max(t.entries)))
        else {
            return Ok(None);
        };
        let length = usize::try_from(trailer.entries_end).unwrap_or_default();
        let mut bytes = Vec::with_capacity(length);
        notes.seek(SeekFrom::Start(0))?;
        notes.take(trailer.entries_end).read_to_end(&mut bytes)?;
        let whole = xxh3_64(&bytes) == trailer.entries_sum;
        let layer = whole.then(|| Self::over(bytes)).flatten();
        Ok(layer.filter(|layer| layer.entries as u64 == trailer.entries))
    }

    /// Takes the entries' part of notes, whatever their trailer says; `None` if a record is not whole.
    pub fn over(bytes: Vec<u8>) -> Option<Self> {
        let (mut at, mut entries, mut whiteouts) = (MAGIC.len(), 0, false);
        if !bytes.starts_with(&MAGIC) || bytes.len() as u64 > ENTRIES_MAX {
            return None;
        }
        while at < bytes.len() {
            let length = record_len(bytes.get(at..)?)?;
            if bytes[at] != FOLDER {
                entries += 1;
                let name = bytes.get(at + ENTRY_LEN..).unwrap_or_default();
                whiteouts |= name.starts_with(WHITEOUT);
            }
            at = at.checked_add(length).filter(|end| *end <= bytes.len())?;
        }
        Some(Self {
            bytes,
            entries,
            whiteouts,
        })
    }

    /// How many entries it has.
    pub const fn entries(&self) -> usize {
        self.entries
    }

    /// Tells whether it may have whiteouts.
    pub(crate) const fn has_whiteouts(&self) -> bool {
        self.whiteouts
    }

    /// Returns how many bytes its notes have.
    pub(crate) const fn length(&self) -> usize {
        self.bytes.len()
    }

    /// All entries, in the archive's order.
    pub fn all(&self) -> impl Iterator<Item = Entry<'_>> {
        let entries = self.records();
        entries.filter_map(|(place, record)| match record {
            Record::Above(_) => None,
            Record::Entry { .. } => Some(self.entry(place)),
        })
    }

    /// The records, in the archive's order, each with its place.
    pub(crate) fn records(&self) -> impl Iterator<Item = (u32, Record<'_>)> {
        let mut at = MAGIC.len();
        std::iter::from_fn(move || {
            let bytes = self.bytes.get(at..).filter(|bytes| !bytes.is_empty())?;
            // What is in memory is bounded by ENTRIES_MAX.
            let place = u32::try_from(at).ok()?;
            at += record_len(bytes)?;
            if bytes[field::KIND] == FOLDER {
                let length = text_len(bytes, field::NAME);
                return Some((
                    place,
                    Record::Above(&bytes[FOLDER_LEN..FOLDER_LEN + length]),
                ));
            }
            let link = ENTRY_LEN + text_len(bytes, field::NAME);
            let record = Record::Entry {
                kind: kind(bytes[field::KIND])?,
                name: &bytes[ENTRY_LEN..link],
                link: &bytes[link..link + text_len(bytes, field::LINK)],
            };
            Some((place, record))
        })
    }

    /// The entry at a place that [`Layer::records`] gave.
    pub(crate) fn entry(&self, place: u32) -> Entry<'_> {
        let bytes = usize::try_from(place).ok();
        let bytes = bytes.and_then(|at| self.bytes.get(at..));
        let bytes = bytes.unwrap_or_default();
        let u64_at = |at| u64::from_le_bytes(array(bytes, at));
        let mut rest = bytes.get(ENTRY_LEN..).unwrap_or_default();
        let mut text = |length: usize| {
            let (text, behind) = rest.split_at_checked(length).unwrap_or_default();
            rest = behind;
            text
        };
        let kind = kind(*bytes.first().unwrap_or(&FOLDER)).unwrap_or(Kind::Folder);
        let size = u64_at(field::SIZE);
        let is_device = matches!(kind, Kind::CharDevice | Kind::BlockDevice);
        let half = |number: u64| u32::try_from(number & 0xffff_ffff).unwrap_or(0);
        Entry {
            name: text(text_len(bytes, field::NAME)),
            link: text(text_len(bytes, field::LINK)),
            attributes: text(text_len(bytes, field::XATTRS)),
            map: text(text_len(bytes, field::MAP)),
            kind,
            mode: u16::from_le_bytes(array(bytes, field::MODE)).into(),
            uid: u64_at(field::UID),
            gid: u64_at(field::GID),
            mtime: u64_at(field::MTIME).cast_signed(),
            nanos: u32::from_le_bytes(array(bytes, field::NANOS)),
            size: if is_device { 0 } else { size },
            device: if is_device {
                (half(size >> 32), half(size))
            } else {
                (0, 0)
            },
            offset: u64_at(field::OFFSET),
            stored: u64_at(field::STORED),
            form: match bytes.get(field::FORM) {
                Some(0) => Form::Whole,
                Some(1) => Form::Mapped,
                Some(2) => Form::MappedWithin,
                _ => Form::Unknown,
            },
            hash: u128::from_le_bytes(array(bytes, field::HASH)),
        }
    }
}

fn text_len(record: &[u8], at: usize) -> usize {
    usize::try_from(u32::from_le_bytes(array(record, at))).unwrap_or(usize::MAX)
}

/// How long the record is with which the bytes begin; `None` if it is none, or its fixed part is cut off.
fn record_len(bytes: &[u8]) -> Option<usize> {
    let first = *bytes.first()?;
    if first == FOLDER {
        bytes.get(..FOLDER_LEN)?;
        return FOLDER_LEN.checked_add(text_len(bytes, field::NAME));
    }
    kind(first)?;
    let bytes = bytes.get(..ENTRY_LEN)?;
    [field::NAME, field::LINK, field::XATTRS, field::MAP]
        .into_iter()
        .try_fold(ENTRY_LEN, |sum, at| sum.checked_add(text_len(bytes, at)))
}

const fn kind(number: u8) -> Option<Kind> {
    Some(match number {
        0 => Kind::File,
        1 => Kind::Folder,
        2 => Kind::Symlink,
        3 => Kind::HardLink,
        4 => Kind::CharDevice,
        5 => Kind::BlockDevice,
        6 => Kind::Fifo,
        _ => return None,
    })
}
