//! Rows of leases: what an operation in progress needs is not collected.

use rusqlite::params;
use wharf_core::Digest;

use super::Writing;
use crate::Result;
use crate::lease::EXPIRES_AFTER;

/// Stands where a lease's token does, and marks content whose last hold was removed while a lease still held it: it
/// goes with the first collection after that lease. Other unheld content came with an operation that broke off, and is
/// kept for a while.
pub(super) const RELEASED: &str = "released";

impl Writing<'_> {
    /// Holds content for the owner of `token`, whether it's here yet or not.
    pub(crate) fn hold(&mut self, token: &str, digest: &Digest) -> Result<()> {
        let expires = self.now.as_microsecond().saturating_add(EXPIRES_AFTER);
        self.rows
            .prepare_cached("INSERT OR REPLACE INTO leases VALUES (?1, ?2, ?3)")?
            .execute(params![digest.as_str(), token, expires])?;
        self.unmark_released(digest)?;
        // Whoever still works needs what it began with, too.
        self.rows
            .prepare_cached("UPDATE leases SET expires = ?2 WHERE token = ?1 AND expires < ?3")?
            .execute(params![token, expires, expires - EXPIRES_AFTER / 2])?;
        Ok(())
    }

    /// Lets go of everything that `token` holds. What nothing else holds stays until the next
    /// collection: a pull that broke off goes on with it.
    pub(crate) fn let_go(&mut self, token: &str) -> Result<()> {
        self.rows
            .prepare_cached("DELETE FROM leases WHERE token = ?1")?
            .execute([token])?;
        Ok(())
    }

    /// Marks content that only a lease still holds.
    pub(super) fn mark_released(&mut self, digest: &Digest) -> Result<()> {
        self.rows
            .prepare_cached("INSERT OR REPLACE INTO leases VALUES (?1, ?2, 0)")?
            .execute([digest.as_str(), RELEASED])?;
        Ok(())
    }

    /// Removes that mark: the content is gone, or wanted again.
    pub(super) fn unmark_released(&mut self, digest: &Digest) -> Result<()> {
        self.rows
            .prepare_cached("DELETE FROM leases WHERE digest = ?1 AND token = ?2")?
            .execute([digest.as_str(), RELEASED])?;
        Ok(())
    }

    /// Is the content held by somebody who is still there?
    pub(super) fn is_leased(&self, digest: &Digest) -> Result<bool> {
        let mut statement = self
            .rows
            .prepare_cached("SELECT token FROM leases WHERE digest = ?1 AND expires > ?2")?;
        let tokens = statement
            .query_map(params![digest.as_str(), self.now.as_microsecond()], |row| {
                row.get::<_, String>(0)
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(tokens.iter().any(|token| self.leases.is_alive(token)))
    }

    /// Removes the leases of whoever has ended, and those that have expired. Returns how many
    /// operations they belonged to.
    pub(crate) fn bury_leases(&mut self) -> Result<u64> {
        let mut statement = self
            .rows
            .prepare("SELECT token, max(expires) FROM leases GROUP BY token")?;
        let all = statement
            .query_map([], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        drop(statement);
        let mut buried = 0;
        for (token, expires) in all {
            if token == RELEASED {
                continue;
            }
            if expires <= self.now.as_microsecond() || !self.leases.is_alive(&token) {
                self.let_go(&token)?;
                buried += 1;
            }
        }
        Ok(buried)
    }
}

#[cfg(test)]
impl Writing<'_> {
    /// As if a day had passed.
    pub(crate) fn expire_leases(&mut self) -> Result<()> {
        self.rows.execute("UPDATE leases SET expires = 1", [])?;
        Ok(())
    }

    /// As if an image had arrived and were not kept yet.
    pub(crate) fn forget_kept(&mut self, image: &Digest) -> Result<()> {
        self.rows.execute(
            "UPDATE images SET kept = 0 WHERE id = (SELECT id FROM blobs WHERE digest = ?1)",
            [image.as_str()],
        )?;
        Ok(())
    }

    /// As if a day had passed.
    pub(crate) fn age_links(&mut self) -> Result<()> {
        self.rows.execute("UPDATE links SET made = 1", [])?;
        Ok(())
    }
}
