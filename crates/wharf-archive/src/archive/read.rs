//! Reading an archive: which images are in it, under which names, and their bytes.
//!
//! manifest.json says which images there are, as Docker reads it. For each of them index.json may have
//! the manifest, or the index, that it came with: if all of it is here it is taken, so that no digest
//! changes between a save and a load. Else a manifest is made from the config and the layers. Without a
//! manifest.json, index.json alone counts.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use wharf_core::content::DOCUMENT_MAX;
use wharf_core::digest::Algorithm;
use wharf_core::manifest::{Kind, Parts};
use wharf_core::media_type::{
    Compression, OCI_CONFIG, OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, OCI_MANIFEST, is_manifest,
    layer_compression,
};
use wharf_core::{
    ContentError, Descriptor, Digest, Hasher, ImageConfig, Manifest, Platform, Reader, Reference,
    Source,
};

use super::entries::{Entries, Place};
use super::{ArchiveError, Result, wire};

/// How much is read at once, in bytes. Each read is a trip to another thread.
const READ: u64 = 256 * 1024;

/// Bounds the images of an archive, in number, for the memory of what is made of them.
const IMAGES_MAX: u64 = 4096;

/// Bounds the layers of all its images together, in number, for the same reason.
const LAYERS_MAX: u64 = 65_536;

/// Bounds how deep indexes may lie in indexes.
const DEPTH_MAX: usize = 3;

/// An archive, opened. Clones share it.
#[derive(Clone)]
pub struct ArchiveSource {
    inner: Arc<Inner>,
}

struct Inner {
    file: Arc<File>,
    blobs: HashMap<Digest, Place>,
    /// The manifests that were made for images without one.
    made: HashMap<Digest, Bytes>,
    images: Vec<ArchiveImage>,
}

/// An image of an archive.
#[derive(Clone, Debug)]
pub struct ArchiveImage {
    /// Its manifest, or the index that it came in.
    pub root: Descriptor,
    /// The image's ID: its config's digest.
    pub image: Digest,
    /// For which platform it is.
    pub platform: Platform,
    /// Its names, in order, each with what it points to.
    pub names: Vec<ArchiveName>,
    /// Was its manifest made of plain archives, so that a push has to compress its layers?
    pub local: bool,
}

/// A name in an archive.
#[derive(Clone, Debug)]
pub struct ArchiveName {
    /// The name, with its tag.
    pub reference: Reference,
    /// What it points to: the image's manifest, or an index that has it.
    pub root: Descriptor,
}

/// Opens an archive that isn't packed as a whole (else see [`spool`](super::spool)).
pub fn open_archive(file: File) -> Result<ArchiveSource> {
    let entries = Entries::read(&file)?;
    let mut opening = Opening {
        blobs: blobs(&entries),
        entries,
        file: Arc::new(file),
        made: HashMap::new(),
        layers: 0,
    };
    let images = opening.images()?;
    Ok(ArchiveSource {
        inner: Arc::new(Inner {
            file: opening.file,
            blobs: opening.blobs,
            made: opening.made,
            images,
        }),
    })
}

impl ArchiveSource {
    /// The images in it, in the order of its documents.
    pub fn images(&self) -> &[ArchiveImage] {
        &self.inner.images
    }

    /// Is it in the archive, with that size? An index may list what was not saved.
    pub fn has(&self, what: &Descriptor) -> bool {
        let blob = self.inner.blobs.get(&what.digest).map(|place| place.size);
        let made = self
            .inner
            .made
            .get(&what.digest)
            .map(|raw| raw.len() as u64);
        blob.or(made) == Some(what.size)
    }
}

#[async_trait]
impl Source for ArchiveSource {
    fn place(&self) -> String {
        "the archive".to_owned()
    }

    async fn open(&self, what: &Descriptor, range: Range<u64>) -> Result<Reader, ContentError> {
        if let Some(raw) = self.inner.made.get(&what.digest) {
            let raw = raw.clone();
            return Ok(Reader {
                range: 0..raw.len() as u64,
                bytes: stream::once(async move { Ok(raw) }).boxed(),
            });
        }
        let (digest, place) = (what.digest.clone(), self.place());
        let Some(found) = self.inner.blobs.get(&what.digest).copied() else {
            return Err(ContentError::Missing {
                what: digest,
                place,
            });
        };
        if found.size != what.size {
            let (expected, actual) = (what.size, found.size);
            return Err(ContentError::Size {
                what: digest,
                expected,
                actual,
                place,
            });
        }
        let range = range.start.min(found.size)..range.end.min(found.size);
        let at = found.offset + range.start..found.offset + range.end;
        let bytes = stream::try_unfold((Arc::clone(&self.inner.file), at), next).boxed();
        Ok(Reader { range, bytes })
    }
}

