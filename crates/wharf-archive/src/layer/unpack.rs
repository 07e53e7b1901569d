//! Finds out how a layer is packed, and unpacks it.
//!
//! The bytes decide, not the media type: registries hold layers that are called gzip and are plain,
//! and the other way round, and Docker reads them all (28.5: `DetectCompression`).

use super::fault::Fault;
use super::gzip::{self, Gunzip};
use super::zstd::{self, Unzstd};

/// How many bytes tell all the formats apart: bzip2's magic is this long.
const SNIFF: usize = 10;

const BZIP2_BLOCK: [u8; 6] = [0x31, 0x41, 0x59, 0x26, 0x53, 0x59];
const XZ: [u8; 6] = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];

/// Unpacks a layer, whatever it is packed with.
pub(super) enum Unpack {
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
    pub(super) const fn new() -> Self {
        Self::Unknown(Vec::new())
    }

    /// Takes the next bytes, and gives `output` what they hold.
    pub(super) fn write(
        &mut self,
        mut input: &[u8],
        output: &mut impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if let Self::Unknown(first) = self {
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
    pub(super) fn finish(
        &mut self,
        output: &mut impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if matches!(self, Self::Unknown(_)) {
            let first = self.decide()?;
            self.unpack(&first, output)?;
        }
        match self {
            Self::Unknown(_) | Self::Plain => Ok(()),
            Self::Gzip(gunzip) => gunzip.finish(),
            Self::Zstd(unzstd) => unzstd.finish(),
        }
    }

    fn unpack(
        &mut self,
        input: &[u8],
        output: &mut impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        match self {
            Self::Unknown(_) | Self::Plain => output(input),
            Self::Gzip(gunzip) => gunzip.write(input, output),
            Self::Zstd(unzstd) => unzstd.write(input, output),
        }
    }

    /// Decides by the first bytes, and gives them back.
    fn decide(&mut self) -> Result<Vec<u8>, Fault> {
        let Self::Unknown(first) = std::mem::replace(self, Self::Plain) else {
            return Ok(Vec::new());
        };
        match &first[..] {
            [0x50..=0x5f, magic @ ..] if magic.starts_with(&zstd::SKIPPABLE) => {
                *self = Self::Zstd(Box::new(Unzstd::new()?));
            }
            [b'B', b'Z', b'h', b'1'..=b'9', block @ ..] if *block == BZIP2_BLOCK => {
                return Err(Fault::OtherCompression("bzip2"));
            }
            first if first.starts_with(&gzip::MAGIC) => *self = Self::Gzip(Box::new(Gunzip::new())),
            first if first.starts_with(&zstd::MAGIC) => {
                *self = Self::Zstd(Box::new(Unzstd::new()?));
            }
            first if first.starts_with(&XZ) => return Err(Fault::OtherCompression("xz")),
            _ => {}
        }
        Ok(first)
    }
}
