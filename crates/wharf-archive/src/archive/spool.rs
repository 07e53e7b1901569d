//! Archives that cannot be read here and there: what comes through a pipe, or is packed as a whole by
//! gzip, xz, bzip2 or zstd, is written to a file first, as it is inside.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt as _;

use super::{ArchiveError, Result};
use crate::layer::limits::WINDOW_LOG_MAX;

/// How much is copied at once, in bytes.
const BUFFER: usize = 128 * 1024;

/// An archive of this many bytes, 1 GiB, is taken whatever its ratio.
const RATIO_FREE: u64 = 1 << 30;

/// Bounds the ratio beyond that: root file systems pack to a third, a bomb of zeros to a thousandth or less.
const RATIO_MAX: u64 = 100;

/// Bounds the memory of the xz decoder, in KiB: 40 MiB. `xz -6`, the default, asks for 9 MiB, -8 for 33, -9 for
/// 65, which is more than a load may take.
const XZ_MEMORY_KIB: u32 = 40 * 1024;

/// How an archive is packed as a whole.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Packing {
    None,
    Gzip,
    Xz,
    Bzip2,
    Zstd,
}

impl Packing {
    fn of(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// How many bytes tell how an archive is packed.
const MAGIC: usize = 6;

/// Is the file packed as a whole, so that it has to go through [`spool`]?
pub fn is_packed(file: &File) -> io::Result<bool> {
    let mut magic = [0; MAGIC];
    let read = file.read_at(&mut magic, 0)?;
    Ok(Packing::of(&magic[..read]) != Packing::None)
}

/// Writes an archive to `into`, unpacked if it is packed as a whole.
pub fn spool(mut from: impl Read, mut into: impl Write) -> Result<()> {
    let mut magic = Vec::new();
    from.by_ref().take(MAGIC as u64).read_to_end(&mut magic)?;
    let packing = Packing::of(&magic);
    let taken = std::rc::Rc::new(std::cell::Cell::new(0));
    let counted = Counted {
        from: io::Cursor::new(magic).chain(from),
        taken: std::rc::Rc::clone(&taken),
    };
    let mut unpacked: Box<dyn Read + '_> = match packing {
        Packing::None => Box::new(counted),
        Packing::Gzip => Box::new(flate2::read::MultiGzDecoder::new(counted)),
        Packing::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(counted)),
        Packing::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(
            counted,
            true,
            XZ_MEMORY_KIB,
        )),
        Packing::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(counted)?;
            decoder.window_log_max(WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
    };
    let (mut buffer, mut written) = (vec![0; BUFFER], 0_u64);
    loop {
        let read = match unpacked.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(ArchiveError::Truncated);
            }
            Err(error) => return Err(error.into()),
        };
        written += read as u64;
        if written > RATIO_FREE && written > RATIO_MAX.saturating_mul(taken.get()) {
            return Err(ArchiveError::Ratio(RATIO_MAX));
        }
        into.write_all(&buffer[..read])?;
    }
    Ok(())
}

/// Counts what is read.
struct Counted<R> {
    from: R,
    taken: std::rc::Rc<std::cell::Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(bytes)?;
        self.taken.set(self.taken.get() + read as u64);
        Ok(read)
    }
}
