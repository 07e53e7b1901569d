//! The check, and repairs.

use std::sync::Arc;

use wharf_core::Sink as _;
use wharf_core::copy::{Options, copy};
use wharf_core::event::Unwatched;

use super::place::Place;
use super::{Image, World, index, inspected, reference};
use crate::{CheckReport, Store, check};

fn run(world: &World, repair: bool) -> CheckReport {
    check(&world.root(), repair, &|_| {}).unwrap()
}

/// Copies what isn't whole, as the next pull does; says which digests were asked for.
async fn heal(store: &Store, image: &Image) -> Vec<wharf_core::Digest> {
    let place = Place::of(&image.blobs);
    super::pull(store, &place, &image.manifest, image.id(), "a:1").await;
    place
        .opened()
        .into_iter()
        .map(|(digest, _)| digest)
        .collect()
}

#[tokio::test]
async fn finds_nothing_in_a_sound_store() {
    let world = World::new();
    world.pull(&Image::small(2), "a:1").await;
    world.pull(&Image::small(3), "b:1").await;
    let seen = std::cell::Cell::new((0, 0));
    let report = check(&world.root(), false, &|progress| {
        seen.set((progress.blobs, progress.blobs_total));
    });
    let report = report.unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
    assert_eq!((report.blobs, seen.get()), (7, (7, 7)));
}

#[tokio::test]
async fn a_damaged_layer_is_set_aside_and_the_next_pull_heals_it() {
    let world = World::new();
    let (image, other) = (Image::small(2), Image::small(3));
    world.pull(&image, "a:1").await;
    world.pull(&other, "b:1").await;
    let layer = &image.layers[1].digest;
    world.damage(layer);
    let report = run(&world, false);
    assert_eq!(
        report.findings,
        [format!("blob {layer} is damaged: a:1 needs it")]
    );
    assert_eq!(report.damaged, std::slice::from_ref(layer));
    assert!(report.repaired.is_empty());
    assert!(
        world.blob_path(layer).exists(),
        "a check alone changes nothing"
    );
    let report = run(&world, true);
    assert_eq!(report.repaired.len(), 1);
    assert!(!world.blob_path(layer).exists());
    assert!(
        world
            .root()
            .join("damaged")
            .join(format!("sha256-{}", layer.hex()))
            .exists()
    );
    // The image is still listed; it isn't whole, and says so.
    assert_eq!(world.store.read(|rows| rows.images()).unwrap().len(), 2);
    let sink = world.sink(inspected());
    assert!(!sink.contains(&image.manifest).await.unwrap());
    assert!(sink.contains(&other.manifest).await.unwrap());
    assert_eq!(run(&world, false).missing, std::slice::from_ref(layer));
    let asked = heal(&world.store, &image).await;
    assert!(
        asked.contains(layer) && !asked.contains(&image.layers[0].digest),
        "{asked:?}"
    );
    assert!(sink.contains(&image.manifest).await.unwrap());
    assert!(run(&world, false).is_clean());
}

#[tokio::test]
async fn every_kind_of_blob_heals() {
    for at in 0..4 {
        let world = World::new();
        let image = Image::small(2);
        world.pull(&image, "a:1").await;
        let digest = wharf_core::Digest::of(&image.blobs[at]);
        if at % 2 == 0 {
            world.damage(&digest)
        } else {
            std::fs::remove_file(world.blob_path(&digest)).unwrap()
        }
        let report = run(&world, true);
        assert_eq!(report.damaged.len() + report.missing.len(), 1, "{report:?}");
        assert!(heal(&world.store, &image).await.contains(&digest));
        assert_eq!(run(&world, false).findings, Vec::<String>::new());
        assert_eq!(
            world.store.document(image.id()).unwrap().unwrap(),
            image.blobs[1]
        );
    }
}

#[tokio::test]
async fn a_missing_file_heals_without_a_check() {
    let world = World::new();
    let image = Image::small(2);
    world.pull(&image, "a:1").await;
    std::fs::remove_file(world.blob_path(&image.layers[0].digest)).unwrap();
    let place = Place::of(&image.blobs);
    assert!(
        !world
            .sink(inspected())
            .contains(&image.layers[0])
            .await
            .unwrap()
    );
    world.put(&image.layers[0], &place).await.unwrap();
    assert!(run(&world, false).is_clean());
}

#[tokio::test]
async fn files_that_are_no_blobs_are_named() {
    let world = World::new();
    world.pull(&Image::small(2), "a:1").await;
    let stranger = world.root().join("blobs/sha256/aa");
    std::fs::create_dir_all(&stranger).unwrap();
    std::fs::write(stranger.join("notes.txt"), b"x").unwrap();
    let report = run(&world, true);
    assert_eq!(report.findings.len(), 1);
    assert!(
        report.findings[0].ends_with("notes.txt is not a blob's file"),
        "{report:?}"
    );
    assert!(run(&world, false).is_clean());
}

