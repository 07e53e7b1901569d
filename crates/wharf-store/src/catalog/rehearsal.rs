//! A copy of the rows, on which a removal is tried.
//!
//! A dry run has to say what the run itself would say, and may not keep others waiting. So it does all that the run
//! does, on a copy that is private to this connection: SQLite keeps it in memory as far as its page cache goes, and
//! beyond that in a temporary file without a name.

use std::collections::HashSet;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use wharf_core::Digest;

use super::{Catalog, Reading, STATEMENTS_KEPT, Writing, store, transact};
use crate::lease::LeaseFiles;
use crate::{Result, StoreError};

/// A copy of the rows. What is changed in it is gone when it is dropped.
pub(crate) struct Rehearsal {
    rows: Connection,
    gone: HashSet<Digest>,
}

impl Catalog {
    /// Copies the rows as they are now.
    pub(crate) fn rehearse(&self) -> Result<Rehearsal> {
        if let Some(rows) = &self.read_only {
            return rows.copy().map(Rehearsal::new);
        }
        let original = self.take()?;
        let rows = copy_of(&original)?;
        self.give_back(original);
        Ok(Rehearsal::new(rows))
    }
}

/// Copies a database into one without a name.
pub(super) fn copy_of(original: &Connection) -> Result<Connection> {
    let mut rows = Connection::open("")?;
    rows.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    rows.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // All pages in one step: a copy in several steps begins anew whenever another process writes.
    let copied = Backup::new(original, &mut rows)?.step(-1)?;
    if copied != StepResult::Done {
        return Err(StoreError::Database {
            detail: "the database could not be copied, since another process is changing it".into(),
        });
    }
    // Nothing of a copy has to survive.
    rows.pragma_update(None, "journal_mode", "MEMORY")?;
    rows.pragma_update(None, "synchronous", "OFF")?;
    Ok(rows)
}

impl Rehearsal {
    fn new(rows: Connection) -> Self {
        let gone = HashSet::new();
        Self { rows, gone }
    }

    /// Runs `write` in one transaction on the copy; returns also which blobs nothing would hold any more.
    pub(crate) fn write<T, E: From<StoreError>>(
        &mut self,
        leases: &LeaseFiles,
        write: impl FnOnce(&mut Writing<'_>) -> Result<T, E>,
    ) -> Result<(T, Vec<(Digest, u64)>), E> {
        let (value, gone) = transact(&self.rows, leases, write)?;
        self.gone
            .extend(gone.iter().map(|(digest, _)| digest.clone()));
        Ok((value, gone))
    }

    /// Runs `read` on the copy.
    pub(crate) fn read<T, E: From<StoreError>>(
        &self,
        read: impl FnOnce(&Reading<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let transaction = self.rows.unchecked_transaction().map_err(store)?;
        let result = read(&Reading { rows: &transaction });
        transaction.finish().map_err(store)?;
        result
    }

    /// Returns whether the rows of a blob were removed from the copy.
    pub(crate) fn has_removed(&self, digest: &Digest) -> bool {
        self.gone.contains(digest)
    }
}
