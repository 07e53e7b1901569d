//! Mirrors: asked first, passed over when they fail, never trusted more than the registry.

use wharf_core::event::Unwatched;
use wharf_core::{Reference, Source as _};
use wharf_registry::{Registry, RegistryErrorKind};
use wharf_testkit::images::{BuiltImage, Content as _, Image};
use wharf_testkit::{Auth, Fault, On, TestRegistry, When};

use crate::canned::{Canned, answer};
use crate::common::{Heard, blob, client, drain, mirrored};

struct Stage {
    registry: TestRegistry,
    mirror: TestRegistry,
    image: BuiltImage,
    reference: Reference,
    client: Registry,
}

/// A registry and a mirror with the same image.
fn stage() -> Stage {
    let (registry, mirror) = (TestRegistry::start(), TestRegistry::start());
    let image = Image::random(3, 1, 200_000).build();
    registry.push("team/app:1", &image);
    mirror.push("team/app:1", &image);
    let reference = registry.reference("team/app:1");
    let client = Registry::new(mirrored(&registry.host(), &[mirror.url().to_owned()]));
    Stage {
        registry,
        mirror,
        image,
        reference,
        client,
    }
}

impl Stage {
    async fn pull(&self) -> String {
        let resolved = self
            .client
            .resolve(&self.reference, &Unwatched)
            .await
            .unwrap();
        assert_eq!(
            resolved.manifest.descriptor.digest,
            self.image.manifest.digest
        );
        for (what, bytes) in self.image.blobs() {
            assert!(blob(&self.client, &self.reference, &what).await.unwrap() == bytes);
        }
        resolved.place
    }
}

#[tokio::test]
async fn a_mirror_that_has_everything_is_all_that_is_asked() {
    let stage = stage();
    assert_eq!(stage.pull().await, stage.mirror.host());
    assert!(
        stage.registry.requests().is_empty(),
        "{}",
        stage.registry.story()
    );
    let query = format!("ns={}", stage.registry.host().replace(':', "%3A"));
    assert!(
        stage
            .mirror
            .requests()
            .iter()
            .all(|request| request.query == query)
    );
}

#[tokio::test]
async fn a_mirror_that_fails_is_passed_over() {
    for fault in [
        Fault::Status(404),
        Fault::Status(500),
        Fault::Unauthorized,
        Fault::Status(403),
        Fault::Hangup,
        Fault::WrongDigest,
        Fault::Flip(3),
        Fault::TooManyRequests { retry_after: 1 },
    ] {
        let stage = stage();
        stage
            .mirror
            .fault(On::manifests(), When::Always, fault.clone());
        let asked = stage.mirror.requests().len();
        assert_eq!(stage.pull().await, stage.registry.host(), "{fault:?}");
        assert_eq!(asked, 0);
        assert_eq!(
            stage.mirror.requests().len(),
            1,
            "no second attempt at a mirror: {fault:?}"
        );
    }
}

#[tokio::test]
async fn a_mirror_that_is_down_is_asked_once() {
    let registry = TestRegistry::start();
    let image = Image::random(3, 2, 1_000).build();
    registry.push("team/app:1", &image);
    let mirror = TestRegistry::start();
    let down = mirror.host();
    drop(mirror);
    let client = Registry::new(mirrored(&registry.host(), &[format!("http://{down}")]));
    let reference = registry.reference("team/app:1");
    client.resolve(&reference, &Unwatched).await.unwrap();
    // Whoever listens there now is not asked.
    let late = TestRegistry::builder()
        .address(down.parse().unwrap())
        .start();
    for (what, bytes) in image.blobs() {
        assert!(blob(&client, &reference, &what).await.unwrap() == bytes);
    }
    client.resolve(&reference, &Unwatched).await.unwrap();
    assert!(late.requests().is_empty());
}

