//! What a request sends: a manifest, or a blob's bytes as they come from their source.
//!
//! A request may have to be made again, with a token: the payload makes a body each time. Nothing of
//! a blob is held but the chunk that is on its way.
//!
//! A registry says nothing while it is sent to, and for a while afterwards, so the client's timeout
//! between two reads is no use here: [`watched`] looks at the bytes that go instead, and at their rate.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::time::Instant;
use wharf_core::ContentError;

use crate::rate::Progress;
use crate::settings::MinRate;

/// How long a registry may take to answer once it has everything: it hashes the blob, and those on
/// object stores copy it, at some 50 MB/s.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// What makes the bytes of a body, from the first one each time.
type Make = Arc<dyn Fn() -> BoxStream<'static, Result<Bytes, ContentError>> + Send + Sync>;

/// What a request sends.
#[derive(Clone)]
pub(crate) enum Payload {
    /// These bytes.
    Bytes(Bytes),
    /// As many bytes as `length` says, from somewhere.
    Stream {
        /// How many.
        length: u64,
        /// Makes them.
        make: Make,
        /// Why they could not be made. It is the source's error, and final.
        failed: Arc<Mutex<Option<ContentError>>>,
    },
}

impl Payload {
    pub(crate) const fn bytes(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }

    pub(crate) fn stream(length: u64, make: Make) -> Self {
        Self::Stream {
            length,
            make,
            failed: Arc::default(),
        }
    }

    pub(crate) const fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Stream { length, .. } => *length,
        }
    }

    /// Why the source failed, if it did.
    pub(crate) fn failure(&self) -> Option<ContentError> {
        match self {
            Self::Bytes(_) => None,
            Self::Stream { failed, .. } => {
                failed.lock().unwrap_or_else(PoisonError::into_inner).take()
            }
        }
    }

    /// A body, and what is known of its way.
    pub(crate) fn begin(&self) -> (reqwest::Body, Arc<Meter>) {
        let meter = Arc::new(Meter::new());
        let body = match self {
            Self::Bytes(bytes) => {
                meter.handed(bytes.len() as u64, true);
                bytes.clone().into()
            }
            Self::Stream {
                length,
                make,
                failed,
            } => {
                let left = *length;
                let state = (make(), Arc::clone(&meter), Arc::clone(failed), left);
                let bytes = stream::unfold(state, |(mut bytes, meter, failed, left)| async move {
                    meter.source_begins();
                    let chunk = match bytes.next().await? {
                        Ok(chunk) => chunk,
                        Err(error) => {
                            let words = error.to_string();
                            *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                            return Some((Err(words), (bytes, meter, failed, left)));
                        }
                    };
                    let left = left.saturating_sub(chunk.len() as u64);
                    meter.handed(chunk.len() as u64, left == 0);
                    Some((Ok(chunk), (bytes, meter, failed, left)))
                });
                reqwest::Body::wrap_stream(bytes)
            }
        };
        (body, meter)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.length())
    }
}

/// Why a request that sends something is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// The registry took nothing for too long.
    Stalled,
    /// It takes less than this: `1024 bytes a second`.
    TooSlow(String),
}

/// Who has the turn, and for how long. While the source makes the next bytes, the registry is not waited for.
pub(crate) struct Meter(Mutex<Turn>);

struct Turn {
    /// Since when the registry has the turn; `None` while the source has it.
    registry_since: Option<Instant>,
    /// How long the registry had the turn since the last look, and how many bytes it took.
    waited: Duration,
    took: u64,
    all_gone: bool,
}

impl Meter {
    fn new() -> Self {
        Self(Mutex::new(Turn {
            registry_since: Some(Instant::now()),
            waited: Duration::ZERO,
            took: 0,
            all_gone: false,
        }))
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The registry has taken all that it was handed, and wants more.
    fn source_begins(&self) {
        let mut turn = self.turn();
        if let Some(since) = turn.registry_since.take() {
            turn.waited += since.elapsed();
        }
    }

    fn handed(&self, bytes: u64, all_gone: bool) {
        let mut turn = self.turn();
        turn.registry_since = Some(Instant::now());
        turn.took += bytes;
        turn.all_gone |= all_gone;
    }

    /// Says when to look again.
    fn look(&self, stall: Duration, progress: &mut Progress) -> Result<Instant, Halt> {
        let mut turn = self.turn();
        let now = Instant::now();
        let Some(since) = turn.registry_since else {
            return Ok(now + stall);
        };
        if turn.all_gone {
            // It computes the digest now: the rate of what it takes is over.
            let deadline = since + COMMIT_TIMEOUT.max(stall);
            return if deadline <= now {
                Err(Halt::Stalled)
            } else {
                Ok(deadline)
            };
        }
        let deadline = since + stall;
        if deadline <= now {
            return Err(Halt::Stalled);
        }
        let waited = std::mem::take(&mut turn.waited);
        let took = std::mem::take(&mut turn.took);
        progress.note(waited, took).map_err(Halt::TooSlow)?;
        Ok(deadline)
    }
}

/// Waits for `sent`, unless nothing moves for `stall`, or too little; then says so.
pub(crate) async fn watched<T>(
    sent: impl Future<Output = T>,
    meter: &Meter,
    stall: Duration,
    rate: MinRate,
) -> Result<T, Halt> {
    tokio::pin!(sent);
    let mut progress = Progress::new(rate);
    loop {
        let next = meter.look(stall, &mut progress)?;
        tokio::select! {
            done = &mut sent => return Ok(done),
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(30);
    const RATE: MinRate = MinRate {
        bytes_per_second: 1024,
        window: Duration::from_secs(60),
    };

    /// A registry that takes so many bytes every 20 seconds.
    async fn takes(meter: &Meter, bytes: u64) {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(20)).await;
            meter.source_begins();
            meter.handed(bytes, false);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_what_does_not_move_and_waits_for_what_does() {
        let meter = Meter::new();
        let never = std::future::pending::<()>();
        assert_eq!(
            watched(never, &meter, STALL, RATE).await,
            Err(Halt::Stalled)
        );

        let meter = Meter::new();
        let slow = takes(&meter, 25_000);
        assert_eq!(watched(slow, &meter, STALL, RATE).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_what_drips() {
        for bytes in [1, 1000, 20_000] {
            let meter = Meter::new();
            let began = Instant::now();
            let halted = watched(takes(&meter, bytes), &meter, STALL, RATE).await;
            assert_eq!(
                halted,
                Err(Halt::TooSlow("1024 bytes a second".to_owned())),
                "{bytes}"
            );
            assert!(
                began.elapsed() < Duration::from_secs(120),
                "{:?}",
                began.elapsed()
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_is_slow_is_not_the_registry_s_fault() {
        let meter = Meter::new();
        let sent = async {
            for _ in 0..10 {
                meter.source_begins();
                tokio::time::sleep(Duration::from_secs(100)).await;
                meter.handed(1, false);
            }
        };
        assert_eq!(watched(sent, &meter, STALL, RATE).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_has_everything_may_take_its_time() {
        let meter = Meter::new();
        meter.handed(1, true);
        let commits = tokio::time::sleep(Duration::from_secs(300));
        assert_eq!(watched(commits, &meter, STALL, RATE).await, Ok(()));
        let never = std::future::pending::<()>();
        assert_eq!(
            watched(never, &meter, STALL, RATE).await,
            Err(Halt::Stalled)
        );
    }
}
