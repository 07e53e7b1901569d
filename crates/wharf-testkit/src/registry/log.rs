//! What a test registry was asked, and what it sent.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::{HeaderMap, Method, Uri, header};
use wharf_core::Digest;

/// Which of a test registry's two addresses was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The registry itself.
    Registry,
    /// The place that it redirects to.
    Other,
}

/// One request and what became of it.
#[derive(Debug)]
pub struct Request {
    /// Where it was sent.
    pub origin: Origin,
    /// GET, HEAD, …
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The query, without the question mark; empty if there is none.
    pub query: String,
    /// The `Range` header.
    pub range: Option<String>,
    /// The scheme of the `Authorization` header: `Basic`, `Bearer`. Its secret is not kept.
    pub authorization: Option<String>,
    /// The `Content-Range` header.
    pub content_range: Option<String>,
    /// The `Content-Length` header: how many bytes the client says that it sends.
    pub length: Option<u64>,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
    status: AtomicU16,
    sent: AtomicU64,
}

impl Request {
    fn new(origin: Origin, method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let text = |name| {
            headers
                .get(name)
                .and_then(|v| v.to_str().ok())
                .map(str::to_owned)
        };
        Self {
            origin,
            method: method.clone(),
            path: uri.path().to_owned(),
            query: uri.query().unwrap_or_default().to_owned(),
            range: text(header::RANGE),
            authorization: text(header::AUTHORIZATION)
                .and_then(|value| value.split(' ').next().map(str::to_owned)),
            content_range: text(header::CONTENT_RANGE),
            length: text(header::CONTENT_LENGTH).and_then(|text| text.parse().ok()),
            user_agent: text(header::USER_AGENT),
            status: AtomicU16::new(0),
            sent: AtomicU64::new(0),
        }
    }

    /// The answer's status; 0 if there was none.
    pub fn status(&self) -> u16 {
        self.status.load(Ordering::SeqCst)
    }

    /// How many bytes of the answer's body were handed to the connection. Up to a few hundred KiB of
    /// them may not have reached the client when a connection breaks.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    pub(super) fn answered(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    pub(super) fn add_sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::SeqCst);
    }

    /// The digest of the blob that it asks for, if it is a GET of a blob.
    pub fn blob(&self) -> Option<Digest> {
        let (_, digest) = self.path.rsplit_once("/blobs/")?;
        (self.method == Method::GET).then(|| digest.replace("%3A", ":").parse().ok())?
    }

    /// Is it a GET or HEAD of a manifest?
    pub fn is_manifest(&self) -> bool {
        self.path.contains("/manifests/") && matches!(self.method, Method::GET | Method::HEAD)
    }
}

/// All requests, in the order in which they came.
#[derive(Default)]
pub(super) struct Log {
    requests: Mutex<Vec<Arc<Request>>>,
}

impl Log {
    pub(super) fn begin(
        &self,
        origin: Origin,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Arc<Request> {
        let request = Arc::new(Request::new(origin, method, uri, headers));
        self.lock().push(Arc::clone(&request));
        request
    }

    pub(super) fn all(&self) -> Vec<Arc<Request>> {
        self.lock().clone()
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Request>>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
