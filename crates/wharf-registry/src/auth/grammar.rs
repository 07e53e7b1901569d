//! The grammar of `WWW-Authenticate` (RFC 9110, section 11.6.1), and what servers send beside it.
//!
//! ```text
//! header    = challenge *( "," challenge )
//! challenge = scheme [ 1*blank ( token68 / parameter *( "," parameter ) ) ]
//! parameter = token "=" ( token / quoted-string )
//! ```
//!
//! Beyond the grammar, this reads: any number of blanks and tabs anywhere, parameters with blanks or
//! semicolons between them, values that are empty, hold blanks without quotes, hold quotes inside of
//! quotes, lack the closing quote, or are not ASCII. No input is an error: what cannot be read is left out,
//! since a header that is wrong in one place still says how to authenticate.

/// Bounds the challenges of one header. Real ones have up to three.
const CHALLENGES_MAX: usize = 16;

/// Bounds the parameters of one challenge. Real ones have up to six.
const PARAMETERS_MAX: usize = 32;

/// The schemes that are recognised where the comma before them is missing (IANA's registry has them).
const SCHEMES: [&str; 9] = [
    "basic",
    "bearer",
    "digest",
    "hoba",
    "mutual",
    "negotiate",
    "ntlm",
    "scram-sha-1",
    "scram-sha-256",
];

/// One challenge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parsed {
    /// In lower case.
    pub(super) scheme: String,
    /// Names in lower case, and values without quotes and escapes.
    parameters: Vec<(String, String)>,
}

impl Parsed {
    /// The first value of a parameter that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.parameters.iter().filter(|(key, _)| key == name);
        values
            .find(|(_, value)| !value.is_empty())
            .map(|(_, value)| value.as_str())
    }
}

/// Reads one header.
pub(super) fn parse(text: &[u8]) -> Vec<Parsed> {
    let mut reader = Reader { text, at: 0 };
    let mut all: Vec<Parsed> = Vec::new();
    loop {
        // Only blanks between a scheme and a word: the word belongs to the scheme.
        let attached = !reader.skip_separators();
        let Some(word) = reader.word() else {
            if reader.is_end() {
                return all;
            }
            reader.skip_junk();
            continue;
        };
        if reader.skip_equals() {
            let value = reader.value();
            if let Some(last) = all.last_mut()
                && last.parameters.len() < PARAMETERS_MAX
            {
                last.parameters.push((word, value));
            }
            continue;
        }
        let token68 = attached
            && !is_scheme(word.as_bytes())
            && all.last().is_some_and(|last| last.parameters.is_empty());
        if !token68 && all.len() < CHALLENGES_MAX {
            all.push(Parsed {
                scheme: word,
                parameters: Vec::new(),
            });
        }
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    const fn is_end(&self) -> bool {
        self.at >= self.text.len()
    }

    fn skip_blanks(&mut self) -> usize {
        let blanks = leading(self.rest(), is_blank);
        self.at += blanks;
        blanks
    }

    /// Returns whether there was more than blanks.
    fn skip_separators(&mut self) -> bool {
        let all = leading(self.rest(), |byte| is_blank(byte) || is_separator(byte));
        let more = self.rest()[..all].iter().any(|&byte| is_separator(byte));
        self.at += all;
        more
    }

    /// A token that ends where a word may end, in lower case.
    fn word(&mut self) -> Option<String> {
        let length = leading(self.rest(), is_token);
        let ends = match self.rest().get(length) {
            None | Some(b'=') => true,
            Some(&byte) => is_blank(byte) || is_separator(byte),
        };
        if length == 0 || !ends {
            return None;
        }
        let word = String::from_utf8_lossy(&self.rest()[..length]).to_ascii_lowercase();
        self.at += length;
        Some(word)
    }

    /// Skips what is neither a scheme nor a parameter, a `token68` for one.
    fn skip_junk(&mut self) {
        let length = leading(self.rest(), |byte| !is_blank(byte) && byte != b',');
        self.at += length.max(1);
    }

    fn skip_equals(&mut self) -> bool {
        let blanks = leading(self.rest(), is_blank);
        let equals = self.rest().get(blanks) == Some(&b'=');
        if equals {
            self.at += blanks + 1;
        }
        equals
    }

    fn value(&mut self) -> String {
        let blanks = self.skip_blanks();
        match self.peek() {
            None | Some(b',') => String::new(),
            Some(b'"') => self.quoted(),
            Some(b'\'') if self.rest()[1..].contains(&b'\'') => self.single_quoted(),
            // `service= scope="x"`: an empty value, and the next parameter.
            _ if blanks > 0 && is_parameter(self.rest()) => String::new(),
            _ => self.bare(),
        }
    }

    /// A value without quotes; blanks belong to it as long as no parameter or scheme follows.
    fn bare(&mut self) -> String {
        let start = self.at;
        while let Some(byte) = self.peek() {
            let end = self.at;
            if is_blank(byte) {
                self.skip_blanks();
                if self.is_end() || is_separator(self.text[self.at]) || begins(self.rest()) {
                    return text(&self.text[start..end]);
                }
            } else if byte == b',' || byte == b';' && self.ends_after(1) {
                return text(&self.text[start..end]);
            } else {
                self.at += 1;
            }
        }
        text(&self.text[start..])
    }

    fn ends_after(&self, length: usize) -> bool {
        self.rest()
            .get(length)
            .is_none_or(|&byte| is_blank(byte) || byte == b',')
    }

    fn single_quoted(&mut self) -> String {
        let inner = &self.rest()[1..];
        let length = leading(inner, |byte| byte != b'\'');
        let value = text(&inner[..length]);
        self.at += length + 2;
        value
    }

    /// A value in quotes. A quote ends it if what follows may follow a value; else it belongs to the value.
    fn quoted(&mut self) -> String {
        self.at += 1;
        let start = self.at;
        let mut first_quote = None;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'\\' => self.at += 1,
                b'"' => {
                    let raw = &self.text[start..self.at - 1];
                    if may_follow(self.rest()) {
                        return unescaped(raw);
                    }
                    if let Some(length) = unclosed(raw) {
                        self.at = start + length;
                        return unescaped(&self.text[start..self.at]);
                    }
                    first_quote.get_or_insert(self.at - 1);
                }
                _ => {}
            }
        }
        let end = first_quote.unwrap_or(self.text.len());
        self.at = end + 1;
        self.at += leading(self.rest(), |byte| !is_blank(byte) && !is_separator(byte));
        unescaped(self.text.get(start..end).unwrap_or_default())
    }
}

