//! How much space images take, by Docker's rules (28.5: `SystemDiskUsage`): the files in their layers,
//! unpacked, each layer counted once.

use std::collections::HashMap;

use wharf_core::Digest;
use wharf_store::{LayerRow, Reading, Store};

use super::list::{by_age, familiar_sorted, summary};
use crate::{DiskUsage, ImageUsage, Result, Unfinished};

/// Says how much space the images take.
pub(super) fn usage(store: &Store) -> Result<DiskUsage> {
    let unfinished = store.unfinished()?;
    let mut usage = store.read(images)?;
    usage.unfinished = Unfinished {
        count: unfinished.blobs,
        bytes: unfinished.bytes,
    };
    Ok(usage)
}

fn images(rows: &Reading<'_>) -> Result<DiskUsage> {
    let mut all = Vec::new();
    for listed in rows.images()? {
        let layers = rows.layers(&listed.image.id)?;
        all.push((listed, layers));
    }
    // By chain ID: how large a layer is, and how many images have it.
    let mut known: HashMap<&Digest, (u64, usize)> = HashMap::new();
    for layer in all.iter().flat_map(|(_, layers)| layers) {
        known.entry(&layer.chain_id).or_insert((layer.size, 0)).1 += 1;
    }
    let total = known.values().map(|(size, _)| size).sum();
    let is_shared = |layer: &&LayerRow| known[&layer.chain_id].1 > 1;
    let shared: Vec<u64> = all
        .iter()
        .map(|(_, layers)| layers.iter().filter(is_shared).map(|l| l.size).sum())
        .collect();
    let images = all.into_iter().zip(shared).map(|((one, _), shared)| {
        let tags = familiar_sorted(one.names.iter());
        let digests = familiar_sorted(one.repo_digests.iter());
        ImageUsage {
            summary: summary(one.image, tags, digests),
            shared,
        }
    });
    let mut images: Vec<ImageUsage> = images.collect();
    images.sort_by(|a, b| by_age(&a.summary, &b.summary));
    Ok(DiskUsage {
        images,
        layers: total,
        stored: rows.stored()?,
        unfinished: Unfinished::default(),
    })
}
