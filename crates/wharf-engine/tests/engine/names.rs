//! Naming, finding, listing and removing images.

use std::sync::Arc;

use crate::bench::{Bench, words};
use wharf_core::Reference;
use wharf_core::event::Unwatched;
use wharf_engine::{
    Engine as _, ErrorKind, Filters, ImportInput, ImportOptions, ListQuery, PruneOptions,
    RemoveOptions, Removed,
};
use wharf_testkit::images::samples;
use wharf_testkit::{Image, Layer, TestRegistry};

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

async fn bench_with(names: &[(&str, &wharf_testkit::BuiltImage)]) -> (Bench, TestRegistry) {
    let registry = TestRegistry::start();
    let bench = Bench::new();
    for (name, image) in names {
        registry.push(name, *image);
        bench.pull(&registry.reference(name)).await.unwrap();
    }
    (bench, registry)
}

async fn find(bench: &Bench, filters: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let mut query = ListQuery::default();
    for (name, value) in filters {
        query.filters.add(name, value);
    }
    let found = bench
        .engine
        .images(&query)
        .await
        .map_err(|error| error.message)?;
    Ok(found
        .into_iter()
        .flat_map(|image| image.repo_tags)
        .collect())
}

#[tokio::test]
async fn finds_an_image_by_everything_that_names_it() {
    let image = samples::small();
    let (bench, registry) = bench_with(&[("app:1", &image)]).await;
    let id = &image.config.digest;
    let name = registry.name("app:1");
    let with_digest = format!("{}@{}", registry.name("app"), image.manifest.digest);
    let short_manifest = &image.manifest.digest.hex()[..10];

    for text in [
        name.as_str(),
        &with_digest,
        id.as_str(),
        id.hex(),
        id.short(),
        &id.as_str()[..12],
        image.manifest.digest.as_str(),
        short_manifest,
    ] {
        assert_eq!(
            bench.engine.inspect(text, None).await.unwrap().summary.id,
            *id,
            "{text}"
        );
    }
    for (text, message) in [
        ("nosuch", "No such image: nosuch:latest"),
        ("nosuch:1", "No such image: nosuch:1"),
        (
            "Bad",
            "invalid reference format: repository name (library/Bad) must be lowercase",
        ),
    ] {
        assert_eq!(
            bench.engine.inspect(text, None).await.unwrap_err().message,
            message
        );
    }
}

#[tokio::test]
async fn a_name_is_moved_by_tagging_again() {
    let (one, two) = (
        Image::random(1, 1, 100).build(),
        Image::random(2, 1, 100).build(),
    );
    let (bench, registry) = bench_with(&[("one:1", &one), ("two:1", &two)]).await;
    let target = reference("app");

    bench
        .engine
        .tag(&registry.name("one:1"), &target)
        .await
        .unwrap();
    let tagged = bench
        .engine
        .tag(two.config.digest.short(), &target)
        .await
        .unwrap();
    assert_eq!(tagged.id, two.config.digest);
    assert_eq!(bench.engine.identify("app").await.unwrap(), tagged);

    let id = bench
        .engine
        .inspect("app:latest", None)
        .await
        .unwrap()
        .summary
        .id;
    assert_eq!(id, two.config.digest);
    assert_eq!(bench.listing().await.len(), 2);
}

#[tokio::test]
async fn refuses_the_targets_that_docker_refuses() {
    let (bench, registry) = bench_with(&[("app:1", &samples::small())]).await;
    let source = registry.name("app:1");
    let digest = format!("x@sha256:{}", "0".repeat(64));
    for (target, message) in [
        (
            "sha256:x",
            "refusing to create an ambiguous tag using digest algorithm as name",
        ),
        (
            digest.as_str(),
            "refusing to create a tag with a digest reference",
        ),
    ] {
        let error = bench
            .engine
            .tag(&source, &reference(target))
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind, error.message.as_str()),
            (ErrorKind::Invalid, message)
        );
    }
    let error = bench
        .engine
        .tag("nosuch", &reference("x:1"))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn an_import_that_cannot_be_named_leaves_nothing() {
    let bench = Bench::new();
    let options = ImportOptions {
        reference: Some(reference("sha256:x")),
        ..ImportOptions::default()
    };
    let input = ImportInput::Stream(Box::new(std::io::empty()));
    let imported = bench.engine.import(input, &options, Arc::new(Unwatched));
    assert_eq!(
        imported.await.unwrap_err().message,
        "refusing to create an ambiguous tag using digest algorithm as name"
    );
    assert!(bench.listing().await.is_empty());
}

