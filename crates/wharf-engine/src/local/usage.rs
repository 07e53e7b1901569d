//! How much space images take, by Docker's rules (28.5: `SystemDiskUsage`): the files in their layers,
//! unpacked, each layer counted once.

use std::collections::HashMap;

use wharf_core::Digest;
use wharf_store::{ImageRow, Reading};

use super::list::{by_age, familiar_sorted, summary};
use crate::{DiskUsage, ImageUsage, Result};

/// Says how much space the images take.
pub(super) fn usage(rows: &Reading<'_>) -> Result<DiskUsage> {
    let listed = rows.images()?;
    let layers = Layers::of(rows, listed.iter().map(|listed| &listed.image))?;
    let mut images = Vec::new();
    for one in listed {
        let shared = layers.shared(rows, &one.image)?;
        let tags = familiar_sorted(one.names.iter());
        let digests = familiar_sorted(one.repo_digests.iter());
        images.push(ImageUsage {
            summary: summary(one.image, tags, digests),
            shared,
        });
    }
    images.sort_by(|a, b| by_age(&a.summary, &b.summary));
    Ok(DiskUsage {
        images,
        layers: layers.total(),
    })
}

/// The layers of images: how many images have each, and how large it is.
struct Layers(HashMap<Digest, (usize, u64)>);

impl Layers {
    fn of<'i>(rows: &Reading<'_>, images: impl Iterator<Item = &'i ImageRow>) -> Result<Self> {
        let mut all = HashMap::new();
        for image in images {
            for layer in rows.layers(&image.id)? {
                all.entry(layer.chain_id).or_insert((0, layer.size)).0 += 1;
            }
        }
        Ok(Self(all))
    }

    /// How much of an image others have too.
    fn shared(&self, rows: &Reading<'_>, image: &ImageRow) -> Result<u64> {
        let size = |chain_id: &Digest| match self.0.get(chain_id) {
            Some((users, size)) if *users > 1 => *size,
            _ => 0,
        };
        let layers = rows.layers(&image.id)?;
        Ok(layers.iter().map(|layer| size(&layer.chain_id)).sum())
    }

    fn total(&self) -> u64 {
        self.0.values().map(|(_, size)| size).sum()
    }
}
