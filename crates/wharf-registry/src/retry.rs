//! Pauses between attempts: exponential, with jitter, obeying `Retry-After`.
//!
//! One [`Pauses`] counts the failures of one step. A download that made progress takes a new one,
//! so a large blob survives any number of breaks while each attempt brings some bytes.

use std::time::{Duration, SystemTime};

use jiff::civil::DateTime;
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::fmt::strtime::BrokenDownTime;
use reqwest::header::HeaderMap;

use crate::error::RegistryError;
use crate::settings::RetryPolicy;

/// A registry that wants to be left alone for longer than this gets no further attempt: nobody
/// watches a pull stand still that long, and Docker Hub's limits last hours.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// Numbers above this in a header are seconds since 1970, not from now: Docker Hub writes those.
const EPOCH_LIKELY: u64 = 1_000_000_000;

/// The forms of a date: today's, RFC 850's, and that of C's `asctime`.
const HTTP_DATES: [&str; 3] = [
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d-%b-%y %H:%M:%S GMT",
    "%a %b %e %H:%M:%S %Y",
];

/// Where dates are counted from.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// The headers that say when a limit resets, the most binding first.
const RESETS: [&str; 4] = [
    "retry-after",
    "x-retry-after",
    "ratelimit-reset",
    "x-ratelimit-reset",
];

/// Counts one step's failures.
#[derive(Debug)]
pub(crate) struct Pauses {
    policy: RetryPolicy,
    failures: u32,
}

impl Pauses {
    pub(crate) const fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            failures: 0,
        }
    }

    /// At most `attempts` in all.
    pub(crate) fn limited(mut policy: RetryPolicy, attempts: u32) -> Self {
        policy.attempts = policy.attempts.min(attempts);
        Self::new(policy)
    }

    /// How many attempts have failed.
    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }

    /// How long to wait before the next attempt; `None` to give up.
    pub(crate) fn after(&mut self, error: &RegistryError) -> Option<Duration> {
        let wanted = error.passing()?;
        self.failures += 1;
        if self.failures >= self.policy.attempts || wanted > PATIENCE {
            return None;
        }
        let doublings = (self.failures - 1).min(16);
        let pause = self
            .policy
            .base
            .saturating_mul(1 << doublings)
            .min(self.policy.cap);
        Some(jitter(pause).max(wanted.min(self.policy.cap)))
    }
}

/// Between one half of `pause` and all of it.
fn jitter(pause: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    pause.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
}

/// When the registry wants the next request, from now: seconds, seconds since 1970, or an HTTP
/// date (RFC 9110, section 10.2.3; RateLimit headers).
pub(crate) fn reset(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    RESETS.iter().find_map(|name| {
        let text = headers.get(*name)?.to_str().ok()?.trim();
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let epoch = if digits {
            // A number that is too large for any time is a long time, and not no time.
            match text.parse::<u64>().unwrap_or(u64::MAX) {
                seconds if seconds < EPOCH_LIKELY => return Some(Duration::from_secs(seconds)),
                seconds => seconds,
            }
        } else {
            http_date(text)?
        };
        let then = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(epoch));
        let left = then.map(|then| then.duration_since(now).unwrap_or_default());
        let longest = Duration::from_secs(EPOCH_LIKELY);
        Some(left.unwrap_or(longest).min(longest))
    })
}

