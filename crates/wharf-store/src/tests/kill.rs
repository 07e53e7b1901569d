//! A process that is killed at any instant leaves a store that works.
//!
//! A child does everything once (puts a blob, an image, a name, an upload, removes the image), and is
//! killed by the system at one point of it. Then this process goes on with the store.

use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use wharf_core::event::Unwatched;
use wharf_core::{Digest, Sink as _};

use super::place::Place;
use super::{Image, World, inspected, noise, pull, reference};
use crate::{CollectOptions, Store, check, fail};

const LAYER: usize = 3_000_000;
const BATCH: u64 = 256 * 1024;

/// The points, and how many bytes of the layer may be asked for again after each.
const POINTS: [(&str, u64); 8] = [
    ("piece-written", LAYER as u64),
    ("piece-journaled", LAYER as u64 - BATCH),
    ("blob-synced", 0),
    ("blob-renamed", 0),
    ("blob-committed", 0),
    ("manifest-committed", 0),
    ("upload-committed", 0),
    // The image is removed then: whoever wants it again fetches it again.
    ("rows-removed", LAYER as u64),
];

fn image() -> Image {
    Image::new(&[noise(21, LAYER)])
}

#[test]
#[ignore = "started by a_killed_process_leaves_a_store_that_works"]
fn child() {
    let Some((root, point)) = super::processes::role() else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    fail::KILL_AT.set(point).unwrap();
    runtime.block_on(everything(&Store::open(&root).unwrap()));
    panic!("nobody has killed it");
}

async fn everything(store: &Store) {
    let image = image();
    let place = Place::of(&image.blobs);
    let lease = Arc::new(store.lease().unwrap());
    let sink = store.sink(Arc::clone(&lease), inspected());
    for what in [&image.layers[0], &image.config, &image.manifest] {
        sink.put(what, place.clone(), Arc::new(Unwatched))
            .await
            .unwrap();
    }
    let name = reference("a:1");
    store
        .write(|rows| rows.set_name(&name, &image.manifest.digest, Some(image.id())))
        .map(drop)
        .unwrap();
    let id = store.uploads().begin().unwrap();
    let bytes = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"pushed"))]);
    store.uploads().append(&id, None, bytes).await.unwrap();
    store
        .uploads()
        .finish(&id, &Digest::of(b"pushed"), &lease)
        .await
        .unwrap();
    drop((sink, lease));
    store.write(|rows| rows.remove_image(image.id())).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_leaves_a_store_that_works() {
    for (point, again) in POINTS {
        let world = World::new();
        let before = Image::small(2);
        world.pull(&before, "before:1").await;
        let child = super::processes::start("tests::kill::child", &world.root(), point);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.signal(), Some(9), "{point}: {said}");
        // Any command, at once, and no repair.
        let report = check(&world.root(), false, &|_| {}).unwrap();
        assert_eq!(report.findings, Vec::<String>::new(), "{point}");
        let image = image();
        let place = Place::of(&image.blobs);
        pull(&world.store, &place, &image.manifest, image.id(), "a:1").await;
        let asked = place.opened();
        let of_layer = asked
            .iter()
            .filter(|(digest, _)| *digest == image.layers[0].digest);
        let bytes: u64 = of_layer.map(|(_, range)| range.end - range.start).sum();
        assert!(
            bytes <= again,
            "{point}: {bytes} bytes of the layer were asked for again"
        );
        assert!(
            check(&world.root(), false, &|_| {}).unwrap().is_clean(),
            "{point}"
        );
        // Nothing acknowledged is lost, and nothing leaks.
        let sink = world.sink(inspected());
        assert!(sink.contains(&before.manifest).await.unwrap(), "{point}");
        drop(sink);
        for id in [image.id(), before.id()] {
            world.store.write(|rows| rows.remove_image(id)).unwrap();
        }
        world.store.collect(CollectOptions::EVERYTHING).unwrap();
        assert!(world.files().is_empty(), "{point}: {:?}", world.files());
    }
}
