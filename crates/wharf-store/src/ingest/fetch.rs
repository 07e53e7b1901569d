//! Connections that fill a blob's pieces.
//!
//! The first answer tells whether the place serves ranges. If it does, further connections fill other
//! pieces at the same time; if it sends the whole blob, that one stream fills them all and what is here
//! already is skipped. Each connection holds two batches of bytes at most: one that gathers, and one
//! that is being written on another thread.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::{Either, select};
use futures_util::stream::BoxStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout_at;
use wharf_core::layer::Inspect;
use wharf_core::{ContentError, Descriptor, Event, LayerStatus, Reader, Source, Watch};
use wharf_os::blocking::{self, Blocking};

use super::batch::Batch;
use super::follow::{Follow, Followed};
use super::partial::{Claim, Partial};
use crate::StoreError;

/// How much is gathered before it's written, in bytes: a process that is killed loses no more than two
/// of these for each connection.
const BATCH: usize = 256 * 1024;
/// How long a byte is held back for others to be written with it: what comes slowly is not lost either.
const HELD_MAX: Duration = Duration::from_secs(1);
/// How long a download goes on before what has come is made durable once more. With the pause, a sync
/// that is under way, and the bytes held back, a power loss takes less than five seconds of it; and a
/// sync every two seconds costs less than can be measured.
const SYNC_EVERY: Duration = Duration::from_secs(2);
/// How often bytes are reported.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// One blob to fetch.
pub(crate) struct Fetch {
    pub(crate) what: Descriptor,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) watch: Arc<dyn Watch>,
    pub(crate) partial: Arc<Partial>,
    /// How many connections may work on it.
    pub(crate) connections: usize,
    /// What those beyond the first one need a permit of, shared by all blobs of an operation.
    pub(crate) further: Arc<Semaphore>,
    pub(crate) reported: Mutex<Option<Instant>>,
}

