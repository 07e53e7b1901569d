//! Platforms: os, architecture, variant, and Docker's way of matching them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The systems that a single word may name; a word that is neither here nor in [`ARCHITECTURES`] is
/// refused. Both lists are containerd's.
const OSES: [&str; 17] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
    "zos",
];
/// The architectures that a single word may name.
const ARCHITECTURES: [&str; 24] = [
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "arm64",
    "arm64be",
    "armbe",
    "loong64",
    "mips",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "mipsle",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
];

/// Bounds a variant's level, `2` of `amd64/v2`: each one below it is tried. Real ones end at 9; a
/// greater one, which only a hostile request has, runs nothing but itself.
const LEVEL_MAX: u32 = 64;
/// The lowest 32-bit ARM that Go's words know.
const ARM_LEVEL_MIN: u32 = 5;
/// The 32-bit ARM that every 64-bit one runs.
const ARM_LEVEL_OF_ARM64: u32 = 8;

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
    #[serde(
        rename = "os.version",
        default,
        skip_serializing_if = "String::is_empty"
    )]
    pub os_version: String,
    /// Kept as it is.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
}

/// Why a text is not a platform, in Docker's words (containerd's `platforms.Parse`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}: invalid argument")]
pub struct PlatformError(String);

/// What a part of a platform may be, as Docker says it.
const PART: &str = "^[A-Za-z0-9_.-]+$";
/// The same of the first part, a system with or without its version.
const SYSTEM: &str = r"^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.-]*)\))?$";

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

    /// The platform of the machine that this program was built for, as messages name it. Images are
    /// Linux images, so on another system it is Linux on this machine's processor.
    pub fn of_this_machine() -> Self {
        let architecture = match std::env::consts::ARCH {
            "loongarch64" => "loong64",
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            "powerpc64" => "ppc64",
            other => other,
        };
        Self::new(
            "linux",
            architecture,
            if cfg!(target_arch = "arm") { "v7" } else { "" },
        )
    }

    /// The best platform that this machine's processor runs: what a pull without `--platform` looks
    /// for. On amd64 it carries the processor's level, as with Docker 28.5, so that of an index's
    /// `amd64/v3` and `amd64` the better one is taken.
    pub fn of_this_processor() -> Self {
        let mut platform = Self::of_this_machine();
        match amd64_level() {
            Some(level) if platform.architecture == "amd64" => {
                platform.variant = format!("v{level}");
                platform.normalized()
            }
            _ => platform,
        }
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

    /// The platforms that run where this one runs, best first, as Docker tries them: `arm/v7` also
    /// runs v6 and v5, `amd64` runs 386, and `arm64` runs 32-bit ARM. Empty for a variant of arm64
    /// that nobody knows.
    pub fn runs(&self) -> Vec<Self> {
        let this = self.normalized();
        let like = |architecture: &str, variant: String| {
            let platform = Self {
                architecture: architecture.into(),
                variant,
                ..this.clone()
            };
            platform.normalized()
        };
        let level = this
            .variant
            .strip_prefix('v')
            .unwrap_or(&this.variant)
            .parse::<u32>()
            .ok();
        let level = level.filter(|&level| level <= LEVEL_MAX);
        let arm = |from: u32| {
            (ARM_LEVEL_MIN..from)
                .rev()
                .map(|v| like("arm", format!("v{v}")))
        };
        match this.architecture.as_str() {
            "amd64" => {
                let lower = (1..level.unwrap_or(1))
                    .rev()
                    .map(|v| like("amd64", format!("v{v}")));
                let old = like("386", String::new());
                std::iter::once(this.clone())
                    .chain(lower)
                    .chain([old])
                    .collect()
            }
            "arm" => std::iter::once(this.clone())
                .chain(arm(level.unwrap_or(0)))
                .collect(),
            "arm64" => {
                let all: Vec<_> = arm64_variants(&this.variant)
                    .into_iter()
                    .map(|v| like("arm64", v))
                    .collect();
                if all.is_empty() {
                    return all;
                }
                all.into_iter().chain(arm(ARM_LEVEL_OF_ARM64 + 1)).collect()
            }
            _ => vec![this.clone()],
        }
    }

    /// Does an image for `other` run where this platform's do?
    pub fn can_run(&self, other: &Self) -> bool {
        self.runs().iter().any(|platform| platform.is(other))
    }

    /// Is `other` exactly this platform, whatever the spelling?
    pub fn is(&self, other: &Self) -> bool {
        let (a, b) = (self.normalized(), other.normalized());
        a.os == b.os && a.architecture == b.architecture && a.variant == b.variant
    }
}

