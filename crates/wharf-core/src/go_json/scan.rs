//! Bounds a document before it is read, and makes of its bytes the text that Go sees.
//!
//! Go takes bytes that are not UTF-8 and halves of surrogate pairs, and reads U+FFFD in their place.

use std::borrow::Cow;

use super::ReadError;

/// Bounds the levels of arrays and objects in each other. Documents of images have up to 8; the
/// limit leaves room below the 128 levels that `serde_json` writes and reads.
pub const DEPTH_MAX: usize = 100;

/// Bounds the values in a document: each label, layer and list element is one. The largest real
/// documents have some 10,000; a value takes up to about 100 bytes of memory besides its text.
pub const VALUES_MAX: usize = 50_000;

/// How many bytes `\uXXXX` has.
const ESCAPE_LEN: usize = 6;
/// What Go reads in the place of half a surrogate pair.
const REPLACEMENT: &str = "\\ufffd";

/// Returns the document's text. Fails if it has more than [`DEPTH_MAX`] levels or `values_max` values.
pub(super) fn text(raw: &[u8], values_max: usize) -> Result<Cow<'_, str>, ReadError> {
    let text = match std::str::from_utf8(raw) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(with_replacements(raw)),
    };
    let halves = scan(text.as_bytes(), values_max)?;
    if halves.is_empty() {
        return Ok(text);
    }
    let mut whole = String::with_capacity(text.len());
    let mut from = 0;
    for at in halves {
        whole.push_str(&text[from..at]);
        whole.push_str(REPLACEMENT);
        from = at + ESCAPE_LEN;
    }
    whole.push_str(&text[from..]);
    Ok(Cow::Owned(whole))
}

/// Each wrong byte becomes one U+FFFD, as in Go.
fn with_replacements(raw: &[u8]) -> String {
    let mut text = String::with_capacity(raw.len());
    for chunk in raw.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// Counts levels and values. Returns where halves of surrogate pairs are.
fn scan(text: &[u8], values_max: usize) -> Result<Vec<usize>, ReadError> {
    let (mut depth, mut values, mut in_string) = (0_usize, 1_usize, false);
    let mut halves = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let mut length = 1;
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                length = match escaped(&text[at..]) {
                    Escaped::Pair => 2 * ESCAPE_LEN,
                    Escaped::Half => {
                        halves.push(at);
                        ESCAPE_LEN
                    }
                    Escaped::Other => 2,
                };
            }
            b'[' | b'{' if !in_string => {
                depth += 1;
                values += 1;
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            b',' if !in_string => values += 1,
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(ReadError::Depth);
        }
        if values > values_max {
            return Err(ReadError::Values(values_max));
        }
        at += length;
    }
    Ok(halves)
}

/// What an escape in a string stands for.
enum Escaped {
    /// Two `\uXXXX` for one character.
    Pair,
    /// One of those without the other.
    Half,
    /// Anything else.
    Other,
}

fn escaped(text: &[u8]) -> Escaped {
    match (unit(text), text.get(ESCAPE_LEN..).and_then(unit)) {
        (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => Escaped::Pair,
        (Some(0xd800..0xe000), _) => Escaped::Half,
        _ => Escaped::Other,
    }
}

/// The UTF-16 unit of the `\uXXXX` at the beginning of `text`.
fn unit(text: &[u8]) -> Option<u32> {
    let digits = text.get(..ESCAPE_LEN)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| {
        Some(unit * 16 + char::from(*digit).to_digit(16)?)
    })
}
