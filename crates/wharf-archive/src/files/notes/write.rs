//! Writes notes, entry by entry, without holding more than one.

use std::io::{BufWriter, Write as _};

use wharf_core::layer::Notes;
use xxhash_rust::xxh3::Xxh3;

use super::points::Points;
use super::{ENTRIES_MAX, ENTRY_LEN, FOLDER, FOLDER_LEN, MAGIC, Trailer, field};
use crate::files::holes::MapWriter;
use crate::files::tree::notes_max;
use crate::files::{Form, Kind};
use crate::layer::header::{Block, Header, Kind as HeaderKind};
use crate::layer::pax::Pax;
use crate::layer::seek::Point;

/// Writes notes.
pub(crate) struct NotesWriter {
    out: Option<BufWriter<Notes>>,
    sum: Box<Xxh3>,
    content: Box<Xxh3>,
    /// What stands before the last word of the names of the entries that are written now.
    above: Vec<u8>,
    /// The entry whose content passes, if there is one, and whether its place is known.
    record: Vec<u8>,
    stored: u64,
    map: MapWriter,
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
            above: Vec::new(),
            record: Vec::new(),
            stored: 0,
            map: MapWriter::default(),
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
        let whole;
        let name = if let Some(name) = name.or(pax.path) {
            name
        } else {
            whole = header.whole_name();
            &whole
        };
        let base = self.begin(name);
        let link = match kind {
            Kind::Symlink | Kind::HardLink => link.or(pax.link).unwrap_or_else(|| header.link()),
            _ => &[],
        };
        let size = match kind {
            Kind::File => size,
            // A device has no size, but two numbers.
            Kind::CharDevice | Kind::BlockDevice => {
                u64::from(header.device().0) << 32 | u64::from(header.device().1)
            }
            _ => 0,
        };
        let (uid, gid) = header.owner();
        let (mtime, nanos) = pax.mtime.unwrap_or_else(|| (header.mtime(), 0));
        self.record.resize(ENTRY_LEN, 0);
        self.record[field::KIND] = number_of(kind);
        self.put(field::MODE, &header.mode().to_le_bytes()[..2]);
        self.put(field::NANOS, &nanos.to_le_bytes());
        self.put(field::UID, &pax.uid.unwrap_or(uid).to_le_bytes());
        self.put(field::GID, &pax.gid.unwrap_or(gid).to_le_bytes());
        self.put(field::MTIME, &mtime.to_le_bytes());
        self.put(field::SIZE, &size.to_le_bytes());
        self.put(field::STORED, &stored.to_le_bytes());
        self.text(field::NAME, |out| out.extend(base));
        self.text(field::LINK, |out| out.extend(link));
        self.text(field::XATTRS, |out| {
            for text in pax.xattrs.iter().flat_map(|(name, value)| [name, value]) {
                out.extend(length(text).to_le_bytes());
                out.extend(*text);
            }
        });
        self.stored = stored;
        self.map = if header.letter() == b'S' {
            MapWriter::of_header(header)
        } else {
            pax.map.clone()
        };
    }

    /// Starts a record, behind its folder's if that is another one now; gives the name's last word.
    fn begin<'a>(&mut self, name: &'a [u8]) -> &'a [u8] {
        let (above, base) = split(name);
        self.content.reset();
        self.placed = false;
        self.record.clear();
        if above != self.above {
            self.above.clear();
            self.above.extend(above);
            let mut record = [0; FOLDER_LEN];
            record[field::KIND] = FOLDER;
            record[field::NAME..].copy_from_slice(&length(above).to_le_bytes());
            self.write(&record);
            self.write(above);
        }
        base
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.record[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Appends a text, whose length has its own field.
    fn text(&mut self, at: usize, append: impl FnOnce(&mut Vec<u8>)) {
        let before = self.record.len();
        append(&mut self.record);
        let length = length(&self.record[before..]);
        self.put(at, &length.to_le_bytes());
    }

    /// More of a sparse file's map.
    pub(crate) fn map(&mut self, block: &Block) {
        self.map.block(block);
    }

    /// The next byte of the archive is at this place.
    pub(crate) fn begins_at(&mut self, offset: u64) {
        if !self.placed && !self.record.is_empty() {
            self.put(field::OFFSET, &offset.to_le_bytes());
            self.placed = true;
        }
    }

    /// Content of the entry.
    pub(crate) fn content(&mut self, bytes: &[u8]) {
        if !self.record.is_empty() {
            self.content.update(bytes);
        }
    }

    /// The entry has ended.
    pub(crate) fn ends(&mut self) {
        if self.record.is_empty() {
            return;
        }
        if self.stored > 0 {
            let hash = self.content.digest128();
            self.put(field::HASH, &hash.to_le_bytes());
        }
        let map = std::mem::take(&mut self.map);
        self.record[field::FORM] = match map.form() {
            Form::Whole => 0,
            Form::Mapped => 1,
            Form::MappedWithin => 2,
            Form::Unknown => 3,
        };
        self.text(field::MAP, |out| out.extend(map.bytes()));
        let record = std::mem::take(&mut self.record);
        self.write(&record);
        self.record = record;
        self.record.clear();
        self.count += 1;
        if self.length > ENTRIES_MAX.min(notes_max(self.count)) {
            tracing::debug!("there is too much in a layer for notes");
            self.out = None;
        }
    }

    /// Where the layer can be unpacked from.
    pub(crate) fn points(&mut self, points: Vec<Point>) {
        self.points = points;
    }

    /// Everything has passed, and is right.
    pub(crate) fn finish(mut self) {
        self.ends();
        let (entries_end, entries_sum) = (self.length, self.sum.digest());
        let mut points = Points::new(self.length);
        for point in std::mem::take(&mut self.points) {
            self.write(&point.window);
            points.push(&point);
        }
        let trailer = Trailer {
            entries_end,
            entries: self.count,
            entries_sum,
            points: self.length,
            points_sum: points.sum(),
        };
        self.write(points.bytes());
        self.write(&trailer.encode());
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

pub(super) const fn number_of(kind: Kind) -> u8 {
    match kind {
        Kind::File => 0,
        Kind::Folder => 1,
        Kind::Symlink => 2,
        Kind::HardLink => 3,
        Kind::CharDevice => 4,
        Kind::BlockDevice => 5,
        Kind::Fifo => 6,
    }
}

/// A name or a header's part, which the walk has bounded.
fn length(text: &[u8]) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

/// A name's last word, and what is before it. Slashes and dots behind it say nothing.
fn split(mut name: &[u8]) -> (&[u8], &[u8]) {
    loop {
        let start = name.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
        let (above, base) = name.split_at(start);
        match (above, base) {
            ([], b".") => return (&[], &[]),
            ([], _) => return (&[], base),
            (_, b"" | b".") => name = &above[..start - 1],
            _ => return (above, base),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_before_its_last_word() {
        for (name, above, base) in [
            ("a", "", "a"),
            ("./etc/", "./", "etc"),
            ("etc//hosts", "etc//", "hosts"),
            ("a/b/././", "a/", "b"),
            ("/x", "/", "x"),
            ("", "", ""),
            (".", "", ""),
            ("./", "", ""),
            ("//", "", ""),
            ("a/..", "a/", ".."),
        ] {
            let expected = (above.as_bytes(), base.as_bytes());
            assert_eq!(split(name.as_bytes()), expected, "{name}");
        }
    }
}
