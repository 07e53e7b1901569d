//! Variables and quotes in an argument, as Docker reads them (buildkit's `shell.Lex`): `$name`, `${name}`,
//! the shell's `:-`, `:+`, `:?`, `#`, `%` and `/` behind a name, and both kinds of quotes.

use super::patterns::Pattern;
use super::{Mistake, Result, mistake};

/// Bounds substitutions within substitutions, `${a:-${b:-…}}`, for the stack.
const DEPTH_MAX: usize = 64;

/// What a variable's name stands for.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces the variables in `source` and takes its quotes away.
pub(super) fn word(source: &str, escape: char, lookup: Lookup<'_>) -> Result<String> {
    process(source, escape, lookup).map(|(text, _)| text)
}

/// The same, split at the spaces that were not quoted, those of variables' values among them.
pub(super) fn words(source: &str, escape: char, lookup: Lookup<'_>) -> Result<Vec<String>> {
    process(source, escape, lookup).map(|(_, words)| words)
}

fn process(source: &str, escape: char, lookup: Lookup<'_>) -> Result<(String, Vec<String>)> {
    let mut reader = Reader {
        chars: source.chars().collect(),
        at: 0,
        escape,
        lookup,
        depth: 0,
    };
    reader
        .until(None, false)
        .map_err(|Mistake(why)| Mistake(format!("failed to process {source:?}: {why}")))
}

struct Reader<'a> {
    chars: Vec<char>,
    at: usize,
    escape: char,
    lookup: Lookup<'a>,
    depth: usize,
}

/// The words so far.
#[derive(Default)]
struct Words {
    done: Vec<String>,
    current: String,
}

impl Words {
    fn push(&mut self, c: char) {
        if c.is_whitespace() {
            self.end();
        } else {
            self.current.push(c);
        }
    }

    fn end(&mut self) {
        if !self.current.is_empty() {
            self.done.push(std::mem::take(&mut self.current));
        }
    }
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    /// Reads to `stop`, or to the end: as one text, and as words.
    fn until(&mut self, stop: Option<char>, raw_escapes: bool) -> Result<(String, Vec<String>)> {
        let (mut text, mut words) = (String::new(), Words::default());
        while let Some(c) = self.next() {
            match c {
                c if Some(c) == stop => {
                    words.end();
                    return Ok((text, words.done));
                }
                '\'' => {
                    let quoted = self.single_quoted()?;
                    text.push_str(&quoted);
                    words.current.push_str(&quoted);
                }
                '"' => {
                    let quoted = self.double_quoted(raw_escapes)?;
                    text.push_str(&quoted);
                    words.current.push_str(&quoted);
                }
                '$' => {
                    let value = self.dollar()?;
                    value.chars().for_each(|c| words.push(c));
                    text.push_str(&value);
                }
                c if c == self.escape => {
                    if raw_escapes {
                        text.push(c);
                        words.current.push(c);
                    }
                    let Some(c) = self.next() else { break };
                    text.push(c);
                    words.current.push(c);
                }
                c => {
                    text.push(c);
                    words.push(c);
                }
            }
        }
        if let Some(stop) = stop {
            return mistake(format!(
                "unexpected end of statement while looking for matching {stop}"
            ));
        }
        words.end();
        Ok((text, words.done))
    }

    fn single_quoted(&mut self) -> Result<String> {
        let rest = &self.chars[self.at..];
        let Some(length) = rest.iter().position(|&c| c == '\'') else {
            return mistake("unexpected end of statement while looking for matching single-quote");
        };
        let text = rest[..length].iter().collect();
        self.at += length + 1;
        Ok(text)
    }

    fn double_quoted(&mut self, raw_escapes: bool) -> Result<String> {
        let mut text = String::new();
        while let Some(c) = self.next() {
            match c {
                '"' => return Ok(text),
                '$' => text.push_str(&self.dollar()?),
                c if c == self.escape => {
                    if raw_escapes {
                        text.push(c);
                    }
                    match self.peek() {
                        None => {}
                        Some(next) if matches!(next, '"' | '$') || next == self.escape => {
                            text.push(next);
                            self.at += 1;
                        }
                        Some(_) => text.push(c),
                    }
                }
                c => text.push(c),
            }
        }
        mistake("unexpected end of statement while looking for matching double-quote")
    }

