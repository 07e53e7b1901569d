//! Removing images that nobody names, by Docker's rules (28.5: ImagesPrune).

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use wharf_core::Digest;
use wharf_store::Writing;

use super::find::kept;
use super::list::{Label, boolean, known, until};
use super::remove::{delete, references, remove};
use crate::{EngineError, ErrorKind, PruneOptions, Pruned, RemoveOptions, Removed, Result};

const PRUNE_FILTERS: [&str; 4] = ["dangling", "label", "label!", "until"];

/// Removes the images that the options ask for.
pub(super) fn prune(
    rows: &mut Writing<'_>,
    options: &PruneOptions,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<Pruned> {
    let filters = &options.filters;
    known(filters, &PRUNE_FILTERS)?;
    let all = options.all || boolean(filters, "dangling")? == Some(false);
    let limit = match filters.get("until") {
        [] => None,
        [one] => Some(until(one, now, zone)?),
        _ => {
            let message = "more than one until filter specified";
            return Err(EngineError::new(ErrorKind::Invalid, message));
        }
    };
    let labels = Label::all(filters.get("label"));
    let unwanted = Label::all(filters.get("label!"));
    let mut pruned = Pruned::default();
    let mut listed = rows.images()?;
    let mut sizes = HashMap::new();
    for entry in &listed {
        let layers = rows.layers(&entry.image.id)?;
        sizes.extend(layers.into_iter().map(|layer| (layer.chain_id, layer.size)));
    }
    listed.sort_by_key(|entry| std::cmp::Reverse(entry.image.created));
    for entry in listed {
        let image = &entry.image;
        let matches = limit.is_none_or(|limit| image.created.is_some_and(|c| c <= limit))
            && labels.iter().all(|label| label.fits(&image.labels))
            && (unwanted.is_empty() || !unwanted.iter().all(|label| label.fits(&image.labels)));
        // Removing one platform may have removed the others.
        if !matches || (!all && !entry.names.is_empty()) || kept(rows, &image.id)?.is_none() {
            continue;
        }
        remove_whole(rows, &image.id, &mut pruned.removed)?;
    }
    pruned.reclaimed = reclaimed(&sizes, &pruned.removed);
    Ok(pruned)
}

/// The size of the layers that went, unpacked: what Docker shows.
fn reclaimed(sizes: &HashMap<Digest, u64>, removed: &[Removed]) -> u64 {
    let size = |one: &Removed| match one {
        Removed::Deleted(digest) => sizes.get(digest).copied(),
        Removed::Untagged(_) => None,
    };
    removed.iter().filter_map(size).sum()
}

/// Removes an image name by name, so that what is printed is what `rmi` would have printed.
fn remove_whole(rows: &mut Writing<'_>, id: &Digest, removed: &mut Vec<Removed>) -> Result<()> {
    while let Some(reference) = references(rows, id)?.first() {
        // The full name: it can't be taken for an ID.
        removed.extend(remove(
            rows,
            &reference.to_string(),
            &RemoveOptions::default(),
        )?);
    }
    if kept(rows, id)?.is_some() {
        delete(rows, id, removed)?;
    }
    Ok(())
}
