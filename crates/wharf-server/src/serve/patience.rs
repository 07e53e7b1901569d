//! How long a client is waited for: a while, and less if it does next to nothing all the time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Bounds the rate below which a client uses up the patience with it, in bytes a second: the slowest line that
/// somebody may still wait for.
const RATE_MIN: u32 = 1024;

/// The patience with one client. Waiting uses it up; bytes that come or go give it back.
pub(super) struct Patience {
    most: Duration,
    left: Duration,
    waiting: Option<Waiting>,
}

struct Waiting {
    since: Instant,
    over: Pin<Box<Sleep>>,
}

impl Patience {
    pub(super) fn new(most: Duration) -> Self {
        Self {
            most,
            left: most,
            waiting: None,
        }
    }

    /// Is the client waited for now?
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// The client has done nothing: ready when it was waited for long enough.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let left = self.left;
        let waiting = self.waiting.get_or_insert_with(|| {
            let since = Instant::now();
            Waiting {
                since,
                over: Box::pin(sleep_until(since + left)),
            }
        });
        waiting.over.as_mut().poll(context)
    }

    /// The client has taken or sent so many bytes.
    pub(super) fn went_on(&mut self, bytes: usize) {
        if let Some(waiting) = self.waiting.take() {
            self.left = self.left.saturating_sub(waiting.since.elapsed());
        }
        if self.left < self.most {
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            let earned = Duration::from_secs(1) * bytes / RATE_MIN;
            self.left = self.most.min(self.left.saturating_add(earned));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const MOST: Duration = Duration::from_secs(60);

    async fn waits(patience: &mut Patience) -> Duration {
        let start = Instant::now();
        poll_fn(|context| patience.poll(context)).await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn ends_after_a_silence() {
        let mut patience = Patience::new(MOST);
        let waited = waits(&mut patience).await;
        assert!(waited >= MOST && waited < MOST + Duration::from_secs(1));
    }

    /// Does a client that moves `bytes` after each pause go on for an hour?
    async fn lasts(bytes: usize, pause: Duration) -> bool {
        let mut patience = Patience::new(MOST);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(3600) {
            let over = poll_fn(|context| patience.poll(context));
            if tokio::time::timeout(pause, over).await.is_ok() {
                return false;
            }
            patience.went_on(bytes);
        }
        true
    }

    #[tokio::test(start_paused = true)]
    async fn drops_do_not_keep_a_connection_alive() {
        let second = Duration::from_secs(1);
        assert!(!lasts(1, second).await);
        assert!(!lasts(512, second).await);
        assert!(!lasts(0, second).await);
        assert!(!lasts(usize::MAX, 61 * second).await);
        assert!(lasts(1024, second).await);
        assert!(lasts(64 * 1024, 59 * second).await);
    }
}
