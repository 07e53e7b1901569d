//! Documents that come packed by gzip.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use wharf_core::event::Unwatched;
use wharf_core::{Descriptor, Source as _};
use wharf_registry::RegistryError;
use wharf_testkit::images::{Content as _, samples};

use crate::canned::{Canned, answer};
use crate::common::{Heard, client, drain};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn issue_12_a_packed_manifest_is_that_of_its_unpacked_bytes() {
    let image = samples::small();
    let (descriptor, bytes) = image.manifests().into_iter().next().unwrap();
    let packed = gzip(&bytes);
    let halves: Vec<u8> = [gzip(&bytes[..100]), gzip(&bytes[100..])].concat();
    for (encoding, body) in [
        ("gzip", packed.clone()),
        ("GZIP", packed),
        ("gzip", halves),
        ("identity", bytes.to_vec()),
    ] {
        let kind = descriptor.media_type.clone();
        let digest = descriptor.digest.clone();
        let server = Canned::start(move |_| {
            let headers = [
                format!("Content-Type: {kind}"),
                format!("Content-Encoding: {encoding}"),
                format!("Docker-Content-Digest: {digest}"),
            ];
            answer("200 OK", &headers.each_ref().map(String::as_str), &body)
        });
        for name in ["app:1".to_owned(), format!("app@{}", descriptor.digest)] {
            let reference = server.reference(&name);
            let resolved = client().resolve(&reference, &Unwatched).await.unwrap();
            assert_eq!(
                resolved.manifest.descriptor.digest, descriptor.digest,
                "{encoding}"
            );
            assert_eq!(resolved.manifest.raw, bytes);
        }
        // The length of an answer to HEAD is that of what is packed.
        let head = client().head(&server.reference("app:1")).await.unwrap();
        assert_eq!(head.size, bytes.len() as u64, "{encoding}");
        let asked = server.asked();
        let gets = asked
            .iter()
            .filter(|asked| asked.line.starts_with("GET /v2/app/"));
        assert!(gets.clone().count() > 0);
        assert!(
            gets.clone()
                .all(|asked| asked.header("accept-encoding") == Some("gzip"))
        );
    }
}

#[tokio::test]
async fn lists_of_tags_may_be_packed() {
    let body = gzip(br#"{"tags":["a"]}"#);
    let server = Canned::start(move |_| answer("200 OK", &["Content-Encoding: gzip"], &body));
    assert_eq!(
        client().tags(&server.reference("app")).await.unwrap(),
        ["a"]
    );
}

#[tokio::test]
async fn what_unpacks_to_too_much_is_refused() {
    let bomb = gzip(&vec![b' '; 64 * 1024 * 1024]);
    assert!(bomb.len() < 1024 * 1024);
    let server = Canned::start(move |_| answer("200 OK", &["Content-Encoding: gzip"], &bomb));
    for error in [
        client().tags(&server.reference("app")).await.unwrap_err(),
        client()
            .resolve(&server.reference("app:1"), &Unwatched)
            .await
            .unwrap_err(),
    ] {
        assert!(matches!(error, RegistryError::TooLarge { .. }), "{error}");
    }
}

#[tokio::test]
async fn what_is_not_what_it_says_is_refused() {
    let tags = br#"{"tags":["a"]}"#;
    let mut broken = gzip(tags);
    let middle = broken.len() / 2;
    broken[middle] ^= 0xff;
    let short = gzip(tags)[..20].to_vec();
    let junk = [gzip(tags), b"junk".to_vec()].concat();
    for (encoding, body, words) in [
        ("gzip", tags.to_vec(), "cannot be unpacked"),
        ("gzip", broken, "cannot be unpacked"),
        ("gzip", short, "cannot be unpacked"),
        ("gzip", junk, "cannot be unpacked"),
        ("br", tags.to_vec(), "packed (br)"),
        ("gzip, gzip", gzip(&gzip(tags)), "packed (gzip, gzip)"),
    ] {
        let header = format!("Content-Encoding: {encoding}");
        let server = Canned::start(move |_| answer("200 OK", &[&header], &body));
        let error = client().tags(&server.reference("app")).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_blob_is_never_packed_on_its_way() {
    let what = Descriptor::of("application/octet-stream", b"blob");
    let body = gzip(b"blob");
    let server = Canned::start(move |_| answer("200 OK", &["Content-Encoding: gzip"], &body));
    let source = client().source(&server.reference("app"), Heard::default().arc());
    let error = match source.open(&what, 0..what.size).await {
        Ok(reader) => drain(reader).await.1.unwrap(),
        Err(error) => error,
    };
    assert!(error.to_string().contains("packed (gzip)"), "{error}");
    let asked = server.asked();
    let blobs = asked
        .iter()
        .filter(|asked| asked.path().contains("/blobs/"));
    assert!(
        blobs
            .clone()
            .all(|asked| asked.header("accept-encoding") == Some("identity"))
    );
}
