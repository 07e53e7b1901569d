//! Long operations: what they report, as lines of JSON that are sent while they run.
//!
//! An operation runs in a task of its own. Its events are put into lines that wait for the client to take them;
//! numbers of bytes that the client has not taken yet are replaced by newer ones, so a client that stalls costs no
//! more memory than the operation has layers, and keeps nobody waiting. A client that goes away ends the
//! operation.
//!
//! Until the first line there is no answer yet: what fails before is answered with a status of its own, and
//! what fails later with a line (Docker 28.5: `WriteFlusher`).

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use wharf_core::go_json::{Html, compact};
use wharf_core::{Digest, Event, LayerStatus, Watch, human};
use wharf_engine::words::{self, Way};

use super::answer::{Failure, JSON, Result};
use super::metrics::Metrics;

/// How wide a bar is (Docker 28.5: `jsonmessage`).
const BAR: usize = 50;

/// What Docker ends a line with.
const LINE_END: &str = "\r\n";

/// One line, its fields in Docker's order.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress_detail: Option<Detail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_detail: Option<Failed<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aux: Option<Sent<'a>>,
}

#[derive(Debug, Default, Serialize)]
struct Detail {
    #[serde(skip_serializing_if = "is_zero")]
    current: u64,
    #[serde(skip_serializing_if = "is_zero")]
    total: u64,
}

#[derive(Debug, Serialize)]
struct Failed<'a> {
    message: &'a str,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The lines of an operation, on their way to the client.
pub(super) struct Lines {
    state: Mutex<State>,
    changed: Notify,
    metrics: Arc<Metrics>,
    /// Are layers on their way in or out, or is an archive read?
    what: What,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Layers come from a registry.
    Pull,
    /// Layers go to one.
    Push,
    /// Layers come out of an archive; they are told of, or not.
    Load { quiet: bool },
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// Has the client been answered?
    begun: bool,
    /// Is the answer's status always the same?
    fails_in_a_line: bool,
    /// How the operation ended.
    end: Option<Result<()>>,
    /// How many bytes of each layer were counted already.
    counted: std::collections::HashMap<Digest, u64>,
}

/// A line that waits.
struct Waiting {
    text: String,
    /// The layer that it is about.
    layer: Option<Digest>,
    /// What is done with the layer's bytes, if the line counts them: a newer line takes its place.
    counts: Option<&'static str>,
}

