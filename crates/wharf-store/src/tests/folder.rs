//! Opening the folder: whose it is, and what may be in it.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::Arc;

use wharf_core::event::Unwatched;
use wharf_core::{Descriptor, Sink as _};

use super::place::Place;
use super::{Image, World, inspected, noise, reference};
use crate::{Store, StoreError, check};

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn makes_a_private_folder() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("a/b/store");
    let store = Store::open(&root).unwrap();
    assert_eq!(store.root(), root);
    assert_eq!(mode(&root), 0o700);
}

#[test]
fn makes_a_folder_private_that_is_not() {
    let world = World::new();
    std::fs::set_permissions(world.root(), std::fs::Permissions::from_mode(0o755)).unwrap();
    Store::open(&world.root()).unwrap();
    assert_eq!(mode(&world.root()), 0o700);
}

#[test]
fn makes_the_folder_of_downloads_again() {
    let world = World::new();
    std::fs::remove_dir_all(world.root().join("ingest")).unwrap();
    let store = Store::open(&world.root()).unwrap();
    drop(store.lease().unwrap());
}

#[test]
fn refuses_a_link_and_a_file() {
    let world = World::new();
    let link = world.folder.path().join("link");
    symlink(world.root(), &link).unwrap();
    let error = Store::open(&link).err().unwrap();
    assert!(matches!(error, StoreError::Symlink { .. }), "{error}");
    let file = world.folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let error = Store::open(&file).err().unwrap();
    assert!(matches!(error, StoreError::NotAFolder { .. }), "{error}");
}

#[test]
fn refuses_another_user_s_folder() {
    // Whoever runs this: the folder of the processes is root's, or this is root and there is nobody's.
    let (path, is_root) = (
        tempfile::tempdir().unwrap(),
        rustix::process::geteuid().is_root(),
    );
    let path = if is_root {
        std::os::unix::fs::chown(path.path(), Some(65_534), None).unwrap();
        path.path().to_owned()
    } else {
        "/proc".into()
    };
    let error = Store::open(&path).err().unwrap();
    assert!(matches!(error, StoreError::Owner { .. }), "{error}");
}

#[test]
fn refuses_a_newer_format() {
    let world = World::new();
    let database = rusqlite::Connection::open(world.root().join("wharf.db")).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    let error = Store::open(&world.root()).err().unwrap();
    assert!(
        matches!(
            error,
            StoreError::Newer {
                found: 99,
                known: 2,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("update wharf"));
}

#[tokio::test]
async fn a_store_of_an_older_version_is_brought_up_to_date() {
    let world = World::new();
    let image = Image::small(2);
    world.pull(&image, "a:1").await;
    let database = rusqlite::Connection::open(world.root().join("wharf.db")).unwrap();
    // As the first version has left it.
    database
        .execute_batch(
            "DROP INDEX blobs_diff_id; ALTER TABLE manifests DROP COLUMN local; \
             PRAGMA user_version = 1;",
        )
        .unwrap();
    drop(database);
    let store = Store::open(&world.root()).unwrap();
    let row = store
        .read(|rows| rows.manifest(&image.manifest.digest))
        .unwrap();
    assert!(!row.unwrap().local);
    let name = store.read(|rows| rows.name(&reference("a:1"))).unwrap();
    assert_eq!(name.unwrap().image.as_ref(), Some(image.id()));
}

#[test]
fn says_what_to_do_about_a_damaged_database() {
    let world = World::new();
    let root = world.root();
    world.store.inner.catalog.fold().unwrap();
    drop(world.store);
    std::fs::write(
        root.join("wharf.db"),
        b"this is no database, and never was one",
    )
    .unwrap();
    let error = Store::open(&root).err().unwrap();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert!(
        error.to_string().contains("`wharf store check --repair`"),
        "{error}"
    );
}

#[tokio::test]
async fn a_store_in_use_is_not_rebuilt() {
    let world = World::new();
    let image = Image::small(2);
    world.pull(&image, "a:1").await;
    std::fs::write(
        world.root().join("wharf.db"),
        b"this is no database, and never was one",
    )
    .unwrap();
    std::fs::remove_file(world.root().join("wharf.db-wal")).ok();
    let error = check(&world.root(), true, &|_| {}).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
}

#[tokio::test]
async fn a_full_disk_is_named_and_loses_nothing() {
    let world = World::new();
    let before = Image::small(2);
    world.pull(&before, "a:1").await;
    let bytes = noise(3, 600_000);
    let what = Descriptor::of("application/octet-stream", &bytes);
    let ingest = world.root().join("ingest");
    let file = |kind: &str| ingest.join(format!("sha256-{}.{kind}", what.digest.hex()));
    crate::fail::FULL.lock().unwrap().push(file("data"));
    let mut journal = b"WHARFJ2\n".to_vec();
    journal.extend(what.size.to_le_bytes());
    journal.extend(xxhash_rust::xxh3::xxh3_64(&journal).to_le_bytes());
    std::fs::write(file("journal"), &journal).unwrap();
    let place = Place::one(&bytes);
    let error = world.put(&what, &place).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "no space left on the disk that holds {}; 600000 more bytes are needed: free some space, \
             for instance with `wharf image prune`; what has arrived is kept",
            file("data").display()
        )
    );
    assert_eq!(std::fs::read(file("journal")).unwrap(), journal);
    // With space again, it works, and what was here is here.
    crate::fail::FULL.lock().unwrap().clear();
    let sink = world.sink(inspected());
    sink.put(&what, place, Arc::new(Unwatched)).await.unwrap();
    assert!(sink.contains(&before.manifest).await.unwrap());
    assert!(check(&world.root(), false, &|_| {}).unwrap().is_clean());
}
