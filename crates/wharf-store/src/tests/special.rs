//! Something else in the place of a file of the store: nothing waits for it, follows it, or is ended by it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use wharf_core::event::Unwatched;
use wharf_core::{Descriptor, Sink as _};

use super::place::Place;
use super::{Image, World, inspected, noise};
use crate::{CheckReport, CollectOptions, StoreError, check, files};

/// What may stand in a file's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thing {
    Pipe,
    Socket,
    Folder,
    FullFolder,
    Link,
    LinkToDevice,
    LinkToPipe,
    DanglingLink,
    Loop,
}

const THINGS: [Thing; 9] = [
    Thing::Pipe,
    Thing::Socket,
    Thing::Folder,
    Thing::FullFolder,
    Thing::Link,
    Thing::LinkToDevice,
    Thing::LinkToPipe,
    Thing::DanglingLink,
    Thing::Loop,
];

impl Thing {
    fn is_folder(self) -> bool {
        matches!(self, Self::Folder | Self::FullFolder)
    }

    /// Puts it in the place of whatever is at `path`.
    fn put(self, path: &Path, outside: &Path) {
        fs::remove_file(path).ok();
        fs::remove_dir_all(path).ok();
        let pipe = |path: &Path| mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).unwrap();
        match self {
            Self::Pipe => pipe(path),
            Self::Socket => mknodat(CWD, path, FileType::Socket, Mode::RUSR, 0).unwrap(),
            Self::Folder => fs::create_dir(path).unwrap(),
            Self::FullFolder => {
                fs::create_dir(path).unwrap();
                fs::write(path.join("x"), b"x").unwrap();
            }
            Self::Link => symlink(outside, path).unwrap(),
            Self::LinkToDevice => symlink("/dev/zero", path).unwrap(),
            Self::LinkToPipe => {
                let pipe_path = outside.with_extension("pipe");
                if !pipe_path.exists() {
                    pipe(&pipe_path);
                }
                symlink(pipe_path, path).unwrap();
            }
            Self::DanglingLink => symlink("/nowhere", path).unwrap(),
            Self::Loop => symlink(path, path).unwrap(),
        }
    }
}

/// A store with one image, and a file outside of it with the bytes of one layer.
async fn stocked() -> (World, Image, std::path::PathBuf) {
    let world = World::new();
    let image = Image::small(7);
    world.pull(&image, "a:1").await;
    let outside = world.folder.path().join("outside");
    fs::write(&outside, noise(7, 700)).unwrap();
    (world, image, outside)
}

fn checked(world: &World, repair: bool) -> CheckReport {
    check(&world.root(), repair, &|_| {}).unwrap()
}

#[tokio::test]
async fn in_a_blob_s_place_it_is_damage_that_a_repair_or_a_pull_mends() {
    for thing in THINGS {
        let (world, image, outside) = stocked().await;
        let layer = &image.layers[1].digest;
        let path = world.blob_path(layer);
        thing.put(&path, &outside);
        // Also a link to the very bytes: what it leads to is not the store's.
        let error = world.store.blob(layer).unwrap_err();
        assert!(
            matches!(error, StoreError::Damaged(_)),
            "{thing:?}: {error}"
        );
        assert_eq!(
            checked(&world, false).damaged,
            std::slice::from_ref(layer),
            "{thing:?}"
        );
        // A copy of that blob alone takes its place.
        let sink = world.sink(inspected());
        let place = Place::of(&image.blobs);
        sink.put(&image.layers[1], place, Arc::new(Unwatched))
            .await
            .unwrap();
        assert!(checked(&world, false).is_clean(), "{thing:?}");
        // So does a pull after a repair, also twice.
        for _ in 0..2 {
            thing.put(&path, &outside);
            let report = checked(&world, true);
            assert_eq!(report.repaired.len(), 1, "{thing:?}: {report:?}");
            world.pull(&image, "a:1").await;
            assert!(checked(&world, false).is_clean(), "{thing:?}");
        }
        assert_eq!(fs::read(&outside).unwrap(), noise(7, 700), "{thing:?}");
    }
}

#[tokio::test]
async fn a_blob_with_something_else_in_its_place_can_be_removed() {
    for thing in THINGS {
        let (world, image, outside) = stocked().await;
        let path = world.blob_path(&image.layers[1].digest);
        thing.put(&path, &outside);
        world
            .store
            .write(|rows| rows.remove_image(image.id()))
            .unwrap();
        world.store.collect(CollectOptions::EVERYTHING).unwrap();
        assert!(fs::symlink_metadata(&path).is_err(), "{thing:?}");
        assert!(outside.exists(), "{thing:?}");
        assert!(checked(&world, false).is_clean(), "{thing:?}");
    }
}

