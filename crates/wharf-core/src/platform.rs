//! Platforms: os, architecture, variant, and Docker's way of matching them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// For what an image is built.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64`, `arm`, …: Go's words.
    #[serde(default)]
    pub architecture: String,
    /// `linux`, `windows`, …
    #[serde(default)]
    pub os: String,
    /// `v7` of `arm/v7`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// Windows' build number; wharf keeps it and does not look at it.
    #[serde(rename = "os.version", default, skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// Kept as it is.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
}

/// Why a text is not a platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a platform: {reason}")]
pub struct PlatformError {
    text: String,
    reason: &'static str,
}

const OSES: [&str; 16] = [
    "aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js", "linux",
    "nacl", "netbsd", "openbsd", "plan9", "solaris", "windows",
];

impl Platform {
    /// A platform from Go's words.
    pub fn new(os: &str, architecture: &str, variant: &str) -> Self {
        Self {
            architecture: architecture.into(),
            os: os.into(),
            variant: variant.into(),
            ..Self::default()
        }
        .normalized()
    }

    /// The platform of the machine that this program was built for. Images are Linux images, so on
    /// another system it is Linux on this machine's processor.
    pub fn of_this_machine() -> Self {
        Self::new("linux", std::env::consts::ARCH, if cfg!(target_arch = "arm") { "v7" } else { "" })
    }

    /// The same platform in one spelling: `aarch64` is `arm64`, `arm64/v8` is `arm64`.
    #[must_use]
    pub fn normalized(&self) -> Self {
        let architecture = self.architecture.to_lowercase();
        let variant = self.variant.to_lowercase();
        let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
            ("i386" | "x86", _) => ("386", ""),
            ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
            ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
            ("aarch64", variant) => ("arm64", variant),
            ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
            ("armel", _) | ("arm", "6") => ("arm", "v6"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "8") => ("arm", "v8"),
            (architecture, variant) => (architecture, variant),
        };
        Self {
            architecture: architecture.into(),
            os: match self.os.to_lowercase().as_str() {
                "macos" => "darwin".into(),
                os => os.into(),
            },
            variant: variant.into(),
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
        }
    }

    /// The platforms that run where this one runs, best first: `arm/v7` also runs v6 and v5, and
    /// `arm64` runs 32-bit ARM.
    pub fn runs(&self) -> Vec<Self> {
        let this = self.normalized();
        let like = |architecture: &str, variant: &str| Self {
            architecture: architecture.into(),
            variant: variant.into(),
            ..this.clone()
        };
        let number = this.variant.strip_prefix('v').and_then(|v| v.parse::<u32>().ok());
        let mut all = vec![this.clone()];
        match (this.architecture.as_str(), number) {
            ("amd64", Some(level)) => {
                all.extend((2..level).rev().map(|v| like("amd64", &format!("v{v}"))));
                all.push(like("amd64", ""));
                all.push(like("386", ""));
            }
            ("amd64", None) => all.push(like("386", "")),
            ("arm", Some(level)) => {
                all.extend((5..level).rev().map(|v| like("arm", &format!("v{v}"))));
            }
            ("arm64", level) => {
                if level.is_some() {
                    all.push(like("arm64", ""));
                }
                all.extend((5..=8).rev().map(|v| like("arm", &format!("v{v}"))));
            }
            _ => {}
        }
        all
    }

    /// Is `other` exactly this platform, whatever the spelling?
    pub fn is(&self, other: &Self) -> bool {
        let (a, b) = (self.normalized(), other.normalized());
        a.os == b.os && a.architecture == b.architecture && a.variant == b.variant
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let error = |reason| PlatformError { text: text.into(), reason };
        let parts: Vec<&str> = text.split('/').collect();
        let word = |p: &str| {
            !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        };
        if !parts.iter().all(|p| word(p)) {
            return Err(error("expected os/architecture/variant"));
        }
        match parts[..] {
            [one] if OSES.contains(&one.to_lowercase().as_str()) => {
                let machine = Self::of_this_machine();
                Ok(Self::new(one, &machine.architecture, &machine.variant))
            }
            [one] => {
                let platform = Self::new("linux", one, "");
                let known = [
                    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le",
                    "mipsle", "ppc64", "ppc64le", "riscv64", "s390x", "wasm",
                ];
                if known.contains(&platform.architecture.as_str()) {
                    Ok(platform)
                } else {
                    Err(error("neither a system nor an architecture that is known"))
                }
            }
            [os, architecture] => Ok(Self::new(os, architecture, "")),
            [os, architecture, variant] => Ok(Self::new(os, architecture, variant)),
            _ => Err(error("expected os/architecture/variant")),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_users_write() {
        for (text, expected) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("Linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armhf", "linux/arm/v7"),
            ("s390x", "linux/s390x"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), expected);
        }
        for text in ["", "/", "linux/", "nosuch", "a/b/c/d", "linux/am d64"] {
            assert!(text.parse::<Platform>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn knows_what_else_runs() {
        let runs = |text: &str| {
            let platform: Platform = text.parse().unwrap();
            platform.runs().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(runs("linux/arm/v7"), "linux/arm/v7 linux/arm/v6 linux/arm/v5");
        assert_eq!(runs("linux/amd64"), "linux/amd64 linux/386");
        assert!(runs("linux/arm64").starts_with("linux/arm64 linux/arm/v8 linux/arm/v7"));
        assert_eq!(runs("linux/s390x"), "linux/s390x");
    }
}
