//! `Link`: where a list goes on (RFC 8288).
//!
//! ```text
//! Link    = "<" address ">" *( ";" name [ "=" ( token / quoted-string ) ] ) *( "," … )
//! ```
//!
//! A list that is cut short without a word is the worst answer there is: somebody deletes what it leaves
//! out. So a header that cannot be read is an error, and a link that does not say what it is counts as the
//! next page, as with Docker, skopeo and crane, which follow the first link whatever it says.

use reqwest::Url;
use reqwest::header::HeaderMap;

/// Bounds the headers of one answer, in bytes. Real ones have about 200.
const HEADERS_MAX: usize = 16 * 1024;

/// Bounds an address, in bytes: what servers commonly take.
const ADDRESS_MAX: usize = 8 * 1024;

/// The relation that is looked for.
const NEXT: &str = "next";

/// One link.
#[derive(Debug, Default, PartialEq, Eq)]
struct Link {
    target: String,
    /// What it leads to, of what is listed here; `None` if it does not say.
    relation: Option<String>,
    /// What it is about, if that is something else than the answer.
    anchor: Option<String>,
}

/// The address of the next page, if there is one. `current` is the address of this page. Without an answer
/// the reason says what cannot be read.
pub(crate) fn next(headers: &HeaderMap, current: &Url) -> Result<Option<Url>, String> {
    let all = headers.get_all(reqwest::header::LINK).iter();
    next_of(all.map(|value| value.as_bytes()), current)
}

/// The same, of the headers' bytes.
pub(crate) fn next_of<'a>(
    headers: impl Iterator<Item = &'a [u8]>,
    current: &Url,
) -> Result<Option<Url>, String> {
    let mut links = Vec::new();
    let mut length = 0;
    for header in headers {
        length += header.len();
        if length > HEADERS_MAX {
            return Err("its Link headers are too long".to_owned());
        }
        links.extend(parse(header)?);
    }
    let mut named = None;
    let mut unnamed = None;
    for link in &links {
        let found = match &link.relation {
            None => &mut unnamed,
            Some(relation) if is_next(relation) => &mut named,
            Some(_) => continue,
        };
        let url = address(link, current)?;
        match found {
            Some(other) if *other != url => {
                return Err("its Link headers name several next pages".to_owned());
            }
            found => *found = Some(url),
        }
    }
    Ok(named.or(unnamed))
}

/// Some servers put single quotes around the relation.
fn is_next(relation: &str) -> bool {
    let mut relations = relation.trim_matches('\'').split_ascii_whitespace();
    relations.any(|one| one.eq_ignore_ascii_case(NEXT))
}

/// The address that a link leads to.
fn address(link: &Link, current: &Url) -> Result<Url, String> {
    if let Some(anchor) = &link.anchor {
        let about = current.join(anchor).ok().map(without_fragment);
        if about != Some(without_fragment(current.clone())) {
            return Err("its Link header names the next page of another address".to_owned());
        }
    }
    let url = current
        .join(&link.target)
        .map_err(|_| "its Link header holds something that is not an address".to_owned())?;
    if url.as_str().len() > ADDRESS_MAX {
        return Err("its Link header holds an address that is too long".to_owned());
    }
    Ok(without_fragment(url))
}

fn without_fragment(mut url: Url) -> Url {
    url.set_fragment(None);
    url
}

