//! A transfer that makes too little progress ends.
//!
//! The stall timeout ends a registry that says nothing; it does not end one that says a byte from time to
//! time. So a transfer must bring a minimal number of bytes in every window of waiting. Only time that is
//! spent waiting for the other side counts: a slow disk here, or a pause that the registry asked for, is
//! not its slowness.
//!
//! Requests are bounded too, since an answer of one byte may come within a millisecond.

use std::time::Duration;

use crate::settings::MinRate;

/// How many requests any transfer may take, however little they bring: networks break.
const REQUESTS_FREE: u64 = 100;

/// How much each further request has to bring on average, in bytes. A connection that breaks more often than
/// that would take thousands of requests for one layer.
const BYTES_PER_REQUEST: u64 = 64 * 1024;

/// Watches over one transfer.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    rate: MinRate,
    /// How long was waited in this window, and what came of it.
    waited: Duration,
    came: u64,
}

impl Progress {
    pub(crate) const fn new(rate: MinRate) -> Self {
        Self {
            rate,
            waited: Duration::ZERO,
            came: 0,
        }
    }

    /// Notes what came of a wait. An error is what is missed: `1024 bytes a second`.
    pub(crate) fn note(&mut self, waited: Duration, came: u64) -> Result<(), String> {
        self.waited = self.waited.saturating_add(waited);
        self.came = self.came.saturating_add(came);
        if self.waited < self.rate.window {
            return Ok(());
        }
        let seconds = self.waited.as_secs_f64();
        // As floating point: no product of outside numbers can overflow, and no precision is needed.
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no precision")]
        let too_slow = (self.came as f64) < self.rate.bytes_per_second as f64 * seconds;
        if too_slow {
            return Err(words(self.rate.bytes_per_second));
        }
        *self = Self::new(self.rate);
        Ok(())
    }
}

fn words(bytes_per_second: u64) -> String {
    format!("{bytes_per_second} bytes a second")
}

/// Counts the requests of one transfer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Requests(u64);

impl Requests {
    /// Notes one more request, after so many bytes of progress. An error is what is missed.
    pub(crate) fn note(&mut self, progress: u64) -> Result<(), String> {
        self.0 += 1;
        if self.0 <= REQUESTS_FREE + progress / BYTES_PER_REQUEST {
            return Ok(());
        }
        Err(format!("{BYTES_PER_REQUEST} bytes for each request"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: MinRate = MinRate {
        bytes_per_second: 1024,
        window: Duration::from_secs(60),
    };

    fn steady(bytes: u64, every: Duration, times: u32) -> Result<(), String> {
        let mut progress = Progress::new(RATE);
        (0..times).try_for_each(|_| progress.note(every, bytes))
    }

    #[test]
    fn ends_what_drips() {
        for (bytes, seconds) in [(1, 20), (1, 1), (0, 29), (1023, 1), (20_000, 30)] {
            let error = steady(bytes, Duration::from_secs(seconds), 1000).unwrap_err();
            assert_eq!(error, "1024 bytes a second", "{bytes} in {seconds} s");
        }
    }

    #[test]
    fn waits_for_what_is_slow_and_comes() {
        for (bytes, seconds) in [(1024, 1), (40_000, 30), (1 << 40, 59)] {
            assert_eq!(
                steady(bytes, Duration::from_secs(seconds), 1000),
                Ok(()),
                "{bytes} in {seconds} s"
            );
        }
        // What is over within the window is never too slow.
        assert_eq!(steady(1, Duration::from_secs(1), 59), Ok(()));
        assert_eq!(steady(0, Duration::ZERO, 1_000_000), Ok(()));
    }

    #[test]
    fn what_came_fast_is_not_credit_for_ever() {
        let mut progress = Progress::new(RATE);
        progress.note(Duration::from_secs(60), 1 << 30).unwrap();
        let second = Duration::from_secs(1);
        assert_eq!((0..59).try_for_each(|_| progress.note(second, 1)), Ok(()));
        assert!(progress.note(second, 1).is_err());
    }

    #[test]
    fn a_rate_of_nothing_is_no_limit() {
        let mut progress = Progress::new(MinRate {
            bytes_per_second: 0,
            ..RATE
        });
        assert_eq!(progress.note(Duration::MAX, 0), Ok(()));
        assert_eq!(progress.note(Duration::from_secs(100_000), 0), Ok(()));
    }

    #[test]
    fn requests_that_bring_nothing_are_counted() {
        let mut requests = Requests::default();
        let many = (0..10_000).take_while(|&bytes| requests.note(bytes).is_ok());
        assert_eq!(many.count() as u64, REQUESTS_FREE);
        let mut requests = Requests::default();
        let all = (0..10_000_u64).all(|n| requests.note(n * BYTES_PER_REQUEST).is_ok());
        assert!(all);
    }
}