/// The variants that an arm64 variant runs, best first: v9.2 is v9.1, v9, and v8.7 down to v8
/// (containerd's table; Arm's architecture manual defines which v8 each v9 builds on).
fn arm64_variants(variant: &str) -> Vec<String> {
    let number = variant.strip_prefix('v').unwrap_or(variant);
    let (major, minor) = match number.split_once('.') {
        Some((major, minor)) => (major, minor.parse::<u32>().ok()),
        None => (number, Some(0)),
    };
    let down = |major: u32, minor: u32| (0..=minor).rev().map(move |m| format!("v{major}.{m}"));
    match (major, minor) {
        ("" | "8", Some(minor @ 0..=9)) => down(8, minor).collect(),
        ("9", Some(minor @ 0..=7)) => {
            let nine = down(9, minor).map(|v| if v == "v9.0" { "v9".into() } else { v });
            nine.chain(down(8, (minor + 5).min(9))).collect()
        }
        _ => Vec::new(),
    }
}

/// The x86-64 level of this processor, 1 to 4, by the System V ABI's table.
fn amd64_level() -> Option<u32> {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        let v2 = has!("cmpxchg16b") && has!("popcnt") && has!("sse3") && has!("ssse3");
        let v2 = v2 && has!("sse4.1") && has!("sse4.2");
        let v3 = v2 && has!("avx") && has!("avx2") && has!("bmi1") && has!("bmi2");
        let v3 = v3 && has!("f16c") && has!("fma") && has!("lzcnt") && has!("movbe");
        let v4 = v3 && has!("avx512f") && has!("avx512bw") && has!("avx512cd");
        let v4 = v4 && has!("avx512dq") && has!("avx512vl");
        Some(1 + u32::from(v2) + u32::from(v3) + u32::from(v4))
    }
    #[cfg(not(target_arch = "x86_64"))]
    None
}

impl FromStr for Platform {
    type Err = PlatformError;

    /// Reads `os[(version)][/architecture[/variant]]`, or an architecture alone.
    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let error = |reason: String| Err(PlatformError(reason));
        if text.contains('*') {
            return error(format!("{text:?}: wildcards not yet supported"));
        }
        let mut parts: Vec<&str> = text.split('/').collect();
        let Some((os, version)) = system(parts[0]) else {
            let part = parts[0];
            return error(format!(
                "{part:?} is an invalid OS component of {text:?}: OSAndVersion specifier component \
                 must match {SYSTEM:?}"
            ));
        };
        if let Some(part) = parts[1..].iter().find(|part| !is_word(part)) {
            return error(format!(
                "{part:?} is an invalid component of {text:?}: platform specifier component must \
                 match {PART:?}"
            ));
        }
        parts[0] = os;
        let platform = match parts[..] {
            [one] => match Self::from_word(one) {
                Some(platform) => platform,
                None => {
                    return error(format!(
                        "{text:?}: unknown operating system or architecture"
                    ));
                }
            },
            [os, architecture] => Self::new(os, architecture, ""),
            [os, architecture, variant] => Self::new(os, architecture, variant),
            _ => return error(format!("{text:?}: cannot parse platform specifier")),
        };
        Ok(Self {
            os_version: version.into(),
            ..platform
        })
    }
}

fn is_word(part: &str) -> bool {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    !part.is_empty() && part.bytes().all(known)
}

/// A system and its version, `windows(10.0.17763)`.
fn system(part: &str) -> Option<(&str, &str)> {
    let (os, version) = match part.split_once('(') {
        Some((os, rest)) => (os, rest.strip_suffix(')')?),
        None => (part, ""),
    };
    let fits = is_word(os) && !os.contains('.') && (version.is_empty() || is_word(version));
    fits.then_some((os, version))
}

impl Platform {
    fn from_word(word: &str) -> Option<Self> {
        let machine = Self::of_this_machine();
        let os = Self::new(word, &machine.architecture, &machine.variant);
        let architecture = Self::new("linux", word, "");
        if OSES.contains(&os.os.as_str()) {
            Some(os)
        } else {
            ARCHITECTURES
                .contains(&architecture.architecture.as_str())
                .then_some(architecture)
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.os.is_empty() {
            return f.write_str("unknown");
        }
        f.write_str(&self.os)?;
        if !self.os_version.is_empty() {
            write!(f, "({})", self.os_version)?;
        }
        for part in [&self.architecture, &self.variant] {
            if !part.is_empty() {
                write!(f, "/{part}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
