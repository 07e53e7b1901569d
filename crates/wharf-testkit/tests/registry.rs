//! The test registry serves what it was given, and counts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use reqwest::{Client, Response};
use wharf_core::Digest;
use wharf_testkit::images::samples;
use wharf_testkit::{BuiltImage, Image, TestRegistry};

fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

async fn get(url: &str) -> Response {
    client().get(url).send().await.unwrap()
}

fn blob_url(registry: &TestRegistry, digest: &Digest) -> String {
    format!("{}/v2/team/app/blobs/{digest}", registry.url())
}

fn pushed() -> (TestRegistry, BuiltImage) {
    let registry = TestRegistry::start();
    let image = Image::random(1, 2, 300_000).build();
    registry.push("team/app:1", &image);
    (registry, image)
}

#[tokio::test]
async fn serves_an_image_that_was_pushed_by_a_call() {
    let (registry, image) = pushed();
    let manifest = get(&format!("{}/v2/team/app/manifests/1", registry.url())).await;
    assert_eq!(
        manifest.headers()["content-type"],
        image.manifest.media_type.as_str()
    );
    assert_eq!(
        manifest.headers()["docker-content-digest"],
        image.manifest.digest.as_str()
    );
    assert_eq!(manifest.bytes().await.unwrap(), image.raw);
    for (descriptor, bytes) in &image.blobs {
        let blob = get(&blob_url(&registry, &descriptor.digest)).await;
        assert_eq!(blob.bytes().await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn counts_requests_ranges_and_bytes() {
    let (registry, image) = pushed();
    let layer = &image.layers[0];
    let url = blob_url(&registry, &layer.digest);
    get(&url).await.bytes().await.unwrap();
    let part = client()
        .get(&url)
        .header("range", "bytes=10-19")
        .send()
        .await
        .unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.bytes().await.unwrap().len(), 10);
    client().head(&url).send().await.unwrap();

    assert_eq!(registry.blob_gets(&layer.digest), 2);
    assert_eq!(registry.bytes_served(&layer.digest), layer.size + 10);
    assert_eq!(registry.blob_gets(&image.layers[1].digest), 0);
    let ranges: Vec<_> = registry
        .requests()
        .iter()
        .map(|r| r.range.clone())
        .collect();
    assert_eq!(ranges, [None, Some("bytes=10-19".into()), None]);
    registry.forget_requests();
    assert_eq!(registry.blob_gets(&layer.digest), 0);
}

#[tokio::test]
async fn serves_the_images_of_the_recorded_scenarios() {
    let registry = TestRegistry::with_fixtures();
    assert_eq!(registry.host().len(), "127.0.0.1:5000".len());
    let tags = get(&format!("{}/v2/library/busybox/tags/list", registry.url())).await;
    assert!(tags.text().await.unwrap().contains("\"musl\""));
}

#[tokio::test]
async fn builds_images_whose_bytes_never_change() {
    for build in [
        samples::small,
        samples::every_compression,
        samples::wrong_diff_id,
    ] {
        assert_eq!(build().manifest, build().manifest);
    }
    // Known from a run on another day.
    let diff_id = "sha256:33430c84acb38dd724db1812ad463b6f2e6aa8a2cd6344ea45fa1458c9924d7e";
    assert_eq!(samples::small().diff_ids[1].as_str(), diff_id);
    let many = samples::many_layers(250);
    assert_eq!(many.layers.len(), 250);
    let (digest, index, raw) = samples::index_of_itself();
    assert_eq!(index.size, raw.len() as u64);
    assert!(String::from_utf8_lossy(&raw).contains(digest.as_str()));
    assert!(samples::huge_manifest().1.len() > 5 * 1024 * 1024);
}

#[tokio::test]
async fn frees_its_port_when_it_is_dropped() {
    let registry = TestRegistry::start();
    let address = registry.address();
    drop(registry);
    let again = TestRegistry::builder().address(address).start();
    assert_eq!(get(&format!("{}/v2/", again.url())).await.status(), 200);
}