#[tokio::test]
async fn a_blob_that_breaks_off_at_a_mirror_goes_on_at_the_registry() {
    let stage = stage();
    let (layer, bytes) = stage
        .image
        .blobs()
        .into_iter()
        .max_by_key(|(what, _)| what.size)
        .unwrap();
    stage
        .client
        .resolve(&stage.reference, &Unwatched)
        .await
        .unwrap();
    stage
        .mirror
        .fault(On::blobs(), When::Times(1), Fault::Cut(80_000));
    stage
        .mirror
        .fault(On::blobs(), When::Always, Fault::Status(404));
    let source = stage
        .client
        .source(&stage.reference, Heard::default().arc());
    let (read, error) = drain(source.open(&layer, 0..layer.size).await.unwrap()).await;
    assert!(error.is_none(), "{error:?}");
    assert!(read == bytes);
    let range = stage.registry.requests().last().unwrap().range.clone();
    assert_eq!(range, Some(format!("bytes=80000-{}", layer.size - 1)));
}

#[tokio::test]
async fn without_the_registry_a_mirror_gets_its_patience() {
    // A site without a way out: what a mirror has begun, it may finish, however often it breaks.
    let mut stage = stage();
    stage
        .client
        .resolve(&stage.reference, &Unwatched)
        .await
        .unwrap();
    let (layer, bytes) = stage
        .image
        .blobs()
        .into_iter()
        .max_by_key(|(what, _)| what.size)
        .unwrap();
    stage.registry = TestRegistry::start();
    stage
        .mirror
        .fault(On::blobs(), When::Times(3), Fault::Cut(20_000));
    assert!(blob(&stage.client, &stage.reference, &layer).await.unwrap() == bytes);
}

#[tokio::test]
async fn what_the_registry_says_is_what_the_user_hears() {
    let stage = stage();
    stage
        .mirror
        .fault(On::any(), When::Always, Fault::Status(403));
    let missing = stage.registry.reference("team/app:nope");
    let error = stage
        .client
        .resolve(&missing, &Unwatched)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), RegistryErrorKind::NotFound);
}

#[tokio::test]
async fn a_mirror_may_have_a_path_of_its_own() {
    let registry = TestRegistry::start();
    let mirror = TestRegistry::builder()
        .auth(Auth::Token(wharf_testkit::token::TokenSettings::anonymous()))
        .start();
    let image = Image::random(3, 1, 1_000).build();
    mirror.push("proxy/hub/team/app:1", &image);
    let address = format!("{}/proxy/hub/", mirror.url());
    let client = Registry::new(mirrored(&registry.host(), &[address]));
    let resolved = client
        .resolve(&registry.reference("team/app:1"), &Unwatched)
        .await
        .unwrap();
    assert_eq!(resolved.place, mirror.host());
    for (what, bytes) in image.blobs() {
        assert!(
            blob(&client, &registry.reference("team/app"), &what)
                .await
                .unwrap()
                == bytes
        );
    }
}

#[tokio::test]
async fn a_mirror_that_cannot_be_an_address_is_an_error() {
    let registry = TestRegistry::start();
    let client = Registry::new(mirrored(&registry.host(), &["ftp://mirror".to_owned()]));
    let error = client
        .resolve(&registry.reference("a:1"), &Unwatched)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), RegistryErrorKind::Invalid);
    assert!(
        error
            .to_string()
            .starts_with("mirror ftp://mirror of 127.0.0.1:"),
        "{error}"
    );
}

#[tokio::test]
async fn loopback_is_asked_once_which_scheme_it_speaks() {
    let server = Canned::start(|asked| match asked.path() {
        "/v2/" => answer("200 OK", &[], b"{}"),
        _ => answer("200 OK", &[], br#"{"tags":["a"]}"#),
    });
    let client = client();
    for _ in 0..3 {
        client.tags(&server.reference("app")).await.unwrap();
    }
    let pings = server
        .asked()
        .iter()
        .filter(|asked| asked.path() == "/v2/")
        .count();
    assert_eq!(pings, 1);
}
