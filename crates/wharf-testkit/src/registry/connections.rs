//! Sockets: connections are taken, reset, wrapped in TLS, and handed on.

use std::convert::Infallible;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::answer::{Shared, answer};
use super::log::Origin;

/// A socket that is listened on.
pub(crate) struct Server {
    stop: oneshot::Sender<Infallible>,
    stopped: std::sync::mpsc::Receiver<Infallible>,
}

impl Server {
    /// Hands every connection to `take` until it is stopped.
    pub(crate) fn run<T>(runtime: &Handle, listener: StdListener, take: T) -> Self
    where
        T: Fn(TcpStream) + Send + Sync + 'static,
    {
        let (stop, stopping) = oneshot::channel::<Infallible>();
        let (closed, stopped) = std::sync::mpsc::sync_channel::<Infallible>(1);
        listener
            .set_nonblocking(true)
            .expect("a socket can be made non-blocking");
        let entered = runtime.enter();
        let listener = TcpListener::from_std(listener).expect("a socket can be registered");
        drop(entered);
        runtime.spawn(async move {
            let accept = async {
                loop {
                    // Too many open files, for a moment: the next one may do.
                    let Ok((stream, _)) = listener.accept().await else {
                        continue;
                    };
                    take(stream);
                }
            };
            tokio::select! {
                () = accept => {}
                _ = stopping => {}
            }
            drop(listener);
            drop(closed);
        });
        Self { stop, stopped }
    }

    pub(super) fn start(
        runtime: &Handle,
        listener: StdListener,
        tls: Option<TlsAcceptor>,
        shared: Arc<Shared>,
        origin: Origin,
    ) -> Self {
        Self::run(runtime, listener, move |stream| {
            let resets = &shared.resets;
            let less = |left: u64| left.checked_sub(1);
            let reset = origin == Origin::Registry
                && resets
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
                    .is_ok();
            if reset {
                reset_connection(&stream);
                return;
            }
            let (shared, tls) = (Arc::clone(&shared), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => serve(stream, shared, origin).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(stream, shared, origin).await;
                        }
                    }
                }
            });
        })
    }

    /// Stops listening. The port is free when this returns.
    pub(crate) fn stop(self) {
        drop(self.stop);
        // An error is what tells that the other end is gone; nothing is ever sent.
        if let Ok(never) = self.stopped.recv() {
            match never {}
        }
    }
}

/// Closing with something left unsaid is what a reset is.
fn reset_connection(stream: &TcpStream) {
    stream
        .set_zero_linger()
        .expect("a socket's linger can be set");
}

async fn serve<S>(stream: S, shared: Arc<Shared>, origin: Origin)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        answer(Arc::clone(&shared), origin, request.map(Body::new))
    });
    // An error is a connection that broke: by the client, or on purpose.
    drop(
        http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await,
    );
}
