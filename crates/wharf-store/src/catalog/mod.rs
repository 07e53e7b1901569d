//! The catalog: the rows.
//!
//! `ROOT/wharf.db`: SQLite in WAL mode, one row for each name, image, manifest and blob. Reading and
//! writing are transactions: a [`Reading`] sees one moment, a [`Writing`] happens whole or not at
//! all, and is durable once it is over. Several processes share the file; a writer takes its lock at the
//! start (`BEGIN IMMEDIATE`), since a reader that becomes a writer may be refused at once.
//!
//! | module | rows |
//! |---|---|
//! | `schema` | the tables, and their versions |
//! | `names` | names, repo digests |
//! | `images` | images, layers, listings |
//! | `contents` | manifests, and whether all that they need is here |
//! | `arrivals` | blobs and manifests, as they arrive |
//! | `registry` | the registry server's links, tags and referrers |
//! | `holds` | what holds what, and the removal of what nothing holds |
//! | `leases` | what operations in progress need |
//! | `rehearsal` | a copy of the rows, on which a removal is tried |
//! | `read_only` | the rows of a store that can only be read |
//! | `work` | counts what SQLite does, for tests |
//! | `audit` | what a check compares |
//! | `salvage` | what a repair can still read of a damaged database |

mod arrivals;
mod audit;
mod contents;
mod holds;
mod images;
mod leases;
mod log;
mod names;
mod read_only;
mod registry;
mod rehearsal;
mod salvage;
mod schema;
mod work;

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::types::{FromSqlError, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, Transaction, TransactionBehavior};
use wharf_core::Digest;

use self::read_only::ReadOnly;
use crate::lease::LeaseFiles;
use crate::{Result, StoreError, files};

pub(crate) use arrivals::ManifestArrival;
pub use images::Sharers;
pub(crate) use rehearsal::Rehearsal;
pub(crate) use salvage::{Known, Salvage, Shows, salvage};
pub use work::Work;

/// The database's file.
pub(crate) const DATABASE: &str = "wharf.db";
/// Bounds the wait for another process's write. Writes take milliseconds; a collection of a large
/// store takes seconds.
const BUSY_MAX: Duration = Duration::from_secs(30);
/// Bounds the connections that are kept for the next reader. More are opened as needed.
const IDLE_MAX: usize = 8;
/// How many compiled statements a connection keeps: a removal uses some forty in turn, and compiling one takes
/// longer than running it.
const STATEMENTS_KEPT: usize = 128;
/// The pauses between two attempts to begin a write while another process writes. Short ones first: most writes
/// take a few milliseconds. SQLite's own pauses grow to 100 ms, and an operation that writes in many short
/// transactions would be missed by them again and again.
const BUSY_PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(4));

/// How safe a write is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// It outlives a power loss.
    Full,
    /// It outlives the process: enough for leases, which die with the process anyway.
    Process,
}

/// The rows, and the connections to them.
pub(crate) struct Catalog {
    root: PathBuf,
    idle: Mutex<Vec<Connection>>,
    /// Held by this process's writer. SQLite lets others wait by trying again after longer and longer
    /// pauses; a server has many writers, which take turns here instead.
    turn: Mutex<()>,
    /// Asked for the version: a connection is told of what others have committed, so this one never writes.
    observer: Mutex<Observer>,
    /// Counts what is done, for a test.
    work: Option<Work>,
    /// Set in a store that can only be read: nothing above is used then.
    read_only: Option<ReadOnly>,
    /// Set by SQLite when a transaction of this process has appended to the log.
    logged: Arc<AtomicBool>,
    /// How many connections this process has opened.
    opened: AtomicU64,
    /// How many of them had been opened when the log was last made durable.
    settled: AtomicU64,
    /// A sync of the log has failed in this process.
    unsettled: AtomicBool,
}

#[derive(Default)]
struct Observer {
    connection: Option<Connection>,
    /// How many there have been: each one counts anew.
    number: u64,
}

/// What the rows were at some moment: the same as long as nobody commits anything, here or in another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    observer: u64,
    commits: i64,
}

/// One read transaction: everything that it says is of one moment.
pub struct Reading<'a> {
    rows: &'a Connection,
}

/// One write transaction. It reads as well.
pub struct Writing<'a> {
    reading: Reading<'a>,
    leases: &'a LeaseFiles,
    /// Blobs that may have lost what held them: looked at before the transaction ends.
    loose: Vec<i64>,
    now: Timestamp,
}

impl<'a> Deref for Writing<'a> {
    type Target = Reading<'a>;

    fn deref(&self) -> &Self::Target {
        &self.reading
    }
}

impl Catalog {
    /// Opens the database, and makes it or brings it up to date where that is needed and `read_only` is not set.
    pub(crate) fn open(root: &Path, read_only: bool) -> Result<Self> {
        Self::open_counted(root, read_only, None)
    }

