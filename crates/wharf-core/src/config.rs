//! Image configs: what Docker shows of an image, its own extensions among them.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Deserializer};

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
pub struct Fields {
    /// When it was made, as it is written there.
    #[serde(default)]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default)]
    pub author: Option<String>,
    /// Docker: the commit's message.
    #[serde(default)]
    pub comment: Option<String>,
    /// Docker: the version that made it.
    #[serde(default)]
    pub docker_version: Option<String>,
    /// For which processor it is.
    #[serde(default)]
    pub architecture: String,
    /// For which system it is.
    #[serde(default)]
    pub os: String,
    /// `v8` of `arm64/v8`.
    #[serde(default)]
    pub variant: String,
    /// Windows' build number.
    #[serde(rename = "os.version", default)]
    pub os_version: String,
    /// How a container of it runs.
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: RunConfig,
    /// Its layers.
    #[serde(default, deserialize_with = "null_is_default")]
    pub rootfs: RootFs,
    /// How it was built.
    #[serde(default, deserialize_with = "null_is_default")]
    pub history: Vec<History>,
}

/// How a container of the image runs, as far as wharf looks at it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RunConfig {
    /// The image's labels.
    #[serde(rename = "Labels", default, deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
}

/// The image's layers, unpacked.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The digests of the layers' tars, the base first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub diff_ids: Vec<Digest>,
}

/// One step of the build.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct History {
    /// When.
    #[serde(default)]
    pub created: Option<String>,
    /// By which command.
    #[serde(default)]
    pub created_by: String,
    /// By whom.
    #[serde(default)]
    pub author: String,
    /// A note.
    #[serde(default)]
    pub comment: String,
    /// Has it made no layer?
    #[serde(default)]
    pub empty_layer: bool,
}

/// Why bytes are not an image's config.
#[derive(Debug, thiserror::Error)]
#[error("the image's config is not valid")]
pub struct ConfigError(#[from] serde_json::Error);

impl ImageConfig {
    /// Reads a config.
    pub fn parse(raw: Bytes) -> Result<Self, ConfigError> {
        let fields = serde_json::from_slice(&raw)?;
        Ok(Self { raw, fields })
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

/// Go writes an empty list or map as `null`.
pub(crate) fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
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
