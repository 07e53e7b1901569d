//! What stands behind a path's question mark: Docker's booleans, platforms in JSON, names in two parts.

use serde::Deserialize;
use wharf_core::reference::ReferenceError;
use wharf_core::{Digest, Platform, Reference, go_json};

use super::answer::{Failure, Result};

/// The parameters of a request, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query; what is no UTF-8 is refused.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut all = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| decoded(&text.replace('+', " "));
            all.push((decode(name)?, decode(value)?));
        }
        Ok(Self(all))
    }

    /// The first value of a parameter; empty without one.
    pub(super) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// The same, if there is one that is not empty.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        Some(self.get(name)).filter(|value| !value.is_empty())
    }

    /// Every value of a parameter.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(key, _)| key == name);
        named.map(|(_, value)| value.as_str())
    }

    /// Was the parameter given, if only empty?
    pub(super) fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Docker's booleans: whatever does not say no says yes (28.5: `BoolValue`).
    pub(super) fn is(&self, name: &str) -> bool {
        let value = self.get(name).trim().to_lowercase();
        !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// A platform in JSON, as newer parameters have it; one at most.
    pub(super) fn platform(&self, name: &str) -> Result<Option<Platform>> {
        if self.all(name).count() > 1 {
            return Err(Failure::bad("multiple platform parameters not supported"));
        }
        self.given(name).map(platform).transpose()
    }
}

/// Replaces `%2F` and the like by what they mean.
pub(super) fn decoded(text: &str) -> Result<String> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|&b| char::from(b).to_digit(16));
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let value = if byte == b'%' {
            let (high, low) = digit(at + 1).zip(digit(at + 2)).ok_or_else(|| {
                let escape = String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 3)]);
                Failure::bad(format!("invalid URL escape {escape:?}"))
            })?;
            at += 2;
            u8::try_from(high * 16 + low).unwrap_or_default()
        } else {
            byte
        };
        out.push(value);
        at += 1;
    }
    String::from_utf8(out).map_err(|_| Failure::bad("the request's address is not UTF-8"))
}

/// Reads a platform as the OCI image-spec writes it (28.5: `DecodePlatform`).
pub(super) fn platform(text: &str) -> Result<Platform> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Wire {
        os: String,
        architecture: String,
        variant: String,
        #[serde(rename = "os.version")]
        os_version: String,
    }
    let wire: Wire = go_json::from_slice(text.as_bytes()).map_err(|_| {
        let first = text.trim_start().chars().next();
        Failure::bad(match first {
            // Go's words for what is no JSON from the start.
            Some(first) if !first.is_ascii_digit() && !"{[\"-tfn".contains(first) => format!(
                "failed to parse platform: invalid character {first:?} looking for beginning of value"
            ),
            _ => "failed to parse platform: it is no JSON object such as \
                  {\"os\":\"linux\",\"architecture\":\"amd64\"}"
                .to_owned(),
        })
    })?;
    match (wire.os.is_empty(), wire.architecture.is_empty()) {
        (true, true) if !wire.variant.is_empty() || !wire.os_version.is_empty() => Err(
            Failure::bad("optional platform fields provided, but OS and Architecture are missing"),
        ),
        // As it was sent: errors repeat it, and whoever compares it evens it out.
        (false, false) => Ok(Platform {
            os: wire.os,
            architecture: wire.architecture,
            variant: wire.variant,
            ..Platform::default()
        }),
        _ => Err(Failure::bad("both OS and Architecture must be provided")),
    }
}

/// Reads a name.
pub(super) fn name(text: &str) -> Result<Reference> {
    text.parse()
        .map_err(|error: ReferenceError| Failure::bad(error.to_string()))
}

/// A name in two parts, of which the second may be a digest.
pub(super) fn name_and_tag(text: &str, tag: &str) -> Result<Reference> {
    let reference = name(text)?;
    if tag.is_empty() {
        return Ok(reference);
    }
    match (tag.parse::<Digest>(), reference.digest()) {
        (Ok(digest), _) => Ok(reference.without_tag().with_digest(digest)),
        // What pins an image stays.
        (Err(_), Some(digest)) => name(&format!("{}@{digest}", tagged(&reference, tag)?)),
        (Err(_), None) => tagged(&reference, tag),
    }
}

/// A name in two parts for something new: no digest, and the tag `latest` if there is none (28.5:
/// `RepoTagReference`). `None` without a name.
pub(super) fn new_name(repository: &str, tag: &str) -> Result<Option<Reference>> {
    if repository.is_empty() {
        return Ok(None);
    }
    let reference = name(repository)?;
    if reference.digest().is_some() {
        return Err(Failure::bad("cannot import digest reference"));
    }
    if tag.is_empty() {
        return Ok(Some(reference.or_latest()));
    }
    tagged(&reference, tag).map(Some)
}

fn tagged(reference: &Reference, tag: &str) -> Result<Reference> {
    reference
        .with_tag(tag)
        .map_err(|_| Failure::bad("invalid tag format"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn booleans_are_docker_s() {
        for no in ["", "0", "no", "false", "none", " FALSE ", "No"] {
            assert!(!Query(vec![("x".into(), no.into())]).is("x"), "{no}");
        }
        for yes in ["1", "true", "yes", "maybe", "f"] {
            assert!(Query(vec![("x".into(), yes.into())]).is("x"), "{yes}");
        }
        assert!(!Query::default().is("x"));
    }

    #[test]
    fn reads_what_is_escaped() {
        let query = Query::parse("names=a%2Fb%3A1&names=c+d&e").unwrap();
        let names: Vec<&str> = query.all("names").collect();
        assert_eq!(names, ["a/b:1", "c d"]);
        assert!(query.has("e") && query.given("e").is_none());
        for wrong in ["a=%", "a=%2", "a=%zz", "a=%ff"] {
            assert_eq!(Query::parse(wrong).unwrap_err().status, 400, "{wrong}");
        }
    }

    #[test]
    fn a_tag_may_be_a_digest() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let name = name_and_tag("busybox", &digest).unwrap();
        assert_eq!(name.familiar(), format!("busybox@{digest}"));
        let name = name_and_tag("busybox:1", "2").unwrap();
        assert_eq!(name.familiar(), "busybox:2");
        let name = name_and_tag(&format!("busybox@{digest}"), "2").unwrap();
        assert_eq!(name.familiar(), format!("busybox:2@{digest}"));
        assert_eq!(new_name("", "1").unwrap(), None);
        assert_eq!(new_name("a", "").unwrap().unwrap().familiar(), "a:latest");
        let refused = new_name(&format!("a@{digest}"), "").unwrap_err();
        assert_eq!(refused.message, "cannot import digest reference");
    }

    #[test]
    fn platforms_name_system_and_processor() {
        let arm = platform(r#"{"os":"linux","architecture":"arm","variant":"v7"}"#).unwrap();
        assert_eq!(arm.to_string(), "linux/arm/v7");
        let arm = platform(r#"{"os":"linux","architecture":"arm"}"#).unwrap();
        assert_eq!(arm.to_string(), "linux/arm");
        for wrong in ["", "{}", r#"{"os":"linux"}"#, r#"{"variant":"v7"}"#, "[]"] {
            assert!(platform(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read_or_refused(text in ".*") {
            drop(Query::parse(&text));
            drop(platform(&text));
            drop(new_name(&text, &text));
        }
    }
}
