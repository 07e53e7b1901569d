//! Images: config, layers, manifest. An artifact is an image with another config.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};
use wharf_core::media_type::{self as types, Compression};
use wharf_core::{Descriptor, Digest, Platform};

use super::layer::{Layer, PackedLayer};

/// Whose media types an image has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// Docker, version 2, schema 2.
    Docker,
    /// OCI.
    Oci,
}

impl Flavor {
    const fn manifest(self) -> &'static str {
        match self {
            Self::Docker => types::DOCKER_MANIFEST,
            Self::Oci => types::OCI_MANIFEST,
        }
    }

    pub(super) const fn index(self) -> &'static str {
        match self {
            Self::Docker => types::DOCKER_LIST,
            Self::Oci => types::OCI_INDEX,
        }
    }

    const fn config(self) -> &'static str {
        match self {
            Self::Docker => types::DOCKER_CONFIG,
            Self::Oci => types::OCI_CONFIG,
        }
    }

    const fn layer(self, compression: Compression) -> &'static str {
        match (self, compression) {
            (Self::Docker, Compression::Gzip) => types::DOCKER_LAYER_GZIP,
            (Self::Docker, Compression::None) => types::DOCKER_LAYER,
            (Self::Oci, Compression::Gzip) => types::OCI_LAYER_GZIP,
            (Self::Oci, Compression::None) => types::OCI_LAYER,
            // Docker has no type of its own for zstd.
            (_, Compression::Zstd) => types::OCI_LAYER_ZSTD,
        }
    }
}

/// An image in the making.
#[derive(Clone)]
pub struct Image {
    flavor: Flavor,
    platform: Platform,
    created: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    layers: Vec<Layer>,
    wrong_diff_id: Option<usize>,
    artifact_type: Option<String>,
    subject: Option<Descriptor>,
}

/// An image, or an artifact, with all its bytes.
#[derive(Clone, Debug)]
pub struct BuiltImage {
    /// The manifest's descriptor.
    pub manifest: Descriptor,
    /// The manifest's bytes.
    pub raw: Bytes,
    /// The config's descriptor; its digest is the image's ID.
    pub config: Descriptor,
    /// The layers' descriptors, the base first.
    pub layers: Vec<Descriptor>,
    /// The digests of the layers' tars, as they are, whatever the config says.
    pub diff_ids: Vec<Digest>,
    /// The sum of the regular files' sizes, in bytes.
    pub size: u64,
    /// Config and layers with their bytes, each once.
    pub blobs: Vec<(Descriptor, Bytes)>,
    /// For which platform it is; `None` for an artifact.
    pub platform: Option<Platform>,
}

