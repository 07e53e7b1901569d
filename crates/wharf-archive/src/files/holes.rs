//! Files with holes: an archive stores what lies between them, and a map of where that is.
//!
//! GNU tar has four ways to write the map, and all are read here: its old format, in the header and in
//! blocks behind it (type `S`); in PAX headers, as pairs of records (0.0) or in one (0.1); and as lines
//! of decimal numbers in front of the content (1.0). What of it stands in headers goes into the notes.

use std::io;
use std::ops::Range;

use super::contents::ContentsError;
use super::{Entry, Form};
use crate::layer::header::{BLOCK, Block, Header, map_entries, number};

/// Bounds a map, in pairs: a file of a terabyte with a hole in every 16 MiB. In notes it has 1 MiB then.
const MAP_MAX: usize = 65_536;

/// The length of a pair in notes, in bytes.
const PAIR: usize = 16;

/// Bounds a number in a map of decimal digits.
const DIGITS_MAX: usize = 20;

/// Where the old format's header has the beginning of the map, and a block of its continuation the rest.
const IN_HEADER: Range<usize> = 386..482;
const IN_BLOCK: Range<usize> = 0..504;

/// A map that is put together for the notes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MapWriter {
    form: Form,
    bytes: Vec<u8>,
    /// The place of a pair whose length is still to come.
    half: Option<u64>,
}

impl Default for MapWriter {
    fn default() -> Self {
        Self {
            form: Form::Whole,
            bytes: Vec::new(),
            half: None,
        }
    }
}

impl MapWriter {
    /// A map of this form, with nothing in it.
    pub(crate) fn of(form: Form) -> Self {
        Self {
            form,
            ..Self::default()
        }
    }

    /// What the header of the old format has of it.
    pub(crate) fn of_header(header: &Header<'_>) -> Self {
        let mut map = Self::of(Form::Mapped);
        map.fields(header.field(IN_HEADER));
        map
    }

    /// More of it, in the old format.
    pub(crate) fn block(&mut self, block: &Block) {
        self.fields(&block[IN_BLOCK]);
    }

    fn fields(&mut self, bytes: &[u8]) {
        for (place, length) in map_entries(bytes) {
            match (number(place), number(length)) {
                (Ok(place), Ok(length)) => {
                    self.number(Some(place));
                    self.number(Some(length));
                }
                _ => self.number(None),
            }
        }
    }

    /// The next number of it: a place, then a length; `None` if it is no number.
    pub(crate) fn number(&mut self, number: Option<u64>) {
        let full = self.bytes.len() == MAP_MAX * PAIR;
        match (number, self.half.take()) {
            (Some(number), None) if !full => self.half = Some(number),
            (Some(number), Some(place)) => {
                self.bytes.extend(place.to_le_bytes());
                self.bytes.extend(number.to_le_bytes());
            }
            _ => {
                self.form = Form::Unknown;
                self.bytes.clear();
            }
        }
    }

    /// How the archive stores the file.
    pub(crate) fn form(&self) -> Form {
        if self.half.is_some() {
            return Form::Unknown;
        }
        self.form
    }

    /// What the notes have of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self.form() {
            Form::Mapped => &self.bytes,
            _ => &[],
        }
    }
}

/// The pairs of a map in notes: where content is in the file, and how long it is.
pub fn pairs(map: &[u8]) -> impl Iterator<Item = (u64, u64)> {
    let number = |bytes: &[u8]| bytes.first_chunk().copied().map_or(0, u64::from_le_bytes);
    map.chunks_exact(PAIR)
        .map(move |pair| (number(pair), number(&pair[8..])))
}

/// Something of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// These bytes.
    Data(&'a [u8]),
    /// As many zeros.
    Hole(u64),
}

/// Takes the pieces of files, in their order, with each file's number.
pub type TakePiece<'a> = &'a mut dyn FnMut(usize, Piece<'_>) -> io::Result<()>;

/// Puts files of one layer together out of what the archive stores of them, one after the other.
#[derive(Debug)]
pub struct Expanding<'a> {
    files: &'a [Entry<'a>],
    /// The numbers of those that have something stored.
    stored: Vec<usize>,
    /// The one with holes that is under way, and how many bytes are still to come of it.
    open: Option<(usize, Expand, u64)>,
}

/// One file with holes.
#[derive(Debug)]
struct Expand {
    size: u64,
    /// How much of the file was given.
    given: u64,
    /// What the archive stores is at these places of the file; the next one is `next`, of which `done` bytes
    /// are there.
    map: Vec<(u64, u64)>,
    next: usize,
    done: u64,
    head: Option<Head>,
}

/// The map in front of the content, as it comes.
#[derive(Debug, Default)]
struct Head {
    text: Vec<u8>,
    passed: usize,
    /// How many numbers are still to come; `None` before the first one, which says it.
    left: Option<usize>,
    place: Option<u64>,
}

