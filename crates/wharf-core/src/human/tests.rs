use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn shows_sizes_as_docker_does() {
    // bytes, in a table, elsewhere, binary
    for (bytes, table, usual, binary) in [
        (0, "0B", "0B", "0B"),
        (1, "1B", "1B", "1B"),
        (999, "999B", "999B", "999B"),
        (1000, "1kB", "1kB", "1000B"),
        (1023, "1.02kB", "1.023kB", "1023B"),
        (1024, "1.02kB", "1.024kB", "1KiB"),
        (1029, "1.03kB", "1.029kB", "1.005KiB"),
        // Exactly between two: to the even one.
        (1_125, "1.12kB", "1.125kB", "1.099KiB"),
        (1_375, "1.38kB", "1.375kB", "1.343KiB"),
        (10_000, "10kB", "10kB", "9.766KiB"),
        (100_000, "100kB", "100kB", "97.66KiB"),
        (999_499, "999kB", "999.5kB", "976.1KiB"),
        // Rounding reaches a digit more than there is room for.
        (999_500, "1e+03kB", "999.5kB", "976.1KiB"),
        (999_999, "1e+03kB", "1000kB", "976.6KiB"),
        (1_000_000, "1MB", "1MB", "976.6KiB"),
        (1_982_464, "1.98MB", "1.982MB", "1.891MiB"),
        (3_006_469, "3.01MB", "3.006MB", "2.867MiB"),
        (42_000_000, "42MB", "42MB", "40.05MiB"),
        (1_130_000_000, "1.13GB", "1.13GB", "1.052GiB"),
        (5_497_558_138_880, "5.5TB", "5.498TB", "5TiB"),
        (u64::MAX, "18.4EB", "18.45EB", "16EiB"),
    ] {
        assert_eq!(table_size(bytes), table, "{bytes}");
        assert_eq!(size(bytes), usual, "{bytes}");
        assert_eq!(binary_size(bytes), binary, "{bytes}");
    }
}

#[test]
fn shows_durations_as_docker_does() {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    for (seconds, expected) in [
        (-DAY, "Less than a second"),
        (0, "Less than a second"),
        (1, "1 second"),
        (2, "2 seconds"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (HOUR - 1, "59 minutes"),
        (HOUR, "About an hour"),
        (89 * MINUTE, "About an hour"),
        (90 * MINUTE, "2 hours"),
        (2 * HOUR, "2 hours"),
        (2 * DAY - 31 * MINUTE, "47 hours"),
        (2 * DAY - 30 * MINUTE, "2 days"),
        (14 * DAY - 31 * MINUTE, "13 days"),
        (14 * DAY - 30 * MINUTE, "2 weeks"),
        (60 * DAY - 31 * MINUTE, "8 weeks"),
        (60 * DAY - 30 * MINUTE, "2 months"),
        (365 * DAY, "12 months"),
        (730 * DAY - 31 * MINUTE, "24 months"),
        // Above two years the hours are cut off again, not rounded.
        (730 * DAY - 30 * MINUTE, "1 years"),
        (730 * DAY, "2 years"),
        (3 * 365 * DAY, "3 years"),
    ] {
        assert_eq!(
            duration(SignedDuration::from_secs(seconds)),
            expected,
            "{seconds}"
        );
    }
    assert_eq!(
        duration(SignedDuration::from_millis(999)),
        "Less than a second"
    );
    assert_eq!(duration(SignedDuration::from_millis(1999)), "1 second");
    assert!(duration(SignedDuration::MAX).ends_with(" years"));
    assert_eq!(duration(SignedDuration::MIN), "Less than a second");
}

#[test]
fn shows_ages() {
    let now = at("2026-11-02T00:00:04Z");
    assert_eq!(ago(at("2024-11-01T00:00:04Z"), now), "2 years ago");
    assert_eq!(
        ago(at("2030-01-01T00:00:00Z"), now),
        "Less than a second ago"
    );
    assert_eq!(image_age(0, now), "56 years ago");
    assert_eq!(image_age(-62_135_596_800, now), "");
    assert_eq!(image_age(i64::MIN, now), "");
    assert_eq!(history_age(946_684_800, now), "N/A");
    assert_eq!(history_age(0, now), "N/A");
    assert_eq!(history_age(946_684_801, now), "26 years ago");
}

#[test]
fn prints_points_in_time_as_go_does() {
    let time = at("2024-11-01T00:00:04.999Z");
    let zone = |name| TimeZone::posix(name).unwrap();
    assert_eq!(point(time, &TimeZone::UTC), "2024-11-01 00:00:04 +0000 UTC");
    assert_eq!(
        point(time, &zone("CET-1CEST,M3.5.0,M10.5.0/3")),
        "2024-11-01 01:00:04 +0100 CET"
    );
    assert_eq!(point(time, &zone("EST5")), "2024-10-31 19:00:04 -0500 EST");
    assert_eq!(
        point(time, &zone("<-03>3")),
        "2024-10-31 21:00:04 -0300 -03"
    );
    assert_eq!(
        point(at("1969-12-31T23:59:59.5Z"), &TimeZone::UTC),
        "1969-12-31 23:59:59 +0000 UTC"
    );
    assert_eq!(
        point(GO_ZERO, &TimeZone::UTC),
        "0001-01-01 00:00:00 +0000 UTC"
    );
    assert_eq!(point_rfc3339(time, &TimeZone::UTC), "2024-11-01T00:00:04Z");
    assert_eq!(
        point_rfc3339(time, &zone("CET-1")),
        "2024-11-01T01:00:04+01:00"
    );
}

#[test]
fn shows_how_fast_and_how_long_still() {
    let seconds = Duration::from_secs;
    assert_eq!(rate(24_600_000, seconds(2)), "12.3MB/s");
    assert_eq!(rate(0, seconds(2)), "");
    assert_eq!(rate(1000, Duration::ZERO), "");
    for (rest, expected) in [
        (0, "0s"),
        (1, "1s"),
        (5_900, "59s"),
        (6_000, "1m00s"),
        (8_000, "1m20s"),
        (360_000, "1h00m"),
        (750_000, "2h05m"),
        (u64::MAX, ">99h"),
    ] {
        assert_eq!(time_left(rest, 100, seconds(1)), expected, "{rest}");
    }
    assert_eq!(time_left(10, 0, seconds(1)), "");
    // Less than one byte in a second.
    assert_eq!(time_left(10, 1, seconds(10)), "");
    assert_eq!(rate(u64::MAX, Duration::from_millis(1)), "18.4EB/s");
}
