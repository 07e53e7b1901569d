//! What goes into the use cases, and what comes out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use jiff::Timestamp;
use wharf_core::{Descriptor, Digest, Manifest, Platform, Reference};
use wharf_registry::Whose;

use crate::Filters;

/// How to pull.
#[derive(Clone, Debug, Default)]
pub struct PullOptions {
    /// For which platform; this machine's if `None`.
    pub platform: Option<Platform>,
    /// Whose credentials the registry is shown.
    pub whose: Whose,
}

/// What a pull has brought.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// The name that was pulled.
    pub reference: Reference,
    /// The digest of what the name points to in the registry: an index or an image's manifest.
    pub digest: Digest,
    /// The image's ID.
    pub image: Digest,
    /// Is the name new here, or does it point to something else than before?
    pub newer: bool,
    /// The image's platform, where another one was asked for and the registry has only this one.
    pub other_platform: Option<Platform>,
}

/// How to push.
#[derive(Clone, Debug, Default)]
pub struct PushOptions {
    /// Only the image of this platform, without the index around it; the whole name if `None`.
    pub platform: Option<Platform>,
    /// How plain layers of images that were made here are packed, the first time they are sent.
    pub compression: Compression,
    /// Whose credentials the registry is shown.
    pub whose: Whose,
}

/// How a layer is packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// gzip: every program reads it.
    #[default]
    Gzip,
    /// zstd: smaller and faster; Docker reads it since 20.10, the registries of today carry it.
    Zstd,
}

/// One name that a push has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The name, with its tag.
    pub reference: Reference,
    /// The digest of what the name points to in the registry now.
    pub digest: Digest,
    /// How many bytes that manifest has.
    pub size: u64,
}

/// Where an image is copied from, or to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A registry's name.
    Registry(Reference),
    /// An OCI layout in a folder.
    Layout {
        /// The folder.
        folder: PathBuf,
        /// Which of the images in it.
        name: Option<String>,
    },
    /// An archive: what is written is an OCI layout and a docker-archive at once.
    Archive {
        /// The file.
        file: PathBuf,
        /// Which of the images in it.
        name: Option<String>,
    },
}

/// How to copy from place to place.
#[derive(Clone, Debug, Default)]
pub struct CopyOptions {
    /// Only the image of this platform; everything if `None`.
    pub platform: Option<Platform>,
    /// Signatures and the like, too.
    pub referrers: bool,
}

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The digest of what the name points to.
    pub digest: Digest,
    /// How many manifests about it were copied with it.
    pub referrers: usize,
}

/// A name, compared with its registry.
#[derive(Debug)]
pub struct Watched {
    /// The name.
    pub reference: Reference,
    /// What it points to here.
    pub local: Digest,
    /// What its registry says.
    pub standing: Standing,
}

/// How a name stands in its registry.
#[derive(Debug)]
pub enum Standing {
    /// It points to the same there.
    Current,
    /// It points to something else there.
    Moved(Digest),
    /// The registry does not have it any more.
    Gone,
    /// The registry did not say.
    Unknown(crate::EngineError),
}

/// A manifest that a registry has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteManifest {
    /// The manifest; its digest was computed here.
    pub manifest: Manifest,
    /// An image's config.
    pub config: Option<Bytes>,
}

/// Which image it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its ID.
    pub id: Digest,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// Which images to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Intermediate images too. wharf makes none; Docker has the flag.
    pub all: bool,
    /// Docker's filters: before, dangling, label, reference, since, until.
    pub filters: Filters,
}

/// One image in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSummary {
    /// The config's digest.
    pub id: Digest,
    /// When it was made; `None` if its config does not say.
    pub created: Option<Timestamp>,
    /// The sum of the regular files' sizes in all its layers, in bytes.
    pub size: u64,
    /// Its names with tags, as Docker shows them, sorted: `busybox:musl`.
    pub repo_tags: Vec<String>,
    /// Its names with digests, sorted: `busybox@sha256:98cb…`.
    pub repo_digests: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// Everything about one image.
#[derive(Clone, Debug)]
pub struct ImageDetail {
    /// What a list says of it.
    pub summary: ImageSummary,
    /// The manifest that it came with.
    pub manifest: Descriptor,
    /// The config's bytes.
    pub config: Bytes,
    /// When it was last given a name or pulled.
    pub last_tagged: Option<Timestamp>,
}

/// One step of an image's build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The image's ID for the last step, `None` for the others: Docker's `<missing>`.
    pub id: Option<Digest>,
    /// When.
    pub created: Option<Timestamp>,
    /// By which command.
    pub created_by: String,
    /// How much it added, in bytes.
    pub size: u64,
    /// A note.
    pub comment: String,
    /// The image's names, for the last step.
    pub tags: Vec<String>,
}

