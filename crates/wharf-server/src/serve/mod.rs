//! Connections: whom they are let in from, their number, their time limits, and how they end.
//!
//! | module | what it holds |
//! |---|---|
//! | `admission` | which requests are let in: hosts, web pages |
//! | `refusal` | what the others are told |
//! | `places` | which connection ends when somebody else needs its place |
//! | `patience` | how long a client is waited for |
//! | `stream`, `bodies` | the same for what goes out, and for what comes in |
//!
//! Whatever a stranger does with a connection, it costs a bounded amount of memory, and a client that says nothing or
//! takes nothing loses it: after a while, or as soon as somebody else needs its place. Who comes while all places are
//! at work gets an answer too, if only that there is too much to do.

mod admission;
mod bodies;
mod patience;
mod places;
mod refusal;
mod stream;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, header};
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tower::ServiceExt as _;

pub use admission::{Admission, HostNameError, HostNames};
pub(crate) use bodies::taken_to_its_end;
pub use refusal::{Form, Refusal};

use bodies::{Answering, Arriving, Busy};
use places::{Places, Seat};
use stream::Watched;

/// Bounds the connections that are served at once. One that idles makes room for the next. Each may hold a hundred
/// KiB or two.
const CONNECTIONS_MAX: usize = 1024;

/// Bounds the connections that wait for a place, or are told that there is none. Those beyond wait in the kernel.
const WAITING_MAX: usize = 64;

/// How long a connection waits for a place before it is told that there is none: requests about rows are answered in
/// less.
const PLACE_TIME_MAX: Duration = Duration::from_secs(1);

/// How often it is looked for a place meanwhile.
const NEXT_PLACE: Duration = Duration::from_millis(20);

/// How long a connection may take to ask, and to be told that there is no place for it.
const REFUSAL_TIME_MAX: Duration = Duration::from_secs(5);

/// When a client may try again that was told so.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How long a client may take for a request's head, and how long a connection may idle between two
/// requests.
const HEAD_TIME_MAX: Duration = Duration::from_secs(60);

/// Bounds a request's head, in bytes: credentials and filters have a few KiB.
const HEAD_MAX: usize = 64 * 1024;

/// How long a client may take nothing of its answer.
const TAKING_PATIENCE: Duration = Duration::from_secs(60);

/// How long a client may send nothing in the middle of a request: `ssh HOST cat … | docker load` may pause for a
/// while.
const SENDING_PATIENCE: Duration = Duration::from_secs(300);

/// The same for both while all places are taken, and somebody needs one.
const CROWDED_PATIENCE: Duration = Duration::from_secs(5);

/// How long requests in progress have when the server is told to end.
const GRACE: Duration = Duration::from_secs(10);

/// How many connections there may be, and how long they may take. The defaults are the constants of this file.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections that are served at once.
    pub connections: usize,
    /// Connections that wait for a place, or are told that there is none.
    pub waiting: usize,
    /// How long a connection waits for a place.
    pub place_time: Duration,
    /// How long a request's head may take, and how long a connection may idle.
    pub head_time: Duration,
    /// How many bytes a request's head may have, and of an answer wait for the client.
    pub head: usize,
    /// How long a client may take nothing.
    pub taking: Duration,
    /// How long a client may send nothing in the middle of a request.
    pub sending: Duration,
    /// The same for both while all places are taken.
    pub crowded: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS_MAX,
            waiting: WAITING_MAX,
            place_time: PLACE_TIME_MAX,
            head_time: HEAD_TIME_MAX,
            head: HEAD_MAX,
            taking: TAKING_PATIENCE,
            sending: SENDING_PATIENCE,
            crowded: CROWDED_PATIENCE,
        }
    }
}

impl Limits {
    /// Takes fewer connections where the process may open fewer files: half of them are for the work on the requests.
    #[must_use]
    pub fn for_open_files(self, files: u64) -> Self {
        let files = usize::try_from(files).unwrap_or(usize::MAX);
        let waiting = self.waiting.min(files / 16).max(1);
        let connections = (files / 2).saturating_sub(waiting).max(1);
        Self {
            connections: self.connections.min(connections),
            waiting,
            ..self
        }
    }
}

/// A place where clients come in, which knows whom it lets in.
pub trait Place: Listener {
    /// Says which requests are let in here.
    fn admission(&self) -> Admission;
}

impl Place for TcpListener {
    fn admission(&self) -> Admission {
        // A socket without an address takes no connections either.
        TcpListener::local_addr(self).map_or_else(|_| Admission::all(), Admission::over_tcp)
    }
}

/// Answers requests, at any number of places.
#[derive(Clone)]
pub struct Server {
    router: Router,
    form: Form,
    names: HostNames,
    limits: Limits,
}

/// Serves `router` on `listener`, within the usual limits, until `shutdown` is ready: see [`Server::run`].
pub async fn serve<L: Place>(listener: L, router: Router, shutdown: impl Future<Output = ()>) {
    Server::new(router).run(listener, shutdown).await;
}

impl Server {
    /// Makes a server of a router. It tells in plain text what it refuses.
    pub fn new(router: Router) -> Self {
        Self {
            router,
            form: refusal::plain,
            names: HostNames::default(),
            limits: Limits::default(),
        }
    }

    /// Tells in this form what it refuses.
    #[must_use]
    pub fn with_form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    /// Answers to these names beside those of loopback.
    #[must_use]
    pub fn with_names(self, names: HostNames) -> Self {
        Self { names, ..self }
    }

