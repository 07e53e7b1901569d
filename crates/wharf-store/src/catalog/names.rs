//! Names and repo digests: one indexed row each, so that the cost of a name does not grow with the
//! number of names.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, params};
use wharf_core::{Digest, Reference};

use super::{Reading, Writing, parsed, parsed_by, parsed_option, time};
use crate::rows::Name;
use crate::{Result, StoreError};

const NAME: &str = "SELECT n.repository, n.tag, t.digest, i.digest, n.updated, n.used \
                    FROM names n JOIN blobs t ON t.id = n.target LEFT JOIN blobs i ON i.id = n.image";

impl Reading<'_> {
    /// What a name points to. `reference` has a tag.
    pub fn name(&self, reference: &Reference) -> Result<Option<Name>> {
        let tag = tag_of(reference)?;
        let sql = format!("{NAME} WHERE n.repository = ?1 AND n.tag = ?2");
        let mut statement = self.rows.prepare_cached(&sql)?;
        Ok(statement
            .query_row(params![reference.repository(), tag], read_name)
            .optional()?)
    }

    /// The names of an image, sorted by repository and tag.
    pub fn names_of(&self, image: &Digest) -> Result<Vec<Name>> {
        let sql = format!(
            "{NAME} WHERE n.image = (SELECT id FROM blobs WHERE digest = ?1) \
             ORDER BY n.repository, n.tag"
        );
        let mut statement = self.rows.prepare_cached(&sql)?;
        let names = statement.query_map([image.as_str()], read_name)?;
        Ok(names.collect::<rusqlite::Result<_>>()?)
    }

    /// The names that point to this manifest or index, sorted by repository and tag.
    pub fn names_to(&self, target: &Digest) -> Result<Vec<Name>> {
        let sql = format!(
            "{NAME} WHERE n.target = (SELECT id FROM blobs WHERE digest = ?1) \
             ORDER BY n.repository, n.tag"
        );
        let mut statement = self.rows.prepare_cached(&sql)?;
        let names = statement.query_map([target.as_str()], read_name)?;
        Ok(names.collect::<rusqlite::Result<_>>()?)
    }

    /// Does any name point to this manifest or index?
    pub fn is_named(&self, target: &Digest) -> Result<bool> {
        let mut statement = self.rows.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM names \
             WHERE target = (SELECT id FROM blobs WHERE digest = ?1))",
        )?;
        Ok(statement.query_row([target.as_str()], |row| row.get(0))?)
    }

    /// The names with digests of an image, sorted by repository and digest.
    pub fn repo_digests_of(&self, image: &Digest) -> Result<Vec<Reference>> {
        let dated = self.dated_repo_digests_of(image)?;
        Ok(dated.into_iter().map(|(reference, _)| reference).collect())
    }

    /// The same, with the time at which each was last set.
    pub fn dated_repo_digests_of(&self, image: &Digest) -> Result<Vec<(Reference, Timestamp)>> {
        let mut statement = self.rows.prepare_cached(
            "SELECT repository, digest, updated FROM repo_digests \
             WHERE image = (SELECT id FROM blobs WHERE digest = ?1) ORDER BY repository, digest",
        )?;
        let all = statement.query_map([image.as_str()], |row| {
            let reference = read_repository(row)?.with_digest(parsed(row, 1)?);
            Ok((reference, time(row, 2)?.unwrap_or_default()))
        })?;
        Ok(all.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns whether an image has a name, with a tag or with a digest.
    pub fn is_referenced(&self, image: &Digest) -> Result<bool> {
        let mut statement = self.rows.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM names WHERE image = i.id) \
             OR EXISTS (SELECT 1 FROM repo_digests WHERE image = i.id) \
             FROM blobs i WHERE i.digest = ?1",
        )?;
        let found = statement.query_row([image.as_str()], |row| row.get(0));
        Ok(found.optional()?.unwrap_or(false))
    }

    /// Returns whether an image has a name with a tag.
    pub fn has_tag(&self, image: &Digest) -> Result<bool> {
        let mut statement = self.rows.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM names \
             WHERE image = (SELECT id FROM blobs WHERE digest = ?1))",
        )?;
        Ok(statement.query_row([image.as_str()], |row| row.get(0))?)
    }

    /// Returns when a name with a digest was last set for this image; `None` if the image does not have it.
    pub fn repo_digest_set_at(
        &self,
        reference: &Reference,
        image: &Digest,
    ) -> Result<Option<Timestamp>> {
        let digest = digest_of(reference)?;
        let mut statement = self.rows.prepare_cached(
            "SELECT updated FROM repo_digests WHERE repository = ?1 AND digest = ?2 \
             AND image = (SELECT id FROM blobs WHERE digest = ?3)",
        )?;
        let key = [reference.repository(), digest.as_str(), image.as_str()];
        let found = statement.query_row(key, |row| time(row, 0));
        Ok(found.optional()?.flatten())
    }

    /// Returns whether an image has a name with a tag in the repository of `reference`.
    pub fn has_tag_in(&self, image: &Digest, reference: &Reference) -> Result<bool> {
        let mut statement = self.rows.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM names WHERE repository = ?2 \
             AND image = (SELECT id FROM blobs WHERE digest = ?1))",
        )?;
        let found = statement.query_row([image.as_str(), reference.repository()], |row| row.get(0));
        Ok(found?)
    }

    /// Returns the names with digests that an image has in the repository of `reference`, sorted.
    pub fn repo_digests_in(&self, image: &Digest, reference: &Reference) -> Result<Vec<Reference>> {
        let mut statement = self.rows.prepare_cached(
            "SELECT repository, digest FROM repo_digests WHERE repository = ?2 \
             AND image = (SELECT id FROM blobs WHERE digest = ?1) ORDER BY digest",
        )?;
        let all = statement.query_map([image.as_str(), reference.repository()], |row| {
            Ok(read_repository(row)?.with_digest(parsed(row, 1)?))
        })?;
        Ok(all.collect::<rusqlite::Result<_>>()?)
    }

    /// The image that a name with a digest shows: of several platforms, the one that was pulled
    /// last. `reference` has a digest; its tag is ignored.
    pub fn repo_digest(&self, reference: &Reference) -> Result<Option<Digest>> {
        let digest = digest_of(reference)?;
        let mut statement = self.rows.prepare_cached(
            "SELECT b.digest FROM repo_digests r JOIN blobs b ON b.id = r.image \
             WHERE r.repository = ?1 AND r.digest = ?2 ORDER BY r.updated DESC LIMIT 1",
        )?;
        let found = statement.query_row([reference.repository(), digest.as_str()], |row| {
            parsed(row, 0)
        });
        Ok(found.optional()?)
    }

    /// When an image was last pulled, named, or used by one of its names; `None` if nobody ever did.
    pub fn used_at(&self, image: &Digest) -> Result<Option<Timestamp>> {
        let mut statement = self.rows.prepare_cached(
            "SELECT nullif(max( \
               coalesce((SELECT max(max(used, updated)) FROM names WHERE image = i.id), 0), \
               coalesce((SELECT max(updated) FROM repo_digests WHERE image = i.id), 0), \
               coalesce(i.last_tagged, 0)), 0) \
             FROM images i JOIN blobs b ON b.id = i.id WHERE b.digest = ?1",
        )?;
        let found = statement.query_row([image.as_str()], |row| time(row, 0));
        Ok(found.optional()?.flatten())
    }

    /// The repositories that some registry has this config or layer in, as far as names with digests
    /// tell, sorted: an image's blobs are where the image was pulled from or pushed to.
    pub fn repositories_with(&self, blob: &Digest) -> Result<Vec<Reference>> {
        let mut statement = self.rows.prepare_cached(
            "SELECT DISTINCT r.repository FROM blobs b \
             JOIN repo_digests r ON r.image = b.id \
               OR r.image IN (SELECT image FROM image_layers WHERE layer = b.id) \
             WHERE b.digest = ?1 ORDER BY r.repository",
        )?;
        let found = statement.query_map([blob.as_str()], |row| parsed(row, 0))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }
}

