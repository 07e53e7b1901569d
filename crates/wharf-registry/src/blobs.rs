//! Blobs: a range of one, and then its bytes until the last one has come.
//!
//! A body that breaks or stalls is asked for again from where it broke. Content is named by its
//! digest, so a resumed request needs no `If-Range`: whatever place answers, the bytes are the
//! same, or the digest tells. The life of a download:
//!
//! ```text
//! connect: place by place, each with its pauses ──► body ──► bytes … bytes ──► end
//!             ▲                                       │ breaks, stalls, ends early
//!             └──────────── from where it broke ──────┘
//! ```

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures_util::{StreamExt as _, stream};
use reqwest::{StatusCode, Url};
use tokio::time::Instant;
use tracing::debug;
use wharf_core::{ContentError, Descriptor, Event, LayerStatus, Reader, Reference, Watch};

use crate::answer::{Topic, Whom, refusal};
use crate::client::{Call, Client, pass_over};
use crate::error::RegistryError;
use crate::exchange::{Incoming, Outgoing, exchange};
use crate::place::Place;
use crate::range::content_range;
use crate::rate::{Progress, Requests};
use crate::redact;
use crate::retry::Pauses;

/// One range of one blob on its way.
pub(crate) struct Download {
    client: Arc<Client>,
    repository: Reference,
    what: Descriptor,
    watch: Arc<dyn Watch>,
    /// Where it can be had, in order.
    spots: Vec<Spot>,
    spot: usize,
    pauses: Pauses,
    /// What the registry itself said, if several places failed.
    told: Option<RegistryError>,
    /// The next byte that is handed on, and the one behind the last.
    position: u64,
    end: u64,
    body: Option<Body>,
    /// Has anything come since the last failure?
    progressed: bool,
    /// What the present spot has to bring, over all of its requests.
    progress: Progress,
    requests: Requests,
    /// How many bytes the present spot has brought.
    brought: u64,
}

/// Where a blob can be had.
#[derive(Clone)]
enum Spot {
    Place(Arc<Place>),
    /// An address in the descriptor: a layer that is not to be distributed (Windows' base layers).
    /// Nobody there gets credentials (security rule 7, CVE-2020-15157).
    Foreign(Url),
}

/// A body that is being read.
struct Body {
    incoming: Incoming,
    /// How many bytes come first that are here already: from a place that sends no parts.
    skip: u64,
    /// The byte behind the last one that this body holds.
    until: u64,
}

/// Opens the bytes `range` of a blob.
pub(crate) async fn open(
    client: &Arc<Client>,
    repository: &Reference,
    what: &Descriptor,
    range: Range<u64>,
    watch: &Arc<dyn Watch>,
) -> Result<Reader, ContentError> {
    let end = range.end.min(what.size);
    let start = range.start.min(end);
    if start == end && what.size > 0 {
        return Ok(Reader {
            range: start..end,
            bytes: stream::empty().boxed(),
        });
    }
    let spots = spots(client, repository, what)?;
    let mut download = Download {
        client: Arc::clone(client),
        repository: repository.clone(),
        what: what.clone(),
        watch: Arc::clone(watch),
        pauses: Pauses::new(client.settings.retry),
        spots,
        spot: 0,
        told: None,
        position: start,
        end,
        body: None,
        progressed: false,
        progress: Progress::new(client.settings.min_rate),
        requests: Requests::default(),
        brought: 0,
    };
    download.pauses = download.fresh_pauses();
    let body = match download.connect().await {
        Ok(body) => body,
        Err(error) => match download.recover(error).await {
            Ok(body) => body,
            Err(error) => return Err(download.content_error(error)),
        },
    };
    Ok(download.begin(body))
}

