//! A connection's bytes on their way out: a client that does not take them loses its connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::patience::Patience;
use super::places::Seat;

/// A stream whose writes have a time limit.
pub(super) struct Watched<S> {
    stream: S,
    seat: Arc<Seat>,
    patience: Patience,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, seat: Arc<Seat>, patience: Duration) -> Self {
        Self {
            stream,
            seat,
            patience: Patience::new(patience),
        }
    }

    /// Looks at what became of a write, of which `count` says how many bytes it took.
    fn seen<T>(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<T>>,
        count: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        let waited = self.patience.is_waiting();
        match &result {
            Poll::Pending => {
                if !waited {
                    self.seat.is_sending(true);
                }
                ready!(self.patience.poll(context));
                tracing::info!("a client took nothing for too long, and lost its connection");
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Ready(done) => {
                if waited {
                    self.seat.is_sending(false);
                }
                self.patience.went_on(done.as_ref().map_or(0, count));
                result
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.seen(context, result, |taken| *taken)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(context);
        if result.is_ready() && !self.patience.is_waiting() {
            return result;
        }
        self.seen(context, result, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(context);
        self.seen(context, result, |()| 0)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.seen(context, result, |taken| *taken)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
