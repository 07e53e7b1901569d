//! Removing much: what it costs, what it keeps, and what it says before.

use std::fs::File;
use std::time::{Duration, SystemTime};

use futures_util::stream;
use wharf_core::{Descriptor, Digest, ImageConfig, Manifest};

use super::place::{Fault, Place};
use super::{Image, World, noise, reference};
use crate::catalog::ManifestArrival;
use crate::{
    CollectOptions, Collected, LinkKind, PARTIAL_KEPT, Sharers, Store, StoreError, Work, Writing,
};

/// By how much work may grow when the store is twice as large: twice, and something for trees that are deeper.
const TWICE: f64 = 2.3;

/// Writes the rows of an image whose files are not here: the tests below are about rows.
pub(super) fn put_rows(rows: &mut Writing<'_>, image: &Image) -> Result<(), StoreError> {
    for (what, bytes) in image.layers.iter().zip(&image.blobs[2..]) {
        rows.arrive(&what.digest, bytes.len() as u64, None)?;
    }
    rows.arrive(&image.config.digest, image.config.size, None)?;
    let media_type = &image.manifest.media_type;
    let manifest = Manifest::parse(media_type, image.blobs[0].clone()).unwrap();
    let config = ImageConfig::parse(image.blobs[1].clone()).unwrap();
    rows.arrive_manifest(&ManifestArrival {
        manifest: &manifest,
        config: Some(&config),
        place: "a test",
        incomplete: false,
    })
}

/// Writes the rows of an index whose images have rows; `index` has its manifest and its bytes.
pub(super) fn put_index(rows: &mut Writing<'_>, index: &Image) -> Result<(), StoreError> {
    let media_type = &index.manifest.media_type;
    let manifest = Manifest::parse(media_type, index.blobs[0].clone()).unwrap();
    rows.arrive_manifest(&ManifestArrival {
        manifest: &manifest,
        config: None,
        place: "a test",
        incomplete: false,
    })
}

/// A store with so many images that share all but one layer; the registry server links to them if `linked` is set.
fn filled(number: u64, linked: bool) -> (tempfile::TempDir, Store, Work, Vec<Digest>) {
    let folder = tempfile::tempdir().unwrap();
    let (store, work) = Store::open_counted(&folder.path().join("store")).unwrap();
    let mut ids = Vec::new();
    store
        .write(|rows| {
            for seed in 0..number {
                let image = Image::new(&[noise(1, 50), noise(2, 50), noise(3 + seed, 50)]);
                put_rows(rows, &image)?;
                rows.keep_image(image.id())?;
                if linked {
                    rows.link("app", &image.manifest.digest, LinkKind::Manifest)?;
                }
                ids.push(image.id().clone());
            }
            Ok::<_, StoreError>(())
        })
        .unwrap();
    (folder, store, work, ids)
}

#[test]
fn removing_an_image_costs_the_same_with_many_images() {
    for linked in [false, true] {
        for newest_first in [false, true] {
            let cost = |number| {
                let (_folder, store, work, mut ids) = filled(number, linked);
                if newest_first {
                    ids.reverse();
                }
                let (before, mut sharers) = (work.steps(), Sharers::default());
                let remove = |rows: &mut Writing<'_>| {
                    for id in &ids {
                        let own = rows.own_layers(id, &mut sharers)?;
                        let number = if Some(id) == ids.last() { 3 } else { 1 };
                        assert_eq!(own.len(), number);
                        rows.remove_image(id)?;
                    }
                    Ok::<_, StoreError>(())
                };
                store.write(remove).unwrap();
                (work.steps() - before) as f64
            };
            let (once, twice) = (cost(150), cost(300));
            assert!(
                twice < TWICE * once,
                "{linked} {newest_first}: {once} {twice}"
            );
        }
    }
}

