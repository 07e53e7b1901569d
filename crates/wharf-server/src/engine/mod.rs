//! The Docker Engine API, versions 1.24 to 1.51, for everything that concerns images.
//!
//! | module | what it holds |
//! |---|---|
//! | [`wire`] | what is said about images: shapes, names and orders of fields |
//! | `route` | from a method and a path to what is meant by it |
//! | `version` | which version a client speaks |
//! | `query`, `filters`, `auth`, `body` | what a request says: parameters, filters, credentials, archives |
//! | `answer` | JSON, and failures with Docker's status codes |
//! | `progress` | what a long operation says while it runs |
//! | `images` | what is done with images, a file for each |
//! | `system`, `info` | ping, version, space; about the machine |
//! | `events` | what was done, told to whoever listens |
//! | `metrics` | the same in numbers |
//! | `absent` | what Docker has and wharf has not |
//!
//! It is an edge like the command line: it knows [`Engine`] and nothing below it. Rows are read and written on
//! threads that may block; long operations are tasks of their own.

mod absent;
mod answer;
mod auth;
mod body;
mod events;
mod filters;
mod images;
mod info;
mod metrics;
mod progress;
mod query;
mod route;
mod system;
mod version;
pub mod wire;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wharf_engine::Engine;

use answer::{AnswerRoom, Failure, Result};
use events::Events;
use images::list::LatestList;
use metrics::Metrics;
use query::Query;
use route::Route;
use version::ApiVersion;

use crate::serve::Refusal;

pub use info::describe;
pub use system::Host;

/// Bounds the archives that come and go at once, in number; the next one waits. Each holds a thread and about
/// a megabyte, also while its client stalls.
const ARCHIVES_MAX: usize = 32;

/// Bounds those who wait for a place among them. More are refused, so that archives never take every connection.
const ARCHIVES_WAITING_MAX: usize = 96;

/// Bounds what is asked of registries at once: pulls, pushes, imports, searches. More are refused, for the same
/// reason.
const OPERATIONS_MAX: usize = 256;

/// Bounds the questions about rows that are asked at once, in number; the next one waits. The store keeps as many
/// connections, each with a page cache of up to 2 MB.
const ROWS_MAX: usize = 8;

/// What every handler has.
struct Api {
    engine: Arc<dyn Engine>,
    host: Host,
    events: Events,
    metrics: Arc<Metrics>,
    archives: Arc<Semaphore>,
    archives_waiting: Semaphore,
    operations: Arc<Semaphore>,
    questions: Arc<Semaphore>,
    list: LatestList,
    answers: AnswerRoom,
}

/// Tells of a refusal as every failure is told of: the form for [`crate::Server::with_form`].
pub fn refusal(refusal: &Refusal) -> Response {
    Failure::new(refusal.status, refusal.message.as_str()).into_response()
}

/// The API over an engine, as a service for [`crate::Server`].
pub fn router(engine: Arc<dyn Engine>, host: Host) -> Router {
    let api = Api {
        engine,
        host,
        events: Events::default(),
        metrics: Arc::default(),
        archives: Arc::new(Semaphore::new(ARCHIVES_MAX)),
        archives_waiting: Semaphore::new(ARCHIVES_WAITING_MAX),
        operations: Arc::new(Semaphore::new(OPERATIONS_MAX)),
        questions: Arc::new(Semaphore::new(ROWS_MAX)),
        list: LatestList::default(),
        answers: AnswerRoom::default(),
    };
    Router::new().fallback(handle).with_state(Arc::new(api))
}

impl Api {
    /// Asks the engine for what is a matter of rows: it blocks for a moment, and so on a thread that may.
    async fn rows<T, F>(&self, question: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'e> FnOnce(&'e dyn Engine) -> BoxFuture<'e, wharf_engine::Result<T>>
            + Send
            + 'static,
    {
        let engine = Arc::clone(&self.engine);
        let runtime = tokio::runtime::Handle::current();
        let turn = Arc::clone(&self.questions).acquire_owned().await;
        let turn = turn.map_err(|error| Failure::internal(&error))?;
        let asked = wharf_os::blocking::start(move || {
            let answer = runtime.block_on(question(engine.as_ref()));
            // Also the question of a client that has gone keeps its turn until its thread is free.
            drop(turn);
            answer
        });
        match asked.await {
            Ok(answer) => Ok(answer?),
            Err(error) => Err(Failure::internal(&error)),
        }
    }

