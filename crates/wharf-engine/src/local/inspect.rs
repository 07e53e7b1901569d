//! Everything about one image, and how it was built.

use wharf_core::{ImageConfig, Platform, Reference};
use wharf_store::{ImageRow, LayerRow, Name, Reading, Store};

use super::find::{FoundPlatform, find, find_for};
use super::list::{familiar_sorted, summary};
use crate::{EngineError, ErrorKind, HistoryEntry, ImageDetail, Result};

/// What to do about a damaged image.
const REPAIR: &str = "`wharf store check --repair` sets aside what is damaged; then pull it again";

/// How often an image that looks damaged is looked at again: somebody would have to remove and pull it each time.
const LOOKS_MORE: usize = 3;

/// Says everything about the image that `name` means.
pub(super) fn inspect(
    store: &Store,
    name: &str,
    platform: Option<&Platform>,
) -> Result<ImageDetail> {
    looked_at(|| {
        let (image, tags, digests) = store.read(|rows| named(rows, name, platform))?;
        detail(store, image, tags, digests)
    })
}

fn detail(
    store: &Store,
    image: ImageRow,
    tags: Vec<String>,
    digests: Vec<String>,
) -> Result<ImageDetail> {
    let config = read_config(store, &image)?;
    let manifest = image.manifest.clone();
    let last_tagged = image.last_tagged;
    let summary = summary(image, tags, digests);
    Ok(ImageDetail {
        summary,
        manifest,
        config: config.raw,
        last_tagged,
    })
}

/// Says how the image was built, the last step first.
pub(super) fn history(
    store: &Store,
    name: &str,
    platform: Option<&Platform>,
) -> Result<Vec<HistoryEntry>> {
    looked_at(|| {
        let (image, tags, layers) = store.read(|rows| {
            let (image, tags, _) = named(rows, name, platform)?;
            let layers = rows.layers(&image.id)?;
            Ok::<_, EngineError>((image, tags, layers))
        })?;
        steps(store, image, tags, &layers)
    })
}

fn steps(
    store: &Store,
    image: ImageRow,
    tags: Vec<String>,
    layers: &[LayerRow],
) -> Result<Vec<HistoryEntry>> {
    let config = read_config(store, &image)?;
    let mut sizes = layers.iter().map(|layer| layer.size);
    let mut entries = Vec::new();
    for step in &config.fields.history {
        let size = if step.empty_layer {
            0
        } else {
            sizes.next().ok_or_else(|| {
                let message = "too many non-empty layers in History section";
                EngineError::new(ErrorKind::Corrupt, message)
            })?
        };
        entries.push(HistoryEntry {
            id: None,
            created: step.created.as_deref().and_then(|text| text.parse().ok()),
            created_by: step.created_by.clone(),
            size,
            comment: step.comment.clone(),
            tags: Vec::new(),
        });
    }
    entries.reverse();
    if let Some(last) = entries.first_mut() {
        last.id = Some(image.id);
        last.tags = tags;
    }
    Ok(entries)
}

/// An image that looks damaged may have been removed, and pulled again, between a look at its rows and one at its
/// files: it is looked at once more. Gone for good, it is not found then.
fn looked_at<T>(look: impl Fn() -> Result<T>) -> Result<T> {
    let mut seen = look();
    for _ in 0..LOOKS_MORE {
        match &seen {
            Err(error) if error.kind == ErrorKind::Corrupt => seen = look(),
            _ => break,
        }
    }
    seen
}

fn named(
    rows: &Reading<'_>,
    name: &str,
    platform: Option<&Platform>,
) -> Result<(ImageRow, Vec<String>, Vec<String>)> {
    let Some(platform) = platform else {
        let image = find(rows, name)?.image;
        let names = rows.names_of(&image.id)?;
        let digests = rows.repo_digests_of(&image.id)?;
        return Ok(with_names(image, &names, &digests));
    };
    let FoundPlatform { image, target } = find_for(rows, name, platform)?;
    let mut names = rows.names_of(&image.id)?;
    let mut digests = rows.repo_digests_of(&image.id)?;
    if let Some(target) = &target {
        // The names of its index are its own, whichever platform they show.
        for name in rows.names_to(target)? {
            let shown = name.image.iter();
            for digest in shown.map(|id| rows.repo_digests_of(id)) {
                digests.extend(digest?.into_iter().filter(|d| d.digest() == Some(target)));
            }
            names.push(name);
        }
    }
    Ok(with_names(image, &names, &digests))
}

fn with_names(
    image: ImageRow,
    names: &[Name],
    digests: &[Reference],
) -> (ImageRow, Vec<String>, Vec<String>) {
    let mut tags = familiar_sorted(names.iter().map(|name| &name.reference));
    let mut digests = familiar_sorted(digests.iter());
    tags.dedup();
    digests.dedup();
    (image, tags, digests)
}

fn read_config(store: &Store, image: &ImageRow) -> Result<ImageConfig> {
    let raw = store.document(&image.id)?.ok_or_else(|| {
        let message = format!("the config of image {} is missing", image.id.short());
        EngineError::new(ErrorKind::Corrupt, message).hint(REPAIR)
    })?;
    ImageConfig::parse(raw).map_err(|error| {
        let message = format!("the config of image {} cannot be read", image.id.short());
        EngineError::new(ErrorKind::Corrupt, message)
            .because(error)
            .hint(REPAIR)
    })
}