impl Lines {
    pub(super) fn new(what: What, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            changed: Notify::new(),
            metrics,
            what,
        })
    }

    /// What fails is a line, even the first one, and never a status.
    pub(super) fn fail_in_a_line(&self) {
        self.state().fails_in_a_line = true;
    }

    /// `{"status":…}`, with what it is about.
    pub(super) fn status(&self, id: Option<&str>, status: &str) {
        self.line(&Line {
            status: Some(status),
            id,
            ..Line::default()
        });
    }

    /// `{"stream":…}`: a line of text.
    pub(super) fn text(&self, text: &str) {
        self.line(&Line {
            stream: Some(format!("{text}\n")),
            ..Line::default()
        });
    }

    /// What programs want to know.
    fn sent(&self, sent: Sent<'_>) {
        self.line(&Line {
            progress_detail: Some(Detail::default()),
            aux: Some(sent),
            ..Line::default()
        });
    }

    fn failure(&self, message: &str) {
        self.line(&Line {
            error_detail: Some(Failed { message }),
            error: Some(message),
            ..Line::default()
        });
    }

    fn line(&self, line: &Line<'_>) {
        self.push(line, None, None);
    }

    fn push(&self, line: &Line<'_>, layer: Option<&Digest>, counts: Option<&'static str>) {
        let text = compact(line, Html::Escaped) + LINE_END;
        let mut state = self.state();
        let same_layer = |old: &&mut Waiting| layer.is_some() && old.layer.as_ref() == layer;
        let last = state.waiting.iter_mut().rev().find(same_layer);
        match last.filter(|last| counts.is_some() && last.counts == counts) {
            Some(last) => last.text = text,
            None => state.waiting.push_back(Waiting {
                text,
                layer: layer.cloned(),
                counts,
            }),
        }
        drop(state);
        self.changed.notify_one();
    }

    /// A layer's change.
    fn change(&self, digest: &Digest, status: &str) {
        let line = Line {
            status: Some(status),
            progress_detail: Some(Detail::default()),
            id: Some(digest.short()),
            ..Line::default()
        };
        self.push(&line, Some(digest), None);
    }

    /// How many bytes of a layer there are.
    fn bytes(&self, digest: &Digest, status: &'static str, done: u64, total: u64) {
        let line = Line {
            status: Some(status),
            progress_detail: Some(Detail {
                current: done,
                total,
            }),
            progress: Some(bar(done, total)),
            id: Some(digest.short()),
            ..Line::default()
        };
        self.push(&line, Some(digest), Some(status));
    }

    fn layer(&self, digest: &Digest, status: &LayerStatus) {
        match (self.what, status) {
            (What::Load { quiet }, status) => {
                if let (false, LayerStatus::Downloading { done, total }) = (quiet, status)
                    && *done > 0
                {
                    self.bytes(digest, "Loading layer", *done, *total);
                }
            }
            (What::Pull, LayerStatus::Downloading { done, total }) if *done > 0 => {
                self.bytes(digest, "Downloading", *done, *total);
            }
            (What::Push, LayerStatus::Uploading { done, total }) if *done > 0 => {
                self.bytes(digest, "Pushing", *done, *total);
            }
            (What::Push, LayerStatus::Waiting { .. }) => self.change(digest, "Preparing"),
            (What::Push, LayerStatus::Exists) => {
                self.change(digest, "Preparing");
                self.change(digest, "Layer already exists");
            }
            (What::Pull, LayerStatus::Complete) => {
                // Docker unpacks here; wharf has done so while the layer came.
                let total = self.state().counted.get(digest).copied();
                if let Some(total) = total {
                    self.bytes(digest, "Extracting", total, total);
                }
                self.change(digest, "Pull complete");
            }
            (what, status) => {
                let way = if what == What::Push {
                    Way::Push
                } else {
                    Way::Pull
                };
                if let Some(change) = words::change(way, status) {
                    self.change(digest, &change);
                }
            }
        }
    }

    /// Counts bytes that are new.
    fn count(&self, digest: &Digest, status: &LayerStatus) {
        let (LayerStatus::Downloading { done, .. } | LayerStatus::Uploading { done, .. }) = status
        else {
            return;
        };
        let mut state = self.state();
        let before = state.counted.insert(digest.clone(), *done);
        drop(state);
        // The first number counts what an earlier attempt has brought.
        let new = before.map_or(0, |before| done.saturating_sub(before));
        match self.what {
            What::Pull => self.metrics.received(new),
            What::Push => self.metrics.sent(new),
            What::Load { .. } => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole before the lock is let go of.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, result: Result<()>) {
        self.state().end = Some(result);
        self.changed.notify_one();
    }

    /// Waits for the first line, or for the end if there is none.
    async fn begin(&self) -> Result<()> {
        loop {
            {
                let mut state = self.state();
                let ended_in_a_line = state.fails_in_a_line && state.end.is_some();
                if state.begun || !state.waiting.is_empty() || ended_in_a_line {
                    state.begun = true;
                    return Ok(());
                }
                if let Some(end) = state.end.take() {
                    state.begun = true;
                    state.end = Some(Ok(()));
                    return end;
                }
            }
            self.changed.notified().await;
        }
    }

    /// The next lines, all that wait; `None` after the last one.
    async fn next(&self) -> Option<Bytes> {
        loop {
            {
                let mut state = self.state();
                if !state.waiting.is_empty() {
                    let all: String = state.waiting.drain(..).map(|line| line.text).collect();
                    return Some(all.into());
                }
                match state.end.take() {
                    Some(Ok(())) => return None,
                    Some(Err(failure)) => {
                        state.end = Some(Ok(()));
                        drop(state);
                        self.failure(&failure.message);
                        continue;
                    }
                    None => {}
                }
            }
            self.changed.notified().await;
        }
    }
}

impl Watch for Lines {
    fn event(&self, event: Event) {
        match event {
            Event::Pulling { reference } => {
                let (what, heading) = words::heading(&reference);
                self.status(Some(&what), &heading);
            }
            Event::Pushing { reference } => self.status(None, &words::push_heading(&reference)),
            Event::Pushed {
                reference,
                digest,
                size,
            } => {
                self.status(None, &words::pushed(&reference, &digest, size));
                self.sent(Sent {
                    tag: reference.tag().unwrap_or_default(),
                    digest: digest.as_str(),
                    size,
                });
            }
            Event::Layer { digest, status } => {
                self.count(&digest, &status);
                self.layer(&digest, &status);
            }
            Event::Notice(text) => {
                tracing::warn!("{text}");
                // Before the first line it could hide a status.
                if self.state().begun {
                    self.status(None, &text);
                }
            }
            // Said at the end, by whoever knows the whole.
            Event::Pulled { .. } => {}
        }
    }
}

/// What a push tells programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Sent<'a> {
    tag: &'a str,
    digest: &'a str,
    size: u64,
}

/// `[=====>   ]  1.2MB/3.4MB`, as Docker draws it.
fn bar(done: u64, total: u64) -> String {
    let current = human::size(done);
    if total == 0 {
        return format!("{current:>8}");
    }
    let filled = u128::from(done) * BAR as u128 / u128::from(total);
    let filled = usize::try_from(filled).unwrap_or(BAR).min(BAR);
    let empty = BAR - filled;
    let numbers = if done > total {
        format!("{current:>8}")
    } else {
        format!("{current:>8}/{}", human::size(total))
    };
    format!("[{}>{}] {numbers}", "=".repeat(filled), " ".repeat(empty))
}

