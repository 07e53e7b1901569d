//! Pulling, from a registry that behaves and from one that doesn't.

use crate::bench::{Bench, open};
use wharf_core::{Event, LayerStatus};
use wharf_engine::{Engine as _, ErrorKind, Verify};
use wharf_testkit::images::samples;
use wharf_testkit::{Fault, Image, On, TestRegistry, When};

#[tokio::test]
async fn pulls_an_image_and_names_it() {
    let registry = TestRegistry::start();
    let image = samples::small();
    registry.push("team/app:1", &image);
    let bench = Bench::new();
    let name = registry.reference("team/app:1");

    let pulled = bench.pull(&name).await.unwrap();

    assert!(pulled.newer);
    assert_eq!(pulled.digest, image.manifest.digest);
    assert_eq!(pulled.image, image.config.digest);
    let detail = bench.engine.inspect(&name.to_string(), None).await.unwrap();
    assert_eq!(detail.summary.size, image.size);
    let with_digest = name.with_digest(image.manifest.digest.clone()).familiar();
    assert_eq!(detail.summary.repo_digests, [with_digest]);
}

#[tokio::test]
async fn says_what_happens_to_each_layer() {
    let registry = TestRegistry::start();
    let image = samples::small();
    registry.push("team/app:1", &image);
    let bench = Bench::new();
    let name = registry.reference("team/app:1");

    let events = bench.heard(&name).await;

    assert!(matches!(events.first(), Some(Event::Pulling { .. })));
    for layer in &image.layers {
        let said = |status: &LayerStatus| {
            let this = Event::Layer {
                digest: layer.digest.clone(),
                status: status.clone(),
            };
            events.iter().position(|event| *event == this)
        };
        assert!(said(&LayerStatus::Waiting { total: layer.size }).is_some());
        assert!(said(&LayerStatus::Downloaded) < said(&LayerStatus::Complete));
        assert!(said(&LayerStatus::Downloaded).is_some());
    }
    assert!(matches!(
        events.last(),
        Some(Event::Pulled { newer: true, .. })
    ));
}

#[tokio::test]
async fn fetches_nothing_that_is_here() {
    let registry = TestRegistry::start();
    let image = samples::every_compression();
    registry.push("team/app:1", &image);
    registry.push("team/other:2", &image);
    let bench = Bench::new();
    bench.pull(&registry.reference("team/app:1")).await.unwrap();

    let again = bench.pull(&registry.reference("team/app:1")).await.unwrap();
    let other = bench
        .pull(&registry.reference("team/other:2"))
        .await
        .unwrap();

    assert!(!again.newer && other.newer);
    for (blob, _) in &image.blobs {
        assert_eq!(registry.blob_gets(&blob.digest), 1, "{}", registry.story());
    }
}

#[tokio::test]
async fn a_tag_that_moved_leaves_the_old_image_without_a_name() {
    let registry = TestRegistry::start();
    let (old, new) = (
        Image::random(1, 2, 500).build(),
        Image::random(2, 2, 500).build(),
    );
    registry.push("team/app:1", &old);
    let bench = Bench::new();
    let name = registry.reference("team/app:1");
    bench.pull(&name).await.unwrap();
    registry.push("team/app:1", &new);

    let pulled = bench.pull(&name).await.unwrap();

    assert!(pulled.newer);
    let mut expected = vec![
        format!("{} {}", name.familiar(), new.config.digest.short()),
        format!(" {}", old.config.digest.short()),
    ];
    let mut listing = bench.listing().await;
    expected.sort();
    listing.sort();
    assert_eq!(listing, expected);
}

#[tokio::test]
async fn another_platform_joins_and_replaces_nothing() {
    let registry = TestRegistry::start();
    let index = samples::platforms(&["linux/amd64", "linux/arm64", "linux/s390x"]);
    registry.push("team/multi:1", &index);
    let bench = Bench::new();
    let name = registry.reference("team/multi:1");

    let arm = bench.pull_for(&name, Some("linux/arm64")).await.unwrap();
    let s390x = bench.pull_for(&name, Some("linux/s390x")).await.unwrap();

    assert_eq!(arm.digest, index.index.digest);
    assert_eq!(s390x.digest, index.index.digest);
    let shown = bench.engine.inspect(&name.to_string(), None).await.unwrap();
    assert_eq!(shown.summary.id, s390x.image);
    let with_digest = name.with_digest(index.index.digest.clone()).familiar();
    for image in [&arm.image, &s390x.image] {
        let detail = bench.engine.inspect(image.as_str(), None).await.unwrap();
        assert_eq!(
            detail.summary.repo_digests,
            std::slice::from_ref(&with_digest)
        );
    }
    assert_eq!(registry.blob_gets(&index.images[0].config.digest), 0);
}

#[tokio::test]
async fn a_platform_that_is_not_there_is_refused_before_anything_is_fetched() {
    let registry = TestRegistry::start();
    registry.push(
        "team/multi:1",
        &samples::platforms(&["linux/amd64", "linux/arm64"]),
    );
    let bench = Bench::new();

    let error = bench
        .pull_for(&registry.reference("team/multi:1"), Some("linux/riscv64"))
        .await
        .unwrap_err();

    assert_eq!(error.kind, ErrorKind::NotFound);
    assert_eq!(
        error.message,
        "no matching manifest for linux/riscv64 in the manifest list entries"
    );
    assert_eq!(
        error.hint.unwrap(),
        "there are linux/amd64, linux/arm64: see --platform"
    );
    assert!(bench.listing().await.is_empty());
}

