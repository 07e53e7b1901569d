//! Rows of the registry server. A repository links to what was pushed to it: knowing a digest gives
//! no access to another repository's content. Its tags are names like any other.

use rusqlite::{OptionalExtension as _, params};
use wharf_core::{Descriptor, Digest};

use super::holds::kind_number;
use super::images::read_labels;
use super::{Reading, Writing, parsed};
use crate::rows::LinkKind;
use crate::{Result, StoreError};

/// Bounds the referrers of one subject that are listed: an image index has at most this many entries.
const REFERRERS_MAX: u32 = 4096;

impl Reading<'_> {
    /// Does the repository link to the digest as this kind?
    pub fn is_linked(&self, repository: &str, digest: &Digest, kind: LinkKind) -> Result<bool> {
        let mut statement = self.rows.prepare_cached(
            "SELECT 1 FROM links l JOIN blobs b ON b.id = l.blob \
             WHERE l.repository = ?1 AND b.digest = ?2 AND l.kind = ?3 AND b.here",
        )?;
        let found = statement.query_row(
            params![repository, digest.as_str(), kind_number(kind)],
            |_| Ok(()),
        );
        Ok(found.optional()?.is_some())
    }

    /// A repository's tags after `after`, sorted, at most `limit`.
    pub fn tags(&self, repository: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>> {
        let mut statement = self.rows.prepare_cached(
            "SELECT tag FROM names WHERE repository = ?1 AND tag > ?2 ORDER BY tag LIMIT ?3",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let tags = statement.query_map(
            params![repository, after.unwrap_or_default(), limit],
            |row| row.get(0),
        )?;
        Ok(tags.collect::<rusqlite::Result<_>>()?)
    }

    /// The repositories (those with names or links) after `after`, sorted, at most `limit`.
    ///
    /// Each step asks the indexes for the next one, so that a page costs the same in a large store.
    pub fn repositories(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>> {
        let mut statement = self.rows.prepare_cached(
            "SELECT min(r) FROM (SELECT min(repository) AS r FROM names WHERE repository > ?1 \
             UNION ALL SELECT min(repository) FROM links WHERE repository > ?1)",
        )?;
        let mut all = Vec::new();
        let mut last = after.unwrap_or_default().to_owned();
        while all.len() < limit {
            let next: Option<String> = statement.query_row([&last], |row| row.get(0))?;
            let Some(next) = next else { break };
            last.clone_from(&next);
            all.push(next);
        }
        Ok(all)
    }

    /// The manifests that the repository links to and that are about `subject`, with their artifact
    /// types and annotations.
    pub fn referrers(&self, repository: &str, subject: &Digest) -> Result<Vec<Descriptor>> {
        let mut statement = self.rows.prepare_cached(
            "SELECT m.media_type, b.digest, b.size, m.artifact_type, m.annotations \
             FROM manifests m JOIN blobs b ON b.id = m.id \
             JOIN links l ON l.blob = m.id AND l.kind = 1 AND l.repository = ?1 \
             WHERE m.subject = ?2 AND b.here ORDER BY b.id LIMIT ?3",
        )?;
        let found = statement.query_map(
            params![repository, subject.as_str(), REFERRERS_MAX],
            |row| {
                let media_type: String = row.get(0)?;
                let mut descriptor = Descriptor::new(media_type, parsed(row, 1)?, row.get(2)?);
                descriptor.artifact_type = row.get(3)?;
                descriptor.annotations = read_labels(row, 4)?;
                Ok(descriptor)
            },
        )?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }
}

impl Writing<'_> {
    /// Links a repository to content that is here. A link to a blob alone holds it for a day: until
    /// then a manifest should have come that needs it.
    pub fn link(&mut self, repository: &str, digest: &Digest, kind: LinkKind) -> Result<()> {
        let id = match kind {
            LinkKind::Blob => self
                .id(digest)?
                .ok_or_else(|| StoreError::Unknown(digest.clone()))?,
            LinkKind::Manifest => self.manifest_id(digest)?,
        };
        self.rows
            .prepare_cached("INSERT OR REPLACE INTO links VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![
                repository,
                id,
                kind_number(kind),
                self.now.as_microsecond()
            ])?;
        Ok(())
    }

    /// Removes a link; what nothing else holds goes. Was it there?
    pub fn unlink(&mut self, repository: &str, digest: &Digest, kind: LinkKind) -> Result<bool> {
        let removed = self
            .rows
            .prepare_cached(
                "DELETE FROM links WHERE repository = ?1 AND kind = ?3 \
                 AND blob = (SELECT id FROM blobs WHERE digest = ?2)",
            )?
            .execute(params![repository, digest.as_str(), kind_number(kind)])?;
        self.loosen(digest)?;
        Ok(removed > 0)
    }

    /// Removes every tag of the repository that points to `target`, and says which they were.
    pub fn untag_all(&mut self, repository: &str, target: &Digest) -> Result<Vec<String>> {
        let mut statement = self.rows.prepare_cached(
            "DELETE FROM names WHERE repository = ?1 \
             AND target = (SELECT id FROM blobs WHERE digest = ?2) RETURNING tag",
        )?;
        let tags = statement
            .query_map([repository, target.as_str()], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<String>>>()?;
        drop(statement);
        self.loosen(target)?;
        Ok(tags)
    }
}