fn spots(
    client: &Client,
    repository: &Reference,
    what: &Descriptor,
) -> Result<Vec<Spot>, RegistryError> {
    let places = client.preferred_places(repository)?;
    let mut spots: Vec<Spot> = places.into_iter().map(Spot::Place).collect();
    // Only for layers that say so: an image shouldn't make this machine ask any address it likes.
    let kind = what.media_type.as_str();
    if kind.contains(".foreign.") || kind.contains(".nondistributable.") {
        let urls = what.urls.iter().filter_map(|text| Url::parse(text).ok());
        let fit = urls.filter(|url| matches!(url.scheme(), "http" | "https"));
        spots.extend(
            fit.filter(|url| url.username().is_empty())
                .map(Spot::Foreign),
        );
    }
    Ok(spots)
}

impl Download {
    /// The reader over a body. A place that cannot send a part sends the whole blob.
    fn begin(mut self, mut body: Body) -> Reader {
        if body.skip > 0 {
            body.skip = 0;
            self.position = 0;
        }
        if body.until == self.what.size && body.incoming.response.status() == StatusCode::OK {
            self.end = self.what.size;
        }
        let range = self.position..self.end;
        self.body = Some(body);
        let bytes = stream::unfold(self, |mut download| async move {
            let item = download.next().await?;
            Some((item, download))
        });
        Reader {
            range,
            bytes: bytes.boxed(),
        }
    }

    /// The next bytes; `None` after the last, and after an error.
    async fn next(&mut self) -> Option<Result<Bytes, ContentError>> {
        loop {
            let body = self.body.as_mut()?;
            let finished = self.position == self.end;
            if finished && body.until > self.end {
                return None;
            }
            // After the last byte, this reads the body's end: it leaves the connection to the next
            // request, and shows a body that is too long.
            let until = body.until;
            let outcome = match self.next_chunk().await {
                Ok(Some(mut bytes)) => match self.take(&mut bytes) {
                    Ok(()) if bytes.is_empty() => continue,
                    Ok(()) => return Some(Ok(bytes)),
                    Err(error) => return self.fail(error),
                },
                _ if finished => return None,
                // It sent less than was asked for, and said so: on to the rest.
                Ok(None) if self.position == until => self.connect().await,
                Ok(None) => Err(self.broken("the answer ended before its time")),
                Err(error) => Err(error),
            };
            self.body = None;
            let body = match outcome {
                Ok(body) => Ok(body),
                Err(error) => self.recover(error).await,
            };
            match body {
                Ok(body) => self.body = Some(body),
                Err(error) => return self.fail(error),
            }
        }
    }

    /// The body's next bytes. A registry that answers each request with a few of them is slow as well: the
    /// rate is that of all requests.
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, RegistryError> {
        let Some(body) = self.body.as_mut() else {
            return Ok(None);
        };
        let began = Instant::now();
        let chunk = body.incoming.chunk().await?;
        if let Some(bytes) = &chunk {
            let noted = self.progress.note(began.elapsed(), bytes.len() as u64);
            noted.map_err(|limit| self.too_slow(limit))?;
        }
        Ok(chunk)
    }

    fn too_slow(&self, limit: String) -> RegistryError {
        RegistryError::TooSlow {
            place: self.place(),
            verb: "sends",
            limit,
        }
    }

    /// Cuts off what is here already and what was not asked for, and counts the rest.
    fn take(&mut self, bytes: &mut Bytes) -> Result<(), RegistryError> {
        let Some(body) = self.body.as_mut() else {
            return Ok(());
        };
        let known = usize::try_from(body.skip)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        bytes.advance(known);
        body.skip -= known as u64;
        let (came, room) = (bytes.len() as u64, body.until - self.position);
        if came > room {
            return Err(self.wrong_length(self.position + came));
        }
        let wanted = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        bytes.truncate(wanted);
        self.position += bytes.len() as u64;
        self.brought += bytes.len() as u64;
        self.progressed |= !bytes.is_empty();
        Ok(())
    }

    fn fail(&mut self, error: RegistryError) -> Option<Result<Bytes, ContentError>> {
        self.body = None;
        Some(Err(self.content_error(error)))
    }

