//! The documents of an archive, as JSON has them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wharf_core::Descriptor;

/// containerd's annotation: the full name.
pub(super) const IMAGE_NAME: &str = "io.containerd.image.name";
/// The image-spec's annotation: a tag, or what the writer takes for a name.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// wharf's own: was the image made here, out of plain archives? Tells a push to compress its layers.
pub(super) const LOCAL: &str = "dev.wharf.local";

pub(super) const INDEX: &str = "index.json";
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const LAYOUT: &str = "oci-layout";
pub(super) const REPOSITORIES: &str = "repositories";
/// The only version of the layout.
pub(super) const LAYOUT_CONTENT: &[u8] = br#"{"imageLayoutVersion": "1.0.0"}"#;

/// One image of manifest.json (Docker 28.5: save).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Item {
    /// The config's path.
    pub(super) config: String,
    /// Its names, as Docker shows them.
    pub(super) repo_tags: Option<Vec<String>>,
    /// The layers' paths, the base first.
    pub(super) layers: Option<Vec<String>>,
}

/// index.json, as it is written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WrittenIndex {
    pub(super) schema_version: u32,
    pub(super) media_type: &'static str,
    pub(super) manifests: Vec<Descriptor>,
}

/// index.json, as it is read.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadIndex {
    pub(super) manifests: Option<Vec<Descriptor>>,
}

/// repositories: a layer for each tag of each repository.
pub(super) type Repositories = BTreeMap<String, BTreeMap<String, String>>;
