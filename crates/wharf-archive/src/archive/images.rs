//! Which images an archive holds, and under which names.
//!
//! manifest.json says which images there are, as Docker reads it. For each of them index.json may have
//! the manifest, or the index, that it came with: if all of it is here it is taken, so that no digest
//! changes between a save and a load. Else a manifest is made from the config and the layers. Without a
//! manifest.json, index.json alone counts. What it lists beside images, signatures and charts, is left out.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use wharf_core::content::DOCUMENT_MAX;
use wharf_core::digest::Algorithm;
use wharf_core::go_json;
use wharf_core::manifest::{Kind, Parts};
use wharf_core::media_type::{
    Compression, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, is_layer, is_manifest, layer_compression,
};
use wharf_core::{Descriptor, Digest, Hasher, ImageConfig, Manifest, Platform, Reference};

use super::entries::{Entries, Place};
use super::read::{ArchiveImage, ArchiveName, LeftOut, READ};
use super::{ArchiveError, Result, wire};
use crate::layer::{HEAD, media_type_of};

/// Bounds the images of an archive, in number, for the memory of what is made of them.
pub(super) const IMAGES_MAX: u64 = 4096;

/// Bounds the layers of all its images together, in number, for the same reason.
pub(super) const LAYERS_MAX: u64 = 65_536;

/// Bounds how deep indexes may lie in indexes.
const DEPTH_MAX: usize = 3;

/// Finds a layer elsewhere, by its diff ID.
pub type KnownLayers<'a> = &'a dyn Fn(&Digest) -> Option<Descriptor>;

/// An archive that is being opened.
pub(super) struct Opening<'a> {
    /// Finds a layer that need not be in the archive, by its diff ID.
    known: KnownLayers<'a>,
    pub(super) file: Arc<File>,
    pub(super) entries: Entries,
    pub(super) blobs: HashMap<Digest, Place>,
    /// The manifests that were made for images without one.
    pub(super) made: HashMap<Digest, Bytes>,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) layers: u64,
}

impl<'a> Opening<'a> {
    pub(super) fn new(file: File, entries: Entries, known: KnownLayers<'a>) -> Self {
        Self {
            known,
            file: Arc::new(file),
            blobs: blobs(&entries),
            entries,
            made: HashMap::new(),
            left_out: Vec::new(),
            layers: 0,
        }
    }

    /// Finds the images, the names and what is left out.
    pub(super) fn images(&mut self) -> Result<Vec<ArchiveImage>> {
        let index = self.json::<wire::ReadIndex>(wire::INDEX)?;
        let listed = index.and_then(|index| index.manifests).unwrap_or_default();
        limit(listed.len(), "images", IMAGES_MAX)?;
        let artifact = |descriptor: &Descriptor| self.artifact(descriptor);
        self.left_out = listed.iter().filter_map(artifact).collect();
        match self.json::<Option<Vec<wire::Item>>>(wire::MANIFEST)? {
            Some(None) => Err(document(wire::MANIFEST, "it must be a list of images")),
            Some(Some(items)) => {
                limit(items.len(), "images", IMAGES_MAX)?;
                items.iter().map(|item| self.item(item, &listed)).collect()
            }
            None if self.entries.file(wire::INDEX).is_some() => self.listed(&listed),
            None => self.legacy(),
        }
    }

    /// An image of manifest.json.
    fn item(&mut self, item: &wire::Item, listed: &[Descriptor]) -> Result<ArchiveImage> {
        let missing = || ArchiveError::Missing(item.config.clone());
        let place = self.entries.file(&item.config).ok_or_else(missing)?;
        let raw = self.document(&item.config, place)?;
        let image = Digest::of(&raw);
        let config = parse_config(&item.config, raw)?;
        let fits = |this: &Self, d: &Descriptor| {
            this.parts(d, 0)
                .iter()
                .any(|parts| parts.config.digest == image)
        };
        let candidates: Vec<&Descriptor> = listed.iter().filter(|d| fits(self, d)).collect();
        let (root, local) = match candidates.first() {
            Some(root) => (bare(root), self.is_local(root)),
            None => self.make(item, &config, &image, place)?,
        };
        let name = |text: &String| {
            let invalid = || ArchiveError::Tag(text.clone());
            let reference: Reference = text.parse().map_err(|_| invalid())?;
            if reference.tag().is_none() || reference.digest().is_some() {
                return Err(invalid());
            }
            let full = reference.to_string();
            let own = candidates
                .iter()
                .find(|d| d.annotations.get(wire::IMAGE_NAME) == Some(&full));
            let root = own.map_or_else(|| root.clone(), |own| bare(own));
            Ok(ArchiveName { reference, root })
        };
        let names = item
            .repo_tags
            .iter()
            .flatten()
            .map(name)
            .collect::<Result<_>>()?;
        let platform = config.platform();
        Ok(ArchiveImage {
            root,
            image,
            platform,
            names,
            local,
        })
    }

