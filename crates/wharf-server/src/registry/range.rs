//! Byte ranges: of blobs (RFC 9110, section 14) and of uploads (distribution-spec, "Pushing a blob in
//! chunks").

use std::ops::Range;

/// What a `Range` header asks of a blob.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of it: no header, or one that RFC 9110 lets a server ignore.
    Whole,
    /// A part.
    Part(Range<u64>),
    /// A part that lies outside of it.
    Outside,
}

/// Reads a `Range` header for a blob of `size` bytes. Several ranges in one header are answered with
/// the whole blob.
pub(super) fn parse(header: Option<&str>, size: u64) -> Asked {
    let Some(spec) = header.and_then(|h| h.trim().strip_prefix("bytes=")) else {
        return Asked::Whole;
    };
    let Some((first, last)) = spec.split_once('-') else {
        return Asked::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    let range = match (number(first), number(last)) {
        (Some(first), None) if last.is_empty() => first..size,
        (Some(first), Some(last)) if first <= last => first..size.min(last.saturating_add(1)),
        (None, Some(length)) if first.is_empty() => size.saturating_sub(length)..size,
        _ => return Asked::Whole,
    };
    if range.is_empty() {
        Asked::Outside
    } else {
        Asked::Part(range)
    }
}

/// Reads an upload chunk's `Content-Range`: `0-1023`, both ends included. Some clients write it as for
/// a download, `bytes 0-1023/2048`.
pub(super) fn parse_chunk(header: &str) -> Option<Range<u64>> {
    let text = header.trim();
    let text = text.strip_prefix("bytes ").unwrap_or(text);
    let text = text.split('/').next()?;
    let (first, last) = text.split_once('-')?;
    let (first, end) = (number(first)?, number(last)?.checked_add(1)?);
    (first < end).then_some(first..end)
}

/// Digits only: `+1` is a number for Rust and none for HTTP.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_clients_ask_for() {
        for (header, expected) in [
            ("bytes=0-9", Asked::Part(0..10)),
            ("bytes=10-", Asked::Part(10..100)),
            ("bytes=-10", Asked::Part(90..100)),
            ("bytes=-1000", Asked::Part(0..100)),
            ("bytes=90-18446744073709551615", Asked::Part(90..100)),
            ("bytes=100-", Asked::Outside),
            ("bytes=-0", Asked::Outside),
            ("bytes=9-3", Asked::Whole),
            ("bytes=0-1,5-6", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("bytes=", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("lines=0-1", Asked::Whole),
        ] {
            assert_eq!(parse(Some(header), 100), expected, "{header}");
        }
        assert_eq!(parse(None, 100), Asked::Whole);
        assert_eq!(parse(Some("bytes=0-"), 0), Asked::Outside);
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_blob(header in "bytes=[0-9]{0,21}-[0-9]{0,21}", size: u64) {
            if let Asked::Part(range) = parse(Some(&header), size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }

        #[test]
        fn never_panics(header in "\\PC{0,40}", size: u64) {
            parse(Some(&header), size);
            if let Some(range) = parse_chunk(&header) {
                prop_assert!(range.start < range.end);
            }
        }
    }

    #[test]
    fn reads_chunks_of_an_upload() {
        assert_eq!(parse_chunk("0-9"), Some(0..10));
        assert_eq!(parse_chunk("bytes 10-19/*"), Some(10..20));
        for text in ["", "-", "0", "5-3", "a-b", "0-18446744073709551615", "-1-3"] {
            assert_eq!(parse_chunk(text), None, "{text}");
        }
    }
}