impl Image {
    /// Starts with no layers, OCI's media types, and this machine's platform.
    pub fn builder() -> Self {
        Self {
            flavor: Flavor::Oci,
            platform: Platform::of_this_machine(),
            created: "2024-01-01T00:00:00Z".into(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            layers: Vec::new(),
            wrong_diff_id: None,
            artifact_type: None,
            subject: None,
        }
    }

    /// An image of `layers` layers, each with a file of `len` bytes that do not compress.
    pub fn random(seed: u64, layers: usize, len: usize) -> Self {
        let seeds = (0..layers as u64).map(|n| seed.wrapping_mul(1000).wrapping_add(n));
        seeds.fold(Self::builder(), |image, seed| {
            image.layer(Layer::random(seed, len))
        })
    }

    /// Uses Docker's or OCI's media types.
    #[must_use]
    pub const fn flavor(mut self, flavor: Flavor) -> Self {
        self.flavor = flavor;
        self
    }

    /// Adds a layer on top.
    #[must_use]
    pub fn layer(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }

    /// Makes it for another platform.
    #[must_use]
    pub fn platform(mut self, platform: Platform) -> Self {
        self.platform = platform;
        self
    }

    /// Says when it was made.
    #[must_use]
    pub fn created(mut self, created: &str) -> Self {
        self.created = created.into();
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Adds an annotation to the manifest.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// Lies in the config about what the layer of this number holds.
    #[must_use]
    pub const fn wrong_diff_id(mut self, layer: usize) -> Self {
        self.wrong_diff_id = Some(layer);
        self
    }

    /// Makes it an artifact of this type: its config is empty.
    #[must_use]
    pub fn artifact_type(mut self, artifact_type: &str) -> Self {
        self.artifact_type = Some(artifact_type.into());
        self
    }

    /// Makes it refer to another manifest.
    #[must_use]
    pub fn subject(mut self, subject: &Descriptor) -> Self {
        self.subject = Some(Descriptor::new(
            &*subject.media_type,
            subject.digest.clone(),
            subject.size,
        ));
        self
    }

    /// Computes everything.
    pub fn build(self) -> BuiltImage {
        let layers: Vec<PackedLayer> = self.layers.iter().cloned().map(Layer::pack).collect();
        let (config, config_bytes) = self.config(&layers);
        let descriptors: Vec<Descriptor> = layers
            .iter()
            .map(|layer| Descriptor::of(self.flavor.layer(layer.compression), &layer.blob))
            .collect();
        let raw = self.manifest(&config, &descriptors);
        let mut blobs = vec![(config.clone(), config_bytes)];
        for (descriptor, layer) in descriptors.iter().zip(&layers) {
            if blobs
                .iter()
                .all(|(known, _)| known.digest != descriptor.digest)
            {
                blobs.push((descriptor.clone(), layer.blob.clone()));
            }
        }
        BuiltImage {
            manifest: Descriptor::of(self.flavor.manifest(), &raw),
            raw,
            config,
            layers: descriptors,
            diff_ids: layers.iter().map(|layer| layer.diff_id.clone()).collect(),
            size: layers.iter().map(|layer| layer.size).sum(),
            blobs,
            platform: self.artifact_type.is_none().then_some(self.platform),
        }
    }

    fn config(&self, layers: &[PackedLayer]) -> (Descriptor, Bytes) {
        if self.artifact_type.is_some() {
            let bytes = Bytes::from_static(b"{}");
            return (Descriptor::of(types::OCI_EMPTY, &bytes), bytes);
        }
        let diff_ids: Vec<Digest> = layers
            .iter()
            .enumerate()
            .map(|(n, layer)| match self.wrong_diff_id {
                Some(wrong) if wrong == n => Digest::of(b"something else"),
                _ => layer.diff_id.clone(),
            })
            .collect();
        let steps = (0..layers.len())
            .map(|n| json!({ "created": self.created, "created_by": format!("COPY layer {n} /") }));
        let mut config = json!({
            "architecture": self.platform.architecture,
            "os": self.platform.os,
            "created": self.created,
            "config": { "Cmd": ["/bin/sh"], "Labels": self.labels },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": steps.collect::<Vec<_>>(),
        });
        if !self.platform.variant.is_empty() {
            config["variant"] = json!(self.platform.variant);
        }
        let bytes = to_bytes(&config);
        (Descriptor::of(self.flavor.config(), &bytes), bytes)
    }

    fn manifest(&self, config: &Descriptor, layers: &[Descriptor]) -> Bytes {
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": self.flavor.manifest(),
            "config": config,
            "layers": layers,
        });
        if let Some(artifact_type) = &self.artifact_type {
            manifest["artifactType"] = json!(artifact_type);
        }
        if let Some(subject) = &self.subject {
            manifest["subject"] = json!(subject);
        }
        if !self.annotations.is_empty() {
            manifest["annotations"] = json!(self.annotations);
        }
        to_bytes(&manifest)
    }
}

pub(super) fn to_bytes(value: &Value) -> Bytes {
    // Indented, as Docker writes it: whoever serialises a manifest again changes its digest.
    serde_json::to_vec_pretty(value)
        .expect("a JSON value can be written")
        .into()
}
