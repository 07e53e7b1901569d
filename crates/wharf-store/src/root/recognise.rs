//! Which folders a store may be in.
//!
//! | a folder with | is |
//! |---|---|
//! | nothing in it, or only `lost+found` | a new store |
//! | `wharf.db` and `blobs/`, whatever else is there | a store |
//! | some of a store's files and folders, and nothing else | a store that was made half, or lost a part |
//! | anything else | refused |
//!
//! Folders of the system are refused whatever is in them, and so is everything on a file system that holds no
//! files. Folders that a system shares, as `/mnt`, are refused unless there is a store in them.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, fstatfs, statat};

use crate::catalog::DATABASE;
use crate::{Result, StoreError};

/// Folders that everything depends on. To make one private would close it for all other users.
const SYSTEM: [&str; 27] = [
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/dev/shm",
    "/etc",
    "/home",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/run",
    "/run/lock",
    "/run/user",
    "/sbin",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/log",
    "/var/spool",
    "/var/tmp",
];

/// Folders that belong to all of a machine, or to all that one user does.
const SHARED: [&str; 5] = ["/media", "/mnt", "/opt", "/root", "/srv"];

/// File systems that hold no files, by the numbers that `statfs` gives (Linux: `uapi/linux/magic.h`).
const PSEUDO: [(u64, &str); 22] = [
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x1cd1, "devpts"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x7363_6673, "securityfs"),
    (0xcafe_4a11, "bpf"),
    (0x6265_6570, "configfs"),
    (0x6165_676c, "pstore"),
    (0xde5e_81e4, "efivarfs"),
    (0x1980_0202, "mqueue"),
    (0x9584_58f6, "hugetlbfs"),
    (0x4249_4e4d, "binfmt_misc"),
    (0xf97c_ff8c, "selinuxfs"),
    (0x4341_5d53, "smackfs"),
    (0x0187, "autofs"),
    (0x6e73_6673, "nsfs"),
    (0x5049_5045, "pipefs"),
    (0x534f_434b, "sockfs"),
    (0x6759_6969, "rpc_pipefs"),
];

/// What a store's folder holds, by name.
const NAMES: [&str; 9] = [
    DATABASE,
    "wharf.db-wal",
    "wharf.db-shm",
    "wharf.db-journal",
    "blobs",
    "ingest",
    "notes",
    "damaged",
    "rebuild",
];
/// Of these, one at least is there from the first moment on.
const FIRST: [&str; 3] = ["blobs", "ingest", DATABASE];
/// What a store's `blobs/` holds.
const ALGORITHMS: [&str; 2] = ["sha256", "sha512"];
/// What a fresh file system holds.
const LOST_AND_FOUND: &str = "lost+found";

/// What is in a folder that a store may be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    /// Nothing: a store can be made here.
    Nothing,
    /// A store, or a part of one.
    Store,
}

/// Refuses folders that are the system's.
pub(crate) fn refuse_system(path: &Path, folder: &File, about: &Metadata) -> Result<()> {
    refuse_pseudo(path, folder)?;
    if is_one_of(&SYSTEM, about) {
        return Err(StoreError::System {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// Refuses what is on a file system that holds no files.
pub(crate) fn refuse_pseudo(path: &Path, folder: &File) -> Result<()> {
    let about = fstatfs(folder).map_err(|source| StoreError::io("look at", path, source.into()))?;
    // The number has 32 bits; the type that it comes in is signed on some machines.
    let number = u64::try_from(about.f_type & 0xffff_ffff).unwrap_or_default();
    match PSEUDO.iter().find(|(magic, _)| *magic == number) {
        Some((_, kind)) => Err(StoreError::Pseudo {
            path: path.to_owned(),
            kind,
        }),
        None => Ok(()),
    }
}

/// Says what is in a folder, or refuses it.
pub(crate) fn contents(path: &Path, folder: &File, about: &Metadata) -> Result<Contents> {
    let here = |name: &str| kind_of(folder, name).is_some();
    if here(DATABASE) && here("blobs") {
        return right_kinds(path, folder).map(|()| Contents::Store);
    }
    let found = all_names(path, folder)?;
    let stranger = found.iter().find(|name| !NAMES.contains(&name.as_str()));
    if let Some(entry) = stranger {
        return Err(StoreError::Foreign {
            path: path.to_owned(),
            entry: entry.clone(),
        });
    }
    if !found.is_empty() {
        return part_of_store(path, folder, &found);
    }
    if about.nlink() == 0 {
        return Err(StoreError::Removed {
            path: path.to_owned(),
        });
    }
    let everybody_writes = about.mode() & 0o1002 == 0o1002;
    if is_one_of(&SHARED, about) || everybody_writes {
        return Err(StoreError::System {
            path: path.to_owned(),
        });
    }
    Ok(Contents::Nothing)
}

/// Accepts what was made half, or lost a part, if everything is of the kind that a store makes.
fn part_of_store(path: &Path, folder: &File, found: &[String]) -> Result<Contents> {
    let foreign = |entry: String| StoreError::Foreign {
        path: path.to_owned(),
        entry,
    };
    right_kinds(path, folder)?;
    if !found.iter().any(|name| FIRST.contains(&name.as_str())) {
        return Err(foreign(found[0].clone()));
    }
    if let Ok(blobs) = open_below(folder, "blobs") {
        let algorithms = all_names(&path.join("blobs"), &blobs)?;
        let stranger = algorithms
            .iter()
            .find(|name| !ALGORITHMS.contains(&name.as_str()));
        if let Some(stranger) = stranger {
            return Err(foreign(format!("blobs/{stranger}")));
        }
    }
    Ok(Contents::Store)
}

/// Refuses a store where something else stands in the place of one of its files or folders: a named pipe, which an
/// open waits for, or a link that leads out of the store.
fn right_kinds(path: &Path, folder: &File) -> Result<()> {
    for name in NAMES {
        let (kind, wanted) = if name.starts_with(DATABASE) {
            (FileType::RegularFile, "regular file")
        } else {
            (FileType::Directory, "folder")
        };
        if kind_of(folder, name).is_some_and(|found| found != kind) {
            return Err(StoreError::WrongKind {
                path: path.join(name),
                wanted,
            });
        }
    }
    Ok(())
}

fn open_below(folder: &File, name: &str) -> rustix::io::Result<File> {
    use rustix::fs::{Mode, OFlags, openat};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::empty()).map(File::from)
}

fn kind_of(folder: &File, name: &str) -> Option<FileType> {
    let about = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(FileType::from_raw_mode(about.st_mode))
}

/// The names in a folder, up to the first one that no store has, which comes last.
fn all_names(path: &Path, folder: &File) -> Result<Vec<String>> {
    let failed = |source: rustix::io::Errno| StoreError::io("list", path, source.into());
    let mut names = Vec::new();
    for entry in Dir::read_from(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = String::from_utf8_lossy(entry.file_name().to_bytes()).into_owned();
        if matches!(name.as_str(), "." | ".." | LOST_AND_FOUND) {
            continue;
        }
        let known = NAMES.contains(&name.as_str()) || ALGORITHMS.contains(&name.as_str());
        names.push(name);
        if !known {
            break;
        }
    }
    Ok(names)
}

/// Returns whether a folder is one of these, by whichever path it was opened.
fn is_one_of(folders: &[&str], about: &Metadata) -> bool {
    folders.iter().any(|folder| {
        std::fs::metadata(folder)
            .is_ok_and(|system| (system.dev(), system.ino()) == (about.dev(), about.ino()))
    })
}
