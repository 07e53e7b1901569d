use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;
use tokio::sync::Notify;

use super::*;
use crate::Reader;
use crate::manifest::LAYERS_MAX;
use crate::media_type::{OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST};
use crate::memory::Memory;

/// A place in memory that writes down what is asked of it, and that can hang or fail.
#[derive(Default)]
struct Place {
    memory: Memory,
    /// What was opened or put, in order.
    log: Mutex<Vec<Digest>>,
    /// How many puts are under way, and how many were at most.
    under_way: (AtomicUsize, AtomicUsize),
    /// Content that cannot be opened.
    broken: Option<Digest>,
    /// Content that never comes, and who is told when somebody waits for it.
    hangs: Option<(Digest, Arc<Notify>)>,
}

impl Place {
    fn new(memory: &Memory) -> Self {
        Self {
            memory: memory.clone(),
            ..Self::default()
        }
    }

    fn log(&self) -> Vec<Digest> {
        self.log.lock().unwrap().clone()
    }

    fn times(&self, what: &Descriptor) -> usize {
        self.log()
            .iter()
            .filter(|digest| **digest == what.digest)
            .count()
    }
}

#[async_trait]
impl Source for Place {
    fn place(&self) -> String {
        "the source".into()
    }

    async fn open(&self, what: &Descriptor, range: Range<u64>) -> Result<Reader, ContentError> {
        self.log.lock().unwrap().push(what.digest.clone());
        if self.broken.as_ref() == Some(&what.digest) {
            return Err(ContentError::place("broken"));
        }
        if let Some((_, told)) = self
            .hangs
            .as_ref()
            .filter(|(digest, _)| *digest == what.digest)
        {
            told.notify_one();
            std::future::pending::<()>().await;
        }
        self.memory.open(what, range).await
    }
}

#[async_trait]
impl Sink for Place {
    fn place(&self) -> String {
        "the sink".into()
    }

    async fn contains(&self, what: &Descriptor) -> Result<bool, ContentError> {
        self.memory.contains(what).await
    }

    async fn put(
        &self,
        what: &Descriptor,
        source: Arc<dyn Source>,
        watch: Arc<dyn Watch>,
    ) -> Result<(), ContentError> {
        let (now, most) = &self.under_way;
        most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        let result = self.memory.put(what, source, watch).await;
        now.fetch_sub(1, Ordering::Relaxed);
        self.log.lock().unwrap().push(what.digest.clone());
        result
    }
}

/// An image with a layer of its own for each of `layers`.
fn image(at: &Memory, name: &str, layers: &[&str]) -> (Descriptor, Vec<Descriptor>) {
    let config = at.insert(OCI_CONFIG, json!({ "author": name }).to_string());
    let layers: Vec<_> = layers
        .iter()
        .map(|layer| at.insert(OCI_LAYER, (*layer).to_owned()))
        .collect();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers,
    });
    let parts = std::iter::once(config).chain(layers).collect();
    (at.insert(OCI_MANIFEST, manifest.to_string()), parts)
}

fn index(at: &Memory, entries: &[&Descriptor]) -> Descriptor {
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
    at.insert(OCI_INDEX, index.to_string())
}

fn for_platform(image: &Descriptor, platform: &str) -> Descriptor {
    Descriptor {
        platform: Some(platform.parse().unwrap()),
        ..image.clone()
    }
}

async fn run(from: &Arc<Place>, to: &Arc<Place>, root: &Descriptor) -> Result<(), CopyError> {
    run_with(from, to, root, &Options::everything(4)).await
}

async fn run_with(
    from: &Arc<Place>,
    to: &Arc<Place>,
    root: &Descriptor,
    options: &Options,
) -> Result<(), CopyError> {
    let (from, to): (Arc<dyn Source>, Arc<dyn Sink>) = (Arc::clone(from) as _, Arc::clone(to) as _);
    copy(from, to, root, options, Arc::new(Unwatched)).await
}

