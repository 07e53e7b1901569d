//! What a check compares, what it marks, and what can still be read of a damaged database.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, Row, params};
use wharf_core::layer::LayerFacts;
use wharf_core::{Digest, Reference};

use super::contents::read_kind;
use super::names::read_reference;
use super::{Catalog, Reading, Writing, parsed};
use crate::rows::{LinkKind, ManifestKind, Name};
use crate::{Result, StoreError};

/// Bounds the names that one finding lists: enough to know where it hurts.
const NAMES_SHOWN: u32 = 4;

/// What a repair says when it does not know which images are kept.
const KEPT: &str = "marks of kept images";

/// What can still be read of a damaged database. What stands in no blob is only there.
#[derive(Debug, Default)]
pub(crate) struct Salvage {
    pub(crate) names: Vec<Name>,
    pub(crate) repo_digests: Vec<(Reference, Digest)>,
    pub(crate) links: Vec<(String, Digest, LinkKind)>,
    pub(crate) facts: Vec<(Digest, LayerFacts)>,
    pub(crate) kept: Vec<Digest>,
    /// What could not be read to the end, in an operator's words.
    pub(crate) lost: Vec<&'static str>,
}

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
             UNION SELECT e.parent FROM up JOIN edges e ON e.child = up.id) \
             SELECT DISTINCT n.repository, n.tag FROM names n JOIN up ON n.target = up.id LIMIT ?2",
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

/// Reads what can be read of a damaged database.
pub(crate) fn salvage(path: &Path) -> Salvage {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut old = Wreck {
        rows: Connection::open_with_flags(path, flags).ok(),
        lost: Vec::new(),
    };
    Salvage {
        names: old.read(
            "names",
            "SELECT n.repository, n.tag, t.digest, i.digest, n.updated, n.used FROM names n \
             JOIN blobs t ON t.id = n.target LEFT JOIN blobs i ON i.id = n.image",
            super::names::read_name,
        ),
        repo_digests: old.read(
            "digests of names",
            "SELECT r.repository, r.digest, b.digest FROM repo_digests r \
             JOIN blobs b ON b.id = r.image",
            |row| {
                let repository: Reference = parsed(row, 0)?;
                Ok((repository.with_digest(parsed(row, 1)?), parsed(row, 2)?))
            },
        ),
        links: old.read(
            "links of the registry server",
            "SELECT l.repository, b.digest, l.kind FROM links l JOIN blobs b ON b.id = l.blob",
            |row| {
                let is_blob = row.get::<_, i64>(2)? == super::holds::kind_number(LinkKind::Blob);
                let kind = if is_blob {
                    LinkKind::Blob
                } else {
                    LinkKind::Manifest
                };
                Ok((row.get(0)?, parsed(row, 1)?, kind))
            },
        ),
        facts: old.read(
            "facts about layers",
            "SELECT digest, diff_id, unpacked FROM blobs WHERE diff_id IS NOT NULL",
            |row| {
                let (diff_id, size) = (parsed(row, 1)?, row.get(2)?);
                Ok((parsed(row, 0)?, LayerFacts { diff_id, size }))
            },
        ),
        kept: old.read(
            KEPT,
            "SELECT b.digest FROM images i JOIN blobs b ON b.id = i.id WHERE i.kept",
            |row| parsed(row, 0),
        ),
        lost: old.lost,
    }
}

impl Salvage {
    /// Is it known of every image whether somebody keeps it?
    pub(crate) fn knows_kept(&self) -> bool {
        !self.lost.contains(&KEPT)
    }
}

/// A damaged database, as far as it opens.
struct Wreck {
    rows: Option<Connection>,
    lost: Vec<&'static str>,
}

impl Wreck {
    /// Reads rows until one cannot be read; one that cannot be understood is left out.
    fn read<T>(
        &mut self,
        what: &'static str,
        sql: &str,
        mut parse: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Vec<T> {
        let mut all = Vec::new();
        let mut read = |rows: &Connection| {
            let mut statement = rows.prepare(sql)?;
            let mut rows = statement.query([])?;
            let mut whole = true;
            while let Some(row) = rows.next()? {
                match parse(row) {
                    Ok(value) => all.push(value),
                    Err(_) => whole = false,
                }
            }
            Ok::<_, rusqlite::Error>(whole)
        };
        let whole = self
            .rows
            .as_ref()
            .is_some_and(|rows| read(rows).unwrap_or(false));
        if !whole {
            self.lost.push(what);
        }
        all
    }
}
