//! What is here: manifests, and whether all that they need is here too.

use rusqlite::{OptionalExtension as _, Row};
use wharf_core::{Descriptor, Digest};

use super::{Reading, parsed, parsed_option};
use crate::Result;
use crate::rows::{Child, ManifestKind, ManifestRow};

/// Bounds how deep an index in an index is followed.
const DEPTH_MAX: usize = 8;

impl Reading<'_> {
    /// A manifest that is here.
    pub fn manifest(&self, digest: &Digest) -> Result<Option<ManifestRow>> {
        let mut statement = self.rows.prepare_cached(
            "SELECT m.id, m.media_type, b.size, m.kind, i.digest, m.complete AND b.here, m.local \
             FROM manifests m JOIN blobs b ON b.id = m.id LEFT JOIN blobs i ON i.id = m.image \
             WHERE b.digest = ?1",
        )?;
        let found = statement.query_row([digest.as_str()], |row| {
            let media_type: String = row.get(1)?;
            let manifest = ManifestRow {
                descriptor: Descriptor::new(media_type, digest.clone(), row.get(2)?),
                kind: read_kind(row, 3)?,
                image: parsed_option(row, 4)?,
                complete: row.get(5)?,
                local: row.get(6)?,
                children: Vec::new(),
            };
            Ok((row.get::<_, i64>(0)?, manifest))
        });
        let Some((id, mut manifest)) = found.optional()? else {
            return Ok(None);
        };
        manifest.children = self.children(id)?;
        Ok(Some(manifest))
    }

    fn children(&self, parent: i64) -> Result<Vec<Child>> {
        let mut statement = self.rows.prepare_cached(
            "SELECT b.digest, b.size, i.digest, b.here AND coalesce(m.complete, 1) \
             FROM edges e JOIN blobs b ON b.id = e.child LEFT JOIN manifests m ON m.id = e.child \
             LEFT JOIN blobs i ON i.id = m.image WHERE e.parent = ?1 ORDER BY e.position",
        )?;
        let children = statement.query_map([parent], |row| {
            Ok(Child {
                digest: parsed(row, 0)?,
                size: row.get(1)?,
                image: parsed_option(row, 2)?,
                here: row.get(3)?,
            })
        })?;
        Ok(children.collect::<rusqlite::Result<_>>()?)
    }

    /// Is the manifest here with all that it lists?
    pub(crate) fn is_whole(&self, manifest: &Digest) -> Result<bool> {
        Ok(match self.id(manifest)? {
            Some(id) => self.is_whole_id(id, DEPTH_MAX)?,
            None => false,
        })
    }

    fn is_whole_id(&self, id: i64, depth: usize) -> Result<bool> {
        let mut statement = self.rows.prepare_cached(
            "SELECT m.kind, m.complete AND b.here, m.children, \
             (SELECT count(*) FROM edges WHERE parent = m.id) \
             FROM manifests m JOIN blobs b ON b.id = m.id WHERE m.id = ?1",
        )?;
        let found = statement.query_row([id], |row| {
            let counts = (row.get::<_, i64>(2)?, row.get::<_, i64>(3)?);
            Ok((read_kind(row, 0)?, row.get::<_, bool>(1)?, counts))
        });
        let Some((kind, complete, (listed, here))) = found.optional()? else {
            return Ok(false);
        };
        if kind != ManifestKind::Index || !complete || listed != here || depth == 0 {
            return Ok(complete && listed == here && depth > 0);
        }
        let mut statement = self.rows.prepare_cached(
            "SELECT e.child, m.id IS NOT NULL, b.here FROM edges e JOIN blobs b ON b.id = e.child \
             LEFT JOIN manifests m ON m.id = e.child WHERE e.parent = ?1",
        )?;
        let children = statement
            .query_map([id], |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, bool>(1)?,
                    row.get::<_, bool>(2)?,
                ))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        for (child, is_manifest, here) in children {
            if !here || is_manifest && !self.is_whole_id(child, depth - 1)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

pub(super) fn read_kind(row: &Row<'_>, column: usize) -> rusqlite::Result<ManifestKind> {
    Ok(match row.get(column)? {
        0_i64 => ManifestKind::Index,
        1 => ManifestKind::Image,
        _ => ManifestKind::Artifact,
    })
}
