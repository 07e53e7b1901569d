//! What a power loss leaves, after a process that was killed before it had synced its rows.
//!
//! Rows that are written without a sync stand for that process: they are in SQLite's log, and the next
//! process sees them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wharf_core::event::Unwatched;
use wharf_core::media_type::OCI_LAYER;
use wharf_core::{Descriptor, Digest, Sink as _};

use super::place::Place;
use super::power::Disk;
use super::{Image, inspected, noise, pull, reference};
use crate::catalog::Durability;
use crate::{CollectOptions, LinkKind, Result, Store, StoreError, Writing, check};

/// A store that goes through a power loss.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn open(&self) -> Store {
        Store::open(&self.root()).unwrap()
    }

    fn disk(&self) -> Disk {
        Disk::record(&self.root())
    }

    async fn pull(&self, image: &Image, name: &str) {
        let place = Place::of(&image.blobs);
        pull(&self.open(), &place, &image.manifest, image.id(), name).await;
    }

    /// A process that is killed before SQLite has synced its log, and removes no file.
    fn killed(&self, write: impl FnOnce(&mut Writing<'_>) -> Result<()>) {
        let store = self.open();
        let inner = &store.inner;
        inner
            .catalog
            .write(&inner.leases, Durability::Process, write)
            .unwrap();
    }

    /// What the next start of the machine finds.
    fn after(&self, disk: &Disk) -> PathBuf {
        let after = self.folder.path().join("after");
        disk.lose_power(&after);
        after
    }
}

fn findings(root: &Path) -> Vec<String> {
    check(root, false, &|_| {}).unwrap().findings
}

/// Removes files because of rows that are gone.
type Removal = fn(&Store, &Image);

#[tokio::test(flavor = "multi_thread")]
async fn no_file_goes_before_the_removal_of_its_row_is_durable() {
    let removals: [(&str, Removal); 5] = [
        ("a prune", |store, _| {
            store.collect(CollectOptions::EVERYTHING).unwrap();
        }),
        ("a failed load", |store, image| {
            discard(store, image);
        }),
        ("a prune behind a write that changes nothing", |store, _| {
            store.write(|_| Ok::<_, StoreError>(())).unwrap();
            store.collect(CollectOptions::EVERYTHING).unwrap();
        }),
        (
            "a prune after the same image was removed again",
            |store, image| {
                store.write(|rows| rows.remove_image(image.id())).unwrap();
                store.collect(CollectOptions::EVERYTHING).unwrap();
            },
        ),
        ("one file", |store, image| {
            for layer in &image.layers {
                store.inner.unlink_one(&layer.digest).unwrap();
            }
        }),
    ];
    for (what, remove) in removals {
        let machine = Machine::new();
        let (kept, gone) = (Image::small(31), Image::small(32));
        machine.pull(&kept, "kept:1").await;
        machine.pull(&gone, "gone:1").await;
        let disk = machine.disk();
        machine.killed(|rows| rows.remove_image(gone.id()).map(drop));
        remove(&machine.open(), &gone);
        let layer = gone.layers[1].digest.hex();
        let path = machine
            .root()
            .join("blobs/sha256")
            .join(&layer[..2])
            .join(layer);
        assert!(!path.exists(), "{what} has removed nothing");
        let after = machine.after(&disk);
        assert_eq!(findings(&after), Vec::<String>::new(), "after {what}");
        let store = Store::open(&after).unwrap();
        let name = |name| store.read(|rows| rows.name(&reference(name))).unwrap();
        assert!(name("kept:1").is_some(), "after {what}");
        assert!(name("gone:1").is_none(), "after {what}");
    }
}

fn discard(store: &Store, image: &Image) {
    let mut what: Vec<Digest> = image.layers.iter().map(|l| l.digest.clone()).collect();
    what.extend([image.config.digest.clone(), image.manifest.digest.clone()]);
    let lease = Arc::new(store.lease().unwrap());
    tokio::task::block_in_place(|| {
        tokio::runtime::Handle::current().block_on(store.discard(lease, what))
    })
    .unwrap();
}