#[test]
fn looking_one_image_up_costs_the_same_with_many_images() {
    let costs = |number| {
        let (_folder, store, work, ids) = filled(number, true);
        let image = Image::new(&[noise(1, 50), noise(2, 50), noise(3 + number / 2, 50)]);
        let (id, manifest) = (image.id(), &image.manifest.digest);
        assert!(ids.contains(id));
        let names = |rows: &mut Writing<'_>| {
            for tag in 0..number {
                let other = Image::new(&[noise(1, 50), noise(2, 50), noise(3 + tag, 50)]);
                let name = reference(&format!("app:{tag}"));
                rows.set_name(&name, &other.manifest.digest, Some(other.id()))?;
                let digest = name.with_digest(other.manifest.digest.clone());
                rows.set_repo_digest(&digest, other.id())?;
            }
            Ok::<_, StoreError>(())
        };
        store.write(names).unwrap();
        let name = reference("app:1");
        let digest = name.with_digest(manifest.clone());
        type Look<'a> = (
            &'static str,
            &'a dyn Fn(&crate::Reading<'_>) -> crate::Result<bool>,
        );
        let looks: [Look<'_>; 16] = [
            ("image", &|rows| Ok(rows.image(id)?.is_some())),
            ("layers", &|rows| Ok(rows.layers(id)?.len() == 3)),
            ("own_layers", &|rows| {
                Ok(rows.own_layers(id, &mut Sharers::default())?.len() == 1)
            }),
            ("find_images", &|rows| {
                Ok(rows.find_images(&id.hex()[..12])?.len() == 1)
            }),
            ("find_manifest", &|rows| {
                Ok(rows.find_manifest(manifest)?.len() == 1)
            }),
            ("images_below", &|rows| {
                Ok(rows.images_below(manifest)?.len() == 1)
            }),
            ("shown_by", &|rows| Ok(rows.shown_by(manifest)?.is_some())),
            ("manifest", &|rows| Ok(rows.manifest(manifest)?.is_some())),
            ("name", &|rows| Ok(rows.name(&name)?.is_some())),
            ("names_of", &|rows| Ok(rows.names_of(id)?.len() == 1)),
            ("names_to", &|rows| Ok(rows.names_to(manifest)?.len() == 1)),
            ("names_needing", &|rows| {
                Ok(!rows.names_needing(id)?.is_empty())
            }),
            ("is_referenced", &|rows| rows.is_referenced(id)),
            ("has_tag_in", &|rows| rows.has_tag_in(id, &name)),
            ("repo_digests_in", &|rows| {
                Ok(rows.repo_digests_in(id, &name)?.len() == 1)
            }),
            ("repo_digest", &|rows| {
                Ok(rows.repo_digest(&digest)?.is_some())
            }),
        ];
        looks.map(|(what, look)| {
            let before = work.steps();
            for _ in 0..20 {
                assert!(store.read(look).unwrap(), "{what}");
            }
            (what, work.steps() - before)
        })
    };
    for ((what, few), (_, many)) in costs(60).into_iter().zip(costs(240)) {
        // A search in a tree may take a step more for each look.
        assert!(many <= few + few / 4 + 200, "{what}: {few} {many}");
    }
}

#[test]
fn a_layer_is_shared_again_by_an_image_that_is_kept_again() {
    let (_folder, store, _, ids) = filled(3, true);
    let mut sharers = Sharers::default();
    let mut own = |rows: &Writing<'_>, image: usize| {
        rows.own_layers(&ids[image], &mut sharers).unwrap().len()
    };
    store
        .write(|rows| {
            rows.remove_image(&ids[0])?;
            assert_eq!(own(rows, 1), 1);
            rows.remove_image(&ids[1])?;
            assert_eq!(own(rows, 2), 3);
            rows.keep_image(&ids[0])?;
            assert_eq!(own(rows, 2), 1);
            Ok::<_, StoreError>(())
        })
        .unwrap();
}

