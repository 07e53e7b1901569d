//! What a prune costs, and what it leaves alone that others change meanwhile.

use std::sync::Arc;

use wharf_core::Sink as _;
use wharf_core::content::Document;
use wharf_core::event::Unwatched;
use wharf_store::{SinkOptions, Work};
use wharf_testkit::{BuiltImage, Image};

use super::*;
use crate::Removed;

/// By how much work may grow when the store is twice as large: twice, and something for trees that are deeper.
const TWICE: f64 = 2.3;

struct Bench {
    _folder: tempfile::TempDir,
    store: Store,
    work: Work,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, work) = Store::open_counted(&folder.path().join("store")).unwrap();
        Self {
            _folder: folder,
            store,
            work,
        }
    }

    /// Puts an image here, with these names.
    async fn put(&self, image: &BuiltImage, names: &[&str]) {
        let lease = Arc::new(self.store.lease().unwrap());
        let sink = self.store.sink(lease, SinkOptions::default());
        let manifest = [(image.manifest.clone(), image.raw.clone())];
        for (what, bytes) in image.blobs.iter().chain(&manifest) {
            let source = Arc::new(Document {
                bytes: bytes.clone(),
                place: "a test".into(),
            });
            sink.put(what, source, Arc::new(Unwatched)).await.unwrap();
        }
        self.store
            .write(|rows| {
                rows.keep_image(&image.config.digest)?;
                for name in names {
                    set(rows, name, image)?;
                }
                Ok::<_, EngineError>(())
            })
            .unwrap();
    }

    fn tag(&self, name: &str, image: &BuiltImage) {
        self.store.write(|rows| set(rows, name, image)).unwrap();
    }

    fn plan(&self, options: &PruneOptions) -> Plan {
        let (now, zone) = (Timestamp::now(), TimeZone::UTC);
        let rules = |rows: &Reading<'_>| Rules::new(rows, options, now, &zone);
        self.store
            .read(|rows| Plan::new(rows, rules(rows)?))
            .unwrap()
    }

    fn prune(&self, options: &PruneOptions) -> Pruned {
        prune(&self.store, options, &TimeZone::UTC).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let images = self.store.read(|rows| rows.images()).unwrap();
        let names = images.iter().flat_map(|image| &image.names);
        let mut names: Vec<_> = names.map(Reference::familiar).collect();
        names.sort();
        names
    }
}

fn set(rows: &mut Writing<'_>, name: &str, image: &BuiltImage) -> Result<()> {
    let name: Reference = name.parse().unwrap();
    rows.set_name(&name, &image.manifest.digest, Some(&image.config.digest))?;
    Ok(())
}

fn image(seed: u64) -> BuiltImage {
    Image::random(seed, 1, 100).build()
}

/// What the layers take that were not inspected.
fn packed(image: &BuiltImage) -> u64 {
    image.layers.iter().map(|layer| layer.size).sum()
}

fn all() -> PruneOptions {
    PruneOptions {
        all: true,
        ..PruneOptions::default()
    }
}

/// Gives an image so many names, as `name` says.
async fn named(number: usize, name: &dyn Fn(usize) -> String, digests: bool) -> Bench {
    let bench = Bench::new();
    let image = image(1);
    bench.put(&image, &[]).await;
    bench
        .store
        .write(|rows| {
            for n in 0..number {
                set(rows, &name(n), &image)?;
                if digests {
                    let reference: Reference = name(n).parse().unwrap();
                    let digest = reference.with_digest(image.manifest.digest.clone());
                    rows.set_repo_digest(&digest, &image.config.digest)?;
                }
            }
            Ok::<_, EngineError>(())
        })
        .unwrap();
    bench
}

