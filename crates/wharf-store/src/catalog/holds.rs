//! What holds what, and the removal of what nothing holds.
//!
//! A blob is held by a manifest that needs it; a manifest by a name, a repo digest, a link of the
//! registry server, an index that lists it, or because its image is kept; and anything by a lease.
//! Content cannot contain its own digest, so there are no loops: whoever takes a hold away says so
//! ([`Writing::loosen`]), and what follows from it is found one step after the other, without a look
//! at the rest of the store.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};
use wharf_core::Digest;

use super::leases::RELEASED;
use super::{Reading, Writing};
use crate::rows::{LinkKind, UnheldBlob};
use crate::{Result, StoreError};

/// How long a repository's link alone holds a blob, in microseconds: as long as a slow push may take
/// between a layer and its manifest. A day, as registries have it.
const LINK_HOLDS: i64 = 24 * 60 * 60 * 1_000_000;

impl Reading<'_> {
    /// The row of some content, whether it's damaged or not.
    pub(super) fn id(&self, digest: &Digest) -> Result<Option<i64>> {
        let mut statement = self
            .rows
            .prepare_cached("SELECT id FROM blobs WHERE digest = ?1")?;
        Ok(statement
            .query_row([digest.as_str()], |row| row.get(0))
            .optional()?)
    }

    pub(super) fn manifest_id(&self, digest: &Digest) -> Result<i64> {
        let mut statement = self.rows.prepare_cached(
            "SELECT b.id FROM blobs b JOIN manifests m ON m.id = b.id WHERE b.digest = ?1",
        )?;
        let found = statement
            .query_row([digest.as_str()], |row| row.get(0))
            .optional()?;
        found.ok_or_else(|| StoreError::Unknown(digest.clone()))
    }

    pub(super) fn image_id(&self, digest: &Digest) -> Result<i64> {
        let mut statement = self.rows.prepare_cached(
            "SELECT b.id FROM blobs b JOIN images i ON i.id = b.id WHERE b.digest = ?1",
        )?;
        let found = statement
            .query_row([digest.as_str()], |row| row.get(0))
            .optional()?;
        found.ok_or_else(|| StoreError::Unknown(digest.clone()))
    }

    /// The blobs that no row holds, as a read sees it. Whether a living lease holds one is found out where it is
    /// removed, as is everything that was needed by it alone.
    pub(crate) fn unheld(&self) -> Result<Vec<UnheldBlob>> {
        let mut statement = self.rows.prepare_cached(
            "SELECT b.digest, b.size, EXISTS ( \
               SELECT 1 FROM leases l WHERE l.digest = b.digest AND l.token = ?3) FROM blobs b \
             WHERE NOT EXISTS (SELECT 1 FROM edges WHERE child = b.id) \
             AND NOT EXISTS (SELECT 1 FROM names WHERE target = b.id) \
             AND NOT EXISTS (SELECT 1 FROM names WHERE image = b.id) \
             AND NOT EXISTS (SELECT 1 FROM manifests m JOIN images i ON i.id = m.image \
                             WHERE m.id = b.id AND i.kept) \
             AND NOT EXISTS (SELECT 1 FROM repo_digests WHERE digest = b.digest) \
             AND NOT EXISTS (SELECT 1 FROM images WHERE id = b.id AND kept) \
             AND NOT EXISTS (SELECT 1 FROM links WHERE blob = b.id AND (kind = ?1 OR made >= ?2))",
        )?;
        let oldest_link = Timestamp::now().as_microsecond().saturating_sub(LINK_HOLDS);
        let blobs = statement.query_map(
            params![kind_number(LinkKind::Manifest), oldest_link, RELEASED],
            |row| {
                Ok(UnheldBlob {
                    digest: super::parsed(row, 0)?,
                    size: row.get(1)?,
                    released: row.get(2)?,
                })
            },
        )?;
        Ok(blobs.collect::<rusqlite::Result<_>>()?)
    }

    pub(super) fn ids(&self, sql: &str, id: i64) -> Result<Vec<i64>> {
        let mut statement = self.rows.prepare_cached(sql)?;
        let ids = statement.query_map([id], |row| row.get(0))?;
        Ok(ids.collect::<rusqlite::Result<_>>()?)
    }
}

