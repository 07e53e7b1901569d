//! Images, their layers, and listings. What they say was computed when the image arrived: a listing
//! reads rows only.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{OptionalExtension as _, Row, params};
use wharf_core::layer::LayerFacts;
use wharf_core::{Descriptor, Digest, Reference};

use super::names::{read_repository, with_tag};
use super::{Reading, Writing, parsed, parsed_option, time};
use crate::rows::{BlobRow, ImageRow, LayerRow, Listed};
use crate::{Result, StoreError};

const IMAGE: &str = "SELECT b.digest, m.media_type, d.digest, d.size, i.created, i.size, i.os, \
                     i.architecture, i.variant, i.labels, i.last_tagged, i.id, i.kept \
                     FROM images i JOIN blobs b ON b.id = i.id \
                     JOIN manifests m ON m.id = i.manifest JOIN blobs d ON d.id = m.id";

const LAYER: &str = "SELECT l.diff_id, l.chain_id, b.digest, b.size, coalesce(b.unpacked, b.size) \
                     FROM image_layers l JOIN blobs b ON b.id = l.layer";

/// Which image is known to share a stack of layers, while many images are removed one after the other.
///
/// Images that were removed may stay in the tables, since a lease or the registry server holds them. Without this
/// memory each further removal would pass over all of them again.
#[derive(Debug, Default)]
pub struct Sharers(HashMap<Digest, i64>);

