//! The conformance suite that every [`Sink`] runs in its tests.
//!
//! A sink's test hands [`run`] a function that makes a fresh, empty place; each case gets one of its
//! own. The cases are public, for whoever wants to run one alone. They panic, as tests do.
//!
//! ```text
//! conformance::run(async || Place::new(sink, source).keeping(temporary_folder)).await;
//! ```

mod odd;

use std::any::Any;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, join, join_all, select};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::Notify;

use self::odd::{How, Odd};
use crate::content::DOCUMENT_MAX;
use crate::event::Unwatched;
use crate::media_type::{OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST};
use crate::memory::Memory;
use crate::{ContentError, Descriptor, Event, LayerStatus, Sink, Source};

/// A place under test.
pub struct Place {
    sink: Arc<dyn Sink>,
    source: Arc<dyn Source>,
    keep: Vec<Box<dyn Any + Send + Sync>>,
}

impl Place {
    /// A place that is written through `sink` and read back through `source`.
    pub fn new(sink: Arc<dyn Sink>, source: Arc<dyn Source>) -> Self {
        Self {
            sink,
            source,
            keep: Vec::new(),
        }
    }

    /// Keeps `what` until the case is over: a temporary folder, a server.
    #[must_use]
    pub fn keeping(mut self, what: impl Any + Send + Sync) -> Self {
        self.keep.push(Box::new(what));
        self
    }

    async fn put(&self, what: &Descriptor, source: Arc<dyn Source>) -> Result<(), ContentError> {
        self.sink.put(what, source, Arc::new(Unwatched)).await
    }

    /// Puts content that must go in.
    async fn must_put(&self, what: &Descriptor, source: Arc<dyn Source>) {
        if let Err(error) = self.put(what, source).await {
            panic!(
                "cannot put {} ({}): {error:?}",
                what.digest, what.media_type
            );
        }
    }

    async fn contains(&self, what: &Descriptor) -> bool {
        match self.sink.contains(what).await {
            Ok(answer) => answer,
            Err(error) => panic!("contains({}) fails: {error:?}", what.digest),
        }
    }

    /// Asserts that `what` is here and reads back as `expected`, whole and in part.
    async fn assert_holds(&self, what: &Descriptor, expected: &Bytes) {
        assert!(
            self.contains(what).await,
            "{} ({}) is not here",
            what.digest,
            what.media_type
        );
        assert_eq!(
            self.read(what, 0).await,
            *expected,
            "reads back as other bytes"
        );
        let middle = expected.len() / 2;
        assert_eq!(
            self.read(what, middle).await,
            expected[middle..],
            "a part of it is wrong"
        );
    }

    async fn read(&self, what: &Descriptor, from: usize) -> BytesMut {
        let reader = self.source.open(what, from as u64..what.size).await;
        let mut reader = reader.unwrap_or_else(|e| panic!("cannot open {}: {e:?}", what.digest));
        let mut all = BytesMut::new();
        while let Some(chunk) = reader.bytes.next().await {
            all.extend_from_slice(&chunk.expect("what was put can be read"));
        }
        let sent_before =
            from - usize::try_from(reader.range.start).expect("a test's blob is small");
        all.split_off(sent_before)
    }

    /// Asserts that `source` is refused, that nothing of it counts as here, and that the right
    /// bytes still go in afterwards.
    async fn assert_refuses(&self, what: &Descriptor, source: Arc<Odd>, right: &Bytes) {
        let refused = self.put(what, source).await;
        assert!(
            refused.is_err(),
            "what does not match its descriptor was accepted"
        );
        assert!(
            !self.contains(what).await,
            "what was refused is here all the same"
        );
        self.must_put_soon(what, right).await;
        self.assert_holds(what, right).await;
    }

    /// A sink may have kept wrong bytes as the beginning of the right ones. It finds out when all are
    /// there, and must then start anew: at the second attempt at the latest.
    async fn must_put_soon(&self, what: &Descriptor, right: &Bytes) {
        if self
            .put(what, Odd::new(right.clone(), How::Right))
            .await
            .is_err()
        {
            self.must_put(what, Odd::new(right.clone(), How::Right))
                .await;
        }
    }
}