impl<'a> Expanding<'a> {
    /// Starts on files, which are sorted by the places of their contents.
    pub fn new(files: &'a [Entry<'a>]) -> Self {
        Self {
            files,
            stored: (0..files.len())
                .filter(|&number| files[number].stored > 0)
                .collect(),
            open: None,
        }
    }

    /// Where what is stored of them is in the unpacked archive: those with nothing stored are left out.
    pub fn ranges(&self) -> Vec<Range<u64>> {
        let ranges = self
            .stored
            .iter()
            .map(|&number| self.files[number].content());
        ranges.collect()
    }

    /// The file that has one of [`Expanding::ranges`].
    pub fn file(&self, range: usize) -> &'a Entry<'a> {
        &self.files[self.stored[range]]
    }

    /// Takes the next bytes of one of [`Expanding::ranges`].
    pub fn write(
        &mut self,
        range: usize,
        bytes: &[u8],
        take: TakePiece<'_>,
    ) -> Result<(), ContentsError> {
        let number = self.stored[range];
        let file = &self.files[number];
        if file.form == Form::Whole {
            return Ok(take(number, Piece::Data(bytes))?);
        }
        let (mut expand, mut left) = match self.open.take().filter(|open| open.0 == number) {
            Some((_, expand, left)) => (expand, left),
            None => (Expand::new(file)?, file.stored),
        };
        expand.write(bytes, &mut |piece| take(number, piece))?;
        left = left.saturating_sub(bytes.len() as u64);
        if left == 0 {
            return expand.finish(&mut |piece| take(number, piece));
        }
        self.open = Some((number, expand, left));
        Ok(())
    }

    /// Everything has come: what is left are the files that are nothing but a hole.
    pub fn finish(self, take: TakePiece<'_>) -> Result<(), ContentsError> {
        for (number, file) in self.files.iter().enumerate() {
            if file.stored == 0 && file.size > 0 {
                Expand::new(file)?.finish(&mut |piece| take(number, piece))?;
            }
        }
        Ok(())
    }
}

type TakeOne<'a> = &'a mut dyn FnMut(Piece<'_>) -> io::Result<()>;

impl Expand {
    /// Starts on a file.
    fn new(entry: &Entry<'_>) -> Result<Self, ContentsError> {
        if entry.form == Form::Unknown {
            return Err(broken());
        }
        let expand = Self {
            size: entry.size,
            given: 0,
            map: pairs(entry.map).collect(),
            next: 0,
            done: 0,
            head: (entry.form == Form::MappedWithin).then(Head::default),
        };
        expand.check()?;
        Ok(expand)
    }

    /// Places go up, nothing overlaps, nothing is behind the end.
    fn check(&self) -> Result<(), ContentsError> {
        let mut end = 0;
        for &(place, length) in &self.map {
            let next = place.checked_add(length).filter(|_| place >= end);
            end = next.filter(|next| *next <= self.size).ok_or_else(broken)?;
        }
        Ok(())
    }

    /// Takes the next bytes that the archive stores, and gives `take` what they are in the file.
    fn write(&mut self, mut bytes: &[u8], take: TakeOne<'_>) -> Result<(), ContentsError> {
        if let Some(head) = &mut self.head {
            let done = head.read(&mut bytes, &mut self.map)?;
            if !done {
                return Ok(());
            }
            self.head = None;
            self.check()?;
        }
        while !bytes.is_empty() {
            let &(place, length) = self.map.get(self.next).ok_or_else(broken)?;
            if self.done == length {
                (self.next, self.done) = (self.next + 1, 0);
                continue;
            }
            self.hole(place, take)?;
            let left = usize::try_from(length - self.done).unwrap_or(usize::MAX);
            let (mine, rest) = bytes.split_at(bytes.len().min(left));
            take(Piece::Data(mine))?;
            self.done += mine.len() as u64;
            self.given += mine.len() as u64;
            bytes = rest;
        }
        Ok(())
    }

    /// Everything has come: what is left is the hole at the end.
    fn finish(mut self, take: TakeOne<'_>) -> Result<(), ContentsError> {
        let missing = self.map.iter().skip(self.next).map(|(_, length)| length);
        if self.head.is_some() || missing.copied().sum::<u64>() != self.done {
            return Err(broken());
        }
        self.hole(self.size, take)
    }

    fn hole(&mut self, to: u64, take: TakeOne<'_>) -> Result<(), ContentsError> {
        if self.given < to {
            take(Piece::Hole(to - self.given))?;
            self.given = to;
        }
        Ok(())
    }
}

impl Head {
    /// Takes the map off `bytes`, and the zeros behind it; true if it is complete.
    fn read(
        &mut self,
        bytes: &mut &[u8],
        map: &mut Vec<(u64, u64)>,
    ) -> Result<bool, ContentsError> {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.left == Some(0) && self.passed.is_multiple_of(BLOCK) {
                return Ok(true);
            }
            *bytes = rest;
            self.passed += 1;
            match (self.left, byte) {
                (Some(0), _) => {}
                (_, b'\n') => self.number(map)?,
                (_, b'0'..=b'9') if self.text.len() < DIGITS_MAX => self.text.push(byte),
                _ => return Err(broken()),
            }
        }
        Ok(self.left == Some(0) && self.passed.is_multiple_of(BLOCK))
    }

    fn number(&mut self, map: &mut Vec<(u64, u64)>) -> Result<(), ContentsError> {
        let text = std::mem::take(&mut self.text);
        let number = str::from_utf8(&text)
            .ok()
            .and_then(|text| text.parse().ok());
        let number: u64 = number.ok_or_else(broken)?;
        let Some(left) = &mut self.left else {
            let pairs = usize::try_from(number)
                .ok()
                .filter(|count| *count <= MAP_MAX);
            self.left = Some(2 * pairs.ok_or_else(broken)?);
            return Ok(());
        };
        *left -= 1;
        match self.place.take() {
            None => self.place = Some(number),
            Some(place) => map.push((place, number)),
        }
        Ok(())
    }
}

fn broken() -> ContentsError {
    ContentsError::Layer("the map of a file's holes cannot be read".to_owned())
}

#[cfg(test)]
mod tests;
