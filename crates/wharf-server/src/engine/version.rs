//! Versions of the API: which one a client speaks, and which ones there are.

use std::fmt;

/// A version of the API, as paths have it: `/v1.43/…`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ApiVersion {
    number: (u32, u32),
    /// As it was written.
    text: String,
}

/// The newest version, which is spoken where a path names none.
pub(super) const NEWEST: (u32, u32) = (1, 51);

/// The oldest one.
pub(super) const OLDEST: (u32, u32) = (1, 24);

impl ApiVersion {
    /// The newest one.
    pub(super) fn newest() -> Self {
        Self {
            number: NEWEST,
            text: text(NEWEST),
        }
    }

    /// Reads what stands behind the `v`: digits and dots.
    pub(super) fn parse(written: &str) -> Option<Self> {
        let is_part = |b: u8| b.is_ascii_digit() || b == b'.';
        if written.is_empty() || !written.bytes().all(is_part) {
            return None;
        }
        let mut parts = written.split('.').map(|part| match part {
            "" => Some(0),
            part => part.parse().ok(),
        });
        // A number that is too long for any version is newer than all of them.
        let mut part = || parts.next().map_or(0, |part| part.unwrap_or(u32::MAX));
        Some(Self {
            number: (part(), part()),
            text: written.to_owned(),
        })
    }

    /// Is it before `1.minor`?
    pub(super) fn is_before(&self, minor: u32) -> bool {
        self.number < (1, minor)
    }

    /// Is it older than any that is spoken here?
    pub(super) fn is_too_old(&self) -> bool {
        self.number < OLDEST
    }

    /// Docker's words for a version that is not spoken here; `None` for those that are.
    pub(super) fn refusal(&self) -> Option<String> {
        if self.is_too_old() {
            return Some(format!(
                "client version {self} is too old. Minimum supported API version is {}, please upgrade your \
                 client to a newer version",
                text(OLDEST)
            ));
        }
        (self.number > NEWEST).then(|| {
            let newest = text(NEWEST);
            format!("client version {self} is too new. Maximum supported API version is {newest}")
        })
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A version as it is written.
pub(super) fn text((major, minor): (u32, u32)) -> String {
    format!("{major}.{minor}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(written: &str) -> Option<String> {
        ApiVersion::parse(written).unwrap().refusal()
    }

    #[test]
    fn speaks_1_24_to_1_51() {
        for spoken in ["1.24", "1.43", "1.51", "1.51.0", "1.024"] {
            assert_eq!(refusal(spoken), None, "{spoken}");
        }
        for old in ["1.23", "1", "0.99", ".", "1..51"] {
            let words = format!("client version {old} is too old.");
            assert!(refusal(old).unwrap().starts_with(&words), "{old}");
        }
        for new in ["1.52", "2.0", "9.99", "1.99999999999"] {
            let words = format!("client version {new} is too new.");
            assert!(refusal(new).unwrap().starts_with(&words), "{new}");
        }
    }

    #[test]
    fn what_is_no_version_is_none() {
        for text in ["", "1.51a", "x", "1-2"] {
            assert_eq!(ApiVersion::parse(text), None, "{text}");
        }
    }
}
