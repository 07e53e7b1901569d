//! gzip (RFC 1952), fed with bytes: every member is read, and nothing but zeros may follow, as writers to
//! tapes and block devices append them and gzip ignores them.
//!
//! The members' frame is read here and only the deflate data is handed to zlib-rs: its own gzip mode
//! computes the checksum in its window, which costs a sixth of the speed (docs/speed.md).

use zlib_rs::{Inflate, InflateFlush, Status};

use super::OUTPUT;
use super::fault::Fault;
use super::seek::{Marks, Point};

/// The beginning of a member: two magic bytes and the only method there is, deflate.
pub(super) const MAGIC: [u8; 3] = [0x1f, 0x8b, 0x08];

const HEADER_LEN: usize = 10;
const TRAILER_LEN: usize = 8;

const FLAG_HEADER_CRC: u8 = 1 << 1;
const FLAG_EXTRA: u8 = 1 << 2;
const FLAG_NAME: u8 = 1 << 3;
const FLAG_COMMENT: u8 = 1 << 4;
const FLAGS_RESERVED: u8 = 0xe0;

/// Reads gzip.
pub(super) struct Gunzip {
    inflate: Inflate,
    output: Box<[u8]>,
    state: State,
    /// The flags of the member's header whose parts are still to come.
    flags: u8,
    /// Of the member's header first, then of its content.
    crc: crc32fast::Hasher,
    /// The length of the member's content. Only its lowest 32 bits count.
    len: u64,
    /// Where the blob's bytes that were handed over end.
    end: u64,
    /// The last byte that was inflated.
    last: u8,
    marks: Option<Marks>,
    /// A member has been read to its end.
    read_any: bool,
}

/// What comes next.
enum State {
    /// A header's fixed part, of which some bytes are here.
    Header(Field<HEADER_LEN>),
    ExtraLen(Field<2>),
    Extra(usize),
    /// A name or comment, to its zero byte.
    Text(u8),
    HeaderCrc(Field<2>),
    Deflate,
    Trailer(Field<TRAILER_LEN>),
    /// Zeros to the end.
    Zeros,
}

/// A field of `N` bytes that come in pieces.
struct Field<const N: usize> {
    bytes: [u8; N],
    filled: usize,
}

impl<const N: usize> Field<N> {
    const fn new() -> Self {
        Self {
            bytes: [0; N],
            filled: 0,
        }
    }

    /// Takes what belongs to it off `input`; gives the bytes once all are here.
    fn take(&mut self, input: &mut &[u8]) -> Option<[u8; N]> {
        let (mine, rest) = input.split_at(input.len().min(N - self.filled));
        self.bytes[self.filled..self.filled + mine.len()].copy_from_slice(mine);
        self.filled += mine.len();
        *input = rest;
        (self.filled == N).then_some(self.bytes)
    }
}

impl Gunzip {
    /// With `marking`, it remembers points to inflate from.
    pub(super) fn new(marking: bool) -> Self {
        Self {
            inflate: Inflate::new(false, 15),
            output: vec![0; OUTPUT].into(),
            state: State::Header(Field::new()),
            flags: 0,
            crc: crc32fast::Hasher::new(),
            len: 0,
            end: 0,
            last: 0,
            marks: marking.then(Marks::new),
            read_any: false,
        }
    }

    /// The points, once everything has passed.
    pub(super) fn points(&mut self) -> Vec<Point> {
        self.marks.take().map(Marks::points).unwrap_or_default()
    }

    /// Takes the next bytes, and gives `output` what they hold.
    pub(super) fn write(
        &mut self,
        mut input: &[u8],
        output: &mut impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.end += input.len() as u64;
        while !input.is_empty() {
            match &mut self.state {
                State::Deflate => self.inflate(&mut input, output)?,
                State::Trailer(field) => {
                    if let Some(trailer) = field.take(&mut input) {
                        self.end_member(trailer)?;
                    }
                }
                State::Zeros if input.iter().all(|&b| b == 0) => input = &[],
                State::Zeros => return Err(Fault::Behind("gzip")),
                State::Header(field) if field.filled == 0 && input[0] == 0 && self.read_any => {
                    self.state = State::Zeros;
                }
                _ => self.header(&mut input)?,
            }
        }
        Ok(())
    }

    /// The last member must be complete.
    pub(super) fn finish(&self) -> Result<(), Fault> {
        match &self.state {
            State::Header(field) if field.filled == 0 => Ok(()),
            State::Zeros => Ok(()),
            _ => Err(Fault::Truncated("its gzip data")),
        }
    }

