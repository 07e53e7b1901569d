//! The shell's patterns in `${name#pattern}`, `${name%pattern}` and `${name/pattern/text}`: `*` is any
//! text, `?` any character.

use super::{Result, mistake};

/// Bounds pattern length times text length, in characters squared: some 50 ms.
const WORK_MAX: usize = 1 << 24;

enum Piece {
    AnyText,
    AnyOne,
    Exactly(char),
}

/// A pattern.
pub(super) struct Pattern(Vec<Piece>);

impl Pattern {
    /// Reads a pattern.
    pub(super) fn new(text: &str) -> Result<Self> {
        let mut pieces = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            pieces.push(match c {
                '*' => Piece::AnyText,
                '?' => Piece::AnyOne,
                // Escaped for the braces around the pattern, not for the pattern.
                '\\' if matches!(chars.peek(), Some('}' | '/')) => continue,
                '\\' => match chars.next() {
                    Some(c @ ('*' | '?' | '\\')) => Piece::Exactly(c),
                    other => {
                        let c = other.unwrap_or('\u{fffd}');
                        return mistake(format!(
                            "invalid pattern ({text}) in substitution: invalid escape '\\{c}'"
                        ));
                    }
                },
                c => Piece::Exactly(c),
            });
        }
        Ok(Self(pieces))
    }

    /// The same from its end to its beginning, for texts that are turned round too.
    pub(super) fn reversed(mut self) -> Self {
        self.0.reverse();
        self
    }

    fn affordable(&self, text: &[char], starts: usize) -> Result<()> {
        let work = (self.0.len() + 1).saturating_mul(text.len() + 1);
        if work.saturating_mul(starts) > WORK_MAX {
            return mistake("a pattern in a substitution is too long for its text");
        }
        Ok(())
    }

    /// How many characters at the front of `text` fit: as many as can be, or as few.
    pub(super) fn prefix(&self, text: &[char], longest: bool) -> Result<Option<usize>> {
        self.affordable(text, 1)?;
        Ok(self.fit(text, longest))
    }

    fn fit(&self, text: &[char], longest: bool) -> Option<usize> {
        // Which lengths fit the pieces so far.
        let mut fits = vec![false; text.len() + 1];
        fits[0] = true;
        for piece in &self.0 {
            match piece {
                Piece::AnyText => {
                    let first = fits.iter().position(|&fit| fit)?;
                    fits[first..].fill(true);
                }
                one => {
                    for at in (1..fits.len()).rev() {
                        let takes = match one {
                            Piece::Exactly(c) => text[at - 1] == *c,
                            _ => true,
                        };
                        fits[at] = fits[at - 1] && takes;
                    }
                    fits[0] = false;
                }
            }
        }
        if longest {
            fits.iter().rposition(|&fit| fit)
        } else {
            fits.iter().position(|&fit| fit)
        }
    }

    /// Puts `new` in the place of the first part of `text` that fits, or of all of them.
    pub(super) fn replace(&self, text: &str, new: &str, all: bool) -> Result<String> {
        let chars: Vec<char> = text.chars().collect();
        self.affordable(&chars, chars.len() + 1)?;
        let (mut out, mut at, mut done) = (String::new(), 0, false);
        while at <= chars.len() {
            match self.fit(&chars[at..], true).filter(|_| !done) {
                Some(length) => {
                    out.push_str(new);
                    done = !all;
                    if length == 0 {
                        out.extend(chars.get(at));
                    }
                    at += length.max(1);
                }
                None => {
                    out.extend(chars.get(at));
                    at += 1;
                }
            }
        }
        Ok(out)
    }
}
