//! A file's bytes in order, in large pieces, for whoever sends or copies them.
//!
//! A piece that the kernel has in memory, as nearly always, is read on the spot: a trip to another thread
//! takes longer than the copy itself. Only what has to come from the disk goes to a thread that may wait.
//! A buffer whose piece is gone is filled again, since the first touch of fresh memory costs as much as
//! filling it.

use std::fs::File;
use std::io::IoSliceMut;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use wharf_core::ContentError;

use crate::StoreError;
use crate::ingest::fetch::joined;

/// How much is read at once, in bytes: few enough system calls, and few enough bytes that they are still
/// in the processor's cache when they are written.
const PIECE: usize = 256 * 1024;

/// How many buffers wait to be filled again, for one reader: more than a connection has on its way.
const SPARE_MAX: usize = 4;

/// Buffers that wait to be filled again.
#[derive(Default)]
struct Spare(Mutex<Vec<Vec<u8>>>);

impl Spare {
    fn take(&self) -> Vec<u8> {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spare.pop().unwrap_or_else(|| vec![0; PIECE])
    }

    fn give_back(&self, buffer: Vec<u8>) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE_MAX {
            spare.push(buffer);
        }
    }
}

/// A buffer that is filled up to `length`, and goes back when it is dropped.
struct Piece {
    buffer: Vec<u8>,
    length: usize,
    home: Weak<Spare>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(home) = self.home.upgrade() {
            home.give_back(std::mem::take(&mut self.buffer));
        }
    }
}

/// A file, and how far it was read.
struct Reading {
    file: Arc<File>,
    rest: Range<u64>,
    spare: Arc<Spare>,
}

/// Reads a file in order. A read begins when the one before was taken.
pub(crate) fn pieces(
    file: Arc<File>,
    range: Range<u64>,
) -> impl Stream<Item = Result<Bytes, ContentError>> + Send + 'static {
    let reading = Reading {
        file,
        rest: range,
        spare: Arc::default(),
    };
    stream::try_unfold(reading, |mut reading| async move {
        let piece = reading.next().await?;
        Ok(piece.map(|piece| (piece, reading)))
    })
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, ContentError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let left = self.rest.end - self.rest.start;
        let wanted = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        let mut buffer = self.spare.take();
        let at_once = read_at_once(&self.file, &mut buffer[..wanted], self.rest.start);
        let (buffer, length) = match at_once {
            Some(length) => (buffer, length),
            None => (self.read_elsewhere(buffer, wanted).await?, wanted),
        };
        self.rest.start += length as u64;
        Ok(Some(Bytes::from_owner(Piece {
            buffer,
            length,
            home: Arc::downgrade(&self.spare),
        })))
    }

    /// Reads on a thread that may wait for the disk.
    async fn read_elsewhere(
        &self,
        mut buffer: Vec<u8>,
        wanted: usize,
    ) -> Result<Vec<u8>, ContentError> {
        let (file, at) = (Arc::clone(&self.file), self.rest.start);
        let read = wharf_os::blocking::start(move || {
            file.read_exact_at(&mut buffer[..wanted], at)
                .map_err(|source| StoreError::io("read", Path::new("a blob"), source))?;
            Ok::<_, StoreError>(buffer)
        });
        Ok(joined(read).await??)
    }
}

/// Reads what the kernel has in memory. `None` if that is nothing, or cannot be asked for here (not every
/// file system can): the ordinary way then reads it, or says what is wrong.
fn read_at_once(file: &File, buffer: &mut [u8], at: u64) -> Option<usize> {
    loop {
        let mut buffers = [IoSliceMut::new(buffer)];
        match preadv2(file, &mut buffers, at, ReadWriteFlags::NOWAIT) {
            Ok(0) => return None,
            Ok(length) => return Some(length),
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use futures_util::StreamExt as _;

    use super::*;

    fn file(bytes: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Arc::new(file)
    }

    #[tokio::test]
    async fn gives_the_bytes_that_were_asked_for() {
        let bytes: Vec<u8> = (0..2 * PIECE + 77)
            .map(|n| u8::try_from(n % 251).unwrap())
            .collect();
        let file = file(&bytes);
        let end = bytes.len();
        for range in [0..end, 5..6, 7..PIECE + 7, PIECE..end, end..end] {
            let asked = range.start as u64..range.end as u64;
            let read: Vec<_> = pieces(Arc::clone(&file), asked).collect().await;
            let read: Vec<Bytes> = read.into_iter().map(Result::unwrap).collect();
            assert!(read.concat() == bytes[range.clone()], "{range:?}");
        }
    }

    #[tokio::test]
    async fn pieces_that_are_kept_stay_what_they_are() {
        let bytes: Vec<u8> = (0..20 * PIECE)
            .map(|n| u8::try_from(n / PIECE).unwrap())
            .collect();
        let mut reading = Box::pin(pieces(file(&bytes), 0..bytes.len() as u64));
        let mut kept = Vec::new();
        while let Some(piece) = reading.next().await {
            let piece = piece.unwrap();
            // Every other one goes back at once.
            if kept.len() % 2 == 0 {
                kept.push(piece.clone());
            } else {
                kept.push(Bytes::copy_from_slice(&piece));
            }
        }
        drop(reading);
        assert!(kept.concat() == bytes);
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_is_an_error() {
        let file = file(b"short");
        let read: Vec<_> = pieces(file, 0..10).collect().await;
        assert!(read.last().unwrap().is_err());
    }
}
