//! What of Docker's own `config.json` is about images and not about registries: the format of `images`, and
//! filters that every prune has. Credentials are `wharf_registry`'s business.

use std::io;
use std::path::Path;

use serde::{Deserialize, Deserializer};

use crate::environment::Environment;
use crate::exit::say;

/// Bounds the file, in bytes. Real ones have a few KiB.
const FILE_MAX: u64 = 4 * 1024 * 1024;

/// What some editors put in front of UTF-8.
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// The keys that are looked at. Everything else in the file is none of ours.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct DockerConfig {
    /// The format of `images` where the command line names none.
    #[serde(deserialize_with = "null_is_default")]
    pub images_format: String,
    /// Filters of every prune: `label=x`, `until=24h`.
    #[serde(deserialize_with = "null_is_default")]
    pub prune_filters: Vec<String>,
}

/// Go writes a list that was never made as `null`.
fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads the file, if it is there. One that cannot be read counts for nothing, and is warned of, as with
/// Docker.
pub(crate) fn read(environment: &Environment) -> DockerConfig {
    let Some(path) = environment.credentials().docker_config else {
        return DockerConfig::default();
    };
    match read_file(&path) {
        Ok(config) => config,
        Err(why) => {
            let path = path.display();
            say(&format!(
                "WARNING: Error loading config file: {path}: {why}\n"
            ));
            DockerConfig::default()
        }
    }
}

fn read_file(path: &Path) -> Result<DockerConfig, String> {
    let text = match wharf_os::file::read(path, FILE_MAX) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(DockerConfig::default()),
        Err(error) => return Err(error.to_string()),
    };
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
    if text.trim_ascii().is_empty() {
        return Ok(DockerConfig::default());
    }
    // The library's message may quote a value, and a value may be a password: only where it is.
    serde_json::from_slice(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("it is not valid (line {line}, column {column})")
    })
}
