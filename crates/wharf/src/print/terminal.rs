//! Text from outside on a terminal.
//!
//! Configs, labels, names in archives, answers of registries and file contents may hold escape
//! sequences, which rename the terminal, move its cursor or answer as if the user typed, and
//! characters that turn the direction of text, so that it reads otherwise than it is. Standard
//! output and standard error are written only through this module: on a terminal such characters
//! become `U+FFFD`, and a pipe or a file gets the bytes as they are.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

/// What stands in place of a character that a terminal does not get.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// The longest character, in bytes.
const CHARACTER_MAX: usize = 4;

/// The sequences that wharf itself writes for colours begin so and end with `m`.
const STYLE: &str = "\x1b[";

/// Does a character act on a terminal, or hide what a text says?
///
/// Joiners (U+200C, U+200D) stay: scripts and emoji need them.
fn is_unsafe(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'
        | '\u{200e}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}' => true,
        c => c.is_control(),
    }
}

/// Replaces what a terminal must not get.
pub(crate) fn safe(text: &str) -> Cow<'_, str> {
    if text.contains(is_unsafe) {
        Cow::Owned(text.replace(is_unsafe, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The same, but for the colours and weights that wharf writes itself. Text from outside in it has
/// passed [`safe`] before.
fn safe_styled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(STYLE) {
        out.push_str(&safe(before));
        let numbers = behind
            .find(|c: char| !c.is_ascii_digit() && c != ';')
            .unwrap_or(behind.len());
        match behind[numbers..].strip_prefix('m') {
            Some(after) => {
                out.push_str(STYLE);
                out.push_str(&behind[..numbers]);
                out.push('m');
                rest = after;
            }
            None => {
                out.push(REPLACEMENT);
                out.push('[');
                rest = behind;
            }
        }
    }
    out.push_str(&safe(rest));
    out
}

/// Standard output or standard error: filtered if it is a terminal.
pub(crate) struct Stream<W> {
    inner: W,
    terminal: bool,
    styled: bool,
    /// The beginning of a character that was cut off at the end of what was written.
    begun: Vec<u8>,
}

/// Standard output.
pub(crate) fn stdout() -> Stream<io::StdoutLock<'static>> {
    Stream::new(io::stdout().lock(), false)
}

/// Standard output for text with colours of wharf's own.
pub(crate) fn stdout_styled() -> Stream<io::StdoutLock<'static>> {
    Stream::new(io::stdout().lock(), true)
}

/// Standard error.
pub(crate) fn stderr() -> Stream<io::StderrLock<'static>> {
    Stream::new(io::stderr().lock(), false)
}

/// Standard error for text with colours of wharf's own.
pub(crate) fn stderr_styled() -> Stream<io::StderrLock<'static>> {
    Stream::new(io::stderr().lock(), true)
}

impl<W: Write + IsTerminal> Stream<W> {
    fn new(inner: W, styled: bool) -> Self {
        let terminal = inner.is_terminal();
        Self::with(inner, terminal, styled)
    }
}

impl<W: Write> Stream<W> {
    const fn with(inner: W, terminal: bool, styled: bool) -> Self {
        Self {
            inner,
            terminal,
            styled,
            begun: Vec::new(),
        }
    }

    fn filtered(&self, text: &str) -> String {
        if self.styled {
            safe_styled(text)
        } else {
            safe(text).into_owned()
        }
    }
}

impl<W: Write> Write for Stream<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.terminal {
            return self.inner.write(bytes);
        }
        let mut all = std::mem::take(&mut self.begun);
        all.extend(bytes);
        let mut text = String::with_capacity(all.len());
        let mut chunks = all.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(&self.filtered(chunk.valid()));
            let invalid = chunk.invalid();
            let last = chunks.peek().is_none();
            let begun = str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if last && begun && invalid.len() < CHARACTER_MAX {
                self.begun = invalid.to_vec();
            } else if !invalid.is_empty() {
                text.push(REPLACEMENT);
            }
        }
        self.inner.write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str =
        "a\x1b]0;x\x07b\u{9b}2Jc\u{202e}d\re\x08f\x7f\u{2066}g\u{2028}h\u{e0041}\n\té👩‍🚀";

    fn written(terminal: bool, styled: bool, pieces: &[&[u8]]) -> Vec<u8> {
        let mut stream = Stream::with(Vec::new(), terminal, styled);
        for piece in pieces {
            stream.write_all(piece).unwrap();
        }
        std::mem::take(&mut stream.inner)
    }

    #[test]
    fn a_terminal_gets_no_control_character_and_a_pipe_gets_all() {
        let out = written(true, false, &[HOSTILE.as_bytes()]);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "a�]0;x�b�2Jc�d�e�f��g�h�\n\té👩‍🚀");
        assert_eq!(
            written(false, false, &[HOSTILE.as_bytes()]),
            HOSTILE.as_bytes()
        );
    }

    #[test]
    fn a_character_that_comes_in_pieces_is_seen_whole() {
        for at in 0..HOSTILE.len() {
            let (before, behind) = HOSTILE.as_bytes().split_at(at);
            let out = written(true, false, &[before, behind]);
            assert_eq!(out, written(true, false, &[HOSTILE.as_bytes()]), "{at}");
        }
        // The byte 0x9B alone is a control sequence in terminals of eight bits.
        assert_eq!(
            written(true, false, &[b"a\x9b", b"b\xff"]),
            "a�b�".as_bytes()
        );
    }

    #[test]
    fn of_styled_text_only_colours_pass() {
        let styled = "\x1b[1;31mError:\x1b[0m x\x1b[2J\x1b]0;y\x07\x1b[3\u{9b}1m\x1b[";
        let text = String::from_utf8(written(true, true, &[styled.as_bytes()])).unwrap();
        assert_eq!(text, "\x1b[1;31mError:\x1b[0m x�[2J�]0;y��[3�1m�[");
    }

    proptest::proptest! {
        #[test]
        fn nothing_unsafe_reaches_a_terminal(bytes: Vec<u8>, at: proptest::sample::Index) {
            let (before, behind) = bytes.split_at(at.index(bytes.len() + 1));
            let out = written(true, false, &[before, behind]);
            assert!(!String::from_utf8(out).unwrap().contains(is_unsafe));
        }
    }
}
