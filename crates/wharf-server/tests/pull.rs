//! Pulling: manifests, blobs and ranges, and what a stranger does not get.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{both, failure, header, is};
use reqwest::Method;
use wharf_core::Digest;
use wharf_testkit::Image;
use wharf_testkit::images::samples;

#[tokio::test]
async fn says_that_it_is_a_registry() {
    for api in both() {
        for path in ["/v2/", "/v2"] {
            let response = api.get(path).await;
            assert_eq!(response.status(), 200);
            assert_eq!(
                header(&response, "docker-distribution-api-version"),
                "registry/2.0"
            );
        }
        assert_eq!(api.get("/").await.status(), 404);
        assert_eq!(
            api.request(Method::PUT, "/v2/")
                .send()
                .await
                .unwrap()
                .status(),
            405
        );
    }
}

#[tokio::test]
async fn serves_what_was_pushed_byte_for_byte() {
    // Larger than one piece of a file, so that several are read.
    let image = Image::random(9, 2, 900_000).build();
    for api in both() {
        api.registry.push("team/app/deep:1", &image);
        for reference in ["1", image.manifest.digest.as_str()] {
            let path = format!("/v2/team/app/deep/manifests/{reference}");
            let response = api.get(&path).await;
            assert_eq!(header(&response, "content-type"), image.manifest.media_type);
            assert_eq!(
                header(&response, "docker-content-digest"),
                image.manifest.digest.as_str()
            );
            let head = api.head(&path).await;
            assert_eq!(header(&head, "content-length"), image.raw.len().to_string());
            assert!(head.bytes().await.unwrap().is_empty());
            assert_eq!(response.bytes().await.unwrap(), image.raw);
        }
        for (descriptor, bytes) in &image.blobs {
            let path = format!("/v2/team/app/deep/blobs/{}", descriptor.digest);
            let head = api.head(&path).await;
            assert_eq!(header(&head, "content-length"), descriptor.size.to_string());
            let response = api.get(&path).await;
            assert_eq!(
                header(&response, "docker-content-digest"),
                descriptor.digest.as_str()
            );
            assert_eq!(response.bytes().await.unwrap(), bytes);
        }
    }
}

#[tokio::test]
async fn serves_ranges() {
    let image = Image::random(9, 1, 900_000).build();
    let bytes = &image.blobs[1].1;
    let size = bytes.len();
    for api in both() {
        api.registry.push("team/app:1", &image);
        let path = format!("/v2/team/app/blobs/{}", image.layers[0].digest);
        let ranged = async |range: &str| {
            api.request(Method::GET, &path)
                .header("range", range)
                .send()
                .await
                .unwrap()
        };
        let last = size - 1;
        for (range, first, end) in [
            ("bytes=0-0".to_owned(), 0, 1),
            ("bytes=262100-262200".to_owned(), 262_100, 262_201),
            (format!("bytes={last}-"), last, size),
            ("bytes=1000-".to_owned(), 1000, size),
            ("bytes=-5".to_owned(), size - 5, size),
            (format!("bytes=10-{}", size * 2), 10, size),
        ] {
            let response = ranged(&range).await;
            assert_eq!(response.status(), 206, "{range}");
            let expected = format!("bytes {first}-{}/{size}", end - 1);
            assert_eq!(header(&response, "content-range"), expected);
            assert_eq!(
                response.bytes().await.unwrap(),
                bytes.slice(first..end),
                "{range}"
            );
        }
        let outside = ranged(&format!("bytes={size}-")).await;
        assert_eq!(header(&outside, "content-range"), format!("bytes */{size}"));
        assert_eq!(outside.status(), 416);
        for range in ["bytes=5-3", "bytes=0-1,3-4", "pages=1-2"] {
            assert_eq!(ranged(range).await.status(), 200, "{range}");
        }
        let stale = api.request(Method::GET, &path).header("range", "bytes=0-1");
        let stale = stale.header("if-range", "\"other\"").send().await.unwrap();
        assert_eq!(stale.status(), 200);
    }
}

#[tokio::test]
async fn does_not_send_again_what_the_client_has() {
    let image = samples::small();
    for api in both() {
        api.registry.push("team/app:1", &image);
        for path in [
            "/v2/team/app/manifests/1".to_owned(),
            format!("/v2/team/app/blobs/{}", image.layers[0].digest),
        ] {
            let etag = header(&api.get(&path).await, "etag").to_owned();
            let again = api
                .request(Method::GET, &path)
                .header("if-none-match", etag);
            assert_eq!(again.send().await.unwrap().status(), 304);
        }
    }
}

#[tokio::test]
async fn says_what_it_does_not_know() {
    let unknown = Digest::of(b"nobody pushed this");
    for api in both() {
        api.registry.push("team/app:1", &samples::small());
        for (path, expected) in [
            (
                "/v2/team/app/manifests/2".to_owned(),
                is(404, "MANIFEST_UNKNOWN"),
            ),
            (
                "/v2/team/app/manifests/.hidden".to_owned(),
                is(404, "MANIFEST_UNKNOWN"),
            ),
            (
                format!("/v2/team/app/manifests/{unknown}"),
                is(404, "MANIFEST_UNKNOWN"),
            ),
            (
                "/v2/other/app/manifests/1".to_owned(),
                is(404, "MANIFEST_UNKNOWN"),
            ),
            (
                format!("/v2/team/app/blobs/{unknown}"),
                is(404, "BLOB_UNKNOWN"),
            ),
            (
                "/v2/team/app/blobs/sha256:12".to_owned(),
                is(400, "DIGEST_INVALID"),
            ),
            (
                "/v2/Team/app/manifests/1".to_owned(),
                is(400, "NAME_INVALID"),
            ),
            ("/v2/team/app/nothing".to_owned(), is(404, "UNSUPPORTED")),
        ] {
            assert_eq!(failure(api.get(&path).await).await, expected, "{path}");
            let head = api.head(&path).await;
            assert_eq!(head.status(), expected.0);
        }
    }
}

/// CVE-2024-39897: a digest is no password.
#[tokio::test]
async fn a_digest_opens_nothing_in_another_repository() {
    let image = samples::small();
    let secret = &image.layers[0].digest;
    for api in both() {
        api.registry.push("secret/app:1", &image);
        api.registry
            .push("public/app:1", &Image::random(5, 1, 100).build());
        for repository in ["public/app", "nobody/knows", "secret"] {
            let blob = format!("/v2/{repository}/blobs/{secret}");
            assert_eq!(failure(api.get(&blob).await).await, is(404, "BLOB_UNKNOWN"));
            assert_eq!(api.head(&blob).await.status(), 404);
            assert_eq!(api.delete(&blob).await.status(), 404);
            let manifest = format!("/v2/{repository}/manifests/{}", image.manifest.digest);
            assert_eq!(
                failure(api.get(&manifest).await).await,
                is(404, "MANIFEST_UNKNOWN")
            );
            // A mount without a source would be a question whether anybody has it.
            for from in ["", "&from=public/app"] {
                let path = format!("/v2/{repository}/blobs/uploads/?mount={secret}{from}");
                assert_eq!(api.post(&path).await.status(), 202);
            }
            assert_eq!(api.head(&blob).await.status(), 404);
        }
        let manifest = "/v2/public/app/manifests/stolen";
        let put = api
            .put(manifest, &image.manifest.media_type, image.raw.clone())
            .await;
        assert_eq!(failure(put).await, is(400, "MANIFEST_BLOB_UNKNOWN"));
    }
}
