//! Image configs: what Docker shows of an image, its own extensions among them.

mod run;

use bytes::Bytes;
use serde::Deserialize;

pub use self::run::{Empty, Healthcheck, RunConfig, StringOrList};
use crate::go_json::{self, ReadError};
use crate::limits::DOCUMENT_MAX;
use crate::{Digest, Platform};

/// An image's config. Its digest is the image's ID.
#[derive(Clone, Debug)]
pub struct ImageConfig {
    /// Its bytes, as they came.
    pub raw: Bytes,
    /// What they say, as far as wharf looks at it.
    pub fields: Fields,
}

/// The fields of an image's config that wharf looks at. Everything else stays in the raw bytes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    /// When it was made, as it is written there.
    pub created: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// Docker: the commit's message.
    pub comment: Option<String>,
    /// Docker: the version that made it.
    pub docker_version: Option<String>,
    /// For which processor it is.
    pub architecture: String,
    /// For which system it is.
    pub os: String,
    /// `v8` of `arm64/v8`.
    pub variant: String,
    /// Windows' build number.
    #[serde(rename = "os.version")]
    pub os_version: String,
    /// How a container of it runs.
    pub config: RunConfig,
    /// Its layers.
    pub rootfs: RootFs,
    /// How it was built.
    pub history: Vec<History>,
}

/// The image's layers, unpacked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The digests of the layers' tars, the base first.
    pub diff_ids: Vec<Digest>,
}

/// One step of the build.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct History {
    /// When.
    pub created: Option<String>,
    /// By which command.
    pub created_by: String,
    /// By whom.
    pub author: String,
    /// A note.
    pub comment: String,
    /// Has it made no layer?
    pub empty_layer: bool,
}

/// Why bytes are not an image's config.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is too long to read.
    #[error("the image's config has {0} bytes; at most {DOCUMENT_MAX} are read")]
    TooLarge(u64),
    /// It is not JSON, or a field has the wrong type.
    #[error("the image's config is not valid")]
    Json(#[from] ReadError),
    /// Its history has more steps that made a layer than it has layers (Docker's words).
    #[error("too many non-empty layers in History section")]
    History,
}

impl ImageConfig {
    /// Reads a config, with everything that is shown of it: what this takes can be shown.
    pub fn parse(raw: Bytes) -> Result<Self, ConfigError> {
        if raw.len() as u64 > DOCUMENT_MAX {
            return Err(ConfigError::TooLarge(raw.len() as u64));
        }
        let fields = go_json::from_slice(&raw)?;
        Ok(Self { raw, fields })
    }

    /// Checks that each step that made a layer has one, as Docker 28.5 does before it keeps an image:
    /// the history cannot be shown otherwise.
    pub fn check_history(&self) -> Result<(), ConfigError> {
        let layers = self.fields.rootfs.diff_ids.len();
        let steps = self.fields.history.iter().filter(|step| !step.empty_layer);
        if steps.count() > layers {
            return Err(ConfigError::History);
        }
        Ok(())
    }

    /// For what the image is built.
    pub fn platform(&self) -> Platform {
        Platform {
            architecture: self.fields.architecture.clone(),
            os: self.fields.os.clone(),
            variant: self.fields.variant.clone(),
            os_version: self.fields.os_version.clone(),
            os_features: Vec::new(),
        }
    }

    /// When the image was made. Absent or unreadable dates count as never.
    pub fn created(&self) -> Option<jiff::Timestamp> {
        self.fields
            .created
            .as_deref()
            .and_then(|text| text.parse().ok())
    }

    /// The chain IDs of the layers, the base first: what Docker calls a layer in `Deleted:` lines.
    pub fn chain_ids(&self) -> Vec<Digest> {
        chain_ids(&self.fields.rootfs.diff_ids)
    }
}

/// A chain ID names a stack of layers: the first one's diff ID, then the digest of
/// `parent's chain ID, space, diff ID` (OCI image-spec, config.md).
pub fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let id = match chain.last() {
            None => diff_id.clone(),
            Some(parent) => Digest::of(format!("{parent} {diff_id}").as_bytes()),
        };
        chain.push(id);
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_writes() {
        let raw = br#"{"architecture":"amd64","os":"linux","config":{"Labels":null},"rootfs":{"type":"layers","diff_ids":null},"history":null}"#;
        let config = ImageConfig::parse(Bytes::from_static(raw)).unwrap();
        assert_eq!(config.platform().to_string(), "linux/amd64");
        assert!(config.chain_ids().is_empty() && config.created().is_none());
    }

    #[test]
    fn computes_docker_s_chain_ids() {
        // From `docker rmi` of a two-layer image, Docker 28.5.
        let diff_ids = [
            "sha256:054943f8823587377ab4a06d83ab4116caf7116453c8fbe4788cf1a8aff40cbc",
            "sha256:b32e56e441423b805d9642de01072da1b26006e290d7a9a2dc48767c158b0cb4",
        ]
        .map(|text| text.parse().unwrap());
        let chain = chain_ids(&diff_ids);
        assert_eq!(chain[0], diff_ids[0]);
        assert_eq!(
            chain[1].as_str(),
            "sha256:07480d0408f99975ac267c9d8de311f8f3b2bcfb704490ecbe85936bc7194c8a"
        );
    }
}
