//! Finds out how a layer is packed, and unpacks it.
//!
//! The bytes decide, not the media type: registries hold layers that are called gzip and are plain,
//! and the other way round, and Docker reads them all (28.5: `DetectCompression`).

use std::sync::Arc;

use super::fault::Fault;
use super::gate::Gate;
use super::gzip::{self, Gunzip};
use super::seek::Point;
use super::zstd::{self, Unzstd};

/// How many bytes tell all the formats apart: bzip2's magic is this long.
const SNIFF: usize = 10;

const BZIP2_BLOCK: [u8; 6] = [0x31, 0x41, 0x59, 0x26, 0x53, 0x59];
const XZ: [u8; 6] = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];

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
            Kind::Unknown(_) | Kind::Plain => Vec::new(),
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
        }
    }

    /// Decides by the first bytes, and gives them back.
    fn decide(&mut self) -> Result<Vec<u8>, Fault> {
        let Kind::Unknown(first) = std::mem::replace(&mut self.kind, Kind::Plain) else {
            return Ok(Vec::new());
        };
        match &first[..] {
            [0x50..=0x5f, magic @ ..] if magic.starts_with(&zstd::SKIPPABLE) => {
                self.kind = Kind::Zstd(Box::new(Unzstd::new(self.windows.enter(), self.marking)?));
            }
            [b'B', b'Z', b'h', b'1'..=b'9', block @ ..] if *block == BZIP2_BLOCK => {
                return Err(Fault::OtherCompression("bzip2"));
            }
            first if first.starts_with(&gzip::MAGIC) => {
                self.kind = Kind::Gzip(Box::new(Gunzip::new(self.marking)))
            }
            first if first.starts_with(&zstd::MAGIC) => {
                self.kind = Kind::Zstd(Box::new(Unzstd::new(self.windows.enter(), self.marking)?));
            }
            first if first.starts_with(&XZ) => return Err(Fault::OtherCompression("xz")),
            _ => {}
        }
        Ok(first)
    }
}