    /// Keeps these limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Serves on `listener` until `shutdown` is ready; requests in progress are answered then, for as long as that
    /// takes up to ten seconds.
    pub async fn run<L: Place>(self, mut listener: L, shutdown: impl Future<Output = ()>) {
        let (end, ended) = watch::channel(false);
        let hall = Arc::new(Hall {
            admission: listener.admission().with_names(self.names.clone()),
            slots: Arc::new(Semaphore::new(self.limits.connections)),
            places: Arc::default(),
            server: self,
            ended,
        });
        let waiting = Arc::new(Semaphore::new(hall.server.limits.waiting));
        let mut connections = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        // The next one is taken only when there is room for it to wait.
        let mut room = None;
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                (stream, _) = listener.accept(), if room.is_some() => {
                    connections.spawn(Arc::clone(&hall).visit(stream, room.take()));
                }
                free = Arc::clone(&waiting).acquire_owned(), if room.is_none() => room = free.ok(),
                Some(_) = connections.join_next() => {}
            }
        }
        drop(listener);
        // Nobody listens any more if every connection has ended already.
        end.send_replace(true);
        let all = async { while connections.join_next().await.is_some() {} };
        if timeout(GRACE, all).await.is_err() {
            tracing::warn!("requests in progress were cut off");
        }
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

/// What all connections at one place share.
struct Hall {
    server: Server,
    admission: Admission,
    slots: Arc<Semaphore>,
    places: Arc<Places>,
    ended: watch::Receiver<bool>,
}

impl Hall {
    /// A connection from its beginning to its end. It holds `room` until it has a place.
    async fn visit<S>(self: Arc<Self>, stream: S, room: Option<OwnedSemaphorePermit>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut ending = Ending(self.ended.clone());
        let slot = tokio::select! {
            slot = self.take_slot() => slot,
            () = ending.begins() => return,
        };
        if let Some(slot) = slot {
            drop(room);
            self.connection(stream, Service::Whole).await;
            drop(slot);
        } else {
            let told = self.connection(stream, Service::Refuse);
            drop(timeout(REFUSAL_TIME_MAX, told).await);
            drop(room);
        }
    }

    /// Waits for a place, and makes others leave theirs; `None` if that takes too long.
    async fn take_slot(&self) -> Option<OwnedSemaphorePermit> {
        let mut slot = std::pin::pin!(Arc::clone(&self.slots).acquire_owned());
        let start = Instant::now();
        let mut wait = Duration::ZERO;
        loop {
            if let Ok(slot) = timeout(wait, slot.as_mut()).await {
                // The semaphore is never closed.
                return slot.ok();
            }
            if start.elapsed() >= self.server.limits.place_time {
                tracing::warn!("all connections are at work: a request is refused");
                return None;
            }
            // The one that is to end may have got a request at that moment: then it is another one's turn.
            self.places.make_room(self.server.limits.crowded);
            wait = NEXT_PLACE;
        }
    }

    async fn connection<S>(&self, stream: S, service: Service)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = self.server.limits;
        let seat = match service {
            Service::Whole => self.places.sit(),
            // Nobody needs the place of one that has none.
            Service::Refuse => Arc::new(Places::default()).sit(),
        };
        let answering = |request| self.answer(request, &seat, service);
        let stream = Watched::new(stream, Arc::clone(&seat), limits.taking);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_time)
            .max_buf_size(limits.head)
            // As Go writes them: some clients of old compare letter by letter.
            .title_case_headers(true)
            .serve_connection(TokioIo::new(stream), service_fn(answering));
        let mut connection = std::pin::pin!(connection);
        let mut ending = Ending(self.ended.clone());
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = seat.is_needed() => return,
            () = ending.begins() => {
                connection.as_mut().graceful_shutdown();
                connection.as_mut().await
            }
        };
        if let Err(error) = result {
            // The client's doing, most of the time: it broke off, or spoke something else.
            tracing::debug!(%error, "a connection broke");
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        seat: &Arc<Seat>,
        service: Service,
    ) -> Result<Response<Answering>, Infallible> {
        let busy = Busy::begin(seat);
        let admitted = match service {
            Service::Whole => self.admission.check(&request),
            Service::Refuse => Err(Refusal::busy(
                "the server is busy with as many connections as it may have; try again in a few seconds",
                RETRY_AFTER,
            )),
        };
        let patience = self.server.limits.sending;
        let mut request =
            request.map(|body| Body::new(Arriving::new(body, Arc::clone(seat), patience)));
        let answer = match admitted {
            Ok(()) => {
                request.extensions_mut().insert(Ending(self.ended.clone()));
                match self.server.router.clone().oneshot(request).await {
                    Ok(answer) => answer,
                    Err(never) => match never {},
                }
            }
            Err(refusal) => {
                tracing::info!(
                    method = %request.method(), status = refusal.status.as_u16(), refusal.message, "refused"
                );
                // Who asks before it sends the body does not send it now.
                if !request.headers().contains_key(header::EXPECT) {
                    drop(taken_to_its_end(request.into_body()));
                }
                refusal.answer(self.server.form)
            }
        };
        Ok(answer.map(|body| Answering { body, _busy: busy }))
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    /// Its requests are answered.
    Whole,
    /// There is no place for it, and it is told so.
    Refuse,
}

#[cfg(test)]
mod tests;
