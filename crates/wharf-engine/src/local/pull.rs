//! Pulling: resolve the name, choose the platform's image, copy what is missing, set the name.

use std::sync::Arc;

use wharf_archive::LayerInspector;
use wharf_core::content::read_document;
use wharf_core::copy::{Choose, Options, copy};
use wharf_core::manifest::{Index, Kind};
use wharf_core::{Descriptor, Digest, Event, Manifest, Platform, Reference, Source, Watch};
use wharf_registry::Registry;
use wharf_store::{SinkOptions, Store};

use super::find::platform_of;
use super::translate::{self, Origin};
use crate::settings::{CONNECTIONS_PER_BLOB, FURTHER_CONNECTIONS, Verify};
use crate::{EngineError, ErrorKind, PullOptions, Pulled, Result, Settings};

/// Bounds how deep the platform's image may lie in indexes.
const INDEX_DEPTH_MAX: usize = 3;

/// Refuses a name that no registry has, in Docker's words.
pub fn check_name(reference: &Reference) -> Result<()> {
    if reference.is_reserved() {
        let message = format!("'{}' is a reserved name", reference.familiar_repository());
        return Err(EngineError::new(ErrorKind::Forbidden, message));
    }
    Ok(())
}

/// Fetches the image that `reference` names, stores it, and gives it that name.
pub(super) async fn pull(
    store: &Store,
    registry: &Registry,
    settings: &Settings,
    reference: &Reference,
    options: &PullOptions,
    watch: Arc<dyn Watch>,
) -> Result<Pulled> {
    // With both a tag and a digest, the digest is pulled and the tag not set (Docker 28.5).
    let reference = if reference.digest().is_some() {
        reference.without_tag()
    } else {
        reference.clone()
    };
    let resolved = registry.resolve(&reference, watch.as_ref()).await?;
    let root = resolved.manifest;
    watch.event(Event::Pulling {
        reference: reference.clone(),
    });

    let source: Arc<dyn Source> = Arc::new(registry.source(&reference, Arc::clone(&watch)));
    let platform = options
        .platform
        .clone()
        .unwrap_or_else(Platform::of_this_processor);
    let image = choose_image(source.as_ref(), &root, &platform).await?;
    // Held until the name is set: nothing that was just fetched is collected before.
    let lease = Arc::new(store.lease()?);
    let sink = store.sink(
        Arc::clone(&lease),
        SinkOptions {
            inspector: (settings.verify == Verify::Full)
                .then(|| Arc::new(LayerInspector::default()) as _),
            connections: CONNECTIONS_PER_BLOB,
            further_connections: FURTHER_CONNECTIONS,
            ..SinkOptions::default()
        },
    );
    let choose: Choose = {
        let platform = platform.clone();
        Arc::new(move |index: &Index| index.choose(&platform).cloned().into_iter().collect())
    };
    let how = Options {
        parallel: settings.parallel,
        choose,
    };
    copy(
        source,
        Arc::new(sink),
        &root.descriptor,
        &how,
        Arc::clone(&watch),
    )
    .await
    .map_err(translate::copy(Origin::Registry))?;

    let digest = root.descriptor.digest.clone();
    // Writing waits for its turn and for the disk, and a server has other things to do on this thread.
    let (named, name) = (store.clone(), reference.clone());
    let (target, id) = (digest.clone(), image.config.clone());
    let naming = wharf_os::blocking::start(move || {
        let newer = set_names(&named, &name, &target, &id);
        drop(lease);
        newer
    });
    let newer = naming
        .await
        .map_err(|error| EngineError::new(ErrorKind::Internal, error.to_string()))??;
    let other_platform = other_platform(store, &image.config, options)?;
    watch.event(Event::Pulled {
        reference: reference.clone(),
        digest: digest.clone(),
        newer,
    });
    Ok(Pulled {
        reference,
        digest,
        image: image.config,
        newer,
        other_platform,
    })
}

/// The image that was chosen.
struct Chosen {
    /// The config's digest: the image's ID.
    config: Digest,
}

/// Follows indexes down to the platform's image, before anything is fetched: what has no image
/// for the platform, or is not an image at all, fails without a trace.
async fn choose_image(source: &dyn Source, root: &Manifest, platform: &Platform) -> Result<Chosen> {
    let mut manifest = root.clone();
    for _ in 0..=INDEX_DEPTH_MAX {
        match &manifest.kind {
            Kind::Image(parts) => {
                return Ok(Chosen {
                    config: parts.config.digest.clone(),
                });
            }
            Kind::Artifact(parts) => return Err(not_an_image(&parts.config)),
            Kind::Index(index) => {
                let child = index
                    .choose(platform)
                    .ok_or_else(|| no_match(index, platform))?;
                let raw = read_document(source, child)
                    .await
                    .map_err(translate::content(Origin::Registry))?;
                manifest = Manifest::parse(&child.media_type, raw).map_err(|error| {
                    let message = format!("manifest {} cannot be read", child.digest);
                    EngineError::new(ErrorKind::Corrupt, message).because(error)
                })?;
            }
        }
    }
    let message = format!("{} lists indexes without end", root.descriptor.digest);
    Err(EngineError::new(ErrorKind::Corrupt, message))
}

fn not_an_image(config: &Descriptor) -> EngineError {
    let message = format!("unsupported media type {}", config.media_type);
    EngineError::new(ErrorKind::Invalid, message)
        .hint("the name is not an image's but another artifact's (a chart, a signature, a model)")
}

fn no_match(index: &Index, platform: &Platform) -> EngineError {
    // What nobody asked for is named in plain words: the processor's level is of no interest.
    let this = Platform::of_this_processor();
    let platform = if *platform == this {
        Platform::of_this_machine()
    } else {
        platform.clone()
    };
    let mut have: Vec<String> = index
        .images()
        .filter_map(|d| d.platform.as_ref())
        .map(ToString::to_string)
        .collect();
    have.dedup();
    let message = format!("no matching manifest for {platform} in the manifest list entries");
    let error = EngineError::new(ErrorKind::NotFound, message);
    if have.is_empty() {
        error
    } else {
        error.hint(format!("there are {}: see --platform", have.join(", ")))
    }
}

/// Gives the image its name and its digest, in one transaction. Answers whether that is news.
fn set_names(
    store: &Store,
    reference: &Reference,
    target: &Digest,
    image: &Digest,
) -> Result<bool> {
    let with_digest = reference.with_digest(target.clone());
    let (newer, _) = store.write(|rows| {
        let known = rows.repo_digests_of(image)?.contains(&with_digest);
        rows.set_repo_digest(&with_digest, image)?;
        if reference.digest().is_some() {
            return Ok::<_, EngineError>(!known);
        }
        let before = rows.set_name(reference, target, Some(image))?;
        Ok(before.and_then(|name| name.image).as_ref() != Some(image))
    })?;
    Ok(newer)
}

/// An image that isn't in an index is for one platform only: which one, if another was asked for.
fn other_platform(
    store: &Store,
    image: &Digest,
    options: &PullOptions,
) -> Result<Option<Platform>> {
    let Some(wanted) = &options.platform else {
        return Ok(None);
    };
    let Some(row) = store.read(|rows| Ok::<_, EngineError>(rows.image(image)?))? else {
        return Ok(None);
    };
    let has = platform_of(&row);
    Ok((!wanted.can_run(&has)).then_some(has))
}
