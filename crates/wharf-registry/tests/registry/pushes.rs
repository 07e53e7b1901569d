//! Pushing: the contract of every place for content, uploads that break, and what no registry should
//! answer.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use reqwest::Method;
use wharf_core::conformance::{self, Place};
use wharf_core::content::Document;
use wharf_core::event::Unwatched;
use wharf_core::media_type::OCI_LAYER_GZIP;
use wharf_core::{ContentError, Descriptor, Manifest, Reference, Sink as _};
use wharf_registry::{Elsewhere, Registry, RegistryError, RegistryErrorKind, RegistrySink};
use wharf_testkit::images::{Content as _, Image};
use wharf_testkit::registry::Request;
use wharf_testkit::token::TokenSettings;
use wharf_testkit::{Auth, Fault, On, TestRegistry, When};

use crate::common::{Heard, blob, client, impatient, settings};

/// Larger than what goes in one request.
const LARGE: usize = 20 * 1024 * 1024;

fn nowhere() -> Elsewhere {
    Arc::new(|_| Vec::new())
}

fn sink(client: &Registry, repository: &Reference) -> RegistrySink {
    let sink = client.sink(repository, nowhere(), Arc::new(Unwatched));
    sink.unwrap()
}

fn layer(size: usize) -> (Descriptor, Bytes) {
    let bytes: Bytes = (0..size)
        .map(|at| u8::try_from((at * 31 + at / 257) % 251).unwrap())
        .collect();
    (Descriptor::of(OCI_LAYER_GZIP, &bytes), bytes)
}

async fn put(sink: &RegistrySink, what: &Descriptor, bytes: &Bytes) -> Result<(), ContentError> {
    let place = "a test".to_owned();
    let bytes = bytes.clone();
    let source = Arc::new(Document { bytes, place });
    sink.put(what, source, Arc::new(Unwatched)).await
}

