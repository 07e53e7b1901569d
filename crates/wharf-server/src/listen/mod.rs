//! Where clients come in: a unix socket, TCP, TCP with TLS.
//!
//! | module | what it holds |
//! |---|---|
//! | [`unix`] | making a socket whose owner, group and mode are right from the first moment |
//! | [`tls`] | certificates, and the handshake, which keeps nobody but its own client waiting |

pub mod tls;
pub mod unix;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use self::tls::{Acceptor, Lazy};
use crate::serve::{Admission, Place};

/// How long to wait before the next try if a connection cannot be taken: without file descriptors, at
/// once would be a busy loop.
const PAUSE: Duration = Duration::from_millis(100);

/// Bounds what the kernel keeps of a connection's bytes before it sends them, in bytes: with its own bound, megabytes
/// would wait there for each client that takes nothing. What is on its way is not counted.
const UNSENT_MAX: u32 = 256 * 1024;

/// How long a connection is silent before the kernel asks whether the other side is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// A place where clients come in.
#[derive(Debug)]
pub enum Listening {
    /// A unix socket.
    Unix(UnixListener),
    /// TCP, as it is.
    Tcp(TcpListener),
    /// TCP with TLS.
    Tls(TcpListener, Acceptor),
}

/// A client's connection.
pub enum Stream {
    /// Over a unix socket.
    Unix(UnixStream),
    /// Over TCP.
    Tcp(TcpStream),
    /// Over TLS.
    Tls(Lazy),
}

impl Listening {
    async fn try_accept(&self) -> io::Result<Stream> {
        match self {
            Self::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
            Self::Tcp(listener) => Ok(Stream::Tcp(prompt(listener.accept().await?.0)?)),
            Self::Tls(listener, acceptor) => {
                let stream = prompt(listener.accept().await?.0)?;
                Ok(Stream::Tls(acceptor.accept(stream)))
            }
        }
    }
}

/// Sets what every connection over TCP has. Lines of progress are small, and wanted at once; what a client does not
/// take stays here, where it is counted, and a client that has gone without a word is noticed.
fn prompt(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    let tuned = socket
        .set_tcp_notsent_lowat(UNSENT_MAX)
        .and_then(|()| socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE)));
    if let Err(error) = tuned {
        // Some sandboxes lack these options, and a connection works without them.
        tracing::debug!(%error, "a connection has no limit on unsent bytes, or no keepalive");
    }
    Ok(stream)
}

impl Place for Listening {
    fn admission(&self) -> Admission {
        match self {
            Self::Unix(_) => Admission::all(),
            Self::Tcp(listener) | Self::Tls(listener, _) => listener.admission(),
        }
    }
}

impl Listener for Listening {
    type Io = Stream;
    type Addr = ();

    async fn accept(&mut self) -> (Stream, ()) {
        loop {
            match self.try_accept().await {
                Ok(stream) => return (stream, ()),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Hands a call on to whichever stream it is.
macro_rules! on_stream {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Unix($stream) => $call,
            Self::Tcp($stream) => $call,
            Self::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on_stream!(self, stream => Pin::new(stream).poll_read(context, into))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        on_stream!(self, stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, stream => Pin::new(stream).poll_shutdown(context))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_stream!(self, stream => Pin::new(stream).poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