/// The seconds since 1970 of an HTTP date, in any of its three forms (RFC 9110, section 5.6.7).
fn http_date(text: &str) -> Option<u64> {
    static OTHERS: DateTimeParser = DateTimeParser::new();
    let known = HTTP_DATES.iter().find_map(|form| {
        let parsed = BrokenDownTime::parse(form, text).ok()?.to_datetime().ok()?;
        Some(parsed.duration_since(EPOCH).as_secs())
    });
    // Some servers write an RFC 2822 date, with an offset for its zone.
    let seconds = match known {
        Some(seconds) => seconds,
        None => OTHERS.parse_timestamp(text).ok()?.as_second(),
    };
    // A date before 1970 has passed.
    Some(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;
    use reqwest::header::HeaderValue;

    fn busy(reset: Option<u64>) -> RegistryError {
        RegistryError::Status {
            request: String::new(),
            status: StatusCode::SERVICE_UNAVAILABLE,
            answer: String::new(),
            reset: reset.map(Duration::from_secs),
        }
    }

    const POLICY: RetryPolicy = RetryPolicy {
        attempts: 4,
        base: Duration::from_secs(1),
        cap: Duration::from_secs(3),
    };

    #[test]
    fn pauses_grow_to_their_cap_and_end() {
        let mut pauses = Pauses::new(POLICY);
        for expected in [1.0, 2.0, 3.0] {
            let pause = pauses.after(&busy(None)).unwrap().as_secs_f64();
            assert!(
                (expected / 2.0..=expected).contains(&pause),
                "{pause} for {expected}"
            );
        }
        assert_eq!(pauses.after(&busy(None)), None);
    }

    #[test]
    fn can_be_limited() {
        assert_eq!(Pauses::limited(POLICY, 1).after(&busy(None)), None);
        let mut pauses = Pauses::limited(POLICY, 2);
        assert!(pauses.after(&busy(None)).is_some());
        assert_eq!(pauses.after(&busy(None)), None);
    }

    #[test]
    fn waits_as_long_as_it_is_told_within_reason() {
        assert_eq!(
            Pauses::new(POLICY).after(&busy(Some(3))),
            Some(Duration::from_secs(3))
        );
        assert_eq!(Pauses::new(POLICY).after(&busy(Some(60))), Some(POLICY.cap));
        assert_eq!(Pauses::new(POLICY).after(&busy(Some(6 * 3600))), None);
    }

    #[test]
    fn does_not_repeat_what_cannot_succeed() {
        let wrong = |status| RegistryError::Status {
            request: String::new(),
            status,
            answer: String::new(),
            reset: None,
        };
        for status in [StatusCode::BAD_REQUEST, StatusCode::NOT_IMPLEMENTED] {
            assert_eq!(Pauses::new(POLICY).after(&wrong(status)), None);
        }
        assert!(
            Pauses::new(POLICY)
                .after(&wrong(StatusCode::REQUEST_TIMEOUT))
                .is_some()
        );
    }

    #[test]
    fn reads_every_form_of_a_reset() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let read = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            reset(&headers, now).map(|pause| pause.as_secs())
        };
        assert_eq!(read("retry-after", "120"), Some(120));
        assert_eq!(
            read("retry-after", "Fri, 15 Jan 2027 08:01:00 GMT"),
            Some(60)
        );
        assert_eq!(
            read("retry-after", "Fri, 15 Jan 2021 08:01:00 GMT"),
            Some(0)
        );
        assert_eq!(read("x-retry-after", "1800000030"), Some(30));
        assert_eq!(read("ratelimit-reset", "7"), Some(7));
        assert_eq!(
            read("retry-after", "Friday, 15-Jan-27 08:01:00 GMT"),
            Some(60)
        );
        assert_eq!(read("retry-after", "Fri Jan 15 08:01:00 2027"), Some(60));
        assert_eq!(read("retry-after", "Sun Nov  6 08:49:37 1994"), Some(0));
        assert_eq!(
            read("retry-after", "Thu, 01 Jan 1931 00:00:00 GMT"),
            Some(0)
        );
        assert_eq!(read("retry-after", " 7 "), Some(7));
        for nothing in [
            "soon",
            "-1",
            "+7",
            "1.5",
            "",
            "0x10",
            "Fri, 99 Jan 2027 08:01:00 GMT",
        ] {
            assert_eq!(read("retry-after", nothing), None, "{nothing}");
        }
        for long in [
            "18446744073709551615",
            "99999999999999999999999999",
            "9223372036854775807",
            "Fri, 31 Dec 9999 23:59:59 GMT",
        ] {
            assert!(read("retry-after", long) >= Some(EPOCH_LIKELY), "{long}");
        }
    }
}
