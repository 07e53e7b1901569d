//! Events: what was done to images through this server, as it happens, and the latest of what was before.
//!
//! What the command line does to the same store at the same time is not among them: a process tells nobody.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use wharf_core::Reference;
use wharf_core::go_json::{Html, compact};
use wharf_engine::{Filters, when};

use super::answer::{Failure, JSON, Result};
use super::query::Query;
use super::{Api, filters};
use crate::serve::Ending;

/// How many events are remembered (Docker 28.5: `eventsLimit`).
const REMEMBERED: usize = 256;

/// How many events a listener may be behind before it loses the oldest.
const BEHIND_MAX: usize = 256;

/// Bounds those who listen, in number: each keeps its connection for as long as it likes, and there have to be others
/// left.
const LISTENERS_MAX: usize = 128;

/// Bounds the labels that are told with an event, in bytes: a config may have megabytes of them. Of an image with
/// more, none are told.
const LABELS_MAX: usize = 64 * 1024;

/// Bounds all the events that are remembered, in bytes.
const REMEMBERED_MAX: usize = 4 * 1024 * 1024;

/// Filters about what wharf has none of.
const OTHER_KINDS: [&str; 9] = [
    "config",
    "container",
    "daemon",
    "network",
    "node",
    "plugin",
    "secret",
    "service",
    "volume",
];

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Happened {
    /// The same as `Action` and `Actor.ID`, for clients from before there were these.
    status: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
    #[serde(rename = "Type")]
    kind: &'static str,
    #[serde(rename = "Action")]
    action: &'static str,
    #[serde(rename = "Actor")]
    actor: Actor,
    scope: &'static str,
    time: i64,
    #[serde(rename = "timeNano")]
    nanos: i64,
}

/// What it happened to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
    attributes: BTreeMap<String, String>,
}

/// What happened of late.
#[derive(Default)]
struct Past {
    events: VecDeque<Arc<Happened>>,
    /// How much they take, in bytes.
    size: usize,
}

impl Past {
    fn push(&mut self, event: Arc<Happened>) {
        self.size += event.size();
        self.events.push_back(event);
        while self.events.len() > REMEMBERED || self.size > REMEMBERED_MAX {
            let Some(oldest) = self.events.pop_front() else {
                return;
            };
            self.size -= oldest.size();
        }
    }
}

/// Everybody who listens, and what happened of late.
pub(super) struct Events {
    past: Mutex<Past>,
    places: Arc<Semaphore>,
    live: broadcast::Sender<Arc<Happened>>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            past: Mutex::default(),
            places: Arc::new(Semaphore::new(LISTENERS_MAX)),
            live: broadcast::channel(BEHIND_MAX).0,
        }
    }
}

impl Events {
    /// Tells everybody that something was done to an image.
    pub(super) fn tell(
        &self,
        action: &'static str,
        id: &str,
        mut attributes: BTreeMap<String, String>,
        name: &str,
    ) {
        let length = |(key, value): (&String, &String)| key.len() + value.len();
        if attributes.iter().map(length).sum::<usize>() > LABELS_MAX {
            attributes.clear();
        }
        attributes.insert("name".to_owned(), name.to_owned());
        self.happened(action, id, attributes);
    }

    /// Tells everybody how much space a prune has freed, in bytes.
    pub(super) fn tell_prune(&self, reclaimed: u64) {
        let attributes = BTreeMap::from([("reclaimed".to_owned(), reclaimed.to_string())]);
        self.happened("prune", "", attributes);
    }

    fn happened(&self, action: &'static str, id: &str, attributes: BTreeMap<String, String>) {
        let mut past = self.past();
        let now = Timestamp::now();
        let event = Arc::new(Happened {
            status: action,
            id: id.to_owned(),
            kind: "image",
            action,
            actor: Actor {
                id: id.to_owned(),
                attributes,
            },
            scope: "local",
            time: now.as_second(),
            nanos: i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX),
        });
        past.push(Arc::clone(&event));
        // Nobody may listen.
        self.live.send(event).ok();
    }

    /// How many listen.
    pub(super) fn listeners(&self) -> usize {
        self.live.receiver_count()
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happened before, and what will: nothing in between is lost or told twice.
    fn listen(&self) -> (Vec<Arc<Happened>>, broadcast::Receiver<Arc<Happened>>) {
        let past = self.past();
        let events = past.events.iter().cloned().collect();
        (events, self.live.subscribe())
    }

    /// Takes a place among those who listen.
    fn place(&self) -> Result<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        place.map_err(|_| {
            Failure::busy(format!(
                "{LISTENERS_MAX} clients listen to events already; try again when one of them has gone"
            ))
        })
    }
}

