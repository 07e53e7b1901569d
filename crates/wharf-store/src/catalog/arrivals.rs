//! Blobs and manifests, as they arrive. A blob's row is written when its file is durable; a manifest's
//! row, and all that is computed from it, when everything that it needs is here.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension as _, params};
use serde::Deserialize;
use wharf_core::go_json;
use wharf_core::layer::LayerFacts;
use wharf_core::manifest::{Kind, Parts};
use wharf_core::media_type::is_manifest;
use wharf_core::{ContentError, Descriptor, Digest, ImageConfig, Manifest};

use super::Writing;
use crate::{Result, StoreError};

/// A manifest whose file is durable.
pub(crate) struct ManifestArrival<'a> {
    pub(crate) manifest: &'a Manifest,
    /// Its config, for an image. `None` for an image that is to be kept as an artifact.
    pub(crate) config: Option<&'a ImageConfig>,
    /// Where it came from, for errors.
    pub(crate) place: &'a str,
    /// Takes what isn't here as missing, instead of refusing the manifest: for a repair.
    pub(crate) incomplete: bool,
}

impl Writing<'_> {
    /// Says that a blob is here: its file is durable and right.
    pub(crate) fn arrive(
        &mut self,
        digest: &Digest,
        size: u64,
        facts: Option<&LayerFacts>,
    ) -> Result<()> {
        self.rows
            .prepare_cached(
                "INSERT INTO blobs (digest, size, here, diff_id, unpacked) VALUES (?1, ?2, 1, ?3, ?4) \
                 ON CONFLICT (digest) DO UPDATE SET size = ?2, here = 1",
            )?
            .execute(params![
                digest.as_str(),
                size,
                facts.map(|facts| facts.diff_id.as_str()),
                facts.map(|facts| facts.size),
            ])?;
        facts.map_or(Ok(()), |facts| self.set_facts(digest, facts))
    }

    /// Says that a manifest is here, with all that it needs, and computes what it shows.
    pub(crate) fn arrive_manifest(&mut self, arrival: &ManifestArrival<'_>) -> Result<()> {
        let manifest = arrival.manifest;
        let digest = &manifest.descriptor.digest;
        self.arrive(digest, manifest.descriptor.size, None)?;
        let id = self
            .id(digest)?
            .ok_or_else(|| StoreError::Unknown(digest.clone()))?;
        let children = self.present_children(arrival)?;
        let image = match (&manifest.kind, arrival.config) {
            (Kind::Image(parts), Some(config)) => {
                self.check_layers(arrival, parts, config)?;
                Some(self.put_image(id, config, &children)?)
            }
            _ => None,
        };
        self.put_manifest_row(id, arrival, image)?;
        let old = self.ids("SELECT child FROM edges WHERE parent = ?1", id)?;
        self.rows
            .prepare_cached("DELETE FROM edges WHERE parent = ?1")?
            .execute([id])?;
        for (position, child) in children {
            self.rows
                .prepare_cached("INSERT INTO edges (parent, position, child) VALUES (?1, ?2, ?3)")?
                .execute([id, position, child])?;
        }
        if arrival.incomplete {
            self.rows
                .prepare_cached(
                    "UPDATE manifests SET complete = NOT EXISTS (SELECT 1 FROM edges e \
                     JOIN blobs b ON b.id = e.child WHERE e.parent = ?1 AND NOT b.here) \
                     WHERE id = ?1",
                )?
                .execute([id])?;
        }
        self.loose.extend(old);
        Ok(())
    }

    /// The manifest's children that are here, by their place in it. An image or an artifact has all of
    /// them here, or is refused.
    fn present_children(&mut self, arrival: &ManifestArrival<'_>) -> Result<Vec<(i64, i64)>> {
        let is_index = matches!(arrival.manifest.kind, Kind::Index(_));
        let mut present = Vec::new();
        for (position, child) in (0..).zip(arrival.manifest.children()) {
            let found = self.present(child)?;
            match found {
                Some((id, size)) if size == child.size => present.push((position, id)),
                Some((_, actual)) => {
                    return Err(StoreError::Content(ContentError::Size {
                        what: child.digest.clone(),
                        expected: child.size,
                        actual,
                        place: arrival.place.to_owned(),
                    }));
                }
                None if is_index => {}
                None if arrival.incomplete => present.push((position, self.expect(child)?)),
                None => {
                    return Err(StoreError::MissingChild {
                        parent: arrival.manifest.descriptor.digest.clone(),
                        child: child.digest.clone(),
                    });
                }
            }
        }
        Ok(present)
    }

    /// Makes a row for a blob that isn't here.
    fn expect(&mut self, what: &Descriptor) -> Result<i64> {
        self.rows
            .prepare_cached(
                "INSERT INTO blobs (digest, size, here) VALUES (?1, ?2, 0) \
                 ON CONFLICT (digest) DO NOTHING",
            )?
            .execute(params![what.digest.as_str(), what.size])?;
        self.id(&what.digest)?
            .ok_or_else(|| StoreError::Unknown(what.digest.clone()))
    }

    fn present(&self, child: &Descriptor) -> Result<Option<(i64, u64)>> {
        let mut statement = self.rows.prepare_cached(
            "SELECT b.id, b.size FROM blobs b LEFT JOIN manifests m ON m.id = b.id \
             WHERE b.digest = ?1 AND b.here AND (m.complete OR NOT ?2)",
        )?;
        let as_manifest = is_manifest(&child.media_type);
        let found = statement.query_row(params![child.digest.as_str(), as_manifest], |row| {
            Ok((row.get(0)?, row.get(1)?))
        });
        Ok(found.optional()?)
    }

    /// Compares what is known of the layers with what the config says of them.
    fn check_layers(
        &self,
        arrival: &ManifestArrival<'_>,
        parts: &Parts,
        config: &ImageConfig,
    ) -> Result<()> {
        let diff_ids = &config.fields.rootfs.diff_ids;
        if diff_ids.len() != parts.layers.len() {
            return Err(StoreError::Content(ContentError::Document {
                what: parts.config.digest.clone(),
                place: arrival.place.to_owned(),
                source: Box::new(LayerCount {
                    config: diff_ids.len(),
                    manifest: parts.layers.len(),
                }),
            }));
        }
        for (layer, expected) in parts.layers.iter().zip(diff_ids) {
            let Some(facts) = self.layer_facts(&layer.digest)? else {
                continue;
            };
            if facts.diff_id.algorithm() == expected.algorithm() && facts.diff_id != *expected {
                return Err(StoreError::Content(ContentError::DiffId {
                    layer: layer.digest.clone(),
                    expected: expected.clone(),
                    actual: facts.diff_id,
                }));
            }
        }
        Ok(())
    }

    /// Writes the image's row and those of its layers. An image that has come with another manifest
    /// before stays as it was shown.
    fn put_image(
        &mut self,
        manifest: i64,
        config: &ImageConfig,
        children: &[(i64, i64)],
    ) -> Result<i64> {
        let image = children.first().map(|(_, id)| *id).unwrap_or_default();
        let platform = config.platform();
        let labels = &config.fields.config.labels;
        let labels = (!labels.is_empty())
            .then(|| serde_json::to_string(labels).ok())
            .flatten();
        let created = config.created().map(jiff::Timestamp::as_microsecond);
        self.rows
            .prepare_cached(
                "INSERT INTO images (id, manifest, created, size, os, architecture, variant, labels) \
                 VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO UPDATE SET \
                 created = ?3, os = ?4, architecture = ?5, variant = ?6, labels = ?7",
            )?
            .execute(params![
                image,
                manifest,
                created,
                platform.os,
                platform.architecture,
                platform.variant,
                labels
            ])?;
        let shown: i64 = self
            .rows
            .prepare_cached("SELECT manifest FROM images WHERE id = ?1")?
            .query_row([image], |row| row.get(0))?;
        if shown == manifest {
            self.put_layers(image, config, children)?;
        }
        Ok(image)
    }

    fn put_layers(&self, image: i64, config: &ImageConfig, children: &[(i64, i64)]) -> Result<()> {
        self.rows
            .prepare_cached("DELETE FROM image_layers WHERE image = ?1")?
            .execute([image])?;
        let layers = children.iter().skip(1);
        let chain_ids = config.chain_ids();
        let ids = config.fields.rootfs.diff_ids.iter().zip(&chain_ids);
        for ((position, (_, layer)), (diff_id, chain_id)) in (0_i64..).zip(layers).zip(ids) {
            self.rows
                .prepare_cached("INSERT INTO image_layers VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![
                    image,
                    position,
                    diff_id.as_str(),
                    chain_id.as_str(),
                    layer
                ])?;
        }
        self.compute_size(image)
    }

    fn put_manifest_row(
        &self,
        id: i64,
        arrival: &ManifestArrival<'_>,
        image: Option<i64>,
    ) -> Result<()> {
        let manifest = arrival.manifest;
        let (kind, subject, artifact_type) = match &manifest.kind {
            Kind::Index(index) => (0, index.subject.as_ref(), None),
            Kind::Image(parts) | Kind::Artifact(parts) => {
                // The distribution-spec: without an artifact type, the config's type stands for it.
                let kind = if image.is_some() { 1 } else { 2 };
                let artifact_type = parts
                    .artifact_type
                    .as_ref()
                    .unwrap_or(&parts.config.media_type);
                (kind, parts.subject.as_ref(), Some(artifact_type.clone()))
            }
        };
        let notes: Notes = go_json::from_slice(&manifest.raw).unwrap_or_default();
        let annotations = (!notes.annotations.is_empty())
            .then(|| serde_json::to_string(&notes.annotations).ok())
            .flatten();
        self.rows
            .prepare_cached(
                "INSERT OR REPLACE INTO manifests (id, kind, media_type, image, children, complete, \
                 subject, artifact_type, annotations) VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7, ?8)",
            )?
            .execute(params![
                id,
                kind,
                manifest.descriptor.media_type,
                image,
                i64::try_from(manifest.children().len()).unwrap_or(i64::MAX),
                subject.map(|subject| subject.digest.as_str()),
                artifact_type.or(notes.artifact_type),
                annotations,
            ])?;
        Ok(())
    }
}

/// What a listing of referrers shows besides.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Notes {
    annotations: BTreeMap<String, String>,
    artifact_type: Option<String>,
}

/// A config that belongs to another manifest.
#[derive(Debug, thiserror::Error)]
#[error("the image's config lists {config} layers and its manifest {manifest}")]
struct LayerCount {
    config: usize,
    manifest: usize,
}