/// Runs every case, each on a place of its own.
pub async fn run(fresh: impl AsyncFn() -> Place) {
    keeps_what_it_is_given(&fresh().await).await;
    puts_the_same_twice(&fresh().await).await;
    puts_the_same_at_the_same_time(&fresh().await).await;
    refuses_other_bytes(&fresh().await).await;
    refuses_too_few_and_too_many_bytes(&fresh().await).await;
    survives_a_source_that_breaks(&fresh().await).await;
    survives_a_cancelled_put(&fresh().await).await;
    takes_a_source_without_ranges(&fresh().await).await;
    reports_no_more_than_there_is(&fresh().await).await;
    takes_parents_after_their_children(&fresh().await).await;
    vouches_for_an_index_only_when_all_is_here(&fresh().await).await;
    refuses_a_manifest_that_is_no_manifest(&fresh().await).await;
}

/// Content goes in, is here, and comes out as it was; other content is not here.
pub async fn keeps_what_it_is_given(place: &Place) {
    for bytes in [Bytes::new(), Bytes::from_static(b"x"), blob(1), blob(2)] {
        let what = describe(&bytes);
        assert!(
            !place.contains(&what).await,
            "an empty place says that it has something"
        );
        place
            .must_put(&what, Odd::new(bytes.clone(), How::Right))
            .await;
        place.assert_holds(&what, &bytes).await;
    }
    assert!(!place.contains(&describe(&blob(3))).await);
    let missing = place.source.open(&describe(&blob(3)), 0..1).await;
    assert!(missing.is_err(), "what is not here can be opened");
}

/// A second put of the same content succeeds, without a source even.
pub async fn puts_the_same_twice(place: &Place) {
    let (bytes, what) = (blob(1), describe(&blob(1)));
    place
        .must_put(&what, Odd::new(bytes.clone(), How::Right))
        .await;
    let again = Odd::new(bytes.clone(), How::Closed);
    place.must_put(&what, Arc::<Odd>::clone(&again)).await;
    assert_eq!(
        again.opened(),
        0,
        "content that is here was asked for again"
    );
    place.assert_holds(&what, &bytes).await;
}

/// Puts of the same content at the same time all succeed.
pub async fn puts_the_same_at_the_same_time(place: &Place) {
    let (bytes, what) = (blob(1), describe(&blob(1)));
    let puts = (0..4).map(|_| place.must_put(&what, Odd::new(bytes.clone(), How::Right)));
    join_all(puts).await;
    place.assert_holds(&what, &bytes).await;
    // One of two has a source that breaks: it may fail, and must not take the other one with it.
    let (bytes, what) = (blob(2), describe(&blob(2)));
    let broken = place.put(
        &what,
        Odd::new(bytes.clone(), How::BreaksAt(bytes.len() / 2)),
    );
    let right = place.put(&what, Odd::new(bytes.clone(), How::Right));
    let (_, right) = join(broken, right).await;
    if right.is_err() {
        place
            .must_put(&what, Odd::new(bytes.clone(), How::Right))
            .await;
    }
    place.assert_holds(&what, &bytes).await;
}

/// Bytes that the digest does not name are refused, wherever the wrong one is.
pub async fn refuses_other_bytes(place: &Place) {
    let right = blob(1);
    for wrong_at in [0, right.len() / 2, right.len() - 1] {
        let mut wrong = BytesMut::from(&right[..]);
        wrong[wrong_at] ^= 1;
        let what = describe(&right);
        let refused = place.put(&what, Odd::new(wrong.freeze(), How::Right)).await;
        assert!(refused.is_err(), "a wrong byte at {wrong_at} was accepted");
        assert!(
            !place.contains(&what).await,
            "wrong bytes are here under a right digest"
        );
        let opened = place.source.open(&what, 0..what.size).await;
        assert!(
            opened.is_err(),
            "wrong bytes can be read under a right digest"
        );
    }
    let wrong = Bytes::from(vec![0; right.len()]);
    place
        .assert_refuses(&describe(&right), Odd::new(wrong, How::Right), &right)
        .await;
}