impl Writing<'_> {
    /// Says that something which held `digest` is gone.
    pub(crate) fn loosen(&mut self, digest: &Digest) -> Result<()> {
        let id = self.id(digest)?;
        self.loose.extend(id);
        Ok(())
    }

    /// Says of unheld blobs that they may go. What an operation in progress has brought is passed over.
    pub(crate) fn loosen_unheld(&mut self, blobs: &[UnheldBlob]) -> Result<()> {
        for blob in blobs {
            if !self.is_leased(&blob.digest)? {
                self.loosen(&blob.digest)?;
            }
        }
        Ok(())
    }

    /// Keeps an image until it's removed.
    pub(super) fn keep(&mut self, image: i64) -> Result<()> {
        self.rows
            .prepare_cached("UPDATE images SET kept = 1 WHERE id = ?1")?
            .execute([image])?;
        Ok(())
    }

    /// Keeps an image that has no name yet, so that it's listed and not collected.
    pub fn keep_image(&mut self, id: &Digest) -> Result<()> {
        let image = self.image_id(id)?;
        self.keep(image)
    }

    /// Makes an image, and every name of it that points to its manifest `from`, stand on its manifest
    /// `to`: the same image, its layers in other blobs. `from` goes unless something else holds it.
    pub fn retarget(&mut self, image: &Digest, from: &Digest, to: &Digest) -> Result<()> {
        let image = self.image_id(image)?;
        let (from, to) = (self.manifest_id(from)?, self.manifest_id(to)?);
        let run = |sql, ids: [i64; 3]| self.rows.prepare_cached(sql)?.execute(ids);
        run(
            "UPDATE names SET target = ?3 WHERE image = ?1 AND target = ?2",
            [image, from, to],
        )?;
        // Its image alone would hold it: both show the same one, so it lets go.
        run(
            "UPDATE manifests SET image = NULL WHERE image = ?1 AND id = ?2 AND ?3 != ?2 \
             AND NOT EXISTS (SELECT 1 FROM links WHERE blob = ?2 AND kind = 1)",
            [image, from, to],
        )?;
        self.forget_image(image)?;
        self.loose.push(from);
        Ok(())
    }

    /// Removes an image, with the names and repo digests that it has left. Its blobs go when the
    /// transaction commits, unless something else needs them. Was it here?
    pub fn remove_image(&mut self, id: &Digest) -> Result<bool> {
        let Ok(image) = self.image_id(id) else {
            return Ok(false);
        };
        let targets = self.ids("SELECT target FROM names WHERE image = ?1", image)?;
        let digests = self.ids(
            "SELECT b.id FROM repo_digests r JOIN blobs b ON b.digest = r.digest WHERE r.image = ?1",
            image,
        )?;
        let manifests = self.ids("SELECT id FROM manifests WHERE image = ?1", image)?;
        let run = |sql| self.rows.prepare_cached(sql)?.execute([image]);
        run("DELETE FROM names WHERE image = ?1")?;
        run("DELETE FROM repo_digests WHERE image = ?1")?;
        run("UPDATE images SET kept = 0 WHERE id = ?1")?;
        // An index stays as it is with one platform fewer, unless the registry server gives it away.
        run(
            "DELETE FROM edges WHERE child IN (SELECT id FROM manifests WHERE image = ?1) \
             AND NOT EXISTS (SELECT 1 FROM links l WHERE l.blob = edges.parent AND l.kind = 1)",
        )?;
        self.loose
            .extend(manifests.into_iter().chain(targets).chain(digests));
        Ok(true)
    }

    /// Removes the rows that nothing holds any more, and says which blobs they were.
    pub(super) fn release(&mut self) -> Result<Vec<(Digest, u64)>> {
        let mut gone = Vec::new();
        while let Some(id) = self.loose.pop() {
            let row = self
                .rows
                .prepare_cached("SELECT digest, size FROM blobs WHERE id = ?1")?
                .query_row([id], |row| {
                    Ok((super::parsed::<Digest>(row, 0)?, row.get(1)?))
                })
                .optional()?;
            let Some((digest, size)) = row else { continue };
            if self.is_held(id, &digest)? {
                continue;
            }
            if self.is_leased(&digest)? {
                self.mark_released(&digest)?;
                continue;
            }
            self.forget(id)?;
            self.unmark_released(&digest)?;
            gone.push((digest, size));
        }
        Ok(gone)
    }

    /// Returns whether a row holds a blob. What a lease holds is asked for apart.
    fn is_held(&self, id: i64, digest: &Digest) -> Result<bool> {
        let oldest_link = self.now.as_microsecond().saturating_sub(LINK_HOLDS);
        let manifest_link = kind_number(LinkKind::Manifest);
        Ok(self
            .rows
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM edges WHERE child = ?1) \
                 OR EXISTS (SELECT 1 FROM names WHERE target = ?1 OR image = ?1) \
                 OR EXISTS (SELECT 1 FROM links WHERE blob = ?1 AND (kind = ?2 OR made >= ?3)) \
                 OR EXISTS (SELECT 1 FROM manifests m JOIN images i ON i.id = m.image \
                            WHERE m.id = ?1 AND i.kept) \
                 OR EXISTS (SELECT 1 FROM repo_digests WHERE digest = ?4) \
                 OR EXISTS (SELECT 1 FROM images WHERE id = ?1 AND kept)",
            )?
            .query_row(
                params![id, manifest_link, oldest_link, digest.as_str()],
                |row| row.get(0),
            )?)
    }

    /// Removes the rows of one blob; what it held becomes loose.
    fn forget(&mut self, id: i64) -> Result<()> {
        let children = self.ids("SELECT child FROM edges WHERE parent = ?1", id)?;
        let images = self.ids(
            "SELECT image FROM manifests WHERE id = ?1 AND image IS NOT NULL",
            id,
        )?;
        let run = |sql, id: i64| self.rows.prepare_cached(sql)?.execute([id]);
        run("DELETE FROM edges WHERE parent = ?1", id)?;
        run("DELETE FROM manifests WHERE id = ?1", id)?;
        for image in images {
            self.forget_image(image)?;
        }
        run("DELETE FROM links WHERE blob = ?1", id)?;
        run("DELETE FROM blobs WHERE id = ?1", id)?;
        self.loose.extend(children);
        Ok(())
    }

    /// Removes an image's row once the last of its manifests is gone; as long as there is another, the
    /// image is shown with the layers of that.
    fn forget_image(&self, image: i64) -> Result<()> {
        let others = self.ids(
            "SELECT id FROM manifests WHERE image = ?1 ORDER BY id",
            image,
        )?;
        let Some(&manifest) = others.first() else {
            let run = |sql| self.rows.prepare_cached(sql)?.execute([image]);
            run("DELETE FROM image_layers WHERE image = ?1")?;
            run("DELETE FROM images WHERE id = ?1")?;
            return Ok(());
        };
        let shown: i64 = self
            .rows
            .prepare_cached("SELECT manifest FROM images WHERE id = ?1")?
            .query_row([image], |row| row.get(0))?;
        if !others.contains(&shown) {
            let run = |sql| self.rows.prepare_cached(sql)?.execute([image, manifest]);
            run("UPDATE images SET manifest = ?2 WHERE id = ?1")?;
            run("UPDATE image_layers SET layer = (SELECT child FROM edges \
                 WHERE parent = ?2 AND position = image_layers.position + 1) WHERE image = ?1")?;
            self.compute_size(image)?;
        }
        Ok(())
    }
}

pub(super) const fn kind_number(kind: LinkKind) -> i64 {
    match kind {
        LinkKind::Blob => 0,
        LinkKind::Manifest => 1,
    }
}
