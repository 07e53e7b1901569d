//! Notes: what is in a layer, written down while it passes.
//!
//! ```text
//! magic  { length  entry }…  0  number of entries  checksum
//! { point }…  checksum  place of the first point
//! ```
//!
//! Numbers are little-endian. Notes can be lost and made again, so nothing is done about those that
//! are damaged, cut off or of another version: they count as not there. What cannot be written ends the
//! notes and not the layer.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt as _;

use wharf_core::layer::Notes;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::{Entry, Kind};
use crate::layer::header::{Header, Kind as HeaderKind};
use crate::layer::limits::{NAME_MAX, PAX_MAX};
use crate::layer::pax::Pax;
use crate::layer::seek::Point;

/// What notes begin with; the last byte but one is the version.
const MAGIC: [u8; 8] = *b"wnotes\x02\n";

/// Bounds one entry: two names and the attributes of a PAX header.
const ENTRY_MAX: u64 = 2 * NAME_MAX + PAX_MAX + 1024;

/// Bounds all points of a layer, in bytes: there are 256 at most, with a window of 32 KiB each.
const POINTS_MAX: u64 = 256 * 40 * 1024;

/// Writes notes.
pub(crate) struct NotesWriter {
    out: Option<BufWriter<Notes>>,
    sum: Box<Xxh3>,
    content: Box<Xxh3>,
    /// The entry whose content passes, and whether its place is known.
    pending: Option<Entry>,
    placed: bool,
    count: u64,
    length: u64,
    points: Vec<Point>,
}

impl NotesWriter {
    pub(crate) fn new(out: Notes) -> Self {
        let mut writer = Self {
            out: Some(BufWriter::new(out)),
            sum: Box::new(Xxh3::new()),
            content: Box::new(Xxh3::new()),
            pending: None,
            placed: false,
            count: 0,
            length: 0,
            points: Vec::new(),
        };
        writer.write(&MAGIC);
        writer
    }

    /// An entry begins.
    pub(crate) fn entry(
        &mut self,
        header: &Header<'_>,
        kind: HeaderKind,
        is_folder: bool,
        pax: &Pax<'_>,
        (name, link): (Option<&[u8]>, Option<&[u8]>),
        (size, stored): (u64, u64),
    ) {
        let kind = match (kind, header.letter()) {
            (HeaderKind::Regular, _) if is_folder => Kind::Folder,
            (HeaderKind::Regular | HeaderKind::Sparse, _) => Kind::File,
            (HeaderKind::Symlink, _) => Kind::Symlink,
            (HeaderKind::Bare, b'1') => Kind::HardLink,
            (HeaderKind::Bare, b'3') => Kind::CharDevice,
            (HeaderKind::Bare, b'4') => Kind::BlockDevice,
            (HeaderKind::Bare, b'5') => Kind::Folder,
            (HeaderKind::Bare, _) => Kind::Fifo,
            _ => return,
        };
        let name = name.or(pax.path).map(<[u8]>::to_vec);
        let link = link.or(pax.link).unwrap_or_else(|| header.link());
        let is_link = matches!(kind, Kind::Symlink | Kind::HardLink);
        let (uid, gid) = header.owner();
        let (mtime, nanos) = pax.mtime.unwrap_or_else(|| (header.mtime(), 0));
        let owned = |(name, value): &(&[u8], &[u8])| (name.to_vec(), value.to_vec());
        self.content.reset();
        self.placed = false;
        self.pending = Some(Entry {
            name: name.unwrap_or_else(|| header.whole_name()),
            kind,
            mode: header.mode(),
            uid: pax.uid.unwrap_or(uid),
            gid: pax.gid.unwrap_or(gid),
            mtime,
            nanos,
            size: if kind == Kind::File { size } else { 0 },
            link: if is_link { link.to_vec() } else { Vec::new() },
            device: header.device(),
            offset: 0,
            stored,
            sparse: pax.real_size.is_some() || header.letter() == b'S',
            hash: 0,
            xattrs: pax.xattrs.iter().map(owned).collect(),
        });
    }

