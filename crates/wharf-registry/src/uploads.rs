//! Uploads: one blob until its last byte is in the registry (OCI distribution-spec, "Pushing blobs").
//!
//! ```text
//! POST ──► mounted from another repository: done
//!   └────► a session ──► PUT everything (small)            ──► done
//!               ▲   └──► PATCH the rest … PUT (large) ─────►
//!               │          │ breaks, stalls, 5xx
//!               └── how far did it come? ◄── pause
//! ```
//!
//! An upload that breaks goes on where it broke: the session knows how far it came. Where nothing is
//! kept of a request that broke (a proxy in front that buffers, a limit on a request's length), the
//! rest goes in chunks, so that what was sent stays sent. Wrong bytes are refused by the registry,
//! which computes the digest.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use tracing::debug;
use wharf_core::{ContentError, Descriptor, Event, LayerStatus, Reference, Source, Watch};

use crate::answer::{Topic, refusal};
use crate::auth::Access;
use crate::client::{Call, Client, whom};
use crate::error::RegistryError;
use crate::exchange::Incoming;
use crate::payload::Payload;
use crate::rate::Requests;
use crate::redact;
use crate::retry::Pauses;
use crate::sink::RegistrySink;

/// Up to this many bytes go in one request; what is larger is worth being able to go on with.
const ONE_REQUEST_MAX: u64 = 8 * 1024 * 1024;

/// How long the chunks are where chunks are needed: long enough that the requests between them
/// don't count, short enough for the limits of proxies. What is too long even so goes in shorter ones.
const CHUNK: u64 = 16 * 1024 * 1024;

/// No chunk is made shorter than this: the smallest limit that proxies have by default.
const CHUNK_MIN: u64 = 1024 * 1024 - 4096;

/// How many other repositories are tried to take a blob over from.
const MOUNTS_MAX: usize = 3;

/// One blob on its way.
pub(crate) struct Upload<'a> {
    sink: &'a RegistrySink,
    what: &'a Descriptor,
    source: Arc<dyn Source>,
    watch: Arc<dyn Watch>,
    pauses: Pauses,
    /// How far it came, at most: what counts as progress.
    reached: u64,
    /// How many bytes go in one request; all of them if `None`.
    chunk: Option<u64>,
    /// The requests that sent something, or should have.
    requests: Requests,
}

/// An upload that the registry has opened.
struct Session {
    url: Url,
    /// How many bytes it has.
    offset: u64,
    /// The least that it takes in a chunk that isn't the last.
    chunk_min: u64,
}

/// What came of opening one.
enum Opened {
    /// The registry had it in this repository.
    Mounted(Reference),
    Session(Session),
}

/// Why a step of an upload failed.
enum Trouble {
    /// The source has failed: for good.
    Source(ContentError),
    Registry(RegistryError),
}

impl<'a> Upload<'a> {
    pub(crate) fn new(
        sink: &'a RegistrySink,
        what: &'a Descriptor,
        source: Arc<dyn Source>,
        watch: Arc<dyn Watch>,
    ) -> Self {
        Self {
            sink,
            what,
            source,
            watch,
            pauses: sink.client.pauses(&sink.place),
            reached: 0,
            chunk: None,
            requests: Requests::default(),
        }
    }

    /// Uploads it.
    pub(crate) async fn run(mut self) -> Result<(), ContentError> {
        let mut session = None;
        let mut mount = true;
        loop {
            let trouble = match self.attempt(&mut session, &mut mount).await {
                Ok(Some(from)) => {
                    let from = from.path().to_owned();
                    self.report(LayerStatus::Mounted { from });
                    return Ok(());
                }
                Ok(None) => return Ok(()),
                Err(trouble) => trouble,
            };
            match trouble {
                Trouble::Source(error) => {
                    self.cancel(session).await;
                    return Err(error);
                }
                Trouble::Registry(error) => {
                    if let Err(error) = self.recover(error, &mut session).await {
                        self.cancel(session).await;
                        return Err(error.into());
                    }
                }
            }
        }
    }

