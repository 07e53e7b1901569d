//! What is counted, for Prometheus: `GET /metrics`.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::Api;
use super::answer::{Failure, Result};

/// The bounds of request durations, in seconds: rows take a millisecond, pulls minutes.
const DURATIONS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0,
];

/// The text format, in its version.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Which request.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    method: String,
    route: &'static str,
    status: u16,
}

/// How an operation ended.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Ended {
    result: &'static str,
}

/// The counters. All of them are shared by everything that is served.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    durations: Family<Route, Histogram>,
    in_progress: Gauge,
    pulls: Family<Ended, Counter>,
    pushes: Family<Ended, Counter>,
    received: Counter,
    sent: Counter,
    images: Gauge<u64, AtomicU64>,
    stored: Gauge<u64, AtomicU64>,
}

/// Which kind of request.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    route: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("wharf");
        let metrics = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATIONS)),
            in_progress: Gauge::default(),
            pulls: Family::default(),
            pushes: Family::default(),
            received: Counter::default(),
            sent: Counter::default(),
            images: Gauge::default(),
            stored: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register(
            "requests",
            "Requests that were answered, by their status",
            metrics.requests.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "How long requests took until their answer began",
            Unit::Seconds,
            metrics.durations.clone(),
        );
        registry.register(
            "requests_in_progress",
            "Requests that wait for the beginning of their answer",
            metrics.in_progress.clone(),
        );
        registry.register("pulls", "Pulls that ended", metrics.pulls.clone());
        registry.register("pushes", "Pushes that ended", metrics.pushes.clone());
        let unit = || Unit::Bytes;
        registry.register_with_unit(
            "received",
            "Layers' bytes that came from registries",
            unit(),
            metrics.received.clone(),
        );
        registry.register_with_unit(
            "sent",
            "Layers' bytes that went to registries",
            unit(),
            metrics.sent.clone(),
        );
        registry.register("images", "Images that are here", metrics.images.clone());
        registry.register_with_unit(
            "store_size",
            "What the store's blobs take",
            unit(),
            metrics.stored.clone(),
        );
        Self {
            registry,
            ..metrics
        }
    }
}

impl Metrics {
    /// A request has come.
    pub(super) fn begin(&self) {
        self.in_progress.inc();
    }

    /// Its answer begins.
    pub(super) fn answered(&self, method: &str, route: &'static str, status: u16, took: Duration) {
        self.in_progress.dec();
        let request = Request {
            // A client may send any word.
            method: match method {
                "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "OPTIONS" => method.to_owned(),
                _ => "other".to_owned(),
            },
            route,
            status,
        };
        self.requests.get_or_create(&request).inc();
        let route = Route { route };
        self.durations
            .get_or_create(&route)
            .observe(took.as_secs_f64());
    }

    /// A pull has ended.
    pub(super) fn pulled(&self, well: bool) {
        self.pulls.get_or_create(&ended(well)).inc();
    }

    /// A push has ended.
    pub(super) fn pushed(&self, well: bool) {
        self.pushes.get_or_create(&ended(well)).inc();
    }

    /// So many bytes came.
    pub(super) fn received(&self, bytes: u64) {
        self.received.inc_by(bytes);
    }

    /// So many bytes went.
    pub(super) fn sent(&self, bytes: u64) {
        self.sent.inc_by(bytes);
    }
}

const fn ended(well: bool) -> Ended {
    Ended {
        result: if well { "ok" } else { "error" },
    }
}

/// `GET /metrics`
pub(super) async fn get(api: &Api) -> Result<Response> {
    let usage = api.rows(|engine| Box::pin(engine.disk_usage())).await?;
    let metrics = &api.metrics;
    metrics.images.set(usage.images.len() as u64);
    metrics.stored.set(usage.stored);
    let mut text = String::new();
    encode(&mut text, &metrics.registry).map_err(|error| Failure::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response())
}