#[tokio::test]
async fn tells_a_digest_that_goes_along_with_the_last_tag() {
    let image = samples::small();
    for (by_id, expected) in [(false, true), (true, false)] {
        let (bench, registry) = bench_with(&[("app:1", &image)]).await;
        let text = if by_id {
            image.config.digest.to_string()
        } else {
            registry.name("app:1")
        };
        let removed = bench.engine.remove(&text, &RemoveOptions::default()).await;
        let along: Vec<bool> = removed
            .unwrap()
            .iter()
            .filter_map(|one| match one {
                Removed::Untagged { along, .. } => Some(*along),
                _ => None,
            })
            .collect();
        assert_eq!(along, [false, expected]);
    }
}

#[tokio::test]
async fn a_further_name_keeps_every_platform() {
    let registry = TestRegistry::start();
    registry.push(
        "multi:1",
        &samples::platforms(&["linux/amd64", "linux/arm64"]),
    );
    let bench = Bench::new();
    let name = registry.reference("multi:1");
    bench.pull_for(&name, Some("linux/arm64")).await.unwrap();
    let amd = bench.pull_for(&name, Some("linux/amd64")).await.unwrap();
    bench
        .engine
        .tag(&name.to_string(), &reference("copy:1"))
        .await
        .unwrap();

    let removed = bench
        .engine
        .remove(&name.to_string(), &RemoveOptions::default())
        .await
        .unwrap();

    assert!(
        removed
            .iter()
            .all(|one| matches!(one, Removed::Untagged { .. })),
        "{removed:?}"
    );
    let id = bench
        .engine
        .inspect("copy:1", None)
        .await
        .unwrap()
        .summary
        .id;
    assert_eq!(id, amd.image);
    bench
        .engine
        .remove("copy:1", &RemoveOptions::default())
        .await
        .unwrap();
    assert!(
        bench.listing().await.is_empty(),
        "{:?}",
        bench.listing().await
    );
}

#[tokio::test]
async fn lists_the_newest_first_and_filters() {
    let build = |seed, created: &str, version: &str| {
        Image::random(seed, 1, 100)
            .created(created)
            .label("version", version)
            .build()
    };
    let old = build(1, "2024-01-01T00:00:00Z", "1");
    let new = build(2, "2024-06-01T00:00:00Z", "2");
    let (bench, registry) = bench_with(&[("team/app:1", &old), ("team/app:2", &new)]).await;
    let (one, two) = (registry.name("team/app:1"), registry.name("team/app:2"));
    let both = vec![two.clone(), one.clone()];

    let all = [
        (vec![], both.clone()),
        (vec![("label", "version")], both.clone()),
        (vec![("label", "version=1")], vec![one.clone()]),
        (
            vec![("label", "version"), ("label", "version=2")],
            vec![two.clone()],
        ),
        (vec![("before", two.as_str())], vec![one.clone()]),
        (vec![("since", one.as_str())], vec![two.clone()]),
        (vec![("until", "2024-03-01")], vec![one.clone()]),
        (vec![("reference", "*/team/*:2")], vec![two.clone()]),
        (vec![("reference", "*/team/app")], both.clone()),
        (vec![("dangling", "true")], vec![]),
        (vec![("dangling", "0")], both),
    ];
    for (filters, expected) in all {
        assert_eq!(
            find(&bench, &filters).await.unwrap(),
            expected,
            "{filters:?}"
        );
    }
    for (filter, message) in [
        (("nosuch", "1"), "invalid filter 'nosuch'"),
        (("dangling", "maybe"), "invalid filter 'dangling=[maybe]'"),
        (("since", "nosuch"), "No such image: nosuch:latest"),
        (("reference", "["), "syntax error in pattern"),
        (
            ("until", "whenever"),
            "failed to parse value as time or duration: \"whenever\"",
        ),
    ] {
        assert_eq!(find(&bench, &[filter]).await.unwrap_err(), message);
    }
}

