//! Finds out how a layer is packed, and unpacks it.
//!
//! The bytes decide, not the media type: registries hold layers that are called gzip and are plain,
//! and the other way round, and Docker reads them all (28.5: `DetectCompression`).

use std::sync::Arc;

use super::bzip2::{self, Bunzip2};
use super::fault::Fault;
use super::gate::Gate;
use super::gzip::{self, Gunzip};
use super::seek::Point;
use super::xz::{self, Unxz};
use super::zstd::{self, Unzstd};

/// How many bytes tell all the formats apart: bzip2's magic is this long.
pub(super) const SNIFF: usize = 10;

/// What a layer is packed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    None,
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

impl Packing {
    /// Decides by the first bytes, of which all formats need ten.
    pub(crate) fn of(head: &[u8]) -> Self {
        match head {
            [0x50..=0x5f, magic @ ..] if magic.starts_with(&zstd::SKIPPABLE) => Self::Zstd,
            // A file may well have a name that begins like bzip2, but not with a block of it.
            [magic @ .., b'1'..=b'9', b0, b1, b2, b3, b4, b5]
                if *magic == bzip2::MAGIC
                    && [bzip2::BLOCK, bzip2::END].contains(&[*b0, *b1, *b2, *b3, *b4, *b5]) =>
            {
                Self::Bzip2
            }
            head if head.starts_with(&gzip::MAGIC) => Self::Gzip,
            head if head.starts_with(&zstd::MAGIC) => Self::Zstd,
            head if head.starts_with(&xz::MAGIC) => Self::Xz,
            _ => Self::None,
        }
    }
}

/// Unpacks a layer, whatever it is packed with.
pub(crate) struct Unpack {
    kind: Kind,
    windows: Arc<Gate>,
    marking: bool,
}

/// What it is packed with.
enum Kind {
    /// It has yet to be seen what it is: these are its first bytes.
    Unknown(Vec<u8>),
    /// It is a plain archive.
    Plain,
    /// It is gzip.
    Gzip(Box<Gunzip>),
    /// It is zstd.
    Zstd(Box<Unzstd>),
    /// It is bzip2.
    Bzip2(Box<Bunzip2>),
    /// It is xz.
    Xz(Box<Unxz>),
}

impl Unpack {
    /// Waits at `windows` before it takes the memory for one.
    pub(crate) const fn new(windows: Arc<Gate>) -> Self {
        Self {
            kind: Kind::Unknown(Vec::new()),
            windows,
            marking: false,
        }
    }

    /// Remembers points to unpack from.
    pub(crate) const fn mark(&mut self) {
        self.marking = true;
    }

    /// These points, once everything has passed.
    pub(crate) fn points(&mut self) -> Vec<Point> {
        match &mut self.kind {
            Kind::Gzip(gunzip) => gunzip.points(),
            Kind::Zstd(unzstd) => unzstd.points(),
            _ => Vec::new(),
        }
    }

    /// Takes the next bytes, and gives `output` what they hold.
    pub(crate) fn write(
        &mut self,
        mut input: &[u8],
        output: &mut impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if let Kind::Unknown(first) = &mut self.kind {
            let (mine, rest) = input.split_at(input.len().min(SNIFF - first.len()));
            first.extend_from_slice(mine);
            input = rest;
            if first.len() < SNIFF {
                return Ok(());
            }
            let first = self.decide()?;
            self.unpack(&first, output)?;
        }
        self.unpack(input, output)
    }

    /// There are no more bytes.
    pub(crate) fn finish(
        &mut self,
        output: &mut impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if matches!(self.kind, Kind::Unknown(_)) {
            let first = self.decide()?;
            self.unpack(&first, output)?;
        }
        match &self.kind {
            Kind::Unknown(_) | Kind::Plain => Ok(()),
            Kind::Gzip(gunzip) => gunzip.finish(),
            Kind::Zstd(unzstd) => unzstd.finish(),
            Kind::Bzip2(bunzip2) => bunzip2.finish(),
            Kind::Xz(unxz) => unxz.finish(),
        }
    }

    fn unpack(
        &mut self,
        input: &[u8],
        output: &mut impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        match &mut self.kind {
            Kind::Unknown(_) | Kind::Plain => output(input),
            Kind::Gzip(gunzip) => gunzip.write(input, output),
            Kind::Zstd(unzstd) => unzstd.write(input, output),
            Kind::Bzip2(bunzip2) => bunzip2.write(input, output),
            Kind::Xz(unxz) => unxz.write(input, output),
        }
    }

    /// Decides by the first bytes, and gives them back.
    fn decide(&mut self) -> Result<Vec<u8>, Fault> {
        let Kind::Unknown(first) = std::mem::replace(&mut self.kind, Kind::Plain) else {
            return Ok(Vec::new());
        };
        self.kind = match Packing::of(&first) {
            Packing::None => Kind::Plain,
            Packing::Gzip => Kind::Gzip(Box::new(Gunzip::new(self.marking))),
            Packing::Zstd => Kind::Zstd(Box::new(Unzstd::new(self.windows.enter(), self.marking)?)),
            Packing::Bzip2 => Kind::Bzip2(Box::new(Bunzip2::new())),
            Packing::Xz => Kind::Xz(Box::new(Unxz::new(self.windows.enter_alone()))),
        };
        Ok(first)
    }
}
