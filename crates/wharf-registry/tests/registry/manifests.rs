//! Manifests: by tag and digest, bounded, and hashed here.

use bytes::Bytes;
use wharf_core::event::Unwatched;
use wharf_core::manifest::ManifestError;
use wharf_core::media_type::{DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use wharf_core::{ContentError, Descriptor, Digest, Source as _};
use wharf_registry::{RegistryError, RegistryErrorKind};
use wharf_testkit::images::{Content as _, samples};
use wharf_testkit::{Fault, On, TestRegistry, When};

use crate::canned::{Canned, answer, raw};
use crate::common::{Heard, client, drain, impatient, refused};

#[tokio::test]
async fn resolves_a_tag_and_keeps_the_manifest_for_the_copy() {
    let registry = TestRegistry::start();
    let image = samples::small();
    registry.push("team/app:1", &image);
    let (client, reference) = (client(), registry.reference("team/app:1"));

    let resolved = client.resolve(&reference, &Unwatched).await.unwrap();
    assert_eq!(resolved.manifest.descriptor.digest, image.manifest.digest);
    assert_eq!(resolved.manifest.raw, image.raw);
    assert_eq!(resolved.place, registry.host());

    let source = client.source(&reference, Heard::default().arc());
    let what = &resolved.manifest.descriptor;
    let (bytes, error) = drain(source.open(what, 0..what.size).await.unwrap()).await;
    assert!(error.is_none());
    assert_eq!(bytes, image.raw);
    let gets = registry
        .requests()
        .iter()
        .filter(|request| request.is_manifest())
        .count();
    assert_eq!(gets, 1, "the second one comes from memory");
}

#[tokio::test]
async fn a_digest_counts_more_than_a_tag() {
    let registry = TestRegistry::start();
    let (image, index) = (
        samples::small(),
        samples::platforms(&["linux/amd64", "linux/arm64"]),
    );
    registry.push("team/app:1", &image);
    registry.push("team/app:2", &index);
    let both = registry.reference(&format!("team/app:1@{}", index.root().digest));
    let resolved = client().resolve(&both, &Unwatched).await.unwrap();
    assert_eq!(resolved.manifest.descriptor.digest, index.root().digest);
    assert_eq!(
        resolved.manifest.descriptor.media_type,
        index.root().media_type
    );
}

#[tokio::test]
async fn asks_for_a_descriptor_only() {
    let registry = TestRegistry::start();
    let image = samples::small();
    registry.push("team/app:1", &image);
    let described = client()
        .head(&registry.reference("team/app:1"))
        .await
        .unwrap();
    assert_eq!(described.digest, image.manifest.digest);
    assert_eq!(described.size, image.manifest.size);
    assert_eq!(described.media_type, image.manifest.media_type);
    assert!(
        registry
            .requests()
            .iter()
            .all(|request| request.method != "GET" || request.path == "/v2/")
    );
}

#[tokio::test]
async fn reads_the_manifest_where_a_head_says_nothing() {
    let body = br#"{"schemaVersion":2,"manifests":[]}"#;
    let content = format!("Content-Type: {OCI_INDEX}; charset=utf-8");
    let server = Canned::start(move |_| answer("200 OK", &[&content], body));
    let described = client().head(&server.reference("app:1")).await.unwrap();
    assert_eq!(described, Descriptor::of(OCI_INDEX, body));
}

#[tokio::test]
async fn tells_of_a_missing_manifest_in_dockers_words() {
    let registry = TestRegistry::start();
    let reference = registry.reference("no/such:latest");
    let error = client().resolve(&reference, &Unwatched).await.unwrap_err();
    assert_eq!(error.kind(), RegistryErrorKind::NotFound);
    let host = registry.host();
    assert!(
        error
            .to_string()
            .starts_with(&format!("manifest for {host}/no/such:latest not found: "))
            || error
                .to_string()
                .starts_with(&format!("repository {host}/no/such not found: ")),
        "{error}"
    );
    registry.push("team/app:1", &samples::small());
    let error = client()
        .resolve(&registry.reference("team/app:nope"), &Unwatched)
        .await;
    assert_eq!(
        error.unwrap_err().to_string(),
        format!("manifest for {host}/team/app:nope not found: manifest unknown: manifest unknown")
    );
}

#[tokio::test]
async fn refuses_other_bytes_than_the_digest_names() {
    let registry = TestRegistry::start();
    let image = samples::small();
    registry.push("team/app:1", &image);
    let digest = image.manifest.digest.clone();
    let other = Bytes::from_static(b"{}");
    registry.lie("team/app", digest.as_str(), OCI_MANIFEST, other.clone());
    let reference = registry.reference("team/app").with_digest(digest.clone());
    let error = client().resolve(&reference, &Unwatched).await.unwrap_err();
    assert_eq!(error.kind(), RegistryErrorKind::Corrupt);
    assert!(
        matches!(&error, RegistryError::Mismatch { expected, actual, .. }
            if *expected == digest && *actual == Digest::of(&other)),
        "{error}"
    );
    let source = client().source(&reference, Heard::default().arc());
    let error = refused(source.open(&image.manifest, 0..image.manifest.size).await);
    assert!(matches!(error, ContentError::Mismatch { .. }), "{error}");
}

#[tokio::test]
async fn refuses_bytes_that_are_not_what_the_header_says() {
    let registry = TestRegistry::start();
    registry.push("team/app:1", &samples::small());
    registry.fault(On::manifests(), When::Always, Fault::WrongDigest);
    let reference = registry.reference("team/app:1");
    let error = client().resolve(&reference, &Unwatched).await.unwrap_err();
    assert!(matches!(error, RegistryError::Mismatch { .. }), "{error}");
}

#[tokio::test]
async fn refuses_a_type_that_the_content_contradicts() {
    let registry = TestRegistry::start();
    let image = samples::small();
    registry.push("team/app:1", &image);
    let other = if image.manifest.media_type == OCI_MANIFEST {
        DOCKER_MANIFEST
    } else {
        OCI_MANIFEST
    };
    let fault = Fault::ContentType(other.to_owned());
    registry.fault(On::manifests(), When::Always, fault);
    let error = client()
        .resolve(&registry.reference("team/app:1"), &Unwatched)
        .await
        .unwrap_err();
    assert!(
        matches!(
            &error,
            RegistryError::Manifest {
                source: ManifestError::TypeConflict { .. },
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn reads_no_more_than_four_mebibytes() {
    // Announced, and not announced.
    let registry = TestRegistry::start();
    let huge = Bytes::from(vec![b' '; 5 * 1024 * 1024]);
    registry.lie("team/app", "1", OCI_MANIFEST, huge);
    let error = client()
        .resolve(&registry.reference("team/app:1"), &Unwatched)
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::TooLarge { .. }), "{error}");

    let server = Canned::start(|_| {
        let mut all = raw("200 OK", &["Content-Type: application/json"]);
        all.resize(all.len() + 5 * 1024 * 1024, b' ');
        all
    });
    let error = client()
        .resolve(&server.reference("app:1"), &Unwatched)
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn survives_what_passes() {
    let registry = TestRegistry::start();
    let image = samples::small();
    registry.push("team/app:1", &image);
    for fault in [
        Fault::Status(503),
        Fault::Hangup,
        Fault::Cut(10),
        Fault::Longer(5),
        Fault::Stall(3),
        Fault::TooManyRequests { retry_after: 1 },
    ] {
        registry.behave();
        registry.fault(On::manifests(), When::Times(2), fault.clone());
        let resolved = impatient()
            .resolve(&registry.reference("team/app:1"), &Unwatched)
            .await;
        assert!(resolved.is_ok(), "{fault:?}: {:?}", resolved.err());
    }
}
