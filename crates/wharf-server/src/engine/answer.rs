//! Answers: JSON as Docker's server writes it, and failures with Docker's status codes.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use wharf_core::go_json::{Html, compact};
use wharf_engine::{EngineError, ErrorKind};

/// Above this many bytes, Go's server does not say how long an answer is, and sends it in chunks. Clients that
/// compare answers byte by byte see the difference.
const UNCHUNKED_MAX: usize = 2048;

/// Bounds the answers in memory that clients have not taken yet, in bytes: lists of large stores have megabytes.
const ANSWERS_MAX: usize = 16 * 1024 * 1024;

/// What is counted of them, in bytes.
const ROOM_UNIT: usize = 1024;

/// Answers that are not counted, in bytes: a connection keeps as much of any.
const SMALL_MAX: usize = 64 * 1024;

/// How long an answer waits until others were taken.
const ROOM_TIME_MAX: Duration = Duration::from_secs(10);

/// How the message about a registry that wants credentials, and got none, ends.
const NO_CREDENTIALS: &str = "no basic auth credentials";

/// When a client may try again for which there was no room, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

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
    /// May the client try again soon?
    passes: bool,
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
            passes: false,
        }
    }

    /// A request for which there is no room at the moment.
    pub(super) fn busy(message: impl Into<String>) -> Self {
        Self {
            passes: true,
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
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
        let mut response = json(self.status, &Wire { message });
        if self.passes {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
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

/// An answer that is held in memory, and how many more bytes may be.
struct Held {
    text: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// Memory for answers, which slow clients take a while to read.
pub(super) struct AnswerRoom(Arc<Semaphore>);

impl Default for AnswerRoom {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ANSWERS_MAX / ROOM_UNIT)))
    }
}

impl AnswerRoom {
    /// Counts a large answer until the client has it. An answer that others are given too costs nothing more.
    pub(super) async fn hold(&self, mut response: Response) -> Response {
        let Some(Text(text)) = response.extensions_mut().remove() else {
            return response;
        };
        *response.body_mut() = Body::empty();
        if text.len() <= SMALL_MAX || !text.is_unique() {
            *response.body_mut() = body(text);
            return response;
        }
        let units = text.len().div_ceil(ROOM_UNIT).min(ANSWERS_MAX / ROOM_UNIT);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.0).acquire_many_owned(units);
        let Ok(Ok(_room)) = timeout(ROOM_TIME_MAX, room).await else {
            let message = "too many clients do not read the answers that they have asked for; try again later";
            return Failure::busy(message).into_response();
        };
        *response.body_mut() = body(Bytes::from_owner(Held { text, _room }));
        response
    }
}

/// An answer in JSON that is written already, its last newline included.
pub(super) fn sent(status: StatusCode, text: Bytes) -> Response {
    let body = body(text.clone());
    let mut response = (status, [(header::CONTENT_TYPE, JSON)], body).into_response();
    response.extensions_mut().insert(Text(text));
    response
}

/// The text of an answer, for [`AnswerRoom`].
#[derive(Clone)]
struct Text(Bytes);

fn body(text: Bytes) -> Body {
    if text.len() > UNCHUNKED_MAX {
        let whole = Ok::<_, std::convert::Infallible>(text);
        Body::from_stream(stream::once(async { whole }))
    } else {
        Body::from(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn answers_that_nobody_reads_leave_room_for_small_ones() {
        let room = AnswerRoom::default();
        let answer = |size: usize| sent(StatusCode::OK, Bytes::from(vec![b'x'; size]));
        let mut unread = Vec::new();
        for _ in 0..16 {
            let response = room.hold(answer(1024 * 1024)).await;
            assert_eq!(response.status(), StatusCode::OK);
            unread.push(response);
        }
        for size in [SMALL_MAX + 1, 1024 * 1024, 2 * ANSWERS_MAX] {
            let refused = room.hold(answer(size)).await;
            assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE, "{size}");
            assert_eq!(refused.headers()[header::RETRY_AFTER], RETRY_AFTER);
        }
        assert_eq!(room.hold(answer(SMALL_MAX)).await.status(), StatusCode::OK);
        // One text for all of them.
        let shared = Bytes::from(vec![b'x'; ANSWERS_MAX]);
        let response = room.hold(sent(StatusCode::OK, shared.clone())).await;
        assert_eq!(response.status(), StatusCode::OK);
        drop(shared);
        // Who has read its answer makes room, and an answer of any size comes whole.
        unread.clear();
        let response = room.hold(answer(2 * ANSWERS_MAX)).await;
        let read = axum::body::to_bytes(response.into_body(), usize::MAX).await;
        assert_eq!(read.unwrap().len(), 2 * ANSWERS_MAX);
        assert_eq!(
            room.hold(answer(ANSWERS_MAX)).await.status(),
            StatusCode::OK
        );
    }

    #[test]
    fn credentials_that_nobody_gave_are_no_401() {
        let status =
            |words: &str| Failure::from(EngineError::new(ErrorKind::Unauthorized, words)).status;
        let asked = "Head \"http://registry.corp/v2/app/manifests/1\": no basic auth credentials";
        assert_eq!(status(asked), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(status("unauthorized: no"), StatusCode::UNAUTHORIZED);
    }
}