impl Reading<'_> {
    /// One image, by its whole ID, whether it's kept already or has only just arrived.
    pub fn image(&self, id: &Digest) -> Result<Option<ImageRow>> {
        let sql = format!("{IMAGE} WHERE b.digest = ?1");
        let mut statement = self.rows.prepare_cached(&sql)?;
        Ok(statement.query_row([id.as_str()], read_image).optional()?)
    }

    /// How many bytes all blobs have that are here.
    pub fn stored(&self) -> Result<u64> {
        let mut statement = self
            .rows
            .prepare_cached("SELECT coalesce(sum(size), 0) FROM blobs WHERE here")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// Every image that is kept, with its names.
    pub fn images(&self) -> Result<Vec<Listed>> {
        let mut all: Vec<Listed> = Vec::new();
        let mut places = HashMap::new();
        let mut statement = self.rows.prepare_cached(&format!("{IMAGE} WHERE i.kept"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            places.insert(row.get::<_, i64>(11)?, all.len());
            let image = read_image(row)?;
            all.push(Listed {
                image,
                names: Vec::new(),
                repo_digests: Vec::new(),
            });
        }
        // Names that stand together are often of one image.
        let mut last = None;
        self.each_name(|image, name| {
            let place = match last {
                Some((id, place)) if id == image => place,
                _ => places.get(&image).copied(),
            };
            last = Some((image, place));
            if let Some(place) = place {
                all[place].names.push(name);
            }
        })?;
        self.each_repo_digest(|image, name| {
            if let Some(&place) = places.get(&image) {
                all[place].repo_digests.push(name);
            }
        })?;
        Ok(all)
    }

    /// Calls `take` with every name of an image, sorted.
    fn each_name(&self, mut take: impl FnMut(i64, Reference)) -> Result<()> {
        let mut statement = self.rows.prepare_cached(
            "SELECT repository, tag, image FROM names WHERE image IS NOT NULL \
             ORDER BY repository, tag",
        )?;
        let mut rows = statement.query([])?;
        // Names of one repository stand together: it's read once.
        let mut last: Option<Reference> = None;
        while let Some(row) = rows.next()? {
            let text = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            let repository = match &mut last {
                Some(last) if last.repository() == text => last,
                last => last.insert(read_repository(row)?),
            };
            take(row.get(2)?, with_tag(repository, row)?);
        }
        Ok(())
    }

    /// Calls `take` with every repo digest, sorted.
    fn each_repo_digest(&self, mut take: impl FnMut(i64, Reference)) -> Result<()> {
        let mut statement = self.rows.prepare_cached(
            "SELECT repository, digest, image FROM repo_digests ORDER BY repository, digest",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let repository = read_repository(row)?;
            take(row.get(2)?, repository.with_digest(parsed(row, 1)?));
        }
        Ok(())
    }

    /// The kept images whose ID, or whose manifest's or index's digest, starts with these hex
    /// digits; IDs count before manifests. At most two, enough to see that it's ambiguous.
    pub fn find_images(&self, hex_prefix: &str) -> Result<Vec<Digest>> {
        if hex_prefix.is_empty() || !hex_prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(Vec::new());
        }
        let mut statement = self.rows.prepare_cached(
            "SELECT b.digest FROM blobs b JOIN images i ON i.id = b.id \
             WHERE b.digest >= ?1 AND b.digest < ?2 AND i.kept ORDER BY b.digest LIMIT 2",
        )?;
        let from = format!("sha256:{hex_prefix}");
        let to = format!("{from}g"); // the letter after the last hex digit
        let found = statement.query_map([&from, &to], |row| parsed(row, 0))?;
        let images = found.collect::<rusqlite::Result<Vec<_>>>()?;
        if !images.is_empty() {
            return Ok(images);
        }
        let mut statement = self.rows.prepare_cached(
            "SELECT b.digest FROM blobs b JOIN manifests m ON m.id = b.id \
             WHERE b.digest >= ?1 AND b.digest < ?2 ORDER BY b.digest LIMIT 2",
        )?;
        let found = statement.query_map([&from, &to], |row| parsed::<Digest>(row, 0))?;
        let mut images = Vec::new();
        for manifest in found.collect::<rusqlite::Result<Vec<_>>>()? {
            let shown = self.shown_by(&manifest)?;
            images.extend(shown.filter(|image| !images.contains(image)));
        }
        Ok(images)
    }

    /// The image that a manifest's or an index's digest shows: of several platforms, the one that
    /// was named last.
    pub fn shown_by(&self, manifest: &Digest) -> Result<Option<Digest>> {
        let mut shown: Option<ImageRow> = None;
        for id in self.find_manifest(manifest)? {
            let Some(image) = self.image(&id)? else {
                continue;
            };
            if shown
                .as_ref()
                .is_none_or(|shown| shown.last_tagged < image.last_tagged)
            {
                shown = Some(image);
            }
        }
        Ok(shown.map(|image| image.id))
    }

    /// The kept images that a manifest's or an index's digest leads to, in the index's order.
    pub fn find_manifest(&self, digest: &Digest) -> Result<Vec<Digest>> {
        // The joins are made in this order (CROSS JOIN): SQLite takes a recursive table for a large one, and would go
        // through all images of the store instead.
        let mut statement = self.rows.prepare_cached(
            "WITH RECURSIVE reached (id, position) AS ( \
               SELECT b.id, 0 FROM blobs b JOIN manifests m ON m.id = b.id WHERE b.digest = ?1 \
               UNION SELECT e.child, e.position FROM reached r \
               CROSS JOIN manifests p ON p.id = r.id AND p.kind = 0 \
               CROSS JOIN edges e ON e.parent = r.id \
               CROSS JOIN manifests m ON m.id = e.child) \
             SELECT b.digest FROM reached r CROSS JOIN manifests m ON m.id = r.id \
             CROSS JOIN images i ON i.id = m.image AND i.kept CROSS JOIN blobs b ON b.id = i.id \
             GROUP BY b.id ORDER BY min(r.position)",
        )?;
        let found = statement.query_map([digest.as_str()], |row| parsed(row, 0))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    /// The images that a manifest's or an index's digest leads to, in the index's order, whether they are
    /// kept on their own or only for the index's sake.
    pub fn images_below(&self, digest: &Digest) -> Result<Vec<ImageRow>> {
        let mut statement = self.rows.prepare_cached(
            "WITH RECURSIVE reached (id, position) AS ( \
               SELECT b.id, 0 FROM blobs b JOIN manifests m ON m.id = b.id WHERE b.digest = ?1 \
               UNION SELECT e.child, e.position FROM reached r \
               CROSS JOIN manifests p ON p.id = r.id AND p.kind = 0 \
               CROSS JOIN edges e ON e.parent = r.id \
               CROSS JOIN manifests m ON m.id = e.child) \
             SELECT b.digest FROM reached r CROSS JOIN manifests m ON m.id = r.id AND m.complete \
             CROSS JOIN blobs b ON b.id = m.image GROUP BY b.id ORDER BY min(r.position)",
        )?;
        let found = statement.query_map([digest.as_str()], |row| parsed(row, 0))?;
        let ids = found.collect::<rusqlite::Result<Vec<Digest>>>()?;
        let images = ids.iter().map(|id| self.image(id));
        Ok(images
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect())
    }

    /// An image's layers, the base first.
    pub fn layers(&self, image: &Digest) -> Result<Vec<LayerRow>> {
        let sql = format!(
            "{LAYER} WHERE l.image = (SELECT id FROM blobs WHERE digest = ?1) ORDER BY l.position"
        );
        let mut statement = self.rows.prepare_cached(&sql)?;
        let layers = statement.query_map([image.as_str()], read_layer)?;
        Ok(layers.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the layers that no other kept image has, the base first.
    ///
    /// A stack of layers contains all stacks below it, so the layers that are shared are the lowest ones, and the
    /// search goes from the top to the first of them. `sharers` remembers what it has found, for the next image.
    pub fn own_layers(&self, image: &Digest, sharers: &mut Sharers) -> Result<Vec<LayerRow>> {
        let Some(id) = self.id(image)? else {
            return Ok(Vec::new());
        };
        let mut own = Vec::new();
        for layer in self.layers(image)?.into_iter().rev() {
            if self.is_shared(&layer.chain_id, id, sharers)? {
                break;
            }
            own.push(layer);
        }
        own.reverse();
        Ok(own)
    }

    /// Returns whether another kept image than `image` has this stack of layers.
    fn is_shared(&self, chain: &Digest, image: i64, sharers: &mut Sharers) -> Result<bool> {
        let known = sharers.0.get(chain).copied();
        let mut found = self.sharer(chain, image, known.unwrap_or(0))?;
        if found.is_none() && known.is_some() {
            // One that was passed over may have been given a name since.
            found = self.sharer(chain, image, 0)?;
        }
        match found {
            Some(other) => sharers.0.insert(chain.clone(), other),
            None => sharers.0.remove(chain),
        };
        Ok(found.is_some())
    }

    /// Finds the first kept image from number `from` on that has this stack of layers and is not `image`.
    fn sharer(&self, chain: &Digest, image: i64, from: i64) -> Result<Option<i64>> {
        let mut statement = self.rows.prepare_cached(
            "SELECT o.image FROM image_layers o CROSS JOIN images i ON i.id = o.image AND i.kept \
             WHERE o.chain_id = ?1 AND o.image >= ?3 AND o.image != ?2 ORDER BY o.image LIMIT 1",
        )?;
        let found = statement.query_row(params![chain.as_str(), image, from], |row| row.get(0));
        Ok(found.optional()?)
    }

    /// Is this the manifest of an image with layers that nobody has read yet?
    pub(crate) fn has_unread_layers(&self, manifest: &Digest) -> Result<bool> {
        let mut statement = self.rows.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM blobs m JOIN manifests s ON s.id = m.id \
               JOIN image_layers l ON l.image = s.image JOIN blobs b ON b.id = l.layer \
               WHERE m.digest = ?1 AND b.diff_id IS NULL)",
        )?;
        Ok(statement.query_row([manifest.as_str()], |row| row.get(0))?)
    }

    /// What is known of a layer, by its blob.
    pub fn layer_facts(&self, blob: &Digest) -> Result<Option<LayerFacts>> {
        Ok(self.blob_row(blob)?.and_then(|row| row.facts))
    }

    /// The blobs that hold a layer, however it is compressed, with their sizes in bytes: those that are
    /// here and that somebody has read.
    pub fn blobs_of_layer(&self, diff_id: &Digest) -> Result<Vec<(Digest, u64)>> {
        let mut statement = self.rows.prepare_cached(
            "SELECT digest, size FROM blobs WHERE diff_id = ?1 AND here ORDER BY id",
        )?;
        let found =
            statement.query_map([diff_id.as_str()], |row| Ok((parsed(row, 0)?, row.get(1)?)))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    /// A blob's size, in bytes, if it's here.
    pub fn blob_size(&self, digest: &Digest) -> Result<Option<u64>> {
        Ok(self
            .blob_row(digest)?
            .filter(|row| row.here)
            .map(|row| row.size))
    }

    /// What is known of a blob.
    pub(crate) fn blob_row(&self, digest: &Digest) -> Result<Option<BlobRow>> {
        let mut statement = self
            .rows
            .prepare_cached("SELECT size, here, diff_id, unpacked FROM blobs WHERE digest = ?1")?;
        let found = statement.query_row([digest.as_str()], |row| {
            let (diff_id, size) = (parsed_option(row, 2)?, row.get::<_, Option<u64>>(3)?);
            let facts = diff_id
                .zip(size)
                .map(|(diff_id, size)| LayerFacts { diff_id, size });
            Ok(BlobRow {
                size: row.get(0)?,
                here: row.get(1)?,
                facts,
            })
        });
        Ok(found.optional()?)
    }
}

impl Writing<'_> {
    /// Records what was learned of a layer, and computes the sizes of the images that have it again.
    pub(crate) fn set_facts(&mut self, blob: &Digest, facts: &LayerFacts) -> Result<()> {
        let id = self
            .id(blob)?
            .ok_or_else(|| StoreError::Unknown(blob.clone()))?;
        self.rows
            .prepare_cached("UPDATE blobs SET diff_id = ?2, unpacked = ?3 WHERE id = ?1")?
            .execute(params![id, facts.diff_id.as_str(), facts.size])?;
        let mut statement = self
            .rows
            .prepare_cached("SELECT DISTINCT image FROM image_layers WHERE layer = ?1")?;
        let images = statement
            .query_map([id], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<i64>>>()?;
        images
            .into_iter()
            .try_for_each(|image| self.compute_size(image))
    }

    /// Computes the size that an image shows from what is known of its layers.
    pub(super) fn compute_size(&self, image: i64) -> Result<()> {
        self.rows
            .prepare_cached(
                "UPDATE images SET size = (SELECT coalesce(sum(coalesce(b.unpacked, b.size)), 0) \
                 FROM image_layers l JOIN blobs b ON b.id = l.layer WHERE l.image = ?1) \
                 WHERE id = ?1",
            )?
            .execute([image])?;
        Ok(())
    }
}

fn read_image(row: &Row<'_>) -> rusqlite::Result<ImageRow> {
    let media_type: String = row.get(1)?;
    Ok(ImageRow {
        id: parsed(row, 0)?,
        manifest: Descriptor::new(media_type, parsed(row, 2)?, row.get(3)?),
        created: time(row, 4)?,
        size: row.get(5)?,
        os: row.get(6)?,
        architecture: row.get(7)?,
        variant: row.get(8)?,
        labels: read_labels(row, 9)?,
        last_tagged: time(row, 10)?,
        kept: row.get(12)?,
    })
}

/// Labels and annotations are JSON; `NULL` where there are none.
pub(super) fn read_labels(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<BTreeMap<String, String>> {
    let Some(text) = row.get_ref(column)?.as_str_or_null()? else {
        return Ok(BTreeMap::new());
    };
    serde_json::from_str(text).map_err(|error| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
    })
}

fn read_layer(row: &Row<'_>) -> rusqlite::Result<LayerRow> {
    Ok(LayerRow {
        diff_id: parsed(row, 0)?,
        chain_id: parsed(row, 1)?,
        blob: parsed(row, 2)?,
        blob_size: row.get(3)?,
        size: row.get(4)?,
    })
}
