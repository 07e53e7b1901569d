//! What can go wrong, in an operator's words.

use std::io;
use std::path::{Path, PathBuf};

use wharf_core::{ContentError, Digest, Reference};

use crate::files;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder is a symbolic link: whoever may change the link could redirect the store.
    #[error("the store {path} is a symbolic link; name the folder that it points to")]
    Symlink {
        /// The store's folder.
        path: PathBuf,
    },
    /// The folder's place is taken by something else.
    #[error("the store {path} is not a folder")]
    NotAFolder {
        /// The store's folder.
        path: PathBuf,
    },
    /// The folder is another user's.
    #[error(
        "the store {path} belongs to the user with ID {owner}, and this is the user with ID {user}; \
         run as that user, or choose another folder with --root"
    )]
    Owner {
        /// The store's folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who asks.
        user: u32,
    },
    /// The folder is one that a system depends on.
    #[error("the folder {path} is the system's, and a store closes its folder for all other users")]
    System {
        /// The folder.
        path: PathBuf,
    },
    /// The folder is on a file system that holds no files.
    #[error("the folder {path} is on a file system that holds no files ({kind})")]
    Pseudo {
        /// The folder.
        path: PathBuf,
        /// What the file system is.
        kind: &'static str,
    },
    /// The folder holds something else than a store.
    #[error(
        "the folder {path} is not a store: it holds {entry:?}, and a store has its folder to itself"
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// One of the things in it.
        entry: String,
    },
    /// The folder was removed, and is held open by this process alone.
    #[error("the folder {path} was removed")]
    Removed {
        /// The folder.
        path: PathBuf,
    },
    /// Something else stands in the place of one of the store's files or folders.
    #[error("{path} in the store is not a {wanted}")]
    WrongKind {
        /// The file or folder.
        path: PathBuf,
        /// What it should be.
        wanted: &'static str,
    },
    /// The store can only be read.
    #[error("the store {path} is read-only")]
    ReadOnly {
        /// The store's folder.
        path: PathBuf,
    },
    /// The store can only be read, and something else than SQLite would have to keep its rows from changing
    /// while they are read.
    #[error("the store {path} was changed while it was read; try again")]
    Changed {
        /// The store's folder.
        path: PathBuf,
    },
    /// The database is damaged.
    #[error(
        "the store's database wharf.db is damaged ({detail}); `wharf store check --repair` \
         rebuilds it from the blobs"
    )]
    Corrupt {
        /// What SQLite says.
        detail: String,
    },
    /// The database is of a later version of wharf.
    #[error(
        "the store {path} was written by a newer wharf: its format is {found}, this one reads up \
         to {known}; update wharf, or choose another folder with --root"
    )]
    Newer {
        /// The store's folder.
        path: PathBuf,
        /// The format's version there.
        found: i64,
        /// The newest version that is known here.
        known: i64,
    },
    /// Rebuilding the database while others use it would lose what they write.
    #[error("other processes are using the store {path}; try again when they have ended")]
    InUse {
        /// The store's folder.
        path: PathBuf,
    },
    /// Another process keeps the database locked.
    #[error("the store is busy: another process has been writing to it for {seconds} seconds")]
    Busy {
        /// How long this one has waited.
        seconds: u64,
    },
    /// The disk is full.
    #[error(
        "no space left on the disk that holds {path}{}: free some space, for instance with \
         `wharf image prune`; what has arrived is kept",
        needed_text(*needed)
    )]
    NoSpace {
        /// The file that was written.
        path: PathBuf,
        /// How many bytes are missing; 0 if that isn't known.
        needed: u64,
        /// What the system says.
        source: io::Error,
    },
    /// The disk failed, or a file is not as it should be.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was tried: a verb.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The database failed.
    #[error("the store's database failed: {detail}")]
    Database {
        /// What SQLite says.
        detail: String,
    },
    /// Content is asked for that is not here.
    #[error("{0} is not in the store")]
    Unknown(Digest),
    /// A manifest comes before what it needs.
    #[error("{parent} needs {child}, which is not in the store")]
    MissingChild {
        /// The manifest.
        parent: Digest,
        /// What it needs.
        child: Digest,
    },
    /// A blob is not as its row says.
    #[error(
        "{0} in the store is damaged or missing; `wharf store check --repair` sets it aside, and \
         pulling the image again brings it back"
    )]
    Damaged(Digest),
    /// A name was expected and something else came.
    #[error("{reference} is not a name with {expected}")]
    Reference {
        /// What came.
        reference: Reference,
        /// What it should have had: "a tag", "a digest".
        expected: &'static str,
    },
    /// The content itself is wrong.
    #[error(transparent)]
    Content(#[from] ContentError),
}

impl StoreError {
    /// An error of the disk. A full one has its own words.
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::StorageFull
            || source.kind() == io::ErrorKind::QuotaExceeded
        {
            return Self::NoSpace {
                path,
                needed: 0,
                source,
            };
        }
        Self::Io {
            doing,
            path,
            source,
        }
    }

    /// Says what to do about it, where its own words do not.
    pub fn hint(&self) -> Option<String> {
        const OTHER: &str =
            "name an empty folder, or one that does not exist yet, with --root or WHARF_ROOT";
        Some(match self {
            Self::System { path } | Self::Foreign { path, .. } => {
                format!("{OTHER}, for instance {}", path.join("wharf").display())
            }
            Self::Pseudo { .. } | Self::Removed { .. } => OTHER.to_owned(),
            Self::WrongKind { path, .. } => {
                format!("move {} away, and try again", path.display())
            }
            Self::ReadOnly { .. } => {
                "what only reads works here; to change something, make the folder \
                                      writable, or name another one with --root or WHARF_ROOT"
                    .to_owned()
            }
            Self::Io { path, source, .. } if files::is_not_regular(source) => {
                format!("move {} away, and try again", path.display())
            }
            _ => return None,
        })
    }
}

impl From<StoreError> for ContentError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Content(error) => error,
            other => Self::place(other),
        }
    }
}

fn needed_text(needed: u64) -> String {
    if needed == 0 {
        return String::new();
    }
    format!("; {needed} more bytes are needed")
}

/// The kind of an error. An edge turns it into an exit code or a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// The folder is not one that this user's store may be in.
    Refused,
    /// Somebody else is at work; trying again may help.
    Busy,
    /// The disk is full.
    Full,
    /// Something on the disk is damaged, or content is not what it should be.
    Corrupt,
    /// The request itself is wrong.
    Invalid,
    /// What was asked for is not here.
    Missing,
    /// The disk or the database failed.
    Io,
}

impl StoreError {
    /// Its kind.
    pub const fn kind(&self) -> StoreErrorKind {
        match self {
            Self::Symlink { .. }
            | Self::NotAFolder { .. }
            | Self::Owner { .. }
            | Self::System { .. }
            | Self::Pseudo { .. }
            | Self::Foreign { .. }
            | Self::Removed { .. }
            | Self::WrongKind { .. }
            | Self::ReadOnly { .. } => StoreErrorKind::Refused,
            Self::InUse { .. } | Self::Busy { .. } | Self::Changed { .. } => StoreErrorKind::Busy,
            Self::NoSpace { .. } => StoreErrorKind::Full,
            Self::Corrupt { .. } | Self::Newer { .. } | Self::Damaged(_) | Self::Content(_) => {
                StoreErrorKind::Corrupt
            }
            Self::Reference { .. } => StoreErrorKind::Invalid,
            Self::Unknown(_) | Self::MissingChild { .. } => StoreErrorKind::Missing,
            Self::Io { .. } | Self::Database { .. } => StoreErrorKind::Io,
        }
    }
}