/// Tells the follower, however this ends, that nobody goes on.
struct StopOnDrop(Arc<Partial>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Fetches what is missing of the blob, and reads all of it. What has come is made durable now and then.
pub(crate) async fn fetch(
    fetch: Fetch,
    inspect: Option<Box<dyn Inspect>>,
) -> Result<Followed, ContentError> {
    let fetch = Arc::new(fetch);
    let all = pin!(fetch_all(Arc::clone(&fetch), inspect));
    match select(all, pin!(fetch.keep_durable())).await {
        Either::Left((followed, _)) => followed,
        Either::Right((never, _)) => match never {},
    }
}

async fn fetch_all(
    fetch: Arc<Fetch>,
    inspect: Option<Box<dyn Inspect>>,
) -> Result<Followed, ContentError> {
    let stop = StopOnDrop(Arc::clone(&fetch.partial));
    let follower = start_follower(&fetch, inspect);
    fetch.report(fetch.partial.done());
    if let Err(error) = fill(&fetch).await {
        fetch.partial.stop();
        joined(follower).await?.ok();
        return Err(error);
    }
    fetch.watch_status(LayerStatus::Verifying);
    let followed = joined(follower).await??;
    drop(stop);
    followed.ok_or_else(|| {
        let source = std::io::Error::from(std::io::ErrorKind::Interrupted);
        StoreError::io("read", fetch.partial.file().1, source).into()
    })
}

fn start_follower(
    fetch: &Fetch,
    inspect: Option<Box<dyn Inspect>>,
) -> Blocking<Result<Option<Followed>, StoreError>> {
    let partial = Arc::clone(&fetch.partial);
    let (algorithm, size) = (fetch.what.digest.algorithm(), fetch.what.size);
    blocking::start_apart(move || {
        let (file, path) = partial.file();
        let follow = Follow {
            file,
            path,
            algorithm,
            size,
        };
        follow.behind(inspect, &|from| partial.wait(from))
    })
}

/// Fills every piece; the first error ends all connections.
async fn fill(fetch: &Arc<Fetch>) -> Result<(), ContentError> {
    let Some(claim) = fetch.partial.claim(|_| true) else {
        return Ok(());
    };
    let answer = fetch.open(&claim).await?;
    let more = if answer.is_ranged(fetch.what.size) {
        fetch.partial.unclaimed(fetch.connections.saturating_sub(1))
    } else {
        0
    };
    let mut connections = JoinSet::new();
    connections.spawn(Arc::clone(fetch).connection(Some((claim, answer))));
    for _ in 0..more {
        connections.spawn(Arc::clone(fetch).further_connection());
    }
    while let Some(ended) = connections.join_next().await {
        // The others are ended by the set when it goes out of scope: after an error, and those that
        // still wait for room when all has come.
        ended.map_err(ContentError::place)??;
        if fetch.partial.done() == fetch.what.size {
            break;
        }
    }
    Ok(())
}

impl Fetch {
    /// Makes what has come durable, beside the tasks that fetch and read it, until the download ends.
    async fn keep_durable(&self) -> Infallible {
        loop {
            tokio::time::sleep(SYNC_EVERY).await;
            let partial = Arc::clone(&self.partial);
            let synced = joined(blocking::start(move || partial.sync())).await;
            // The error is kept, and ends the download before the blob is put in place.
            if let Err(error) = synced.and_then(|synced| Ok(synced?)) {
                tracing::debug!(%error, "what has come is not durable yet");
            }
        }
    }

    /// Fills pieces as well, once other blobs leave room for one more connection.
    async fn further_connection(self: Arc<Self>) -> Result<(), ContentError> {
        let permit = Arc::clone(&self.further).acquire_owned();
        // The semaphore is never closed.
        let _permit = permit.await.map_err(ContentError::place)?;
        self.connection(None).await
    }

    /// Fills pieces until there is none left to claim.
    async fn connection(
        self: Arc<Self>,
        mut first: Option<(Claim, Answer)>,
    ) -> Result<(), ContentError> {
        loop {
            let (claim, answer) = match first.take() {
                Some(first) => first,
                None => match self.partial.claim(|_| true) {
                    None => return Ok(()),
                    Some(claim) => {
                        let answer = self.open(&claim).await?;
                        (claim, answer)
                    }
                },
            };
            let mut writer = Writer {
                fetch: &self,
                writing: None,
            };
            let filled = self.pump(claim, answer, &mut writer).await;
            // What has come is kept, also if the connection broke.
            let written = writer.finish().await;
            filled?;
            written?;
        }
    }

    async fn open(&self, claim: &Claim) -> Result<Answer, ContentError> {
        // One connection alone asks for all the rest at once.
        let end = if self.connections > 1 {
            claim.end
        } else {
            self.what.size
        };
        let Reader { range, bytes } = self.source.open(&self.what, claim.next..end).await?;
        if range.start > claim.next || range.end > self.what.size {
            return Err(self.wrong_size(range.end));
        }
        Ok(Answer {
            at: range.start,
            end: range.end,
            from: range.start,
            rest: Bytes::new(),
            bytes,
        })
    }

    /// Writes one answer's bytes into the claimed piece, and into those behind it as far as the answer
    /// reaches.
    async fn pump(
        &self,
        mut claim: Claim,
        mut answer: Answer,
        writer: &mut Writer<'_>,
    ) -> Result<(), ContentError> {
        loop {
            while self.next(&mut answer, claim.next).await?.is_some() {}
            let filled = self.fill_piece(&claim, &mut answer, writer).await;
            filled?;
            if answer.at == self.what.size {
                return self.expect_end(answer).await;
            }
            // Ranges are asked for again where there's a hole; a whole blob is read on over it.
            let ranged = answer.is_ranged(self.what.size);
            let fits = |next: &Claim| {
                next.end <= answer.end
                    && next.next >= answer.at
                    && (!ranged || next.next == answer.at)
            };
            match self.partial.claim(fits) {
                Some(next) => claim = next,
                None => return Ok(()),
            }
        }
    }

    /// Fills one piece. After an error, what has come of it is written all the same.
    async fn fill_piece(
        &self,
        claim: &Claim,
        answer: &mut Answer,
        writer: &mut Writer<'_>,
    ) -> Result<(), ContentError> {
        let (mut batch, mut offset) = (Batch::default(), claim.next);
        let mut due = tokio::time::Instant::now();
        loop {
            let next = if batch.len() == 0 {
                let next = self.next(answer, claim.end).await;
                due = tokio::time::Instant::now() + HELD_MAX;
                Some(next)
            } else {
                timeout_at(due, self.next(answer, claim.end)).await.ok()
            };
            let ended = matches!(next, Some(Ok(None) | Err(_)));
            if let Some(Ok(Some(bytes))) = &next {
                batch.push(bytes.clone());
            }
            let is_due = ended || next.is_none() || tokio::time::Instant::now() >= due;
            let len = batch.len();
            if len >= BATCH || is_due && len > 0 {
                writer.write(offset, batch.take()).await?;
                offset += len as u64;
            }
            if let Some(next) = next.filter(|_| ended) {
                return next.map(drop);
            }
        }
    }

    /// The answer's next bytes before the offset `until`; `None` once they have all come.
    async fn next(&self, answer: &mut Answer, until: u64) -> Result<Option<Bytes>, ContentError> {
        while answer.at < until {
            if answer.rest.is_empty() {
                match answer.bytes.next().await {
                    Some(chunk) => answer.rest = chunk?,
                    None => return Err(self.wrong_size(answer.at)),
                }
                continue;
            }
            let wanted = usize::try_from(until - answer.at).unwrap_or(usize::MAX);
            let bytes = answer.rest.split_to(wanted.min(answer.rest.len()));
            answer.at += bytes.len() as u64;
            return Ok(Some(bytes));
        }
        Ok(None)
    }

    /// Makes sure that nothing follows the blob's last byte.
    async fn expect_end(&self, mut answer: Answer) -> Result<(), ContentError> {
        let mut extra = answer.rest.len();
        while extra == 0 {
            match answer.bytes.next().await {
                Some(chunk) => extra = chunk?.len(),
                None => return Ok(()),
            }
        }
        Err(self.wrong_size(self.what.size + extra as u64))
    }

    fn wrong_size(&self, actual: u64) -> ContentError {
        ContentError::Size {
            what: self.what.digest.clone(),
            expected: self.what.size,
            actual,
            place: self.source.place(),
        }
    }

    /// Reports how many bytes are here, but not too often.
    fn report(&self, done: u64) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let due = reported.is_none_or(|last| last.elapsed() >= REPORT_EVERY);
        if due || done == self.what.size {
            *reported = Some(Instant::now());
            drop(reported);
            self.watch_status(LayerStatus::Downloading {
                done,
                total: self.what.size,
            });
        }
    }

    fn watch_status(&self, status: LayerStatus) {
        self.watch.event(Event::Layer {
            digest: self.what.digest.clone(),
            status,
        });
    }
}