#[tokio::test]
async fn a_folder_of_blobs_that_is_a_link_is_not_looked_into() {
    for name in ["sha256/zz", "other", "sha256"] {
        let (world, image, outside) = stocked().await;
        let elsewhere = world.folder.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("precious"), b"x").unwrap();
        let path = world.root().join("blobs").join(name);
        if path.exists() {
            crate::durable::replace(&path, &world.folder.path().join("away")).unwrap();
        }
        symlink(&elsewhere, &path).unwrap();
        let report = checked(&world, true);
        assert!(!report.is_clean(), "{name}: {report:?}");
        assert!(
            elsewhere.join("precious").exists(),
            "{name}: nothing was taken from there"
        );
        world.store.collect(CollectOptions::EVERYTHING).unwrap();
        assert!(elsewhere.join("precious").exists(), "{name}");
        world.pull(&image, "a:1").await;
        assert!(outside.exists());
    }
}

#[tokio::test]
async fn in_the_place_of_notes_it_counts_as_missing_notes() {
    use std::io::Write as _;
    for thing in THINGS {
        let (world, image, outside) = stocked().await;
        let layer = &image.layers[0].digest;
        let path = world
            .root()
            .join("notes")
            .join(format!("sha256-{}", layer.hex()));
        thing.put(&path, &outside);
        assert!(world.store.notes(layer).unwrap().is_none(), "{thing:?}");
        let mut notes = world.store.new_notes(layer).unwrap();
        notes.write_all(b"again").unwrap();
        // Good for this time, whether they can be put in place or not.
        let file = notes.keep().unwrap();
        let mut read = [0; 5];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut read, 0).unwrap();
        assert_eq!(&read, b"again", "{thing:?}");
        if !thing.is_folder() {
            assert!(world.store.notes(layer).unwrap().is_some(), "{thing:?}");
        }
        world.store.collect(CollectOptions::EVERYTHING).unwrap();
        assert_eq!(fs::read(&outside).unwrap(), noise(7, 700), "{thing:?}");
    }
}

#[tokio::test]
async fn in_the_place_of_a_download_it_is_replaced_or_named() {
    for thing in THINGS {
        for kind in ["data", "journal", "lock", "notes"] {
            let (world, _, outside) = stocked().await;
            let bytes = noise(9, 5000);
            let what = Descriptor::of(wharf_core::media_type::OCI_LAYER, &bytes);
            let ingest = world.root().join("ingest");
            let path = ingest.join(format!("sha256-{}.{kind}", what.digest.hex()));
            thing.put(&path, &outside);
            let sink = world.sink(inspected());
            let put = sink
                .put(&what, Place::one(&bytes), Arc::new(Unwatched))
                .await;
            if thing.is_folder() && kind != "notes" {
                let error = std::error::Error::source(&put.unwrap_err())
                    .unwrap()
                    .to_string();
                assert!(error.contains("it is a folder"), "{kind}: {error}");
            } else {
                // Notes are not needed to store a layer; a folder in their place is left where it is.
                let stored = put.is_ok() || thing.is_folder();
                assert!(stored, "{thing:?} {kind}: {put:?}");
            }
            assert_eq!(
                fs::read(&outside).unwrap(),
                noise(7, 700),
                "{thing:?} {kind}"
            );
        }
    }
}

#[tokio::test]
async fn in_the_place_of_a_lease_or_a_leftover_it_holds_nothing_and_goes() {
    for thing in THINGS {
        let (world, image, outside) = stocked().await;
        let lease = world.store.lease().unwrap();
        lease.hold(&image.manifest.digest).unwrap();
        let ingest = world.root().join("ingest");
        let places = [
            ingest.join(format!("lease-{}", lease.token())),
            ingest.join("lease-0123"),
            ingest.join("spool-0123"),
            ingest.join("notes-0123"),
        ];
        for path in &places {
            thing.put(path, &outside);
        }
        world
            .store
            .write(|rows| rows.remove_image(image.id()))
            .unwrap();
        world.store.collect(CollectOptions::EVERYTHING).unwrap();
        assert!(
            !world.blob_path(&image.manifest.digest).exists(),
            "{thing:?}"
        );
        for path in &places {
            let there = fs::symlink_metadata(path).is_ok();
            assert_eq!(there, thing.is_folder(), "{thing:?} {}", path.display());
        }
        assert!(outside.exists(), "{thing:?}");
    }
}

#[test]
fn in_the_place_of_an_upload_it_is_an_error() {
    for thing in THINGS {
        let world = World::new();
        let outside = world.folder.path().join("outside");
        fs::write(&outside, b"mine").unwrap();
        let uploads = world.store.uploads();
        let id = uploads.begin().unwrap();
        thing.put(
            &world.root().join("ingest").join(format!("upload-{id}")),
            &outside,
        );
        assert!(uploads.len(&id).is_err(), "{thing:?}");
        assert!(uploads.cancel(&id).is_err(), "{thing:?}");
        assert_eq!(fs::read(&outside).unwrap(), b"mine", "{thing:?}");
    }
}

#[test]
fn a_device_is_not_a_file() {
    for path in ["/dev/zero", "/dev/null", "/dev/full"] {
        let error = files::open(Path::new(path)).unwrap_err();
        assert_eq!(error.to_string(), "it is a device, not a regular file");
        assert!(files::open_writable(Path::new(path)).is_err());
    }
}

#[test]
fn files_of_an_earlier_version_become_private_when_they_are_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sha256-x.lock");
    fs::write(&path, b"").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    files::open_or_create(&path).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o600
    );
}
