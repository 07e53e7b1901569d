//! What a request is told that never reaches its API, in the form that the API's clients can read.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

/// Why a request was refused before its API has seen it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// What is wrong, and what to do.
    pub message: String,
    /// When the client may try again, where that helps.
    pub retry_after: Option<Duration>,
}

/// Makes an answer of a refusal.
pub type Form = fn(&Refusal) -> Response;

impl Refusal {
    /// Describes a request that is wrong, and will be wrong again.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            retry_after: None,
        }
    }

    /// Describes a server that has too much to do at the moment.
    pub fn busy(message: impl Into<String>, retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
        }
    }

    /// Turns it into an answer, after which the connection ends: it is not to cost any more.
    pub(super) fn answer(&self, form: Form) -> Response {
        let mut response = form(self);
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(after.as_secs().max(1)),
            );
        }
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

/// Says it in plain text: for services without a form of their own.
pub(super) fn plain(refusal: &Refusal) -> Response {
    (refusal.status, format!("{}\n", refusal.message)).into_response()
}
