//! Archives that cannot be read here and there: what comes through a pipe, or is packed as a whole by
//! gzip, xz, bzip2 or zstd, is written to a file first, as it is inside.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt as _;

use super::{ArchiveError, Result};
use crate::layer::fault::Fault;
use crate::layer::gate::Gate;
use crate::layer::unpack::Unpack;
use crate::layer::{self, HEAD};

/// How much is copied at once, in bytes.
const BUFFER: usize = 128 * 1024;

/// An archive of this many bytes, 1 GiB, is taken whatever its ratio.
const RATIO_FREE: u64 = 1 << 30;

/// Bounds the ratio beyond that: root file systems pack to a third, a bomb of zeros to a thousandth or less.
const RATIO_MAX: u64 = 100;

/// Is the file packed as a whole, so that it has to go through [`spool`]?
pub fn is_packed(file: &File) -> io::Result<bool> {
    let mut head = [0; HEAD];
    let read = file.read_at(&mut head, 0)?;
    Ok(layer::is_packed(&head[..read]))
}

/// Writes an archive to `into`, unpacked if it is packed as a whole.
pub fn spool(mut from: impl Read, mut into: impl Write) -> Result<()> {
    let mut unpack = Unpack::new(Gate::new(1));
    let (mut buffer, mut taken, mut written) = (vec![0; BUFFER], 0_u64, 0_u64);
    let mut failed = None;
    loop {
        let read = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        taken += read as u64;
        let mut take = |bytes: &[u8]| {
            written += bytes.len() as u64;
            if failed.is_some() {
                // The error that counts is the first one.
            } else if written > RATIO_FREE && written > RATIO_MAX.saturating_mul(taken) {
                failed = Some(ArchiveError::Ratio(RATIO_MAX));
            } else if let Err(error) = into.write_all(bytes) {
                failed = Some(error.into());
            }
            Ok(())
        };
        let done = match read {
            0 => unpack.finish(&mut take),
            read => unpack.write(&buffer[..read], &mut take),
        };
        if let Some(error) = failed {
            return Err(error);
        }
        done.map_err(|fault| match fault {
            Fault::Truncated(_) => ArchiveError::Truncated,
            fault => io::Error::other(fault).into(),
        })?;
        if read == 0 {
            return Ok(());
        }
    }
}
