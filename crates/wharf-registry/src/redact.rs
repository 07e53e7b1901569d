//! What must not be seen, and how it is kept out of sight.
//!
//! A [`Secret`] has no `Display`, and its `Debug` says nothing (security rule 7). An address is shown as a
//! [`ShownUrl`], without all that may be a secret: a signed download link carries its signature in its query.

use std::fmt;

use reqwest::Url;

/// How much of a stranger's text goes into a message, in characters. Registries' real messages
/// have up to about 300.
const FOREIGN_TEXT_MAX: usize = 512;

/// A password, a token, a key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Hides a text from logs and messages.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: for a request's header or body only.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// What of an address is shown in messages and logs: scheme, host, port and path. Users, passwords, queries,
/// fragments and the parameters of a path (`;…`) are left out.
#[derive(Clone, PartialEq, Eq)]
pub struct ShownUrl(String);

impl ShownUrl {
    /// What is shown of an address.
    pub(crate) fn new(url: &Url) -> Self {
        let port = url.port().map_or(String::new(), |port| format!(":{port}"));
        let host = url.host_str().unwrap_or_default();
        let path = without_parameters(url.path());
        Self(format!("{}://{host}{port}{path}", url.scheme()))
    }

    /// What is shown of a text that may be an address, or is one that cannot be read.
    pub fn of_text(text: &str) -> Self {
        let trimmed = text.trim();
        if let Ok(url) = trimmed.parse::<Url>()
            && url.has_host()
        {
            let shown = Self::new(&url).0;
            // A text without a path is shown without one.
            let bare = trimmed.split(['?', '#']).next().unwrap_or_default();
            let slash = bare.ends_with('/') || !shown.ends_with('/');
            let end = shown.len() - usize::from(!slash);
            return Self(shown[..end].to_owned());
        }
        let (scheme, rest) = match trimmed.split_once("://") {
            Some((scheme, rest)) => (format!("{scheme}://"), rest),
            None => (String::new(), trimmed),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let bare = rest.split(['?', '#']).next().unwrap_or_default();
        // A password may hold every character: where there is one, what is before it and behind it is only known
        // if nothing else looks like a part of an address.
        if authority.matches('@').count() == 1 {
            let host = without_parameters(bare.split_once('@').map_or(bare, |(_, host)| host));
            return Self(format!("{scheme}{host}"));
        }
        if rest.contains('@') {
            return Self(format!("{scheme}…"));
        }
        Self(format!("{scheme}{}", without_parameters(bare)))
    }
}

impl fmt::Display for ShownUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ShownUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// A path without what follows a semicolon in each of its segments (RFC 3986, section 3.3).
fn without_parameters(path: &str) -> String {
    let bare = |segment: &str| segment.split(';').next().unwrap_or_default().to_owned();
    path.split('/').map(bare).collect::<Vec<_>>().join("/")
}

/// What is shown of an address.
pub(crate) fn url(url: &Url) -> ShownUrl {
    ShownUrl::new(url)
}

/// The same for a text that may be an address.
pub(crate) fn url_text(text: &str) -> String {
    ShownUrl::of_text(text).0
}

/// What a stranger said, fit for a terminal: one line, no control characters, not too long.
pub(crate) fn foreign(text: &str) -> String {
    let shown = |c: char| if c.is_whitespace() { ' ' } else { c };
    let harmless = |c: &char| !c.is_control() && !is_direction(*c);
    let mut line: String = text.chars().map(shown).filter(harmless).collect();
    if let Some((end, _)) = line.char_indices().nth(FOREIGN_TEXT_MAX) {
        line.truncate(end);
        line.push('…');
    }
    line.trim().to_owned()
}

/// Characters that turn the writing direction, and so can show a text as another one.
const fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_no_password_and_no_signature() {
        let address: Url = "https://ann:pw@cdn.corp:8443/a/b?Signature=xyz#f"
            .parse()
            .unwrap();
        assert_eq!(url(&address).to_string(), "https://cdn.corp:8443/a/b");
        assert_eq!(url_text("http://ann:pw@proxy:3128"), "http://proxy:3128");
        assert_eq!(
            url_text("http://ann:p@w@proxy:3128/x?token=1"),
            "http://proxy:3128/x"
        );
        assert_eq!(url_text("ann:pw@proxy:3128"), "proxy:3128");
        assert!(!format!("{:?}", Secret::new("hunter2")).contains("hunter2"));
    }

    #[test]
    fn shows_no_secret_of_any_text() {
        for (text, expected) in [
            (
                "https://cdn.corp/a;jsessionid=SECRET/b;x=SECRET?y",
                "https://cdn.corp/a/b",
            ),
            (
                "https://cdn.corp?X-Amz-Signature=SECRET",
                "https://cdn.corp",
            ),
            ("https://cdn.corp/#SECRET", "https://cdn.corp/"),
            ("https://SECRET@cdn.corp/a", "https://cdn.corp/a"),
            ("HTTPS://:SECRET@CDN.corp:8443/a", "https://cdn.corp:8443/a"),
            (
                " https://cdn.corp/a?email=a@b.corp&sig=SECRET ",
                "https://cdn.corp/a",
            ),
            ("http://ann:SEC/RET@proxy:3128", "http://…"),
            ("http://ann:SEC?RET@proxy:3128", "http://…"),
            ("http://ann:SEC#RET@proxy:3128", "http://…"),
            (
                "http://ann:SECRET@pro xy:3128/a?SECRET",
                "http://pro xy:3128/a",
            ),
            ("ann:SECRET@proxy:3128", "proxy:3128"),
            ("ann:SEC/RET@proxy:3128", "…"),
            ("ftp://ann:SECRET@host/a;type=SECRET", "ftp://host/a"),
            ("host/a?SECRET", "host/a"),
            ("registry.corp:5000", "registry.corp:5000"),
            ("", ""),
        ] {
            let shown = ShownUrl::of_text(text);
            assert_eq!(shown.to_string(), expected, "{text}");
            assert!(!format!("{shown:?}").contains("SEC"), "{shown:?}");
        }
    }

    #[test]
    fn tames_what_strangers_say() {
        assert_eq!(foreign("a\u{1b}[31mb\r\nc\u{202e}"), "a[31mb  c");
        assert_eq!(
            foreign(&"x".repeat(5000)).chars().count(),
            FOREIGN_TEXT_MAX + 1
        );
    }
}