type Rest = (Arc<File>, Range<u64>);

/// Reads the next bytes.
async fn next((file, rest): Rest) -> Result<Option<(Bytes, Rest)>, ContentError> {
    if rest.is_empty() {
        return Ok(None);
    }
    let len = READ.min(rest.end - rest.start);
    let (reader, start) = (Arc::clone(&file), rest.start);
    let read = tokio::task::spawn_blocking(move || {
        let mut buffer = vec![0; usize::try_from(len).unwrap_or_default()];
        reader
            .read_exact_at(&mut buffer, start)
            .map(|()| Bytes::from(buffer))
    });
    let bytes = read
        .await
        .map_err(ContentError::place)?
        .map_err(ContentError::place)?;
    Ok(Some((bytes, (file, rest.start + len..rest.end))))
}

/// The files whose paths are digests.
fn blobs(entries: &Entries) -> HashMap<Digest, Place> {
    let blob = |(name, place): (&str, Place)| {
        let (algorithm, hex) = name.strip_prefix("blobs/")?.split_once('/')?;
        Some((format!("{algorithm}:{hex}").parse().ok()?, place))
    };
    entries.files().filter_map(blob).collect()
}

/// An archive that is being opened.
struct Opening {
    file: Arc<File>,
    entries: Entries,
    blobs: HashMap<Digest, Place>,
    made: HashMap<Digest, Bytes>,
    layers: u64,
}

impl Opening {
    fn images(&mut self) -> Result<Vec<ArchiveImage>> {
        let index = self.json::<wire::ReadIndex>(wire::INDEX)?;
        let listed = index.and_then(|index| index.manifests).unwrap_or_default();
        limit(listed.len(), "images", IMAGES_MAX)?;
        match self.json::<Vec<wire::Item>>(wire::MANIFEST)? {
            Some(items) => {
                limit(items.len(), "images", IMAGES_MAX)?;
                items.iter().map(|item| self.item(item, &listed)).collect()
            }
            None if self.entries.file(wire::INDEX).is_some() => self.listed(&listed),
            None => Err(self.no_images()),
        }
    }

    /// Docker's words for an archive without images.
    fn no_images(&self) -> ArchiveError {
        let path = match self.entries.first_folder() {
            Some(folder) => {
                let path = format!("{folder}/json");
                if self.entries.file(&path).is_some() {
                    return ArchiveError::Ancient;
                }
                path
            }
            None if self.entries.file(wire::REPOSITORIES).is_some() => {
                return ArchiveError::Ancient;
            }
            None => wire::REPOSITORIES.to_owned(),
        };
        ArchiveError::Missing(path)
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
        let missing = || ArchiveError::Missing(path.to_owned());
        let place = self.entries.file(path).ok_or_else(missing)?;
        let mut magic = [0; 4];
        if place.size >= magic.len() as u64 {
            self.file.read_exact_at(&mut magic, place.offset)?;
        }
        let media_type = match magic {
            [0x1f, 0x8b, ..] => OCI_LAYER_GZIP,
            [0x28, 0xb5, 0x2f, 0xfd] => OCI_LAYER_ZSTD,
            _ => OCI_LAYER,
        };
        let digest = if media_type == OCI_LAYER {
            diff_id.clone()
        } else {
            self.hash(place)?
        };
        self.blobs.insert(digest.clone(), place);
        Ok(Descriptor::new(media_type, digest, place.size))
    }

    fn hash(&self, place: Place) -> Result<Digest> {
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
        for descriptor in listed {
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
                let reason = "it lists what is not an image, or not whole".to_owned();
                return Err(document(wire::INDEX, reason));
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

    fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let Some(place) = self.entries.file(name) else {
            return Ok(None);
        };
        let raw = self.document(name, place)?;
        serde_json::from_slice(&raw)
            .map(Some)
            .map_err(|error| document(name, error))
    }

    fn document(&self, name: &str, place: Place) -> Result<Bytes> {
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

fn parse_config(name: &str, raw: Bytes) -> Result<ImageConfig> {
    ImageConfig::parse(raw).map_err(|error| document(name, error))
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

fn document(name: &str, reason: impl ToString) -> ArchiveError {
    ArchiveError::Document {
        name: name.to_owned(),
        reason: reason.to_string(),
    }
}

fn limit(number: impl TryInto<u64>, what: &'static str, max: u64) -> Result<()> {
    match number.try_into() {
        Ok(number) if number <= max => Ok(()),
        _ => Err(ArchiveError::TooMany { what, max }),
    }
}