    /// Waits for a place among the archives under way.
    async fn archive(&self) -> Result<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.archives).try_acquire_owned() {
            return Ok(place);
        }
        let _waiting = self.archives_waiting.try_acquire().map_err(|_| {
            let all = ARCHIVES_MAX + ARCHIVES_WAITING_MAX;
            Failure::busy(format!(
                "{all} archives are under way or wait already; try again later"
            ))
        })?;
        let place = Arc::clone(&self.archives).acquire_owned().await;
        place.map_err(|error| Failure::internal(&error))
    }

    /// Takes a place among what is asked of registries.
    fn operation(&self) -> Result<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.operations).try_acquire_owned();
        place.map_err(|_| {
            Failure::busy(format!(
                "{OPERATIONS_MAX} pulls, pushes and searches are under way already; try again later"
            ))
        })
    }
}

async fn handle(State(api): State<Arc<Api>>, request: Request) -> Response {
    let began = Instant::now();
    let request = request.map(crate::serve::taken_to_its_end);
    let method = request.method().clone();
    api.metrics.begin();
    let path = query::decoded(request.uri().path());
    let found = path.map(|path| (route::find(&method, &path), path));
    let (label, response) = match found {
        Ok((Some((version, route)), path)) => {
            let label = route.label();
            let answered = answer(&api, version, route, request).await;
            tracing::info!(
                %method, path, status = answered.status().as_u16(), took = ?began.elapsed(), "answered"
            );
            (label, answered)
        }
        Ok((None, path)) => {
            tracing::info!(%method, path, status = 404, "answered");
            (
                "none",
                Failure::new(StatusCode::NOT_FOUND, "page not found").into_response(),
            )
        }
        Err(failure) => ("none", failure.into_response()),
    };
    let response = api.answers.hold(response).await;
    let status = response.status().as_u16();
    api.metrics
        .answered(method.as_str(), label, status, began.elapsed());
    response
}

/// Answers a request for something that there is, with what every such answer says of the server.
async fn answer(api: &Arc<Api>, version: ApiVersion, route: Route, request: Request) -> Response {
    let answered = match version.refusal() {
        None => dispatch(api, &version, route, request).await,
        // So old a client does not read JSON.
        Some(words) if version.is_too_old() => Err(Failure::bad(words).plain()),
        Some(words) => Err(Failure::bad(words)),
    };
    let mut response = answered.unwrap_or_else(Failure::into_response);
    let headers = response.headers_mut();
    let newest = version::text(version::NEWEST);
    for (name, value) in [
        (header::SERVER, api.host.server()),
        (header::HeaderName::from_static("api-version"), newest),
        (
            header::HeaderName::from_static("ostype"),
            "linux".to_owned(),
        ),
        (
            header::HeaderName::from_static("docker-experimental"),
            "false".to_owned(),
        ),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}

async fn dispatch(
    api: &Arc<Api>,
    version: &ApiVersion,
    route: Route,
    request: Request,
) -> Result<Response> {
    let query = Query::parse(request.uri().query().unwrap_or_default())?;
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    match route {
        Route::Ping => Ok(system::ping(&parts.method)),
        Route::Version => Ok(system::version(api)),
        Route::Info => info::get(api, version).await,
        Route::DiskUsage => system::disk_usage(api, version, &query).await,
        Route::Auth => auth::post(api, body).await,
        Route::Events => events::get(api, &query, parts.extensions.get().cloned()),
        Route::Metrics => metrics::get(api).await,
        Route::Distribution(name) => images::distribution::get(api, &name, headers).await,
        Route::List => images::list::get(api, version, &query).await,
        Route::Inspect(name) => images::inspect::get(api, version, name, &query).await,
        Route::History(name) => images::history::get(api, version, name, &query).await,
        Route::Create => images::create::post(api, version, &query, headers, body).await,
        Route::Push(name) => images::push::post(api, version, &name, &query, headers).await,
        Route::Tag(name) => images::tag::post(api, name, &query).await,
        Route::Remove(name) => images::remove::delete(api, version, name, &query).await,
        Route::Prune => images::prune::post(api, &query).await,
        Route::Search => images::search::get(api, &query, headers).await,
        Route::Save(name) => images::save::get(api, version, name, &query).await,
        Route::Load => images::load::post(api, version, &query, body).await,
        Route::Options => Ok(StatusCode::OK.into_response()),
        Route::Absent(absent) => absent.answer(),
    }
}
