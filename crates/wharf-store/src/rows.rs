//! What the rows say.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wharf_core::layer::LayerFacts;
use wharf_core::{Descriptor, Digest, Reference};

/// A name: a repository and a tag that point to content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Repository and tag.
    pub reference: Reference,
    /// The manifest or index that it came with: what a push of this name sends.
    pub target: Digest,
    /// The image that it shows, by the digest of its config; `None` for what isn't an image.
    pub image: Option<Digest>,
    /// When it was last set.
    pub updated: Timestamp,
    /// When it was last used, as far as anybody said so ([`crate::Writing::mark_used`]).
    pub used: Timestamp,
}

/// An image, computed once, when its manifest arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRow {
    /// The digest of its config.
    pub id: Digest,
    /// The manifest that it came with; the first, if there were several.
    pub manifest: Descriptor,
    /// When it was made; `None` if its config does not say.
    pub created: Option<Timestamp>,
    /// The sum of the regular files' sizes in its layers, in bytes. A layer that nobody has read
    /// counts with the size of its blob.
    pub size: u64,
    /// `linux`, …
    pub os: String,
    /// `amd64`, …
    pub architecture: String,
    /// `v7` of `arm/v7`; empty where there is none.
    pub variant: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// When it was last given a name.
    pub last_tagged: Option<Timestamp>,
    /// Is it kept until somebody removes it? An image that has only just arrived isn't yet, and one
    /// that was removed is here only as long as something else holds it.
    pub kept: bool,
}

/// An image with its names: one entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The image.
    pub image: ImageRow,
    /// Its names with tags, sorted by repository and tag.
    pub names: Vec<Reference>,
    /// Its names with digests, sorted by repository and digest.
    pub repo_digests: Vec<Reference>,
}

/// One layer of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerRow {
    /// The digest of its tar, unpacked.
    pub diff_id: Digest,
    /// The name of the stack of layers that ends with it: what Docker prints in `Deleted:` lines.
    pub chain_id: Digest,
    /// Its blob.
    pub blob: Digest,
    /// The blob's size, in bytes.
    pub blob_size: u64,
    /// What it adds to the image's size, in bytes: its files, or its blob if nobody has read it.
    pub size: u64,
}

/// What a manifest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestKind {
    /// A list of manifests.
    Index,
    /// An image.
    Image,
    /// Something else in an image's clothes.
    Artifact,
}

/// A manifest that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestRow {
    /// Its media type, digest and size.
    pub descriptor: Descriptor,
    /// What it is.
    pub kind: ManifestKind,
    /// The image's ID, for an image.
    pub image: Option<Digest>,
    /// Is everything here that it needs? False only after a check has set something aside; pulling
    /// or pushing it again makes it whole. An index is whole with whichever children are here.
    pub complete: bool,
    /// Was it made here, out of plain archives? A push compresses its plain layers first.
    pub local: bool,
    /// What it refers to and what is known to be here, in the order of the document for an image,
    /// those that are here for an index.
    pub children: Vec<Child>,
}

/// Something that a manifest refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Its digest.
    pub digest: Digest,
    /// Its size, in bytes.
    pub size: u64,
    /// The image's ID, if it is an image's manifest.
    pub image: Option<Digest>,
    /// Is it here, undamaged as far as anybody knows?
    pub here: bool,
}

/// What a repository of the registry server links to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// A blob: a config or a layer. Holds the blob for a while only, until a manifest does.
    Blob,
    /// A manifest. Holds it until it is unlinked.
    Manifest,
}

/// What came free on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// How many blobs.
    pub blobs: u64,
    /// How many bytes.
    pub bytes: u64,
}

impl Freed {
    /// Adds one blob or file of so many bytes.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.blobs += 1;
        self.bytes += bytes;
    }

    /// Adds what was freed elsewhere.
    pub(crate) fn add_all(&mut self, other: Self) {
        self.blobs += other.blobs;
        self.bytes += other.bytes;
    }
}

/// A blob that no row holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnheldBlob {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    /// Whether what held it was removed while a lease still held it. Otherwise nothing has held it yet: it came
    /// with an operation that broke off.
    pub(crate) released: bool,
}

/// A blob, as the rows know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlobRow {
    pub(crate) size: u64,
    /// False once a check has found it damaged or missing.
    pub(crate) here: bool,
    pub(crate) facts: Option<LayerFacts>,
}
