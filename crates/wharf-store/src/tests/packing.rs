//! Images made here: their layers move into other blobs, and they stay the same images.

use std::sync::Arc;

use bytes::Bytes;
use wharf_core::event::Unwatched;
use wharf_core::media_type::{OCI_LAYER_GZIP, OCI_MANIFEST};
use wharf_core::{Descriptor, Sink as _};

use super::place::Place;
use super::{Image, World, inspected, noise, reference, toy_diff_id};

/// The image's manifest with its only layer in another blob. Nothing reads that one, so its facts are
/// recorded as a push does it.
async fn packed(world: &World, image: &Image, bytes: &Bytes) -> Descriptor {
    let layer = Descriptor::of(OCI_LAYER_GZIP, bytes);
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": image.config, "layers": [layer],
    });
    let manifest = Bytes::from(manifest.to_string());
    let place = Place::of(&[bytes.clone(), manifest.clone()]);
    let described = Descriptor::of(OCI_MANIFEST, &manifest);
    let sink = world.sink(inspected());
    for what in [&layer, &described] {
        sink.put(what, place.clone(), Arc::new(Unwatched))
            .await
            .unwrap();
    }
    described
}

#[tokio::test]
async fn an_image_moves_to_another_manifest_and_the_old_blobs_go() {
    let world = World::new();
    let plain = noise(2, 700);
    let image = Image::new(std::slice::from_ref(&plain));
    world.pull(&image, "a:1").await;
    let other = reference("b:1");
    world
        .store
        .write(|rows| {
            rows.remove_repo_digest(
                &reference("a").with_digest(image.manifest.digest.clone()),
                image.id(),
            )?;
            rows.set_local(&image.manifest.digest)?;
            rows.set_name(&other, &image.manifest.digest, Some(image.id()))
        })
        .unwrap();
    let row = |digest| world.store.read(|rows| rows.manifest(digest)).unwrap();
    assert!(row(&image.manifest.digest).unwrap().local);

    let to = packed(&world, &image, &noise(9, 300)).await;
    world
        .store
        .write(|rows| rows.retarget(image.id(), &image.manifest.digest, &to.digest))
        .unwrap();
    for name in ["a:1", "b:1"] {
        let name = world
            .store
            .read(|rows| rows.name(&reference(name)))
            .unwrap();
        let name = name.unwrap();
        assert_eq!(name.target, to.digest);
        assert_eq!(name.image.as_ref(), Some(image.id()));
    }
    let shown = world.store.read(|rows| rows.image(image.id())).unwrap();
    assert_eq!(shown.unwrap().manifest.digest, to.digest);
    let layers = world.store.read(|rows| rows.layers(image.id())).unwrap();
    assert_eq!(layers[0].blob_size, 300);
    assert_eq!(layers[0].diff_id, toy_diff_id(&plain));
    assert!(!row(&to.digest).unwrap().local);
    assert_eq!(row(&image.manifest.digest), None);
    let blob = |digest| world.store.blob(digest).unwrap();
    assert!(blob(&image.layers[0].digest).is_none());
    assert!(blob(&image.config.digest).is_some());
}

#[tokio::test]
async fn a_layer_is_found_in_every_blob_that_holds_it() {
    let world = World::new();
    let plain = noise(2, 700);
    let image = Image::new(std::slice::from_ref(&plain));
    world.pull(&image, "a:1").await;
    let found = || {
        let diff_id = toy_diff_id(&plain);
        world
            .store
            .read(|rows| rows.blobs_of_layer(&diff_id))
            .unwrap()
    };
    let first = (image.layers[0].digest.clone(), 700);
    assert_eq!(found(), std::slice::from_ref(&first));

    let bytes = noise(9, 300);
    let layer = Descriptor::of(OCI_LAYER_GZIP, &bytes);
    let sink = world.sink(inspected());
    sink.put(&layer, Place::of(&[bytes]), Arc::new(Unwatched))
        .await
        .unwrap();
    assert_eq!(found(), std::slice::from_ref(&first), "nobody has read it");
    let facts = wharf_core::layer::LayerFacts {
        diff_id: toy_diff_id(&plain),
        size: 1400,
    };
    world.store.set_layer_facts(&layer.digest, &facts).unwrap();
    assert_eq!(found(), [first, (layer.digest.clone(), 300)]);
}

#[tokio::test]
async fn a_spooled_layer_enters_the_store_and_leaves_no_file_behind() {
    use std::io::Write as _;

    let world = World::new();
    let bytes = noise(4, 300_000);
    let mut file = world.store.spool().unwrap();
    file.write_all(&bytes).unwrap();
    let layer = Descriptor::of(OCI_LAYER_GZIP, &bytes);
    let source = crate::FileSource::new(file, "a packed layer").unwrap();
    assert_eq!(source.size(), layer.size);
    let sink = world.sink(crate::SinkOptions::default());
    sink.put(&layer, Arc::new(source), Arc::new(Unwatched))
        .await
        .unwrap();
    assert!(sink.contains(&layer).await.unwrap());
    drop(sink);
    let left = std::fs::read_dir(world.store.root().join("ingest")).unwrap();
    let left: Vec<_> = left
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("spool-"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}
