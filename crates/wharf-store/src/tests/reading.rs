//! Stores that can only be read.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use futures_util::TryStreamExt as _;
use wharf_core::Source as _;

use super::processes::{role, start};
use super::recognising::everything;
use super::{Image, World, noise, reference};
use crate::{CollectOptions, Store, StoreError, StoreErrorKind, check};

/// What the database's files are, when somebody opens the store for reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Files {
    /// As a process leaves them: with a log, and with shared memory.
    AsLeft,
    /// Copied without the shared memory.
    NoSharedMemory,
    /// Folded, with an empty log.
    Folded,
    /// Folded, and copied without the log.
    DatabaseOnly,
    /// Folded, with shared memory and without a log.
    NoLog,
}

const ALL: [Files; 5] = [
    Files::AsLeft,
    Files::NoSharedMemory,
    Files::Folded,
    Files::DatabaseOnly,
    Files::NoLog,
];

/// A store with one image, that no process has open. In the log are rows that the database lacks.
async fn left(files: Files) -> (tempfile::TempDir, std::path::PathBuf, Image) {
    let world = World::new();
    let image = Image::new(&[noise(1, 500), noise(2, 70_000)]);
    world.pull(&image, "a:1").await;
    world.store.inner.catalog.fold().unwrap();
    let name = reference("late:1");
    let set = |rows: &mut crate::Writing<'_>| {
        rows.set_name(&name, &image.manifest.digest, Some(image.id()))
    };
    world.store.write(set).unwrap();
    if matches!(files, Files::Folded | Files::DatabaseOnly | Files::NoLog) {
        world.store.inner.catalog.fold().unwrap();
    }
    let root = world.root();
    let World { store, folder } = world;
    drop(store);
    let remove = |suffix: &str| fs::remove_file(root.join(format!("wharf.db{suffix}"))).unwrap();
    match files {
        Files::AsLeft | Files::Folded => {}
        Files::NoSharedMemory => remove("-shm"),
        Files::DatabaseOnly => {
            remove("-shm");
            remove("-wal");
        }
        Files::NoLog => remove("-wal"),
    }
    (folder, root, image)
}

#[tokio::test]
async fn everything_that_only_reads_works_and_changes_nothing() {
    for files in ALL {
        let (_folder, root, image) = left(files).await;
        let before = everything(&root);
        let store = Store::open_read_only(&root).unwrap();
        assert!(store.is_read_only());
        let lease = store.read_lease().unwrap();
        lease.hold(&image.manifest.digest).unwrap();
        for name in ["a:1", "late:1"] {
            let row = store.read(|rows| rows.name(&reference(name))).unwrap();
            assert_eq!(
                row.unwrap().image.as_ref(),
                Some(image.id()),
                "{files:?} {name}"
            );
        }
        assert_eq!(store.read(|rows| rows.images()).unwrap()[0].names.len(), 2);
        assert!(store.document(image.id()).unwrap().is_some());
        assert!(store.notes(&image.layers[0].digest).unwrap().is_some());
        let reader = store
            .source()
            .open(&image.layers[1], 0..70_000)
            .await
            .unwrap();
        let bytes: Vec<_> = reader.bytes.try_collect().await.unwrap();
        assert!(bytes.concat() == noise(2, 70_000), "{files:?}");
        assert_eq!(store.version().unwrap(), store.version().unwrap());
        drop(lease);
        let report = store.check(false, &|_| {}).unwrap();
        assert!(
            report.is_clean() && report.blobs == 4,
            "{files:?}: {report:?}"
        );
        drop(store);
        assert_eq!(everything(&root), before, "{files:?}: nothing was changed");
        // What another process writes later is right as well.
        Store::open(&root).unwrap();
        assert!(
            check(&root, false, &|_| {}).unwrap().is_clean(),
            "{files:?}"
        );
    }
}

#[tokio::test]
async fn what_writes_says_in_one_line_that_it_cannot() {
    let (_folder, root, image) = left(Files::AsLeft).await;
    let before = everything(&root);
    let store = Store::open_read_only(&root).unwrap();
    let remove = store.write(|rows| rows.remove_image(image.id())).err();
    let refusals = [
        store.check_writable().err(),
        store.lease().err(),
        store.spool().err(),
        store.collect(CollectOptions::EVERYTHING).err(),
        remove,
        store.check(true, &|_| {}).err(),
    ];
    for (number, error) in refusals.into_iter().enumerate() {
        let error = error.unwrap_or_else(|| panic!("number {number} was not refused"));
        assert!(
            matches!(error, StoreError::ReadOnly { .. }),
            "{number}: {error}"
        );
        assert_eq!(
            error.to_string(),
            format!("the store {} is read-only", root.display())
        );
        assert!(error.hint().unwrap().contains("writable"));
        assert_eq!(error.kind(), StoreErrorKind::Refused);
    }
    assert!(store.uploads().begin().is_err());
    drop(store);
    assert_eq!(everything(&root), before);
}

