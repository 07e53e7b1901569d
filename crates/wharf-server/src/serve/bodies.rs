//! Bodies on their way in and out: a client that stops sending is not waited for without end, and one that is being
//! answered keeps its place.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use futures_util::{Stream, StreamExt as _};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::patience::Patience;
use super::places::Seat;

/// How much of a body is still taken after the answer, in bytes. A build's context is often smaller; who sends more
/// does not listen.
const REST_MAX: usize = 16 * 1024 * 1024;

/// And for how long.
const REST_TIME_MAX: Duration = Duration::from_secs(10);

/// Why a request's body ended early.
#[derive(Debug, thiserror::Error)]
enum ArrivingError {
    #[error("the client sent too little for too long")]
    TooSlow,
    #[error(transparent)]
    Broken(hyper::Error),
}

/// A request's body.
pub(super) struct Arriving {
    body: Incoming,
    seat: Arc<Seat>,
    patience: Patience,
}

impl Arriving {
    pub(super) fn new(body: Incoming, seat: Arc<Seat>, patience: Duration) -> Self {
        Self {
            body,
            seat,
            patience: Patience::new(patience),
        }
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let waited = self.patience.is_waiting();
        let Poll::Ready(next) = Pin::new(&mut self.body).poll_frame(context) else {
            if !waited {
                self.seat.is_receiving(true);
            }
            ready!(self.patience.poll(context));
            return Poll::Ready(Some(Err(axum::Error::new(ArrivingError::TooSlow))));
        };
        if waited {
            self.seat.is_receiving(false);
        }
        let length = match &next {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            _ => 0,
        };
        self.patience.went_on(length);
        let broken = |error| axum::Error::new(ArrivingError::Broken(error));
        Poll::Ready(next.map(|frame| frame.map_err(broken)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if self.patience.is_waiting() {
            self.seat.is_receiving(false);
        }
    }
}

/// A request is being answered: until its answer has been handed over, or given up.
pub(super) struct Busy(Arc<Seat>);

impl Busy {
    pub(super) fn begin(seat: &Arc<Seat>) -> Self {
        seat.is_busy(true);
        Self(Arc::clone(seat))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.is_busy(false);
    }
}

/// An answer's body, which keeps its connection busy.
pub(super) struct Answering {
    pub(super) body: Body,
    pub(super) _busy: Busy,
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body whose rest is taken when nobody wants it any more: an answer that comes before a client has sent all
/// would reach it as a broken connection, were that closed at once.
pub(crate) fn taken_to_its_end(body: Body) -> Body {
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

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::sync::mpsc;

    use super::*;

    /// What a piece has in these tests, in bytes.
    const PIECE: usize = 64 * 1024;

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
        let piece = Bytes::from(vec![0; PIECE]);
        let mut taken = 0;
        while pieces.send(Ok(piece.clone())).await.is_ok() {
            taken += piece.len();
            assert!(taken <= REST_MAX + 4 * PIECE);
        }
    }

    #[tokio::test]
    async fn a_body_that_is_wanted_comes_whole() {
        let body = taken_to_its_end(Body::from("all of it"));
        let whole = axum::body::to_bytes(body, PIECE).await.unwrap();
        assert_eq!(whole, "all of it");
    }
}
