//! Walks over a layer's archive while it passes, from header to header, and adds up what Docker's
//! classic store shows as SIZE.
//!
//! Docker 28.5 unpacks a layer and adds up the files that it finds (overlay2: `directory.Size`). So a
//! file counts with its whole length, holes included; a symbolic link with the length of its target;
//! a hard link not at all, since its file counts already; folders, devices, pipes and whiteouts not at
//! all. (A file that is in one layer twice counts twice here. To know better, one would have to remember
//! every name.)
//!
//! Where readers of tar disagree, this one is Go's `archive/tar`, with which Docker reads: a PAX size
//! wins over the header's, PAX headers belong to the next entry and not to the `L` and `K` headers
//! between (CVE-2025-62518), a link has no content whatever its size says, and what follows the end of
//! the archive is ignored.

use super::fault::{Fault, TarProblem};
use super::header::{BLOCK, Block, Header, Kind, map_goes_on, text};
use super::limits::{Limits, NAME_MAX, PAX_MAX};
use super::pax::Pax;
use super::seek::Point;
use crate::files::notes::NotesWriter;
use crate::files::tree::words;

/// Docker's marks of what a layer deletes begin with this.
const WHITEOUT: &[u8] = b".wh.";

/// Walks over an archive.
pub(super) struct Walk {
    state: State,
    /// A block, of which some bytes are here.
    block: Block,
    filled: usize,
    /// What was read ahead of the next entry.
    ahead: Ahead,
    /// Where the next byte is, from the archive's beginning.
    offset: u64,
    size: u64,
    entries: u64,
    entries_max: u64,
    /// Is a name refused that leads out of the archive?
    inside: bool,
    /// Writes down what is in it, if anybody wants to know.
    notes: Option<NotesWriter>,
}

/// What the bytes that come next are.
enum State {
    /// A header.
    Header,
    /// Content of no interest, and zeros up to the next block.
    Skip { content: u64, padding: u64 },
    /// Content of a header that is about the next entry.
    Read {
        kind: Kind,
        content: u64,
        padding: u64,
        bytes: Vec<u8>,
    },
    /// More of a sparse file's map; then its content.
    Map { content: u64 },
    /// One block of zeros was here: another one ends the archive.
    Zeros,
    /// Whatever comes, it is behind the archive's end.
    End,
}