fn places(memory: &Memory) -> (Arc<Place>, Arc<Place>) {
    (Arc::new(Place::new(memory)), Arc::default())
}

#[tokio::test]
async fn copies_children_before_parents() {
    let memory = Memory::new();
    let (one, one_parts) = image(&memory, "one", &["a", "b"]);
    let (two, two_parts) = image(&memory, "two", &["b", "c"]);
    let inner = index(&memory, &[&two]);
    let root = index(&memory, &[&one, &inner]);
    let (from, to) = places(&memory);
    run(&from, &to, &root).await.unwrap();
    assert_eq!(to.memory.digests(), memory.digests());
    assert!(to.memory.contains(&root).await.unwrap());
    let log = to.log();
    let place = |what: &Descriptor| log.iter().position(|d| *d == what.digest).unwrap();
    for (parent, children) in [
        (&one, &one_parts[..]),
        (&two, &two_parts),
        (&inner, std::slice::from_ref(&two)),
    ] {
        for child in children {
            assert!(place(child) < place(parent));
            assert!(place(parent) < place(&root));
        }
    }
}

#[tokio::test]
async fn fetches_nothing_twice() {
    let memory = Memory::new();
    // A layer twice in one image, and again in the other one; an image twice in one index.
    let (one, one_parts) = image(&memory, "one", &["a", "b", "a"]);
    let (two, _) = image(&memory, "two", &["a"]);
    let inner = index(&memory, &[&one, &two, &one]);
    let root = index(&memory, &[&one, &inner, &inner, &two]);
    let (from, to) = places(&memory);
    run(&from, &to, &root).await.unwrap();
    for what in one_parts.iter().chain([&one, &two, &inner, &root]) {
        assert_eq!(from.times(what), 1, "{}", what.media_type);
    }
    // Again: only what says what there is, is read again.
    let (from, _) = places(&memory);
    run(&from, &to, &root).await.unwrap();
    let mut expected = [&one, &two, &inner, &root].map(|d| d.digest.clone());
    let mut log = from.log();
    expected.sort();
    log.sort();
    assert_eq!(log, expected);
}

#[tokio::test]
async fn an_index_of_indexes_of_indexes_ends() {
    // 64^3 ways lead to one image.
    let memory = Memory::new();
    let (image, _) = image(&memory, "one", &["a"]);
    let mut root = image;
    for _ in 0..3 {
        root = index(&memory, &[&root; 64]);
    }
    let (from, to) = places(&memory);
    run(&from, &to, &root).await.unwrap();
    assert_eq!(from.log().len(), 3 + 3);
}

#[tokio::test]
async fn refuses_indexes_that_lie_too_deep() {
    let memory = Memory::new();
    let (mut root, _) = image(&memory, "one", &["a"]);
    for depth in 1..=DEPTH_MAX {
        root = index(&memory, &[&root]);
        let (from, to) = places(&memory);
        let result = run(&from, &to, &root).await;
        assert_eq!(result.is_ok(), depth < DEPTH_MAX, "{depth}");
        assert_eq!(to.memory.contains(&root).await.unwrap(), depth < DEPTH_MAX);
        if let Err(error) = result {
            assert!(matches!(error, CopyError::TooDeep(_)));
            assert!(error.to_string().contains("must not contain itself"));
        }
    }
}

#[tokio::test]
async fn an_index_that_points_to_itself_is_refused() {
    // No digest can really name itself: such an index only exists where nobody verifies.
    let memory = Memory::new();
    let name: Digest = format!("sha256:{:064}", 7).parse().unwrap();
    let this = Descriptor::new(OCI_INDEX, name.clone(), 0);
    let text = |size| {
        let this = Descriptor {
            size,
            ..this.clone()
        };
        json!({ "mediaType": OCI_INDEX, "manifests": [this] }).to_string()
    };
    let size = text(100).len() as u64;
    memory.insert_as(name, text(size));
    let (from, to) = places(&memory);
    let error = run(
        &from,
        &to,
        &Descriptor {
            size,
            ..this.clone()
        },
    )
    .await
    .unwrap_err();
    assert!(
        matches!(error, CopyError::Content(ContentError::Mismatch { .. })),
        "{error}"
    );
    assert!(to.memory.digests().is_empty());
}

