//! Places in gzip data from which it can be inflated, without what is before them.
//!
//! A block of deflate data can begin at any bit, and refers to the 32 KiB before it. A [`Point`] keeps
//! both: where a block begins, and what it refers to. zlib-rs stops between blocks if it is asked to,
//! but does not say at which bit of the last byte; there are eight, and only one of them makes sense
//! of what follows, so they are tried. A point that several make sense of is left out.
//!
//! To begin at a bit, the inflater is fed something before: blocks that hold nothing, as many bits long
//! as the byte's first bits, which belong to the block before.

use std::io::{Read as _, Write as _};

use zlib_rs::{Inflate, InflateFlush, Status};
use zstd::stream::raw::{InBuffer, Operation as _, OutBuffer};

/// How far deflate refers back, in bytes.
const WINDOW: usize = 32 * 1024;
/// How far points are apart, in bytes of the archive: what is inflated in some 15 ms.
const INTERVAL: u64 = 8 << 20;
/// How far to go on after a place that makes no point, in bytes.
const PAUSE: u64 = 1 << 20;
/// How many points one layer has at most. With more, every second one goes, and they are twice as far
/// apart: some 4 MB of windows, packed.
pub(crate) const POINTS_MAX: usize = 256;
/// How much of what follows has to make sense, in bytes: a wrong bit ends in an error long before.
const PROBE: usize = 4096;

/// A place from which to inflate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    /// The first whole byte of the blob to read.
    pub(crate) packed: u64,
    /// Its place in the archive.
    pub(crate) unpacked: u64,
    /// Is it the beginning of a zstd frame? Then it needs nothing of what is before it.
    pub(crate) zstd: bool,
    /// How many bits of the byte before belong to it: the highest.
    pub(crate) bits: u8,
    /// The byte before.
    pub(crate) byte: u8,
    /// The archive's bytes before it, packed.
    pub(crate) window: Vec<u8>,
}

/// Points, about as far from each other as is wanted.
pub(super) struct Kept {
    points: Vec<Point>,
    interval: u64,
    /// Where the next one is wanted.
    next: u64,
}

impl Kept {
    pub(super) const fn new(interval: u64) -> Self {
        Self {
            points: Vec::new(),
            interval,
            next: interval,
        }
    }

    /// Is a point wanted at this place of the archive?
    pub(super) const fn wants(&self, unpacked: u64) -> bool {
        unpacked >= self.next
    }

    /// Keeps a point. When there are too many, every second one goes.
    pub(super) fn push(&mut self, point: Point) {
        let unpacked = point.unpacked;
        self.points.push(point);
        if self.points.len() == POINTS_MAX {
            let mut number = 0;
            self.points.retain(|_| {
                number += 1;
                number % 2 == 0
            });
            self.interval *= 2;
        }
        self.next = unpacked + self.interval;
    }

    pub(super) fn take(&mut self) -> Vec<Point> {
        std::mem::take(&mut self.points)
    }
}

/// Looks for points while a layer is inflated.
pub(super) struct Marks {
    kept: Kept,
    unpacked: u64,
    window: Vec<u8>,
}

impl Marks {
    pub(super) fn new() -> Self {
        Self {
            kept: Kept::new(INTERVAL),
            unpacked: 0,
            window: Vec::new(),
        }
    }

    /// Is the next point near? Then the inflater has to stop between blocks.
    pub(super) const fn looking(&self) -> bool {
        self.kept.wants(self.unpacked)
    }

    /// What was found.
    pub(super) fn points(mut self) -> Vec<Point> {
        self.kept.take()
    }

    /// These bytes of the archive were inflated.
    pub(super) fn inflated(&mut self, bytes: &[u8]) {
        if self.looking() {
            let kept = &bytes[bytes.len().saturating_sub(WINDOW)..];
            let surplus = (self.window.len() + kept.len()).saturating_sub(WINDOW);
            self.window.drain(..surplus.min(self.window.len()));
            self.window.extend_from_slice(kept);
        }
        self.unpacked += bytes.len() as u64;
    }

    /// A block ends within `byte`, or with it; `rest` follows, from this place of the blob.
    pub(super) fn between_blocks(&mut self, packed: u64, byte: u8, rest: &[u8]) {
        let (Some(following), WINDOW) = (rest.get(..PROBE), self.window.len()) else {
            return;
        };
        let mut fitting = (0..8).filter(|bits| makes_sense(*bits, byte, &self.window, following));
        let (Some(bits), None) = (fitting.next(), fitting.next()) else {
            // Trying costs some 0.1 ms: not at every block.
            self.kept.next = self.unpacked + PAUSE;
            self.window.clear();
            return;
        };
        self.kept.push(Point {
            packed,
            unpacked: self.unpacked,
            zstd: false,
            bits,
            byte,
            window: pack(&std::mem::take(&mut self.window)),
        });
    }
}

fn pack(window: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    // Nothing fails that is written to memory.
    let written = out.write_all(window).and_then(|()| out.finish());
    written.unwrap_or_default()
}

