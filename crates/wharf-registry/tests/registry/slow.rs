//! Registries that send so little that a transfer would never end.

use std::time::Duration;

use wharf_core::event::Unwatched;
use wharf_core::{Descriptor, Source as _};
use wharf_registry::{MinRate, Registry, RegistryErrorKind, Settings};
use wharf_testkit::images::{Content as _, samples};
use wharf_testkit::{Fault, On, TestRegistry, When};

use crate::canned::{Canned, answer};
use crate::common::{Heard, blob, client, drain, settings};

/// A client that wants a megabyte a second, and soon.
fn demanding() -> Registry {
    Registry::new(Settings {
        min_rate: MinRate {
            bytes_per_second: 1024 * 1024,
            window: Duration::from_millis(100),
        },
        ..settings()
    })
}

fn drip() -> Fault {
    Fault::Slow {
        bytes: 1,
        every: Duration::from_millis(5),
    }
}

#[tokio::test]
async fn issue_12_a_blob_that_drips_ends() {
    let registry = TestRegistry::start();
    let image = samples::small();
    registry.push("app:1", &image);
    registry.fault(On::blobs(), When::Always, drip());
    let (layer, _) = image
        .blobs()
        .into_iter()
        .max_by_key(|(what, _)| what.size)
        .unwrap();
    let error = blob(&demanding(), &registry.reference("app:1"), &layer)
        .await
        .unwrap_err();
    let error = format!("{error:?}");
    assert!(
        error.contains("TooSlow") && error.contains("1048576 bytes a second"),
        "{error}"
    );
}

#[tokio::test]
async fn documents_and_tokens_that_drip_end() {
    let registry = TestRegistry::start();
    registry.push("app:1", &samples::small());
    registry.fault(On::any(), When::Always, drip());
    let reference = registry.reference("app:1");
    let client = demanding();
    let words = format!("{} sends less than 1048576 bytes a second", registry.host());
    for error in [
        client.resolve(&reference, &Unwatched).await.unwrap_err(),
        client.tags(&registry.reference("app")).await.unwrap_err(),
    ] {
        assert_eq!(error.to_string(), words);
        assert_eq!(error.kind(), RegistryErrorKind::Unavailable);
        assert!(
            error.hint().unwrap().contains("min_rate below [pull]"),
            "{:?}",
            error.hint()
        );
    }
    let mut file = client
        .web_file(&format!("{}/v2/app/manifests/1", registry.url()))
        .await
        .unwrap();
    let read = async {
        while file.chunk().await?.is_some() {}
        Ok::<_, wharf_registry::RegistryError>(())
    };
    assert_eq!(read.await.unwrap_err().to_string(), words);
}

#[tokio::test]
async fn issue_12_a_registry_that_answers_every_request_with_one_byte_ends() {
    let bytes: Vec<u8> = (0..200_000_u32)
        .map(|n| u8::try_from(n % 251).unwrap())
        .collect();
    let what = Descriptor::of("application/octet-stream", &bytes);
    let total = bytes.len();
    for step in [1, 7, 500] {
        let bytes = bytes.clone();
        let server = Canned::start(move |asked| {
            if asked.path() == "/v2/" {
                return answer("200 OK", &[], b"");
            }
            let range = asked
                .header("range")
                .and_then(|text| text.strip_prefix("bytes="));
            let (first, last) = range.and_then(|text| text.split_once('-')).unwrap();
            let first: usize = first.parse().unwrap();
            let last = last.parse::<usize>().unwrap().min(first + step - 1);
            let header = format!("Content-Range: bytes {first}-{last}/{total}");
            answer("206 Partial Content", &[&header], &bytes[first..=last])
        });
        let source = client().source(&server.reference("app"), Heard::default().arc());
        let (read, error) = drain(source.open(&what, 1..what.size).await.unwrap()).await;
        let error = format!("{:?}", error.unwrap());
        assert!(error.contains("65536 bytes for each request"), "{error}");
        assert_eq!(read.len(), 100 * step);
        assert_eq!(server.paths().len(), 100);
    }
}

#[tokio::test]
async fn a_registry_that_keeps_one_byte_of_each_upload_ends() {
    let what = Descriptor::of("application/octet-stream", &vec![7; 9 * 1024 * 1024]);
    let kept = std::sync::atomic::AtomicUsize::new(0);
    let server = Canned::start(move |asked| match asked.line.split(' ').next() {
        Some("POST") => answer(
            "202 Accepted",
            &["Location: /v2/app/blobs/uploads/1?_state=SECRET"],
            b"",
        ),
        Some("PATCH") => {
            let kept = kept.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
            let range = format!("Range: 0-{kept}");
            answer(
                "202 Accepted",
                &["Location: /v2/app/blobs/uploads/1?_state=SECRET", &range],
                b"",
            )
        }
        Some("HEAD") => answer("404 Not Found", &[], b""),
        _ => answer("200 OK", &[], b""),
    });
    let sink = client()
        .sink(
            &server.reference("app"),
            std::sync::Arc::new(|_| Vec::new()),
            Heard::default().arc(),
        )
        .unwrap();
    let document = wharf_core::content::Document {
        bytes: vec![7; 9 * 1024 * 1024].into(),
        place: "a test".into(),
    };
    let put = wharf_core::Sink::put(
        &sink,
        &what,
        std::sync::Arc::new(document),
        Heard::default().arc(),
    );
    let error = put.await.unwrap_err();
    let told = format!("{error} {error:?}");
    assert!(
        told.contains("TooSlow") || told.contains("stopped"),
        "{told}"
    );
    assert!(!told.contains("SECRET"), "{told}");
    assert!(server.paths().len() < 300, "{}", server.paths().len());
}

#[tokio::test]
async fn what_is_slow_and_comes_is_waited_for() {
    let registry = TestRegistry::start();
    let image = samples::small();
    registry.push("app:1", &image);
    let slow = Fault::Slow {
        bytes: 64,
        every: Duration::from_millis(1),
    };
    registry.fault(On::any(), When::Always, slow);
    let client = Registry::new(Settings {
        min_rate: MinRate {
            bytes_per_second: 100,
            window: Duration::from_millis(20),
        },
        ..settings()
    });
    for (what, bytes) in image.blobs() {
        assert!(
            blob(&client, &registry.reference("app:1"), &what)
                .await
                .unwrap()
                == bytes
        );
    }
}
