//! SQLite's log: when it is durable, and how long it may become.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::Connection;

use super::{Catalog, DATABASE, wait_for_writer};
use crate::StoreError;
use crate::{Result, durable};

/// Bounds the log that the next process has to read again, in bytes: 128 pages, which takes 0.3 ms.
/// Folding them into the database takes three syncs, once in some thirty names.
const LOG_MAX: u64 = 128 * (4096 + 24);

impl Catalog {
    /// Makes the rows durable that reads have shown so far. Costs nothing if that was done before.
    ///
    /// A row may be seen before it is durable: a process that is killed between its write to the log and
    /// the log's sync leaves rows there, and SQLite shows them to the next process that opens the
    /// database. A durable write makes them durable too, but only if it appends to the log: SQLite
    /// syncs nothing for a transaction that changes nothing. What cannot be undone, such as the removal
    /// of a file that no row needs, has to wait for this.
    ///
    /// As long as a process has the database open, it sees what others commit only after their sync. So
    /// the log is synced once after a connection was opened, and not again.
    pub(crate) fn settle(&self) -> Result<()> {
        let opened = self.opened.load(Ordering::SeqCst);
        if self.settled.load(Ordering::SeqCst) >= opened {
            return Ok(());
        }
        if self.unsettled.load(Ordering::SeqCst) {
            let source = std::io::Error::other("an earlier sync of it failed");
            return Err(StoreError::io("sync", &self.log(), source));
        }
        // Never the database itself: closing a file takes this process's locks on it away, and SQLite
        // has locks on that one. A fold syncs the database before it empties the log.
        let synced =
            durable::sync_if_there(&self.log()).and_then(|()| durable::sync_directory(&self.root));
        // The system reports a failure once: a sync that succeeds after it says nothing about the rows.
        self.unsettled.store(synced.is_err(), Ordering::SeqCst);
        synced?;
        self.note_settled(opened);
        Ok(())
    }

    /// Remembers that the log was durable when so many connections had been opened.
    pub(super) fn note_settled(&self, opened: u64) {
        self.settled.fetch_max(opened, Ordering::SeqCst);
        durable::note_synced(&self.log());
    }

    /// Notes what a fold has made durable.
    pub(super) fn note_folded(&self) {
        durable::note_synced(&self.root.join(DATABASE));
        durable::note_synced(&self.log());
    }

    fn log(&self) -> PathBuf {
        self.root.join(format!("{DATABASE}-wal"))
    }

    /// Folds a long log into the database, and empties it.
    ///
    /// SQLite's own way is not made for short processes: whether a log is folded already stands in
    /// shared memory only, so each new process would fold the whole of it again, on every write.
    pub(super) fn bound_log(&self, connection: &mut Connection) {
        let log = std::fs::metadata(self.log());
        if log.is_ok_and(|log| log.len() <= LOG_MAX) {
            return;
        }
        // Others who read are not waited for; the next write tries again.
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        let folded = connection
            .busy_timeout(Duration::ZERO)
            .and_then(|()| connection.query_row(sql, [], |_| Ok(())));
        let restored = connection.busy_handler(Some(wait_for_writer));
        match folded.and(restored) {
            Ok(()) => self.note_folded(),
            Err(error) => tracing::debug!(%error, "the log stays long"),
        }
    }
}
