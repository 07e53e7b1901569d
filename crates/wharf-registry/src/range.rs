//! `Content-Range`: which bytes came.

use std::ops::Range;

/// `bytes 0-15/16`: which bytes, and of how many if that is known (RFC 9110, section 14.4).
pub(crate) fn content_range(text: &str) -> Option<(Range<u64>, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !digits(first) || !digits(last) {
        return None;
    }
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let total = if total == "*" {
        None
    } else {
        Some(total.parse::<u64>().ok()?)
    };
    let end = last.checked_add(1)?;
    (first < end && total.is_none_or(|total| end <= total)).then_some((first..end, total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_which_bytes_came() {
        assert_eq!(content_range("bytes 0-15/16"), Some((0..16, Some(16))));
        assert_eq!(content_range("bytes 5-5/*"), Some((5..6, None)));
        for bad in [
            "",
            "bytes",
            "bytes */16",
            "bytes 5-4/16",
            "bytes 0-16/16",
            "bytes -1-2/3",
            "bytes 0-18446744073709551615/*",
            "bytes 0-+1/3",
            "items 0-1/2",
            "bytes 0-1",
        ] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn reads_back_any_range(first in 0..u64::MAX / 2, length in 1..1_000_000u64) {
            let (last, total) = (first + length - 1, first + length);
            let text = format!("bytes {first}-{last}/{total}");
            prop_assert_eq!(content_range(&text), Some((first..total, Some(total))));
        }

        #[test]
        fn never_panics(text in "\\PC{0,60}") {
            content_range(&text);
        }
    }
}
