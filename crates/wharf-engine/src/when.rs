//! Points in time as Docker's `until` filters take them: a date, a date and time, a number of
//! seconds since 1970, or a Go duration back from now.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Reads a point in time. What has no zone is in `zone`.
pub fn parse(text: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    if text != "0"
        && let Some(back) = go_duration(text)
    {
        return now.checked_sub(back).ok();
    }
    seconds(text)
        .or_else(|| text.parse().ok())
        .or_else(|| local(text, zone))
}

/// `2024-10-15`, `2024-10-15T12`, `…T12:30`, `…T12:30:00.5`, each perhaps with `Z` or `+02:00`.
fn local(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let (text, zone) = split_zone(text, zone)?;
    let time = match text.split_once('T') {
        None => text
            .parse::<Date>()
            .ok()?
            .to_datetime(jiff::civil::Time::midnight()),
        Some((_, clock)) => match clock.matches(':').count() {
            0 => format!("{text}:00:00"),
            1 => format!("{text}:00"),
            _ => text.to_owned(),
        }
        .parse::<DateTime>()
        .ok()?,
    };
    time.to_zoned(zone).ok().map(|zoned| zoned.timestamp())
}

fn split_zone<'t>(text: &'t str, zone: &TimeZone) -> Option<(&'t str, TimeZone)> {
    if let Some(rest) = text.strip_suffix(['Z', 'z']) {
        return Some((rest, TimeZone::UTC));
    }
    // A date has two dashes; a third one is the zone's.
    let sign = match text.find('+') {
        Some(at) => Some(at),
        None => text.match_indices('-').nth(2).map(|(at, _)| at),
    };
    let Some(at) = sign else {
        return Some((text, zone.clone()));
    };
    let (hours, minutes) = text[at + 1..].split_once(':')?;
    let total = (two_digits(hours)? * 60 + two_digits(minutes)?) * 60;
    let signed = if text[at..].starts_with('-') {
        -total
    } else {
        total
    };
    Some((
        &text[..at],
        TimeZone::fixed(jiff::tz::Offset::from_seconds(signed).ok()?),
    ))
}

/// The hours or the minutes of a zone.
fn two_digits(text: &str) -> Option<i32> {
    let is_number = !text.is_empty() && text.len() <= 2;
    let digits = is_number && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

fn seconds(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanos = format!("{fraction:0<9}").parse().ok()?;
    Timestamp::new(whole.parse().ok()?, nanos).ok()
}

/// Why a text is no duration, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It is no number with a unit.
    #[error("time: invalid duration {0:?}")]
    Invalid(String),
    /// A number stands alone.
    #[error("time: missing unit in duration {0:?}")]
    NoUnit(String),
    /// A unit that does not exist.
    #[error("time: unknown unit {0:?} in duration {1:?}")]
    Unit(String, String),
}

/// The units of Go's durations, in seconds.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("μs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// Go's durations: `1h30m`, `1.5h`, `300ms`, `-2h`.
fn go_duration(text: &str) -> Option<SignedDuration> {
    duration(text).ok()
}

/// Reads a duration of Go's: `1h30m`, `1.5h`, `300ms`, `-2h`.
pub fn duration(text: &str) -> Result<SignedDuration, DurationError> {
    with_units(text, &UNITS)
}

/// The same with days and weeks: `30d`, `2w`.
pub fn long_duration(text: &str) -> Result<SignedDuration, DurationError> {
    const DAY: f64 = 24.0 * 3600.0;
    let mut units = UNITS.to_vec();
    units.extend([("d", DAY), ("w", 7.0 * DAY)]);
    with_units(text, &units)
}

fn with_units(text: &str, units: &[(&str, f64)]) -> Result<SignedDuration, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_number(c)).unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().map_err(|_| invalid())?;
        rest = &rest[end..];
        let end = rest.find(is_number).unwrap_or(rest.len());
        let unit = &rest[..end];
        rest = &rest[end..];
        if unit.is_empty() {
            return Err(DurationError::NoUnit(text.to_owned()));
        }
        let known = units.iter().find(|(name, _)| *name == unit);
        let (_, scale) =
            known.ok_or_else(|| DurationError::Unit(unit.to_owned(), text.to_owned()))?;
        total += number * scale;
    }
    let total = if negative { -total } else { total };
    SignedDuration::try_from_secs_f64(total).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_docker_reads() {
        let now: Timestamp = "2025-01-02T12:00:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        for (text, expected) in [
            ("10m", "2025-01-02T11:50:00Z"),
            ("1h30m", "2025-01-02T10:30:00Z"),
            ("1.5h", "2025-01-02T10:30:00Z"),
            ("-1h", "2025-01-02T13:00:00Z"),
            ("500ms", "2025-01-02T11:59:59.5Z"),
            ("2024-10-15", "2024-10-14T22:00:00Z"),
            ("2024-10-15Z", "2024-10-15T00:00:00Z"),
            ("2024-10-15-01:00", "2024-10-15T01:00:00Z"),
            ("2024-10-15T06", "2024-10-15T04:00:00Z"),
            ("2024-10-15T06:30", "2024-10-15T04:30:00Z"),
            ("2024-10-15T06:30Z", "2024-10-15T06:30:00Z"),
            ("2024-10-15T06:30:15.25", "2024-10-15T04:30:15.25Z"),
            ("2024-10-15T06:30:15+02:00", "2024-10-15T04:30:15Z"),
            ("0", "1970-01-01T00:00:00Z"),
            ("1136073600.5", "2006-01-01T00:00:00.5Z"),
        ] {
            let expected: Timestamp = expected.parse().unwrap();
            assert_eq!(parse(text, now, &zone), Some(expected), "{text}");
        }
        assert_eq!(
            long_duration("1w2d1h").ok(),
            Some(SignedDuration::from_hours(9 * 24 + 1))
        );
        assert!(duration("2d").is_err());
        for text in [
            "",
            "x",
            "1h1",
            "2024-13-01",
            "2024-10-15T",
            "h",
            "--1h",
            // Numbers that are too large for what is computed of them.
            "2024-10-15+2147483647:00",
            "2024-10-15-35791394:59",
            "2024-10-15T06:30+00:2147483647",
            "2024-10-15+99:99",
            "2024-10-15+-1:00",
            "2024-10-15-+1:+1",
            "99999999-01-01",
            "18446744073709551616",
            "9223372036854775807",
            "253402300800",
            "1.9999999999",
            "99999999999999999999h",
            "-99999999999999999999h",
        ] {
            assert_eq!(parse(text, now, &zone), None, "{text:?}");
        }
    }
}