/// Ends a task with the answer that it belongs to.
struct EndOnDrop(AbortHandle);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs an operation and answers with its lines.
pub(super) async fn run(
    lines: Arc<Lines>,
    operation: impl Future<Output = Result<()>> + Send + 'static,
) -> Result<Response> {
    let to = Arc::clone(&lines);
    let task = tokio::spawn(async move {
        let result = operation.await;
        to.end(result);
    });
    let running = EndOnDrop(task.abort_handle());
    let watched = Arc::clone(&lines);
    tokio::spawn(async move {
        // A mistake of ours: the client is told, and not kept waiting.
        if let Err(error) = task.await
            && error.is_panic()
        {
            watched.end(Err(Failure::internal(&error)));
        }
    });
    lines.begin().await?;
    let body = stream::unfold((lines, running), |(lines, running)| async move {
        let next = lines.next().await?;
        Some((Ok::<_, std::convert::Infallible>(next), (lines, running)))
    });
    let headers = [(header::CONTENT_TYPE, JSON)];
    Ok((StatusCode::OK, headers, Body::from_stream(body)).into_response())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn lines(what: What) -> Arc<Lines> {
        Lines::new(what, Arc::default())
    }

    fn taken(lines: &Lines) -> String {
        let mut state = lines.state();
        state.waiting.drain(..).map(|line| line.text).collect()
    }

    #[test]
    fn draws_bars_as_docker_does() {
        assert_eq!(
            bar(1_200_000, 2_400_000),
            format!("[{}>{}]    1.2MB/2.4MB", "=".repeat(25), " ".repeat(25))
        );
        assert_eq!(bar(5, 5), format!("[{}>]       5B/5B", "=".repeat(50)));
        assert_eq!(bar(0, 0), "      0B");
        assert!(bar(u64::MAX, 1).ends_with("18.45EB"));
    }

    #[tokio::test]
    async fn a_load_fails_in_a_line_and_a_pull_by_its_status() {
        for (in_a_line, expected) in [(true, None), (false, Some("no"))] {
            let lines = lines(What::Load { quiet: true });
            if in_a_line {
                lines.fail_in_a_line();
            }
            lines.end(Err(Failure::bad("no")));
            let begun = lines.begin().await.err().map(|failure| failure.message);
            assert_eq!(begun.as_deref(), expected);
            let line = lines.next().await;
            assert_eq!(line.is_some(), in_a_line, "{line:?}");
        }
    }

    #[test]
    fn a_client_that_stalls_costs_a_line_a_layer() {
        let (lines, digest) = (lines(What::Pull), Digest::of(b"layer"));
        for done in 1..10_000 {
            lines.event(Event::Layer {
                digest: digest.clone(),
                status: LayerStatus::Downloading {
                    done,
                    total: 10_000,
                },
            });
        }
        let text = taken(&lines);
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains(r#""current":9999,"total":10000"#), "{text}");
    }

    #[test]
    fn a_layer_is_told_of_in_docker_s_order() {
        let (lines, digest) = (lines(What::Pull), Digest::of(b"layer"));
        for status in [
            LayerStatus::Waiting { total: 2 },
            LayerStatus::Downloading { done: 0, total: 2 },
            LayerStatus::Downloading { done: 2, total: 2 },
            LayerStatus::Verifying,
            LayerStatus::Downloaded,
            LayerStatus::Complete,
        ] {
            let digest = digest.clone();
            lines.event(Event::Layer { digest, status });
        }
        let said: Vec<String> = taken(&lines)
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["status"].to_string())
            .collect();
        assert_eq!(
            said.join(" "),
            "\"Pulling fs layer\" \"Downloading\" \"Verifying Checksum\" \"Download complete\" \
             \"Extracting\" \"Pull complete\""
        );
    }

    #[tokio::test]
    async fn what_fails_before_the_first_line_has_a_status() {
        let failure = Failure::bad("no");
        let failed = failure.clone();
        let answer = run(lines(What::Pull), async { Err(failed) }).await;
        assert_eq!(answer.unwrap_err(), failure);
    }

    #[tokio::test]
    async fn what_fails_later_has_a_line() {
        let lines = lines(What::Pull);
        lines.status(None, "begun");
        let answer = run(lines, async { Err(Failure::bad("a <b>")) })
            .await
            .unwrap();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20)
            .await
            .unwrap();
        assert_eq!(
            String::from_utf8(body.to_vec()).unwrap(),
            "{\"status\":\"begun\"}\r\n{\"errorDetail\":{\"message\":\"a \\u003cb\\u003e\"},\
             \"error\":\"a \\u003cb\\u003e\"}\r\n"
        );
    }
}
