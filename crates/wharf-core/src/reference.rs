//! References: the names of images, by Docker's grammar.
//!
//! `[domain/]path[:tag][@digest]`. A short name is normalised at the edge: `busybox` is
//! `docker.io/library/busybox`. Tag and digest are separate fields; neither is made up here: what a
//! missing tag means is the command's business ([`Reference::or_latest`]).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::{Digest, digest::DigestError};

/// Docker's name for no image at all.
const RESERVED: &str = "scratch";
/// Docker Hub's name in references. Its registry listens elsewhere: the client knows.
pub const DEFAULT_DOMAIN: &str = "docker.io";
/// Docker Hub's former name, taken for the present one.
const LEGACY_DEFAULT_DOMAIN: &str = "index.docker.io";
/// Where Docker Hub keeps the images that have no owner.
const OFFICIAL_PREFIX: &str = "library/";
/// The tag that a missing one means.
pub const DEFAULT_TAG: &str = "latest";

/// Bounds a repository's path, in bytes: Docker's limit, from its registry's database.
const PATH_MAX: usize = 255;
/// Bounds a tag, in bytes: the distribution-spec's grammar.
const TAG_MAX: usize = 128;
/// A digest's hex part has at least 32 digits, 128 bits, by Docker's grammar.
const DIGEST_HEX_MIN: usize = 32;

/// An image's name, in full.
///
/// Lists make one for each name, so it's kept in one piece.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// `domain/path` or `domain/path:tag`
    text: Box<str>,
    /// Where the path begins in it, in bytes.
    path_at: usize,
    /// Where the path ends.
    path_end: usize,
    digest: Option<Digest>,
}

/// Why a text is not a reference. The words are Docker's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// It does not follow the grammar.
    #[error("invalid reference format")]
    Format,
    /// It would, in lower case.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    /// It looks like an image's ID.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    Identifier(String),
    /// The path is longer than registries take.
    #[error("repository name must not be more than {PATH_MAX} characters")]
    TooLong,
    /// The digest is none that wharf computes.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl Reference {
    /// Reads a repository in full, as [`Reference::repository`] gives it: no short form is looked for, which makes
    /// it fast.
    pub fn of_repository(repository: &str) -> Result<Self, ReferenceError> {
        let (domain, path) = repository.split_once('/').ok_or(ReferenceError::Format)?;
        if !is_domain(domain) || !is_path(path) {
            return Err(ReferenceError::Format);
        }
        if path.len() > PATH_MAX {
            return Err(ReferenceError::TooLong);
        }
        Ok(Self {
            text: repository.into(),
            path_at: domain.len() + 1,
            path_end: repository.len(),
            digest: None,
        })
    }

    /// The registry: `docker.io`, `127.0.0.1:5000`.
    pub fn domain(&self) -> &str {
        &self.text[..self.path_at - 1]
    }

    /// The repository within the registry: `library/busybox`.
    pub fn path(&self) -> &str {
        &self.text[self.path_at..self.path_end]
    }

    /// The tag, if one was given.
    pub fn tag(&self) -> Option<&str> {
        self.text.get(self.path_end + 1..)
    }

    /// The digest, if one was given.
    pub const fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Domain and path, in full: `docker.io/library/busybox`.
    pub fn repository(&self) -> &str {
        &self.text[..self.path_end]
    }

    /// Returns whether this is Docker's name for no image at all, which no registry has (Docker 28.5:
    /// `ValidateRepoName`).
    pub fn is_reserved(&self) -> bool {
        self.familiar_repository() == RESERVED
    }

    /// Domain and path as Docker shows them: `busybox`. Always reads back as the same repository:
    /// where Docker's short form would not, it is the full one (`docker.io/a.b/c`, since `a.b/c` is
    /// on the registry `a.b`).
    pub fn familiar_repository(&self) -> &str {
        if self.domain() != DEFAULT_DOMAIN {
            return self.repository();
        }
        let path = self.path();
        // `library/a/b` keeps its prefix: without it, it would be another name.
        let short = match path.strip_prefix(OFFICIAL_PREFIX) {
            Some(rest) if !rest.bytes().any(|b| b == b'/') => rest,
            _ => path,
        };
        let end = short.bytes().position(|b| b == b'/');
        let other = end.is_some_and(|end| names_a_domain(&short[..end]));
        if other || is_identifier(short) {
            self.repository()
        } else {
            short
        }
    }

    /// Has it neither tag nor digest?
    pub fn is_name_only(&self) -> bool {
        self.tag().is_none() && self.digest.is_none()
    }

    /// The same with the tag `latest`, if it has neither tag nor digest.
    #[must_use]
    pub fn or_latest(self) -> Self {
        if self.is_name_only() {
            self.tagged(DEFAULT_TAG)
        } else {
            self
        }
    }

    /// The same repository, with this tag and no digest.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if is_tag(tag) {
            Ok(self.tagged(tag))
        } else {
            Err(ReferenceError::Format)
        }
    }

    fn tagged(&self, tag: &str) -> Self {
        Self {
            text: [self.repository(), ":", tag].concat().into(),
            digest: None,
            ..*self
        }
    }

    /// The same repository, with this digest and no tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            text: self.repository().into(),
            digest: Some(digest),
            ..*self
        }
    }

    /// The same without its tag.
    #[must_use]
    pub fn without_tag(&self) -> Self {
        Self {
            text: self.repository().into(),
            digest: self.digest.clone(),
            ..*self
        }
    }

    /// The name as Docker shows it: `busybox:musl`.
    pub fn familiar(&self) -> String {
        self.with_tag_and_digest(self.familiar_repository())
    }

    fn with_tag_and_digest(&self, repository: &str) -> String {
        let tag = &self.text[self.path_end..];
        let digest = self.digest.as_ref().map(|digest| ["@", digest.as_str()]);
        let [at, digest] = digest.unwrap_or_default();
        [repository, tag, at, digest].concat()
    }
}