impl Writing<'_> {
    /// Points a name (with a tag) to a manifest that is here and, for an image, to the image.
    /// The image is kept from now on. Returns what the name pointed to before.
    pub fn set_name(
        &mut self,
        reference: &Reference,
        target: &Digest,
        image: Option<&Digest>,
    ) -> Result<Option<Name>> {
        let tag = tag_of(reference)?;
        let target = self.manifest_id(target)?;
        let image = image.map(|image| self.image_id(image)).transpose()?;
        let before = self.name(reference)?;
        if let Some(before) = &before {
            self.loosen(&before.target)?;
        }
        let now = self.now.as_microsecond();
        self.rows
            .prepare_cached("INSERT OR REPLACE INTO names VALUES (?1, ?2, ?3, ?4, ?5, ?5)")?
            .execute(params![reference.repository(), tag, target, image, now])?;
        if let Some(image) = image {
            self.rows
                .prepare_cached("UPDATE images SET kept = 1, last_tagged = ?2 WHERE id = ?1")?
                .execute([image, now])?;
        }
        Ok(before)
    }

    /// Removes a name (with a tag). The image stays, without it. Returns what it pointed to.
    pub fn remove_name(&mut self, reference: &Reference) -> Result<Option<Name>> {
        let Some(before) = self.name(reference)? else {
            return Ok(None);
        };
        self.rows
            .prepare_cached("DELETE FROM names WHERE repository = ?1 AND tag = ?2")?
            .execute(params![reference.repository(), tag_of(reference)?])?;
        self.loosen(&before.target)?;
        Ok(Some(before))
    }

    /// Says that a manifest that is here was made here, out of plain archives.
    pub fn set_local(&mut self, manifest: &Digest) -> Result<()> {
        let id = self.manifest_id(manifest)?;
        self.rows
            .prepare_cached("UPDATE manifests SET local = 1 WHERE id = ?1")?
            .execute([id])?;
        Ok(())
    }

    /// Says that a name was used now. A name that isn't here stays so.
    pub fn mark_used(&mut self, reference: &Reference) -> Result<()> {
        self.rows
            .prepare_cached("UPDATE names SET used = ?3 WHERE repository = ?1 AND tag = ?2")?
            .execute(params![
                reference.repository(),
                tag_of(reference)?,
                self.now.as_microsecond()
            ])?;
        Ok(())
    }

    /// Says that `reference` (with a digest, its tag ignored) is how a registry names the image,
    /// and that it shows this one of its platforms from now on. The image is kept.
    pub fn set_repo_digest(&mut self, reference: &Reference, image: &Digest) -> Result<()> {
        let digest = digest_of(reference)?;
        let image = self.image_id(image)?;
        let now = self.now.as_microsecond();
        self.rows
            .prepare_cached("INSERT OR REPLACE INTO repo_digests VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![reference.repository(), digest.as_str(), image, now])?;
        self.keep(image)
    }

    /// Forgets that. Was it known?
    pub fn remove_repo_digest(&mut self, reference: &Reference, image: &Digest) -> Result<bool> {
        let digest = digest_of(reference)?;
        let image = self.image_id(image)?;
        let removed = self
            .rows
            .prepare_cached(
                "DELETE FROM repo_digests WHERE repository = ?1 AND digest = ?2 AND image = ?3",
            )?
            .execute(params![reference.repository(), digest.as_str(), image])?;
        self.loosen(digest)?;
        Ok(removed > 0)
    }
}

