//! Bodies that are larger than memory: archives on their way in and out, between a client and a thread that
//! blocks.

use std::io::{self, Read, Write};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody as _};
use bytes::Buf as _;
use futures_util::{Stream, StreamExt as _};
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

/// How much of a body is still taken after the answer, in bytes. A build's context is often smaller; whoever goes
/// on for longer does not listen.
const REST_MAX: usize = 16 * 1024 * 1024;

/// And for how long.
const REST_TIME_MAX: Duration = Duration::from_secs(10);

/// A body whose rest is taken when nobody wants it any more: an answer that comes before a client has sent all
/// would reach it as a broken connection, were that closed at once.
pub(super) fn taken_to_its_end(body: Body) -> Body {
    if body.is_end_stream() {
        return body;
    }
    Body::from_stream(Lingering(Some(body.into_data_stream())))
}

/// `None` once it has ended.
struct Lingering(Option<BodyDataStream>);

impl Stream for Lingering {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(stream) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let next = std::task::ready!(stream.poll_next_unpin(context));
        if !matches!(next, Some(Ok(_))) {
            self.0 = None;
        }
        Poll::Ready(next)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let (Some(stream), Ok(runtime)) = (self.0.take(), Handle::try_current()) else {
            return;
        };
        // It ends by itself, soon: nobody has to wait for it.
        drop(runtime.spawn(timeout(REST_TIME_MAX, take_rest(stream))));
    }
}

async fn take_rest(mut stream: BodyDataStream) {
    let mut left = REST_MAX;
    while let Some(Ok(piece)) = stream.next().await {
        let Some(less) = left.checked_sub(piece.len()) else {
            return;
        };
        left = less;
    }
}

/// Reads a small body whole; `None` if it is too large or breaks off.
pub(super) async fn whole(body: Body) -> Option<Bytes> {
    axum::body::to_bytes(body, SMALL_MAX).await.ok()
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

    /// A body that somebody else sends, piece by piece.
    fn sent_by_others() -> (mpsc::Sender<io::Result<Bytes>>, Body) {
        let (pieces, received) = mpsc::channel(1);
        let stream = futures_util::stream::unfold(received, |mut received| async move {
            Some((received.recv().await?, received))
        });
        (pieces, Body::from_stream(stream))
    }

    #[tokio::test]
    async fn takes_the_rest_of_a_body_that_nobody_wants() {
        let (pieces, body) = sent_by_others();
        drop(taken_to_its_end(body));
        for _ in 0..100 {
            pieces.send(Ok(Bytes::from_static(b"rest"))).await.unwrap();
        }
    }

    #[tokio::test]
    async fn does_not_take_it_without_end() {
        let (pieces, body) = sent_by_others();
        drop(taken_to_its_end(body));
        let piece = Bytes::from(vec![0; BATCH]);
        let mut taken = 0;
        while pieces.send(Ok(piece.clone())).await.is_ok() {
            taken += piece.len();
            assert!(taken <= REST_MAX + 4 * BATCH);
        }
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

    #[tokio::test]
    async fn a_body_that_is_wanted_comes_whole() {
        let body = taken_to_its_end(Body::from("all of it"));
        assert_eq!(whole(body).await.unwrap(), "all of it");
    }
}