    /// Connects again after an error, here or at the next place; else says what to tell the user.
    async fn recover(&mut self, mut error: RegistryError) -> Result<Body, RegistryError> {
        if std::mem::take(&mut self.progressed) {
            // Also for a mirror: one that has sent something is worth some patience.
            self.pauses = Pauses::new(self.client.settings.retry);
        }
        loop {
            match self.pause_after(&error) {
                Some(pause) => {
                    self.report(pause, &error);
                    tokio::time::sleep(pause).await;
                }
                None => match self.move_on(error) {
                    Ok(()) => {}
                    Err(error) => return Err(error),
                },
            }
            match self.connect().await {
                Ok(body) => return Ok(body),
                Err(next) => error = next,
            }
        }
    }

    fn pause_after(&mut self, error: &RegistryError) -> Option<Duration> {
        match &self.spots[self.spot] {
            Spot::Place(place) => Client::decide(place, &mut self.pauses, error),
            Spot::Foreign(_) => self.pauses.after(error),
        }
    }

    fn report(&self, pause: Duration, error: &RegistryError) {
        let seconds = pause.as_secs_f64().ceil();
        debug!(what = %self.what.digest, error = %error.chain(), seconds, "going on after a pause");
        let status = LayerStatus::Retrying {
            seconds: Duration::from_secs_f64(seconds).as_secs(),
            reason: error.to_string(),
        };
        self.watch.event(Event::Layer {
            digest: self.what.digest.clone(),
            status,
        });
    }

    /// Goes on to the next place; if there is none, gives back what to tell the user.
    fn move_on(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        let missing = matches!(error, RegistryError::NotFound { .. });
        match &self.spots[self.spot] {
            Spot::Place(place) if place.is_mirror() => {
                pass_over(place, &error);
                self.told.get_or_insert(error);
            }
            Spot::Place(_) => self.told = Some(error),
            Spot::Foreign(_) => _ = self.told.get_or_insert(error),
        }
        let next = self.spots.get(self.spot + 1);
        match next {
            Some(Spot::Place(_)) => {}
            // Other addresses only for what the registry does not have.
            Some(Spot::Foreign(_)) if missing => {}
            _ => {
                let lost = self.broken("there is no other place to ask");
                return Err(self.told.take().unwrap_or(lost));
            }
        }
        self.spot += 1;
        self.pauses = self.fresh_pauses();
        self.progress = Progress::new(self.client.settings.min_rate);
        self.requests = Requests::default();
        self.brought = 0;
        Ok(())
    }

    fn fresh_pauses(&self) -> Pauses {
        match &self.spots[self.spot] {
            Spot::Place(place) => self.client.pauses(place),
            Spot::Foreign(_) => Pauses::new(self.client.settings.retry),
        }
    }

    /// Asks the present place, once, for what is missing.
    async fn connect(&mut self) -> Result<Body, RegistryError> {
        let noted = self.requests.note(self.brought);
        noted.map_err(|limit| self.too_slow(limit))?;
        let began = Instant::now();
        // Attempts that fail are bounded by their number, and have an error that says more.
        let body = self.ask().await?;
        let noted = self.progress.note(began.elapsed(), 0);
        noted.map_err(|limit| self.too_slow(limit))?;
        Ok(body)
    }