    fn header(&mut self, input: &mut &[u8]) -> Result<(), Fault> {
        let before = *input;
        let mut is_crc = false;
        match &mut self.state {
            State::Header(field) => {
                let header = field.take(input);
                // The first member's magic brought us here. Of another one, each byte is compared when it is here:
                // what ends early is not gzip that was cut off.
                let here = field.filled.min(MAGIC.len());
                if field.bytes[..here] != MAGIC[..here] {
                    return Err(Fault::Behind("gzip"));
                }
                if let Some(header) = header {
                    self.flags = check_flags(header)?;
                    self.next_part();
                }
            }
            State::ExtraLen(field) => {
                if let Some(len) = field.take(input) {
                    self.state = State::Extra(usize::from(u16::from_le_bytes(len)));
                }
            }
            State::Extra(left) => {
                let taken = input.len().min(*left);
                *input = &input[taken..];
                *left -= taken;
                if *left == 0 {
                    self.flags &= !FLAG_EXTRA;
                    self.next_part();
                }
            }
            State::Text(flag) => {
                let end = input.iter().position(|&b| b == 0);
                *input = &input[end.map_or(input.len(), |end| end + 1)..];
                if end.is_some() {
                    self.flags &= !*flag;
                    self.next_part();
                }
            }
            State::HeaderCrc(field) => {
                is_crc = true;
                if let Some(crc) = field.take(input) {
                    // The lower half of the CRC of all of the header before it.
                    if self.crc.clone().finalize().to_le_bytes()[..2] != crc {
                        return Err(Fault::Gzip("a header's checksum is wrong"));
                    }
                    self.flags &= !FLAG_HEADER_CRC;
                    self.next_part();
                }
            }
            State::Deflate | State::Trailer(_) | State::Zeros => {}
        }
        match self.state {
            State::Deflate => self.crc.reset(),
            _ if is_crc => {}
            _ => self.crc.update(&before[..before.len() - input.len()]),
        }
        Ok(())
    }

    /// Moves on to what the header's flags say comes next.
    fn next_part(&mut self) {
        self.state = match self.flags {
            flags if flags & FLAG_EXTRA != 0 => State::ExtraLen(Field::new()),
            flags if flags & FLAG_NAME != 0 => State::Text(FLAG_NAME),
            flags if flags & FLAG_COMMENT != 0 => State::Text(FLAG_COMMENT),
            flags if flags & FLAG_HEADER_CRC != 0 => State::HeaderCrc(Field::new()),
            _ => State::Deflate,
        };
    }

    fn inflate(
        &mut self,
        input: &mut &[u8],
        output: &mut impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        loop {
            let looking = self.marks.as_ref().is_some_and(Marks::looking);
            let flush = if looking {
                InflateFlush::Block
            } else {
                InflateFlush::NoFlush
            };
            let before = (self.inflate.total_in(), self.inflate.total_out());
            let status = self
                .inflate
                .decompress(input, &mut self.output, flush)
                .map_err(|_| Fault::Gzip("the deflate data is not valid"))?;
            let taken = difference(self.inflate.total_in(), before.0);
            let given = difference(self.inflate.total_out(), before.1);
            self.last = input[..taken].last().copied().unwrap_or(self.last);
            *input = &input[taken..];
            let content = &self.output[..given];
            if let Some(marks) = &mut self.marks {
                marks.inflated(content);
            }
            self.crc.update(content);
            self.len += given as u64;
            output(content)?;
            if status == Status::StreamEnd {
                self.state = State::Trailer(Field::new());
                return Ok(());
            }
            let stopped = given < self.output.len() && !input.is_empty();
            if let Some(marks) = self
                .marks
                .as_mut()
                .filter(|_| looking && stopped && taken > 0)
            {
                marks.between_blocks(self.end - input.len() as u64, self.last, input);
                continue;
            }
            // A full output may have more behind it, even when no input is left.
            if given < self.output.len() && (input.is_empty() || taken == 0) {
                return match input {
                    [] => Ok(()),
                    _ => Err(Fault::Gzip("the deflate data is not valid")),
                };
            }
        }
    }

    fn end_member(&mut self, trailer: [u8; TRAILER_LEN]) -> Result<(), Fault> {
        let crc = std::mem::take(&mut self.crc).finalize();
        if trailer[..4] != crc.to_le_bytes() {
            return Err(Fault::Gzip("the checksum of its content is wrong"));
        }
        if trailer[4..] != self.len.to_le_bytes()[..4] {
            return Err(Fault::Gzip("the length of its content is wrong"));
        }
        self.len = 0;
        self.read_any = true;
        self.inflate.reset(false);
        self.state = State::Header(Field::new());
        Ok(())
    }
}

/// Gives the header's flags.
const fn check_flags(header: [u8; HEADER_LEN]) -> Result<u8, Fault> {
    let flags = header[3];
    if flags & FLAGS_RESERVED != 0 {
        return Err(Fault::Gzip("a header has unknown flags"));
    }
    Ok(flags)
}

fn difference(after: u64, before: u64) -> usize {
    usize::try_from(after - before).unwrap_or(usize::MAX)
}
