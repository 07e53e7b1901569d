//! Which folders a store may be in, and what happens to those it may not be in: nothing.

use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{Image, World, reference};
use crate::root::recognise::{contents, refuse_system};
use crate::{Store, StoreError, StoreErrorKind, durable};

/// Everything in a folder that an opening could change: names, kinds, modes, lengths, times.
pub(super) fn everything(folder: &Path) -> Vec<(PathBuf, u32, u64, (i64, i64))> {
    let mut all = Vec::new();
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        let about = fs::symlink_metadata(&path).unwrap();
        let times = (about.mtime(), about.mtime_nsec());
        all.push((path.clone(), about.mode(), about.len(), times));
        if about.is_dir() {
            left.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
    all.sort();
    all
}

fn refused(folder: &Path) -> StoreError {
    let before = everything(folder);
    let error = Store::open(folder).err().unwrap();
    assert_eq!(everything(folder), before, "{error}: nothing was changed");
    assert_eq!(error.kind(), StoreErrorKind::Refused, "{error}");
    error
}

/// Makes what a line describes: `name/` a folder, `name>` a link, `name|` a pipe, anything else a file.
fn furnish(folder: &Path, lines: &[&str]) {
    for line in lines {
        let path = |end: &str| folder.join(line.trim_end_matches(end));
        if line.ends_with('/') {
            fs::create_dir_all(path("/")).unwrap();
        } else if line.ends_with('>') {
            symlink("/nowhere", path(">")).unwrap();
        } else if line.ends_with('|') {
            mknodat(CWD, path("|"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        } else {
            fs::create_dir_all(path("").parent().unwrap()).unwrap();
            fs::write(path(""), b"").unwrap();
        }
    }
}

#[test]
fn a_folder_with_other_things_is_refused_and_stays_as_it_is() {
    let cases: [&[&str]; 15] = [
        &["letter.txt"],
        &[".hidden"],
        &["work/"],
        &["link>"],
        &["pipe|"],
        &["lost+found/", "letter.txt"],
        // Names that stores have, and others have as well.
        &["notes/"],
        &["damaged/"],
        &["rebuild/", "notes/"],
        &["notes/", "letter.txt"],
        // An OCI layout.
        &["blobs/sha256/", "oci-layout", "index.json"],
        &["blobs/mine/"],
        &["blobs/sha256/", "blobs/letter.txt"],
        &["ingest/", "letter.txt"],
        &["wharf.db", "letter.txt"],
    ];
    for case in cases {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        furnish(folder.path(), case);
        let error = refused(folder.path());
        assert!(
            matches!(error, StoreError::Foreign { .. }),
            "{case:?}: {error}"
        );
        assert!(error.to_string().contains("is not a store"), "{error}");
        let hint = error.hint().unwrap();
        assert!(hint.contains("--root") && hint.contains("/wharf"), "{hint}");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder
            .path()
            .join(std::ffi::OsStr::from_bytes(b"\xff\x1b[1m")),
        b"",
    )
    .unwrap();
    let text = refused(folder.path()).to_string();
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn something_else_in_the_place_of_a_store_s_own_is_refused() {
    let cases: [(&str, &[&str]); 11] = [
        ("wharf.db", &["wharf.db|", "blobs/"]),
        ("wharf.db", &["wharf.db>", "blobs/"]),
        ("wharf.db", &["wharf.db/", "blobs/", "other"]),
        ("wharf.db-wal", &["wharf.db", "wharf.db-wal|", "blobs/"]),
        ("wharf.db-shm", &["wharf.db", "wharf.db-shm>", "blobs/"]),
        (
            "wharf.db-journal",
            &["wharf.db", "wharf.db-journal|", "blobs/"],
        ),
        ("blobs", &["wharf.db", "blobs>"]),
        ("ingest", &["wharf.db", "blobs/", "ingest>"]),
        ("notes", &["wharf.db", "blobs/", "ingest/", "notes"]),
        ("damaged", &["wharf.db", "blobs/", "damaged>"]),
        ("rebuild", &["wharf.db", "blobs/", "rebuild|"]),
    ];
    for (name, case) in cases {
        let folder = tempfile::tempdir().unwrap();
        furnish(folder.path(), case);
        let error = refused(folder.path());
        let text = error.to_string();
        assert!(matches!(error, StoreError::WrongKind { .. }), "{text}");
        assert!(
            text.starts_with(&folder.path().join(name).display().to_string()),
            "{case:?}: {text}"
        );
        assert!(error.hint().unwrap().contains("away"));
    }
}

#[test]
fn folders_of_the_system_are_refused() {
    let mut seen = 0;
    for path in [
        "/",
        "/bin",
        "/boot",
        "/dev",
        "/dev/shm",
        "/etc",
        "/home",
        "/lib",
        "/proc",
        "/run",
        "/sbin",
        "/sys",
        "/tmp",
        "/usr",
        "/usr/bin",
        "/usr/local",
        "/var",
        "/var/lib",
        "/var/tmp",
        "/proc/self/task",
        "/proc/sys/kernel",
        "/sys/kernel",
        "/dev/pts",
    ] {
        let Ok(folder) = File::open(path) else {
            continue;
        };
        let about = folder.metadata().unwrap();
        let error = refuse_system(Path::new(path), &folder, &about).unwrap_err();
        assert!(
            matches!(error, StoreError::System { .. } | StoreError::Pseudo { .. }),
            "{path}: {error}"
        );
        assert!(error.hint().unwrap().contains("--root"), "{path}");
        // By its path, another user's folder is refused as such first.
        let error = Store::open(Path::new(path)).err().unwrap();
        assert_eq!(error.kind(), StoreErrorKind::Refused, "{path}: {error}");
        let after = folder.metadata().unwrap();
        assert_eq!(about.mode(), after.mode(), "{path}");
        seen += 1;
    }
    assert!(seen > 10, "a Linux system has these folders");
}

#[test]
fn a_folder_that_is_shared_is_refused_while_no_store_is_in_it() {
    let world = World::new();
    let shared = tempfile::tempdir().unwrap();
    for (folder, is_store) in [(shared.path(), false), (&world.root(), true)] {
        fs::set_permissions(folder, Permissions::from_mode(0o1777)).unwrap();
        let opened = File::open(folder).unwrap();
        let about = opened.metadata().unwrap();
        assert_eq!(contents(folder, &opened, &about).is_ok(), is_store);
    }
    assert!(matches!(refused(shared.path()), StoreError::System { .. }));
    Store::open(&world.root()).unwrap();
    let mode = fs::metadata(world.root()).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o700);
}

#[test]
fn a_fresh_folder_and_what_an_interrupted_start_leaves_become_a_store() {
    let cases: [&[&str]; 9] = [
        &[],
        &["lost+found/"],
        &["blobs/"],
        &["blobs/sha256/", "lost+found/"],
        &["blobs/sha256/", "blobs/sha512/"],
        &["blobs/sha256/", "ingest/"],
        &["ingest/"],
        &["blobs/sha256/", "blobs/sha512/", "ingest/", "wharf.db"],
        &["blobs/sha256/", "ingest/", "notes/", "damaged/"],
    ];
    for case in cases {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        furnish(folder.path(), case);
        let store = Store::open(folder.path()).unwrap_or_else(|error| panic!("{case:?}: {error}"));
        assert!(store.read(|rows| rows.images()).unwrap().is_empty());
        let mode = fs::metadata(folder.path()).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o700);
        drop(store);
        Store::open(folder.path()).unwrap();
    }
}

#[tokio::test]
async fn a_store_of_before_goes_on_working_whatever_else_is_in_it() {
    let world = World::new();
    let image = Image::small(2);
    world.pull(&image, "a:1").await;
    fs::write(world.root().join("letter.txt"), b"dear").unwrap();
    let store = Store::open(&world.root()).unwrap();
    assert!(
        store
            .read(|rows| rows.name(&reference("a:1")))
            .unwrap()
            .is_some()
    );
    // A database that cannot be read is a matter of repair, not of another folder.
    fs::write(world.root().join("wharf.db"), vec![b'x'; 20_000]).unwrap();
    fs::remove_file(world.root().join("wharf.db-wal")).unwrap();
    let error = Store::open(&world.root()).err().unwrap();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}

#[test]
fn a_link_is_refused_however_it_is_written() {
    let world = World::new();
    let folder = world.folder.path();
    let inner = world.root().join("blobs");
    symlink(world.root(), folder.join("link")).unwrap();
    symlink("link", folder.join("chain")).unwrap();
    fs::set_permissions(world.root(), Permissions::from_mode(0o755)).unwrap();
    for name in [
        "link",
        "link/",
        "link//",
        "link/.",
        "link/./",
        "link/.//./",
        "./link/",
        "link/blobs/..",
        "link/blobs/../",
        "link/blobs/sha256/../..",
        "chain",
        "chain/",
        "store/../link/",
    ] {
        let error = Store::open(&folder.join(name)).err();
        let error = error.unwrap_or_else(|| panic!("{name} was opened"));
        assert!(
            matches!(error, StoreError::Symlink { .. }),
            "{name}: {error}"
        );
    }
    let mode = fs::metadata(world.root()).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o755, "nothing was changed behind the link");
    // A link to nothing is not a place to make a store in.
    symlink(folder.join("absent"), folder.join("dangling")).unwrap();
    for name in ["dangling", "dangling/", "dangling/."] {
        assert!(Store::open(&folder.join(name)).is_err(), "{name}");
    }
    assert!(!folder.join("absent").exists());
    // Above the store there may be links, and its path may be written in any way.
    symlink(folder, folder.join("above")).unwrap();
    for name in [
        "above/store",
        "above/store/",
        "store/.",
        "store//",
        "store/blobs/..",
    ] {
        Store::open(&folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert!(inner.exists());
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_and_not_an_endless_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    for (path, below) in [
        (gone.join("ingest"), gone.as_path()),
        (gone.join("blobs/sha256/ab"), gone.as_path()),
        ("/proc/absent/x".into(), Path::new("/proc/absent")),
        ("/proc/absent/x".into(), Path::new("")),
    ] {
        let error = durable::create_directory(&path, below).unwrap_err();
        assert!(error.to_string().contains("make the folder"), "{error}");
    }
    let deep: PathBuf = std::iter::repeat_n("x", 2000).collect();
    assert!(durable::create_directory(&gone.join(deep), &gone).is_err());
    // What stands in the way is left alone.
    fs::write(folder.path().join("file"), b"mine").unwrap();
    symlink(folder.path(), folder.path().join("link")).unwrap();
    for name in ["file", "file/x", "link"] {
        let path = folder.path().join(name);
        assert!(
            durable::create_directory(&path, folder.path()).is_err(),
            "{name}"
        );
    }
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"mine");
}

#[test]
fn a_store_is_not_made_on_a_file_system_without_files() {
    for root in [
        "/proc/wharf",
        "/proc/self/wharf/store",
        "/sys/wharf",
        "/sys/fs/wharf/store",
    ] {
        let error = Store::open(Path::new(root)).err().unwrap();
        assert!(
            matches!(error, StoreError::Pseudo { .. }),
            "{root}: {error}"
        );
    }
}

#[test]
fn the_folders_above_a_new_store_are_private_and_durable() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("a/b/store");
    durable::record();
    Store::open(&root).unwrap();
    let synced = durable::recorded();
    for name in ["", "a", "a/b"] {
        let path = folder.path().join(name);
        let path = path.components().collect::<PathBuf>();
        assert!(synced.contains(&path), "{name:?} is not in {synced:?}");
        if !name.is_empty() {
            let mode = fs::metadata(&path).unwrap().mode();
            assert_eq!(mode & 0o7777, 0o700, "{name}");
        }
    }
}
