//! Settings: `config.toml`.
//!
//! `/etc/wharf/config.toml`, then the user's file over it; or one file alone, if the command line or
//! the environment names it. A key that wharf does not know is an error: a misspelt `mirrors` would
//! otherwise send a company's pulls to the internet without a word.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, de};
use toml::Spanned;
use wharf_core::Reference;
use wharf_engine::settings::PARALLEL_DEFAULT;
use wharf_engine::{Settings, Verify};
use wharf_registry::ShownUrl;
use wharf_registry::settings::HostSettings;

use crate::environment::Environment;
use crate::exit::Failure;

/// Bounds a settings file, in bytes. A hundred registries with mirrors take a tenth of it.
const FILE_MAX: u64 = 256 * 1024;

/// Bounds downloads at once: beyond this, registries count it as abuse.
const PARALLEL_MAX: usize = 64;

/// Bounds the least rate of transfers, in bytes a second: beyond a megabyte, ordinary lines count as broken.
const MIN_RATE_MAX: u64 = 1024 * 1024;

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read settings: {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its content is wrong.
    #[error("{path}:{line}: {reason}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        let message = error.to_string();
        match error {
            SettingsError::Content { .. } => {
                Self::with_hint(message, "correct the file, or name another with --config")
            }
            _ => Self::error(message),
        }
    }
}

