//! References: the names of images, by Docker's grammar.
//!
//! `[domain/]path[:tag][@digest]`. A short name is normalised at the edge: `busybox` is
//! `docker.io/library/busybox`. Tag and digest are separate fields; neither is made up here: what a
//! missing tag means is the command's business ([`Reference::or_latest`]).

use std::fmt;
use std::str::FromStr;

use crate::{Digest, digest::DigestError};

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
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
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
    /// Makes a reference from parts that are known to be right: a repository that was parsed once,
    /// as [`Reference::repository`] printed it.
    pub fn of_repository(repository: &str) -> Result<Self, ReferenceError> {
        let reference: Self = repository.parse()?;
        if reference.tag.is_some() || reference.digest.is_some() {
            return Err(ReferenceError::Format);
        }
        Ok(reference)
    }

    /// The registry: `docker.io`, `127.0.0.1:5000`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry: `library/busybox`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, if one was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was given.
    pub const fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Domain and path, in full: `docker.io/library/busybox`.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// Domain and path as Docker shows them: `busybox`. Always reads back as the same repository:
    /// where Docker's short form would not, it is the full one (`docker.io/a.b/c`, since `a.b/c` is
    /// on the registry `a.b`).
    pub fn familiar_repository(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.repository();
        }
        let path = self.path.as_str();
        // `library/a/b` keeps its prefix: without it, it would be another name.
        let short = match path.strip_prefix(OFFICIAL_PREFIX) {
            Some(rest) if !rest.contains('/') => rest,
            _ => path,
        };
        let other = short
            .split_once('/')
            .is_some_and(|(first, _)| names_a_domain(first));
        if other || is_identifier(short) {
            self.repository()
        } else {
            short.to_owned()
        }
    }

    /// Has it neither tag nor digest?
    pub const fn is_name_only(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }

    /// The same with the tag `latest`, if it has neither tag nor digest.
    #[must_use]
    pub fn or_latest(mut self) -> Self {
        if self.is_name_only() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// The same repository, with this tag and no digest.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Format);
        }
        Ok(Self {
            tag: Some(tag.to_owned()),
            digest: None,
            ..self.clone()
        })
    }

    /// The same repository, with this digest and no tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// The same without its tag.
    #[must_use]
    pub fn without_tag(&self) -> Self {
        Self {
            tag: None,
            ..self.clone()
        }
    }

    /// The name as Docker shows it: `busybox:musl`.
    pub fn familiar(&self) -> String {
        let mut text = self.familiar_repository();
        self.push_tag_and_digest(&mut text);
        text
    }

    fn push_tag_and_digest(&self, text: &mut String) {
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(digest.as_str());
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if is_identifier(text) {
            return Err(ReferenceError::Identifier(text.to_owned()));
        }
        let (domain, remainder) = split_domain(text);
        let remote = remainder.split(':').next().unwrap_or_default();
        if !is_lowercase(remote) {
            return Err(ReferenceError::Uppercase(remote.to_owned()));
        }
        let (name, digest) = match remainder.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (remainder.as_str(), None),
        };
        let (path, tag) = match name.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (name, None),
        };
        let parts = is_domain(domain) && is_path(path) && tag.is_none_or(is_tag);
        if !parts || !digest.is_none_or(has_digest_shape) {
            return Err(ReferenceError::Format);
        }
        if path.len() > PATH_MAX {
            return Err(ReferenceError::TooLong);
        }
        let digest = digest.map(str::parse).transpose()?;
        Ok(Self {
            domain: domain.to_owned(),
            path: path.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.repository();
        self.push_tag_and_digest(&mut text);
        f.write_str(&text)
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

/// Tells a registry from the first part of a path.
fn split_domain(text: &str) -> (&str, String) {
    let Some((first, rest)) = text.split_once('/') else {
        return (DEFAULT_DOMAIN, format!("{OFFICIAL_PREFIX}{text}"));
    };
    let (domain, rest) = match first {
        LEGACY_DEFAULT_DOMAIN => (DEFAULT_DOMAIN, rest),
        first if names_a_domain(first) => (first, rest),
        _ => (DEFAULT_DOMAIN, text),
    };
    if domain == DEFAULT_DOMAIN && !rest.contains('/') {
        (domain, format!("{OFFICIAL_PREFIX}{rest}"))
    } else {
        (domain, rest.to_owned())
    }
}

/// A name's first part is a registry if it has a dot, a colon or an upper-case letter in it, or is
/// `localhost`; else it is an owner on Docker Hub.
fn names_a_domain(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || !is_lowercase(first)
}

/// Would it stay as it is in lower case? Not the same as having no upper-case letter: there are
/// title-case ones.
fn is_lowercase(text: &str) -> bool {
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
    let label = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.split('.').all(label) && port.is_none_or(is_port)
}

fn is_path(text: &str) -> bool {
    text.split('/').all(is_path_component)
}

/// Letters and digits, in between one dot, one or two underscores, or any number of dashes.
fn is_path_component(text: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase();
    let bytes = text.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    alphanumeric(first)
        && alphanumeric(last)
        && bytes.split(|&b| alphanumeric(b)).all(|separator| {
            matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|&b| b == b'-')
        })
}

#[cfg(test)]
mod tests;
