//! Several processes on one store at once: this program, run again as a child with a role.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use super::place::Place;
use super::{Image, World, noise, pull, reference};
use crate::{CollectOptions, Store, Writing, check};

/// What a child does, and where.
const ROLE: &str = "WHARF_TEST_ROLE";
const ROOT: &str = "WHARF_TEST_ROOT";

/// Starts a child that runs the test `name`, which is ignored unless it's asked for.
pub(super) fn start(name: &str, root: &Path, role: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            name,
            "--exact",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(ROLE, role)
        .env(ROOT, root)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// In a child: its root and its role. `None` if somebody runs all ignored tests.
#[expect(
    clippy::disallowed_methods,
    reason = "how a child learns what it's for"
)]
pub(super) fn role() -> Option<(PathBuf, String)> {
    Some((std::env::var_os(ROOT)?.into(), std::env::var(ROLE).ok()?))
}

fn images() -> Vec<Image> {
    (0..3)
        .map(|n| Image::new(&[noise(90, 400_000), noise(91 + n, 300_000)]))
        .collect()
}

#[test]
#[ignore = "started by the tests below"]
fn child() {
    let Some((root, role)) = role() else { return };
    let store = Store::open(&root).unwrap();
    let (what, number) = role.split_once(' ').unwrap();
    let number: usize = number.parse().unwrap();
    match what {
        "pull" => pull_all(&store, &root, number),
        "tag" => tag(&store, number),
        "churn" => churn(&store, number),
        "list" => (0..200).for_each(|_| {
            let listed = store.read(|rows| rows.images()).unwrap();
            assert!(listed.iter().all(|listed| listed.image.size > 0));
        }),
        other => panic!("{other} is no role"),
    }
}

fn pull_all(store: &Store, root: &Path, number: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let images = images();
    let blobs: Vec<_> = images
        .iter()
        .flat_map(|image| image.blobs.clone())
        .collect();
    let place = Arc::new(Place::with_log(&blobs, Some(root.with_extension("log"))));
    for n in 0..images.len() {
        let image = &images[(n + number) % images.len()];
        let name = format!("image{}:latest", (n + number) % images.len());
        runtime.block_on(pull(store, &place, &image.manifest, image.id(), &name));
    }
}

/// Pulls and removes the same images as others do, in another order.
fn churn(store: &Store, number: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let images: Vec<_> = (0..3)
        .map(|n| Image::new(&[noise(90, 4000), noise(91 + n, 3000)]))
        .collect();
    for n in 0..30 {
        let image = &images[(n * 7 + number * 5 + n / 4) % images.len()];
        if (n + number).is_multiple_of(3) {
            store.write(|rows| rows.remove_image(image.id())).unwrap();
        } else if (n + number) % 11 == 1 {
            store.collect(CollectOptions::EVERYTHING).unwrap();
        } else {
            let place = Place::of(&image.blobs);
            let name = format!("churn:{number}");
            runtime.block_on(pull(store, &place, &image.manifest, image.id(), &name));
        }
    }
}

#[tokio::test]
async fn what_some_remove_while_others_pull_it_is_whole_or_gone() {
    let world = World::new();
    let children: Vec<_> = (0..4)
        .map(|n| {
            start(
                "tests::processes::child",
                &world.root(),
                &format!("churn {n}"),
            )
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let report = check(&world.root(), false, &|_| {}).unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
    let sink = world.sink(super::inspected());
    let listed = world.store.read(|rows| rows.images()).unwrap();
    for image in &listed {
        use wharf_core::Sink as _;
        assert!(
            sink.contains(&image.image.manifest).await.unwrap(),
            "{image:?}"
        );
    }
    drop(sink);
    for image in &listed {
        world
            .store
            .write(|rows| rows.remove_image(&image.image.id))
            .unwrap();
    }
    world.store.collect(CollectOptions::EVERYTHING).unwrap();
    assert!(world.files().is_empty(), "{:?}", world.files());
}

fn tag(store: &Store, number: usize) {
    let base = Image::small(2);
    for n in 0..50 {
        let name = reference(&format!("process{number}:{}", n % 5));
        let set =
            |rows: &mut Writing<'_>| rows.set_name(&name, &base.manifest.digest, Some(base.id()));
        store.write(set).unwrap();
        store.write(|rows| rows.remove_name(&name)).unwrap();
    }
}

#[tokio::test]
async fn many_processes_share_a_store() {
    let world = World::new();
    world.pull(&Image::small(2), "base:1").await;
    let roles = (0..8).map(|n| format!("pull {n}"));
    let roles = roles
        .chain((0..4).map(|n| format!("tag {n}")))
        .chain(["list 0".to_owned()]);
    let children: Vec<_> = roles
        .map(|role| start("tests::processes::child", &world.root(), &role))
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let log = std::fs::read_to_string(world.root().with_extension("log")).unwrap();
    let mut fetched: Vec<_> = log.lines().collect();
    let (manifests, images) = (3, images());
    let is_manifest = |line: &&str| {
        images
            .iter()
            .any(|image| image.manifest.digest.as_str() == *line)
    };
    fetched.retain(|line| !is_manifest(line));
    fetched.sort_unstable();
    let all = fetched.len();
    fetched.dedup();
    assert_eq!(
        (all, fetched.len()),
        (1 + 2 * manifests, 7),
        "each blob is fetched once"
    );
    let report = check(&world.root(), false, &|_| {}).unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
    let listed = world.store.read(|rows| rows.images()).unwrap();
    assert_eq!(listed.len(), 4);
    assert!(
        listed.iter().all(|listed| listed.names.len() == 1),
        "{listed:?}"
    );
    assert_eq!(
        world
            .store
            .collect(CollectOptions::EVERYTHING)
            .unwrap()
            .freed
            .blobs,
        0
    );
}
