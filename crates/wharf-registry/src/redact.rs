//! What must not be seen, and how it is kept out of sight.
//!
//! A [`Secret`] has no `Display`, and its `Debug` says nothing (security rule 7). An address is
//! shown without user, password and query: a signed download link carries its signature there.

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

/// An address without user, password, query and fragment.
pub(crate) fn url(url: &Url) -> String {
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    format!(
        "{}://{}{port}{}",
        url.scheme(),
        url.host_str().unwrap_or_default(),
        url.path()
    )
}

/// The same for a text that may be an address.
pub(crate) fn url_text(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    match text.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/').map_or((rest, ""), |(a, p)| (a, p));
            let host = authority.rsplit('@').next().unwrap_or_default();
            let slash = if path.is_empty() { "" } else { "/" };
            format!("{scheme}://{host}{slash}{path}")
        }
        None => text.rsplit('@').next().unwrap_or_default().to_owned(),
    }
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
        assert_eq!(url(&address), "https://cdn.corp:8443/a/b");
        assert_eq!(url_text("http://ann:pw@proxy:3128"), "http://proxy:3128");
        assert_eq!(
            url_text("http://ann:p@w@proxy:3128/x?token=1"),
            "http://proxy:3128/x"
        );
        assert_eq!(url_text("ann:pw@proxy:3128"), "proxy:3128");
        assert!(!format!("{:?}", Secret::new("hunter2")).contains("hunter2"));
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