/// The headers that are about the next entry.
#[derive(Default)]
struct Ahead {
    pax: Option<Vec<u8>>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Walk {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            state: State::Header,
            block: [0; BLOCK],
            filled: 0,
            ahead: Ahead::default(),
            offset: 0,
            size: 0,
            entries: 0,
            entries_max: limits.entries,
            inside: limits.inside,
            notes: None,
        }
    }

    /// Writes down what is in it from here on.
    pub(super) fn note(&mut self, notes: NotesWriter) {
        self.notes = Some(notes);
    }

    /// Where the layer can be unpacked from, for the notes.
    pub(super) fn points(&mut self, points: Vec<Point>) {
        if let Some(notes) = &mut self.notes {
            notes.points(points);
        }
    }

    /// Takes the next bytes.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let before = bytes.len();
            let result = self.step(&mut bytes);
            self.offset += (before - bytes.len()) as u64;
            if let Some(notes) = &mut self.notes
                && !matches!(self.state, State::Map { .. })
            {
                notes.begins_at(self.offset);
            }
            result.map_err(|problem| Fault::Tar {
                problem,
                offset: self.offset,
            })?;
        }
        Ok(())
    }

    /// Gives the size of what was in it, once all bytes have come. An archive may end behind any
    /// entry: old ones have no blocks of zeros, and some writers leave out the last padding.
    pub(super) fn finish(&mut self) -> Result<u64, Fault> {
        let notes = self.notes.take();
        let done = self.size_at_end();
        if let (Ok(_), Some(notes)) = (&done, notes) {
            notes.finish();
        }
        done
    }

    fn size_at_end(&self) -> Result<u64, Fault> {
        match &self.state {
            State::Header | State::Zeros if self.filled > 0 => {
                Err(Fault::Truncated("a tar header"))
            }
            State::Map { .. } => Err(Fault::Truncated("a sparse file's map")),
            State::Read { content: 1.., .. } => Err(Fault::Truncated("a tar header")),
            State::Skip { content: 1.., .. } => Err(Fault::Truncated("a file")),
            _ => Ok(self.size),
        }
    }

    fn step(&mut self, bytes: &mut &[u8]) -> Result<(), TarProblem> {
        match &mut self.state {
            State::End => *bytes = &[],
            State::Skip {
                content: 0,
                padding: 0,
            } => {
                self.state = State::Header;
                if let Some(notes) = &mut self.notes {
                    notes.ends();
                }
            }
            State::Skip { content, padding } => {
                let taken = take(bytes, content);
                if let Some(notes) = &mut self.notes {
                    notes.content(taken);
                }
                take(bytes, padding);
            }
            State::Read {
                content: 0,
                padding: 0,
                ..
            } => self.end_of_read()?,
            State::Read {
                content,
                padding,
                bytes: read,
                ..
            } => {
                read.extend_from_slice(take(bytes, content));
                take(bytes, padding);
            }
            State::Header | State::Zeros | State::Map { .. } => return self.block(bytes),
        }
        Ok(())
    }

    /// Collects a block, and reads it once it is whole.
    fn block(&mut self, bytes: &mut &[u8]) -> Result<(), TarProblem> {
        // Most blocks are whole in the input, and are read where they are.
        if let (0, Some((block, rest))) = (self.filled, bytes.split_first_chunk::<BLOCK>()) {
            *bytes = rest;
            return self.read_block(block);
        }
        let (mine, rest) = bytes.split_at(bytes.len().min(BLOCK - self.filled));
        self.block[self.filled..self.filled + mine.len()].copy_from_slice(mine);
        self.filled += mine.len();
        *bytes = rest;
        if self.filled < BLOCK {
            return Ok(());
        }
        self.filled = 0;
        let block = self.block;
        self.read_block(&block)
    }

    fn read_block(&mut self, block: &Block) -> Result<(), TarProblem> {
        if let State::Map { content } = self.state {
            if let Some(notes) = &mut self.notes {
                notes.map(block);
            }
            if !map_goes_on(block) {
                self.skip(content);
            }
            return Ok(());
        }
        let is_zero = block.iter().all(|&b| b == 0);
        match (&self.state, is_zero) {
            (State::Zeros, true) => self.state = State::End,
            (State::Zeros, false) => return Err(TarProblem::LoneZeroBlock),
            (_, true) => self.state = State::Zeros,
            (_, false) => {
                self.entries += 1;
                if self.entries > self.entries_max {
                    return Err(TarProblem::Entries);
                }
                self.read_header(&Header::read(block)?)?;
            }
        }
        Ok(())
    }

    fn read_header(&mut self, header: &Header<'_>) -> Result<(), TarProblem> {
        let (kind, size) = (header.kind(), header.size()?);
        let (max, problem) = match kind {
            Kind::Pax | Kind::PaxGlobal => (PAX_MAX, TarProblem::PaxTooLong),
            Kind::LongName | Kind::LongLink => (NAME_MAX, TarProblem::NameTooLong),
            _ => return self.read_entry(header, kind, size),
        };
        if size > max {
            return Err(problem);
        }
        let padding = padding(size);
        self.state = State::Read {
            kind,
            content: size,
            padding,
            bytes: Vec::new(),
        };
        Ok(())
    }

    /// Takes a header that is about the next entry, now that it is here.
    fn end_of_read(&mut self) -> Result<(), TarProblem> {
        let State::Read { kind, bytes, .. } = std::mem::replace(&mut self.state, State::Header)
        else {
            return Ok(());
        };
        match kind {
            Kind::PaxGlobal => {
                let pax = Pax::parse(&bytes)?;
                if pax.size.is_some() || pax.real_size.is_some() {
                    return Err(TarProblem::GlobalSize);
                }
            }
            Kind::LongName => self.ahead.name = Some(bytes),
            Kind::LongLink => self.ahead.link = Some(bytes),
            _ => {
                // It is read again when its entry is here. What is malformed is refused even if
                // none comes.
                Pax::parse(&bytes)?;
                self.ahead.pax = Some(bytes);
            }
        }
        Ok(())
    }

    /// An entry proper: counts it, and steps over its content.
    fn read_entry(&mut self, header: &Header<'_>, kind: Kind, size: u64) -> Result<(), TarProblem> {
        let ahead = std::mem::take(&mut self.ahead);
        let pax = Pax::parse(ahead.pax.as_deref().unwrap_or_default())?;
        let stored = pax.size.unwrap_or(size);
        let name = ahead
            .name
            .as_deref()
            .map(text)
            .or(pax.path)
            .unwrap_or(header.name());
        if name.len() as u64 > NAME_MAX {
            return Err(TarProblem::NameTooLong);
        }
        if self.inside {
            let short = ahead.name.is_none() && pax.path.is_none();
            let whole = short.then(|| header.whole_name());
            if leads_outside(whole.as_deref().unwrap_or(name)) {
                return Err(TarProblem::Outside);
            }
        }
        let is_folder = header.has_old_type() && name.ends_with(b"/");
        let (counted, stored) = match kind {
            Kind::Regular if is_folder => (0, 0),
            Kind::Regular => (pax.real_size.unwrap_or(stored), stored),
            Kind::Sparse => (header.real_size()?, stored),
            Kind::Symlink => {
                let link = ahead.link.as_deref().map(text).or(pax.link);
                (link.unwrap_or(header.link()).len() as u64, 0)
            }
            Kind::Bare => (0, 0),
            _ => (0, stored),
        };
        if let Some(notes) = &mut self.notes {
            let names = (
                ahead.name.as_deref().map(text),
                ahead.link.as_deref().map(text),
            );
            notes.entry(header, kind, is_folder, &pax, names, (counted, stored));
        }
        if !is_whiteout(name) {
            self.size = self.size.checked_add(counted).ok_or(TarProblem::Sum)?;
        }
        if kind == Kind::Sparse && header.has_more_map() {
            self.state = State::Map { content: stored };
        } else {
            self.skip(stored);
        }
        Ok(())
    }

    fn skip(&mut self, content: u64) {
        self.state = State::Skip {
            content,
            padding: padding(content),
        };
    }
}

/// How many zeros fill `content` up to whole blocks.
const fn padding(content: u64) -> u64 {
    content.wrapping_neg() % BLOCK as u64
}

/// Takes at most `left` bytes off `bytes`.
fn take<'a>(bytes: &mut &'a [u8], left: &mut u64) -> &'a [u8] {
    let len = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
    let (taken, rest) = bytes.split_at(len);
    *bytes = rest;
    *left -= len as u64;
    taken
}

/// Does it lead out of the folder that it begins in, somewhere on its way?
fn leads_outside(name: &[u8]) -> bool {
    let deeper = |depth: usize, word: &[u8]| match word {
        b".." => depth.checked_sub(1),
        _ => Some(depth + 1),
    };
    words(name).try_fold(0, deeper).is_none()
}

fn is_whiteout(name: &[u8]) -> bool {
    let name = name.strip_suffix(b"/").unwrap_or(name);
    name.rsplit(|&b| b == b'/')
        .next()
        .is_some_and(|base| base.starts_with(WHITEOUT))
}

#[cfg(test)]
mod tests;
