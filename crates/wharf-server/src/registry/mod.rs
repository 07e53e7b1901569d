//! An OCI registry: the distribution-spec 1.1, push and pull.
//!
//! | module | what it holds |
//! |---|---|
//! | [`backend`] | what a registry needs of the place that keeps its content |
//! | [`disk`] | the store on this machine's disk as such a place |
//! | `route` | from a path to what is meant by it |
//! | `errors` | failures, in the spec's JSON and with its codes |
//! | `blobs` | blobs: whole, in ranges, deleted |
//! | `uploads` | blobs on their way in |
//! | `manifests` | manifests by tag and by digest |
//! | `tags` | lists of tags and of repositories |
//! | `referrers` | what refers to a manifest |
//!
//! Knowing a digest gives no access to a blob of another repository (CVE-2024-39897): every question
//! to the backend names the repository. The backend blocks, so it is asked on blocking threads only;
//! bytes stream in and out in bounded pieces.

pub mod backend;
mod blobs;
pub mod disk;
mod errors;
mod manifests;
mod range;
mod referrers;
mod route;
mod tags;
mod uploads;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use tokio::sync::Semaphore;

pub use backend::{Backend, BackendError};
pub use disk::DiskBackend;
pub use referrers::describe as describe_referrer;

use errors::{Code, Failure};
use route::Route;

use crate::serve::{Limits, Refusal};

/// The version of the API, as every answer carries it.
const API_VERSION: (&str, &str) = ("docker-distribution-api-version", "registry/2.0");

/// What a registry lets its clients do.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// May they push?
    pub push: bool,
    /// May they delete?
    pub delete: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            push: true,
            delete: true,
        }
    }
}

/// Tells of a refusal as every failure is told of: the form for [`crate::Server::with_form`].
pub fn refusal(refusal: &Refusal) -> Response {
    let code = match refusal.status {
        StatusCode::FORBIDDEN => Code::Denied,
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        _ => Code::Unsupported,
    };
    let failure = Failure::new(code, refusal.message.as_str());
    with_version(failure.with_status(refusal.status).into_response())
}

/// Bounds a registry's connections, in number: each that takes nothing of a blob costs some 50 KiB.
const CONNECTIONS_MAX: usize = 512;

/// Bounds the head of a request to a registry, in bytes: an address and a token.
const HEAD_MAX: usize = 16 * 1024;

/// A registry's limits for [`crate::Server::with_limits`].
pub fn limits() -> Limits {
    Limits {
        connections: CONNECTIONS_MAX,
        head: HEAD_MAX,
        ..Limits::default()
    }
}

/// A registry, as a service for [`crate::Server`].
pub fn router(backend: Arc<dyn Backend>, options: Options) -> Router {
    Router::new().fallback(handle).with_state(Registry {
        backend,
        options,
        large_pieces: Arc::new(Semaphore::new(blobs::LARGE_PIECES_MAX)),
    })
}

/// What every handler has.
#[derive(Clone)]
struct Registry {
    backend: Arc<dyn Backend>,
    options: Options,
    large_pieces: Arc<Semaphore>,
}

impl Registry {
    /// Asks the backend, on a thread that may block.
    async fn ask<T, F>(&self, question: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Backend) -> Result<T, BackendError> + Send + 'static,
    {
        let backend = Arc::clone(&self.backend);
        match wharf_os::blocking::start(move || question(backend.as_ref())).await {
            Ok(answer) => Ok(answer?),
            Err(error) => Err(Failure::internal(&error)),
        }
    }
}

async fn handle(State(registry): State<Registry>, request: Request) -> Response {
    let head = request.method() == Method::HEAD;
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = match dispatch(&registry, request).await {
        Ok(response) => response,
        Err(failure) => failure.into_response(),
    };
    if head && !response.status().is_success() {
        // A HEAD's answer has no body; its length would be the error's.
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = Body::empty();
    }
    tracing::debug!(%method, path, status = response.status().as_u16(), "answered");
    with_version(response)
}

fn with_version(mut response: Response) -> Response {
    let (name, value) = API_VERSION;
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
    response
}

async fn dispatch(registry: &Registry, request: Request) -> Result<Response, Failure> {
    let route = Route::parse(request.uri().path())?;
    let method = request.method().clone();
    permit(registry.options, &route, &method)?;
    match (route, &method) {
        (Route::Version, &Method::GET | &Method::HEAD) => {
            Ok(([(header::CONTENT_TYPE, "application/json")], "{}").into_response())
        }
        (Route::Catalog, &Method::GET) => tags::catalog(registry, request.uri()).await,
        (Route::Tags(name), &Method::GET) => tags::list(registry, name, request.uri()).await,
        (Route::Manifest(name, target), &Method::GET | &Method::HEAD) => {
            manifests::get(registry, name, &target, request.headers()).await
        }
        (Route::Manifest(name, target), &Method::PUT) => {
            manifests::put(registry, name, &target, request).await
        }
        (Route::Manifest(name, target), &Method::DELETE) => {
            manifests::delete(registry, name, &target).await
        }
        (Route::Blob(name, digest), &Method::GET | &Method::HEAD) => {
            blobs::get(
                registry,
                name,
                digest,
                method == Method::HEAD,
                request.headers(),
            )
            .await
        }
        (Route::Blob(name, digest), &Method::DELETE) => blobs::delete(registry, name, digest).await,
        (Route::Uploads(name), &Method::POST) => uploads::begin(registry, name, request).await,
        (Route::Upload(name, id), &Method::PATCH) => {
            uploads::append(registry, name, id, request).await
        }
        (Route::Upload(name, id), &Method::PUT) => {
            uploads::finish(registry, name, id, request).await
        }
        (Route::Upload(name, id), &Method::GET) => uploads::status(registry, name, id).await,
        (Route::Upload(name, id), &Method::DELETE) => uploads::cancel(registry, name, id).await,
        (Route::Referrers(name, digest), &Method::GET) => {
            referrers::list(registry, name, digest, request.uri()).await
        }
        _ => Err(
            Failure::new(Code::Unsupported, "the method is not supported here")
                .with_status(StatusCode::METHOD_NOT_ALLOWED),
        ),
    }
}

/// Refuses what this registry does not let its clients do.
fn permit(options: Options, route: &Route, method: &Method) -> Result<(), Failure> {
    let upload = matches!(route, Route::Upload(..));
    let allowed = match *method {
        Method::PUT | Method::POST | Method::PATCH => options.push,
        Method::DELETE if upload => options.push,
        Method::DELETE => options.delete,
        _ => true,
    };
    if allowed {
        return Ok(());
    }
    let failure = Failure::new(Code::Unsupported, "this registry does not allow it");
    Err(failure.with_status(StatusCode::METHOD_NOT_ALLOWED))
}
