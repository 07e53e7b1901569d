//! The way of one request: it is logged, a fault may take it, the door may stop it, the registry
//! answers it, and a fault may bend the answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tower::ServiceExt as _;
use wharf_server::registry::Backend;

use super::auth::Door;
use super::faults::{Fault, Faults};
use super::log::{Log, Origin};
use super::shape;
use crate::token::{TokenService, Verdict};

/// How long [`Fault::Deaf`] lasts: longer than an impatient client waits, and not so long that
/// anybody waits for it at the end.
const DEAF_FOR: Duration = Duration::from_secs(1);

/// What all connections of a registry share.
pub(super) struct Shared {
    pub(super) router: Router,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) door: Door,
    pub(super) faults: Faults,
    pub(super) log: Log,
    pub(super) resets: AtomicU64,
    pub(super) address: SocketAddr,
    pub(super) base: String,
    pub(super) other_base: String,
}

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("hung up by the test")]
pub(super) struct Hangup;

pub(super) async fn answer(
    shared: Arc<Shared>,
    origin: Origin,
    request: Request<Body>,
) -> Result<Response, Hangup> {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    let entry = shared.log.begin(origin, method, uri, headers);
    let ranged = headers.contains_key(header::RANGE);
    let fault = match origin {
        Origin::Registry => shared.faults.choose(method, uri, ranged),
        Origin::Other => None,
    };
    let response = match &fault {
        Some(Fault::Hangup) => return Err(Hangup),
        Some(Fault::Deaf) => {
            tokio::time::sleep(DEAF_FOR).await;
            return Err(Hangup);
        }
        Some(Fault::CutRequest(after)) => {
            let cut = request.map(|body| shape::cut_request(body, *after));
            regular(&shared, origin, cut, None).await;
            return Err(Hangup);
        }
        Some(fault) => match instead(&shared, fault, &request, ranged) {
            Some(response) => response,
            None => regular(&shared, origin, request, Some(fault)).await,
        },
        None => regular(&shared, origin, request, None).await,
    };
    entry.answered(response.status().as_u16());
    Ok(shape::count(response, entry))
}

/// The answer of a fault that does not let the request through.
fn instead(
    shared: &Shared,
    fault: &Fault,
    request: &Request<Body>,
    ranged: bool,
) -> Option<Response> {
    let uri = request.uri();
    let to = |place: &str| {
        (
            StatusCode::TEMPORARY_REDIRECT,
            [(header::LOCATION, place.to_owned())],
        )
            .into_response()
    };
    Some(match fault {
        Fault::Status(status) => error(*status),
        Fault::TooManyRequests { retry_after } => {
            let mut response = error(429);
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, (*retry_after).into());
            response
        }
        Fault::RangeNotSatisfiable if ranged => error(416),
        Fault::Redirect => to(&format!("{}{uri}", shared.other_base)),
        Fault::RedirectTo(place) => to(place),
        Fault::Unauthorized => {
            shared
                .door
                .challenge(&shared.base, request.method(), uri.path(), Verdict::Invalid)
        }
        Fault::Body { media_type, bytes } => {
            ([(header::CONTENT_TYPE, media_type.clone())], bytes.clone()).into_response()
        }
        _ => return None,
    })
}

/// The registry's own answer, bent if need be.
async fn regular(
    shared: &Shared,
    origin: Origin,
    mut request: Request<Body>,
    fault: Option<&Fault>,
) -> Response {
    let path = request.uri().path();
    let response = if origin == Origin::Registry && path == TokenService::PATH {
        match shared.door.token_service() {
            Some(service) => service.answer(request).await,
            None => StatusCode::NOT_FOUND.into_response(),
        }
    } else {
        if origin == Origin::Registry {
            let (method, headers) = (request.method(), request.headers());
            if let Some(refusal) = shared.door.check(&shared.base, method, path, headers) {
                return refusal;
            }
        }
        let no_ranges = fault == Some(&Fault::NoRanges);
        if no_ranges {
            request.headers_mut().remove(header::RANGE);
        }
        let mut response = match shared.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        if no_ranges {
            response.headers_mut().remove(header::ACCEPT_RANGES);
        }
        response
    };
    match fault {
        Some(fault) if response.status().is_success() => shape::bend(response, fault),
        _ => response,
    }
}

/// An error as registries write it.
fn error(status: u16) -> Response {
    let status = StatusCode::from_u16(status).expect("a test's status is valid");
    let code = match status.as_u16() {
        401 => "UNAUTHORIZED",
        403 => "DENIED",
        404 => "MANIFEST_UNKNOWN",
        429 => "TOOMANYREQUESTS",
        _ => "UNKNOWN",
    };
    let message = "the test wants it so";
    let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#);
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