/// Writes rows, for the image that is here.
type Write = fn(&mut Writing<'_>, &Image) -> Result<()>;

/// Returns whether the rows that a [`Write`] writes are here.
type Written = fn(&Store, &Image) -> bool;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_because_it_is_so_already_is_durable() {
    let writes: [(&str, Write, Written); 5] = [
        (
            "an image that is kept",
            |rows, image| rows.keep_image(image.id()),
            |store, image| {
                let row = store.read(|rows| rows.image(image.id())).unwrap();
                row.is_some_and(|row| row.kept)
            },
        ),
        (
            "a name",
            |rows, image| {
                let name = reference("again:1");
                rows.set_name(&name, &image.manifest.digest, Some(image.id()))
                    .map(drop)
            },
            |store, _| {
                let name = reference("again:1");
                store.read(|rows| rows.name(&name)).unwrap().is_some()
            },
        ),
        (
            "a manifest that was made here",
            |rows, image| rows.set_local(&image.manifest.digest),
            |store, image| {
                let digest = &image.manifest.digest;
                store
                    .read(|rows| rows.manifest(digest))
                    .unwrap()
                    .unwrap()
                    .local
            },
        ),
        (
            "a link of the registry server",
            |rows, image| rows.link("team/app", &image.manifest.digest, LinkKind::Manifest),
            |store, image| {
                let digest = &image.manifest.digest;
                store
                    .read(|rows| rows.is_linked("team/app", digest, LinkKind::Manifest))
                    .unwrap()
            },
        ),
        (
            "a name that was removed",
            |rows, _| rows.remove_name(&reference("first:1")).map(drop),
            |store, _| {
                let name = reference("first:1");
                store.read(|rows| rows.name(&name)).unwrap().is_none()
            },
        ),
    ];
    for (what, write, is_so) in writes {
        let machine = Machine::new();
        let image = Image::small(33);
        machine.pull(&image, "first:1").await;
        machine
            .open()
            .write(|rows| forget_that_it_is_kept(rows, &image))
            .unwrap();
        let disk = machine.disk();
        machine.killed(|rows| write(rows, &image));
        machine.open().write(|rows| write(rows, &image)).unwrap();
        let after = machine.after(&disk);
        assert!(
            is_so(&Store::open(&after).unwrap(), &image),
            "{what} is lost"
        );
    }
}

/// Leaves an image that only its name holds.
fn forget_that_it_is_kept(rows: &mut Writing<'_>, image: &Image) -> Result<()> {
    let name = reference("first:1");
    rows.remove_image(image.id())?;
    rows.link("holds/it", &image.manifest.digest, LinkKind::Manifest)?;
    rows.set_name(&name, &image.manifest.digest, None).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_only_found_is_durable_before_its_row() {
    let machine = Machine::new();
    let bytes = noise(34, 5000);
    let layer = Descriptor::of(OCI_LAYER, &bytes);
    let store = machine.open();
    let disk = machine.disk();
    // Left by a process that was killed between the rename and the folder's sync, or put here by hand.
    let path = blob_path(&machine.root(), &layer.digest);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let (lease, place) = (Arc::new(store.lease().unwrap()), Place::one(&bytes));
    let sink = store.sink(lease, inspected());
    sink.put(&layer, place.clone(), Arc::new(Unwatched))
        .await
        .unwrap();
    assert!(place.opened().is_empty(), "it was here");
    assert_eq!(findings(&machine.after(&disk)), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_is_durable_whatever_it_finds_done_already() {
    let machine = Machine::new();
    let image = Image::small(35);
    machine.pull(&image, "a:1").await;
    let layer = &image.layers[1].digest;
    let path = blob_path(&machine.root(), layer);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, b"damaged").unwrap();
    let disk = machine.disk();
    // Set aside: its row says so first.
    machine.killed(|rows| rows.mark_missing(layer));
    check(&machine.root(), true, &|_| {}).unwrap();
    assert!(!path.exists());
    let after = machine.after(&disk);
    let size = Store::open(&after)
        .unwrap()
        .read(|rows| rows.blob_size(layer));
    assert_eq!(size.unwrap(), None, "the row says that it is here");
    std::fs::remove_dir_all(&after).unwrap();
    // Found again.
    std::fs::write(&path, &bytes).unwrap();
    check(&machine.root(), true, &|_| {}).unwrap();
    let after = machine.after(&disk);
    assert_eq!(findings(&after), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_database_stands_on_files_that_are_durable() {
    let machine = Machine::new();
    let image = Image::small(36);
    machine.pull(&image, "a:1").await;
    let path = blob_path(&machine.root(), &image.layers[0].digest);
    let bytes = std::fs::read(&path).unwrap();
    let disk = machine.disk();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    std::fs::write(machine.root().join("wharf.db"), b"this is no database").unwrap();
    std::fs::remove_file(machine.root().join("wharf.db-wal")).unwrap();
    check(&machine.root(), true, &|_| {}).unwrap();
    let after = machine.after(&disk);
    assert_eq!(findings(&after), Vec::<String>::new());
    let here = Store::open(&after)
        .unwrap()
        .read(|rows| rows.image(image.id()));
    assert!(here.unwrap().is_some());
}

fn blob_path(root: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    root.join("blobs/sha256").join(&hex[..2]).join(hex)
}