/// How many bytes at the front are like this.
fn leading(text: &[u8], like: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|&&byte| like(byte)).count()
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

const fn is_separator(byte: u8) -> bool {
    matches!(byte, b',' | b';')
}

/// `tchar` of RFC 9110, section 5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

fn is_scheme(word: &[u8]) -> bool {
    SCHEMES
        .iter()
        .any(|scheme| word.eq_ignore_ascii_case(scheme.as_bytes()))
}

/// Does the text begin with `name =`?
fn is_parameter(text: &[u8]) -> bool {
    let name = leading(text, is_token);
    let rest = &text[name..];
    name > 0 && rest.get(leading(rest, is_blank)) == Some(&b'=')
}

/// Does the text begin with a parameter or with a known scheme?
fn begins(text: &[u8]) -> bool {
    let word = leading(text, is_token);
    let ends = text
        .get(word)
        .is_none_or(|&byte| is_blank(byte) || is_separator(byte));
    is_parameter(text) || ends && is_scheme(&text[..word])
}

/// May this follow a value's closing quote?
fn may_follow(text: &[u8]) -> bool {
    let rest = &text[leading(text, is_blank)..];
    let apart = rest.len() < text.len();
    rest.first().is_none_or(|&byte| is_separator(byte))
        || is_parameter(rest)
        || apart && begins(rest)
}

/// How long a value is whose closing quote is missing, if it ends with `, name=`: the quote after it opens
/// the next value.
fn unclosed(raw: &[u8]) -> Option<usize> {
    let before = raw.trim_ascii_end().strip_suffix(b"=")?.trim_ascii_end();
    let name = before.iter().rev().take_while(|&&b| is_token(b)).count();
    let before = &before[..before.len() - name];
    let separated = before
        .iter()
        .rev()
        .take_while(|&&byte| is_blank(byte) || is_separator(byte))
        .count();
    (name > 0 && separated > 0).then_some(before.len() - separated)
}

fn unescaped(raw: &[u8]) -> String {
    let mut value = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => value.extend(bytes.next()),
            byte => value.push(byte),
        }
    }
    text(&value)
}

/// UTF-8, as new servers send it, or Latin-1, as HTTP had it.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

#[cfg(test)]
mod tests;
