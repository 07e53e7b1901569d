//! Manifests that are made here, for images that came without one: the same bytes for the same parts.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;

use super::{Kind, Manifest, Parts};
use crate::Descriptor;

/// The fields in the order in which the image-spec lists them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Made<'a> {
    schema_version: u32,
    media_type: &'a str,
    config: &'a Descriptor,
    layers: &'a [Descriptor],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

impl Manifest {
    /// Writes an image's manifest of this media type: its config, its layers with the base first, and
    /// its notes.
    pub fn of_image(
        media_type: &str,
        config: Descriptor,
        layers: Vec<Descriptor>,
        annotations: &BTreeMap<String, String>,
    ) -> Result<Self, serde_json::Error> {
        let raw = Bytes::from(serde_json::to_vec(&Made {
            schema_version: 2,
            media_type,
            config: &config,
            layers: &layers,
            annotations,
        })?);
        Ok(Self {
            descriptor: Descriptor::of(media_type, &raw),
            raw,
            kind: Kind::Image(Parts {
                config,
                layers,
                subject: None,
                artifact_type: None,
            }),
        })
    }
}