#[tokio::test]
async fn missing_notes_are_made_for_once() {
    let (_folder, root, image) = left(Files::AsLeft).await;
    fs::remove_dir_all(root.join("notes")).unwrap();
    let before = everything(&root);
    let store = Store::open_read_only(&root).unwrap();
    let layer = &image.layers[0].digest;
    assert!(store.notes(layer).unwrap().is_none());
    let mut notes = store.new_notes(layer).unwrap();
    notes.write_all(b"what is in it").unwrap();
    let file = notes.keep().unwrap();
    let mut read = [0; 13];
    file.read_exact_at(&mut read, 0).unwrap();
    assert_eq!(&read, b"what is in it");
    let facts = wharf_core::layer::LayerFacts {
        diff_id: layer.clone(),
        size: 1,
    };
    store.set_layer_facts(layer, &facts).unwrap();
    drop(store);
    assert_eq!(everything(&root), before);
}

#[tokio::test]
async fn damage_is_found_without_a_lock() {
    let (_folder, root, image) = left(Files::NoSharedMemory).await;
    let hex = image.layers[1].digest.hex();
    let path = root.join("blobs/sha256").join(&hex[..2]).join(hex);
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"something else").unwrap();
    let orphan = wharf_core::Digest::of(b"orphan");
    let shard = root.join("blobs/sha256").join(&orphan.hex()[..2]);
    fs::create_dir_all(&shard).unwrap();
    fs::write(shard.join(orphan.hex()), b"orphan").unwrap();
    // A row that says something else than its manifest.
    let database = rusqlite::Connection::open(root.join("wharf.db")).unwrap();
    database
        .execute("UPDATE images SET architecture = 'vax'", [])
        .unwrap();
    drop(database);
    let before = everything(&root);
    let store = Store::open_read_only(&root).unwrap();
    let report = store.check(false, &|_| {}).unwrap();
    assert_eq!(report.damaged, [image.layers[1].digest.clone()]);
    assert_eq!(report.leftovers, 1);
    assert_eq!(report.findings.len(), 2, "{report:?}");
    drop(store);
    assert_eq!(everything(&root), before);
}

