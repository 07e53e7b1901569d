//! Blobs: ranges, breaks, and what no registry should answer.

use std::ops::Range;

use wharf_core::{ContentError, Descriptor, Digest, Source as _};
use wharf_registry::{RegistryError, RegistryErrorKind};
use wharf_testkit::images::{Content as _, Image};
use wharf_testkit::{Fault, On, TestRegistry, When};

use crate::canned::{Canned, answer, raw};
use crate::common::{Heard, blob, client, drain, impatient, refused};

/// A registry with one image, and its only layer.
fn one_layer() -> (TestRegistry, Descriptor, Vec<u8>) {
    let registry = TestRegistry::start();
    let image = Image::random(7, 1, 300_000).build();
    registry.push("team/app:1", &image);
    let (layer, bytes) = image
        .blobs()
        .into_iter()
        .max_by_key(|(what, _)| what.size)
        .unwrap();
    (registry, layer, bytes.to_vec())
}

fn ranges(registry: &TestRegistry) -> Vec<Option<String>> {
    let all = registry.requests();
    all.iter()
        .filter(|r| r.blob().is_some())
        .map(|r| r.range.clone())
        .collect()
}

#[tokio::test]
async fn reads_a_whole_blob_without_asking_for_a_range() {
    let (registry, layer, bytes) = one_layer();
    let read = blob(&client(), &registry.reference("team/app"), &layer)
        .await
        .unwrap();
    assert!(read == bytes);
    assert_eq!(ranges(&registry), [None]);
}

#[tokio::test]
async fn reads_parts() {
    let (registry, layer, bytes) = one_layer();
    let (client, size) = (client(), layer.size);
    let source = client.source(&registry.reference("team/app"), Heard::default().arc());
    let cases: [(Range<u64>, &str); 3] = [
        (0..16, "bytes=0-15"),
        (100..200_000, "bytes=100-199999"),
        (size - 1..size, &format!("bytes={}-{}", size - 1, size - 1)),
    ];
    for (range, expected) in cases {
        registry.forget_requests();
        let reader = source.open(&layer, range.clone()).await.unwrap();
        assert_eq!(reader.range, range);
        let (read, error) = drain(reader).await;
        assert!(error.is_none(), "{error:?}");
        let usize = |at: u64| usize::try_from(at).unwrap();
        assert!(read == bytes[usize(range.start)..usize(range.end)]);
        assert_eq!(ranges(&registry), [Some(expected.to_owned())]);
    }
    registry.forget_requests();
    let nothing = source.open(&layer, 5..5).await.unwrap();
    assert_eq!(
        (drain(nothing).await.0.len(), registry.requests().len()),
        (0, 0)
    );
}

#[tokio::test]
async fn goes_on_where_the_connection_broke() {
    let (registry, layer, bytes) = one_layer();
    registry.fault(On::blobs(), When::Times(2), Fault::Cut(50_000));
    let heard = Heard::default();
    let source = client().source(&registry.reference("team/app"), heard.arc());
    let (read, error) = drain(source.open(&layer, 0..layer.size).await.unwrap()).await;
    assert!(error.is_none(), "{error:?}");
    assert!(read == bytes);
    assert_eq!(heard.retries(), 2);
    let last = format!("bytes=100000-{}", layer.size - 1);
    assert_eq!(ranges(&registry).last(), Some(&Some(last)));
}

#[tokio::test]
async fn goes_on_where_nothing_more_came() {
    let (registry, layer, bytes) = one_layer();
    registry.fault(On::blobs(), When::Times(2), Fault::Stall(50_000));
    let heard = Heard::default();
    let source = impatient().source(&registry.reference("team/app"), heard.arc());
    let (read, error) = drain(source.open(&layer, 0..layer.size).await.unwrap()).await;
    assert!(error.is_none(), "{error:?}");
    assert!(read == bytes);
    assert!(heard.retries() >= 2);
}

#[tokio::test]
async fn progress_outlives_any_number_of_breaks() {
    let (registry, layer, bytes) = one_layer();
    registry.fault(On::blobs(), When::Always, Fault::Cut(10_000));
    let read = blob(&client(), &registry.reference("team/app"), &layer)
        .await
        .unwrap();
    assert!(read == bytes);
    assert!(ranges(&registry).len() > 29);
}

#[tokio::test]
async fn a_part_goes_on_within_its_own_bounds() {
    let (registry, layer, bytes) = one_layer();
    registry.fault(On::blobs(), When::Times(1), Fault::Cut(1_000));
    let source = client().source(&registry.reference("team/app"), Heard::default().arc());
    let (read, error) = drain(source.open(&layer, 5_000..9_000).await.unwrap()).await;
    assert!(error.is_none(), "{error:?}");
    assert!(read == bytes[5_000..9_000]);
    let expected = ["bytes=5000-8999", "bytes=6000-8999"].map(|text| Some(text.to_owned()));
    assert_eq!(ranges(&registry), expected);
}

