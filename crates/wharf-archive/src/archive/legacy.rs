//! Archives of Docker before 1.10: a folder for each layer, with a JSON document that is an image's config of that
//! time, and `repositories`, which names some of them.
//!
//! Docker 28.5 loads them (tarexport: legacyLoad) and makes a config of each document and of those of its parents.
//! The same is made here, to the byte, so that the image IDs are Docker's ([`v1`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::fs::FileExt as _;

use bytes::Bytes;
use serde_json::value::RawValue;
use wharf_core::media_type::{OCI_CONFIG, OCI_LAYER, OCI_MANIFEST};
use wharf_core::{Descriptor, Digest, Manifest, Reference};

use super::images::{IMAGES_MAX, LAYERS_MAX, Opening, document, limit, parse_config};
use super::read::{ArchiveImage, ArchiveName, READ};
use super::{ArchiveError, Result, v1, wire};
use crate::LayerInspector;
use crate::layer::{HEAD, media_type_of};

/// Bounds the lines of history of all documents together, and the configs that are made of them, in bytes: 16 MiB.
/// They are held in memory; a line has some hundred, and a config some thousand.
const MADE_MAX: u64 = 16 << 20;

/// A folder of the archive.
struct Ancestor {
    parent: Option<String>,
    history: Box<RawValue>,
}

/// A layer, and its diff ID.
type Layer = (Descriptor, Digest);

impl Opening<'_> {
    /// The images of an archive that has neither manifest.json nor index.json: those that `repositories` names, and
    /// those that are not the parents of others.
    pub(super) fn legacy(&mut self) -> Result<Vec<ArchiveImage>> {
        let (mut ancestors, mut length) = (BTreeMap::new(), 0);
        for folder in self.entries.top_folders() {
            let raw = self.legacy_json(&folder)?;
            let ancestor = Ancestor {
                parent: v1::parent(&raw).map_err(|error| document(&folder, error))?,
                history: v1::history(&raw).map_err(|error| document(&folder, error))?,
            };
            length += ancestor.history.get().len();
            limit(length, "bytes of history", MADE_MAX)?;
            ancestors.insert(folder, ancestor);
        }
        let repositories = self.json::<wire::Repositories>(wire::REPOSITORIES)?;
        let missing = || ArchiveError::Missing(wire::REPOSITORIES.to_owned());
        let repositories = repositories.ok_or_else(missing)?;
        let mut names: BTreeMap<&str, Vec<Reference>> = BTreeMap::new();
        for (name, tags) in &repositories {
            for (tag, id) in tags {
                let text = format!("{name}:{tag}");
                let reference = text.parse().map_err(|_| ArchiveError::Tag(text))?;
                if !ancestors.contains_key(id) {
                    return Err(ArchiveError::Target(id.clone()));
                }
                names.entry(id).or_default().push(reference);
            }
        }
        let parents: BTreeSet<&String> = ancestors
            .values()
            .filter_map(|a| a.parent.as_ref())
            .collect();
        limit(names.len(), "images", IMAGES_MAX)?;
        let (mut images, mut layers) = (Vec::new(), HashMap::new());
        for id in ancestors.keys() {
            let names = names.remove(id.as_str());
            if names.is_some() || !parents.contains(id) {
                let names = names.unwrap_or_default();
                images.push(self.legacy_image(id, names, &ancestors, &mut layers)?);
            }
        }
        Ok(images)
    }

    fn legacy_json(&self, folder: &str) -> Result<Bytes> {
        let path = format!("{folder}/json");
        let place = self.entries.file(&path);
        self.document(
            &path,
            place.ok_or_else(|| ArchiveError::Missing(path.clone()))?,
        )
    }

    fn legacy_image(
        &mut self,
        id: &str,
        names: Vec<Reference>,
        ancestors: &BTreeMap<String, Ancestor>,
        known: &mut HashMap<String, Layer>,
    ) -> Result<ArchiveImage> {
        let (mut chain, mut next) = (Vec::new(), Some(id));
        while let Some(id) = next {
            let missing = || ArchiveError::Missing(format!("{id}/json"));
            let ancestor = ancestors.get(id).ok_or_else(missing)?;
            if chain.len() == ancestors.len() {
                return Err(document(id, "its parents never end"));
            }
            chain.push((id, ancestor));
            next = ancestor.parent.as_deref();
        }
        chain.reverse();
        self.layers += chain.len() as u64;
        limit(self.layers, "layers", LAYERS_MAX)?;
        let (mut layers, mut diff_ids, mut history) = (Vec::new(), Vec::new(), Vec::new());
        for (id, ancestor) in chain {
            if !known.contains_key(id) {
                known.insert(id.to_owned(), self.legacy_layer(id)?);
            }
            if let Some((layer, diff_id)) = known.get(id) {
                layers.push(layer.clone());
                diff_ids.push(diff_id.clone());
            }
            history.push(ancestor.history.as_ref());
        }
        let raw = v1::config(&self.legacy_json(id)?, &diff_ids, &history);
        let raw = Bytes::from(raw.map_err(|error| document(id, error))?);
        let made: usize = self.made.values().map(Bytes::len).sum();
        limit(made + raw.len(), "bytes of configs", MADE_MAX)?;
        let local = layers.iter().any(|layer| layer.media_type == OCI_LAYER);
        let config = Descriptor::of(OCI_CONFIG, &raw);
        let image = config.digest.clone();
        let platform = parse_config(id, raw.clone())?.platform();
        let made = Manifest::of_image(OCI_MANIFEST, config, layers, &BTreeMap::new());
        let made = made.map_err(|error| document(id, error))?;
        let root = made.descriptor.clone();
        self.made.insert(image.clone(), raw);
        self.made.insert(root.digest.clone(), made.raw);
        let names = names.into_iter().map(|reference| ArchiveName {
            reference,
            root: root.clone(),
        });
        Ok(ArchiveImage {
            names: names.collect(),
            root,
            image,
            platform,
            local,
        })
    }

    /// A layer, which has to be read to know its diff ID.
    fn legacy_layer(&mut self, id: &str) -> Result<Layer> {
        let path = format!("{id}/layer.tar");
        let place = self.entries.file(&path);
        let place = place.ok_or_else(|| ArchiveError::Missing(path.clone()))?;
        let damaged = |error: wharf_core::layer::LayerError| document(&path, error.reason);
        let mut reading = LayerInspector::new().start();
        let mut buffer = vec![0; usize::try_from(READ).unwrap_or_default()];
        let (mut at, end, mut head) = (place.offset, place.offset + place.size, Vec::new());
        while at < end {
            let length = usize::try_from(READ.min(end - at)).unwrap_or_default();
            self.file.read_exact_at(&mut buffer[..length], at)?;
            head.extend(
                buffer[..length]
                    .iter()
                    .take(HEAD.saturating_sub(head.len())),
            );
            reading.write(&buffer[..length]).map_err(damaged)?;
            at += length as u64;
        }
        let diff_id = reading.finish().map_err(damaged)?.diff_id;
        let media_type = media_type_of(&head);
        let digest = if media_type == OCI_LAYER {
            diff_id.clone()
        } else {
            self.hash(place)?
        };
        self.blobs.insert(digest.clone(), place);
        Ok((Descriptor::new(media_type, digest, place.size), diff_id))
    }
}
