//! What holds what, what goes when nothing does, and what a collection frees.

use std::sync::Arc;

use wharf_core::event::Unwatched;
use wharf_core::media_type::{OCI_CONFIG, OCI_MANIFEST};
use wharf_core::{Descriptor, Sink as _};

use super::place::{Fault, Place};
use super::{Image, World, inspected, noise, reference};
use crate::{CollectOptions, LinkKind, SinkOptions, Store};

fn blobs(world: &World) -> usize {
    let is_blob = |path: &&std::path::PathBuf| path.starts_with(world.root().join("blobs"));
    world.files().iter().filter(is_blob).count()
}

#[tokio::test]
async fn a_removed_image_frees_what_no_other_needs() {
    let world = World::new();
    let (a, b) = (Image::small(2), Image::small(3));
    world.pull(&a, "a:1").await;
    world.pull(&b, "b:1").await;
    assert_eq!(blobs(&world), 7, "the layer that both have is stored once");
    let (removed, freed) = world.store.write(|rows| rows.remove_image(a.id())).unwrap();
    assert!(removed);
    assert_eq!(freed.blobs, 3);
    assert_eq!(
        freed.bytes,
        a.manifest.size + a.config.size + a.layers[1].size
    );
    assert_eq!(blobs(&world), 4);
    assert_eq!(
        world
            .store
            .read(|rows| rows.name(&reference("a:1")))
            .unwrap(),
        None
    );
    let (removed, _) = world.store.write(|rows| rows.remove_image(a.id())).unwrap();
    assert!(!removed);
    world.store.write(|rows| rows.remove_image(b.id())).unwrap();
    assert_eq!(blobs(&world), 0);
    let left = world.store.read(|rows| rows.all_blobs()).unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_lease_holds_what_is_removed_meanwhile() {
    let world = World::new();
    let image = Image::small(2);
    world.pull(&image, "a:1").await;
    let place = Place::of(&image.blobs);
    let other = Store::open(&world.root()).unwrap();
    let lease = Arc::new(other.lease().unwrap());
    let sink = other.sink(Arc::clone(&lease), inspected());
    assert!(sink.contains(&image.layers[1]).await.unwrap());
    let (_, freed) = world
        .store
        .write(|rows| rows.remove_image(image.id()))
        .unwrap();
    assert_eq!(freed.blobs, 3, "all but the leased one");
    assert_eq!(
        world
            .store
            .collect(CollectOptions::EVERYTHING)
            .unwrap()
            .freed
            .blobs,
        0
    );
    // The pull goes on, and what it saw is still here.
    for what in [&image.layers[0], &image.config, &image.manifest] {
        sink.put(what, place.clone(), Arc::new(Unwatched))
            .await
            .unwrap();
    }
    assert!(
        place
            .opened()
            .iter()
            .all(|(digest, _)| *digest != image.layers[1].digest)
    );
    drop((lease, sink));
    let collected = world.store.collect(CollectOptions::EVERYTHING).unwrap();
    assert_eq!((collected.freed.blobs, collected.leases), (4, 0));
    assert!(world.files().is_empty(), "{:?}", world.files());
}

#[tokio::test]
async fn finished_blobs_of_a_broken_pull_stay_until_a_collection() {
    let world = World::new();
    let image = Image::small(2);
    let place = Place::of(&image.blobs);
    world.put(&image.layers[0], &place).await.unwrap();
    place.opened();
    world.put(&image.layers[0], &place).await.unwrap();
    assert!(place.opened().is_empty());
    assert_eq!(
        world
            .store
            .collect(CollectOptions::EVERYTHING)
            .unwrap()
            .freed
            .blobs,
        1
    );
}

#[tokio::test]
async fn an_expired_lease_holds_nothing() {
    let world = World::new();
    let image = Image::small(2);
    let lease = world.lease();
    let sink = world.store.sink(Arc::clone(&lease), inspected());
    sink.put(
        &image.layers[0],
        Place::of(&image.blobs),
        Arc::new(Unwatched),
    )
    .await
    .unwrap();
    world.store.collect(CollectOptions::EVERYTHING).unwrap();
    assert_eq!(blobs(&world), 1);
    world.store.write(|rows| rows.expire_leases()).unwrap();
    let collected = world.store.collect(CollectOptions::EVERYTHING).unwrap();
    assert_eq!((collected.leases, collected.freed.blobs), (1, 1));
}

#[tokio::test]
async fn a_collection_frees_unfinished_downloads_that_nobody_works_on() {
    let world = World::new();
    let bytes = noise(5, 3_000_000);
    let what = Descriptor::of("application/octet-stream", &bytes);
    let place = Place::one(&bytes);
    place.set(Fault::Break(2_000_000));
    world.put(&what, &place).await.unwrap_err();
    let lock = world
        .store
        .inner
        .ingest
        .try_lock(&what.digest)
        .unwrap()
        .unwrap();
    assert_eq!(
        world
            .store
            .collect(CollectOptions::EVERYTHING)
            .unwrap()
            .partial
            .blobs,
        0
    );
    drop(lock);
    let collected = world.store.collect(CollectOptions::EVERYTHING).unwrap();
    assert_eq!(collected.partial.blobs, 1);
    assert!(collected.partial.bytes >= 1_900_000);
    assert!(world.files().is_empty(), "{:?}", world.files());
}

#[tokio::test]
async fn a_collection_frees_files_without_rows_unless_somebody_is_putting_them() {
    let world = World::new();
    let image = Image::small(2);
    world.pull(&image, "a:1").await;
    let orphan = wharf_core::Digest::of(b"orphan");
    let path = world.blob_path(&orphan);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, b"orphan").unwrap();
    let lock = world.store.inner.ingest.try_lock(&orphan).unwrap();
    assert_eq!(
        world
            .store
            .collect(CollectOptions::EVERYTHING)
            .unwrap()
            .freed
            .blobs,
        0
    );
    drop(lock);
    assert_eq!(
        world
            .store
            .collect(CollectOptions::EVERYTHING)
            .unwrap()
            .freed
            .blobs,
        1
    );
    assert!(!path.exists());
    assert_eq!(blobs(&world), 4);
}

