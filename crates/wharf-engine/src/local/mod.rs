//! The use cases on the store in this process.
//!
//! Each file is one of them. The light ones work on rows only: they start no network stack, no TLS
//! and no thread, and block for the moment that SQLite takes.

pub(crate) mod files;
mod find;
mod import;
mod inspect;
mod list;
mod load;
mod outdated;
mod prune;
mod pull;
mod push;
mod remote;
mod remove;
mod save;
mod tag;
mod transfer;
mod translate;
mod tree;
mod usage;

pub use pull::check_name as check_pull_name;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use jiff::Timestamp;
use wharf_core::{Descriptor, Digest, Manifest, Platform, Reference, Watch};
use wharf_registry::{Credential, Hit, Registry, Secret, Server, Whose};
use wharf_store::Store;

use crate::{
    Copied, CopyOptions, DiskUsage, Engine, HistoryEntry, Identity, ImageDetail, ImageSummary,
    ImageTree, ImportInput, ImportOptions, ListQuery, LoadInput, LoadOptions, Loaded, Location,
    PruneOptions, Pruned, PullOptions, Pulled, PushOptions, Pushed, RemoteManifest, RemoveOptions,
    Removed, Result, SaveOptions, Settings, Version, Watched,
};

/// The engine that works on a folder of this machine.
pub struct LocalEngine {
    store: Store,
    settings: Settings,
    registry: OnceLock<Registry>,
}

impl LocalEngine {
    /// Opens the store in `root`, and makes it if it isn't there.
    pub fn open(root: &Path, settings: Settings) -> Result<Self> {
        let store = Store::open(root)?;
        Ok(Self {
            store,
            settings,
            registry: OnceLock::new(),
        })
    }

    /// The store, for what is not a use case of images: checking, serving.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The client that shows these credentials.
    fn registry_of(&self, whose: &Whose) -> Registry {
        match whose {
            Whose::Kept => self.registry().clone(),
            whose => self.registry().on_behalf_of(whose.clone()),
        }
    }

    /// The client is made when it is first needed: most commands never need one.
    fn registry(&self) -> &Registry {
        self.registry
            .get_or_init(|| Registry::new(self.settings.registry.clone()))
    }
}

#[async_trait]
impl Engine for LocalEngine {
    async fn pull(
        &self,
        reference: &Reference,
        options: &PullOptions,
        watch: Arc<dyn Watch>,
    ) -> Result<Pulled> {
        pull::check_name(reference)?;
        self.store.check_writable()?;
        pull::pull(
            &self.store,
            &self.registry_of(&options.whose),
            &self.settings,
            reference,
            options,
            watch,
        )
        .await
    }

    async fn push(
        &self,
        reference: &Reference,
        options: &PushOptions,
        watch: Arc<dyn Watch>,
    ) -> Result<Vec<Pushed>> {
        push::push(
            &self.store,
            &self.registry_of(&options.whose),
            &self.settings,
            reference,
            options,
            watch,
        )
        .await
    }

    async fn outdated(&self, patterns: &[String]) -> Result<Vec<Watched>> {
        outdated::outdated(&self.store, self.registry(), &self.settings, patterns).await
    }

    async fn inspect_remote(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        watch: Arc<dyn Watch>,
    ) -> Result<ImageDetail> {
        remote::inspect(self.registry(), reference, platform, watch).await
    }

    async fn copy(
        &self,
        from: &Location,
        to: &Location,
        options: &CopyOptions,
        watch: Arc<dyn Watch>,
    ) -> Result<Copied> {
        let transfer = transfer::Transfer {
            store: &self.store,
            registry: self.registry(),
            settings: &self.settings,
            options,
            watch,
        };
        transfer.run(from, to).await
    }

    async fn remote_manifest(
        &self,
        reference: &Reference,
        whose: &Whose,
        watch: Arc<dyn Watch>,
    ) -> Result<RemoteManifest> {
        remote::manifest(&self.registry_of(whose), reference, watch).await
    }

    async fn search(&self, term: &str, limit: u32, whose: &Whose) -> Result<Vec<Hit>> {
        Ok(self.registry_of(whose).search(term, limit).await?)
    }

    async fn check_login(
        &self,
        server: &Server,
        credential: &Credential,
    ) -> Result<Option<Secret>> {
        Ok(self.registry().check_login(server, credential).await?)
    }

    async fn push_index(
        &self,
        target: &Reference,
        index: &Manifest,
        images: &[(Reference, Descriptor)],
        watch: Arc<dyn Watch>,
    ) -> Result<Vec<Reference>> {
        let (registry, settings) = (self.registry(), &self.settings);
        remote::push_index(registry, settings, target, index, images, watch).await
    }

    async fn remote_tags(&self, repository: &Reference, whose: &Whose) -> Result<Vec<String>> {
        pull::check_name(repository)?;
        Ok(self.registry_of(whose).tags(repository).await?)
    }

    async fn tag(&self, source: &str, target: &Reference) -> Result<Identity> {
        let (identity, _) = self.store.write(|rows| tag::tag(rows, source, target))?;
        Ok(identity)
    }

    async fn identify(&self, name: &str) -> Result<Identity> {
        self.store
            .read(|rows| Ok(find::find(rows, name)?.identity()))
    }

    async fn version(&self) -> Result<Version> {
        Ok(self.store.version()?)
    }

    async fn images(&self, query: &ListQuery) -> Result<Vec<ImageSummary>> {
        let zone = &self.settings.zone;
        self.store
            .read(|rows| list::list(rows, query, Timestamp::now(), zone))
    }

    async fn inspect(&self, name: &str, platform: Option<&Platform>) -> Result<ImageDetail> {
        inspect::inspect(&self.store, name, platform)
    }

    async fn history(&self, name: &str, platform: Option<&Platform>) -> Result<Vec<HistoryEntry>> {
        inspect::history(&self.store, name, platform)
    }

    async fn remove(&self, name: &str, options: &RemoveOptions) -> Result<Vec<Removed>> {
        let (removed, _) = self
            .store
            .write(|rows| remove::remove(rows, name, options))?;
        Ok(removed)
    }

    async fn prune(&self, options: &PruneOptions) -> Result<Pruned> {
        let zone = &self.settings.zone;
        prune::prune(&self.store, options, zone)
    }

    async fn save(
        &self,
        names: &[String],
        options: &SaveOptions,
        out: Box<dyn std::io::Write + Send>,
    ) -> Result<()> {
        save::save(&self.store, names, options, out).await
    }

    async fn load(
        &self,
        input: LoadInput,
        options: &LoadOptions,
        watch: Arc<dyn Watch>,
    ) -> Result<Vec<Loaded>> {
        load::load(&self.store, &self.settings, input, options, watch).await
    }

    async fn import(
        &self,
        input: ImportInput,
        options: &ImportOptions,
        watch: Arc<dyn Watch>,
    ) -> Result<Digest> {
        import::import(self, input, options, watch).await
    }

    async fn disk_usage(&self) -> Result<DiskUsage> {
        usage::usage(&self.store)
    }

    async fn image_tree(&self, query: &ListQuery) -> Result<Vec<ImageTree>> {
        tree::tree(&self.store, query, &self.settings.zone)
    }
}