#[tokio::test]
async fn goes_on_from_what_an_earlier_pull_has_left() {
    let registry = TestRegistry::start();
    let image = Image::random(3, 1, 3_000_000).build();
    registry.push("team/app:1", &image);
    let layer = &image.layers[0];
    let folder = tempfile::tempdir().unwrap();
    let name = registry.reference("team/app:1");
    registry.fault(
        On::digest(&layer.digest),
        When::Times(1),
        Fault::Cut(700_000),
    );
    registry.fault(On::digest(&layer.digest), When::Always, Fault::Status(503));
    {
        let bench = Bench {
            engine: open(&folder, Verify::Full),
            folder: tempfile::tempdir().unwrap(),
        };
        let error = bench.pull(&name).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{}", error.chain());
    }
    registry.behave();

    let bench = Bench {
        engine: open(&folder, Verify::Full),
        folder: tempfile::tempdir().unwrap(),
    };
    bench.pull(&name).await.unwrap();

    let again = registry.bytes_served(&layer.digest) - layer.size;
    // What was on its way into the file when the connection broke may come twice.
    assert!(
        again < 300_000,
        "{again} bytes came twice\n{}",
        registry.story()
    );
}

#[tokio::test]
async fn wrong_bytes_are_refused_and_nothing_is_named() {
    for verify in [Verify::Full, Verify::Digest] {
        let registry = TestRegistry::start();
        let image = Image::random(4, 2, 5000).build();
        registry.push("team/app:1", &image);
        let bench = Bench::verifying(verify);
        let name = registry.reference("team/app:1");
        registry.fault(
            On::digest(&image.layers[1].digest),
            When::Always,
            Fault::Flip(2000),
        );

        let error = bench.pull(&name).await.unwrap_err();

        assert_eq!(error.kind, ErrorKind::Corrupt, "{}", error.chain());
        assert!(bench.listing().await.is_empty());
        registry.behave();
        bench.pull(&name).await.unwrap();
    }
}

#[tokio::test]
async fn a_layer_with_a_wrong_diff_id_is_refused_by_full_verification() {
    let registry = TestRegistry::start();
    registry.push("team/app:1", &samples::wrong_diff_id());
    let name = registry.reference("team/app:1");
    let bench = Bench::new();

    let error = bench.pull(&name).await.unwrap_err();

    assert_eq!(error.kind, ErrorKind::Corrupt);
    assert!(error.chain().contains("diff ID"), "{}", error.chain());
    assert!(bench.listing().await.is_empty());
}

#[tokio::test]
async fn what_is_no_image_is_refused_and_says_what_it_is() {
    let registry = TestRegistry::start();
    let image = samples::small();
    registry.push("team/app:1", &image);
    registry.push(
        "team/app:sig",
        &samples::artifact("application/x-signature", &image.manifest),
    );
    let bench = Bench::new();

    let error = bench
        .pull(&registry.reference("team/app:sig"))
        .await
        .unwrap_err();

    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(
        error.message.starts_with("unsupported media type"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn bad_manifests_are_refused() {
    let registry = TestRegistry::start();
    let (huge, raw) = samples::huge_manifest();
    registry.lie("team/bad", "huge", &huge.media_type, raw);
    let (entry, index, raw) = samples::index_of_itself();
    registry.lie("team/bad", "loop", &index.media_type, raw.clone());
    registry.lie("team/bad", entry.as_str(), &index.media_type, raw);
    registry.push("team/bad:deep", &samples::nested(8));
    let bench = Bench::new();

    for tag in ["huge", "loop", "deep"] {
        let name = registry.reference(&format!("team/bad:{tag}"));
        let error = bench.pull(&name).await.unwrap_err();
        let expected = [ErrorKind::Corrupt, ErrorKind::NotFound];
        assert!(expected.contains(&error.kind), "{tag}: {}", error.chain());
    }
    assert!(bench.listing().await.is_empty());
}

#[tokio::test]
async fn a_pull_by_digest_sets_no_tag() {
    let registry = TestRegistry::start();
    let image = samples::small();
    registry.push("team/app:1", &image);
    let bench = Bench::new();
    let by_digest = registry
        .reference("team/app")
        .with_digest(image.manifest.digest.clone());

    let first = bench.pull(&by_digest).await.unwrap();
    let both = format!("{}:1@{}", by_digest.repository(), image.manifest.digest);
    let second = bench.pull(&both.parse().unwrap()).await.unwrap();

    assert!(first.newer && !second.newer);
    assert_eq!(
        bench.listing().await,
        [format!(" {}", image.config.digest.short())]
    );
    // Docker 28.5, 03_pull_by_digest: the tag is news, although nothing is fetched.
    assert!(
        bench
            .pull(&registry.reference("team/app:1"))
            .await
            .unwrap()
            .newer
    );
}

#[tokio::test]
async fn sizes_are_the_blobs_until_somebody_reads_the_layers() {
    let registry = TestRegistry::start();
    let image = samples::every_compression();
    registry.push("team/app:1", &image);
    let folder = tempfile::tempdir().unwrap();
    let name = registry.reference("team/app:1");
    let size = async |verify| {
        let engine = open(&folder, verify);
        let bench = Bench {
            engine,
            folder: tempfile::tempdir().unwrap(),
        };
        bench.pull(&name).await.unwrap();
        bench
            .engine
            .inspect(&name.to_string(), None)
            .await
            .unwrap()
            .summary
            .size
    };

    let blobs: u64 = image.layers.iter().map(|layer| layer.size).sum();
    assert_eq!(size(Verify::Digest).await, blobs);
    assert_eq!(size(Verify::Full).await, image.size);
    for layer in &image.layers {
        assert_eq!(registry.blob_gets(&layer.digest), 1, "it was here already");
    }
}