    /// Makes a manifest for an image that came without one.
    fn make(
        &mut self,
        item: &wire::Item,
        config: &ImageConfig,
        image: &Digest,
        place: Place,
    ) -> Result<(Descriptor, bool)> {
        let (paths, diff_ids) = (
            item.layers.as_deref().unwrap_or_default(),
            &config.fields.rootfs.diff_ids,
        );
        if config.fields.rootfs.kind.is_empty() && diff_ids.is_empty() {
            return Err(ArchiveError::NoRootFs);
        }
        let (expected, actual) = (paths.len(), diff_ids.len());
        if expected != actual {
            return Err(ArchiveError::LayerCount { expected, actual });
        }
        self.layers += expected as u64;
        limit(self.layers, "layers", LAYERS_MAX)?;
        let (mut layers, mut local) = (Vec::new(), false);
        for (path, diff_id) in paths.iter().zip(diff_ids) {
            let layer = self.layer(path, diff_id)?;
            local |= layer.media_type == OCI_LAYER;
            layers.push(layer);
        }
        self.blobs.insert(image.clone(), place);
        let config = Descriptor::new(OCI_CONFIG, image.clone(), place.size);
        let made = Manifest::of_image(OCI_MANIFEST, config, layers, &BTreeMap::new());
        let made = made.map_err(|error| document(&item.config, error))?;
        self.made.insert(made.descriptor.digest.clone(), made.raw);
        Ok((made.descriptor, local))
    }

    /// A layer of manifest.json. What is plain is named by its diff ID already; what is packed has to be
    /// hashed first.
    fn layer(&mut self, path: &str, diff_id: &Digest) -> Result<Descriptor> {
        let Some(place) = self.entries.file(path) else {
            // Docker 28.5 takes an archive without a layer that it has.
            let known = (self.known)(diff_id);
            return known.ok_or_else(|| ArchiveError::Missing(path.to_owned()));
        };
        let mut head = [0; HEAD];
        let length = HEAD.min(usize::try_from(place.size).unwrap_or(HEAD));
        self.file.read_exact_at(&mut head[..length], place.offset)?;
        let media_type = media_type_of(&head[..length]);
        let digest = if media_type == OCI_LAYER {
            diff_id.clone()
        } else {
            self.hash(place)?
        };
        self.blobs.insert(digest.clone(), place);
        Ok(Descriptor::new(media_type, digest, place.size))
    }

    pub(super) fn hash(&self, place: Place) -> Result<Digest> {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let (mut buffer, mut at) = (
            vec![0; usize::try_from(READ).unwrap_or_default()],
            place.offset,
        );
        let end = place.offset + place.size;
        while at < end {
            let len = usize::try_from(READ.min(end - at)).unwrap_or_default();
            self.file.read_exact_at(&mut buffer[..len], at)?;
            hasher.update(&buffer[..len]);
            at += len as u64;
        }
        Ok(hasher.finish())
    }

