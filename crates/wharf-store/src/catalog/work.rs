//! Counts what SQLite does for a store: for tests which show that work grows with the size of a store and no faster.
//! A clock would not do, since machines differ and other programs run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;

use crate::Result;

/// How many steps of SQLite's virtual machine are counted at once: asking after each one would take longer than the
/// steps.
const GRAIN: u32 = 32;

/// What a store that was opened by [`crate::Store::open_counted`] has done.
#[derive(Clone, Debug, Default)]
pub struct Work(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    steps: AtomicU64,
    transactions: AtomicU64,
    longest: AtomicU64,
}

impl Work {
    /// Returns how many steps SQLite's virtual machine has taken.
    pub fn steps(&self) -> u64 {
        self.0.steps.load(Ordering::Relaxed)
    }

    /// Returns how many transactions wrote.
    pub fn transactions(&self) -> u64 {
        self.0.transactions.load(Ordering::Relaxed)
    }

    /// Returns how many steps the longest transaction took since the last call.
    pub fn take_longest(&self) -> u64 {
        self.0.longest.swap(0, Ordering::Relaxed)
    }

    /// Counts what a connection does from now on.
    pub(super) fn count(&self, connection: &mut Connection) -> Result<()> {
        let work = self.clone();
        connection.progress_handler(
            i32::try_from(GRAIN).unwrap_or(i32::MAX),
            Some(move || {
                work.0.steps.fetch_add(u64::from(GRAIN), Ordering::Relaxed);
                false
            }),
        )?;
        Ok(())
    }

    /// Counts a transaction that began when [`Work::steps`] was `before`.
    pub(super) fn end_transaction(&self, before: u64) {
        self.0.transactions.fetch_add(1, Ordering::Relaxed);
        self.0
            .longest
            .fetch_max(self.steps() - before, Ordering::Relaxed);
    }
}
