//! The tables, and how an older database becomes one of today.
//!
//! `user_version` counts the steps that a database has taken. A step is never changed once it was
//! released: a new one is added behind it.

use rusqlite::{Connection, TransactionBehavior};

use crate::{Result, StoreError};

/// The steps from an empty database to the one that this version of wharf writes.
const STEPS: [&str; 2] = [include_str!("step1.sql"), include_str!("step2.sql")];

/// More steps than there will ever be: a larger number in the header was not written by any wharf.
const VERSION_MAX: i64 = 10_000;

/// Brings the database up to date.
pub(super) fn migrate(connection: &mut Connection, root: &std::path::Path) -> Result<()> {
    let known = known();
    if version(connection)? == known {
        return Ok(());
    }
    if version(connection)? == 0 {
        // Kept in the file from here on. Outside of a transaction, since SQLite wants it so.
        connection.pragma_update(None, "journal_mode", "WAL")?;
    }
    // Another process may be at the same: the first one does it.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    if !(0..=VERSION_MAX).contains(&found) {
        let detail = format!("its format cannot be {found}");
        return Err(StoreError::Corrupt { detail });
    }
    if found > known {
        return Err(StoreError::Newer {
            path: root.to_owned(),
            found,
            known,
        });
    }
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    Ok(transaction.commit()?)
}

/// Makes the tables in an empty database, as a new store gets them.
pub(super) fn create(connection: &Connection) -> rusqlite::Result<()> {
    STEPS
        .iter()
        .try_for_each(|step| connection.execute_batch(step))
}

/// Returns whether the database needs no step; refuses one of a later version.
pub(super) fn is_current(connection: &Connection, root: &std::path::Path) -> Result<bool> {
    let (found, known) = (version(connection)?, known());
    if found > known {
        return Err(StoreError::Newer {
            path: root.to_owned(),
            found,
            known,
        });
    }
    Ok(found == known)
}

fn known() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

fn version(connection: &Connection) -> Result<i64> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}