/// Sets a name in another process, which folds the log if it is told so.
fn set_elsewhere(root: &Path, tag: u32, folds: bool) {
    let role = format!("{tag} {folds}");
    let child = start("tests::reading::child", root, &role);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
#[ignore = "started by the tests below"]
fn child() {
    let Some((root, role)) = role() else { return };
    let (tag, folds) = role.split_once(' ').unwrap();
    let store = Store::open(&root).unwrap();
    let found = store
        .read(|rows| rows.name(&reference("a:1")))
        .unwrap()
        .unwrap();
    let name = reference(&format!("more:{tag}"));
    let set =
        |rows: &mut crate::Writing<'_>| rows.set_name(&name, &found.target, found.image.as_ref());
    store.write(set).unwrap();
    if folds == "true" {
        // Those who read are not waited for.
        let database = rusqlite::Connection::open(root.join("wharf.db")).unwrap();
        database.busy_timeout(std::time::Duration::ZERO).unwrap();
        let fold = "PRAGMA wal_checkpoint(TRUNCATE)";
        database.query_row(fold, [], |_| Ok(())).unwrap();
    }
}

#[tokio::test]
async fn what_others_write_meanwhile_is_seen_and_never_mixed() {
    for files in ALL {
        let (_folder, root, _image) = left(files).await;
        let reading = Store::open_read_only(&root).unwrap();
        let count = |store: &Store| store.read(|rows| rows.images()).unwrap()[0].names.len();
        assert_eq!(count(&reading), 2, "{files:?}");
        let before = reading.version().unwrap();
        set_elsewhere(&root, 0, false);
        assert_eq!(count(&reading), 3, "{files:?}: what was committed is seen");
        assert_ne!(reading.version().unwrap(), before, "{files:?}");
        // A write, and a fold of the log, in the middle of a transaction: the moment is kept, or it is an error.
        for (tag, folds) in [(1, false), (2, true), (3, true), (4, false)] {
            let outcome = reading.read(|rows| {
                let first = rows.images()?[0].names.len();
                set_elsewhere(&root, tag, folds);
                Ok::<_, StoreError>((first, rows.images()?[0].names.len()))
            });
            match outcome {
                Ok((first, second)) => assert_eq!(first, second, "{files:?}"),
                Err(error) => {
                    assert!(
                        matches!(error, StoreError::Changed { .. }),
                        "{files:?}: {error}"
                    );
                    assert_eq!(error.kind(), StoreErrorKind::Busy);
                }
            }
        }
        assert_eq!(count(&reading), 7, "{files:?}");
    }
}

#[tokio::test]
async fn a_store_of_an_older_version_is_read_as_it_is() {
    for files in [Files::AsLeft, Files::NoSharedMemory, Files::DatabaseOnly] {
        let (_folder, root, image) = left(Files::AsLeft).await;
        let database = rusqlite::Connection::open(root.join("wharf.db")).unwrap();
        database
            .execute_batch(
                "DROP INDEX blobs_diff_id; ALTER TABLE manifests DROP COLUMN local; \
                 PRAGMA user_version = 1; PRAGMA wal_checkpoint(TRUNCATE);",
            )
            .unwrap();
        drop(database);
        for suffix in ["-shm", "-wal"] {
            if files == Files::DatabaseOnly {
                fs::remove_file(root.join(format!("wharf.db{suffix}"))).ok();
            }
        }
        let before = everything(&root);
        let store = Store::open_read_only(&root).unwrap();
        let row = store
            .read(|rows| rows.manifest(&image.manifest.digest))
            .unwrap();
        assert!(!row.unwrap().local);
        assert!(store.check(false, &|_| {}).unwrap().is_clean());
        drop(store);
        assert_eq!(everything(&root), before, "{files:?}");
    }
    let (_folder, root, _) = left(Files::AsLeft).await;
    let database = rusqlite::Connection::open(root.join("wharf.db")).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    let error = Store::open_read_only(&root).err().unwrap();
    assert!(
        matches!(error, StoreError::Newer { found: 99, .. }),
        "{error}"
    );
}

#[test]
fn a_folder_without_a_store_is_not_one_that_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["", "absent"] {
        let path = folder.path().join(name);
        assert!(Store::open_read_only(&path).is_err(), "{name:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    fs::create_dir_all(folder.path().join("store/blobs/sha256")).unwrap();
    let error = Store::open_read_only(&folder.path().join("store"))
        .err()
        .unwrap();
    assert!(error.to_string().contains("wharf.db"), "{error}");
}

#[tokio::test]
async fn odd_paths_are_opened_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a?immutable=0&x", "b#c", "d%41", "e f\u{e9}"] {
        let root = folder.path().join(name);
        drop(Store::open(&root).unwrap());
        for suffix in ["", "-shm", "-wal"] {
            let store = Store::open_read_only(&root).unwrap();
            assert!(
                store.read(|rows| rows.images()).unwrap().is_empty(),
                "{name}"
            );
            drop(store);
            if !suffix.is_empty() {
                fs::remove_file(root.join(format!("wharf.db{suffix}"))).ok();
            }
        }
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
}

#[tokio::test]
async fn taking_the_right_to_write_from_a_folder_makes_its_store_readable_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_folder, root, _image) = left(Files::AsLeft).await;
    let set = |mode: u32| fs::set_permissions(&root, fs::Permissions::from_mode(mode)).unwrap();
    let mode = || fs::metadata(&root).unwrap().permissions().mode() & 0o7777;
    for (before, after) in [
        (0o500, 0o500),
        (0o555, 0o500),
        (0o755, 0o700),
        (0o777, 0o700),
    ] {
        set(before);
        let store = Store::open(&root).unwrap();
        assert_eq!(
            mode(),
            after,
            "what others may do is taken away, and nothing is given"
        );
        // Root may write wherever the disk can be written.
        let may_write = after == 0o700 || rustix::process::geteuid().is_root();
        assert_eq!(store.is_read_only(), !may_write, "{before:o}");
        assert_eq!(store.read(|rows| rows.images()).unwrap().len(), 1);
        drop(store);
    }
    set(0o700);
}
