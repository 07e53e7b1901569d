//! The rows of a store that can only be read: on a read-only disk, or without the permission to write.
//!
//! SQLite wants to write even to read: readers of a log (`-wal`) agree with writers in shared memory, which is a
//! file (`-shm`) beside the database. What is possible without depends on what is there:
//!
//! | `-wal` | `-shm` | how it is read | what keeps others from changing it |
//! |---|---|---|---|
//! | there | there | as usual, with the shared memory mapped for reading only | SQLite's locks |
//! | there | missing | the log's index is made in this process's memory | nothing |
//! | missing or empty | any | `immutable`: the database alone is all of it | nothing |
//!
//! Where nothing keeps others from changing it (they may write through another mount), the files' lengths and times
//! are compared before and after each transaction: what was read while they changed is an error, and the next
//! transaction opens them anew. A database of an older version is brought up to date in a private copy.

use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::rehearsal::copy_of;
use super::{BUSY_MAX, DATABASE, IDLE_MAX, Reading, Version, schema, store};
use crate::{Result, StoreError};

/// The length of a log's header, in bytes: a log that is not longer has no rows.
const LOG_HEADER: u64 = 32;

/// A SQLite file system layer that takes no locks. With it, and with `locking_mode = EXCLUSIVE`, the index of a log
/// needs no shared memory.
const NO_LOCKS: &str = "unix-none";

/// The rows of a store that can only be read, and the connections to them.
pub(super) struct ReadOnly {
    root: PathBuf,
    idle: Mutex<Vec<Open>>,
    observer: Mutex<Observer>,
}

#[derive(Default)]
struct Observer {
    open: Option<Open>,
    number: u64,
}

/// A connection, and what it relies on.
struct Open {
    connection: Connection,
    /// What the files were when it was opened; `None` if SQLite's locks protect what it reads.
    seen: Option<Seen>,
    /// Set if the rows are a copy: they stay, and only become old.
    copied: bool,
}

/// What the database's files were at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    database: Stamp,
    log: Option<Stamp>,
    shared: bool,
}

/// Which file it was, its length, and when its content last changed. Not when anything else of it did: SQLite sets
/// the owner of the files that it opens.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    length: u64,
    modified: (i64, i64),
}

impl ReadOnly {
    pub(super) fn open(root: &Path) -> Result<Self> {
        let rows = Self {
            root: root.to_owned(),
            idle: Mutex::default(),
            observer: Mutex::default(),
        };
        let open = rows.connect()?;
        rows.give_back(open);
        Ok(rows)
    }

    /// Runs `read` in one read transaction.
    pub(super) fn read<T, E: From<StoreError>>(
        &self,
        read: impl FnOnce(&Reading<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let open = self.take()?;
        let begun = TransactionBehavior::Deferred;
        let transaction = Transaction::new_unchecked(&open.connection, begun).map_err(store)?;
        let result = read(&Reading { rows: &transaction });
        transaction.finish().map_err(store)?;
        if !open.copied && !self.is_current(&open)? {
            return Err(StoreError::Changed {
                path: self.root.clone(),
            }
            .into());
        }
        self.give_back(open);
        result
    }

    /// Says what the rows are now, without reading them.
    pub(super) fn version(&self) -> Result<Version> {
        let mut observer = self.observer.lock().unwrap_or_else(PoisonError::into_inner);
        let open = match observer.open.take() {
            Some(open) if self.is_current(&open)? => open,
            _ => {
                observer.number += 1;
                self.connect()?
            }
        };
        let commits = open
            .connection
            .prepare_cached("PRAGMA data_version")?
            .query_row([], |row| row.get(0))?;
        observer.open = Some(open);
        Ok(Version {
            observer: observer.number,
            commits,
        })
    }

    /// Copies the rows as they are now.
    pub(super) fn copy(&self) -> Result<Connection> {
        let open = self.take()?;
        let rows = copy_of(&open.connection)?;
        if !open.copied && !self.is_current(&open)? {
            return Err(StoreError::Changed {
                path: self.root.clone(),
            });
        }
        self.give_back(open);
        Ok(rows)
    }

    fn take(&self) -> Result<Open> {
        loop {
            let idle = self
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop();
            match idle {
                None => return self.connect(),
                Some(open) if self.is_current(&open)? => return Ok(open),
                Some(outdated) => drop(outdated),
            }
        }
    }

    fn give_back(&self, open: Open) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(open);
        }
    }

    fn is_current(&self, open: &Open) -> Result<bool> {
        match &open.seen {
            None => Ok(true),
            Some(seen) => Ok(Seen::now(&self.root)? == *seen),
        }
    }

    fn connect(&self) -> Result<Open> {
        let seen = Seen::now(&self.root)?;
        let has_rows = |log: &Stamp| log.length > LOG_HEADER;
        let logged = seen.log.as_ref().is_some_and(has_rows);
        let locked = logged && seen.shared;
        let (how, layer) = match (logged, seen.shared) {
            (true, true) => ("mode=ro&readonly_shm=1", None),
            (true, false) => ("mode=ro", Some(NO_LOCKS)),
            (false, _) => ("mode=ro&immutable=1", None),
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let address = format!("{}?{how}", address(&self.root.join(DATABASE)));
        let connection = match layer {
            Some(layer) => Connection::open_with_flags_and_vfs(address, flags, layer)?,
            None => Connection::open_with_flags(address, flags)?,
        };
        connection.busy_timeout(BUSY_MAX)?;
        // A close would otherwise remove a log that it takes for folded.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        if layer.is_some() {
            connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        }
        if schema::is_current(&connection, &self.root)? {
            let seen = Some(seen).filter(|_| !locked);
            return Ok(Open {
                connection,
                seen,
                copied: false,
            });
        }
        let mut copy = copy_of(&connection)?;
        schema::migrate(&mut copy, &self.root)?;
        Ok(Open {
            connection: copy,
            seen: Some(seen),
            copied: true,
        })
    }
}

impl Seen {
    fn now(root: &Path) -> Result<Self> {
        let stamp = |suffix: &str| {
            let path = root.join(format!("{DATABASE}{suffix}"));
            match std::fs::symlink_metadata(&path) {
                Ok(about) => Ok(Some(Stamp::of(&about))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(source) => Err(StoreError::io("look at", &path, source)),
            }
        };
        let missing = || {
            let source = io::Error::from(io::ErrorKind::NotFound);
            StoreError::io("read", &root.join(DATABASE), source)
        };
        Ok(Self {
            database: stamp("")?.ok_or_else(missing)?,
            log: stamp("-wal")?,
            shared: stamp("-shm")?.is_some(),
        })
    }
}

impl Stamp {
    fn of(about: &Metadata) -> Self {
        Self {
            file: (about.dev(), about.ino()),
            length: about.len(),
            modified: (about.mtime(), about.mtime_nsec()),
        }
    }
}

/// Writes a path as SQLite's addresses want it.
fn address(path: &Path) -> String {
    let mut text = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