/// Content that is shorter or longer than its descriptor says is refused, and so is a descriptor
/// that is wrong about content whose digest is right.
pub async fn refuses_too_few_and_too_many_bytes(place: &Place) {
    let odd = |right: &Bytes, how| Odd::new(right.clone(), how);
    let right = blob(1);
    let short = odd(&right, How::EndsAt(right.len() - 1));
    place.assert_refuses(&describe(&right), short, &right).await;
    let right = blob(2);
    place
        .assert_refuses(&describe(&right), odd(&right, How::EndsAt(0)), &right)
        .await;
    let right = blob(3);
    let long = odd(&right, How::AndMore(Bytes::from_static(b"x")));
    place.assert_refuses(&describe(&right), long, &right).await;
    let right = blob(4);
    for size in [right.len() as u64 - 1, right.len() as u64 + 1] {
        let lie = Descriptor {
            size,
            ..describe(&right)
        };
        let refused = place.put(&lie, odd(&right, How::NoRanges)).await;
        assert!(
            refused.is_err(),
            "a size of {size} for {} bytes was accepted",
            right.len()
        );
    }
    place.must_put_soon(&describe(&right), &right).await;
    place.assert_holds(&describe(&right), &right).await;
}

/// After a source that breaks off, the content is not here, and the next put succeeds.
pub async fn survives_a_source_that_breaks(place: &Place) {
    for (seed, then) in [(1, How::Right), (2, How::NoRanges)] {
        let (bytes, what) = (blob(seed), describe(&blob(seed)));
        for stop in [0, 1, bytes.len() / 2, bytes.len()] {
            // A sink may know that all is here before the source says how it ends.
            let broke = place
                .put(&what, Odd::new(bytes.clone(), How::BreaksAt(stop)))
                .await;
            assert!(
                broke.is_err() || stop == bytes.len(),
                "a broken source went unnoticed"
            );
            assert_eq!(place.contains(&what).await, broke.is_ok());
        }
        place.must_put(&what, Odd::new(bytes.clone(), then)).await;
        place.assert_holds(&what, &bytes).await;
    }
    // What came before the break was wrong.
    let right = blob(3);
    let wrong = Odd::new(vec![0; right.len()], How::BreaksAt(right.len() / 2));
    place.assert_refuses(&describe(&right), wrong, &right).await;
}

/// After a put that was given up in the middle, the content is not here, and the next one succeeds.
pub async fn survives_a_cancelled_put(place: &Place) {
    let (bytes, what) = (blob(1), describe(&blob(1)));
    let hung = Arc::new(Notify::new());
    let source = Odd::new(
        bytes.clone(),
        How::HangsAt(bytes.len() / 2, Arc::clone(&hung)),
    );
    let put = place.put(&what, source).boxed();
    match select(put, hung.notified().boxed()).await {
        Either::Left((result, _)) => panic!("it ended although bytes are missing: {result:?}"),
        Either::Right(((), put)) => drop(put),
    }
    assert!(
        !place.contains(&what).await,
        "half of the content counts as all of it"
    );
    place
        .must_put(&what, Odd::new(bytes.clone(), How::Right))
        .await;
    place.assert_holds(&what, &bytes).await;
}

/// A source that cannot send a part is good enough.
pub async fn takes_a_source_without_ranges(place: &Place) {
    let (bytes, what) = (blob(1), describe(&blob(1)));
    place
        .must_put(&what, Odd::new(bytes.clone(), How::NoRanges))
        .await;
    place.assert_holds(&what, &bytes).await;
}

/// What is reported grows, and ends at the content's size at most.
pub async fn reports_no_more_than_there_is(place: &Place) {
    let (bytes, what) = (blob(1), describe(&blob(1)));
    let seen: Arc<Mutex<Vec<Event>>> = Arc::default();
    let log = Arc::clone(&seen);
    let watch = Arc::new(move |event| log.lock().expect("no one panics here").push(event));
    let put = place
        .sink
        .put(&what, Odd::new(bytes, How::Right), watch)
        .await;
    put.expect("right bytes go in");
    let mut last = 0;
    for event in seen.lock().expect("no one panics here").iter() {
        let Event::Layer { digest, status } = event else {
            continue;
        };
        assert_eq!(*digest, what.digest, "the report is about other content");
        if let LayerStatus::Downloading { done, total } = *status {
            assert_eq!(total, what.size);
            assert!(
                last <= done && done <= total,
                "{done} of {total} after {last}"
            );
            last = done;
        }
    }
}