/// One file, as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct Written {
    #[serde(default)]
    pull: Pull,
    #[serde(default)]
    registry: BTreeMap<Spanned<String>, Registry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct Pull {
    #[serde(default, deserialize_with = "parallel")]
    parallel: Option<usize>,
    #[serde(default, deserialize_with = "verify")]
    verify: Option<Verify>,
    #[serde(default, deserialize_with = "min_rate")]
    min_rate: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct Registry {
    #[serde(default, deserialize_with = "mirrors")]
    mirrors: Option<Vec<String>>,
    insecure: Option<bool>,
}

/// Reads the settings: `named` alone if it is given, else the files that are there.
pub(crate) fn read(environment: &Environment, named: Option<&Path>) -> Result<Settings, Failure> {
    let named = named
        .map(Path::to_path_buf)
        .or_else(|| environment.config());
    check_authorities(environment)?;
    let mut settings = defaults(environment);
    match named {
        Some(path) => apply(&mut settings, read_file(&path)?),
        None => {
            for path in environment.config_files() {
                match read_file(&path) {
                    Ok(written) => apply(&mut settings, written),
                    Err(SettingsError::Read { source, .. }) if is_absent(&source) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
    Ok(settings)
}

/// Refuses a file of authorities that the TLS library would wait for.
fn check_authorities(environment: &Environment) -> Result<(), Failure> {
    let Some(path) = environment.authorities() else {
        return Ok(());
    };
    match wharf_os::file::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(Failure::error(format!(
            "cannot read SSL_CERT_FILE={}: {error}",
            path.display()
        ))),
        _ => Ok(()),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn defaults(environment: &Environment) -> Settings {
    let registry = wharf_registry::Settings {
        certificate_folders: environment.certificate_folders(),
        credentials: environment.credentials(),
        proxies: environment.proxies(),
        ..Default::default()
    };
    Settings {
        registry,
        parallel: PARALLEL_DEFAULT,
        verify: Verify::default(),
        zone: environment.zone(),
    }
}

/// Lays what a file says over what is known so far.
fn apply(settings: &mut Settings, written: Written) {
    settings.parallel = written.pull.parallel.unwrap_or(settings.parallel);
    settings.verify = written.pull.verify.unwrap_or(settings.verify);
    let rate = &mut settings.registry.min_rate.bytes_per_second;
    *rate = written.pull.min_rate.unwrap_or(*rate);
    for (name, registry) in written.registry {
        let domain = domain(name.get_ref()).unwrap_or_else(|| name.into_inner());
        let host: &mut HostSettings = settings.registry.registries.entry(domain).or_default();
        if let Some(mirrors) = registry.mirrors {
            host.mirrors = mirrors;
        }
        host.insecure = registry.insecure.unwrap_or(host.insecure);
    }
}

fn read_file(path: &Path) -> Result<Written, SettingsError> {
    let read = |source| SettingsError::Read {
        path: path.to_owned(),
        source,
    };
    let text = wharf_os::file::read_text(path, FILE_MAX).map_err(read)?;
    let content = |span: Option<Range<usize>>, reason| {
        let before = text
            .get(..span.map_or(0, |span| span.start))
            .unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        SettingsError::Content {
            path: path.to_owned(),
            line,
            reason,
        }
    };
    let written: Written =
        toml::from_str(&text).map_err(|error| content(error.span(), reason(error.message())))?;
    for name in written.registry.keys() {
        if domain(name.get_ref()).is_none() {
            let text = ShownUrl::of_text(name.get_ref()).to_string();
            let reason = format!("{text:?} is not a registry: expected HOST or HOST:PORT");
            return Err(content(Some(name.span()), reason));
        }
    }
    Ok(written)
}

/// A registry's name as references have it; `None` if it is none.
fn domain(name: &str) -> Option<String> {
    let reference: Reference = format!("{name}/x/x").parse().ok()?;
    let whole = reference.path().ends_with("x/x") && reference.path().len() == "x/x".len();
    whole.then(|| reference.domain().to_owned())
}

/// serde's words in an operator's.
fn reason(message: &str) -> String {
    let message = message.replace('\n', " ");
    if message.starts_with("unknown field") {
        return message
            .replace("unknown field", "unknown key")
            .replace(", expected one of", "; known are")
            .replace(", expected `", "; known are `");
    }
    let kinds = message.strip_prefix("invalid type: ");
    match kinds.and_then(|kinds| kinds.split_once(", expected ")) {
        Some((found, expected)) => {
            let expected = expected.replace("a sequence", "a list");
            let found = without_secrets(found);
            format!("{expected} is expected here, and not the {found}")
        }
        None => message,
    }
}

/// A value that serde quotes, as far as it may be shown: an address may hold a password.
fn without_secrets(found: &str) -> String {
    let text = found.strip_prefix("string \"");
    match text.and_then(|text| text.strip_suffix('"')) {
        Some(text) => format!("string \"{}\"", ShownUrl::of_text(text)),
        None => found.to_owned(),
    }
}

fn parallel<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let expected = || de::Error::custom(format!("parallel is a number from 1 to {PARALLEL_MAX}"));
    let value = toml::Value::deserialize(deserializer)?;
    let number = value
        .as_integer()
        .and_then(|n| usize::try_from(n).ok())
        .ok_or_else(expected)?;
    if (1..=PARALLEL_MAX).contains(&number) {
        Ok(Some(number))
    } else {
        Err(expected())
    }
}

fn min_rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = toml::Value::deserialize(deserializer)?;
    let number = value.as_integer().and_then(|n| u64::try_from(n).ok());
    match number.filter(|number| *number <= MIN_RATE_MAX) {
        Some(number) => Ok(Some(number)),
        None => Err(de::Error::custom(format!(
            "min_rate is a number of bytes a second from 0 to {MIN_RATE_MAX}"
        ))),
    }
}

fn verify<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Verify>, D::Error> {
    let value = toml::Value::deserialize(deserializer)?;
    match value.as_str() {
        Some("full") => Ok(Some(Verify::Full)),
        Some("digest") => Ok(Some(Verify::Digest)),
        _ => Err(de::Error::custom(r#"verify is "full" or "digest""#)),
    }
}

fn mirrors<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let mirrors = Vec::<String>::deserialize(deserializer)?;
    for mirror in &mirrors {
        let scheme = mirror.split_once("://").map(|(scheme, _)| scheme);
        let host = mirror.rsplit("://").next().unwrap_or_default();
        let known = matches!(scheme, None | Some("http" | "https"));
        if !known || host.is_empty() || host.contains(char::is_whitespace) {
            let mirror = ShownUrl::of_text(mirror).to_string();
            return Err(de::Error::custom(format!(
                "{mirror:?} is not a mirror: expected https://HOST, http://HOST or HOST"
            )));
        }
    }
    Ok(Some(mirrors))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn written(text: &str) -> Result<Written, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        read_file(file.path()).map_err(|error| error.to_string().replace(&path, "FILE"))
    }

    #[test]
    fn reads_what_the_documentation_shows() {
        let text = r#"
            [pull]
            parallel = 3
            verify = "digest"
            [registry."index.docker.io"]
            mirrors = ["https://mirror.corp", "http://127.0.0.1:5000"]
            [registry."registry.corp:5000"]
            insecure = true
        "#;
        let environment = Environment {
            program: crate::environment::Program::Wharf,
            docker_config: None,
        };
        let mut settings = defaults(&environment);
        apply(&mut settings, written(text).unwrap());
        assert_eq!((settings.parallel, settings.verify), (3, Verify::Digest));
        let registries = &settings.registry.registries;
        assert_eq!(registries["docker.io"].mirrors.len(), 2);
        assert!(registries["registry.corp:5000"].insecure);

        let over = "[registry.\"docker.io\"]\ninsecure = false\n[pull]\nparallel = 4";
        apply(&mut settings, written(over).unwrap());
        assert_eq!((settings.parallel, settings.verify), (4, Verify::Digest));
        assert_eq!(settings.registry.registries["docker.io"].mirrors.len(), 2);
    }

    #[test]
    fn says_which_key_it_does_not_know_and_which_it_does() {
        assert_eq!(
            written("[pull]\n\nparalel = 3\n").unwrap_err(),
            "FILE:3: unknown key `paralel`; known are `parallel`, `verify`, `min_rate`"
        );
        assert_eq!(
            written("[registry.x]\n[pul]\n").unwrap_err(),
            "FILE:2: unknown key `pul`; known are `pull` or `registry`"
        );
    }

    #[test]
    fn says_what_a_value_may_be() {
        for (text, expected) in [
            (
                "[pull]\nparallel = 0",
                "FILE:2: parallel is a number from 1 to 64",
            ),
            (
                "[pull]\nparallel = \"6\"",
                "FILE:2: parallel is a number from 1 to 64",
            ),
            (
                "[pull]\nverify = \"some\"",
                "FILE:2: verify is \"full\" or \"digest\"",
            ),
            (
                "pull = 3",
                "FILE:1: a table is expected here, and not the integer `3`",
            ),
            (
                "[registry.x]\nmirrors = \"http://x\"",
                "FILE:2: a list is expected here, and not the string \"http://x\"",
            ),
            (
                "[registry.x]\nmirrors = [\"ftp://x\"]",
                "FILE:2: \"ftp://x\" is not a mirror: expected https://HOST, http://HOST or HOST",
            ),
            (
                "\n[registry.\"https://x\"]\n",
                "FILE:2: \"https://x\" is not a registry: expected HOST or HOST:PORT",
            ),
        ] {
            assert_eq!(written(text).unwrap_err(), expected);
        }
        let unclosed = written("[pull\n").unwrap_err();
        assert!(unclosed.starts_with("FILE:1: "), "{unclosed}");
        assert!(!unclosed.contains("known are"), "{unclosed}");
    }

    #[test]
    fn a_huge_file_is_refused_unread() {
        let text = "#".repeat(usize::try_from(FILE_MAX).unwrap() + 1);
        assert!(written(&text).unwrap_err().contains("more than"));
    }
}