    /// The same, and counts what is done.
    pub(crate) fn open_counted(root: &Path, read_only: bool, work: Option<Work>) -> Result<Self> {
        let mut catalog = Self {
            work,
            root: root.to_owned(),
            idle: Mutex::default(),
            turn: Mutex::default(),
            observer: Mutex::default(),
            read_only: None,
            logged: Arc::default(),
            opened: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            unsettled: AtomicBool::new(false),
        };
        catalog.refuse_emptied()?;
        if read_only {
            catalog.read_only = Some(ReadOnly::open(root)?);
            return Ok(catalog);
        }
        make_file(&root.join(DATABASE))?;
        let mut connection = catalog.connect()?;
        schema::migrate(&mut connection, root)?;
        catalog.give_back(connection);
        Ok(catalog)
    }

    /// Refuses a database that is missing or empty where there was one: SQLite would make a new one, and throw its log
    /// away.
    fn refuse_emptied(&self) -> Result<()> {
        let length =
            |name: &str| std::fs::metadata(self.root.join(name)).map_or(0, |about| about.len());
        if length(DATABASE) > 0 {
            return Ok(());
        }
        let detail = if length(&format!("{DATABASE}-wal")) > 0 {
            "it is empty or missing, and its log is not"
        } else if crate::blobs::Blobs::new(&self.root).has_any()? {
            "it is empty or missing, and there are blobs"
        } else {
            return Ok(());
        };
        // Another process may have made it between the two looks.
        if length(DATABASE) > 0 {
            return Ok(());
        }
        Err(StoreError::Corrupt {
            detail: detail.into(),
        })
    }

    /// Runs `read` in one read transaction.
    pub(crate) fn read<T, E: From<StoreError>>(
        &self,
        read: impl FnOnce(&Reading<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        if let Some(rows) = &self.read_only {
            return rows.read(read);
        }
        let connection = self.take()?;
        let transaction = Transaction::new_unchecked(&connection, TransactionBehavior::Deferred)
            .map_err(store)?;
        let result = read(&Reading { rows: &transaction });
        transaction.finish().map_err(store)?;
        self.give_back(connection);
        result
    }

    /// Runs `write` in one write transaction; returns also which blobs nothing holds any more: their
    /// rows are gone, and their files are the caller's to remove.
    pub(crate) fn write<T, E: From<StoreError>>(
        &self,
        leases: &LeaseFiles,
        durability: Durability,
        write: impl FnOnce(&mut Writing<'_>) -> Result<T, E>,
    ) -> Result<(T, Vec<(Digest, u64)>), E> {
        self.writable()?;
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut connection = self.take()?;
        let level = if durability == Durability::Full {
            "FULL"
        } else {
            "NORMAL"
        };
        connection
            .pragma_update(None, "synchronous", level)
            .map_err(store)?;
        let before = self.work.as_ref().map(Work::steps);
        let opened = self.opened.load(Ordering::SeqCst);
        self.logged.store(false, Ordering::SeqCst);
        let done = transact(&connection, leases, write)?;
        if durability == Durability::Full {
            if self.logged.load(Ordering::SeqCst) {
                self.note_settled(opened);
            } else {
                self.settle()?;
            }
        }
        if let (Some(work), Some(before)) = (&self.work, before) {
            work.end_transaction(before);
        }
        self.bound_log(&mut connection);
        self.give_back(connection);
        Ok(done)
    }

    /// Says what the rows are now, without reading them.
    pub(crate) fn version(&self) -> Result<Version> {
        if let Some(rows) = &self.read_only {
            return rows.version();
        }
        let mut observer = self.observer.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match observer.connection.take() {
            Some(connection) => connection,
            None => {
                observer.number += 1;
                self.connect()?
            }
        };
        let commits = connection
            .prepare_cached("PRAGMA data_version")?
            .query_row([], |row| row.get(0))?;
        observer.connection = Some(connection);
        Ok(Version {
            observer: observer.number,
            commits,
        })
    }

    fn take(&self) -> Result<Connection> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        idle.map_or_else(|| self.connect(), Ok)
    }

    /// Keeps a connection for the next one. One that failed is closed instead, by being dropped.
    fn give_back(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
    }

    /// Refuses to go on in a store that can only be read.
    fn writable(&self) -> Result<()> {
        if self.read_only.is_some() {
            return Err(StoreError::ReadOnly {
                path: self.root.clone(),
            });
        }
        Ok(())
    }

    fn connect(&self) -> Result<Connection> {
        self.writable()?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        self.opened.fetch_add(1, Ordering::SeqCst);
        let mut connection = Connection::open_with_flags(self.root.join(DATABASE), flags)?;
        connection.busy_handler(Some(wait_for_writer))?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        // A plan does not depend on what is bound: otherwise SQLite compiles some statements anew for each new value, which
        // takes longer than to run them.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        // What was removed is erased: a repair that has lost the list of free pages must not find it again.
        connection.pragma_update(None, "secure_delete", true)?;
        // Folding the log into the database on every close would cost each command two syncs.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        if let Some(work) = &self.work {
            work.count(&mut connection)?;
        }
        // Behind the pragma, which removes every hook.
        let logged = Arc::clone(&self.logged);
        connection.wal_hook(Some(move |_: &mut _, _| {
            logged.store(true, Ordering::SeqCst);
            Ok(())
        }))?;
        Ok(connection)
    }
}