#[tokio::test]
async fn a_registry_without_ranges_sends_everything() {
    let (registry, layer, bytes) = one_layer();
    registry.fault(On::blobs().ranged(true), When::Always, Fault::NoRanges);
    let source = client().source(&registry.reference("team/app"), Heard::default().arc());
    let reader = source.open(&layer, 1_000..2_000).await.unwrap();
    assert_eq!(reader.range, 0..layer.size);
    assert!(drain(reader).await.0 == bytes);

    // And what is here already is passed over when it goes on.
    registry.fault(
        On::blobs().ranged(false),
        When::Times(1),
        Fault::Cut(70_000),
    );
    let (read, error) = drain(source.open(&layer, 0..layer.size).await.unwrap()).await;
    assert!(error.is_none(), "{error:?}");
    assert!(read == bytes);
}

#[tokio::test]
async fn gives_up_and_says_how_far_it_came() {
    let (registry, layer, bytes) = one_layer();
    registry.fault(On::blobs(), When::Times(1), Fault::Cut(70_000));
    registry.fault(On::blobs(), When::Always, Fault::Status(503));
    let source = client().source(&registry.reference("team/app"), Heard::default().arc());
    let (read, error) = drain(source.open(&layer, 0..layer.size).await.unwrap()).await;
    assert!(read == bytes[..70_000]);
    let error = error.unwrap();
    let inner = RegistryError::within(&error).unwrap();
    assert_eq!(inner.kind(), RegistryErrorKind::Unavailable);
    assert!(
        matches!(inner, RegistryError::Interrupted { done: 70_000, .. }),
        "{inner}"
    );
    assert!(
        inner
            .to_string()
            .contains("the next pull goes on from there"),
        "{inner}"
    );
    assert!(ranges(&registry).len() <= 5);
}

#[tokio::test]
async fn without_progress_it_ends() {
    let (registry, layer, _) = one_layer();
    registry.fault(On::blobs().ranged(false), When::Always, Fault::Cut(70_000));
    registry.fault(On::blobs().ranged(true), When::Always, Fault::Hangup);
    let error = refused(blob(&client(), &registry.reference("team/app"), &layer).await);
    assert!(RegistryError::within(&error).is_some(), "{error}");
    assert!(ranges(&registry).len() <= 5, "{}", registry.story());
}

#[tokio::test]
async fn survives_what_passes() {
    for fault in [
        Fault::Status(500),
        Fault::Status(408),
        Fault::Hangup,
        Fault::TooManyRequests { retry_after: 1 },
        Fault::Unauthorized,
    ] {
        let (registry, layer, bytes) = one_layer();
        registry.fault(On::blobs(), When::Times(2), fault.clone());
        let read = blob(&client(), &registry.reference("team/app"), &layer).await;
        if fault == Fault::Unauthorized {
            let error = refused(read);
            assert!(
                error.to_string().contains("no basic auth credentials"),
                "{error}"
            );
            continue;
        }
        assert!(read.unwrap() == bytes, "{fault:?}");
    }
}