/// An unpacker that goes on from a point.
pub(crate) enum Resumed {
    /// Of gzip's content.
    Inflate(Box<Inflate>),
    /// Of zstd's frames.
    Zstd(Box<zstd::stream::raw::Decoder<'static>>),
}

impl Point {
    /// Goes on from here; `None` if the point is damaged.
    pub(crate) fn resume(&self) -> Option<Resumed> {
        if self.zstd {
            let decoder = super::zstd::decoder().ok()?;
            return Some(Resumed::Zstd(Box::new(decoder)));
        }
        let mut window = Vec::with_capacity(WINDOW);
        let packed = flate2::read::DeflateDecoder::new(&self.window[..]);
        let read = packed.take(WINDOW as u64).read_to_end(&mut window).ok()?;
        let inflate = (read == WINDOW).then(|| begin(self.bits, self.byte, &window))?;
        inflate.map(|inflate| Resumed::Inflate(Box::new(inflate)))
    }
}

impl Resumed {
    /// Unpacks some of `input` into `output`: how much was taken of the one and written to the other; `None` if
    /// it cannot be unpacked.
    pub(crate) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Option<(usize, usize)> {
        match self {
            Self::Inflate(inflate) => {
                let before = (inflate.total_in(), inflate.total_out());
                let done = inflate.decompress(input, output, InflateFlush::NoFlush);
                let taken = usize::try_from(inflate.total_in() - before.0).ok()?;
                let given = usize::try_from(inflate.total_out() - before.1).ok()?;
                done.ok().map(|_| (taken, given))
            }
            Self::Zstd(decoder) => {
                let mut input = InBuffer::around(input);
                let mut output = OutBuffer::around(output);
                decoder.run(&mut input, &mut output).ok()?;
                Some((input.pos(), output.pos()))
            }
        }
    }
}

fn makes_sense(bits: u8, byte: u8, window: &[u8], following: &[u8]) -> bool {
    let mut output = vec![0; WINDOW];
    let Some(mut inflate) = begin(bits, byte, window) else {
        return false;
    };
    let mut rest = following;
    loop {
        let before = (inflate.total_in(), inflate.total_out());
        match inflate.decompress(rest, &mut output, InflateFlush::NoFlush) {
            Err(_) => return false,
            Ok(Status::StreamEnd) => return true,
            Ok(_) => {}
        }
        let taken = usize::try_from(inflate.total_in() - before.0).unwrap_or(rest.len());
        rest = &rest[taken..];
        if (inflate.total_in(), inflate.total_out()) == before {
            return true;
        }
    }
}

/// An inflater that goes on at a point; `None` if it takes no such point.
fn begin(bits: u8, byte: u8, window: &[u8]) -> Option<Inflate> {
    let mut inflate = Inflate::new(false, 15);
    inflate.set_dictionary(window).ok()?;
    let before = nothing(bits, byte);
    // Room for what must not come: blocks of nothing.
    let mut none = [0; 1];
    let mut rest = &before[..];
    while !rest.is_empty() {
        let start = inflate.total_in();
        inflate
            .decompress(rest, &mut none, InflateFlush::NoFlush)
            .ok()?;
        let taken = usize::try_from(inflate.total_in() - start).ok()?;
        if taken == 0 || inflate.total_out() > 0 {
            return None;
        }
        rest = &rest[taken..];
    }
    Some(inflate)
}

/// Blocks that hold nothing, and behind them the highest `bits` of `byte`.
fn nothing(bits: u8, byte: u8) -> Vec<u8> {
    let mut out = Bits::default();
    if bits == 0 {
        return out.bytes;
    }
    let wanted = usize::from(8 - bits);
    // Of the two kinds, one has an even number of bits and the other one an odd one.
    if wanted % 2 == 1 {
        empty_dynamic_block(&mut out);
    }
    while out.count % 8 != wanted {
        empty_fixed_block(&mut out);
    }
    out.push(u32::from(byte) >> wanted, usize::from(bits));
    out.bytes
}

/// 10 bits (RFC 1951, 3.2.6): not the last block, fixed codes, the end.
fn empty_fixed_block(out: &mut Bits) {
    out.push(0, 1);
    out.push(1, 2);
    out.push(0, 7);
}

/// 93 bits (RFC 1951, 3.2.7): not the last block, own codes, of which there is one: the end.
fn empty_dynamic_block(out: &mut Bits) {
    out.push(0, 1);
    out.push(2, 2);
    // 257 lengths of literals, 1 of distances, 18 of the codes that these are written with.
    out.push(0, 5);
    out.push(0, 5);
    out.push(14, 4);
    // In the order 16, 17, 18, 0, 8 … 1: the codes are 1 (0), 0 (10) and 18 (11).
    for length in [0, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1] {
        out.push(length, 3);
    }
    // 138 and 118 literals have no code, the end has one of a bit, the distance has none.
    for repeat in [138 - 11, 118 - 11] {
        out.push(0b11, 2);
        out.push(repeat, 7);
    }
    out.push(0, 1);
    out.push(0b01, 2);
    // The end.
    out.push(0, 1);
}

/// Bits, the lowest of each byte first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    count: usize,
}

impl Bits {
    /// The lowest `count` bits of `value`, the lowest first.
    fn push(&mut self, value: u32, count: usize) {
        for bit in 0..count {
            if self.count.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut().filter(|_| value >> bit & 1 == 1) {
                *last |= 1 << (self.count % 8);
            }
            self.count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_nothing_of_any_length_in_bits() {
        for bits in 0..8 {
            // A last block with fixed codes and nothing in it, 10 bits: some here, the rest later.
            let block: u32 = 0b0000_0000_0000_0011;
            let byte = if bits == 0 {
                0
            } else {
                (block << (8 - bits) & 0xff) as u8
            };
            let rest = (block >> bits).to_le_bytes();
            let mut inflate = begin(bits, byte, &[7; WINDOW]).unwrap();
            let mut output = [0; 8];
            let status = inflate.decompress(&rest, &mut output, InflateFlush::NoFlush);
            assert_eq!(status, Ok(Status::StreamEnd), "{bits} bits");
            assert_eq!(inflate.total_out(), 0);
        }
    }
}
