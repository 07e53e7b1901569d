//! Answers: JSON as Docker's server writes it, and failures with Docker's status codes.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use wharf_core::go_json::{Html, compact};
use wharf_engine::{EngineError, ErrorKind};

/// Above this many bytes, Go's server does not say how long an answer is, and sends it in chunks. Clients that
/// compare answers byte by byte see the difference.
const UNCHUNKED_MAX: usize = 2048;

/// How the message about a registry that wants credentials, and got none, ends.
const NO_CREDENTIALS: &str = "no basic auth credentials";

/// What every answer in JSON says of itself.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The status.
    pub(super) status: StatusCode,
    /// What failed, and why.
    pub(super) message: String,
    /// As plain text: what clients that are too old for JSON are told.
    plain: bool,
}

/// A result of a handler.
pub(super) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A failure with a status.
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            plain: false,
        }
    }

    /// A request that is wrong in itself.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// The same in plain text.
    pub(super) fn plain(self) -> Self {
        Self {
            plain: true,
            ..self
        }
    }

    /// A mistake of wharf's own.
    pub(super) fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "a request stopped");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let status = match error.kind {
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            // Docker has no status of its own for credentials that nobody gave (28.5: pull, push).
            ErrorKind::Unauthorized if error.message.ends_with(NO_CREDENTIALS) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
            ErrorKind::Forbidden => StatusCode::FORBIDDEN,
            ErrorKind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            // Docker has 500 for a registry that does not answer.
            ErrorKind::Unavailable | ErrorKind::Corrupt | ErrorKind::Internal => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        if status.is_server_error() {
            tracing::error!(error = error.chain(), "a request failed");
        }
        Self::new(status, error.chain())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Wire<'a> {
            message: &'a str,
        }
        if self.plain {
            let headers = [(header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
            return (self.status, headers, self.message + "\n").into_response();
        }
        let message = &self.message;
        json(self.status, &Wire { message })
    }
}

/// An answer in JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    written(status, compact(value, Html::Plain))
}

/// The same with `<`, `>` and `&` escaped, where Docker does so.
pub(super) fn json_escaped(status: StatusCode, value: &impl Serialize) -> Response {
    written(status, compact(value, Html::Escaped))
}

fn written(status: StatusCode, mut text: String) -> Response {
    text.push('\n');
    sent(status, text.into())
}

/// An answer in JSON that is written already, its last newline included.
pub(super) fn sent(status: StatusCode, text: Bytes) -> Response {
    let body = if text.len() > UNCHUNKED_MAX {
        let whole = Ok::<_, std::convert::Infallible>(text);
        Body::from_stream(stream::once(async { whole }))
    } else {
        Body::from(text)
    };
    (status, [(header::CONTENT_TYPE, JSON)], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_that_nobody_gave_are_no_401() {
        let status =
            |words: &str| Failure::from(EngineError::new(ErrorKind::Unauthorized, words)).status;
        let asked = "Head \"http://registry.corp/v2/app/manifests/1\": no basic auth credentials";
        assert_eq!(status(asked), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(status("unauthorized: no"), StatusCode::UNAUTHORIZED);
    }
}