    /// The images of an OCI layout that is no docker-archive.
    fn listed(&self, listed: &[Descriptor]) -> Result<Vec<ArchiveImage>> {
        let mut images = Vec::<ArchiveImage>::new();
        let left_out = |d: &&Descriptor| !self.left_out.iter().any(|out| out.digest == d.digest);
        for descriptor in listed.iter().filter(left_out) {
            let all = self.parts(descriptor, 0);
            let this = Platform::of_this_processor();
            let mut configs = Vec::new();
            for parts in &all {
                let name = parts.config.digest.as_str();
                let place = self.blobs.get(&parts.config.digest).copied();
                let place = place.ok_or_else(|| ArchiveError::Missing(name.to_owned()))?;
                let config = parse_config(name, self.document(name, place)?)?;
                configs.push((parts.config.digest.clone(), config.platform()));
            }
            let runs = |wanted: &Platform| configs.iter().find(|(_, has)| wanted.is(has));
            let shown = this.runs().iter().find_map(runs).or(configs.first());
            let Some((image, platform)) = shown.cloned() else {
                return Err(self.why_none(descriptor, 0));
            };
            let root = bare(descriptor);
            let named = name_of(descriptor);
            let named = named.map(|reference| ArchiveName {
                reference,
                root: root.clone(),
            });
            match images.iter_mut().find(|i| i.root.digest == root.digest) {
                Some(known) => known.names.extend(named),
                None => images.push(ArchiveImage {
                    root,
                    image,
                    platform,
                    names: named.into_iter().collect(),
                    local: self.is_local(descriptor),
                }),
            }
        }
        Ok(images)
    }

    /// What a descriptor is, if that is something else than an image.
    fn artifact(&self, what: &Descriptor) -> Option<LeftOut> {
        if !is_manifest(&what.media_type) {
            return Some(LeftOut {
                digest: what.digest.clone(),
                artifact_type: what.media_type.clone(),
            });
        }
        let place = *self.blobs.get(&what.digest)?;
        let raw = self.document(what.digest.as_str(), place).ok()?;
        let manifest = Manifest::parse(&what.media_type, raw).ok()?;
        let artifact_type = match manifest.kind {
            Kind::Index(_) => return None,
            Kind::Artifact(parts) => parts.artifact_type.unwrap_or(parts.config.media_type),
            // cosign's signatures have an image's config, and nothing that is a layer.
            Kind::Image(parts) => {
                let is_layer = |d: &Descriptor| is_layer(&d.media_type);
                let strange = parts.layers.first().filter(|d| !is_layer(d))?;
                strange.media_type.clone()
            }
        };
        Some(LeftOut {
            digest: what.digest.clone(),
            artifact_type,
        })
    }

    /// The images behind a descriptor that are here, whole.
    fn parts(&self, what: &Descriptor, depth: usize) -> Vec<Parts> {
        let here = |d: &Descriptor| {
            self.blobs
                .get(&d.digest)
                .filter(|p| p.size == d.size)
                .copied()
        };
        let Some(place) = here(what).filter(|_| depth < DEPTH_MAX && is_manifest(&what.media_type))
        else {
            return Vec::new();
        };
        let Ok(raw) = self.document(what.digest.as_str(), place) else {
            return Vec::new();
        };
        match Manifest::parse(&what.media_type, raw).map(|manifest| manifest.kind) {
            Ok(Kind::Index(index)) => {
                let children = index.manifests.iter();
                children
                    .flat_map(|child| self.parts(child, depth + 1))
                    .collect()
            }
            Ok(Kind::Image(parts)) => {
                let mut children = std::iter::once(&parts.config).chain(&parts.layers);
                if children.all(|d| here(d).is_some()) {
                    vec![parts]
                } else {
                    Vec::new()
                }
            }
            _ => Vec::new(),
        }
    }

    /// Why there is no image behind a descriptor.
    fn why_none(&self, what: &Descriptor, depth: usize) -> ArchiveError {
        let place = match self.check(what) {
            Ok(place) => place,
            Err(error) => return error,
        };
        let name = what.digest.as_str();
        let manifest = match self.document(name, place) {
            Ok(raw) => Manifest::parse(&what.media_type, raw),
            Err(error) => return error,
        };
        match manifest.map(|manifest| manifest.kind) {
            Err(error) => document(name, with_cause(&error)),
            Ok(Kind::Image(parts) | Kind::Artifact(parts)) => {
                let mut children = std::iter::once(&parts.config).chain(&parts.layers);
                let wrong = children.find_map(|child| self.check(child).err());
                wrong.unwrap_or_else(|| document(name, "it is not an image"))
            }
            Ok(Kind::Index(index)) if depth < DEPTH_MAX => {
                let first = index.images().next().or(index.manifests.first());
                first.map_or_else(
                    || document(name, "it lists nothing"),
                    |child| self.why_none(child, depth + 1),
                )
            }
            Ok(Kind::Index(_)) => document(name, "indexes lie in indexes without end"),
        }
    }

