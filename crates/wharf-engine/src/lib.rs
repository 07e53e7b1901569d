//! What a user asks for.
//!
//! [`Engine`] has one method per use case. The command line and the Engine API server know
//! only this trait; [`LocalEngine`] works on the store in this process. Long operations report
//! [`wharf_core::Event`]s; printing them is the edge's business.

mod dockerfile;
pub mod error;
pub mod filter;
pub mod glob;
mod local;
pub mod settings;
pub mod types;
pub mod when;
pub mod words;

pub use error::{EngineError, ErrorKind};
pub use filter::Filters;
pub use local::files::{FileLayer, ImageFiles, is_file};
pub use local::{LocalEngine, check_pull_name};
pub use settings::{Settings, Verify};
pub use types::{
    Compression, Copied, CopyOptions, DiskUsage, HistoryEntry, Identity, ImageDetail, ImageSummary,
    ImageTree, ImageUsage, ImportInput, ImportOptions, ListQuery, LoadInput, LoadOptions, Loaded,
    LoadedName, Location, PlatformBranch, PruneOptions, Pruned, PullOptions, Pulled, PushOptions,
    Pushed, RemoteManifest, RemoveOptions, Removed, SaveOptions, Standing, Unfinished, Watched,
};

use std::sync::Arc;

use async_trait::async_trait;
use wharf_core::{Descriptor, Digest, Manifest, Platform, Reference, Watch};
pub use wharf_registry::{Credential, Given, Hit, Secret, Server, Whose};
pub use wharf_store::Version;

/// A result of the engine.
pub type Result<T> = std::result::Result<T, EngineError>;

/// The use cases.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Fetches the image that `reference` names, stores it, and gives it that name.
    ///
    /// `reference` has a tag, a digest, or both; with both the digest counts and the tag is not set
    /// (Docker 28.5: pull).
    async fn pull(
        &self,
        reference: &Reference,
        options: &PullOptions,
        watch: Arc<dyn Watch>,
    ) -> Result<Pulled>;

    /// Sends what `reference` names to its registry, under that name; without a tag, every tag of
    /// its repository that is here.
    ///
    /// Reports [`wharf_core::Event::Pushing`] first, even when there is nothing to send, and layers
    /// by their diff IDs (Docker 28.5: push).
    async fn push(
        &self,
        reference: &Reference,
        options: &PushOptions,
        watch: Arc<dyn Watch>,
    ) -> Result<Vec<Pushed>>;

    /// Compares names with their registries, those that fit a pattern or all; nothing is fetched.
    async fn outdated(&self, patterns: &[String]) -> Result<Vec<Watched>>;

    /// Says everything about an image that a registry has, without storing anything.
    async fn inspect_remote(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        watch: Arc<dyn Watch>,
    ) -> Result<ImageDetail>;

    /// Copies an image from place to place, without the store: bytes and digests stay as they are.
    async fn copy(
        &self,
        from: &Location,
        to: &Location,
        options: &CopyOptions,
        watch: Arc<dyn Watch>,
    ) -> Result<Copied>;

    /// Fetches a manifest from its registry, and an image's config with it. Nothing is stored.
    async fn remote_manifest(
        &self,
        reference: &Reference,
        whose: &Whose,
        watch: Arc<dyn Watch>,
    ) -> Result<RemoteManifest>;

    /// Searches a registry, the one that the term names or Docker Hub.
    async fn search(&self, term: &str, limit: u32, whose: &Whose) -> Result<Vec<Hit>>;

    /// Asks a registry whether it takes a credential, and keeps nothing. Answers with the identity token that
    /// it gives, if it gives one.
    async fn check_login(&self, server: &Server, credential: &Credential)
    -> Result<Option<Secret>>;

    /// Puts an index under its name, after those of the images that it lists which are in other
    /// repositories of the registry. Answers with the names that these got.
    async fn push_index(
        &self,
        target: &Reference,
        index: &Manifest,
        images: &[(Reference, Descriptor)],
        watch: Arc<dyn Watch>,
    ) -> Result<Vec<Reference>>;

    /// Lists the tags of a repository in its registry.
    async fn remote_tags(&self, repository: &Reference, whose: &Whose) -> Result<Vec<String>>;

    /// Gives the image that `source` names (a name, an ID, part of an ID, a digest) a further name.
    /// Answers with the image.
    async fn tag(&self, source: &str, target: &Reference) -> Result<Identity>;

    /// Says which image is meant, and no more: its names are not looked at, so it takes the same with a
    /// hundred thousand of them as with one.
    async fn identify(&self, name: &str) -> Result<Identity>;

    /// Says whether anything has changed: two versions are equal only if it has not.
    async fn version(&self) -> Result<Version>;

    /// Lists images, the newest first.
    async fn images(&self, query: &ListQuery) -> Result<Vec<ImageSummary>>;

    /// Says everything about one image; of several platforms that are here, about the one that is asked
    /// for, or else the one that is shown.
    async fn inspect(&self, name: &str, platform: Option<&Platform>) -> Result<ImageDetail>;

    /// Says how one image was built, the last step first. `platform` is as with [`Engine::inspect`].
    async fn history(&self, name: &str, platform: Option<&Platform>) -> Result<Vec<HistoryEntry>>;

    /// Removes a name, and the image behind it if that was its last one.
    async fn remove(&self, name: &str, options: &RemoveOptions) -> Result<Vec<Removed>>;

    /// Removes images that nobody names, and frees what no image holds.
    async fn prune(&self, options: &PruneOptions) -> Result<Pruned>;

    /// Writes images into an archive that is both an OCI layout and a docker-archive.
    ///
    /// All names are found before the first byte is written. A repository without a tag means all
    /// its tags (Docker 28.5: save).
    async fn save(
        &self,
        names: &[String],
        options: &SaveOptions,
        out: Box<dyn std::io::Write + Send>,
    ) -> Result<()>;

    /// Reads images out of an archive, and gives them the names that it says.
    async fn load(
        &self,
        input: LoadInput,
        options: &LoadOptions,
        watch: Arc<dyn Watch>,
    ) -> Result<Vec<Loaded>>;

    /// Makes an image of one layer out of an archive of files, packed or not. Answers with its ID.
    ///
    /// What comes from an address is announced by a [`wharf_core::Event::Notice`] once its server has
    /// answered (Docker 28.5: import).
    async fn import(
        &self,
        input: ImportInput,
        options: &ImportOptions,
        watch: Arc<dyn Watch>,
    ) -> Result<Digest>;

    /// Says how much space images take.
    async fn disk_usage(&self) -> Result<DiskUsage>;

    /// Lists what names point to, the newest first, with all its platforms.
    async fn image_tree(&self, query: &ListQuery) -> Result<Vec<ImageTree>>;
}