/// The bytes of one answer, and how far they were read.
struct Answer {
    from: u64,
    at: u64,
    end: u64,
    rest: Bytes,
    bytes: BoxStream<'static, Result<Bytes, ContentError>>,
}

impl Answer {
    /// Did the place send a part, and so may be asked for others at the same time?
    const fn is_ranged(&self, size: u64) -> bool {
        self.from > 0 || self.end < size
    }
}

/// Writes batches on another thread, one after the other.
struct Writer<'a> {
    fetch: &'a Arc<Fetch>,
    writing: Option<Blocking<Result<(), StoreError>>>,
}

impl Writer<'_> {
    /// Starts to write a batch once the one before is written.
    async fn write(&mut self, offset: u64, batch: Vec<Bytes>) -> Result<(), ContentError> {
        self.finish().await?;
        let fetch = Arc::clone(self.fetch);
        self.writing = Some(blocking::start(move || {
            let done = fetch.partial.write(offset, &batch)?;
            fetch.report(done);
            Ok(())
        }));
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), ContentError> {
        match self.writing.take() {
            Some(writing) => Ok(joined(writing).await??),
            None => Ok(()),
        }
    }
}

/// Returns what blocking work has returned. No thread for it, or a panic in it, which is a mistake of
/// ours, ends this blob, not the program.
pub(crate) async fn joined<T>(work: Blocking<T>) -> Result<T, ContentError> {
    work.await.map_err(ContentError::place)
}