    /// Behind a `$`.
    fn dollar(&mut self) -> Result<String> {
        if self.peek() != Some('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".into());
            }
            return Ok((self.lookup)(&name).unwrap_or_default());
        }
        self.at += 1;
        match self.peek() {
            None => return mistake("syntax error: missing '}'"),
            Some('{' | '}' | ':') => return mistake("syntax error: bad substitution"),
            Some(_) => {}
        }
        if self.depth == DEPTH_MAX {
            return mistake("substitutions are nested too deeply");
        }
        self.depth += 1;
        let value = self.braced();
        self.depth -= 1;
        value
    }

    /// Behind a `${`.
    fn braced(&mut self) -> Result<String> {
        let name = self.name();
        let value = (self.lookup)(&name);
        match self.next() {
            Some('}') => Ok(value.unwrap_or_default()),
            Some(':') => match self.next() {
                Some(c @ ('-' | '+' | '?')) => {
                    let word = self.up_to('}', false, "syntax error: missing '}'")?;
                    by_default(&name, value, c, word, true)
                }
                other => unsupported(&format!(":{}", other.unwrap_or('\u{fffd}'))),
            },
            Some(c @ ('-' | '+' | '?')) => {
                let word = self.up_to('}', false, "syntax error: missing '}'")?;
                by_default(&name, value, c, word, false)
            }
            Some(c @ ('#' | '%')) => {
                let word = self.up_to('}', true, "syntax error: missing '}'")?;
                trimmed(&value.unwrap_or_default(), c, &word)
            }
            Some('/') => {
                let all = self.peek() == Some('/');
                self.at += usize::from(all);
                let pattern = self.up_to('/', true, "syntax error: missing '/' in ${}")?;
                let new = self.up_to('}', true, "syntax error: missing '}'")?;
                Pattern::new(&pattern)?.replace(&value.unwrap_or_default(), &new, all)
            }
            other => unsupported(&other.unwrap_or('\u{fffd}').to_string()),
        }
    }

    fn up_to(&mut self, stop: char, raw_escapes: bool, missing: &str) -> Result<String> {
        match self.until(Some(stop), raw_escapes) {
            Ok((text, _)) => Ok(text),
            Err(_) if self.peek().is_none() => mistake(missing),
            Err(error) => Err(error),
        }
    }

    /// A variable's name: letters, digits and `_`; or digits alone; or one of the shell's signs.
    fn name(&mut self) -> String {
        let from = self.at;
        match self.peek() {
            Some(c) if c.is_numeric() => {
                while self.peek().is_some_and(char::is_numeric) {
                    self.at += 1;
                }
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => self.at += 1,
            _ => {
                while self.peek().is_some_and(|c| c.is_alphanumeric() || c == '_') {
                    self.at += 1;
                }
            }
        }
        self.chars[from..self.at].iter().collect()
    }
}

fn unsupported(modifier: &str) -> Result<String> {
    mistake(format!("unsupported modifier ({modifier}) in substitution"))
}

/// `${name-word}`, `${name+word}`, `${name?word}`; with a colon, an empty value counts as none.
fn by_default(
    name: &str,
    value: Option<String>,
    modifier: char,
    word: String,
    colon: bool,
) -> Result<String> {
    let unset = value.is_none();
    let value = value.filter(|value| !(colon && value.is_empty()));
    match (modifier, value) {
        ('+', None) => Ok(String::new()),
        ('-', None) | ('+', Some(_)) => Ok(word),
        (_, Some(value)) => Ok(value),
        (_, None) => {
            let why = match (word.is_empty(), unset) {
                (false, _) => word.as_str(),
                (true, true) => "is not allowed to be unset",
                (true, false) => "is not allowed to be empty",
            };
            mistake(format!("{name}: {why}"))
        }
    }
}

/// `${name#pattern}` cuts the front, `${name%pattern}` the end; doubled, as much as fits.
fn trimmed(value: &str, modifier: char, word: &str) -> Result<String> {
    let (word, longest) = match word.strip_prefix(modifier) {
        Some(rest) => (rest, true),
        None => (word, false),
    };
    let pattern = Pattern::new(word)?;
    if modifier == '#' {
        let chars: Vec<char> = value.chars().collect();
        let cut = pattern.prefix(&chars, longest)?.unwrap_or(0);
        return Ok(chars[cut..].iter().collect());
    }
    let chars: Vec<char> = value.chars().rev().collect();
    let cut = pattern.reversed().prefix(&chars, longest)?.unwrap_or(0);
    Ok(chars[cut..].iter().rev().collect())
}