    /// Opens a session if there is none, and sends what it lacks. Answers with the repository that
    /// the blob was taken over from, if it was.
    async fn attempt(
        &mut self,
        session: &mut Option<Session>,
        mount: &mut bool,
    ) -> Result<Option<Reference>, Trouble> {
        self.count_request()?;
        if session.is_none() {
            match self.open(std::mem::take(mount)).await? {
                Opened::Mounted(from) => return Ok(Some(from)),
                Opened::Session(opened) => *session = Some(opened),
            }
        }
        let Some(open) = session else { return Ok(None) };
        self.send(open).await?;
        *session = None;
        Ok(None)
    }

    /// A registry that keeps a byte of each request would be sent to for ever.
    fn count_request(&mut self) -> Result<(), RegistryError> {
        let noted = self.requests.note(self.reached);
        noted.map_err(|limit| RegistryError::TooSlow {
            place: self.sink.place.name.clone(),
            verb: "takes",
            limit,
        })
    }

    /// Opens a session, or finds the blob in another repository.
    async fn open(&self, mount: bool) -> Result<Opened, RegistryError> {
        let mut candidates = if mount {
            (self.sink.elsewhere)(&self.what.digest)
        } else {
            Vec::new()
        };
        let here = &self.sink.repository;
        candidates.retain(|other| {
            other.domain() == here.domain() && other.repository() != here.repository()
        });
        candidates.truncate(MOUNTS_MAX);
        let mut last = None;
        for from in candidates {
            match self.post(Some(&from)).await {
                Ok(None) => return Ok(Opened::Mounted(from)),
                Ok(Some(session)) => {
                    // Refused without a word: the session that was opened instead is as good as any.
                    self.cancel(last.replace(session)).await;
                }
                Err(error) => {
                    debug!(%from, error = %error.chain(), "the blob cannot be taken over");
                }
            }
        }
        if let Some(session) = last {
            return Ok(Opened::Session(session));
        }
        match self.post(None).await? {
            Some(session) => Ok(Opened::Session(session)),
            // It was asked for a session, and says that it has the blob.
            None => Ok(Opened::Mounted(here.clone())),
        }
    }

    /// Asks for a session. `None` if the blob is in the repository now.
    async fn post(&self, from: Option<&Reference>) -> Result<Option<Session>, RegistryError> {
        let mut call = Call::push(Method::POST, "blobs/uploads/".to_owned());
        call.payload = Some(Payload::bytes(Bytes::new()));
        if let Some(from) = from {
            let path = from.path().to_owned();
            call.query = vec![
                ("mount", self.what.digest.to_string()),
                ("from", self.sink.place.repository(&path)),
            ];
            call.access = Access::Push { from: Some(path) };
        }
        let mut incoming = self.ask(&call).await?;
        match incoming.response.status() {
            StatusCode::CREATED => Ok(None),
            StatusCode::ACCEPTED => {
                let url = self.location(&incoming, None).await?;
                let chunk_min = incoming
                    .header("oci-chunk-min-length")
                    .and_then(|text| text.parse().ok())
                    .unwrap_or(0);
                Ok(Some(Session {
                    url,
                    offset: 0,
                    chunk_min,
                }))
            }
            _ => Err(self.refused(&mut incoming).await),
        }
    }

    /// Sends what a session lacks, and ends it.
    async fn send(&mut self, session: &mut Session) -> Result<(), Trouble> {
        let total = self.what.size;
        if session.offset == 0 && total <= ONE_REQUEST_MAX && self.chunk.is_none() {
            return self.finish(session, Some(self.payload(0, total))).await;
        }
        while session.offset < total {
            self.patch(session).await?;
        }
        self.finish(session, None).await
    }

    /// Sends the next chunk, or all the rest.
    async fn patch(&mut self, session: &mut Session) -> Result<(), Trouble> {
        self.count_request()?;
        let (start, total) = (session.offset, self.what.size);
        let length = match self.chunk {
            Some(chunk) => chunk.max(session.chunk_min).min(total - start),
            None => total - start,
        };
        let mut call = Call::push(Method::PATCH, String::new());
        call.url = Some(session.url.clone());
        call.more = octets();
        if start > 0 || length < total {
            let range = format!("{start}-{}", start + length - 1);
            if let Ok(range) = HeaderValue::from_str(&range) {
                call.more.insert(CONTENT_RANGE, range);
            }
        }
        let payload = self.payload(start, start + length);
        call.payload = Some(payload.clone());
        let asked = self.ask(&call).await;
        let mut incoming = asked.map_err(|error| trouble(&payload, error))?;
        if !incoming.response.status().is_success() {
            return Err(trouble(&payload, self.refused(&mut incoming).await));
        }
        session.url = self.location(&incoming, Some(&session.url)).await?;
        let taken = received(&incoming).unwrap_or(start + length);
        if taken <= start || taken > start + length {
            let reason = format!(
                "it has {taken} bytes after {} were sent to it",
                start + length
            );
            return Err(protocol(&incoming, reason).into());
        }
        session.offset = taken;
        self.progressed(taken);
        Ok(())
    }

