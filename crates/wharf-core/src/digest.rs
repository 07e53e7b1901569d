//! Digests: the names of content.
//!
//! A digest is `algorithm:hex`. It is parsed once, at the edge, and strictly: an unknown algorithm,
//! an upper-case letter or a wrong length fails to construct, so that a `Digest` can be put into a
//! path or a URL without a second look (CVE-2024-3727).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// How many hex digits Docker shows of an ID.
const SHORT_LEN: usize = 12;

/// The algorithms of the OCI image-spec that wharf computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256: what every registry and every image uses.
    Sha256,
    /// SHA-512: allowed by the image-spec, rare.
    Sha512,
}

impl Algorithm {
    /// The name in front of the colon.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    const fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// The name of some content: `sha256:98cb9f86…`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    algorithm: Algorithm,
    text: Box<str>,
}

/// Why a text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// There is no colon, or nothing in front of it.
    #[error("invalid digest {0:?}: expected algorithm:hex")]
    Format(String),
    /// The algorithm is not one that wharf computes.
    #[error("unsupported digest algorithm {0:?}: sha256 and sha512 are known")]
    Algorithm(String),
    /// The hex part is too long, too short or not lower-case hex.
    #[error("invalid digest {text:?}: {algorithm} has {expected} lower-case hex digits")]
    Hex {
        /// The whole text.
        text: String,
        /// The algorithm's name.
        algorithm: &'static str,
        /// How many digits it has.
        expected: usize,
    },
}

impl Digest {
    /// Computes the SHA-256 digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(bytes);
        hasher.finish()
    }

    /// Returns whether it is the digest of no bytes at all.
    pub fn is_of_no_bytes(&self) -> bool {
        Hasher::new(self.algorithm).finish() == *self
    }

    /// The algorithm that computed it.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The part behind the colon.
    pub fn hex(&self) -> &str {
        &self.text[self.algorithm.as_str().len() + 1..]
    }

    /// The first twelve hex digits, as Docker shows an ID.
    pub fn short(&self) -> &str {
        &self.hex()[..SHORT_LEN]
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (name, hex) = text
            .split_once(':')
            .ok_or_else(|| DigestError::Format(text.into()))?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            "" => return Err(DigestError::Format(text.into())),
            _ => return Err(DigestError::Algorithm(name.into())),
        };
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if hex.len() != algorithm.hex_len() || !hex.bytes().all(is_hex) {
            return Err(DigestError::Hex {
                text: text.into(),
                algorithm: algorithm.as_str(),
                expected: algorithm.hex_len(),
            });
        }
        Ok(Self {
            algorithm,
            text: text.into(),
        })
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.text.into()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Computes a digest from bytes as they pass.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// Starts with no bytes.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
        })
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// The digest of all bytes so far.
    pub fn finish(self) -> Digest {
        let (algorithm, bytes): (_, Vec<u8>) = match self.0 {
            State::Sha256(state) => (Algorithm::Sha256, state.finalize().to_vec()),
            State::Sha512(state) => (Algorithm::Sha512, state.finalize().to_vec()),
        };
        let mut text = String::with_capacity(algorithm.as_str().len() + 1 + algorithm.hex_len());
        text.push_str(algorithm.as_str());
        text.push(':');
        for byte in bytes {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
            }
        }
        Digest {
            algorithm,
            text: text.into(),
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn computes_what_others_compute() {
        assert_eq!(Digest::of(b"").as_str(), EMPTY);
        assert!(Digest::of(b"").is_of_no_bytes());
        assert!(!Digest::of(b"x").is_of_no_bytes());
        assert!(Hasher::new(Algorithm::Sha512).finish().is_of_no_bytes());
        let mut hasher = Hasher::new(Algorithm::Sha512);
        hasher.update(b"abc");
        assert!(
            hasher
                .finish()
                .as_str()
                .starts_with("sha512:ddaf35a193617abacc417349ae204131")
        );
    }

    #[test]
    fn takes_a_digest_apart() {
        let digest: Digest = EMPTY.parse().unwrap();
        assert_eq!(digest.short(), "e3b0c44298fc");
        assert_eq!(digest.hex(), &EMPTY[7..]);
        assert_eq!(digest.to_string(), EMPTY);
    }

    #[test]
    fn refuses_what_is_not_exactly_a_digest() {
        let upper = EMPTY.to_uppercase();
        let traversal = format!("sha256:../../{}", &EMPTY[13..]);
        let long = format!("{EMPTY}0");
        for text in [
            "",
            ":",
            "sha256",
            "sha256:",
            "md5:00",
            &upper,
            &traversal,
            &long,
            &EMPTY[..70],
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
