//! Patterns of names, as Docker's `reference` filter has them: Go's `path.Match`.
//!
//! `*` is any text without `/`, `?` one character but `/`, `[a-z]` and `[^a-z]` one of a class, and
//! `\` takes the next character as it is.

/// A pattern that does not follow the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct BadPattern;

/// One step of a pattern.
enum Piece {
    AnyText,
    AnyOne,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    Exactly(char),
}

/// A pattern, parsed once.
pub struct Glob(Vec<Piece>);

impl Glob {
    /// Reads a pattern.
    pub fn new(pattern: &str) -> Result<Self, BadPattern> {
        let mut pieces = Vec::new();
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            pieces.push(match c {
                '*' => Piece::AnyText,
                '?' => Piece::AnyOne,
                '\\' => Piece::Exactly(chars.next().ok_or(BadPattern)?),
                '[' => class(&mut chars)?,
                c => Piece::Exactly(c),
            });
        }
        Ok(Self(pieces))
    }

    /// Does the pattern fit the whole of `text`?
    ///
    /// Backtracks to the last `*` only, so the time is bounded by pattern times text.
    pub fn is_match(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut at, mut piece) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        loop {
            match (self.0.get(piece), text.get(at)) {
                (None, None) => return true,
                (Some(Piece::AnyText), _) => {
                    star = Some((piece + 1, at));
                    piece += 1;
                    continue;
                }
                (Some(one), Some(&c)) if one.takes(c) => {
                    piece += 1;
                    at += 1;
                    continue;
                }
                _ => {}
            }
            match star {
                Some((after, from)) if text.get(from).is_some_and(|&c| c != '/') => {
                    star = Some((after, from + 1));
                    piece = after;
                    at = from + 1;
                }
                _ => return false,
            }
        }
    }
}

impl Piece {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::AnyText => false,
            Self::AnyOne => c != '/',
            Self::Class { negated, ranges } => {
                ranges.iter().any(|&(low, high)| low <= c && c <= high) != *negated
            }
            Self::Exactly(this) => *this == c,
        }
    }
}

/// Reads a class behind its opening bracket.
fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Piece, BadPattern> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && chars.next_if_eq(&']').is_some() {
            return Ok(Piece::Class { negated, ranges });
        }
        let low = class_char(chars)?;
        let high = if chars.next_if_eq(&'-').is_some() {
            class_char(chars)?
        } else {
            low
        };
        ranges.push((low, high));
    }
}

fn class_char(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, BadPattern> {
    match chars.next() {
        None | Some('-' | ']') => Err(BadPattern),
        Some('\\') => chars.next().ok_or(BadPattern),
        Some(c) => Ok(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Glob::new(pattern).unwrap().is_match(text)
    }

    #[test]
    fn matches_as_go_does() {
        for (pattern, text, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a/b", false),
            ("a*b", "a/b", false),
            ("*x", "xxx", true),
            ("busy*:mu*", "busybox:musl", true),
            ("*/team/*:1.*", "127.0.0.1:5000/team/app:1.1", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for pattern in [
            "[", "[^", "[]a]", "[-]", "[x-]", "[-x]", "a[", "[a-b-c]", "a\\",
        ] {
            assert!(Glob::new(pattern).is_err(), "{pattern}");
        }
    }
}