    /// Ends a session: the registry checks the digest, and has the blob from then on.
    async fn finish(&self, session: &Session, payload: Option<Payload>) -> Result<(), Trouble> {
        let mut call = Call::push(Method::PUT, String::new());
        call.url = Some(session.url.clone());
        call.query = vec![("digest", self.what.digest.to_string())];
        call.more = octets();
        let payload = payload.unwrap_or_else(|| Payload::bytes(Bytes::new()));
        call.payload = Some(payload.clone());
        let asked = self.ask(&call).await;
        let mut incoming = asked.map_err(|error| trouble(&payload, error))?;
        if incoming.response.status().is_success() {
            return Ok(());
        }
        Err(trouble(&payload, self.refused(&mut incoming).await))
    }

    /// The bytes from `start` to `end`, opened when the request is made.
    fn payload(&self, start: u64, end: u64) -> Payload {
        let (source, what) = (Arc::clone(&self.source), self.what.clone());
        let (watch, total) = (Arc::clone(&self.watch), self.what.size);
        let make = move || {
            let (source, what, watch) = (Arc::clone(&source), what.clone(), Arc::clone(&watch));
            let digest = what.digest.clone();
            let mut done = start;
            bytes_of(source, what, start, end)
                .inspect_ok(move |chunk| {
                    done += chunk.len() as u64;
                    let status = LayerStatus::Uploading { done, total };
                    let digest = digest.clone();
                    watch.event(Event::Layer { digest, status });
                })
                .boxed()
        };
        Payload::stream(end - start, Arc::new(make))
    }

    /// Prepares the next attempt after an error, or gives the error back.
    async fn recover(
        &mut self,
        error: RegistryError,
        session: &mut Option<Session>,
    ) -> Result<(), RegistryError> {
        let too_long = matches!(
            &error,
            RegistryError::Status { status, .. } if *status == StatusCode::PAYLOAD_TOO_LARGE
        );
        let gone = matches!(&error, RegistryError::NotFound { .. })
            || matches!(&error, RegistryError::Status { status, .. } if *status == StatusCode::RANGE_NOT_SATISFIABLE);
        if too_long {
            self.shorten(&error, session.as_ref())?;
        } else if gone && session.is_some() {
            // The session has ended, or is not where we think: once more, within the limit.
            let lost = RegistryError::Broken {
                request: format!("upload of {}", self.what.digest),
                reason: error.to_string(),
            };
            self.pause(lost).await?;
        } else {
            self.pause(error).await?;
        }
        let Some(open) = session else { return Ok(()) };
        let before = open.offset;
        match self.status(open).await {
            Ok(()) if open.offset <= before && !too_long => {
                // Nothing was kept of what was sent: what is sent in chunks stays.
                let least = open.chunk_min.max(CHUNK_MIN);
                self.chunk = Some(self.chunk.map_or(CHUNK, |chunk| (chunk / 4).max(least)));
            }
            Ok(()) => self.progressed(open.offset),
            Err(error) => {
                debug!(error = %error.chain(), "the upload begins anew");
                *session = None;
            }
        }
        Ok(())
    }

    /// Shorter chunks, for a registry that says that a request is too long.
    fn shorten(
        &mut self,
        error: &RegistryError,
        session: Option<&Session>,
    ) -> Result<(), RegistryError> {
        let least = session
            .map_or(0, |session| session.chunk_min)
            .max(CHUNK_MIN);
        let next = match self.chunk {
            None => CHUNK.min(self.what.size / 2),
            Some(chunk) => (chunk / 4).max(least),
        };
        if next < least || self.chunk == Some(next) {
            return Err(RegistryError::Protocol {
                request: format!("upload of {} to {}", self.what.digest, self.sink.place.name),
                reason: format!("it takes no request of even {next} bytes ({error})"),
            });
        }
        self.chunk = Some(next);
        Ok(())
    }

