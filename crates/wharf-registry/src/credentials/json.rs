//! JSON objects as Go's programs read them: a key counts in any case, the last one of several counts, and
//! `null` is the same as nothing.

use serde_json::{Map, Value};

use super::Trouble;

/// How UTF-8 and UTF-16 texts may begin.
const UTF8_MARK: &[u8] = &[0xef, 0xbb, 0xbf];
const UTF16_MARKS: [&[u8]; 2] = [&[0xff, 0xfe], &[0xfe, 0xff]];

/// The text without a byte order mark, which editors put in front of it.
pub(crate) fn unmarked(text: &[u8]) -> Result<&[u8], &'static str> {
    // UTF-16 without its mark has a zero in each pair of its first bytes.
    let zeros = text.iter().take(4).any(|&byte| byte == 0);
    if zeros || UTF16_MARKS.iter().any(|mark| text.starts_with(mark)) {
        return Err("it is UTF-16; save it as UTF-8");
    }
    Ok(text.strip_prefix(UTF8_MARK).unwrap_or(text))
}

/// Reads a whole file; `None` if there is nothing in it.
pub(crate) fn object(text: &[u8]) -> Result<Option<Map<String, Value>>, Trouble> {
    let text = unmarked(text).map_err(Trouble::new)?;
    if text.trim_ascii().is_empty() {
        return Ok(None);
    }
    // The library's message may quote a value, and a value may be a password: only where it is.
    match serde_json::from_slice(text) {
        Ok(Value::Object(fields)) => Ok(Some(fields)),
        Ok(Value::Null) => Ok(None),
        Ok(_) => Err(Trouble::new("it is not an object")),
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            Err(Trouble(format!(
                "it is not valid (line {line}, column {column})"
            )))
        }
    }
}

/// Takes the value of a key; `None` if it is not there, or is `null`.
pub(crate) fn take(fields: &mut Map<String, Value>, key: &str) -> Option<Value> {
    let exact = fields.remove(key);
    let other = || {
        let name = fields.keys().find(|name| name.eq_ignore_ascii_case(key));
        name.cloned().and_then(|name| fields.remove(&name))
    };
    exact.or_else(other).filter(|value| !value.is_null())
}

/// The same, where it has to be a text. An empty one counts as nothing.
pub(crate) fn take_text(
    fields: &mut Map<String, Value>,
    key: &str,
) -> Result<Option<String>, Trouble> {
    match take(fields, key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(_) => Err(Trouble(format!("{key} is not a text"))),
    }
}

/// The same, where it has to be an object.
pub(super) fn take_object(
    fields: &mut Map<String, Value>,
    key: &str,
) -> Result<Map<String, Value>, Trouble> {
    match take(fields, key) {
        None => Ok(Map::new()),
        Some(Value::Object(fields)) => Ok(fields),
        Some(_) => Err(Trouble(format!("{key} is not an object"))),
    }
}
