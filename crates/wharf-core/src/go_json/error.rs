//! Why a JSON document could not be read: which field, and what is wrong with it.

use std::fmt;

use super::scan::DEPTH_MAX;

/// Bounds what an error repeats of a document, in characters: values may have megabytes.
const QUOTE_MAX: usize = 200;

/// Why a JSON document could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not JSON.
    #[error("not valid JSON: {0}")]
    Syntax(serde_json::Error),
    /// Arrays and objects are nested too deeply.
    #[error("more than {DEPTH_MAX} levels of arrays and objects")]
    Depth,
    /// It has too many values.
    #[error("more than {0} values")]
    Values(usize),
    /// A field has the wrong type or is missing.
    #[error("{}{reason}", prefix(path))]
    Field {
        /// Where the field is: `layers[3].size`; empty for the document itself.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// One step from a value to a value inside of it.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    Key(&'a str),
    Element(usize),
}

impl ReadError {
    /// Adds the step that led to the value with this error.
    pub(super) fn below(self, step: Step<'_>) -> Self {
        match self {
            Self::Field { path, reason } => {
                let separator = if path.is_empty() || path.starts_with('[') {
                    ""
                } else {
                    "."
                };
                let path = match step {
                    Step::Key(key) => format!("{}{separator}{path}", shortened(key)),
                    Step::Element(number) => format!("[{number}]{separator}{path}"),
                };
                Self::Field { path, reason }
            }
            other => other,
        }
    }

    /// Takes over an error about a single value. Its line and column would count from the value's
    /// beginning and mislead.
    pub(super) fn of_value(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        serde::de::Error::custom(text.strip_suffix(&place).unwrap_or(&text))
    }
}

impl serde::de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Field {
            path: String::new(),
            reason: in_plain_words(&shortened(&message.to_string())),
        }
    }
}

/// Says what a value must be without the names of Rust's types.
fn in_plain_words(message: &str) -> String {
    let mismatch = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
        .and_then(|rest| rest.rsplit_once(", expected "));
    let Some((found, expected)) = mismatch else {
        return message.to_owned();
    };
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    format!("it must be {expected}, not {found}")
}

fn prefix(path: &str) -> String {
    if path.is_empty() {
        String::new()
    } else {
        format!("{path}: ")
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(QUOTE_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