/// Which events somebody wants.
struct Wanted {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    filters: Filters,
}

impl Wanted {
    fn parse(query: &Query) -> Result<Self> {
        let now = Timestamp::now();
        let time = |name: &str| -> Result<Option<Timestamp>> {
            let Some(text) = query.given(name) else {
                return Ok(None);
            };
            let time = when::parse(text, now, &TimeZone::UTC);
            time.map(Some)
                .ok_or_else(|| Failure::bad(format!("invalid time {text:?}")))
        };
        let (since, until) = (time("since")?, time("until")?);
        if let (Some(since), Some(until)) = (since, until)
            && until < since
        {
            return Err(Failure::bad(format!(
                "`since` time ({}) cannot be after `until` time ({})",
                query.get("since"),
                query.get("until")
            )));
        }
        Ok(Self {
            since,
            until,
            filters: filters::parse(query.get("filters"))?,
        })
    }

    /// Docker tells of the past only if a time was asked for.
    fn wants_past(&self, event: &Happened) -> bool {
        (self.since.is_some() || self.until.is_some())
            && self
                .since
                .is_none_or(|since| i128::from(event.nanos) >= since.as_nanosecond())
            && self
                .until
                .is_none_or(|until| i128::from(event.nanos) <= until.as_nanosecond())
            && self.fits(event)
    }

    /// Docker's filters (28.5: `events/filter.go`); those about other things than images fit nothing, and those that
    /// it does not know say nothing.
    fn fits(&self, event: &Happened) -> bool {
        self.filters.names().all(|name| {
            let values = self.filters.get(name);
            let is = |text: &str| values.is_empty() || values.iter().any(|value| value == text);
            match name {
                "event" => is(event.action),
                "type" => is(event.kind),
                "scope" => is(event.scope),
                "image" => event.names().iter().any(|name| is(name)),
                "label" => values.iter().all(|label| event.has_label(label)),
                name if OTHER_KINDS.contains(&name) => values.is_empty(),
                _ => true,
            }
        })
    }
}

impl Happened {
    /// How much it takes, in bytes, but for what is the same for all.
    fn size(&self) -> usize {
        let length = |(key, value): (&String, &String)| key.len() + value.len();
        let attributes: usize = self.actor.attributes.iter().map(length).sum();
        2 * self.id.len() + attributes
    }

    /// What the image may be called: its ID or name, also without a tag.
    fn names(&self) -> Vec<String> {
        let named = self.actor.attributes.get("name");
        let whole = [Some(&self.actor.id), named].into_iter().flatten();
        whole
            .flat_map(|name| {
                let parsed = name.parse::<Reference>().ok();
                let bare = parsed.map(|reference| reference.familiar_repository().to_owned());
                std::iter::once(name.clone()).chain(bare)
            })
            .collect()
    }

    fn has_label(&self, label: &str) -> bool {
        let attributes = &self.actor.attributes;
        match label.split_once('=') {
            Some((key, value)) => attributes.get(key).is_some_and(|has| has == value),
            None => attributes.contains_key(label),
        }
    }
}

fn line(event: &Happened) -> Bytes {
    (compact(event, Html::Escaped) + "\n").into()
}

/// `GET /events`
pub(super) fn get(api: &Api, query: &Query, ending: Option<Ending>) -> Result<Response> {
    let wanted = Wanted::parse(query)?;
    let place = api.events.place()?;
    let (past, live) = api.events.listen();
    let past: Vec<Bytes> = past
        .iter()
        .filter(|event| wanted.wants_past(event))
        .map(|event| line(event))
        .collect();
    let left = wanted.until.map(|until| {
        let left = until.duration_since(Timestamp::now());
        Duration::try_from(left).unwrap_or_default()
    });
    let time_is_over = tokio::time::sleep(left.unwrap_or(Duration::MAX));
    let server_ends = async {
        match ending {
            Some(mut ending) => ending.begins().await,
            None => std::future::pending().await,
        }
    };
    let over = async {
        tokio::select! {
            () = time_is_over => {}
            () = server_ends => {}
        }
    };
    let listening = (past.into_iter(), live, wanted, place);
    let lines = stream::unfold(
        listening,
        |(mut past, mut live, wanted, place)| async move {
            let line = match past.next() {
                Some(line) => line,
                None => next(&mut live, &wanted).await?,
            };
            Some((
                Ok::<_, std::convert::Infallible>(line),
                (past, live, wanted, place),
            ))
        },
    );
    let body = lines.take_until(Box::pin(over));
    let headers = [(header::CONTENT_TYPE, JSON)];
    Ok((StatusCode::OK, headers, Body::from_stream(body)).into_response())
}