/// Runs `write` in one transaction of a connection; returns also which blobs nothing holds any more.
fn transact<T, E: From<StoreError>>(
    connection: &Connection,
    leases: &LeaseFiles,
    write: impl FnOnce(&mut Writing<'_>) -> Result<T, E>,
) -> Result<(T, Vec<(Digest, u64)>), E> {
    let transaction =
        Transaction::new_unchecked(connection, TransactionBehavior::Immediate).map_err(store)?;
    let mut writing = Writing {
        reading: Reading { rows: &transaction },
        leases,
        loose: Vec::new(),
        now: Timestamp::now(),
    };
    let value = write(&mut writing)?;
    let gone = writing.release()?;
    transaction.commit().map_err(store)?;
    Ok((value, gone))
}

/// Waits until another process may have ended its write; returns false after [`BUSY_MAX`]. `attempts` is how often
/// SQLite has asked before.
fn wait_for_writer(attempts: i32) -> bool {
    let (first, later) = BUSY_PAUSE;
    let attempts = u32::try_from(attempts).unwrap_or(0);
    // The pauses alone are counted: the attempts between them take microseconds.
    if later * attempts >= BUSY_MAX {
        return false;
    }
    std::thread::sleep(if attempts < 10 { first } else { later });
    true
}

/// Makes the database's file, empty, if it is not there: SQLite would make it with a mode that depends on the umask,
/// and gives its other files the mode of this one.
fn make_file(path: &Path) -> Result<()> {
    match files::create_new(path) {
        Err(source) if source.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(StoreError::io("make", path, source))
        }
        _ => Ok(()),
    }
}

fn store(error: rusqlite::Error) -> StoreError {
    error.into()
}

#[doc(hidden)]
impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let detail = error.to_string();
        if matches!(
            error,
            rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..)
        ) {
            return Self::Corrupt {
                detail: "a row has impossible content".into(),
            };
        }
        // What the statements name is not there, or is there before it was made.
        let is_other_schema = ["no such table", "no such column", "already exists"]
            .iter()
            .any(|words| detail.contains(words));
        match error.sqlite_error_code() {
            Some(ErrorCode::Unknown) if is_other_schema => Self::Corrupt { detail },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt { detail },
            Some(ErrorCode::DatabaseBusy) => Self::Busy {
                seconds: BUSY_MAX.as_secs(),
            },
            Some(ErrorCode::DiskFull) => Self::io(
                "write to",
                Path::new(DATABASE),
                std::io::Error::from(std::io::ErrorKind::StorageFull),
            ),
            Some(ErrorCode::SystemIoFailure) => Self::Database {
                detail: detail + &file_size_limit(),
            },
            _ => Self::Database { detail },
        }
    }
}

/// Says that a limit on a file's size may be the reason for an error of the disk, where there is
/// one: SQLite does not tell the system's own error.
fn file_size_limit() -> String {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    limit.map_or_else(String::new, |bytes| {
        format!(
            "; {DATABASE} and its log may be too large for the limit on a file's size \
             (ulimit -f), {bytes} bytes"
        )
    })
}

/// Reads a column that holds something with a grammar of its own. What does not follow it was not
/// written by us.
fn parsed<T: std::str::FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    parsed_by(row, column, str::parse)
}

/// The same, by a grammar that is not the type's usual one.
fn parsed_by<T, E>(
    row: &Row<'_>,
    column: usize,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> rusqlite::Result<T>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let value = row.get_ref(column)?;
    value
        .as_str()
        .and_then(|text| parse(text).map_err(|error| FromSqlError::Other(Box::new(error))))
        .map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(column, value.data_type(), Box::new(error))
        })
}

/// The same, for a column that may be empty.
fn parsed_option<T: std::str::FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => parsed(row, column).map(Some),
    }
}

/// Reads a point in time.
fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let micros: Option<i64> = row.get(column)?;
    Ok(micros.and_then(|micros| Timestamp::from_microsecond(micros).ok()))
}
