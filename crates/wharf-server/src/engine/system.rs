//! About the server and its machine: `/_ping`, `/version`, `/system/df`.

use axum::http::{HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::{Value, json};

use super::Api;
use super::answer::{Failure, Result, json as answer};
use super::query::Query;
use super::version::{self, ApiVersion};
use super::wire::ImageSummary;

/// What the binary has found out about itself and the machine.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// wharf's version.
    pub version: String,
    /// The store's folder.
    pub root: String,
    /// The machine's name.
    pub name: String,
    /// The kernel's version.
    pub kernel: String,
    /// The system, for people: `Debian GNU/Linux 12 (bookworm)`.
    pub operating_system: String,
    /// The processor, as the kernel calls it: `x86_64`.
    pub machine: String,
    /// The processor, as images call it: `amd64`.
    pub architecture: String,
    /// How many processors there are.
    pub cpus: usize,
    /// How much memory there is, in bytes.
    pub memory: u64,
    /// Registries and networks that may speak plain http.
    pub insecure_registries: Vec<String>,
    /// Docker Hub's mirrors.
    pub mirrors: Vec<String>,
}

impl Host {
    /// What the server calls itself.
    pub(super) fn server(&self) -> String {
        format!("wharf/{} (linux)", self.version)
    }
}

/// `GET`, `HEAD /_ping`
pub(super) fn ping(method: &Method) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
        (header::PRAGMA, "no-cache"),
        (HeaderName::from_static("swarm"), "inactive"),
    ];
    let body = if method == Method::HEAD { "" } else { "OK" };
    (StatusCode::OK, headers, body).into_response()
}

/// A part of the server, for `GET /version`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Component<'a> {
    name: &'a str,
    version: &'a str,
    details: Value,
}

/// `GET /version`
pub(super) fn version(api: &Api) -> Response {
    let host = &api.host;
    let (newest, oldest) = (
        version::text(version::NEWEST),
        version::text(version::OLDEST),
    );
    let engine = Component {
        name: "Engine",
        version: &host.version,
        details: json!({
            "ApiVersion": newest, "MinAPIVersion": oldest, "Os": "linux",
            "Arch": host.architecture, "KernelVersion": host.kernel, "Experimental": "false",
        }),
    };
    let all = json!({
        "Platform": { "Name": "wharf" },
        "Components": [engine],
        "Version": host.version, "ApiVersion": newest, "MinAPIVersion": oldest,
        "GitCommit": "", "GoVersion": "", "Os": "linux", "Arch": host.architecture,
        "KernelVersion": host.kernel, "BuildTime": "",
    });
    answer(StatusCode::OK, &all)
}

/// What takes space, by kind; a kind that was not asked for is `null`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Usage {
    layers_size: u64,
    images: Option<Vec<ImageSummary>>,
    containers: Option<[(); 0]>,
    volumes: Option<[(); 0]>,
    build_cache: Option<[(); 0]>,
}

/// `GET /system/df`
pub(super) async fn disk_usage(api: &Api, version: &ApiVersion, query: &Query) -> Result<Response> {
    let kinds: Vec<&str> = query.all("type").collect();
    let unknown = |kind: &&&str| !["container", "image", "volume", "build-cache"].contains(*kind);
    if !version.is_before(42)
        && let Some(kind) = kinds.iter().find(unknown)
    {
        return Err(Failure::bad(format!("unknown object type: {kind}")));
    }
    let all = version.is_before(42) || kinds.is_empty();
    let asked = |kind: &str| all || kinds.contains(&kind);
    let none = |kind| asked(kind).then_some([]);
    let mut usage = Usage {
        layers_size: 0,
        images: None,
        containers: none("container"),
        volumes: none("volume"),
        build_cache: none("build-cache"),
    };
    if asked("image") {
        let found = api.rows(|engine| Box::pin(engine.disk_usage())).await?;
        usage.layers_size = found.layers;
        let images = found.images.into_iter().map(|image| {
            let mut summary = ImageSummary::of(image.summary);
            // Here Docker leaves empty lists as they are in Go.
            summary.repo_tags = summary.repo_tags.filter(|names| !names.is_empty());
            summary.repo_digests = summary.repo_digests.filter(|names| !names.is_empty());
            summary.shared_size = i64::try_from(image.shared).unwrap_or(i64::MAX);
            if version.is_before(44) {
                summary.virtual_size = Some(summary.size);
            }
            summary
        });
        usage.images = Some(images.collect());
    }
    Ok(answer(StatusCode::OK, &usage))
}