    /// The next byte of the archive is at this place.
    pub(crate) fn begins_at(&mut self, offset: u64) {
        if let Some(entry) = self.pending.as_mut().filter(|_| !self.placed) {
            entry.offset = offset;
            self.placed = true;
        }
    }

    /// Content of the entry.
    pub(crate) fn content(&mut self, bytes: &[u8]) {
        if self.pending.is_some() {
            self.content.update(bytes);
        }
    }

    /// The entry has ended.
    pub(crate) fn ends(&mut self) {
        let Some(mut entry) = self.pending.take() else {
            return;
        };
        if entry.stored > 0 {
            entry.hash = self.content.digest128();
        }
        let mut bytes = Vec::with_capacity(128 + entry.name.len() + entry.link.len());
        encode(&entry, &mut bytes);
        let Some(length) = u32::try_from(bytes.len())
            .ok()
            .filter(|length| u64::from(*length) <= ENTRY_MAX)
        else {
            self.out = None;
            return;
        };
        self.write(&length.to_le_bytes());
        self.write(&bytes);
        self.count += 1;
    }

    /// Where the layer can be unpacked from.
    pub(crate) fn points(&mut self, points: Vec<Point>) {
        self.points = points;
    }

    /// Everything has passed, and is right.
    pub(crate) fn finish(mut self) {
        self.ends();
        self.write(&0_u32.to_le_bytes());
        self.write(&self.count.to_le_bytes());
        let sum = self.sum.digest();
        self.write(&sum.to_le_bytes());
        let (start, mut bytes) = (self.length, Vec::new());
        for point in std::mem::take(&mut self.points) {
            encode_point(&point, &mut bytes);
        }
        self.write(&bytes);
        self.write(&xxh3_64(&bytes).to_le_bytes());
        self.write(&start.to_le_bytes());
        let flushed = self.out.take().map(|mut out| out.flush());
        tracing::trace!(?flushed, entries = self.count, "notes");
    }

    fn write(&mut self, bytes: &[u8]) {
        self.sum.update(bytes);
        self.length += bytes.len() as u64;
        let Some(out) = &mut self.out else { return };
        if let Err(error) = out.write_all(bytes) {
            tracing::debug!(%error, "the notes of a layer end here");
            self.out = None;
        }
    }
}

fn encode(entry: &Entry, out: &mut Vec<u8>) {
    let kind = match entry.kind {
        Kind::File => 0,
        Kind::Folder => 1,
        Kind::Symlink => 2,
        Kind::HardLink => 3,
        Kind::CharDevice => 4,
        Kind::BlockDevice => 5,
        Kind::Fifo => 6,
    };
    out.extend([kind, u8::from(entry.sparse)]);
    out.extend(entry.mode.to_le_bytes());
    out.extend(entry.nanos.to_le_bytes());
    for number in [
        entry.uid,
        entry.gid,
        entry.mtime.cast_unsigned(),
        entry.size,
        entry.offset,
        entry.stored,
    ] {
        out.extend(number.to_le_bytes());
    }
    out.extend(entry.device.0.to_le_bytes());
    out.extend(entry.device.1.to_le_bytes());
    out.extend(entry.hash.to_le_bytes());
    text(&entry.name, out);
    text(&entry.link, out);
    for (name, value) in &entry.xattrs {
        text(name, out);
        text(value, out);
    }
}

fn text(bytes: &[u8], out: &mut Vec<u8>) {
    // An entry has fewer bytes than this counts; see ENTRY_MAX.
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(bytes);
}

fn encode_point(point: &Point, out: &mut Vec<u8>) {
    out.extend(point.packed.to_le_bytes());
    out.extend(point.unpacked.to_le_bytes());
    out.extend([point.bits, point.byte]);
    text(&point.window, out);
}

/// Reads the points of notes; none if they are damaged.
pub(super) fn points(notes: &File) -> io::Result<Vec<Point>> {
    let length = notes.metadata()?.len();
    let mut place = [0; 8];
    let Some(end) = length.checked_sub(16).filter(|end| *end >= 24) else {
        return Ok(Vec::new());
    };
    notes.read_exact_at(&mut place, length - 8)?;
    let start = u64::from_le_bytes(place);
    let Some(size) = end.checked_sub(start).filter(|size| *size <= POINTS_MAX) else {
        return Ok(Vec::new());
    };
    let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
    notes.read_exact_at(&mut bytes, start)?;
    notes.read_exact_at(&mut place, end)?;
    if u64::from_le_bytes(place) != xxh3_64(&bytes) {
        return Ok(Vec::new());
    }
    let (mut rest, mut all) = (&bytes[..], Vec::new());
    while let Some(point) = decode_point(&mut rest) {
        all.push(point);
    }
    Ok(all)
}

