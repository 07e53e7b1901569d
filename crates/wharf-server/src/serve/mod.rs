//! Connections: their number, their time limits, and how they end.
//!
//! Whatever a stranger does with a connection, it costs a bounded amount of memory, and a client
//! that says nothing loses it: after a while, or as soon as somebody else needs its place.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Response};
use axum::serve::Listener;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

/// Bounds the connections that are open at once. One that idles makes room for the next; with all of them
/// busy, the next one waits. Each may hold a megabyte or two.
const CONNECTIONS_MAX: usize = 1024;

/// How long a client may take for a request's head, and how long a connection may idle between two
/// requests.
const HEAD_TIME_MAX: Duration = Duration::from_secs(60);

/// Bounds a request's head, in bytes: credentials and filters have a few KiB.
const HEAD_MAX: usize = 64 * 1024;

/// How long to wait for the place of a connection that was ended, before another one is.
const NEXT_IDLE: Duration = Duration::from_millis(20);

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
    let idle = Arc::new(Idle::default());
    let (end, ended) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    // Who has come, and has no place yet: an idle connection ends only if somebody waits.
    let mut waiting = None;
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            (stream, _) = listener.accept(), if waiting.is_none() => waiting = Some(stream),
            slot = take_slot(&slots, &idle), if waiting.is_some() => {
                let Some(stream) = waiting.take() else { continue };
                let seat = Idle::take_seat(&idle);
                let (router, ended) = (router.clone(), ended.clone());
                connections.spawn(async move {
                    connection(stream, router, seat, ended).await;
                    drop(slot);
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop((listener, waiting));
    // Nobody listens any more if every connection has ended already.
    end.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        tracing::warn!("requests in progress were cut off");
    }
}

/// Every request has it: becomes ready when the server ends, for answers that would go on for ever.
#[derive(Clone, Debug)]
pub(crate) struct Ending(watch::Receiver<bool>);

impl Ending {
    pub(crate) async fn begins(&mut self) {
        // Without a sender the server has ended already.
        drop(self.0.wait_for(|ended| *ended).await);
    }
}

/// Waits for a place; while there is none, the connection that has idled longest is ended.
async fn take_slot(slots: &Arc<Semaphore>, idle: &Idle) -> Option<OwnedSemaphorePermit> {
    loop {
        if slots.available_permits() == 0 {
            idle.end_oldest();
        }
        let slot = Arc::clone(slots).acquire_owned();
        // The one that was ended may have got a request at that moment: then it is another one's turn.
        if let Ok(slot) = tokio::time::timeout(NEXT_IDLE, slot).await {
            // The semaphore is never closed.
            return slot.ok();
        }
    }
}

/// The connections that wait for a request, by how long they have done so.
#[derive(Default)]
struct Idle {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    by_age: BTreeMap<u64, Arc<Notify>>,
}

/// One connection among them.
struct Seat {
    idle: Arc<Idle>,
    /// Tells the connection to end.
    end: Arc<Notify>,
    place: Mutex<Option<u64>>,
}

impl Idle {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_seat(idle: &Arc<Self>) -> Arc<Seat> {
        let seat = Arc::new(Seat {
            idle: Arc::clone(idle),
            end: Arc::default(),
            place: Mutex::default(),
        });
        seat.wait();
        seat
    }

    /// Ends the connection that has waited longest, if one does.
    fn end_oldest(&self) {
        if let Some((_, end)) = self.waiting().by_age.pop_first() {
            end.notify_one();
        }
    }
}

impl Seat {
    fn place(&self) -> MutexGuard<'_, Option<u64>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self) {
        let mut waiting = self.idle.waiting();
        let place = waiting.next;
        waiting.next += 1;
        waiting.by_age.insert(place, Arc::clone(&self.end));
        drop(waiting);
        *self.place() = Some(place);
    }

    fn stop_waiting(&self) {
        if let Some(place) = self.place().take() {
            self.idle.waiting().by_age.remove(&place);
        }
    }
}

/// A request is being answered: until its answer has been sent, or given up.
struct Busy(Arc<Seat>);

impl Busy {
    fn begin(seat: &Arc<Seat>) -> Self {
        seat.stop_waiting();
        Self(Arc::clone(seat))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.wait();
    }
}

/// Leaves the list with the connection.
struct Leaving(Arc<Seat>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.stop_waiting();
    }
}

/// An answer's body, which keeps its connection busy.
struct Answering {
    body: Body,
    _busy: Busy,
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

async fn connection<S>(stream: S, router: Router, seat: Arc<Seat>, mut ended: watch::Receiver<bool>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (end, seat_of_end) = (Arc::clone(&seat.end), Arc::clone(&seat));
    let ending = Ending(ended.clone());
    // Dropped after the connection, whose last answer may still come back to the list.
    let leaving = Leaving(Arc::clone(&seat));
    let service = service_fn(move |request: Request<Incoming>| {
        let (router, busy) = (router.clone(), Busy::begin(&seat));
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ending.clone());
        async move {
            let answer: Response<Body> = match router.oneshot(request).await {
                Ok(answer) => answer,
                Err(never) => match never {},
            };
            let answering = |body| Answering { body, _busy: busy };
            Ok::<_, Infallible>(answer.map(answering))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_MAX)
        // As Go writes them: some clients of old compare letter by letter.
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = Box::pin(connection);
    let told_to_end = async { drop(ended.wait_for(|ended| *ended).await) };
    let room_is_needed = async {
        loop {
            end.notified().await;
            // Not where a request has just come.
            if seat_of_end.place().is_some() {
                return;
            }
        }
    };
    let result = tokio::select! {
        result = connection.as_mut() => Some(result),
        () = told_to_end => None,
        () = room_is_needed => Some(Ok(())),
    };
    let result = match result {
        Some(result) => result,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    drop(connection);
    drop(leaving);
    if let Err(error) = result {
        // The client's doing, most of the time: it broke off, or spoke something else.
        tracing::debug!(%error, "a connection broke");
    }
}