#[tokio::test]
async fn leftovers_are_no_damage() {
    let world = World::new();
    let orphan = wharf_core::Digest::of(b"orphan");
    let path = world.blob_path(&orphan);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, b"orphan").unwrap();
    let report = run(&world, false);
    assert!(report.is_clean());
    assert_eq!(report.leftovers, 1);
    std::fs::write(&path, b"0rphan").unwrap();
    assert_eq!(run(&world, false).damaged, [orphan]);
}

#[tokio::test]
async fn rows_that_say_something_else_are_computed_again() {
    let world = World::new();
    let image = Image::small(2);
    world.pull(&image, "a:1").await;
    let right = world.store.read(|rows| rows.images()).unwrap();
    let database = rusqlite::Connection::open(world.root().join("wharf.db")).unwrap();
    for wrong in [
        "UPDATE images SET size = 7",
        "UPDATE images SET architecture = 'vax', labels = NULL",
        "UPDATE image_layers SET chain_id = diff_id",
        "DELETE FROM edges WHERE position = 2",
        "UPDATE manifests SET children = 9",
    ] {
        database.execute(wrong, []).unwrap();
        let report = run(&world, false);
        assert_eq!(report.findings.len(), 1, "{wrong}: {report:?}");
        assert_eq!(
            run(&world, false).findings.len(),
            1,
            "{wrong}: a check changes nothing"
        );
        assert_eq!(run(&world, true).repaired.len(), 1, "{wrong}");
        assert!(run(&world, false).is_clean(), "{wrong}");
    }
    assert_eq!(world.store.read(|rows| rows.images()).unwrap(), right);
}

#[tokio::test]
async fn a_database_is_rebuilt_from_the_blobs() {
    let world = World::new();
    let (amd, arm) = (
        Image::for_platform(2, "amd64"),
        Image::for_platform(3, "arm64"),
    );
    let (what, bytes) = index(&[&amd, &arm]);
    let place = Place::of(&[amd.blobs.clone(), arm.blobs.clone(), vec![bytes]].concat());
    let sink = Arc::new(world.sink(inspected()));
    copy(
        place,
        sink,
        &what,
        &Options::everything(1),
        Arc::new(Unwatched),
    )
    .await
    .unwrap();
    world
        .store
        .write(|rows| {
            rows.keep_image(arm.id())?;
            rows.set_name(&reference("a:1"), &what.digest, Some(amd.id()))
        })
        .unwrap();
    let World { store, folder } = world;
    store.inner.catalog.fold().unwrap();
    let root = folder.path().join("store");
    drop(store);
    // Nothing of it can be read: neither names nor anything else.
    std::fs::write(root.join("wharf.db"), vec![b'x'; 20_000]).unwrap();
    let report = check(&root, false, &|_| {}).unwrap();
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert!(Store::open(&root).is_err(), "a check alone changes nothing");
    let report = check(&root, true, &|_| {}).unwrap();
    let said = report.repaired.join("\n");
    assert!(said.contains("2 images, 0 of 0 names"), "{said}");
    assert!(said.contains("not all names could be read"), "{said}");
    let store = Store::open(&root).unwrap();
    let images = store.read(|rows| rows.images()).unwrap();
    assert_eq!(images.len(), 2);
    assert!(images.iter().all(|listed| listed.names.is_empty()));
    let row = store
        .read(|rows| rows.manifest(&what.digest))
        .unwrap()
        .unwrap();
    assert_eq!(row.children.len(), 2);
    assert!(check(&root, false, &|_| {}).unwrap().is_clean());
    assert!(root.join("damaged/wharf.db").exists());
}

#[tokio::test]
async fn names_are_saved_from_a_database_that_is_damaged_elsewhere() {
    let world = World::new();
    let image = Image::small(2);
    world.pull(&image, "a:1").await;
    let set = |rows: &mut crate::Writing<'_>| {
        (0..50).try_for_each(|n| {
            let name = reference(&format!("team/app:{n}"));
            rows.set_name(&name, &image.manifest.digest, Some(image.id()))
                .map(drop)
        })
    };
    world.store.write(set).unwrap();
    let World { store, folder } = world;
    let root = folder.path().join("store");
    let before = store.read(|rows| rows.images()).unwrap();
    drop(store);
    // An index that disagrees with its table: found by the check, harmless to reading the names.
    let database = rusqlite::Connection::open(root.join("wharf.db")).unwrap();
    database
        .execute_batch(
            "PRAGMA writable_schema = ON; \
             UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema \
               WHERE name = 'edges_child') WHERE name = 'links_blob';",
        )
        .unwrap();
    drop(database);
    let report = check(&root, false, &|_| {}).unwrap();
    assert!(report.findings[0].contains("is damaged"), "{report:?}");
    let report = check(&root, true, &|_| {}).unwrap();
    assert!(
        report.repaired[0].contains("1 images, 51 of 51 names"),
        "{report:?}"
    );
    let store = Store::open(&root).unwrap();
    let mut after = store.read(|rows| rows.images()).unwrap();
    after[0].image.last_tagged = before[0].image.last_tagged;
    assert_eq!(after, before, "names, sizes and digests are as they were");
}