/// How to remove.
#[derive(Clone, Debug, Default)]
pub struct RemoveOptions {
    /// Remove an image although several repositories name it.
    pub force: bool,
    /// Only the images of these platforms; the whole name if there are none.
    pub platforms: Vec<Platform>,
}

/// One thing that was removed, in Docker's words `Untagged:` and `Deleted:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A name.
    Untagged {
        /// The name, as Docker shows it.
        name: String,
        /// The ID of the image that it showed.
        image: Digest,
        /// The labels that the image had.
        labels: BTreeMap<String, String>,
        /// Is it a digest that went only because its repository's last tag did? Docker tells of no event then.
        along: bool,
    },
    /// An image, by its ID.
    Deleted(Digest),
    /// Layers that no other image has, by their chain ID.
    DeletedLayers(Digest),
}

/// What to prune.
#[derive(Clone, Debug, Default)]
pub struct PruneOptions {
    /// Every image, not only those without a name.
    pub all: bool,
    /// Docker's filters, dangling, label, label!, until; and reference, as lists have it.
    pub filters: Filters,
    /// Names too, but so many of each repository stay: those of the newest images.
    pub keep: Option<usize>,
    /// Names too, but what was pulled, tagged, pushed or loaded within this time stays.
    pub unused_for: Option<jiff::SignedDuration>,
    /// Unfinished downloads too, however new they are.
    pub partial: bool,
    /// Only say what would go.
    pub dry_run: bool,
}

/// What a prune has removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// What went, in order.
    pub removed: Vec<Removed>,
    /// How much space it took, in bytes: images unpacked, as Docker counts them, and besides them what was left of
    /// operations that broke off.
    pub reclaimed: u64,
    /// How much came free on this disk, in bytes; of a dry run, how much would come free.
    pub freed: u64,
    /// What broken downloads have brought and was kept for the next pull, in bytes.
    pub partial_kept: u64,
}

/// How to save.
#[derive(Clone, Debug, Default)]
pub struct SaveOptions {
    /// Only the image of this platform, without the index around it; all that is here if `None`.
    pub platform: Option<Platform>,
}

/// Where an archive comes from.
pub enum LoadInput {
    /// A file, which is read in place if it is a plain one and not packed.
    File(std::fs::File),
    /// Bytes in order.
    Stream(Box<dyn std::io::Read + Send>),
}

/// How to load.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Only images for this platform.
    pub platform: Option<Platform>,
}

/// An image that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its ID.
    pub image: Digest,
    /// The names that it was given, in the archive's order.
    pub names: Vec<LoadedName>,
}

/// A name that a load has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedName {
    /// The name.
    pub reference: Reference,
    /// The image that had it before, if another one.
    pub replaced: Option<Digest>,
}

/// What an import reads.
pub enum ImportInput {
    /// An archive's bytes, in order.
    Stream(Box<dyn std::io::Read + Send>),
    /// The address of one: `http://…`, `https://…`.
    Url(String),
}

/// How to import.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// The image's name, with a tag.
    pub reference: Option<Reference>,
    /// Dockerfile instructions that say how the image runs.
    pub changes: Vec<String>,
    /// A note; where the image comes from if it is empty.
    pub message: String,
    /// For which platform the image is; this machine's if `None`.
    pub platform: Option<Platform>,
}

/// How much space images take: the files in their layers, unpacked, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// The images, the newest first.
    pub images: Vec<ImageUsage>,
    /// All their layers, each counted once.
    pub layers: u64,
    /// What the store's blobs take, packed as they are.
    pub stored: u64,
    /// What unfinished downloads and uploads have brought: no image has it, or not yet.
    pub unfinished: Unfinished,
}

/// What unfinished downloads and uploads take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unfinished {
    /// How many blobs have come, whole or in part.
    pub count: u64,
    /// How much they take, in bytes.
    pub bytes: u64,
}

/// How much space one image takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageUsage {
    /// What a list says of it, its size among it.
    pub summary: ImageSummary,
    /// How much of its size other images have too, in bytes.
    pub shared: u64,
}

/// What some names point to, with its platforms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageTree {
    /// What they point to: an index, or an image's manifest.
    pub target: Descriptor,
    /// The image that they show.
    pub id: Digest,
    /// The names, with tags, as Docker shows them.
    pub names: Vec<String>,
    /// Its platforms, in the index's order, those that are not here among them; one if there is no index.
    pub platforms: Vec<PlatformBranch>,
}

/// One platform of what a name points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformBranch {
    /// Which.
    pub platform: Platform,
    /// Its manifest.
    pub manifest: Descriptor,
    /// The image's ID; the manifest's digest if it isn't here.
    pub id: Digest,
    /// Is it here?
    pub here: bool,
    /// The files in its layers, unpacked, in bytes.
    pub size: u64,
    /// Manifest, config and layers as they are stored, in bytes.
    pub content: u64,
}