#[tokio::test]
async fn a_file_whose_row_came_back_is_not_removed() {
    let world = World::new();
    let image = Image::small(2);
    world.pull(&image, "a:1").await;
    // As a remover sees it that was slow: the rows were gone, and another process put them back.
    let gone = [(image.layers[0].digest.clone(), 500)];
    assert_eq!(world.store.inner.unlink(&gone).blobs, 0);
    assert!(world.blob_path(&image.layers[0].digest).exists());
}

#[tokio::test]
async fn a_repo_digest_holds_its_index() {
    let world = World::new();
    let image = Image::small(2);
    world.pull(&image, "a:1").await;
    let digest = reference("a:1").with_digest(image.manifest.digest.clone());
    let found = world.store.read(|rows| rows.repo_digest(&digest)).unwrap();
    assert_eq!(found.as_ref(), Some(image.id()));
    assert!(
        world
            .store
            .write(|rows| rows.remove_repo_digest(&digest, image.id()))
            .unwrap()
            .0
    );
    assert!(
        !world
            .store
            .write(|rows| rows.remove_repo_digest(&digest, image.id()))
            .unwrap()
            .0
    );
    assert_eq!(
        world
            .store
            .read(|rows| rows.repo_digests_of(image.id()))
            .unwrap(),
        []
    );
}

/// Pushes an image as a registry server does.
async fn push(world: &World, image: &Image, repository: &str) {
    let place = Place::of(&image.blobs);
    let options = SinkOptions {
        lenient: true,
        ..SinkOptions::default()
    };
    let sink = world.sink(options);
    for what in image.layers.iter().chain([&image.config, &image.manifest]) {
        sink.put(what, place.clone(), Arc::new(Unwatched))
            .await
            .unwrap();
        let is_manifest = what.digest == image.manifest.digest;
        let kind = if is_manifest {
            LinkKind::Manifest
        } else {
            LinkKind::Blob
        };
        world
            .store
            .write(|rows| rows.link(repository, &what.digest, kind))
            .unwrap();
    }
}