    async fn pause(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        let Some(pause) = Client::decide(&self.sink.place, &mut self.pauses, &error) else {
            let (done, total) = (self.reached, self.what.size);
            return Err(if done > 0 && error.is_of_the_way() {
                RegistryError::Unsent {
                    what: self.what.digest.clone(),
                    done,
                    total,
                    source: Box::new(error),
                }
            } else {
                error
            });
        };
        let seconds = pause.as_secs_f64().ceil();
        debug!(what = %self.what.digest, error = %error.chain(), seconds, "going on after a pause");
        self.report(LayerStatus::Retrying {
            seconds: Duration::from_secs_f64(seconds).as_secs(),
            reason: error.to_string(),
        });
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Asks a session how far it came.
    async fn status(&self, session: &mut Session) -> Result<(), RegistryError> {
        let mut call = Call::push(Method::GET, String::new());
        call.url = Some(session.url.clone());
        let mut incoming = self.ask(&call).await?;
        if !incoming.response.status().is_success() {
            return Err(self.refused(&mut incoming).await);
        }
        session.url = self.location(&incoming, Some(&session.url)).await?;
        let offset = received(&incoming).unwrap_or(0);
        if offset > self.what.size {
            let reason = format!("it has {offset} bytes of a blob of {}", self.what.size);
            return Err(protocol(&incoming, reason));
        }
        session.offset = offset;
        Ok(())
    }

    /// Gives a session up. Whether that works is the registry's business.
    async fn cancel(&self, session: Option<Session>) {
        let Some(session) = session else { return };
        let mut call = Call::push(Method::DELETE, String::new());
        call.url = Some(session.url);
        if let Err(error) = self.ask(&call).await {
            debug!(error = %error.chain(), "the upload stays open");
        }
    }

    fn progressed(&mut self, offset: u64) {
        if offset > self.reached {
            self.reached = offset;
            self.pauses = self.sink.client.pauses(&self.sink.place);
        }
    }

    async fn ask(&self, call: &Call) -> Result<Incoming, RegistryError> {
        let watch = self.sink.watch.as_ref();
        let asked = self
            .sink
            .client
            .ask(&self.sink.place, &self.sink.repository, call, watch)
            .await;
        asked.map_err(RegistryError::of_push)
    }

    async fn refused(&self, incoming: &mut Incoming) -> RegistryError {
        let topic = Topic::Blob(self.what.digest.clone());
        let shown = self.sink.repository.familiar_repository();
        let whom = whom(&self.sink.place, shown);
        refusal(incoming, &topic, whom).await.of_push()
    }

    /// Where the session goes on. What isn't said stays as it was.
    async fn location(
        &self,
        incoming: &Incoming,
        current: Option<&Url>,
    ) -> Result<Url, RegistryError> {
        let place = &self.sink.place;
        let root = self.sink.client.root(place).await?;
        let Some(text) = incoming.header("location") else {
            let none = || protocol(incoming, "it does not say where to upload to".to_owned());
            return current.cloned().ok_or_else(none);
        };
        let base = incoming.response.url();
        let Ok(mut url) = base.join(text) else {
            let reason = "it wants the upload at something that is no address".to_owned();
            return Err(protocol(incoming, reason));
        };
        if root.scheme() == "https" && url.scheme() == "http" && !place.insecure {
            // A registry that does not know that TLS ends in front of it. Its own host is asked by
            // https all the same; another one is not asked at all.
            let own = url.host() == root.host() && url.set_scheme("https").is_ok();
            if !own {
                let shown = redact::url(&url);
                let reason = format!("it leads the upload from https to {shown}");
                return Err(protocol(incoming, reason));
            }
        }
        let fit = matches!(url.scheme(), "http" | "https");
        if fit && url.set_username("").is_ok() && url.set_password(None).is_ok() {
            return Ok(url);
        }
        let reason = format!("it wants the upload at {}", redact::url(&url));
        Err(protocol(incoming, reason))
    }

    fn report(&self, status: LayerStatus) {
        self.watch.event(Event::Layer {
            digest: self.what.digest.clone(),
            status,
        });
    }
}

impl From<RegistryError> for Trouble {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

/// The source's failure if that was the reason, else the registry's.
fn trouble(payload: &Payload, error: RegistryError) -> Trouble {
    payload
        .failure()
        .map_or(Trouble::Registry(error), Trouble::Source)
}

/// Exactly the bytes from `start` to `end`, or an error.
fn bytes_of(
    source: Arc<dyn Source>,
    what: Descriptor,
    start: u64,
    end: u64,
) -> BoxStream<'static, Result<Bytes, ContentError>> {
    let opened = async move {
        let reader = source.open(&what, start..end).await?;
        let part = Part {
            skip: start.saturating_sub(reader.range.start),
            ends: reader.range.end <= end,
            bytes: reader.bytes,
            left: end - start,
            end,
            what,
            place: source.place(),
        };
        Ok::<_, ContentError>(stream::unfold(part, |mut part| async move {
            let item = part.next().await?;
            Some((item, part))
        }))
    };
    stream::once(opened).try_flatten().boxed()
}

/// A part of a blob, being read.
struct Part {
    bytes: BoxStream<'static, Result<Bytes, ContentError>>,
    /// How many bytes come first that were not asked for: from a source without ranges.
    skip: u64,
    /// How many are missing.
    left: u64,
    /// Shall the source end with this part?
    ends: bool,
    end: u64,
    what: Descriptor,
    place: String,
}

impl Part {
    async fn next(&mut self) -> Option<Result<Bytes, ContentError>> {
        while self.left > 0 {
            let chunk = match self.bytes.next().await {
                Some(Ok(chunk)) => chunk,
                // The request's length is promised: a source that ends early must fail, not stop.
                None => return Some(Err(self.wrong_size(self.end - self.left))),
                Some(Err(error)) => return Some(Err(error)),
            };
            if let Some(item) = self.take(chunk).await.transpose() {
                return Some(item);
            }
        }
        None
    }