#[tokio::test]
async fn copies_only_the_platforms_that_were_chosen() {
    let memory = Memory::new();
    let (amd64, amd64_parts) = image(&memory, "amd64", &["base", "amd64"]);
    let (arm64, arm64_parts) = image(&memory, "arm64", &["base", "arm64"]);
    let entries = [
        for_platform(&amd64, "linux/amd64"),
        for_platform(&arm64, "linux/arm64"),
    ];
    let root = index(&memory, &entries.each_ref());
    let choose = |platform: &str| {
        let platform = platform.parse().unwrap();
        let choose: Choose =
            Arc::new(move |index: &Index| index.choose(&platform).cloned().into_iter().collect());
        Options {
            parallel: 1,
            choose,
        }
    };
    let (from, to) = places(&memory);
    run_with(&from, &to, &root, &choose("linux/arm64"))
        .await
        .unwrap();
    assert!(to.memory.contains(&arm64).await.unwrap());
    assert!(
        to.memory.get(&root.digest).is_some(),
        "the index is kept whole"
    );
    assert!(
        !to.memory.contains(&root).await.unwrap(),
        "but it is not all here"
    );
    for what in [&amd64, &amd64_parts[2]] {
        assert_eq!(from.times(what), 0);
    }
    // The other one joins it.
    run_with(&from, &to, &root, &choose("linux/amd64"))
        .await
        .unwrap();
    assert!(to.memory.contains(&root).await.unwrap());
    assert_eq!(from.times(&arm64_parts[1]), 1, "the common layer came once");
}

#[tokio::test]
async fn what_broke_off_is_finished_by_the_next_attempt() {
    let memory = Memory::new();
    let (root, parts) = image(&memory, "one", &["a", "b", "c"]);
    let broken = Some(parts[2].digest.clone());
    let from = Arc::new(Place {
        broken,
        ..Place::new(&memory)
    });
    let to = Arc::<Place>::default();
    let options = Options {
        parallel: 1,
        ..Options::everything(1)
    };
    run_with(&from, &to, &root, &options).await.unwrap_err();
    assert!(to.memory.get(&root.digest).is_none());
    assert!(
        to.memory.contains(&parts[1]).await.unwrap(),
        "what came before the fault is kept"
    );
    let (from, _) = places(&memory);
    run(&from, &to, &root).await.unwrap();
    assert_eq!(
        from.times(&parts[1]),
        0,
        "what is here is not asked for again"
    );
    assert!(to.memory.contains(&root).await.unwrap());
}

#[tokio::test]
async fn a_copy_that_is_cancelled_leaves_no_parent_without_its_children() {
    let memory = Memory::new();
    let (root, parts) = image(&memory, "one", &["a", "b", "c"]);
    let told = Arc::new(Notify::new());
    let hangs = Some((parts[3].digest.clone(), Arc::clone(&told)));
    let from = Arc::new(Place {
        hangs,
        ..Place::new(&memory)
    });
    let to = Arc::<Place>::default();
    tokio::select! {
        result = run(&from, &to, &root) => panic!("{result:?}"),
        () = told.notified() => {}
    }
    assert!(to.memory.get(&root.digest).is_none());
    let (from, _) = places(&memory);
    run(&from, &to, &root).await.unwrap();
    assert!(to.memory.contains(&root).await.unwrap());
}