#[test]
fn a_collection_is_made_of_short_transactions() {
    let cost = |number| {
        let (_folder, store, work, ids) = filled(number, false);
        store
            .write(|rows| {
                // As if nothing had ever held them.
                ids.iter().try_for_each(|id| rows.forget_kept(id))
            })
            .unwrap();
        let before = (work.steps(), work.transactions());
        work.take_longest();
        let collected = store.collect(CollectOptions::EVERYTHING).unwrap();
        assert_eq!(collected.freed.blobs, 0, "their files were never here");
        let left = store.read(|rows| rows.all_blobs()).unwrap();
        assert!(left.is_empty());
        (
            (work.steps() - before.0) as f64,
            work.transactions() - before.1,
            work.take_longest() as f64,
        )
    };
    let (once, twice) = (cost(600), cost(1200));
    assert!(twice.0 < TWICE * once.0, "{once:?} {twice:?}");
    assert!(twice.1 >= once.1 + 2, "{once:?} {twice:?}");
    assert!(twice.2 < 1.2 * once.2, "{once:?} {twice:?}");
}

/// Breaks the download of a blob off in the middle; returns which one it was.
async fn broken(world: &World, seed: u64) -> Descriptor {
    let bytes = noise(seed, 3_000_000);
    let what = Descriptor::of("application/octet-stream", &bytes);
    let place = Place::one(&bytes);
    place.set(Fault::Break(2_000_000));
    world.put(&what, &place).await.unwrap_err();
    what
}

/// Makes a file as old as that.
fn age(path: &std::path::Path, age: Duration) {
    let file = File::open(path).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
}

/// Rehearses a collection, and makes sure that it changes nothing.
fn rehearsed(world: &World, options: CollectOptions) -> Collected {
    let before = (world.files(), world.store.version().unwrap());
    let collected = world.store.rehearse().unwrap().collect(options).unwrap();
    assert_eq!((world.files(), world.store.version().unwrap()), before);
    collected
}

#[tokio::test]
async fn what_a_broken_download_has_brought_is_kept_for_a_week() {
    let world = World::new();
    let what = broken(&world, 5).await;
    // A blob of the same download that came whole.
    let image = Image::small(2);
    let place = Place::of(&image.blobs);
    world.put(&image.layers[0], &place).await.unwrap();
    let keep = CollectOptions::KEEP_PARTIAL;
    let unfinished = world.store.unfinished().unwrap();
    assert_eq!(unfinished.blobs, 2);
    assert!(unfinished.bytes >= 1_900_000, "{unfinished:?}");
    for collected in [rehearsed(&world, keep), world.store.collect(keep).unwrap()] {
        assert_eq!((collected.freed.blobs, collected.partial.blobs), (0, 0));
        assert_eq!(collected.kept, unfinished);
    }
    // What removes an image takes no part of it either.
    let other = Image::new(&[noise(50, 500)]);
    world.pull(&other, "other:1").await;
    world
        .store
        .write(|rows| rows.remove_image(other.id()))
        .unwrap();
    assert_eq!(world.store.unfinished().unwrap(), unfinished);

    let data = world.store.inner.ingest.data(&what.digest);
    age(&data, PARTIAL_KEPT + Duration::from_secs(60));
    age(
        &world.blob_path(&image.layers[0].digest),
        PARTIAL_KEPT + Duration::from_secs(60),
    );
    let expected = rehearsed(&world, keep);
    assert_eq!((expected.freed.blobs, expected.partial.blobs), (1, 1));
    assert_eq!(
        expected.freed.bytes + expected.partial.bytes,
        unfinished.bytes
    );
    assert_eq!(world.store.collect(keep).unwrap(), expected);
    assert!(world.files().is_empty(), "{:?}", world.files());
    assert_eq!(world.store.unfinished().unwrap().blobs, 0);
}