    /// What of a chunk belongs to the part. The last bytes are not given away before the source has
    /// ended: the request would be complete with them, and what is wrong behind them unseen.
    async fn take(&mut self, mut chunk: Bytes) -> Result<Option<Bytes>, ContentError> {
        let length = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let known = length(self.skip).min(chunk.len());
        chunk.advance(known);
        self.skip -= known as u64;
        if chunk.len() > length(self.left) {
            if self.ends {
                let actual = self.end - self.left + chunk.len() as u64;
                return Err(self.wrong_size(actual));
            }
            chunk.truncate(length(self.left));
        }
        self.left -= chunk.len() as u64;
        while self.left == 0 && self.ends {
            match self.bytes.next().await.transpose()? {
                None => break,
                Some(more) if more.is_empty() => {}
                Some(more) => return Err(self.wrong_size(self.end + more.len() as u64)),
            }
        }
        Ok((!chunk.is_empty()).then_some(chunk))
    }

    fn wrong_size(&self, actual: u64) -> ContentError {
        ContentError::Size {
            what: self.what.digest.clone(),
            expected: self.what.size,
            actual,
            place: self.place.clone(),
        }
    }
}

/// How many bytes a session has, from `Range: 0-1023`.
fn received(incoming: &Incoming) -> Option<u64> {
    range_end(incoming.header("range")?)
}

fn range_end(text: &str) -> Option<u64> {
    let last = text.rsplit_once('-')?.1.trim();
    let digits = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    // A number that is too large for any blob is more than was sent, and is told so.
    let last = if digits {
        last.parse().unwrap_or(u64::MAX)
    } else {
        return None;
    };
    // Nothing at all is written in the same way as one byte, which no upload is cut off after.
    Some(if last == 0 {
        0
    } else {
        u64::saturating_add(last, 1)
    })
}

fn octets() -> HeaderMap {
    let value = HeaderValue::from_static("application/octet-stream");
    std::iter::once((CONTENT_TYPE, value)).collect()
}

fn protocol(incoming: &Incoming, reason: String) -> RegistryError {
    RegistryError::Protocol {
        request: incoming.request.clone(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_how_far_an_upload_came() {
        for (text, expected) in [
            ("0-1023", Some(1024)),
            ("bytes=0-7", Some(8)),
            ("0-0", Some(0)),
            ("0-18446744073709551615", Some(u64::MAX)),
            ("0-99999999999999999999999", Some(u64::MAX)),
            ("0--1", Some(2)),
            ("0-+1", None),
            ("0-", None),
            ("1023", None),
            ("", None),
        ] {
            assert_eq!(range_end(text), expected, "{text}");
        }
    }
}
