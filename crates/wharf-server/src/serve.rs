//! Connections: their number, their time limits, and how they end.
//!
//! Whatever a stranger does with a connection, it costs a bounded amount of memory, and a client
//! that says nothing loses it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Bounds the connections that are open at once; the next one waits. Each may hold a megabyte or two.
const CONNECTIONS_MAX: usize = 1024;

/// How long a client may take for a request's head, and how long a connection may idle between two
/// requests.
const HEAD_TIME_MAX: Duration = Duration::from_secs(60);

/// How long requests in progress have when the server is told to end.
const GRACE: Duration = Duration::from_secs(10);

/// Serves `router` on `listener` until `shutdown` is ready; requests in progress are answered then,
/// for as long as that takes up to ten seconds.
///
/// A listener is a `TcpListener`, or anything that hands out streams: sockets of another
/// kind, or TLS.
pub async fn serve<L>(mut listener: L, router: Router, shutdown: impl Future<Output = ()>)
where
    L: Listener,
{
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (end, ended) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (listener.accept().await.0, slot)
        };
        tokio::select! {
            () = &mut shutdown => break,
            (stream, slot) = accepted => {
                let (router, ended) = (router.clone(), ended.clone());
                connections.spawn(async move {
                    connection(stream, router, ended).await;
                    drop(slot);
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    // Nobody listens any more if every connection has ended already.
    end.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        tracing::warn!("requests in progress were cut off");
    }
}

async fn connection<S>(stream: S, router: Router, mut ended: watch::Receiver<bool>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let end = async { drop(ended.wait_for(|ended| *ended).await) };
    let result = tokio::select! {
        result = connection.as_mut() => Some(result),
        () = end => None,
    };
    let result = match result {
        Some(result) => result,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        // The client's doing, most of the time: it broke off, or spoke something else.
        tracing::debug!(%error, "a connection broke");
    }
}
