//! Content that arrives, and what may go wrong with it.

use std::sync::{Arc, Mutex};

use wharf_core::conformance;
use wharf_core::event::Unwatched;
use wharf_core::media_type::OCI_LAYER;
use wharf_core::{ContentError, Descriptor, Event, LayerStatus, Sink as _};

use super::place::{Fault, Place};
use super::power::Disk;
use super::{Image, World, inspected, noise, toy_diff_id};
use crate::{SinkOptions, StoreError};

/// Two pieces, the last one not whole.
const LARGE: usize = 18 * 1024 * 1024;
const PIECE: u64 = 16 * 1024 * 1024;

fn layer(bytes: &bytes::Bytes) -> Descriptor {
    Descriptor::of(OCI_LAYER, bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn does_what_every_sink_must() {
    for connections in [1, 4] {
        conformance::run(async || {
            let world = World::new();
            let sink = world.sink(SinkOptions {
                connections,
                further_connections: connections,
                ..SinkOptions::default()
            });
            conformance::Place::new(Arc::new(sink), Arc::new(world.store.source())).keeping(world)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fetches_a_large_blob_over_several_connections() {
    let (world, bytes) = (World::new(), noise(3, LARGE));
    let place = Place::one(&bytes);
    world.put(&layer(&bytes), &place).await.unwrap();
    let mut ranges: Vec<_> = place.opened().into_iter().map(|(_, range)| range).collect();
    ranges.sort_by_key(|range| range.start);
    assert_eq!(ranges, [0..PIECE, PIECE..LARGE as u64]);
    assert_eq!(
        std::fs::read(world.blob_path(&layer(&bytes).digest)).unwrap(),
        bytes
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_share_the_further_connections_and_do_not_wait_for_them() {
    let blobs: Vec<_> = (0..3).map(|seed| noise(seed, LARGE)).collect();
    let what: Vec<Descriptor> = blobs.iter().map(layer).collect();
    for further_connections in [0, 1] {
        let (world, place) = (World::new(), Place::of(&blobs));
        let sink = world.sink(SinkOptions {
            connections: 4,
            further_connections,
            ..SinkOptions::default()
        });
        let put = |what| sink.put(what, place.clone(), Arc::new(Unwatched));
        let all = tokio::join!(put(&what[0]), put(&what[1]), put(&what[2]));
        all.0.and(all.1).and(all.2).unwrap();
        for what in &what {
            assert!(sink.contains(what).await.unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_one_stream_where_there_are_no_ranges() {
    let (world, bytes) = (World::new(), noise(4, LARGE));
    let place = Place::one(&bytes);
    place.set(Fault::NoRanges);
    world.put(&layer(&bytes), &place).await.unwrap();
    assert_eq!(place.opened().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_on_where_a_broken_download_stopped() {
    for (fault, connections, kept) in [
        (Fault::Break(5_000_000), 1, 5_000_000),
        (Fault::Break(1_000_000), 3, 1_000_000),
        (Fault::NoRangesBreak(17_000_000), 1, 17_000_000),
    ] {
        let (world, bytes) = (World::new(), noise(5, LARGE));
        let (what, place) = (layer(&bytes), Place::one(&bytes));
        let put = || {
            let sink = world.sink(SinkOptions {
                connections,
                further_connections: connections,
                ..inspected()
            });
            let (what, place) = (what.clone(), place.clone());
            async move { sink.put(&what, place, Arc::new(Unwatched)).await }
        };
        place.set(fault);
        assert!(matches!(put().await, Err(ContentError::Place(_))));
        place.opened();
        place.set(Fault::None);
        put().await.unwrap();
        // Connections that were ended by another one's error may not have come far.
        let asked = place.asked();
        assert!(
            asked <= LARGE as u64 - kept,
            "{fault:?}: asked for {asked} bytes again"
        );
        let leftovers: Vec<_> = world.files().into_iter().filter(|p| !is_blob(p)).collect();
        assert!(leftovers.is_empty(), "{leftovers:?}");
    }
}

fn is_blob(path: &std::path::Path) -> bool {
    path.components().any(|part| part.as_os_str() == "blobs")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_ranges_skips_what_is_here() {
    let (world, bytes) = (World::new(), noise(6, LARGE));
    let (what, place) = (layer(&bytes), Place::one(&bytes));
    place.set(Fault::Break(3_000_000));
    world.put(&what, &place).await.unwrap_err();
    place.set(Fault::NoRanges);
    world.put(&what, &place).await.unwrap();
    assert_eq!(std::fs::read(world.blob_path(&what.digest)).unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_byte_is_never_stored() {
    let (world, bytes) = (World::new(), noise(7, 1_000_000));
    let (what, place) = (layer(&bytes), Place::one(&bytes));
    place.set(Fault::Flip(999_999));
    let error = world.put(&what, &place).await.unwrap_err();
    assert!(matches!(&error, ContentError::Mismatch { expected, .. } if *expected == what.digest));
    assert!(error.to_string().contains("the test's registry"), "{error}");
    assert_eq!(
        place.opened().len(),
        1,
        "nothing was reused, so nothing is fetched twice"
    );
    assert!(!world.sink(inspected()).contains(&what).await.unwrap());
    assert!(
        world
            .files()
            .iter()
            .all(|path| path.to_string_lossy().contains("lease-"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_an_earlier_attempt_are_not_trusted() {
    let (world, bytes) = (World::new(), noise(8, 4_000_000));
    let (what, place) = (layer(&bytes), Place::one(&bytes));
    place.set(Fault::Break(2_000_000));
    world.put(&what, &place).await.unwrap_err();
    // A power loss may leave zeros where the journal says that there are bytes.
    zero(&world, 1000);
    place.opened();
    place.set(Fault::None);
    world.put(&what, &place).await.unwrap();
    let opened = place.opened();
    let asked: u64 = opened
        .iter()
        .map(|(_, range)| range.end - range.start)
        .sum();
    // The part that was damaged, and what had not come.
    assert_eq!(opened[0].1.start, 0);
    assert!((2_000_001..2_400_000).contains(&asked), "{opened:?}");
    assert_eq!(std::fs::read(world.blob_path(&what.digest)).unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_damages_what_it_has_synced_costs_the_damaged_part() {
    for all in [false, true] {
        let (world, bytes) = (World::new(), noise(18, 4_000_000));
        let (what, place) = (layer(&bytes), Place::one(&bytes));
        place.set(Fault::Break(3_000_000));
        world.put(&what, &place).await.unwrap_err();
        // Opening an earlier attempt makes durable what it uses of it.
        place.set(Fault::Break(0));
        world.put(&what, &place).await.unwrap_err();
        zero(&world, 1_500_000);
        place.opened();
        // With nothing left to fetch, too.
        if all {
            place.set(Fault::Flip(3_500_000));
        } else {
            place.set(Fault::None);
        }
        let result = world.put(&what, &place).await;
        let opened = place.opened();
        let starts: Vec<u64> = opened.iter().map(|(_, range)| range.start).collect();
        if all {
            // The place sends a wrong byte: parts are compared, then all is fetched, then it is an error.
            assert!(
                matches!(result, Err(ContentError::Mismatch { .. })),
                "{starts:?}"
            );
            assert_eq!(
                starts.iter().filter(|start| **start == 0).count(),
                1,
                "{starts:?}"
            );
            continue;
        }
        result.unwrap();
        assert!(starts[0] >= 2_900_000, "{starts:?}");
        assert_eq!(opened.len(), 2, "{opened:?}");
        let again = opened[1].1.clone();
        assert!(
            again.contains(&1_500_000) && again.end - again.start < 400_000,
            "{opened:?}"
        );
        assert_eq!(std::fs::read(world.blob_path(&what.digest)).unwrap(), bytes);
    }
}

/// Zeros a block of a download, as a disk would that never wrote it.
fn zero(world: &World, at: u64) {
    let data = world
        .files()
        .into_iter()
        .find(|path| path.extension().is_some_and(|e| e == "data"));
    let file = std::fs::File::options()
        .write(true)
        .open(data.unwrap())
        .unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0; 4096], at).unwrap();
}

/// Lets time pass until the disk has so many bytes of a download, and all that its journal says; fails after ten
/// seconds of the machine's own clock.
async fn until_synced(disk: &Disk, download: &std::path::Path, bytes: usize) {
    let (data, journal) = (
        download.with_extension("data"),
        download.with_extension("journal"),
    );
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let written = std::fs::metadata(&journal).map_or(0, |about| about.len());
        let synced = disk.synced_len(&journal).unwrap_or(0) as u64;
        if disk.synced_len(&data) >= Some(bytes) && synced == written {
            return;
        }
        let shown = download.display();
        assert!(
            std::time::Instant::now() < deadline,
            "{shown} is not synced"
        );
        tokio::time::advance(std::time::Duration::from_millis(500)).await;
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_download_becomes_durable_while_it_goes_on() {
    let (world, bytes) = (World::new(), noise(19, 3_000_000));
    let (what, place) = (layer(&bytes), Place::one(&bytes));
    let disk = Disk::record(&world.root());
    place.set(Fault::Stall(1_900_000));
    let sink = world.sink(inspected());
    let put = sink.put(&what, place.clone(), Arc::new(Unwatched));
    let name = format!("sha256-{}", what.digest.hex());
    let download = world.root().join("ingest").join(name);
    let clock = async {
        place.stalled.notified().await;
        // The last bytes wait for others, but not long; then all is synced, beside the connection.
        until_synced(&disk, &download, 1_900_000).await;
    };
    tokio::select! {
        result = put => panic!("it cannot have ended: {result:?}"),
        () = clock => {}
    }
    let after = world.folder.path().join("after");
    disk.lose_power(&after);
    let store = crate::Store::open(&after).unwrap();
    let sink = store.sink(Arc::new(store.lease().unwrap()), inspected());
    place.opened();
    place.set(Fault::None);
    sink.put(&what, place.clone(), Arc::new(Unwatched))
        .await
        .unwrap();
    assert_eq!(place.asked(), 3_000_000 - 1_900_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_that_nothing_can_have_is_an_error_and_takes_no_disk() {
    for size in [1 << 40, 1 << 48, 1 << 53, 1 << 62] {
        let (world, bytes) = (World::new(), noise(20, 400));
        let what = Descriptor {
            size,
            ..layer(&bytes)
        };
        let place = Place::one(&bytes);
        place.set(Fault::NoRanges);
        let error = world.put(&what, &place).await.unwrap_err();
        assert!(matches!(error, ContentError::Size { .. }), "{error}");
        let left: Vec<_> = world
            .files()
            .into_iter()
            .filter(|path| std::fs::metadata(path).is_ok_and(|about| about.len() > 1000))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_length_is_an_error_at_once() {
    let (world, bytes) = (World::new(), noise(9, 300_000));
    let (what, place) = (layer(&bytes), Place::one(&bytes));
    for fault in [Fault::Short, Fault::Long] {
        place.set(fault);
        let error = world.put(&what, &place).await.unwrap_err();
        assert!(
            matches!(error, ContentError::Size { .. }),
            "{fault:?}: {error}"
        );
    }
    let longer = Descriptor {
        size: what.size + 1,
        ..what.clone()
    };
    place.set(Fault::NoRanges);
    let error = world.put(&longer, &place).await.unwrap_err();
    assert!(matches!(error, ContentError::Size { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_download_goes_on_later() {
    let (world, bytes) = (World::new(), noise(10, 3_000_000));
    let (what, place) = (layer(&bytes), Place::one(&bytes));
    place.set(Fault::Stall(2_000_000));
    let sink = world.sink(inspected());
    let put = sink.put(&what, place.clone(), Arc::new(Unwatched));
    tokio::select! {
        result = put => panic!("it cannot have ended: {result:?}"),
        () = place.stalled.notified() => {}
    }
    place.opened();
    place.set(Fault::None);
    // The lock comes free although nobody waits for the threads of the first attempt.
    world.put(&what, &place).await.unwrap();
    // Two batches for each connection may be lost.
    assert!(place.asked() <= 1_000_000 + 2 * 262_144 + 65_536);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_fetch_it_once() {
    let (world, bytes) = (World::new(), noise(11, 5_000_000));
    let (what, place) = (layer(&bytes), Place::one(&bytes));
    let other = crate::Store::open(&world.root()).unwrap();
    let second = other.sink(Arc::new(other.lease().unwrap()), inspected());
    let (a, b) = tokio::join!(
        world.put(&what, &place),
        second.put(&what, place.clone(), Arc::new(Unwatched)),
    );
    a.unwrap();
    b.unwrap();
    assert_eq!(place.asked(), what.size);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_a_layer_here_that_nobody_has_read() {
    let world = World::new();
    let image = Image::small(12);
    let place = Place::of(&image.blobs);
    let plain = world.sink(SinkOptions::default());
    let full = world.sink(inspected());
    for what in image.layers.iter().chain([&image.config, &image.manifest]) {
        plain
            .put(what, place.clone(), Arc::new(Unwatched))
            .await
            .unwrap();
    }
    let size = || {
        world
            .store
            .read(|rows| rows.image(image.id()))
            .unwrap()
            .unwrap()
            .size
    };
    assert_eq!(
        size(),
        1200,
        "the sum of the blobs, as long as nobody has read them"
    );
    assert!(!full.contains(&image.layers[0]).await.unwrap());
    place.opened();
    for layer in &image.layers {
        full.put(layer, place.clone(), Arc::new(Unwatched))
            .await
            .unwrap();
        assert!(full.contains(layer).await.unwrap());
    }
    assert!(
        place.opened().is_empty(),
        "the bytes are here, nobody is asked"
    );
    assert_eq!(size(), 2400, "the image's size follows");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_cannot_be_read_is_refused() {
    let (world, bytes) = (World::new(), bytes::Bytes::from_static(b"broken layer"));
    let place = Place::one(&bytes);
    let error = world.put(&layer(&bytes), &place).await.unwrap_err();
    assert!(matches!(error, ContentError::Layer { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_with_another_diff_id_is_refused() {
    let world = World::new();
    let image = Image::built(&[noise(1, 10), noise(2, 10)], "amd64", &|bytes| {
        if bytes[..] == noise(2, 10)[..] {
            wharf_core::Digest::of(b"x")
        } else {
            toy_diff_id(bytes)
        }
    });
    let place = Place::of(&image.blobs);
    for what in image.layers.iter().chain([&image.config]) {
        world.put(what, &place).await.unwrap();
    }
    let error = world.put(&image.manifest, &place).await.unwrap_err();
    let ContentError::DiffId { layer, actual, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(
        (layer, actual),
        (image.layers[1].digest.clone(), toy_diff_id(&noise(2, 10)))
    );
    assert_eq!(
        world
            .store
            .read(|rows| rows.manifest(&image.manifest.digest))
            .unwrap(),
        None
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_waits_for_all_that_it_needs() {
    let world = World::new();
    let image = Image::small(13);
    let place = Place::of(&image.blobs);
    world.put(&image.config, &place).await.unwrap();
    world.put(&image.layers[0], &place).await.unwrap();
    let error = world.put(&image.manifest, &place).await.unwrap_err();
    assert!(
        error.to_string().contains(image.layers[1].digest.as_str()),
        "{error}"
    );
    assert!(
        !world
            .sink(inspected())
            .contains(&image.manifest)
            .await
            .unwrap()
    );
    world.put(&image.layers[1], &place).await.unwrap();
    world.put(&image.manifest, &place).await.unwrap();
    assert!(
        world
            .sink(inspected())
            .contains(&image.manifest)
            .await
            .unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_that_fits_no_layers_is_an_artifact_to_a_registry_only() {
    let world = World::new();
    let layer = noise(14, 10);
    let config = bytes::Bytes::from_static(br#"{"rootfs":{"type":"layers","diff_ids":[]}}"#);
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": wharf_core::media_type::OCI_MANIFEST,
        "config": Descriptor::of(wharf_core::media_type::OCI_CONFIG, &config),
        "layers": [Descriptor::of(OCI_LAYER, &layer)],
    });
    let manifest = bytes::Bytes::from(manifest.to_string());
    let what = Descriptor::of(wharf_core::media_type::OCI_MANIFEST, &manifest);
    let place = Place::of(&[layer.clone(), config.clone(), manifest]);
    world.put(&self::layer(&layer), &place).await.unwrap();
    let config = Descriptor::of(wharf_core::media_type::OCI_CONFIG, &config);
    world.put(&config, &place).await.unwrap();
    let error = world.put(&what, &place).await.unwrap_err();
    assert!(matches!(error, ContentError::Document { .. }), "{error}");
    let registry = world.sink(SinkOptions {
        lenient: true,
        ..SinkOptions::default()
    });
    registry
        .put(&what, place, Arc::new(Unwatched))
        .await
        .unwrap();
    let row = world
        .store
        .read(|rows| rows.manifest(&what.digest))
        .unwrap()
        .unwrap();
    assert_eq!((row.kind, row.image), (crate::ManifestKind::Artifact, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_how_far_it_is() {
    let (world, bytes) = (World::new(), noise(15, 2_000_000));
    let (what, place) = (layer(&bytes), Place::one(&bytes));
    let seen: Arc<Mutex<Vec<LayerStatus>>> = Arc::default();
    let watch = Arc::clone(&seen);
    let watch = move |event: Event| {
        if let Event::Layer { status, .. } = event {
            watch.lock().unwrap().push(status);
        }
    };
    world
        .sink(inspected())
        .put(&what, place, Arc::new(watch))
        .await
        .unwrap();
    let seen = seen.lock().unwrap();
    let total = what.size;
    assert_eq!(
        seen.first(),
        Some(&LayerStatus::Downloading { done: 0, total })
    );
    let end = [
        LayerStatus::Downloading { done: total, total },
        LayerStatus::Verifying,
        LayerStatus::Downloaded,
    ];
    assert_eq!(seen[seen.len() - 3..], end);
}

#[test]
fn a_full_disk_says_how_much_is_needed() {
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    let error = StoreError::io("write", std::path::Path::new("x"), full);
    assert!(matches!(error, StoreError::NoSpace { .. }));
    assert!(
        error
            .to_string()
            .starts_with("no space left on the disk that holds x"),
        "{error}"
    );
}
