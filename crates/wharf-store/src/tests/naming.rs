//! Names, images, and what a listing shows.

use std::sync::Arc;

use wharf_core::copy::{Options, copy};
use wharf_core::event::Unwatched;
use wharf_core::{Descriptor, Digest};

use super::place::Place;
use super::{Image, World, index, inspected, noise, reference};
use crate::{CollectOptions, ManifestKind, Sharers, StoreError, Writing};

#[tokio::test]
async fn a_name_points_to_what_it_was_set_to() {
    let world = World::new();
    let (a, b) = (Image::small(2), Image::small(3));
    world.pull(&a, "busybox:musl").await;
    world.pull(&b, "busybox:glibc").await;
    let name = reference("busybox:musl");
    let found = world.store.read(|rows| rows.name(&name)).unwrap().unwrap();
    assert_eq!(
        (&found.target, found.image.as_ref()),
        (&a.manifest.digest, Some(a.id()))
    );
    let set = |rows: &mut Writing<'_>| rows.set_name(&name, &b.manifest.digest, Some(b.id()));
    let (before, freed) = world.store.write(set).unwrap();
    assert_eq!(before.as_ref(), Some(&found));
    assert_eq!(freed.blobs, 0, "the image stays, without a name");
    let moved = world.store.read(|rows| rows.name(&name)).unwrap().unwrap();
    assert_eq!(moved.image.as_ref(), Some(b.id()));
    assert!(moved.updated >= found.updated);
    let names = world.store.read(|rows| rows.names_of(b.id())).unwrap();
    let names: Vec<_> = names.iter().map(|name| name.reference.familiar()).collect();
    assert_eq!(names, ["busybox:glibc", "busybox:musl"]);
    assert!(
        world
            .store
            .read(|rows| rows.names_of(a.id()))
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_name_points_only_to_what_is_here() {
    let world = World::new();
    let image = Image::small(2);
    let set = |name: &str| {
        let name = reference(name);
        world
            .store
            .write(|rows| rows.set_name(&name, &image.manifest.digest, Some(image.id())))
    };
    assert!(matches!(set("a:1"), Err(StoreError::Unknown(_))));
    world.pull(&image, "a:1").await;
    assert!(matches!(set("a"), Err(StoreError::Reference { .. })));
    set("a:2").unwrap();
}

#[tokio::test]
async fn a_blob_is_where_its_image_was_pulled_from() {
    let world = World::new();
    let image = Image::small(2);
    world.pull(&image, "localhost:5000/b:x").await;
    world.pull(&image, "localhost:5000/a:x").await;
    world.pull(&Image::small(3), "localhost:5000/other:x").await;
    let layer = image.layers[1].digest.clone();
    for blob in [&layer, image.id()] {
        let found = world.store.read(|rows| rows.repositories_with(blob));
        let found: Vec<_> = found.unwrap().iter().map(|r| r.familiar()).collect();
        assert_eq!(found, ["localhost:5000/a", "localhost:5000/b"]);
    }
    let unknown = Digest::of(b"nothing");
    let found = world.store.read(|rows| rows.repositories_with(&unknown));
    assert!(found.unwrap().is_empty());
}

#[tokio::test]
async fn a_failed_write_changes_nothing() {
    let world = World::new();
    let image = Image::small(2);
    world.pull(&image, "a:1").await;
    let result = world.store.write(|rows| {
        rows.remove_image(image.id())?;
        Err::<(), _>(StoreError::Unknown(image.id().clone()))
    });
    assert!(result.is_err());
    let listed = world.store.read(|rows| rows.images()).unwrap();
    assert_eq!(listed.len(), 1);
    assert!(world.store.document(image.id()).unwrap().is_some());
}

#[tokio::test]
async fn a_listing_reads_rows_only() {
    let world = World::new();
    let (a, b) = (Image::small(2), Image::small(3));
    world.pull(&a, "zoo/a:2").await;
    world.pull(&a, "zoo/a:1").await;
    world.pull(&a, "localhost:5000/b:x").await;
    world.pull(&b, "b:x").await;
    std::fs::remove_dir_all(world.root().join("blobs")).unwrap();
    let mut listed = world.store.read(|rows| rows.images()).unwrap();
    listed.sort_by_key(|listed| listed.names.len());
    let names: Vec<_> = listed[1].names.iter().map(|name| name.familiar()).collect();
    assert_eq!(names, ["zoo/a:1", "zoo/a:2", "localhost:5000/b:x"]);
    let digests: Vec<_> = listed[0]
        .repo_digests
        .iter()
        .map(|name| name.familiar())
        .collect();
    assert_eq!(digests, [format!("b@{}", b.manifest.digest)]);
    let image = &listed[1].image;
    assert_eq!(&image.id, a.id());
    assert_eq!(image.manifest, a.manifest);
    assert_eq!(image.size, 2 * (500 + 700));
    assert_eq!(image.created, Some("2024-05-06T07:08:09Z".parse().unwrap()));
    assert_eq!(
        (image.os.as_str(), image.architecture.as_str()),
        ("linux", "amd64")
    );
    assert_eq!(image.labels["role"], "test");
    assert!(image.last_tagged.is_some());
}

#[tokio::test]
async fn a_name_costs_the_same_with_many_names() {
    let world = World::new();
    let image = Image::small(2);
    world.pull(&image, "a:1").await;
    let set_many = |from: usize, to: usize| {
        let set = |rows: &mut Writing<'_>| {
            (from..to).try_for_each(|n| {
                let name = reference(&format!("repo{}:{n}", n % 100));
                rows.set_name(&name, &image.manifest.digest, Some(image.id()))
                    .map(drop)
            })
        };
        world.store.write(set).unwrap();
    };
    // A row's cost is the pages that it writes: they go to the log one by one.
    let pages_of_one = |n: usize| {
        world.store.inner.catalog.fold().unwrap();
        set_many(n, n + 1);
        let log = std::fs::metadata(world.root().join("wharf.db-wal"))
            .unwrap()
            .len();
        (log - 32) / (4096 + 24)
    };
    set_many(0, 100);
    let few = pages_of_one(100);
    set_many(200, 20_000);
    let many = pages_of_one(20_000);
    assert!(few >= 4, "{few} pages: the measure is wrong");
    assert!(
        many <= few + 3,
        "{few} pages with 100 names, {many} with 20,000"
    );
}

#[tokio::test]
async fn an_id_is_found_by_its_beginning() {
    let world = World::new();
    let image = Image::small(2);
    world.pull(&image, "a:1").await;
    world.pull(&Image::small(3), "b:1").await;
    let find = |prefix: &str| world.store.read(|rows| rows.find_images(prefix)).unwrap();
    assert_eq!(find(image.id().short()), [image.id().clone()]);
    assert_eq!(find(image.id().hex()), [image.id().clone()]);
    assert!(find("").is_empty() && find("%").is_empty() && find("busybox").is_empty());
    assert!(
        find(&image.layers[0].digest.hex()[..12]).is_empty(),
        "a layer is no image"
    );
    let many: Vec<_> = (0..40).map(|seed| Image::small(100 + seed)).collect();
    for (n, image) in many.iter().enumerate() {
        world.pull(image, &format!("many:{n}")).await;
    }
    // 42 images begin with 16 digits: two of them share one.
    let ambiguous = (0..16).any(|digit| find(&format!("{digit:x}")).len() == 2);
    assert!(ambiguous);
}

#[tokio::test]
async fn an_image_is_shown_once_somebody_keeps_it() {
    let world = World::new();
    let image = Image::small(2);
    let place = Place::of(&image.blobs);
    let lease = world.lease();
    let sink = Arc::new(world.store.sink(Arc::clone(&lease), inspected()));
    let options = Options::everything(1);
    copy(place, sink, &image.manifest, &options, Arc::new(Unwatched))
        .await
        .unwrap();
    let shown = || world.store.read(|rows| rows.images()).unwrap().len();
    assert_eq!(shown(), 0);
    assert!(
        world
            .store
            .read(|rows| rows.image(image.id()))
            .unwrap()
            .is_some()
    );
    world
        .store
        .write(|rows| rows.keep_image(image.id()))
        .unwrap();
    drop(lease);
    world.store.collect(CollectOptions::EVERYTHING).unwrap();
    assert_eq!(shown(), 1);
}

async fn pull_index(world: &World, images: &[&Image], chosen: usize, name: &str) -> Descriptor {
    let (what, bytes) = index(images);
    let mut blobs: Vec<_> = images
        .iter()
        .flat_map(|image| image.blobs.clone())
        .collect();
    blobs.push(bytes);
    let lease = world.lease();
    let sink = Arc::new(world.store.sink(lease, inspected()));
    let options = Options {
        parallel: 1,
        choose: Arc::new(move |index| vec![index.manifests[chosen].clone()]),
    };
    copy(
        Place::of(&blobs),
        sink,
        &what,
        &options,
        Arc::new(Unwatched),
    )
    .await
    .unwrap();
    let (reference, image) = (reference(name), images[chosen].id());
    world
        .store
        .write(|rows| rows.set_name(&reference, &what.digest, Some(image)))
        .unwrap();
    what
}

#[tokio::test]
async fn another_platform_joins_and_replaces_nothing() {
    let world = World::new();
    let (amd, arm) = (
        Image::for_platform(2, "amd64"),
        Image::for_platform(3, "arm64"),
    );
    let what = pull_index(&world, &[&amd, &arm], 0, "a:1").await;
    let sink = world.sink(inspected());
    let row = || {
        world
            .store
            .read(|rows| rows.manifest(&what.digest))
            .unwrap()
            .unwrap()
    };
    assert_eq!(row().kind, ManifestKind::Index);
    assert_eq!(row().children.len(), 1);
    assert!(row().complete);
    use wharf_core::Sink as _;
    assert!(!sink.contains(&what).await.unwrap());
    pull_index(&world, &[&amd, &arm], 1, "a:1").await;
    let children: Vec<_> = row()
        .children
        .into_iter()
        .filter_map(|child| child.image)
        .collect();
    assert_eq!(children, [amd.id().clone(), arm.id().clone()]);
    assert!(sink.contains(&what).await.unwrap());
    let found = world
        .store
        .read(|rows| rows.find_manifest(&what.digest))
        .unwrap();
    assert_eq!(found, [amd.id().clone(), arm.id().clone()]);
    let found = world
        .store
        .read(|rows| rows.find_manifest(&arm.manifest.digest))
        .unwrap();
    assert_eq!(found, [arm.id().clone()]);
    assert!(
        world
            .store
            .read(|rows| rows.find_manifest(amd.id()))
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn an_index_outlives_one_of_its_platforms() {
    let world = World::new();
    let (amd, arm) = (
        Image::for_platform(2, "amd64"),
        Image::for_platform(3, "arm64"),
    );
    pull_index(&world, &[&amd, &arm], 0, "a:1").await;
    let what = pull_index(&world, &[&amd, &arm], 1, "a:1").await;
    world
        .store
        .write(|rows| rows.remove_image(amd.id()))
        .unwrap();
    let row = world
        .store
        .read(|rows| rows.manifest(&what.digest))
        .unwrap()
        .unwrap();
    assert_eq!(row.children.len(), 1);
    assert!(!world.blob_path(&amd.layers[0].digest).exists());
    assert!(world.blob_path(&arm.layers[0].digest).exists());
    let name = world
        .store
        .read(|rows| rows.name(&reference("a:1")))
        .unwrap()
        .unwrap();
    assert_eq!(name.image.as_ref(), Some(arm.id()));
}

#[tokio::test]
async fn layers_are_shown_with_their_chain_ids() {
    let world = World::new();
    let base = Image::new(&[noise(1, 500)]);
    let child = Image::new(&[noise(1, 500), noise(2, 700)]);
    world.pull(&base, "base:1").await;
    world.pull(&child, "child:1").await;
    let layers = world.store.read(|rows| rows.layers(child.id())).unwrap();
    let sizes: Vec<_> = layers
        .iter()
        .map(|layer| (layer.blob_size, layer.size))
        .collect();
    assert_eq!(sizes, [(500, 1000), (700, 1400)]);
    assert_eq!(layers[0].chain_id, layers[0].diff_id);
    let text = format!("{} {}", layers[0].chain_id, layers[1].diff_id);
    assert_eq!(layers[1].chain_id, Digest::of(text.as_bytes()));
    let own = |image: &Image| {
        world
            .store
            .read(|rows| rows.own_layers(image.id(), &mut Sharers::default()))
            .unwrap()
    };
    assert_eq!(own(&child), layers[1..]);
    assert!(own(&base).is_empty());
    world
        .store
        .write(|rows| rows.remove_image(child.id()))
        .unwrap();
    assert_eq!(own(&base), layers[..1]);
}

#[tokio::test]
async fn two_manifests_of_one_image_are_one_image() {
    let world = World::new();
    let image = Image::small(2);
    // The same config with another manifest: as when layers are compressed again.
    let raw = image.blobs[0].clone();
    let mut other: serde_json::Value = serde_json::from_slice(&raw).unwrap();
    other["annotations"] = serde_json::json!({ "again": "yes" });
    let other = bytes::Bytes::from(other.to_string());
    let second = Image {
        manifest: Descriptor::of(image.manifest.media_type.clone(), &other),
        config: image.config.clone(),
        layers: image.layers.clone(),
        blobs: [vec![other], image.blobs[1..].to_vec()].concat(),
    };
    world.pull(&image, "a:1").await;
    world.pull(&second, "a:2").await;
    let listed = world.store.read(|rows| rows.images()).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].names.len(), 2);
    assert_eq!(listed[0].image.manifest.digest, image.manifest.digest);
    let (_, freed) = world
        .store
        .write(|rows| rows.remove_image(image.id()))
        .unwrap();
    assert_eq!(freed.blobs, 5);
}

#[tokio::test]
async fn the_version_changes_with_every_commit_and_only_then() {
    let world = World::new();
    world.pull(&Image::small(1), "app:1").await;
    let other = crate::Store::open(&world.root()).unwrap();
    let version = || world.store.version().unwrap();
    let tag = |store: &crate::Store, name: &str| {
        let set = |rows: &mut crate::Writing<'_>| {
            let found = rows.name(&reference("app:1"))?.unwrap();
            rows.set_name(&reference(name), &found.target, found.image.as_ref())
        };
        store.write(set).unwrap();
    };
    let first = version();
    world.store.read(|rows| rows.images()).unwrap();
    assert_eq!(version(), first);
    tag(&world.store, "app:2");
    let second = version();
    assert_ne!(second, first);
    tag(&other, "app:3");
    let third = version();
    assert!(third != second && third != first);
    assert_eq!(version(), third);
}
