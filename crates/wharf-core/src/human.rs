//! Docker's units and relative times.
//!
//! Scripts compare these texts, so they are Docker's to the letter, oddities included: 999,999 bytes
//! are `1e+03kB`, a fortnight is `2 weeks`, and 729 days and 23½ hours are `1 years`. The thresholds
//! are those of go-units 0.5, which Docker 28.5 prints with. Nothing here knows the clock or the time
//! zone: the caller passes both.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

const DECIMAL_UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
const BINARY_UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// How many significant digits Docker shows of a size in a table.
const TABLE_DIGITS: usize = 3;
/// How many it shows elsewhere.
const USUAL_DIGITS: usize = 4;

/// Year 1, where Go's `time.Time{}` lies.
const GO_ZERO: Timestamp = Timestamp::constant(-62_135_596_800, 0);

/// Times up to this one have no age in `docker history`: 1 January 2000, in seconds since 1970.
const HISTORY_EPOCH: i64 = 946_684_800;

/// A size with four digits, as progress bars and `docker system df -v` show it: `1.982MB`.
pub fn size(bytes: u64) -> String {
    scaled(bytes, 1000, &DECIMAL_UNITS, USUAL_DIGITS)
}

/// A size with three digits, as `docker images` and `docker history` show it: `1.98MB`.
pub fn table_size(bytes: u64) -> String {
    scaled(bytes, 1000, &DECIMAL_UNITS, TABLE_DIGITS)
}

/// A size in powers of 1024, with four digits: `1.89MiB`.
pub fn binary_size(bytes: u64) -> String {
    scaled(bytes, 1024, &BINARY_UNITS, USUAL_DIGITS)
}

/// A length of time, roughly: `About a minute`, `3 weeks`.
pub fn duration(length: SignedDuration) -> String {
    let (seconds, minutes) = (length.as_secs(), length.as_mins());
    // Minutes are cut off, hours are rounded: so it is with Docker.
    let hours = length
        .saturating_add(SignedDuration::from_mins(30))
        .as_hours();
    if seconds < 1 {
        "Less than a second".to_owned()
    } else if seconds == 1 {
        "1 second".to_owned()
    } else if seconds < 60 {
        format!("{seconds} seconds")
    } else if minutes == 1 {
        "About a minute".to_owned()
    } else if minutes < 60 {
        format!("{minutes} minutes")
    } else if hours == 1 {
        "About an hour".to_owned()
    } else if hours < 48 {
        format!("{hours} hours")
    } else if hours < 24 * 14 {
        format!("{} days", hours / 24)
    } else if hours < 24 * 30 * 2 {
        format!("{} weeks", hours / 24 / 7)
    } else if hours < 24 * 365 * 2 {
        format!("{} months", hours / 24 / 30)
    } else {
        format!("{} years", length.as_hours() / 24 / 365)
    }
}

/// How long ago `then` was: `2 years ago`. The future is less than a second ago, as with Docker.
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    format!("{} ago", duration(now.duration_since(then)))
}

/// An image's age in `docker images`, from its creation time as the Engine API has it: seconds since
/// 1970, 0 where the config has none. Go's zero time has no age.
pub fn image_age(created: i64, now: Timestamp) -> String {
    Timestamp::from_second(created)
        .ok()
        .filter(|&then| then != GO_ZERO)
        .map_or_else(String::new, |then| ago(then, now))
}

/// A build step's age in `docker history`: `N/A` for dates that builders set to make a build
/// reproducible.
pub fn history_age(created: i64, now: Timestamp) -> String {
    match Timestamp::from_second(created) {
        Ok(then) if created > HISTORY_EPOCH => ago(then, now),
        _ => "N/A".to_owned(),
    }
}

/// A point in time as Go prints it: `2024-11-01 00:00:04 +0000 UTC`.
pub fn point(time: Timestamp, zone: &TimeZone) -> String {
    let time = truncated(time).to_zoned(zone.clone());
    // Go gives a zone that has no letters its offset for a name.
    let info = zone.to_offset_info(time.timestamp());
    let name = info.abbreviation();
    let named = name.bytes().all(|b| b.is_ascii_alphabetic()) && !name.is_empty();
    let format = if named {
        "%Y-%m-%d %H:%M:%S %z %Z"
    } else {
        "%Y-%m-%d %H:%M:%S %z"
    };
    let text = time.strftime(format).to_string();
    if named {
        text
    } else {
        format!("{text} {name}")
    }
}

/// The same in RFC 3339, to the second, as `docker history --human=false` prints it:
/// `2024-11-01T00:00:04Z`.
pub fn point_rfc3339(time: Timestamp, zone: &TimeZone) -> String {
    let time = truncated(time).to_zoned(zone.clone());
    if time.offset().is_zero() {
        time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    } else {
        time.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }
}

/// How fast bytes come: `12.3MB/s`. Empty until there is something to say.
pub fn rate(bytes: u64, taken: Duration) -> String {
    per_second(bytes, taken).map_or_else(String::new, |rate| format!("{}/s", table_size(rate)))
}

/// How long the rest takes if it goes on like this: `3s`, `1m20s`, `2h05m`. Empty where nobody knows.
pub fn time_left(rest: u64, bytes: u64, taken: Duration) -> String {
    let Some(rate) = per_second(bytes, taken).filter(|&rate| rate > 0) else {
        return String::new();
    };
    let seconds = rest.div_ceil(rate);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        // Nobody waits for the end of such a one: more digits would only flicker.
        360_000.. => ">99h".to_owned(),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// Docker hands times around in whole seconds.
fn truncated(time: Timestamp) -> Timestamp {
    // Rounded down, as Go's Unix() does: before 1970 the fraction points the other way.
    let second = time.as_nanosecond().div_euclid(1_000_000_000);
    i64::try_from(second)
        .ok()
        .and_then(|s| Timestamp::from_second(s).ok())
        .unwrap_or(time)
}

fn per_second(bytes: u64, taken: Duration) -> Option<u64> {
    let millis = taken.as_millis();
    (bytes > 0 && millis > 0)
        .then(|| u64::try_from(u128::from(bytes) * 1000 / millis).unwrap_or(u64::MAX))
}

fn scaled(bytes: u64, base: u32, units: &[&str], digits: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let mut number = bytes as f64;
    let mut unit = 0;
    while number >= f64::from(base) && unit + 1 < units.len() {
        number /= f64::from(base);
        unit += 1;
    }
    format!("{}{}", general(number, digits), units[unit])
}

/// C's and Go's `%.{digits}g`: that many significant digits, no zeros at the end, and an exponent
/// when the number, once rounded, has more digits than that in front of the point.
fn general(number: f64, digits: usize) -> String {
    let scientific = format!("{number:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: usize = exponent.parse().unwrap_or(0);
    let trim = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if exponent >= digits {
        return format!("{}e+{exponent:02}", trim(mantissa));
    }
    trim(&format!("{number:.*}", digits - 1 - exponent))
}

#[cfg(test)]
mod tests;
