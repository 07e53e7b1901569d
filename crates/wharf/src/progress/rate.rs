//! How fast bytes come: over the last few seconds, so that a bar shows what is, not what was.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wharf_core::human;

/// How far back it looks. Shorter flickers, longer lags behind.
const WINDOW: Duration = Duration::from_secs(5);
/// How often it takes a sample.
const STEP: Duration = Duration::from_millis(200);

/// Bytes that came, and when.
#[derive(Default)]
pub(super) struct Rate(VecDeque<(Instant, u64)>);

impl Rate {
    /// Notes that `done` bytes are here at `now`. The first one only sets the start: what an earlier
    /// attempt has brought is not speed.
    pub(super) fn note(&mut self, now: Instant, done: u64) {
        if self
            .0
            .back()
            .is_some_and(|&(last, _)| now.duration_since(last) < STEP)
        {
            return;
        }
        self.0.push_back((now, done));
        while self.0.len() > 2 && self.0.front().is_some_and(|&(at, _)| now - at > WINDOW) {
            self.0.pop_front();
        }
    }

    /// `12.3MB/s  4s`: how fast, and how long `total` takes; as much as can be said.
    pub(super) fn describe(&self, now: Instant, done: u64, total: Option<u64>) -> String {
        let Some(&(since, from)) = self.0.front() else {
            return String::new();
        };
        let (bytes, taken) = (done.saturating_sub(from), now.duration_since(since));
        let rate = human::rate(bytes, taken);
        let left = total.map(|total| human::time_left(total.saturating_sub(done), bytes, taken));
        match left {
            Some(left) if !left.is_empty() => format!("{rate}  {left}"),
            _ => rate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_here_before_is_not_speed() {
        let (mut rate, start) = (Rate::default(), Instant::now());
        rate.note(start, 500_000_000);
        let now = start + Duration::from_secs(2);
        rate.note(now, 520_000_000);
        assert_eq!(
            rate.describe(now, 520_000_000, Some(550_000_000)),
            "10MB/s  3s"
        );
    }

    #[test]
    fn forgets_what_was_long_ago() {
        let (mut rate, start) = (Rate::default(), Instant::now());
        let mut done = 0;
        for second in 0..20 {
            // Fast for ten seconds, then slow.
            done += if second < 10 { 100_000_000 } else { 1_000_000 };
            rate.note(start + Duration::from_secs(second), done);
        }
        let now = start + Duration::from_secs(19);
        assert_eq!(rate.describe(now, done, None), "1MB/s");
        assert!(rate.0.len() < 10);
    }
}