    async fn ask(&self) -> Result<Body, RegistryError> {
        let wanted = self.position..self.end;
        let whole = wanted == (0..self.what.size);
        let mut call = Call::get(format!("blobs/{}", self.what.digest));
        call.range = (!whole).then(|| wanted.clone());
        let repository = self.repository.familiar_repository();
        let (mut incoming, place) = match &self.spots[self.spot] {
            Spot::Place(place) => {
                let watch = self.watch.as_ref();
                (
                    self.client
                        .ask(place, &self.repository, &call, watch)
                        .await?,
                    place.name.clone(),
                )
            }
            Spot::Foreign(url) => {
                let outgoing = Outgoing {
                    headers: call.headers(),
                    ..Outgoing::get(url.clone())
                };
                (
                    exchange(&self.client.http, None, &outgoing).await?,
                    redact::url(url).to_string(),
                )
            }
        };
        match incoming.response.status() {
            StatusCode::OK => self.whole(incoming),
            StatusCode::PARTIAL_CONTENT if !whole => self.part(incoming, &wanted),
            StatusCode::RANGE_NOT_SATISFIABLE => Err(RegistryError::Protocol {
                request: incoming.request,
                reason: format!(
                    "it has no bytes {}-{} (416): the blob is shorter than its descriptor says",
                    wanted.start,
                    wanted.end - 1
                ),
            }),
            _ => {
                let topic = Topic::Blob(self.what.digest.clone());
                let whom = Whom {
                    place: &place,
                    repository,
                };
                Err(refusal(&mut incoming, &topic, whom).await)
            }
        }
    }

    fn whole(&self, incoming: Incoming) -> Result<Body, RegistryError> {
        incoming.check_encoding()?;
        // A length that is not there is checked as the bytes come.
        let length = incoming
            .header("content-length")
            .and_then(|text| text.parse::<u64>().ok());
        match length {
            Some(actual) if actual != self.what.size => Err(self.wrong_length(actual)),
            _ => Ok(Body {
                incoming,
                skip: self.position,
                until: self.what.size,
            }),
        }
    }

    fn part(&self, incoming: Incoming, wanted: &Range<u64>) -> Result<Body, RegistryError> {
        incoming.check_encoding()?;
        let text = incoming.header("content-range").unwrap_or_default();
        let Some((sent, total)) = content_range(text) else {
            return Err(protocol(&incoming, "it does not say which bytes these are"));
        };
        if let Some(actual) = total.filter(|total| *total != self.what.size) {
            return Err(self.wrong_length(actual));
        }
        if sent.start != wanted.start || sent.end > wanted.end {
            let reason = format!(
                "it sent the bytes {}-{} where {}-{} were asked for",
                sent.start,
                sent.end - 1,
                wanted.start,
                wanted.end - 1
            );
            return Err(protocol(&incoming, &reason));
        }
        Ok(Body {
            incoming,
            skip: 0,
            until: sent.end,
        })
    }

    fn wrong_length(&self, actual: u64) -> RegistryError {
        RegistryError::Length {
            what: self.what.digest.clone(),
            expected: self.what.size,
            actual,
            place: self.place(),
        }
    }

    fn broken(&self, reason: &str) -> RegistryError {
        let request = format!("blob {} from {}", self.what.digest, self.place());
        RegistryError::Broken {
            request,
            reason: reason.to_owned(),
        }
    }

    fn place(&self) -> String {
        match &self.spots[self.spot] {
            Spot::Place(place) => place.name.clone(),
            Spot::Foreign(url) => redact::url(url).to_string(),
        }
    }

    /// The contract's words for an error, where it has some.
    fn content_error(&self, error: RegistryError) -> ContentError {
        let what = self.what.digest.clone();
        match error {
            RegistryError::NotFound { .. } => ContentError::Missing {
                what,
                place: self.repository.domain().to_owned(),
            },
            RegistryError::Length {
                what,
                expected,
                actual,
                place,
            } => ContentError::Size {
                what,
                expected,
                actual,
                place,
            },
            error if self.position > 0 && error.is_of_the_way() => {
                let (done, total) = (self.position, self.what.size);
                let source = Box::new(error);
                RegistryError::Interrupted {
                    what,
                    done,
                    total,
                    source,
                }
                .into()
            }
            error => error.into(),
        }
    }
}

fn protocol(incoming: &Incoming, reason: &str) -> RegistryError {
    RegistryError::Protocol {
        request: incoming.request.clone(),
        reason: reason.to_owned(),
    }
}