/// A client that knows the password of `ops`, which is `secret`.
fn logged_in(registry: &TestRegistry) -> (Registry, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    let host = registry.host();
    let text = format!(r#"{{"auths":{{"{host}":{{"auth":"b3BzOnNlY3JldA=="}}}}}}"#);
    std::fs::write(&file, text).unwrap();
    let mut settings = settings();
    settings.credentials.docker_config = Some(file);
    (Registry::new(settings), folder)
}

fn with(registry: &TestRegistry, method: &Method) -> Vec<Arc<Request>> {
    let mut all = registry.requests();
    all.retain(|request| request.method == *method);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_a_place_for_content() {
    let fresh = || {
        let registry = TestRegistry::start();
        let (client, repository) = (client(), registry.reference("team/app"));
        let source = client.source(&repository, Heard::default().arc());
        let sink = Arc::new(sink(&client, &repository));
        Place::new(sink, Arc::new(source)).keeping(Mutex::new(registry))
    };
    conformance::keeps_what_it_is_given(&fresh()).await;
    conformance::puts_the_same_twice(&fresh()).await;
    conformance::puts_the_same_at_the_same_time(&fresh()).await;
    conformance::refuses_other_bytes(&fresh()).await;
    conformance::refuses_too_few_and_too_many_bytes(&fresh()).await;
    conformance::survives_a_source_that_breaks(&fresh()).await;
    conformance::survives_a_cancelled_put(&fresh()).await;
    conformance::takes_a_source_without_ranges(&fresh()).await;
    conformance::reports_no_more_than_there_is(&fresh()).await;
    conformance::takes_parents_after_their_children(&fresh()).await;
    conformance::refuses_a_manifest_that_is_no_manifest(&fresh()).await;
    // Left out: an index of which a part is missing. Registries refuse it, and so does this one.
}

#[tokio::test]
async fn a_small_blob_goes_in_one_request() {
    let registry = TestRegistry::start();
    let (client, repository) = (client(), registry.reference("team/app"));
    let (what, bytes) = layer(100_000);
    put(&sink(&client, &repository), &what, &bytes)
        .await
        .unwrap();
    assert!(with(&registry, &Method::PATCH).is_empty());
    assert_eq!(with(&registry, &Method::PUT).len(), 1);
    assert_eq!(blob(&client, &repository, &what).await.unwrap(), bytes);
}

#[tokio::test]
async fn an_upload_goes_on_where_it_broke() {
    let registry = TestRegistry::start();
    let (client, repository) = (client(), registry.reference("team/app"));
    let (what, bytes) = layer(LARGE);
    let cut = 12 * 1024 * 1024;
    let patches = On::path("/blobs/uploads/").method(Method::PATCH);
    registry.fault(patches, When::Times(1), Fault::CutRequest(cut));
    put(&sink(&client, &repository), &what, &bytes)
        .await
        .unwrap();
    let ranges: Vec<_> = with(&registry, &Method::PATCH)
        .iter()
        .map(|request| request.content_range.clone())
        .collect();
    let last = what.size - 1;
    assert_eq!(ranges, [None, Some(format!("{cut}-{last}"))]);
    assert_eq!(blob(&client, &repository, &what).await.unwrap(), bytes);
}

#[tokio::test]
async fn goes_on_in_chunks_where_nothing_is_kept_of_what_broke() {
    let registry = TestRegistry::start();
    let (client, repository) = (client(), registry.reference("team/app"));
    let (what, bytes) = layer(LARGE);
    let patches = On::path("/blobs/uploads/").method(Method::PATCH);
    registry.fault(patches, When::Times(1), Fault::Hangup);
    put(&sink(&client, &repository), &what, &bytes)
        .await
        .unwrap();
    let lengths: Vec<_> = with(&registry, &Method::PATCH)
        .iter()
        .map(|request| request.length)
        .collect();
    let chunk = 16 * 1024 * 1024;
    assert_eq!(
        lengths,
        [Some(what.size), Some(chunk), Some(what.size - chunk)]
    );
    assert_eq!(blob(&client, &repository, &what).await.unwrap(), bytes);
}

#[tokio::test]
async fn a_registry_that_takes_only_short_requests_gets_short_ones() {
    let registry = TestRegistry::start();
    let (client, repository) = (client(), registry.reference("team/app"));
    let (what, bytes) = layer(LARGE);
    let patches = On::path("/blobs/uploads/").method(Method::PATCH);
    registry.fault(patches, When::Times(2), Fault::Status(413));
    put(&sink(&client, &repository), &what, &bytes)
        .await
        .unwrap();
    let patches = with(&registry, &Method::PATCH);
    let lengths: Vec<_> = patches
        .iter()
        .filter_map(|request| request.length)
        .collect();
    // Whether the client hears of the 413 or of the connection's end is chance.
    assert_eq!(lengths[0], what.size);
    assert!(
        lengths[2] < lengths[1] && lengths[1] < what.size,
        "{lengths:?}"
    );
    assert_eq!(blob(&client, &repository, &what).await.unwrap(), bytes);
}

#[tokio::test]
async fn the_least_length_of_a_chunk_is_obeyed() {
    let registry = TestRegistry::start();
    let (client, repository) = (client(), registry.reference("team/app"));
    let (what, bytes) = layer(LARGE);
    let least = 18 * 1024 * 1024;
    let posts = On::path("/blobs/uploads/").method(Method::POST);
    let header = Fault::Header("oci-chunk-min-length", least.to_string());
    registry.fault(posts, When::Always, header);
    let patches = On::path("/blobs/uploads/").method(Method::PATCH);
    registry.fault(patches, When::Times(1), Fault::Hangup);
    put(&sink(&client, &repository), &what, &bytes)
        .await
        .unwrap();
    let lengths: Vec<_> = with(&registry, &Method::PATCH)
        .iter()
        .map(|request| request.length)
        .collect();
    assert_eq!(
        lengths,
        [Some(what.size), Some(least), Some(what.size - least)]
    );
}

#[tokio::test]
async fn an_upload_whose_session_is_gone_begins_anew() {
    let registry = TestRegistry::start();
    let (client, repository) = (client(), registry.reference("team/app"));
    let (what, bytes) = layer(LARGE);
    let uploads = || On::path("/blobs/uploads/");
    registry.fault(
        uploads().method(Method::PATCH),
        When::Times(1),
        Fault::CutRequest(1 << 20),
    );
    registry.fault(
        uploads().method(Method::GET),
        When::Times(1),
        Fault::Status(404),
    );
    put(&sink(&client, &repository), &what, &bytes)
        .await
        .unwrap();
    assert_eq!(with(&registry, &Method::POST).len(), 2);
    assert_eq!(blob(&client, &repository, &what).await.unwrap(), bytes);
}

#[tokio::test]
async fn a_registry_that_is_busy_is_asked_again_and_one_that_stays_so_is_not_asked_for_ever() {
    let registry = TestRegistry::start();
    let (client, repository) = (client(), registry.reference("team/app"));
    let (what, bytes) = layer(1000);
    let uploads = || On::path("/blobs/uploads/");
    registry.fault(uploads(), When::Times(2), Fault::Status(503));
    let target = sink(&client, &repository);
    put(&target, &what, &bytes).await.unwrap();
    registry.fault(uploads(), When::Always, Fault::Status(503));
    let (what, bytes) = layer(1001);
    let error = put(&target, &what, &bytes).await.unwrap_err();
    let error = RegistryError::within(&error).unwrap();
    assert_eq!(error.kind(), RegistryErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_registry_that_takes_nothing_is_given_up() {
    let registry = TestRegistry::start();
    let repository = registry.reference("team/app");
    let (what, bytes) = layer(LARGE);
    let patches = On::path("/blobs/uploads/").method(Method::PATCH);
    // The connection stays open, and nobody reads from it.
    registry.fault(patches, When::Times(1), Fault::Deaf);
    put(&sink(&impatient(), &repository), &what, &bytes)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_blob_is_taken_over_from_another_repository() {
    let registry = TestRegistry::start();
    let image = Image::random(7, 1, 300_000).build();
    registry.push("team/app:1", &image);
    let (what, bytes) = image
        .blobs()
        .into_iter()
        .max_by_key(|(what, _)| what.size)
        .unwrap();
    let from = registry.reference("team/app");
    let elsewhere: Elsewhere = Arc::new(move |_| vec![from.clone()]);
    let (client, repository) = (client(), registry.reference("other/app"));
    let heard = Heard::default();
    let target = client
        .sink(&repository, elsewhere, Arc::new(Unwatched))
        .unwrap();
    let source = Arc::new(Document {
        bytes: bytes.clone(),
        place: "a test".to_owned(),
    });
    target.put(&what, source, heard.arc()).await.unwrap();
    assert_eq!(heard.mounts(), ["team/app"]);
    assert!(
        with(&registry, &Method::PUT).is_empty(),
        "{}",
        registry.story()
    );
    assert_eq!(blob(&client, &repository, &what).await.unwrap(), bytes);
}

#[tokio::test]
async fn a_token_is_asked_for_once_for_pulling_and_pushing() {
    let tokens = TokenSettings::user("ops", "secret");
    let registry = TestRegistry::builder().auth(Auth::Token(tokens)).start();
    let (client, _folder) = logged_in(&registry);
    let repository = registry.reference("team/app");
    let target = sink(&client, &repository);
    for size in [10, 11] {
        let (what, bytes) = layer(size);
        put(&target, &what, &bytes).await.unwrap();
    }
    assert_eq!(registry.token_counts().issued, 1, "{}", registry.story());
}

#[tokio::test]
async fn who_may_not_push_is_told_in_the_registry_s_words() {
    let registry = TestRegistry::start();
    let uploads = On::path("/blobs/uploads/").method(Method::POST);
    registry.fault(uploads, When::Always, Fault::Status(403));
    let (what, bytes) = layer(10);
    let target = sink(&client(), &registry.reference("team/app"));
    let error = put(&target, &what, &bytes).await.unwrap_err();
    let error = RegistryError::within(&error).unwrap();
    assert_eq!(error.kind(), RegistryErrorKind::Forbidden);
    assert_eq!(error.to_string(), "denied: the test wants it so");
}

#[tokio::test]
async fn credentials_do_not_follow_an_upload_to_another_origin() {
    let registry = TestRegistry::builder()
        .auth(Auth::basic("ops", "secret"))
        .start();
    let (client, _folder) = logged_in(&registry);
    let repository = registry.reference("team/app");
    let posts = On::path("/blobs/uploads/").method(Method::POST);
    let other = format!("{}/v2/team/app/blobs/uploads/1", registry.other_url());
    registry.fault(posts, When::Always, Fault::Header("location", other));
    let (what, bytes) = layer(10);
    put(&sink(&client, &repository), &what, &bytes)
        .await
        .unwrap_err();
    let strays = registry.requests();
    let strays: Vec<_> = strays
        .iter()
        .filter(|r| r.origin == wharf_testkit::registry::Origin::Other)
        .collect();
    assert!(!strays.is_empty());
    assert!(strays.iter().all(|request| request.authorization.is_none()));
}

#[tokio::test]
async fn a_manifest_that_arrives_as_another_one_is_noticed() {
    let registry = TestRegistry::start();
    let image = Image::random(7, 1, 1000).build();
    registry.push("team/app:1", &image);
    let (what, raw) = image.manifests().into_iter().next().unwrap();
    let manifest = Manifest::parse(&what.media_type, raw).unwrap();
    let manifests = On::manifests().method(Method::PUT);
    registry.fault(manifests, When::Always, Fault::WrongDigest);
    let target = sink(&client(), &registry.reference("team/app"));
    let error = target.tag(&manifest, "2").await.unwrap_err();
    assert!(matches!(error, RegistryError::Mismatch { .. }), "{error}");
}

#[tokio::test]
async fn a_manifest_whose_name_is_known_is_put_once_under_it() {
    let registry = TestRegistry::start();
    let image = Image::random(7, 1, 1000).build();
    registry.push("team/app:1", &image);
    let (what, raw) = image.manifests().into_iter().next().unwrap();
    let manifest = Manifest::parse(&what.media_type, raw.clone()).unwrap();
    let target = sink(&client(), &registry.reference("team/app"));
    let puts = || {
        let paths = with(&registry, &Method::PUT).into_iter();
        paths.map(|put| put.path.clone()).collect::<Vec<_>>()
    };

    put(&target.naming(&what.digest, "2"), &what, &raw)
        .await
        .unwrap();
    target.tag(&manifest, "2").await.unwrap();
    assert_eq!(puts(), ["/v2/team/app/manifests/2"]);

    // A further name is another request; what is no name's manifest goes by its digest.
    target.tag(&manifest, "3").await.unwrap();
    let other = sink(&client(), &registry.reference("team/app"));
    let unnamed = other.naming(&manifest.children()[0].digest, "4");
    put(&unnamed, &what, &raw).await.unwrap();
    let by_digest = format!("/v2/team/app/manifests/{}", what.digest);
    assert_eq!(
        puts()[1..],
        ["/v2/team/app/manifests/3".to_owned(), by_digest]
    );
}