#[tokio::test]
async fn does_not_insist_on_what_cannot_succeed() {
    let cases: [(Fault, &str); 5] = [
        (Fault::Status(501), "501 Not Implemented"),
        (Fault::RangeNotSatisfiable, "416"),
        (Fault::WrongRange, "it sent the bytes"),
        (
            Fault::ContentEncoding("gzip".to_owned()),
            "the answer is packed (gzip)",
        ),
        (Fault::Status(403), "pull access denied for"),
    ];
    for (fault, words) in cases {
        let (registry, layer, _) = one_layer();
        registry.fault(On::blobs(), When::Always, fault.clone());
        let source = client().source(&registry.reference("team/app"), Heard::default().arc());
        let error = refused(source.open(&layer, 0..1000).await);
        // A wrong Content-Range also has a wrong total: that is seen first.
        let wrong_total = matches!(error, ContentError::Size { .. }) && fault == Fault::WrongRange;
        assert!(
            error.to_string().contains(words) || wrong_total,
            "{fault:?}: {error}"
        );
        assert_eq!(ranges(&registry).len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn refuses_a_wrong_content_range() {
    for (sent, refused_for) in [
        (
            "bytes 1-10/100",
            "it sent the bytes 1-10 where 0-9 were asked for",
        ),
        ("bytes 0-10/100", "it sent the bytes 0-10"),
        ("bytes 0-9/99", "has 99 bytes where its descriptor says 100"),
        ("0-9/100", "it does not say which bytes"),
        ("", "it does not say which bytes"),
    ] {
        let header = format!("Content-Range: {sent}");
        let server = Canned::start(move |asked| match asked.path() {
            "/v2/" => answer("200 OK", &[], b""),
            _ => answer("206 Partial Content", &[&header], &[0; 10]),
        });
        let what = Descriptor::new("application/octet-stream", Digest::of(b"x"), 100);
        let source = client().source(&server.reference("app"), Heard::default().arc());
        let error = refused(source.open(&what, 0..10).await);
        assert!(error.to_string().contains(refused_for), "{sent}: {error}");
    }
}

#[tokio::test]
async fn takes_a_range_in_smaller_pieces() {
    let server = Canned::start(|asked| {
        let Some(range) = asked.header("range") else {
            return answer("200 OK", &[], b"");
        };
        let first: usize = range["bytes=".len()..]
            .split('-')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let last = (first + 29).min(99);
        let header = format!("Content-Range: bytes {first}-{last}/100");
        let body: Vec<u8> = (first..=last).map(|at| u8::try_from(at).unwrap()).collect();
        answer("206 Partial Content", &[&header], &body)
    });
    let what = Descriptor::new("application/octet-stream", Digest::of(b"x"), 100);
    let heard = Heard::default();
    let source = client().source(&server.reference("app"), heard.arc());
    let (read, error) = drain(source.open(&what, 5..95).await.unwrap()).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(read, (5..95).collect::<Vec<u8>>());
    assert_eq!((server.paths().len(), heard.retries()), (3, 0));
}

#[tokio::test]
async fn refuses_a_blob_of_another_length() {
    // Announced; not announced and too long; not announced and too short.
    for fault in [Fault::Shorter(10), Fault::Longer(10)] {
        let (registry, layer, _) = one_layer();
        registry.fault(On::blobs(), When::Always, fault.clone());
        let error = refused(blob(&client(), &registry.reference("team/app"), &layer).await);
        assert!(
            matches!(error, ContentError::Size { .. }),
            "{fault:?}: {error}"
        );
    }
    for length in [90_usize, 101] {
        let server = Canned::start(move |asked| {
            if asked.path() == "/v2/" {
                return answer("200 OK", &[], b"");
            }
            let mut all = raw("200 OK", &[]);
            all.resize(all.len() + length, 0);
            all
        });
        let what = Descriptor::new("application/octet-stream", Digest::of(b"x"), 100);
        let error = refused(blob(&client(), &server.reference("app"), &what).await);
        match length {
            101 => assert!(
                matches!(error, ContentError::Size { actual: 101, .. }),
                "{error}"
            ),
            _ => assert!(
                error.to_string().contains("stopped at 90 of 100 bytes"),
                "{error}"
            ),
        }
    }
}

#[tokio::test]
async fn tells_of_a_missing_blob() {
    let (registry, _, _) = one_layer();
    let what = Descriptor::of("application/octet-stream", b"nobody has this");
    let error = refused(blob(&client(), &registry.reference("team/app"), &what).await);
    assert!(
        matches!(&error, ContentError::Missing { what: missing, place }
            if *missing == what.digest && *place == registry.host()),
        "{error}"
    );
}

#[tokio::test]
async fn reads_an_empty_blob() {
    let registry = TestRegistry::start();
    let what = Descriptor::of("application/octet-stream", b"");
    registry.push_blob("team/app", &what.digest, bytes::Bytes::new());
    let read = blob(&client(), &registry.reference("team/app"), &what)
        .await
        .unwrap();
    assert!(read.is_empty());
}

#[tokio::test]
async fn follows_a_redirect_to_where_blobs_are() {
    let (registry, layer, bytes) = one_layer();
    registry.fault(On::blobs(), When::Always, Fault::Redirect);
    let source = client().source(&registry.reference("team/app"), Heard::default().arc());
    let reader = source.open(&layer, 10..20_000).await.unwrap();
    assert_eq!(reader.range, 10..20_000);
    assert!(drain(reader).await.0 == bytes[10..20_000]);
}

#[tokio::test]
async fn does_not_follow_redirects_for_ever() {
    let (registry, layer, _) = one_layer();
    let again = format!("/v2/team/app/blobs/{}", layer.digest);
    registry.fault(On::blobs(), When::Always, Fault::RedirectTo(again));
    let error = refused(blob(&client(), &registry.reference("team/app"), &layer).await);
    assert!(
        error.to_string().contains("stopped after 10 redirects"),
        "{error}"
    );
    registry.behave();
    let odd = Fault::RedirectTo("ftp://ann:pw@127.0.0.1/x?secret=1".to_owned());
    registry.fault(On::blobs(), When::Always, odd);
    let error = refused(blob(&client(), &registry.reference("team/app"), &layer).await).to_string();
    assert!(error.contains("which is neither http nor https"), "{error}");
    assert!(
        !error.contains("pw") && !error.contains("secret"),
        "{error}"
    );
}

#[tokio::test]
async fn whatever_happens_it_ends_and_heals() {
    let (registry, layer, bytes) = one_layer();
    let reference = registry.reference("team/app");
    let client = client();
    for seed in 0..40 {
        registry.misbehave(seed, 0.7);
        // A wrong byte is the sink's to find; a wrong number of them would be ours.
        if let Ok(read) = blob(&client, &reference, &layer).await {
            assert_eq!(read.len(), bytes.len(), "seed {seed}");
        }
        registry.behave();
        assert!(
            blob(&client, &reference, &layer).await.unwrap() == bytes,
            "seed {seed}"
        );
    }
    // Eighty would do if nothing ever went wrong.
    assert!(ranges(&registry).len() > 100);
}
