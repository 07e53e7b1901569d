//! Copying from one place to another without the store: registries, OCI layouts, archives.
//!
//! | module | what it does |
//! |---|---|
//! | `places` | opens what is copied from, and what is copied to |
//! | `referrers` | signatures and the like, which are about what is copied |
//!
//! Everything keeps its bytes and its digest; all platforms of an index go, unless one is asked for.

mod places;
mod referrers;

use std::sync::Arc;

use wharf_core::content::read_document;
use wharf_core::copy::{Choose, Options, copy};
use wharf_core::manifest::{Index, Kind};
use wharf_core::{Descriptor, ImageConfig, Manifest, Platform, Watch};
use wharf_registry::Registry;
use wharf_store::Store;

use self::places::From;
use super::translate;
use crate::{Copied, CopyOptions, EngineError, ErrorKind, Location, Result, Settings};

/// What a copy works with.
pub(super) struct Transfer<'a> {
    pub(super) store: &'a Store,
    pub(super) registry: &'a Registry,
    pub(super) settings: &'a Settings,
    pub(super) options: &'a CopyOptions,
    pub(super) watch: Arc<dyn Watch>,
}

impl Transfer<'_> {
    /// Copies what `from` names, and what is about it, to `to`.
    pub(super) async fn run(&self, from: &Location, to: &Location) -> Result<Copied> {
        let source = self.open(from).await?;
        let root = self.choose(&source).await?;
        let target = self.target(to, &source)?;
        let how = Options {
            // An archive takes one blob after the other.
            parallel: if target.is_archive() {
                1
            } else {
                self.settings.parallel
            },
            choose: present(&source),
        };
        let watch = Arc::clone(&self.watch);
        copy(
            source.content(),
            target.sink(),
            &root.descriptor,
            &how,
            watch,
        )
        .await
        .map_err(translate::copy(source.origin()))?;
        let about = if self.options.referrers {
            self.copy_referrers(&source, &target, &root, &how).await?
        } else {
            Vec::new()
        };
        let count = about.len();
        self.finish(target, &source, &root, about).await?;
        Ok(Copied {
            digest: root.descriptor.digest,
            referrers: count,
        })
    }

    /// What is copied: all of it, or the image of one platform.
    async fn choose(&self, source: &From) -> Result<Manifest> {
        let root = read(source, &source.root).await?;
        let Some(wanted) = &self.options.platform else {
            return Ok(root);
        };
        let Kind::Index(index) = &root.kind else {
            check_platform(source, &root, wanted).await?;
            return Ok(root);
        };
        let child = index.choose(wanted).ok_or_else(|| {
            let message = format!("no matching manifest for {wanted} in the manifest list entries");
            EngineError::new(ErrorKind::NotFound, message)
        })?;
        let child = Descriptor::new(child.media_type.clone(), child.digest.clone(), child.size);
        read(source, &child).await
    }
}

/// An image that is for another platform is not what was asked for.
async fn check_platform(source: &From, root: &Manifest, wanted: &Platform) -> Result<()> {
    let Kind::Image(image) = &root.kind else {
        return Ok(());
    };
    let raw = read_document(source.content().as_ref(), &image.config)
        .await
        .map_err(translate::content(source.origin()))?;
    let Ok(config) = ImageConfig::parse(raw) else {
        // What has no platform is for every one.
        return Ok(());
    };
    let has = config.platform();
    if has.os.is_empty() || wanted.can_run(&has) {
        return Ok(());
    }
    let message = format!("the image is for {has}, and not for {wanted}");
    Err(EngineError::new(ErrorKind::NotFound, message))
}

/// Of an index, what the source has: an archive may hold one platform of several.
fn present(source: &From) -> Choose {
    let source = source.clone();
    Arc::new(move |index: &Index| {
        let listed = index.manifests.iter();
        listed.filter(|child| source.has(child)).cloned().collect()
    })
}

/// Reads a manifest.
async fn read(source: &From, what: &Descriptor) -> Result<Manifest> {
    let raw = read_document(source.content().as_ref(), what)
        .await
        .map_err(translate::content(source.origin()))?;
    Manifest::parse(&what.media_type, raw).map_err(|error| {
        let message = format!("manifest {} cannot be read", what.digest);
        EngineError::new(ErrorKind::Corrupt, message).because(error)
    })
}

/// The image that a name of an index shows on this machine.
fn shown(root: &Manifest, source: &From) -> Option<Descriptor> {
    match &root.kind {
        Kind::Image(_) => Some(root.descriptor.clone()),
        Kind::Artifact(_) => None,
        Kind::Index(index) => {
            let here = |child: &&Descriptor| source.has(child);
            let best = index.choose(&Platform::of_this_processor());
            let best = best.filter(here).or_else(|| index.images().find(here));
            best.cloned()
        }
    }
}