fn decode_point(rest: &mut &[u8]) -> Option<Point> {
    let packed = u64::from_le_bytes(array(rest)?);
    let unpacked = u64::from_le_bytes(array(rest)?);
    let [bits, byte] = array(rest)?;
    let window = string(rest)?;
    (bits < 8).then_some(Point {
        packed,
        unpacked,
        bits,
        byte,
        window,
    })
}

/// Reads notes; `None` if they are damaged, cut off or of another version.
pub fn read(from: impl Read) -> io::Result<Option<Vec<Entry>>> {
    let mut from = BufReader::with_capacity(256 * 1024, from);
    let mut sum = Xxh3::new();
    let mut magic = [0; MAGIC.len()];
    if !fill(&mut from, &mut magic)? || magic != MAGIC {
        return Ok(None);
    }
    sum.update(&magic);
    let (mut all, mut bytes) = (Vec::new(), Vec::new());
    loop {
        let mut length = [0; 4];
        if !fill(&mut from, &mut length)? {
            return Ok(None);
        }
        sum.update(&length);
        let length = u32::from_le_bytes(length);
        if length == 0 {
            break;
        }
        if u64::from(length) > ENTRY_MAX {
            return Ok(None);
        }
        bytes.resize(length as usize, 0);
        if !fill(&mut from, &mut bytes)? {
            return Ok(None);
        }
        sum.update(&bytes);
        let Some(entry) = decode(&bytes) else {
            return Ok(None);
        };
        all.push(entry);
    }
    let (mut count, mut expected) = ([0; 8], [0; 8]);
    if !fill(&mut from, &mut count)? || !fill(&mut from, &mut expected)? {
        return Ok(None);
    }
    sum.update(&count);
    let whole = u64::from_le_bytes(count) == all.len() as u64
        && u64::from_le_bytes(expected) == sum.digest();
    Ok(whole.then_some(all))
}

/// Reads exactly as many bytes; false if there are fewer.
fn fill(from: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn decode(bytes: &[u8]) -> Option<Entry> {
    let mut rest = bytes;
    let [kind, sparse] = array(&mut rest)?;
    let kind = match kind {
        0 => Kind::File,
        1 => Kind::Folder,
        2 => Kind::Symlink,
        3 => Kind::HardLink,
        4 => Kind::CharDevice,
        5 => Kind::BlockDevice,
        6 => Kind::Fifo,
        _ => return None,
    };
    let mode = u32::from_le_bytes(array(&mut rest)?);
    let nanos = u32::from_le_bytes(array(&mut rest)?);
    let mut number = || Some(u64::from_le_bytes(array(&mut rest)?));
    let (uid, gid, mtime) = (number()?, number()?, number()?.cast_signed());
    let (size, offset, stored) = (number()?, number()?, number()?);
    let device = (
        u32::from_le_bytes(array(&mut rest)?),
        u32::from_le_bytes(array(&mut rest)?),
    );
    let hash = u128::from_le_bytes(array(&mut rest)?);
    let (name, link) = (string(&mut rest)?, string(&mut rest)?);
    let mut xattrs = Vec::new();
    while !rest.is_empty() {
        xattrs.push((string(&mut rest)?, string(&mut rest)?));
    }
    Some(Entry {
        name,
        kind,
        mode,
        uid,
        gid,
        mtime,
        nanos,
        size,
        link,
        device,
        offset,
        stored,
        sparse: sparse != 0,
        hash,
        xattrs,
    })
}

fn array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}

fn string(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let length = u32::from_le_bytes(array(rest)?) as usize;
    let taken = rest.get(..length)?;
    *rest = &rest[length..];
    Some(taken.to_vec())
}