#[tokio::test]
async fn the_last_name_takes_the_image_and_its_own_layers_with_it() {
    let base = Layer::new().file("base", b"base");
    let app = |text: &str| {
        let top = Layer::new().file("app", text.as_bytes());
        Image::builder().layer(base.clone()).layer(top).build()
    };
    let (one, two) = (app("one"), app("two"));
    let (bench, registry) = bench_with(&[("app:1", &one), ("app:2", &two)]).await;
    let remove = async |name: &str| {
        let removed = bench.engine.remove(name, &RemoveOptions::default()).await;
        words(&removed.unwrap())
    };
    let chain = wharf_core::config::chain_ids(&one.diff_ids);
    let other = wharf_core::config::chain_ids(&two.diff_ids);
    let at = |digest: &wharf_core::Digest| format!("{}@{digest}", registry.name("app"));

    assert_eq!(
        remove(&registry.name("app:1")).await,
        [
            format!("Untagged: {}", registry.name("app:1")),
            format!("Untagged: {}", at(&one.manifest.digest)),
            format!("Deleted: {}", one.config.digest.short()),
            format!("Deleted: {}", chain[1].short()),
        ]
    );
    assert_eq!(
        remove(two.config.digest.short()).await[2..],
        [
            format!("Deleted: {}", two.config.digest.short()),
            format!("Deleted: {}", other[1].short()),
            format!("Deleted: {}", other[0].short()),
        ]
    );
    assert!(bench.listing().await.is_empty());
    let blobs = bench.folder.path().join("store/blobs");
    assert_eq!(files_in(&blobs), 0, "everything is gone from the disk");
}

#[tokio::test]
async fn an_id_with_names_in_two_repositories_needs_force() {
    let image = samples::small();
    let (bench, registry) = bench_with(&[("app:1", &image)]).await;
    bench
        .engine
        .tag(&registry.name("app:1"), &reference("other:1"))
        .await
        .unwrap();
    let id = image.config.digest.short();

    let error = bench
        .engine
        .remove(id, &RemoveOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert_eq!(bench.listing().await.len(), 1);

    let force = RemoveOptions {
        force: true,
        platforms: Vec::new(),
    };
    bench.engine.remove(id, &force).await.unwrap();
    assert!(bench.listing().await.is_empty());
}

#[tokio::test]
async fn prunes_what_has_no_name_and_says_what_came_free() {
    let (old, new) = (
        Image::random(1, 2, 500).build(),
        Image::random(2, 1, 500).build(),
    );
    let (bench, registry) = bench_with(&[("app:1", &old)]).await;
    registry.push("app:1", &new);
    bench.pull(&registry.reference("app:1")).await.unwrap();
    let prune = async |all| {
        let options = PruneOptions {
            all,
            filters: Filters::default(),
            ..PruneOptions::default()
        };
        bench.engine.prune(&options).await.unwrap()
    };

    let pruned = prune(false).await;
    assert_eq!(pruned.reclaimed, old.size);
    let layers: u64 = old.layers.iter().map(|layer| layer.size).sum();
    assert!(pruned.freed > layers, "manifest and config too");
    assert_eq!(prune(false).await.removed, []);
    assert_eq!(prune(true).await.reclaimed, new.size);
    assert!(bench.listing().await.is_empty());
}

#[tokio::test]
async fn says_how_an_image_was_built() {
    let image = samples::small();
    let (bench, registry) = bench_with(&[("app:1", &image)]).await;
    let history = bench
        .engine
        .history(&registry.name("app:1"), None)
        .await
        .unwrap();
    let size: u64 = history.iter().map(|step| step.size).sum();
    assert_eq!(size, image.size);
    assert_eq!(history[0].id.as_ref(), Some(&image.config.digest));
    assert!(history[1..].iter().all(|step| step.id.is_none()));
}

fn files_in(folder: &std::path::Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        count += if path.is_dir() { files_in(&path) } else { 1 };
    }
    count
}