#[tokio::test]
async fn twice_the_names_take_twice_the_work() {
    let keep = PruneOptions {
        keep: Some(1),
        ..PruneOptions::default()
    };
    let one_repository = |n| format!("app:{n}");
    let many_repositories = |n| format!("team/app{n}:1");
    type Name<'a> = &'a dyn Fn(usize) -> String;
    for (options, name, digests) in [
        (all(), &one_repository as Name<'_>, false),
        (all(), &one_repository, true),
        (all(), &many_repositories, false),
        (all(), &many_repositories, true),
        (keep, &one_repository, true),
        (
            PruneOptions {
                dry_run: true,
                ..all()
            },
            &one_repository,
            false,
        ),
    ] {
        let mut costs = Vec::new();
        for number in [500, 1000] {
            let bench = named(number, name, digests).await;
            bench.work.take_longest();
            let before = (bench.work.steps(), bench.work.transactions());
            let pruned = bench.prune(&options);
            assert!(pruned.removed.len() >= number - 1);
            costs.push((
                (bench.work.steps() - before.0) as f64,
                bench.work.transactions() - before.1,
                bench.work.take_longest() as f64,
            ));
        }
        let (once, twice) = (costs[0], costs[1]);
        assert!(twice.0 <= TWICE * once.0, "{once:?} {twice:?}");
        if !options.dry_run {
            // Others who write wait for the longest one.
            assert!(twice.2 <= 1.3 * once.2, "{once:?} {twice:?}");
            assert!(twice.1 >= once.1 + 2, "{once:?} {twice:?}");
        }
    }
}

#[tokio::test]
async fn a_dry_run_does_not_write() {
    let bench = named(300, &|n| format!("app:{n}"), true).await;
    let before = (bench.work.transactions(), bench.store.version().unwrap());
    let expected = bench.prune(&PruneOptions {
        dry_run: true,
        ..all()
    });
    assert_eq!(
        (bench.work.transactions(), bench.store.version().unwrap()),
        before
    );
    assert_eq!(bench.names().len(), 300);
    assert_eq!(bench.prune(&all()), expected);
}

#[tokio::test]
async fn names_that_others_set_meanwhile_stay() {
    let bench = Bench::new();
    let (a, b, c, d) = (image(1), image(2), image(3), image(4));
    bench.put(&a, &["a:1", "a:2"]).await;
    bench.put(&b, &["b:1"]).await;
    bench.put(&c, &["c:1"]).await;
    bench.put(&d, &[]).await;
    let plan = bench.plan(&all());
    // A new name, one that is set again, one that moves, and the first one of an image without names.
    bench.tag("a:3", &a);
    bench.tag("b:1", &b);
    bench.tag("c:1", &a);
    bench.tag("d:1", &d);
    let (removal, _) = plan.run(&mut Ground::Store(&bench.store)).unwrap();
    assert_eq!(bench.names(), ["a:3", "b:1", "c:1", "d:1"]);
    let deleted = removal.removed.iter().filter_map(|removed| match removed {
        Removed::Deleted(image) => Some(image),
        _ => None,
    });
    assert_eq!(deleted.collect::<Vec<_>>(), [&c.config.digest]);
    assert_eq!(removal.reclaimed, packed(&c));
}

#[tokio::test]
async fn a_digest_that_is_pulled_meanwhile_stays() {
    let bench = Bench::new();
    let a = image(1);
    bench.put(&a, &["a:1"]).await;
    let plan = bench.plan(&all());
    let digest: Reference = "other/a".parse().unwrap();
    let digest = digest.with_digest(a.manifest.digest.clone());
    bench
        .store
        .write(|rows| rows.set_repo_digest(&digest, &a.config.digest))
        .unwrap();
    plan.run(&mut Ground::Store(&bench.store)).unwrap();
    assert_eq!(bench.names(), Vec::<String>::new());
    let images = bench.store.read(|rows| rows.images()).unwrap();
    assert_eq!(images[0].repo_digests, [digest]);
}

#[tokio::test]
async fn a_name_that_is_used_meanwhile_stays_if_that_counts() {
    let bench = Bench::new();
    let a = image(1);
    bench.put(&a, &["a:1", "a:2"]).await;
    let options = PruneOptions {
        unused_for: Some(jiff::SignedDuration::ZERO),
        ..PruneOptions::default()
    };
    let mut plan = bench.plan(&options);
    // The time from which on a use counts has to be past for sure.
    plan.rules.used_since = Some(Timestamp::now());
    let name: Reference = "a:1".parse().unwrap();
    while Timestamp::now() <= plan.rules.used_since.unwrap() {
        std::thread::yield_now();
    }
    bench.store.write(|rows| rows.mark_used(&name)).unwrap();
    plan.run(&mut Ground::Store(&bench.store)).unwrap();
    assert_eq!(bench.names(), ["a:1"]);
}

#[tokio::test]
async fn an_older_name_stays_if_the_newest_one_is_removed_meanwhile() {
    let bench = Bench::new();
    let dated = |seed, created: &str| Image::random(seed, 1, 100).created(created).build();
    for (seed, name) in [(1, "a:1"), (2, "a:2"), (3, "a:3"), (4, "b:1"), (5, "b:2")] {
        let created = format!("202{seed}-01-01T00:00:00Z");
        bench.put(&dated(seed, &created), &[name]).await;
    }
    let plan = bench.plan(&PruneOptions {
        keep: Some(1),
        ..PruneOptions::default()
    });
    let newest: Reference = "a:3".parse().unwrap();
    bench.store.write(|rows| rows.remove_name(&newest)).unwrap();
    plan.run(&mut Ground::Store(&bench.store)).unwrap();
    assert_eq!(bench.names(), ["a:1", "a:2", "b:2"]);
}

#[tokio::test]
async fn what_others_have_removed_meanwhile_is_passed_over() {
    let bench = Bench::new();
    let (a, b) = (image(1), image(2));
    bench.put(&a, &["a:1"]).await;
    bench.put(&b, &["b:1"]).await;
    let plan = bench.plan(&all());
    bench
        .store
        .write(|rows| rows.remove_image(&a.config.digest))
        .unwrap();
    let (removal, _) = plan.run(&mut Ground::Store(&bench.store)).unwrap();
    assert_eq!(removal.removed.len(), 3, "{:?}", removal.removed);
    assert_eq!(removal.reclaimed, packed(&b));
    assert_eq!(bench.names(), Vec::<String>::new());
}