/// By what is printed, in full: Docker's order.
impl Ord for Reference {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.digest, &other.digest) {
            (None, None) => self.text.cmp(&other.text),
            _ => self.to_string().cmp(&other.to_string()),
        }
    }
}

impl PartialOrd for Reference {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if is_identifier(text) {
            return Err(ReferenceError::Identifier(text.to_owned()));
        }
        let (domain, prefix, remainder) = split_domain(text);
        let remote = remainder.split(':').next().unwrap_or_default();
        if !is_lowercase(remote) {
            return Err(ReferenceError::Uppercase(format!("{prefix}{remote}")));
        }
        let (name, digest) = match remainder.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (remainder, None),
        };
        let (path, tag) = match name.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (name, None),
        };
        let parts = is_domain(domain) && is_path(path) && tag.is_none_or(is_tag);
        if !parts || !digest.is_none_or(has_digest_shape) {
            return Err(ReferenceError::Format);
        }
        if prefix.len() + path.len() > PATH_MAX {
            return Err(ReferenceError::TooLong);
        }
        let digest = digest.map(str::parse).transpose()?;
        let path_at = domain.len() + 1;
        let tagged = tag.map_or(["", ""], |tag| [":", tag]);
        Ok(Self {
            text: [domain, "/", prefix, path, tagged[0], tagged[1]]
                .concat()
                .into(),
            path_at,
            path_end: path_at + prefix.len() + path.len(),
            digest,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_tag_and_digest(self.repository()))
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reference({self})")
    }
}

/// Is it 64 hex digits, and so an image's ID rather than a name?
pub fn is_identifier(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Is it a tag? `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`.
pub fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= TAG_MAX
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

/// Tells a registry from the first part of a path: the registry, what is to stand before the rest, and the rest.
fn split_domain(text: &str) -> (&str, &'static str, &str) {
    let Some((first, rest)) = text.split_once('/') else {
        return (DEFAULT_DOMAIN, OFFICIAL_PREFIX, text);
    };
    let (domain, rest) = match first {
        LEGACY_DEFAULT_DOMAIN => (DEFAULT_DOMAIN, rest),
        first if names_a_domain(first) => (first, rest),
        _ => (DEFAULT_DOMAIN, text),
    };
    if domain == DEFAULT_DOMAIN && !rest.contains('/') {
        (domain, OFFICIAL_PREFIX, rest)
    } else {
        (domain, "", rest)
    }
}

/// A name's first part is a registry if it has a dot, a colon or an upper-case letter in it, or is
/// `localhost`; else it is an owner on Docker Hub.
fn names_a_domain(first: &str) -> bool {
    first == "localhost" || first.bytes().any(|b| b == b'.' || b == b':') || !is_lowercase(first)
}

/// Would it stay as it is in lower case? Not the same as having no upper-case letter: there are
/// title-case ones.
fn is_lowercase(text: &str) -> bool {
    if text.is_ascii() {
        return !text.bytes().any(|b| b.is_ascii_uppercase());
    }
    text.chars().all(|c| c.to_lowercase().eq([c]))
}

/// Is it a digest by the references' grammar, whatever its algorithm?
fn has_digest_shape(text: &str) -> bool {
    let component = |part: &str| {
        part.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
            && part.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        algorithm.split(['-', '_', '+', '.']).all(component)
            && hex.len() >= DIGEST_HEX_MIN
            && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

/// A host name, an IPv4 address or an IPv6 address in brackets, and a port.
///
/// Docker's pattern takes `a_b.c/d` for a path without any registry, and then knows no place to
/// pull it from; here it is refused, as `a_b.c:80/d` is by both.
fn is_domain(text: &str) -> bool {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        let hex = |b: u8| b.is_ascii_hexdigit() || b == b':';
        return !address.is_empty()
            && address.bytes().all(hex)
            && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let label = |part: &[u8]| {
        !part.is_empty()
            && !part.starts_with(b"-")
            && !part.ends_with(b"-")
            && part.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
    };
    host.as_bytes().split(|&b| b == b'.').all(label) && port.is_none_or(is_port)
}

fn is_path(text: &str) -> bool {
    text.as_bytes().split(|&b| b == b'/').all(is_path_component)
}

/// Letters and digits, in between one dot, one or two underscores, or any number of dashes.
fn is_path_component(mut rest: &[u8]) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_digit() || b.is_ascii_lowercase();
    loop {
        let word = rest.iter().take_while(|b| alphanumeric(b)).count();
        if word == 0 {
            return false;
        }
        rest = &rest[word..];
        if rest.is_empty() {
            return true;
        }
        let (separator, behind) =
            rest.split_at(rest.iter().take_while(|b| !alphanumeric(b)).count());
        if !matches!(separator, b"." | b"_" | b"__") && separator.iter().any(|&b| b != b'-') {
            return false;
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests;