/// Reads one header.
fn parse(header: &[u8]) -> Result<Vec<Link>, String> {
    let cannot = || "its Link header cannot be read".to_owned();
    let text = std::str::from_utf8(header).map_err(|_| cannot())?;
    let mut reader = Reader { rest: text };
    let mut links = Vec::new();
    loop {
        // Empty elements of a list are allowed (RFC 9110, section 5.6.1.2).
        reader.skip(|c| is_blank(c) || c == ',');
        if reader.rest.is_empty() {
            return Ok(links);
        }
        links.push(reader.link().ok_or_else(cannot)?);
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn skip(&mut self, like: impl Fn(char) -> bool) {
        self.rest = self.rest.trim_start_matches(like);
    }

    fn take(&mut self, mark: char) -> bool {
        let rest = self.rest.strip_prefix(mark);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn until(&mut self, ends: impl Fn(char) -> bool) -> &'a str {
        let (taken, rest) = self
            .rest
            .split_at(self.rest.find(ends).unwrap_or(self.rest.len()));
        self.rest = rest;
        taken
    }

    fn link(&mut self) -> Option<Link> {
        if !self.take('<') {
            return None;
        }
        let target = self.until(|c| c == '>').trim().to_owned();
        let mut link = Link {
            target,
            ..Link::default()
        };
        if !self.take('>') {
            return None;
        }
        loop {
            self.skip(is_blank);
            if self.rest.is_empty() || self.rest.starts_with(',') {
                return Some(link);
            }
            if !self.take(';') {
                return None;
            }
            self.parameter(&mut link)?;
        }
    }

    fn parameter(&mut self, link: &mut Link) -> Option<()> {
        self.skip(is_blank);
        let name = self.until(|c| matches!(c, '=' | ';' | ',') || is_blank(c));
        self.skip(is_blank);
        let value = if self.take('=') {
            self.value()?
        } else {
            String::new()
        };
        // The first one of each counts (RFC 8288, section 3).
        let field = match name.to_ascii_lowercase().as_str() {
            "rel" => &mut link.relation,
            "anchor" => &mut link.anchor,
            _ => return Some(()),
        };
        // A relation that is empty says nothing; an empty anchor is the answer's own address.
        if !value.trim().is_empty() {
            field.get_or_insert(value);
        }
        Some(())
    }

    fn value(&mut self) -> Option<String> {
        self.skip(is_blank);
        if !self.take('"') {
            let value = self.until(|c| matches!(c, ';' | ',') || is_blank(c));
            return Some(value.to_owned());
        }
        let mut value = String::new();
        let mut characters = self.rest.chars();
        loop {
            match characters.next()? {
                '"' => break,
                '\\' => value.push(characters.next()?),
                c => value.push(c),
            }
        }
        self.rest = characters.as_str();
        Some(value)
    }
}

const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HERE: &str = "https://r.corp/v2/a/tags/list?n=2";

    fn read(headers: &[&str]) -> Result<Option<String>, String> {
        let headers = headers.iter().map(|header| header.as_bytes());
        let next = next_of(headers, &HERE.parse().unwrap())?;
        Ok(next.map(|url| url.as_str().replace("https://r.corp", "")))
    }

    fn finds(headers: &[&str], expected: &str) {
        assert_eq!(read(headers), Ok(Some(expected.to_owned())), "{headers:?}");
    }

    #[test]
    fn finds_the_next_page() {
        let expected = "/v2/a/tags/list?last=b&n=2";
        for header in [
            "</v2/a/tags/list?last=b&n=2>; rel=\"next\"",
            "</v2/a/tags/list?last=b&n=2>;rel=next",
            "<?last=b&n=2>; rel=next",
            "<list?last=b&n=2> ; REL = \"Next\" ;",
            "< /v2/a/tags/list?last=b&n=2 >;\trel=next",
            "<https://r.corp/v2/a/tags/list?last=b&n=2>; rel=\"next\"",
            "<//r.corp/v2/a/tags/list?last=b&n=2>; rel=\"next\"",
            "<?last=b&n=2>; title=\"a, b\"; rel=\"next\"",
            "<?last=b&n=2>; title=\"a \\\"b\\\"; rel=prev\"; rel=\"next\"",
            "<?last=b&n=2>; title*=UTF-8''%e2%82%ac; rel=next; hreflang=en",
            "<?last=b&n=2>; rel=\"next last\"",
            "<?last=b&n=2>; rel='next'",
            "<?last=b&n=2>; rel=\"last\tNEXT\"",
            "<?last=b&n=2>; rel=next; rel=prev",
            "<?last=a>; rel=prev, <?last=b&n=2>; rel=next",
            ", ,<?last=a>; rel=\"prev\",, <?last=b&n=2>; rel=next ,",
            "<?last=b&n=2>; rel=next; anchor=\"\"",
            "<?last=b&n=2>; rel=next; anchor=\"#top\"",
            "<?last=b&n=2>; rel=next; anchor=\"?n=2\"",
            "<?last=b&n=2#x>; rel=next",
        ] {
            finds(&[header], expected);
        }
    }

    #[test]
    fn a_comma_may_be_part_of_an_address() {
        finds(&["<?last=a,b>; rel=next"], "/v2/a/tags/list?last=a,b");
        finds(&["<?last=a;b>; rel=next"], "/v2/a/tags/list?last=a;b");
    }

    #[test]
    fn reads_all_headers() {
        finds(
            &["<?p=1>; rel=prev", "<?p=3>; rel=next"],
            "/v2/a/tags/list?p=3",
        );
        finds(
            &["", "</style.css>; rel=preload", "<?p=3>; rel=next"],
            "/v2/a/tags/list?p=3",
        );
        finds(
            &["<?p=3>; rel=next", "<?p=3>; rel=next"],
            "/v2/a/tags/list?p=3",
        );
    }

    #[test]
    fn a_link_that_does_not_say_what_it_is_is_the_next_page() {
        for header in [
            "<?p=3>",
            "<?p=3>;",
            "<?p=3>; title=x",
            "<?p=3>; rel=\"\"",
            "<?p=3>; rel",
        ] {
            finds(&[header], "/v2/a/tags/list?p=3");
        }
        finds(&["<?p=9>", "<?p=3>; rel=next"], "/v2/a/tags/list?p=3");
    }

    #[test]
    fn the_last_page_has_no_next_one() {
        for headers in [
            &[][..],
            &[""],
            &["<?p=1>; rel=prev"],
            &["<?p=1>; rel=\"prev first\", <?p=9>; rel=last"],
        ] {
            assert_eq!(read(headers), Ok(None), "{headers:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for header in [
            "/v2/a; rel=next",
            "<",
            "</v2/a; rel=next",
            "<?p=3> rel=next",
            "<?p=3>; rel=\"next",
            "<?p=3>; rel=\"next\" x",
            "<?p=1>; rel=prev, ?p=3; rel=next",
            "<http://[>; rel=next",
            "<?p=3>; rel=next, <?p=4>; rel=next",
            "<?p=3>; rel=next; anchor=\"/v2/b\"",
            "<?p=3>; anchor=\"https://else.corp/\"",
        ] {
            assert!(read(&[header]).is_err(), "{header}: {:?}", read(&[header]));
        }
        assert!(read(&["<?p=3>; rel=next", "<"]).is_err());
        let latin = b"<?p=\xfc>; rel=next".as_slice();
        assert!(next_of([latin].into_iter(), &HERE.parse().unwrap()).is_err());
        let long = format!("<?p={}>; rel=next", "x".repeat(ADDRESS_MAX));
        assert!(read(&[&long]).is_err());
        assert!(read(&["<?p=1>; rel=prev"; 2000]).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(header in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(next_of([header.as_slice()].into_iter(), &HERE.parse().unwrap()));
        }

        #[test]
        fn never_panics_at_marks(header in "[<>;,=\" \\\\relnext?/]{0,60}") {
            drop(read(&[&header]));
        }

        /// However a server writes it, a next page is followed or refused.
        #[test]
        fn a_next_page_is_never_left_out(
            before in "(|<\\?p=1>; rel=prev, |, )",
            parameters in "(; title=\"[ -~&&[^\"\\\\]]{0,10}\"){0,2}",
            relation in "( ; rel=next|;rel=\"next\"|; REL=\"last next\"|)",
            after in "(|, <\\?p=0>; rel=first|,)",
        ) {
            let header = format!("{before}<?p=3>{parameters}{relation}{after}");
            prop_assert_ne!(read(&[&header]), Ok(None), "{}", header);
        }
    }
}
