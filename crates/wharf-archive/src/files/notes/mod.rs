//! Notes: what is in a layer, written down while it passes.
//!
//! ```text
//! magic  { folder { entry }… }…  { window }…  { point }…  trailer
//! ```
//!
//! Entries stand in the archive's order, since the order counts. They are read where they lie: the
//! whole part is one buffer, and [`Entry`] is a view of it. An entry has the last word of its name
//! only; what is before it stands once, in front of the entries that share it.
//!
//! Numbers are little-endian, and the trailer at the end says where the parts are. Notes can be lost
//! and made again, so nothing is done about those that are damaged, cut off or of another version: they
//! count as not there. What cannot be written ends the notes and not the layer.

#[cfg(test)]
pub(super) mod made;
mod points;
mod read;
mod write;

#[cfg(test)]
pub(super) use points::count as points_count;
pub(super) use points::point_before;
pub use read::Layer;
pub(crate) use read::Record;
pub(crate) use write::NotesWriter;

#[cfg(doc)]
use super::Entry;

/// What notes begin with; the last byte but one is the version.
const MAGIC: [u8; 8] = *b"wnotes\x03\n";

/// Bounds the part with the entries, in bytes, since it is read into memory: 1 GiB holds some ten million
/// entries, five times what the largest real layers have.
const ENTRIES_MAX: u64 = 1 << 30;

/// The first byte of a folder's record, where an entry has its kind.
const FOLDER: u8 = 7;

/// The part of a folder's record, and of an entry's, that is there whatever it says, in bytes.
const FOLDER_LEN: usize = 8;
const ENTRY_LEN: usize = 88;

/// Where the fields of an entry are. Those from `OFFSET` on are known once its content has passed.
mod field {
    pub(super) const KIND: usize = 0;
    pub(super) const FORM: usize = 1;
    pub(super) const MODE: usize = 2;
    pub(super) const NAME: usize = 4;
    pub(super) const LINK: usize = 8;
    pub(super) const XATTRS: usize = 12;
    pub(super) const MAP: usize = 16;
    pub(super) const NANOS: usize = 20;
    pub(super) const UID: usize = 24;
    pub(super) const GID: usize = 32;
    pub(super) const MTIME: usize = 40;
    pub(super) const SIZE: usize = 48;
    pub(super) const STORED: usize = 56;
    pub(super) const OFFSET: usize = 64;
    pub(super) const HASH: usize = 72;
}

/// The trailer's length, in bytes.
const TRAILER_LEN: usize = 48;

/// The end of a file of notes: where its parts are, and whether they are what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Trailer {
    /// How many bytes the entries' part has, with the magic.
    entries_end: u64,
    /// How many entries there are.
    entries: u64,
    entries_sum: u64,
    /// Where the points are: behind their windows, and up to here.
    points: u64,
    points_sum: u64,
}

impl Trailer {
    fn encode(&self) -> [u8; TRAILER_LEN] {
        let mut bytes = [0; TRAILER_LEN];
        let numbers = [
            self.entries_end,
            self.entries,
            self.entries_sum,
            self.points,
            self.points_sum,
        ];
        for (field, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            field.copy_from_slice(&number.to_le_bytes());
        }
        let sum = xxhash_rust::xxh3::xxh3_64(&bytes[..TRAILER_LEN - 8]);
        bytes[TRAILER_LEN - 8..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// `None` if it is not what was written.
    fn decode(bytes: &[u8; TRAILER_LEN]) -> Option<Self> {
        let number = |at: usize| u64::from_le_bytes(array(bytes, 8 * at));
        let trailer = Self {
            entries_end: number(0),
            entries: number(1),
            entries_sum: number(2),
            points: number(3),
            points_sum: number(4),
        };
        (trailer.encode() == *bytes).then_some(trailer)
    }
}

/// The bytes at a place; zeros where there are none.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let found = bytes.get(at..).and_then(<[u8]>::first_chunk);
    found.copied().unwrap_or([0; N])
}

/// Takes a text off, which has its length in four bytes before it.
pub(super) fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (text, behind) = behind.split_at_checked(length)?;
    *rest = behind;
    Some(text)
}