#[tokio::test]
async fn a_rehearsal_says_what_a_collection_frees() {
    let world = World::new();
    broken(&world, 5).await;
    let locked = broken(&world, 6).await;
    let lock = world.store.inner.ingest.try_lock(&locked.digest).unwrap();
    let ingest = world.root().join("ingest");
    std::fs::write(ingest.join("spool-1"), noise(1, 5000)).unwrap();
    std::fs::write(ingest.join("notes-1"), noise(1, 9000)).unwrap();
    let uploads = world.store.uploads();
    for old in [true, false] {
        let id = uploads.begin().unwrap();
        let bytes = stream::iter([Ok::<_, std::io::Error>(noise(7, 20_000))]);
        uploads.append(&id, None, bytes).await.unwrap();
        if old {
            age(
                &ingest.join(format!("upload-{id}")),
                Duration::from_hours(25),
            );
        }
    }
    // A file without a row, and notes without a layer.
    let orphan = Digest::of(b"orphan");
    let path = world.blob_path(&orphan);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, b"orphan").unwrap();
    let notes = world.root().join("notes");
    std::fs::create_dir_all(&notes).unwrap();
    std::fs::write(
        notes.join(format!("sha256-{}", Digest::of(b"gone").hex())),
        b"notes",
    )
    .unwrap();

    let expected = rehearsed(&world, CollectOptions::EVERYTHING);
    assert_eq!((expected.freed.blobs, expected.partial.blobs), (2, 4));
    let done = world.store.collect(CollectOptions::EVERYTHING).unwrap();
    assert_eq!(done, expected);
    drop(lock);
    let left = world.store.unfinished().unwrap();
    assert_eq!(
        left.blobs, 2,
        "what is worked on, and an upload that is new"
    );
}

#[tokio::test]
async fn what_was_read_while_it_was_removed_goes_when_that_ends() {
    let world = World::new();
    let image = Image::small(2);
    world.pull(&image, "a:1").await;
    let lease = world.store.lease().unwrap();
    lease.hold(&image.layers[0].digest).unwrap();
    world
        .store
        .write(|rows| rows.remove_image(image.id()))
        .unwrap();
    let keep = CollectOptions::KEEP_PARTIAL;
    assert_eq!(world.store.collect(keep).unwrap().freed.blobs, 0);
    drop(lease);
    // It is new, and came with no download that broke off.
    assert_eq!(world.store.collect(keep).unwrap().freed.blobs, 1);
    assert!(world.files().is_empty(), "{:?}", world.files());
}

#[tokio::test]
async fn a_rehearsal_has_the_rows_of_its_beginning() {
    let world = World::new();
    let image = Image::small(2);
    world.pull(&image, "a:1").await;
    let mut rehearsal = world.store.rehearse().unwrap();
    let (_, freed) = rehearsal
        .write(|rows| rows.remove_image(image.id()))
        .unwrap();
    assert_eq!(freed.blobs, 4);
    assert!(rehearsal.read(|rows| rows.images()).unwrap().is_empty());
    let name = reference("a:2");
    world
        .store
        .write(|rows| rows.set_name(&name, &image.manifest.digest, Some(image.id())))
        .unwrap();
    let listed = world.store.read(|rows| rows.images()).unwrap();
    assert_eq!(listed[0].names.len(), 2);
    let collected = rehearsal.collect(CollectOptions::EVERYTHING).unwrap();
    assert_eq!(
        collected.freed.blobs, 0,
        "what goes with the image is counted there"
    );
}

#[test]
fn a_lock_that_is_passed_on_keeps_others_out() {
    let world = World::new();
    let other = Store::open(&world.root()).unwrap();
    let (ours, theirs) = (&world.store.inner.ingest, &other.inner.ingest);
    let [a, b, c] = [b"a", b"b", b"c"].map(|bytes| Digest::of(bytes));
    let lock = ours.try_lock(&a).unwrap().unwrap();
    let lock = ours.pass_on(lock, &b).unwrap().unwrap();
    assert!(theirs.try_lock(&b).unwrap().is_none());
    let taken = theirs.try_lock(&a).unwrap().unwrap();
    drop(taken);
    // One that another process has is not taken from it, and the former one is free.
    let held = theirs.try_lock(&c).unwrap().unwrap();
    assert!(ours.pass_on(lock, &c).unwrap().is_none());
    assert!(theirs.try_lock(&b).unwrap().is_some());
    assert!(ours.try_lock(&c).unwrap().is_none());
    drop(held);
    assert!(ours.try_lock(&c).unwrap().is_some());
    assert!(world.files().is_empty(), "{:?}", world.files());
}
