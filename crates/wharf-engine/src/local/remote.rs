//! What is done in registries, without the store: looking at a manifest, putting an index together.

use std::sync::Arc;

use wharf_core::content::read_document;
use wharf_core::copy::{Options, copy};
use wharf_core::event::Unwatched;
use wharf_core::manifest::Kind;
use wharf_core::{Descriptor, Manifest, Reference, Watch};
use wharf_registry::{Elsewhere, Registry};

use super::translate;
use crate::{EngineError, ErrorKind, RemoteManifest, Result, Settings};

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
            Some(read.map_err(translate::content)?)
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
        .map_err(translate::copy)?;
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
