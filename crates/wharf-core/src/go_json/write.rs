//! Writes JSON as Go does: what compares Docker's output byte by byte must find the same here.
//!
//! Go escapes U+2028 and U+2029 always, and `<`, `>` and `&` unless it is told not to.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

/// How Docker indents.
const INDENT: &[u8] = b"    ";

/// Are `<`, `>` and `&` escaped?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Html {
    /// Yes: what Go does by itself.
    Escaped,
    /// No: what the `json` function of templates does.
    Plain,
}

/// In one line.
pub fn compact(value: &impl Serialize, html: Html) -> String {
    write(
        value,
        GoFormatter {
            inner: CompactFormatter,
            html,
        },
    )
}

/// On many lines.
pub fn indented(value: &impl Serialize, html: Html) -> String {
    write(
        value,
        GoFormatter {
            inner: PrettyFormatter::with_indent(INDENT),
            html,
        },
    )
}

fn write(value: &impl Serialize, formatter: impl Formatter) -> String {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, formatter);
    // The values that are printed have texts for keys, and a vector takes every byte.
    let written = value.serialize(&mut serializer);
    debug_assert!(written.is_ok(), "{written:?}");
    String::from_utf8(bytes).unwrap_or_default()
}

/// Another formatter's layout, with Go's escapes.
struct GoFormatter<F> {
    inner: F,
    html: Html,
}

impl<F> GoFormatter<F> {
    fn escape(&self, c: char) -> Option<&'static str> {
        match (c, self.html) {
            ('\u{2028}', _) => Some("\\u2028"),
            ('\u{2029}', _) => Some("\\u2029"),
            ('<', Html::Escaped) => Some("\\u003c"),
            ('>', Html::Escaped) => Some("\\u003e"),
            ('&', Html::Escaped) => Some("\\u0026"),
            _ => None,
        }
    }
}

/// Hands methods on to the layout.
macro_rules! hand_on {
    ($($name:ident($($arg:ident: $kind:ty),*)),* $(,)?) => {
        $(fn $name<W: ?Sized + io::Write>(&mut self, writer: &mut W, $($arg: $kind),*)
            -> io::Result<()> {
            self.inner.$name(writer, $($arg),*)
        })*
    };
}

impl<F: Formatter> Formatter for GoFormatter<F> {
    hand_on! {
        begin_array(), end_array(), begin_array_value(first: bool), end_array_value(),
        begin_object(), end_object(), begin_object_key(first: bool), end_object_key(),
        begin_object_value(), end_object_value(),
    }

    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        let mut from = 0;
        for (at, c) in fragment.char_indices() {
            if let Some(escaped) = self.escape(c) {
                writer.write_all(&fragment.as_bytes()[from..at])?;
                writer.write_all(escaped.as_bytes())?;
                from = at + c.len_utf8();
            }
        }
        writer.write_all(&fragment.as_bytes()[from..])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn escapes_as_go_does() {
        let text = "<a> & \"b\" \u{2028}\n\u{1} é";
        assert_eq!(
            compact(&text, Html::Escaped),
            r#""\u003ca\u003e \u0026 \"b\" \u2028\n\u0001 é""#
        );
        assert_eq!(
            compact(&text, Html::Plain),
            "\"<a> & \\\"b\\\" \\u2028\\n\\u0001 é\""
        );
    }

    #[test]
    fn indents_as_docker_does() {
        let value = BTreeMap::from([("a", vec![1, 2]), ("b", vec![])]);
        assert_eq!(
            indented(&value, Html::Plain),
            "{\n    \"a\": [\n        1,\n        2\n    ],\n    \"b\": []\n}"
        );
    }
}