    /// Finds what a descriptor is of, as long as it says.
    fn check(&self, what: &Descriptor) -> Result<Place> {
        let path = || {
            let algorithm = what.digest.algorithm().as_str();
            format!("blobs/{algorithm}/{}", what.digest.hex())
        };
        let place = self.blobs.get(&what.digest).copied();
        let place = place.ok_or_else(|| ArchiveError::Missing(path()))?;
        if place.size == what.size {
            return Ok(place);
        }
        let reason = format!(
            "it has {} bytes where its descriptor says {}",
            place.size, what.size
        );
        Err(document(&path(), reason))
    }

    /// Was it made of plain archives? wharf says so; of others' archives, what has only plain layers is.
    fn is_local(&self, root: &Descriptor) -> bool {
        if let Some(said) = root.annotations.get(wire::LOCAL) {
            return said == "true";
        }
        let plain = |d: &Descriptor| layer_compression(&d.media_type) == Some(Compression::None);
        let all = self.parts(root, 0);
        !all.is_empty()
            && all
                .iter()
                .all(|p| !p.layers.is_empty() && p.layers.iter().all(plain))
    }

    pub(super) fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let Some(place) = self.entries.file(name) else {
            return Ok(None);
        };
        let raw = self.document(name, place)?;
        go_json::from_slice(&raw)
            .map(Some)
            .map_err(|error| document(name, error))
    }

    pub(super) fn document(&self, name: &str, place: Place) -> Result<Bytes> {
        let (size, max) = (place.size, DOCUMENT_MAX);
        if size > max {
            let name = name.to_owned();
            return Err(ArchiveError::TooLarge { name, size, max });
        }
        let mut raw = vec![0; usize::try_from(size).unwrap_or_default()];
        self.file.read_exact_at(&mut raw, place.offset)?;
        Ok(raw.into())
    }
}

pub(super) fn parse_config(name: &str, raw: Bytes) -> Result<ImageConfig> {
    ImageConfig::parse(raw).map_err(|error| document(name, with_cause(&error)))
}

/// The name that an OCI layout gives: containerd's annotation, or the image-spec's if it is more than a tag.
fn name_of(descriptor: &Descriptor) -> Option<Reference> {
    let annotations = &descriptor.annotations;
    let full = annotations.get(wire::IMAGE_NAME);
    let text = full.or_else(|| {
        let text = annotations.get(wire::REF_NAME)?;
        text.contains([':', '/']).then_some(text)
    })?;
    let reference: Reference = text.parse().ok()?;
    (reference.digest().is_none()).then(|| reference.or_latest())
}

/// Without the archive's own notes.
fn bare(descriptor: &Descriptor) -> Descriptor {
    Descriptor::new(
        &descriptor.media_type,
        descriptor.digest.clone(),
        descriptor.size,
    )
}

pub(super) fn document(name: &str, reason: impl ToString) -> ArchiveError {
    ArchiveError::Document {
        name: name.to_owned(),
        reason: reason.to_string(),
    }
}

/// An error, and what caused it.
fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

pub(super) fn limit(number: impl TryInto<u64>, what: &'static str, max: u64) -> Result<()> {
    match number.try_into() {
        Ok(number) if number <= max => Ok(()),
        _ => Err(ArchiveError::TooMany { what, max }),
    }
}

/// The files whose paths are digests.
fn blobs(entries: &Entries) -> HashMap<Digest, Place> {
    let blob = |(name, place): (&str, Place)| {
        let (algorithm, hex) = name.strip_prefix("blobs/")?.split_once('/')?;
        Some((format!("{algorithm}:{hex}").parse().ok()?, place))
    };
    entries.files().filter_map(blob).collect()
}
