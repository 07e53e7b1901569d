//! The bytes of some files of a layer, in one pass over it.

use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use wharf_core::digest::Algorithm;
use wharf_core::{Digest, Hasher};

use crate::layer::fault::Fault;
use crate::layer::gate::Gate;
use crate::layer::limits::WINDOW_LOG_MAX;
use crate::layer::unpack::Unpack;

/// How much of a blob is read at once, in bytes.
const READ: usize = 128 * 1024;

/// Why contents cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// Reading the blob, or writing what was read, failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The layer is damaged.
    #[error("the layer cannot be read: {0}")]
    Layer(String),
    /// The layer is not what the image's config says.
    #[error(
        "the layer does not hold what the image's config says: expected diff ID {expected}, found {actual}"
    )]
    DiffId {
        /// What the config says.
        expected: Digest,
        /// What was computed.
        actual: Digest,
    },
}

/// Takes the bytes of the wanted range with this number.
pub type Take<'a> = &'a mut dyn FnMut(usize, &[u8]) -> io::Result<()>;

/// Reads ranges of a layer's archive, which are sorted and do not overlap, and gives their bytes to
/// `take`. With `diff_id`, all of the layer is read and compared with it.
pub fn contents(
    blob: &mut File,
    wanted: &[Range<u64>],
    diff_id: Option<&Digest>,
    take: Take<'_>,
) -> Result<(), ContentsError> {
    let mut magic = [0; 4];
    let known = blob.read_at(&mut magic, 0)?;
    let plain = !matches!(
        magic[..known],
        [0x1f, 0x8b, ..] | [_, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18]
    );
    if plain && diff_id.is_none() {
        return plain_contents(blob, wanted, take);
    }
    blob.rewind()?;
    let mut pass = Pass {
        wanted,
        next: 0,
        position: 0,
        hasher: diff_id.map(|_| Hasher::new(Algorithm::Sha256)),
        failed: None,
    };
    let mut unpack = Unpack::new(Gate::new(1));
    let mut buffer = vec![0; READ];
    let damaged = |fault: Fault| ContentsError::Layer(fault.to_string());
    loop {
        let length = blob.read(&mut buffer)?;
        let done = if length == 0 {
            unpack.finish(&mut |bytes| pass.write(bytes, take))
        } else {
            unpack.write(&buffer[..length], &mut |bytes| pass.write(bytes, take))
        };
        if let Some(error) = pass.failed.take() {
            return Err(error.into());
        }
        done.map_err(damaged)?;
        if length == 0 || (pass.hasher.is_none() && pass.next == wanted.len()) {
            break;
        }
    }
    if pass.next < wanted.len() {
        return Err(ContentsError::Layer(
            "it is shorter than its notes say".to_owned(),
        ));
    }
    if let (Some(expected), Some(hasher)) = (diff_id, pass.hasher) {
        let actual = hasher.finish();
        if actual != *expected {
            let expected = expected.clone();
            return Err(ContentsError::DiffId { expected, actual });
        }
    }
    Ok(())
}

/// A layer's archive, unpacked as it is read.
pub fn reader(mut blob: File) -> io::Result<Box<dyn Read + Send>> {
    let mut magic = [0; 4];
    let known = blob.read_at(&mut magic, 0)?;
    blob.rewind()?;
    Ok(match magic[..known] {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(blob)),
        [_, 0xb5, 0x2f, 0xfd] => {
            let mut decoder = zstd::Decoder::new(blob)?;
            decoder.window_log_max(WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
        _ => Box::new(blob),
    })
}

/// Of a plain archive, only what is wanted is read.
fn plain_contents(blob: &File, wanted: &[Range<u64>], take: Take<'_>) -> Result<(), ContentsError> {
    let mut buffer = vec![0; READ];
    for (number, range) in wanted.iter().enumerate() {
        let mut at = range.start;
        while at < range.end {
            let most = usize::try_from(range.end - at).unwrap_or(READ).min(READ);
            let length = blob.read_at(&mut buffer[..most], at)?;
            if length == 0 {
                return Err(ContentsError::Layer(
                    "it is shorter than its notes say".to_owned(),
                ));
            }
            take(number, &buffer[..length])?;
            at += length as u64;
        }
    }
    Ok(())
}

struct Pass<'a> {
    wanted: &'a [Range<u64>],
    /// The range that is read, or comes next.
    next: usize,
    position: u64,
    hasher: Option<Hasher>,
    failed: Option<io::Error>,
}

impl Pass<'_> {
    /// Takes the next bytes of the archive.
    fn write(&mut self, bytes: &[u8], take: Take<'_>) -> Result<(), Fault> {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        let start = self.position;
        self.position += bytes.len() as u64;
        while let Some(range) = self.wanted.get(self.next) {
            let from = range.start.max(start);
            let to = range.end.min(self.position);
            if from < to && self.failed.is_none() {
                let index = |at: u64| usize::try_from(at - start).unwrap_or(bytes.len());
                self.failed = take(self.next, &bytes[index(from)..index(to)]).err();
            }
            if range.end > self.position {
                break;
            }
            self.next += 1;
        }
        Ok(())
    }
}
