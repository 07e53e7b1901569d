//! What a check compares, and what it marks.

use rusqlite::params;
use rusqlite::types::Value;
use wharf_core::Digest;

use super::contents::read_kind;
use super::names::read_reference;
use super::{Catalog, Reading, Writing, parsed};
use crate::rows::{ManifestKind, Name};
use crate::{Result, StoreError};

/// Bounds the names that one finding lists: enough to know where it hurts.
const NAMES_SHOWN: u32 = 4;

impl Catalog {
    /// Reads the whole database, and makes sure that it agrees with itself.
    pub(crate) fn verify(&self) -> Result<()> {
        self.read(|rows| {
            let corrupt = |detail: String| Err(StoreError::Corrupt { detail });
            let first: String = rows
                .rows
                .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
            if first != "ok" {
                return corrupt(first);
            }
            let mut statement = rows.rows.prepare("PRAGMA foreign_key_check")?;
            let mut dangling = statement.query([])?;
            if let Some(row) = dangling.next()? {
                let table: String = row.get(0)?;
                return corrupt(format!("a row of {table} refers to nothing"));
            }
            Ok(())
        })
    }

    /// Folds the log into the database, so that its file alone is all of it.
    pub(crate) fn fold(&self) -> Result<()> {
        let connection = self.take()?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        self.note_folded();
        Ok(())
    }
}

impl Reading<'_> {
    /// Every blob that has a row: digest, size, and whether it's here as far as is known.
    pub(crate) fn all_blobs(&self) -> Result<Vec<(Digest, u64, bool)>> {
        let mut statement = self
            .rows
            .prepare("SELECT digest, size, here FROM blobs ORDER BY id")?;
        let all = statement.query_map([], |row| Ok((parsed(row, 0)?, row.get(1)?, row.get(2)?)))?;
        Ok(all.collect::<rusqlite::Result<_>>()?)
    }

    /// Every manifest that is complete as far as is known.
    pub(crate) fn all_manifests(&self) -> Result<Vec<(Digest, ManifestKind)>> {
        let mut statement = self.rows.prepare(
            "SELECT b.digest, m.kind FROM manifests m JOIN blobs b ON b.id = m.id \
             WHERE m.complete AND b.here ORDER BY b.id",
        )?;
        let all = statement.query_map([], |row| Ok((parsed(row, 0)?, read_kind(row, 1)?)))?;
        Ok(all.collect::<rusqlite::Result<_>>()?)
    }

    /// A few names of what needs a blob.
    pub(crate) fn names_needing(&self, digest: &Digest) -> Result<Vec<String>> {
        let mut statement = self.rows.prepare_cached(
            "WITH RECURSIVE up (id) AS (SELECT id FROM blobs WHERE digest = ?1 \
             UNION SELECT e.parent FROM up CROSS JOIN edges e ON e.child = up.id) \
             SELECT DISTINCT n.repository, n.tag FROM up CROSS JOIN names n ON n.target = up.id LIMIT ?2",
        )?;
        let names = statement.query_map(params![digest.as_str(), NAMES_SHOWN], |row| {
            Ok(read_reference(row)?.familiar())
        })?;
        Ok(names.collect::<rusqlite::Result<_>>()?)
    }

    /// All that was computed from a manifest, to be compared. Its place in the tables is left out.
    pub(crate) fn computed(&self, manifest: &Digest) -> Result<Vec<Vec<Value>>> {
        let queries = [
            "SELECT m.kind, m.media_type, m.children, m.subject, m.artifact_type, m.annotations, \
             m.image FROM manifests m WHERE m.id = ?1",
            "SELECT position, child FROM edges WHERE parent = ?1 \
             AND (SELECT kind FROM manifests WHERE id = ?1) != 0 ORDER BY position",
            "SELECT i.created, i.size, i.os, i.architecture, i.variant, i.labels \
             FROM images i JOIN manifests m ON m.image = i.id WHERE m.id = ?1",
            "SELECT l.position, l.diff_id, l.chain_id, l.layer FROM image_layers l \
             JOIN manifests m ON m.image = l.image WHERE m.id = ?1 ORDER BY l.position",
        ];
        let id = self.manifest_id(manifest)?;
        let mut all = Vec::new();
        for query in queries {
            let mut statement = self.rows.prepare_cached(query)?;
            let columns = statement.column_count();
            let mut rows = statement.query([id])?;
            while let Some(row) = rows.next()? {
                let values = (0..columns).map(|column| row.get(column));
                all.push(values.collect::<rusqlite::Result<Vec<Value>>>()?);
            }
        }
        Ok(all)
    }
}

impl Writing<'_> {
    /// Says that a blob isn't here any more, and that what needs it isn't whole. Names and images
    /// stay, and the next pull makes them whole. What nobody needs is forgotten.
    pub(crate) fn mark_missing(&mut self, digest: &Digest) -> Result<()> {
        let Some(id) = self.id(digest)? else {
            return Ok(());
        };
        self.rows
            .prepare_cached("UPDATE blobs SET here = 0 WHERE id = ?1")?
            .execute([id])?;
        self.rows
            .prepare_cached(
                "UPDATE manifests SET complete = 0 WHERE kind != 0 \
                 AND id IN (SELECT parent FROM edges WHERE child = ?1)",
            )?
            .execute([id])?;
        self.loosen(digest)
    }

    /// Puts a name back as it was.
    pub(crate) fn restore_name(&mut self, name: &Name) -> Result<()> {
        self.set_name(&name.reference, &name.target, name.image.as_ref())?;
        self.rows
            .prepare_cached(
                "UPDATE names SET updated = ?3, used = ?4 WHERE repository = ?1 AND tag = ?2",
            )?
            .execute(params![
                name.reference.repository(),
                name.reference.tag(),
                name.updated.as_microsecond(),
                name.used.as_microsecond()
            ])?;
        Ok(())
    }
}
