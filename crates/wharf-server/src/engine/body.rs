//! Bodies that are larger than memory: archives on their way in and out, between a client and a thread that
//! blocks.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use bytes::Buf as _;
use futures_util::StreamExt as _;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

/// How many pieces wait between a connection and a thread: of those that come, some 16 KiB each.
const PIECES: usize = 4;

/// How much is gathered before it is sent, in bytes.
const BATCH: usize = 64 * 1024;

/// How long a client may send nothing, or take nothing, in the middle of an archive. `ssh HOST cat … |
/// docker load` may pause for a while; whoever is gone for longer has gone.
const STALL_MAX: Duration = Duration::from_secs(300);

/// Bounds a body that is read whole, in bytes: credentials have a few KiB.
const SMALL_MAX: usize = 64 * 1024;

/// Reads a small body whole; `None` if it is too large or breaks off.
pub(super) async fn whole(body: Body) -> Option<Bytes> {
    axum::body::to_bytes(body, SMALL_MAX).await.ok()
}

/// A body's bytes, for a thread that reads. It holds a place among the archives under way until it is
/// dropped.
pub(super) fn reader(body: Body, place: OwnedSemaphorePermit) -> impl Read + Send + 'static {
    let (pieces, received) = mpsc::channel(PIECES);
    tokio::spawn(async move {
        let mut stream = body.into_data_stream();
        loop {
            let piece = match timeout(STALL_MAX, stream.next()).await {
                Ok(None) => return,
                Ok(Some(piece)) => piece.map_err(io::Error::other),
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
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
        _place: Arc::new(place),
    };
    (writer, written)
}

/// Writes to a client, on threads that may block.
pub(super) struct BodyWriter {
    pieces: mpsc::Sender<Bytes>,
    batch: Vec<u8>,
    runtime: Handle,
    _place: Arc<OwnedSemaphorePermit>,
}

impl Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.batch.extend(bytes);
        if self.batch.len() >= BATCH {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch).into();
        let sent = timeout(STALL_MAX, self.pieces.send(batch));
        match self.runtime.block_on(sent) {
            Ok(Ok(())) => Ok(()),
            // The client has gone, or is as good as gone.
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}