pub(super) fn read_name(row: &Row<'_>) -> rusqlite::Result<Name> {
    Ok(Name {
        reference: read_reference(row)?,
        target: parsed(row, 2)?,
        image: parsed_option(row, 3)?,
        updated: time(row, 4)?.unwrap_or_default(),
        used: time(row, 5)?.unwrap_or_default(),
    })
}

/// Reads the repository and the tag in a row's first columns.
pub(super) fn read_reference(row: &Row<'_>) -> rusqlite::Result<Reference> {
    with_tag(&read_repository(row)?, row)
}

/// Reads the repository in a row's first column.
pub(super) fn read_repository(row: &Row<'_>) -> rusqlite::Result<Reference> {
    parsed_by(row, 0, Reference::of_repository)
}

/// Puts a repository and the tag in a row's second column together again.
pub(super) fn with_tag(repository: &Reference, row: &Row<'_>) -> rusqlite::Result<Reference> {
    parsed_by(row, 1, |tag| repository.with_tag(tag))
}

fn tag_of(reference: &Reference) -> Result<&str> {
    let error = || StoreError::Reference {
        reference: reference.clone(),
        expected: "a tag",
    };
    reference.tag().ok_or_else(error)
}

fn digest_of(reference: &Reference) -> Result<&Digest> {
    let error = || StoreError::Reference {
        reference: reference.clone(),
        expected: "a digest",
    };
    reference.digest().ok_or_else(error)
}