#[tokio::test]
async fn keeps_to_the_number_that_may_be_under_way() {
    let memory = Memory::new();
    let layers: Vec<String> = (0..20).map(|n| format!("layer {n}")).collect();
    let layers: Vec<&str> = layers.iter().map(String::as_str).collect();
    let (root, _) = image(&memory, "one", &layers);
    for (parallel, expected) in [(0, 1), (1, 1), (3, 3)] {
        let (from, to) = places(&memory);
        run_with(&from, &to, &root, &Options::everything(parallel))
            .await
            .unwrap();
        assert_eq!(to.under_way.1.load(Ordering::Relaxed), expected);
    }
}

#[tokio::test]
async fn says_what_happens_to_each_layer() {
    let memory = Memory::new();
    let (root, parts) = image(&memory, "one", &["a", "b"]);
    let to = Memory::new();
    to.insert(OCI_LAYER, "a");
    let seen: Arc<Mutex<Vec<(Digest, LayerStatus)>>> = Arc::default();
    let watch = || {
        let seen = Arc::clone(&seen);
        Arc::new(move |event| {
            if let Event::Layer { digest, status } = event {
                seen.lock().unwrap().push((digest, status));
            }
        })
    };
    let source: Arc<dyn Source> = Arc::new(memory.clone());
    for _ in 0..2 {
        let sink: Arc<dyn Sink> = Arc::new(to.clone());
        let from = Arc::clone(&source);
        copy(from, sink, &root, &Options::everything(2), watch())
            .await
            .unwrap();
    }
    let layers: Vec<_> = parts[1..]
        .iter()
        .map(|layer| layer.digest.clone())
        .collect();
    let [a, b] = [layers[0].clone(), layers[1].clone()];
    let expected = [
        (a, LayerStatus::Exists),
        (b.clone(), LayerStatus::Waiting { total: 1 }),
        (b.clone(), LayerStatus::Downloading { done: 1, total: 1 }),
        (b, LayerStatus::Complete),
    ];
    // The config and the manifest are no layers: nothing is said of them. The second time everything
    // is here, and nothing is said at all.
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test]
async fn says_which_manifest_is_wrong() {
    let memory = Memory::new();
    let layers = vec![json!({ "digest": Digest::of(b""), "size": 0 }); LAYERS_MAX + 1];
    let many = json!({ "config": layers[0], "layers": layers }).to_string();
    for (media_type, bytes) in [
        (OCI_MANIFEST, Bytes::from(many)),
        (OCI_INDEX, Bytes::from_static(b"junk")),
    ] {
        let bad = memory.insert(media_type, bytes);
        let root = index(&memory, &[&bad]);
        let (from, to) = places(&memory);
        let error = run(&from, &to, &root).await.unwrap_err();
        assert!(error.to_string().contains(bad.digest.as_str()), "{error}");
        assert!(to.memory.digests().is_empty());
    }
    let large = Descriptor {
        size: crate::content::DOCUMENT_MAX + 1,
        ..index(&memory, &[])
    };
    let (from, to) = places(&memory);
    let error = run(&from, &to, &large).await.unwrap_err();
    assert!(matches!(
        error,
        CopyError::Content(ContentError::TooLarge { .. })
    ));
    assert!(from.log().is_empty(), "nobody even asks for it");
}

#[tokio::test]
async fn the_largest_layer_is_begun_first_unless_they_go_one_by_one() {
    let memory = Memory::new();
    let (root, parts) = image(&memory, "order", &["small", "the largest of all", "larger"]);
    let order = async |parallel| {
        let (from, to) = (Arc::new(Place::new(&memory)), Arc::new(Memory::new()));
        let how = Options::everything(parallel);
        copy(Arc::clone(&from) as _, to, &root, &how, Arc::new(Unwatched))
            .await
            .unwrap();
        let log = from.log();
        let place = |what: &Digest| parts.iter().position(|part| part.digest == *what);
        log.iter().filter_map(place).collect::<Vec<_>>()
    };
    assert_eq!(order(1).await, [0, 1, 2, 3]);
    let at_once = order(4).await;
    let layers: Vec<_> = at_once.into_iter().filter(|part| *part != 0).collect();
    assert_eq!(layers, [2, 3, 1]);
}