/// The next event that is wanted.
async fn next(live: &mut broadcast::Receiver<Arc<Happened>>, wanted: &Wanted) -> Option<Bytes> {
    loop {
        match live.recv().await {
            Ok(event) if wanted.fits(&event) => return Some(line(&event)),
            Ok(_) => {}
            Err(RecvError::Lagged(lost)) => {
                tracing::warn!(lost, "a listener is too slow for the events");
            }
            Err(RecvError::Closed) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(query: &str) -> Wanted {
        Wanted::parse(&Query::parse(query).unwrap()).unwrap()
    }

    fn pulled() -> (Events, Arc<Happened>) {
        let events = Events::default();
        let labels = BTreeMap::from([("tier".to_owned(), "web".to_owned())]);
        events.tell("pull", "team/app:1", labels, "team/app");
        let past = events.listen().0;
        (events, Arc::clone(&past[0]))
    }

    #[test]
    fn filters_are_docker_s() {
        let (_, event) = pulled();
        for fits in [
            "",
            r#"filters={"event":["pull"]}"#,
            r#"filters={"image":["team/app"]}"#,
            r#"filters={"image":["team/app:1"],"type":["image"]}"#,
            r#"filters={"label":["tier"],"scope":["local"]}"#,
            r#"filters={"label":["tier=web"],"event":["push","pull"]}"#,
            r#"filters={"action":["tag"],"nosuch":["x"],"event":[],"container":[]}"#,
        ] {
            assert!(wanted(fits).fits(&event), "{fits}");
        }
        for not in [
            r#"filters={"event":["push"]}"#,
            r#"filters={"image":["app"]}"#,
            r#"filters={"type":["container"]}"#,
            r#"filters={"label":["tier=web","x"]}"#,
            r#"filters={"container":["x"]}"#,
        ] {
            assert!(!wanted(not).fits(&event), "{not}");
        }
    }

    #[test]
    fn the_past_is_told_of_only_if_asked_for() {
        let (_, event) = pulled();
        assert!(!wanted("").wants_past(&event));
        assert!(wanted("since=0").wants_past(&event));
        assert!(!wanted("since=0&until=1").wants_past(&event));
        assert!(!wanted("since=4102444800").wants_past(&event));
        assert!(Wanted::parse(&Query::parse("since=2&until=1").unwrap()).is_err());
        assert!(Wanted::parse(&Query::parse("since=yesterday").unwrap()).is_err());
    }

    #[test]
    fn events_are_small_whatever_labels_an_image_has() {
        let events = Events::default();
        let labels = |size: usize| BTreeMap::from([("key".to_owned(), "v".repeat(size))]);
        events.tell("pull", "a", labels(LABELS_MAX), "a");
        assert!(!events.listen().0[0].has_label("key"));
        for _ in 0..REMEMBERED {
            events.tell("pull", "a", labels(LABELS_MAX - 3), "a");
        }
        let past = events.listen().0;
        assert!(past.iter().all(|event| event.has_label("key")));
        let size: usize = past.iter().map(|event| event.size()).sum();
        assert!(size <= REMEMBERED_MAX && past.len() > 10, "{size}");
    }

    #[test]
    fn those_who_listen_leave_room() {
        let events = Events::default();
        let mut places: Vec<_> = (0..LISTENERS_MAX).map(|_| events.place()).collect();
        assert!(places.iter().all(Result::is_ok));
        let refused = events.place().unwrap_err();
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        places.pop();
        assert!(events.place().is_ok());
    }

    #[test]
    fn so_many_are_remembered_and_no_more() {
        let events = Events::default();
        for number in 0..REMEMBERED + 10 {
            events.tell("tag", &number.to_string(), BTreeMap::new(), "x");
        }
        let past = events.listen().0;
        assert_eq!(past.len(), REMEMBERED);
        assert_eq!(past[0].id, "10");
    }
}
