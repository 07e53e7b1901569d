//! Failures: the one file that turns them into a status, a code and a body.
//!
//! The codes are those of the distribution-spec 1.1 ("Error Codes"), and three of docker-registry's that
//! the spec does not have. What went wrong inside is logged and not told: it may name paths.

use std::error::Error;
use std::io;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::backend::{BackendError, RepositoryError};

/// The distribution-spec's codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    Denied,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    PaginationNumberInvalid,
    SizeInvalid,
    TagInvalid,
    Unavailable,
    Unknown,
    Unsupported,
}

impl Code {
    const fn status(self) -> StatusCode {
        match self {
            Self::BlobUnknown
            | Self::BlobUploadUnknown
            | Self::ManifestUnknown
            | Self::NameUnknown => StatusCode::NOT_FOUND,
            Self::Denied => StatusCode::FORBIDDEN,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
            Self::BlobUploadInvalid
            | Self::DigestInvalid
            | Self::ManifestBlobUnknown
            | Self::ManifestInvalid
            | Self::NameInvalid
            | Self::PaginationNumberInvalid
            | Self::SizeInvalid
            | Self::TagInvalid
            | Self::Unsupported => StatusCode::BAD_REQUEST,
        }
    }
}

/// Why a request is not answered as the client wished.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    errors: Vec<OneError>,
}

#[derive(Debug, Serialize)]
struct OneError {
    code: Code,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<serde_json::Value>,
}

#[derive(Serialize)]
struct Body {
    errors: Vec<OneError>,
}

impl Failure {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        let error = OneError {
            code,
            message: message.into(),
            detail: None,
        };
        Self {
            status: code.status(),
            headers: Vec::new(),
            errors: vec![error],
        }
    }

    /// Something broke inside.
    pub(super) fn internal(error: &(dyn Error + 'static)) -> Self {
        tracing::error!(error = %chain(error), "a request failed");
        let full = sources(error).any(|e| {
            e.downcast_ref::<io::Error>()
                .is_some_and(|e| e.kind() == io::ErrorKind::StorageFull)
        });
        let text = if full {
            "the registry's disk is full; nothing was stored"
        } else {
            "the registry failed; its log says why"
        };
        let failure = Self::new(Code::Unknown, text);
        if full {
            failure.with_status(StatusCode::INSUFFICIENT_STORAGE)
        } else {
            failure
        }
    }

    pub(super) const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    fn with_detail(mut self, detail: serde_json::Value) -> Self {
        if let Some(error) = self.errors.first_mut() {
            error.detail = Some(detail);
        }
        self
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        let message = error.to_string();
        match &error {
            BackendError::Missing(digests) => {
                let errors = digests.iter().map(|digest| OneError {
                    code: Code::ManifestBlobUnknown,
                    message: "the repository does not hold it".into(),
                    detail: Some(serde_json::json!({ "digest": digest })),
                });
                let failure = Self::new(Code::ManifestBlobUnknown, message);
                Self {
                    errors: errors.collect(),
                    ..failure
                }
            }
            BackendError::Invalid(_) => Self::new(Code::ManifestInvalid, message),
            BackendError::Mismatch { expected, .. } => Self::new(Code::DigestInvalid, message)
                .with_detail(serde_json::json!({ "digest": expected })),
            BackendError::UploadUnknown => Self::new(Code::BlobUploadUnknown, message),
            BackendError::Offset(_) => Self::new(Code::BlobUploadInvalid, message)
                .with_status(StatusCode::RANGE_NOT_SATISFIABLE),
            BackendError::Busy => Self::new(Code::BlobUploadInvalid, message)
                .with_status(StatusCode::SERVICE_UNAVAILABLE)
                .with_header(header::RETRY_AFTER, HeaderValue::from_static("1")),
            BackendError::Body(_) => Self::new(Code::BlobUploadInvalid, message),
            BackendError::Failed(source) => Self::internal(source.as_ref()),
        }
    }
}

impl From<RepositoryError> for Failure {
    fn from(error: RepositoryError) -> Self {
        Self::new(Code::NameInvalid, error.to_string())
    }
}

impl From<wharf_core::digest::DigestError> for Failure {
    fn from(error: wharf_core::digest::DigestError) -> Self {
        Self::new(Code::DigestInvalid, error.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json(&Body {
            errors: self.errors,
        })
        .unwrap_or_default();
        let mut response = (self.status, body).into_response();
        response.headers_mut().extend(self.headers);
        // The rest of a body that was not read would be taken for the next request.
        if self.status == StatusCode::PAYLOAD_TOO_LARGE {
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// A value as a JSON answer.
pub(super) fn json<T: Serialize>(value: &T) -> Result<Response, Failure> {
    let body = serde_json::to_vec(value).map_err(|error| Failure::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let this = next?;
        next = this.source();
        Some(this)
    })
}

fn chain(error: &(dyn Error + 'static)) -> String {
    sources(error)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot write /a/path/of/this/machine")]
    struct WriteError(#[source] io::Error);

    fn failure(kind: io::ErrorKind) -> Failure {
        BackendError::failed(WriteError(kind.into())).into()
    }

    #[test]
    fn a_full_disk_is_told_and_paths_are_not() {
        let full = failure(io::ErrorKind::StorageFull);
        assert_eq!(full.status, StatusCode::INSUFFICIENT_STORAGE);
        let other = failure(io::ErrorKind::PermissionDenied);
        assert_eq!(other.status, StatusCode::INTERNAL_SERVER_ERROR);
        for failure in [full, other] {
            assert!(!failure.errors[0].message.contains("/a/path"));
        }
    }
}
