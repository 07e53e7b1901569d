//! Bodies that are larger than memory: archives on their way in and out, between a client and a thread that
//! blocks.

use std::io::{self, Read, Write};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use bytes::Buf as _;
use futures_util::StreamExt as _;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout};

/// How many pieces wait between a connection and a thread: of those that come, some 16 KiB each.
const PIECES: usize = 4;

/// How much is gathered before it is sent, in bytes.
const BATCH: usize = 64 * 1024;

/// How long a client may send nothing, or take nothing, in the middle of an archive. `ssh HOST cat … |
/// docker load` may pause for a while; whoever is gone for longer has gone.
const STALL_MAX: Duration = Duration::from_secs(300);

/// The same while all places are taken, and others may wait for one: it is looked at so often.
const STALL_CROWDED: Duration = Duration::from_secs(5);

/// Bounds a body that is read whole, in bytes: credentials have a few KiB.
const SMALL_MAX: usize = 64 * 1024;

/// And the time that it takes.
const SMALL_TIME_MAX: Duration = Duration::from_secs(60);

/// Reads a small body whole; `None` if it is too large, breaks off, or takes too long.
pub(super) async fn whole(body: Body) -> Option<Bytes> {
    let all = timeout(SMALL_TIME_MAX, axum::body::to_bytes(body, SMALL_MAX));
    all.await.ok()?.ok()
}

/// A body's bytes, for a thread that reads. It holds a place among the archives under way until it is
/// dropped.
pub(super) fn reader(body: Body, place: OwnedSemaphorePermit) -> impl Read + Send + 'static {
    let (pieces, received) = mpsc::channel(PIECES);
    let places = Arc::clone(place.semaphore());
    tokio::spawn(async move {
        let mut stream = body.into_data_stream();
        loop {
            let piece = match patiently(&places, &mut stream.next()).await {
                Some(None) => return,
                Some(Some(piece)) => piece.map_err(io::Error::other),
                None => Err(io::ErrorKind::TimedOut.into()),
            };
            let last = piece.is_err();
            if pieces.send(piece).await.is_err() || last {
                return;
            }
        }
    });
    BodyReader {
        pieces: received,
        current: Bytes::new(),
        _place: place,
    }
}

/// Waits for a client, for as long as it may keep others waiting; `None` if it has stalled.
async fn patiently<F: Future + Unpin>(places: &Semaphore, wait: &mut F) -> Option<F::Output> {
    let start = Instant::now();
    while start.elapsed() < STALL_MAX {
        if let Ok(came) = timeout(STALL_CROWDED, &mut *wait).await {
            return Some(came);
        }
        if places.available_permits() == 0 {
            break;
        }
    }
    None
}

struct BodyReader {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
    _place: OwnedSemaphorePermit,
}

impl Read for BodyReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = piece?,
                None => return Ok(0),
            }
        }
        let length = into.len().min(self.current.len());
        self.current.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}

/// Where a thread writes what a client shall get, and where it comes out.
pub(super) fn writer(place: OwnedSemaphorePermit) -> (BodyWriter, mpsc::Receiver<Bytes>) {
    let (pieces, written) = mpsc::channel(PIECES);
    let writer = BodyWriter {
        pieces,
        batch: Vec::new(),
        runtime: Handle::current(),
        place: Arc::new(place),
    };
    (writer, written)
}

/// Writes to a client, on threads that may block.
pub(super) struct BodyWriter {
    pieces: mpsc::Sender<Bytes>,
    batch: Vec<u8>,
    runtime: Handle,
    place: Arc<OwnedSemaphorePermit>,
}

impl Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.batch.capacity() == 0 {
            self.batch.reserve_exact(BATCH);
        }
        // No more than one batch: what a slow client does not take is counted in batches.
        let taken = bytes.len().min(BATCH - self.batch.len());
        self.batch.extend(&bytes[..taken]);
        if self.batch.len() >= BATCH {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let mut room = pin!(self.pieces.reserve());
        let room = patiently(self.place.semaphore(), &mut room);
        match self.runtime.block_on(room) {
            Some(Ok(room)) => {
                room.send(std::mem::take(&mut self.batch).into());
                Ok(())
            }
            // The client has gone, or is as good as gone.
            Some(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            None => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_at_once_goes_in_batches() {
        let places = Arc::new(Semaphore::new(1));
        let place = Arc::clone(&places).acquire_owned().await.unwrap();
        let (mut writer, mut written) = writer(place);
        let all = vec![7; 10 * BATCH + 1];
        let sent = all.clone();
        let writing = std::thread::spawn(move || {
            writer.write_all(&sent).unwrap();
            writer.flush().unwrap();
        });
        let mut got = Vec::new();
        while let Some(piece) = written.recv().await {
            assert!(piece.len() <= BATCH, "{}", piece.len());
            got.extend(piece);
        }
        writing.join().unwrap();
        assert_eq!(got, all);
    }

    #[tokio::test(start_paused = true)]
    async fn who_stalls_keeps_nobody_waiting_for_long() {
        let places = Semaphore::new(1);
        let waited = async || {
            let start = Instant::now();
            let came = patiently(&places, &mut std::future::pending::<()>()).await;
            assert!(came.is_none());
            start.elapsed()
        };
        assert!(waited().await >= STALL_MAX);
        let taken = places.acquire().await.unwrap();
        assert!(waited().await < 2 * STALL_CROWDED);
        drop(taken);
        let came = patiently(&places, &mut std::future::ready(7)).await;
        assert_eq!(came, Some(7));
    }
}
