//! A registry over each kind of place, and a client that speaks the distribution-spec plainly.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test program uses a part of it"
)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use bytes::Bytes;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;
use tempfile::TempDir;
use wharf_core::Digest;
use wharf_server::registry::DiskBackend;
use wharf_store::Store;
use wharf_testkit::TestRegistry;

/// A running registry and a client for it.
pub struct Api {
    pub registry: TestRegistry,
    pub store: Option<(Store, TempDir)>,
    client: Client,
}

/// One registry in memory and one on disk: both must do the same.
pub fn both() -> [Api; 2] {
    [Api::new(TestRegistry::start(), None), on_disk()]
}

pub fn on_disk() -> Api {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let backend = Arc::new(DiskBackend::new(store.clone()));
    let registry = TestRegistry::builder().backend(backend).start();
    Api::new(registry, Some((store, folder)))
}

impl Api {
    pub fn new(registry: TestRegistry, store: Option<(Store, TempDir)>) -> Self {
        Self {
            registry,
            store,
            client: Client::builder().no_proxy().build().unwrap(),
        }
    }

    /// A request for a path, or for a `Location`.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.registry.url()))
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub async fn head(&self, path: &str) -> Response {
        self.request(Method::HEAD, path).send().await.unwrap()
    }

    pub async fn delete(&self, path: &str) -> Response {
        self.request(Method::DELETE, path).send().await.unwrap()
    }

    pub async fn post(&self, path: &str) -> Response {
        self.request(Method::POST, path)
            .header("content-length", 0)
            .send()
            .await
            .unwrap()
    }

    /// Begins an upload and returns where it goes on.
    pub async fn begin(&self, repository: &str) -> String {
        let response = self.post(&format!("/v2/{repository}/blobs/uploads/")).await;
        assert_eq!(response.status(), 202);
        header(&response, "location").to_owned()
    }

    /// Sends a chunk of an upload.
    pub async fn patch(&self, place: &str, range: &str, bytes: &'static [u8]) -> Response {
        let request = self
            .request(Method::PATCH, place)
            .header("content-range", range);
        request.body(bytes).send().await.unwrap()
    }

    /// Ends an upload.
    pub async fn finish(&self, place: &str, digest: &Digest, bytes: impl Into<Bytes>) -> Response {
        let request = self.request(Method::PUT, &format!("{place}?digest={digest}"));
        request.body(bytes.into()).send().await.unwrap()
    }

    /// Pushes a blob in one request.
    pub async fn push_blob(&self, repository: &str, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let response = self
            .request(Method::POST, &path)
            .body(bytes)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 201);
        digest
    }

    /// Pushes a manifest.
    pub async fn put(&self, path: &str, media_type: &str, raw: impl Into<Bytes>) -> Response {
        let request = self
            .request(Method::PUT, path)
            .header("content-type", media_type);
        request.body(raw.into()).send().await.unwrap()
    }
}

pub fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    match response.headers().get(name) {
        Some(value) => value.to_str().unwrap(),
        None => panic!("no {name} in {response:?}"),
    }
}

pub async fn json(response: Response) -> Value {
    let bytes = response.bytes().await.unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// The answer's status and the code of its first error.
pub async fn failure(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    assert_eq!(
        header(&response, "docker-distribution-api-version"),
        "registry/2.0"
    );
    let body = json(response).await;
    (
        status,
        body["errors"][0]["code"].as_str().unwrap().to_owned(),
    )
}

/// What `failure` says of it.
pub fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}