#[tokio::test]
async fn a_repository_sees_only_what_it_links_to() {
    let world = World::new();
    let image = Image::small(2);
    push(&world, &image, "reg.test/team/app").await;
    let linked = |repository: &str, what: &Descriptor, kind| {
        world
            .store
            .read(|rows| rows.is_linked(repository, &what.digest, kind))
            .unwrap()
    };
    assert!(linked(
        "reg.test/team/app",
        &image.layers[0],
        LinkKind::Blob
    ));
    assert!(linked(
        "reg.test/team/app",
        &image.manifest,
        LinkKind::Manifest
    ));
    assert!(!linked(
        "reg.test/team/app",
        &image.manifest,
        LinkKind::Blob
    ));
    assert!(!linked(
        "reg.test/team/other",
        &image.layers[0],
        LinkKind::Blob
    ));
    assert!(
        world.store.read(|rows| rows.images()).unwrap().is_empty(),
        "pushed is not kept"
    );
    world.store.collect(CollectOptions::EVERYTHING).unwrap();
    assert_eq!(blobs(&world), 4);
}

#[tokio::test]
async fn an_unlinked_manifest_takes_its_blobs_with_it_unless_they_are_new() {
    let world = World::new();
    let image = Image::small(2);
    push(&world, &image, "reg.test/a").await;
    push(&world, &image, "reg.test/b").await;
    let unlink = |repository: &str| {
        let unlink = |rows: &mut crate::Writing<'_>| {
            rows.unlink(repository, &image.manifest.digest, LinkKind::Manifest)
        };
        world.store.write(unlink).unwrap()
    };
    assert_eq!(unlink("reg.test/a").1.blobs, 0, "b still has it");
    let (removed, freed) = unlink("reg.test/b");
    assert_eq!(
        (removed, freed.blobs),
        (true, 1),
        "a push under way finds the blobs"
    );
    world.store.write(|rows| rows.age_links()).unwrap();
    assert_eq!(
        world
            .store
            .collect(CollectOptions::EVERYTHING)
            .unwrap()
            .freed
            .blobs,
        3
    );
    assert_eq!(blobs(&world), 0);
}

#[tokio::test]
async fn repositories_and_tags_are_listed_in_pages() {
    let world = World::new();
    let image = Image::small(2);
    for repository in ["reg.test/c", "reg.test/a"] {
        push(&world, &image, repository).await;
    }
    for tag in ["2", "1", "3"] {
        let name = reference(&format!("reg.test/b:{tag}"));
        world
            .store
            .write(|rows| rows.set_name(&name, &image.manifest.digest, None))
            .unwrap();
    }
    let repositories = |after: Option<&str>, limit| {
        world
            .store
            .read(|rows| rows.repositories(after, limit))
            .unwrap()
    };
    assert_eq!(repositories(None, 2), ["reg.test/a", "reg.test/b"]);
    assert_eq!(repositories(Some("reg.test/b"), 2), ["reg.test/c"]);
    let tags = |after: Option<&str>| {
        world
            .store
            .read(|rows| rows.tags("reg.test/b", after, 2))
            .unwrap()
    };
    assert_eq!(tags(None), ["1", "2"]);
    assert_eq!(tags(Some("2")), ["3"]);
    let untag =
        |rows: &mut crate::Writing<'_>| rows.untag_all("reg.test/b", &image.manifest.digest);
    assert_eq!(world.store.write(untag).unwrap().0, ["1", "2", "3"]);
    assert!(tags(None).is_empty());
}

#[tokio::test]
async fn referrers_are_those_of_the_repository() {
    let world = World::new();
    let image = Image::small(2);
    push(&world, &image, "reg.test/a").await;
    let config = bytes::Bytes::from_static(b"{}");
    let signature = serde_json::json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "application/x.signature",
        "config": Descriptor::of("application/vnd.oci.empty.v1+json", &config), "layers": [],
        "subject": image.manifest, "annotations": { "by": "me" },
    });
    let signature = bytes::Bytes::from(signature.to_string());
    let what = Descriptor::of(OCI_MANIFEST, &signature);
    let signed = Image {
        manifest: what.clone(),
        config: Descriptor::of(OCI_CONFIG, &config),
        layers: Vec::new(),
        blobs: vec![signature, config],
    };
    push(&world, &signed, "reg.test/a").await;
    let referrers = |repository: &str| {
        world
            .store
            .read(|rows| rows.referrers(repository, &image.manifest.digest))
            .unwrap()
    };
    let found = referrers("reg.test/a");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].digest, what.digest);
    assert_eq!(
        found[0].artifact_type.as_deref(),
        Some("application/x.signature")
    );
    assert_eq!(found[0].annotations["by"], "me");
    assert!(referrers("reg.test/b").is_empty());
}