/// A manifest goes in when all its parts are here, and not before.
pub async fn takes_parents_after_their_children(place: &Place) {
    let from = Memory::new();
    let image = Image::new(&from, 1);
    let source: Arc<dyn Source> = Arc::new(from.clone());
    for part in &image.parts {
        let early = place.put(&image.manifest, Arc::clone(&source)).await;
        assert!(early.is_err(), "a manifest went in without {}", part.digest);
        assert!(
            !place.contains(&image.manifest).await,
            "a manifest is here without its parts"
        );
        place.must_put(part, Arc::clone(&source)).await;
    }
    assert!(
        !place.contains(&image.manifest).await,
        "a manifest is here that was never put"
    );
    place.must_put(&image.manifest, source).await;
    for what in image.parts.iter().chain([&image.manifest]) {
        place
            .assert_holds(what, &from.get(&what.digest).expect("it was made"))
            .await;
    }
}

/// An index may come with some of its images only: what is here of it is usable, but the whole is
/// not vouched for until the last image has come.
pub async fn vouches_for_an_index_only_when_all_is_here(place: &Place) {
    let from = Memory::new();
    let images = [Image::new(&from, 1), Image::new(&from, 2)];
    let list: Vec<_> = images.iter().map(|image| &image.manifest).collect();
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list,
    });
    let index = from.insert(OCI_INDEX, index.to_string());
    let source: Arc<dyn Source> = Arc::new(from.clone());
    for image in &images {
        assert!(
            !place.contains(&index).await,
            "an index is here without its images"
        );
        for what in image.parts.iter().chain([&image.manifest]) {
            place.must_put(what, Arc::clone(&source)).await;
        }
        place.must_put(&index, Arc::clone(&source)).await;
        assert!(place.contains(&image.manifest).await);
    }
    place
        .assert_holds(&index, &from.get(&index.digest).expect("it was made"))
        .await;
}

/// Bytes that call themselves a manifest and are none, or that are too many for one, are refused.
pub async fn refuses_a_manifest_that_is_no_manifest(place: &Place) {
    let from = Memory::new();
    for junk in [
        "",
        "junk",
        "[]",
        "{}",
        r#"{"schemaVersion":1,"fsLayers":[]}"#,
    ] {
        let what = from.insert(OCI_MANIFEST, junk);
        assert!(
            place.put(&what, Arc::new(from.clone())).await.is_err(),
            "{junk:?} went in"
        );
        assert!(!place.contains(&what).await);
    }
    let size = usize::try_from(DOCUMENT_MAX).expect("a few MiB") + 1;
    let what = from.insert(OCI_MANIFEST, vec![b' '; size]);
    assert!(
        place.put(&what, Arc::new(from)).await.is_err(),
        "a manifest of {size} bytes went in"
    );
    assert!(!place.contains(&what).await);
}

/// An image of two layers that hold nothing: an archive of zeros is an empty one.
struct Image {
    parts: Vec<Descriptor>,
    manifest: Descriptor,
}

impl Image {
    fn new(at: &Memory, seed: usize) -> Self {
        let layers: Vec<_> = [2 * seed, 2 * seed + 1]
            .map(|n| at.insert(OCI_LAYER, vec![0; 512 * n]))
            .into();
        let diff_ids: Vec<_> = layers.iter().map(|layer| &layer.digest).collect();
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "author": format!("{seed}"),
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = at.insert(OCI_CONFIG, config.to_string());
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers,
        });
        let manifest = at.insert(OCI_MANIFEST, manifest.to_string());
        Self {
            parts: std::iter::once(config).chain(layers).collect(),
            manifest,
        }
    }
}

/// Some content, another one for each `seed`, in more than one piece.
fn blob(seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let bytes = (0..100_001).map(|_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.to_be_bytes()[0]
    });
    bytes.collect()
}

fn describe(bytes: &Bytes) -> Descriptor {
    Descriptor::of("application/octet-stream", bytes)
}

#[cfg(test)]
mod tests;
