//! What is done in registries, without the store: looking at a manifest, putting an index together.

use std::sync::Arc;

use wharf_core::content::read_document;
use wharf_core::copy::{Options, copy};
use wharf_core::event::Unwatched;
use wharf_core::manifest::Kind;
use wharf_core::{Descriptor, ImageConfig, Manifest, Platform, Reference, Watch};
use wharf_registry::{Elsewhere, Registry};

use super::translate::{self, Origin};
use crate::{EngineError, ErrorKind, ImageDetail, ImageSummary, RemoteManifest, Result, Settings};

/// Bounds how deep the platform's image may lie in indexes.
const INDEX_DEPTH_MAX: usize = 3;

/// Fetches a manifest, and an image's config with it.
pub(super) async fn manifest(
    registry: &Registry,
    reference: &Reference,
    watch: Arc<dyn Watch>,
) -> Result<RemoteManifest> {
    let manifest = registry.resolve(reference, watch.as_ref()).await?.manifest;
    let config = match &manifest.kind {
        Kind::Image(parts) => {
            let source = registry.source(reference, watch);
            let read = read_document(&source, &parts.config).await;
            Some(read.map_err(translate::content(Origin::Registry))?)
        }
        Kind::Index(_) | Kind::Artifact(_) => None,
    };
    Ok(RemoteManifest { manifest, config })
}

/// Puts an index under its name, after the images that it lists and that are in other repositories.
pub(super) async fn push_index(
    registry: &Registry,
    settings: &Settings,
    target: &Reference,
    index: &Manifest,
    images: &[(Reference, Descriptor)],
    watch: Arc<dyn Watch>,
) -> Result<Vec<Reference>> {
    let mut sent = Vec::new();
    for (from, image) in images {
        if from.repository() == target.repository() {
            continue;
        }
        let other = from.clone();
        let elsewhere: Elsewhere = Arc::new(move |_| vec![other.clone()]);
        let sink = registry.sink(target, elsewhere, Arc::clone(&watch))?;
        let source = registry.source(from, Arc::clone(&watch));
        let how = Options::everything(settings.parallel);
        copy(
            Arc::new(source),
            Arc::new(sink),
            image,
            &how,
            Arc::new(Unwatched),
        )
        .await
        .map_err(translate::copy(Origin::Registry))?;
        sent.push(target.without_tag().with_digest(image.digest.clone()));
    }
    let Some(tag) = target.tag() else {
        let message = format!("{} has no tag to push to", target.familiar());
        return Err(EngineError::new(ErrorKind::Invalid, message));
    };
    let nowhere: Elsewhere = Arc::new(|_| Vec::new());
    let sink = registry.sink(target, nowhere, watch)?;
    sink.tag(index, tag).await?;
    Ok(sent)
}

/// Says everything about an image that a registry has. Only manifests and the config are fetched.
pub(super) async fn inspect(
    registry: &Registry,
    reference: &Reference,
    platform: Option<&Platform>,
    watch: Arc<dyn Watch>,
) -> Result<ImageDetail> {
    let wanted = platform
        .cloned()
        .unwrap_or_else(Platform::of_this_processor);
    let named = registry.resolve(reference, watch.as_ref()).await?.manifest;
    let source = registry.source(reference, watch);
    let mut manifest = named.clone();
    for _ in 0..INDEX_DEPTH_MAX {
        let Kind::Index(index) = &manifest.kind else {
            break;
        };
        let child = index.choose(&wanted).ok_or_else(|| {
            let message = format!("no matching manifest for {wanted} in the manifest list entries");
            EngineError::new(ErrorKind::NotFound, message)
        })?;
        let raw = read_document(&source, child)
            .await
            .map_err(translate::content(Origin::Registry))?;
        manifest = Manifest::parse(&child.media_type, raw).map_err(|error| {
            let message = format!("manifest {} cannot be read", child.digest);
            EngineError::new(ErrorKind::Corrupt, message).because(error)
        })?;
    }
    let Kind::Image(parts) = &manifest.kind else {
        let message = format!("{} is not an image", reference.familiar());
        return Err(EngineError::new(ErrorKind::Invalid, message));
    };
    let raw = read_document(&source, &parts.config)
        .await
        .map_err(translate::content(Origin::Registry))?;
    let config = ImageConfig::parse(raw).map_err(|error| {
        let message = format!("config {} cannot be read", parts.config.digest);
        EngineError::new(ErrorKind::Corrupt, message).because(error)
    })?;
    let with_digest = reference.with_digest(named.descriptor.digest).without_tag();
    let tagged = reference.digest().is_none();
    Ok(ImageDetail {
        summary: ImageSummary {
            id: parts.config.digest.clone(),
            created: config.created(),
            // What a pull would fetch: the files' sizes are known to those who have them.
            size: parts.layers.iter().map(|layer| layer.size).sum(),
            repo_tags: tagged.then(|| reference.familiar()).into_iter().collect(),
            repo_digests: vec![with_digest.familiar()],
            labels: config.fields.config.labels.clone(),
        },
        manifest: manifest.descriptor.clone(),
        config: config.raw,
        last_tagged: None,
    })
}
