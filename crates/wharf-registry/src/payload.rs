//! What a request sends: a manifest, or a blob's bytes as they come from their source.
//!
//! A request may have to be made again, with a token: the payload makes a body each time. Nothing of
//! a blob is held but the chunk that is on its way.
//!
//! A registry says nothing while it is sent to, and for a while afterwards, so the client's timeout
//! between two reads is no use here: [`watched`] looks at the bytes that go instead.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _};
use tokio::time::Instant;
use wharf_core::ContentError;

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
                meter.all_gone.store(true, Ordering::Relaxed);
                bytes.clone().into()
            }
            Self::Stream {
                length,
                make,
                failed,
            } => {
                let (metered, failed, mut left) = (Arc::clone(&meter), Arc::clone(failed), *length);
                let bytes = make().map(move |chunk| match chunk {
                    Ok(chunk) => {
                        left = left.saturating_sub(chunk.len() as u64);
                        metered.moved(left == 0);
                        Ok(chunk)
                    }
                    Err(error) => {
                        let words = error.to_string();
                        *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        Err(words)
                    }
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

/// When bytes last went.
pub(crate) struct Meter {
    began: Instant,
    /// In milliseconds since then.
    last: AtomicU64,
    all_gone: AtomicBool,
}

impl Meter {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            last: AtomicU64::new(0),
            all_gone: AtomicBool::new(false),
        }
    }

    fn moved(&self, all_gone: bool) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
        if all_gone {
            self.all_gone.store(true, Ordering::Relaxed);
        }
    }

    /// Until when something must have happened.
    fn deadline(&self, stall: Duration) -> Instant {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        let patience = if self.all_gone.load(Ordering::Relaxed) {
            COMMIT_TIMEOUT.max(stall)
        } else {
            stall
        };
        self.began + last + patience
    }
}

/// Waits for `sent`, unless nothing moves for `stall`; then says so.
pub(crate) async fn watched<T>(
    sent: impl Future<Output = T>,
    meter: &Meter,
    stall: Duration,
) -> Result<T, String> {
    tokio::pin!(sent);
    loop {
        let deadline = meter.deadline(stall);
        tokio::select! {
            done = &mut sent => return Ok(done),
            () = tokio::time::sleep_until(deadline) => {
                if meter.deadline(stall) <= Instant::now() {
                    return Err("the registry took nothing for too long".to_owned());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn gives_up_what_does_not_move_and_waits_for_what_does() {
        let stall = Duration::from_secs(30);
        let meter = Meter::new();
        let never = std::future::pending::<()>();
        assert!(watched(never, &meter, stall).await.is_err());

        let meter = Meter::new();
        let slow = async {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(20)).await;
                meter.moved(false);
            }
        };
        assert_eq!(watched(slow, &meter, stall).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_has_everything_may_take_its_time() {
        let meter = Meter::new();
        meter.moved(true);
        let commits = tokio::time::sleep(Duration::from_secs(300));
        assert_eq!(
            watched(commits, &meter, Duration::from_secs(30)).await,
            Ok(())
        );
    }
}
