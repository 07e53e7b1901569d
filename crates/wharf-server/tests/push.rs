//! Pushing: in one request, in chunks, after a break, from another repository; and what is refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Api, both, failure, header, is, json, on_disk};
use reqwest::Method;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use wharf_core::Digest;
use wharf_core::media_type::{OCI_INDEX, OCI_MANIFEST};
use wharf_testkit::images::{Content as _, samples};

/// How long a registry may take to notice that a client is gone.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

const TEXT: &[u8] = b"the bytes of a blob, in some chunks";

async fn holds(api: &Api, repository: &str, digest: &Digest) -> bool {
    let response = api.get(&format!("/v2/{repository}/blobs/{digest}")).await;
    response.status() == 200 && response.bytes().await.unwrap() == TEXT
}

#[tokio::test]
async fn takes_a_blob_in_one_or_two_requests() {
    let digest = Digest::of(TEXT);
    for api in both() {
        assert_eq!(api.push_blob("one", TEXT).await, digest);
        assert!(holds(&api, "one", &digest).await);
        let place = api.begin("two").await;
        let response = api.finish(&place, &digest, TEXT).await;
        assert_eq!(response.status(), 201);
        assert_eq!(
            header(&response, "location"),
            format!("/v2/two/blobs/{digest}")
        );
        assert_eq!(header(&response, "docker-content-digest"), digest.as_str());
        assert!(holds(&api, "two", &digest).await);
    }
}

#[tokio::test]
async fn takes_a_blob_in_chunks() {
    let digest = Digest::of(TEXT);
    for api in both() {
        let place = api.begin("team/app").await;
        let first = api.patch(&place, "0-9", &TEXT[..10]).await;
        assert_eq!(
            (first.status().as_u16(), header(&first, "range")),
            (202, "0-9")
        );
        assert!(first.headers().contains_key("docker-upload-uuid"));
        let place = header(&first, "location").to_owned();
        // Without a Content-Range, the chunk goes where the upload stands.
        let second = api
            .request(Method::PATCH, &place)
            .body(&TEXT[10..20])
            .send()
            .await
            .unwrap();
        assert_eq!(header(&second, "range"), "0-19");
        let status = api.get(&place).await;
        assert_eq!(
            (status.status().as_u16(), header(&status, "range")),
            (204, "0-19")
        );
        let last = api.request(Method::PUT, &format!("{place}?digest={digest}"));
        let last = last.header("content-range", format!("20-{}", TEXT.len() - 1));
        assert_eq!(last.body(&TEXT[20..]).send().await.unwrap().status(), 201);
        assert!(holds(&api, "team/app", &digest).await);
        assert_eq!(
            failure(api.get(&place).await).await,
            is(404, "BLOB_UPLOAD_UNKNOWN")
        );
    }
}

#[tokio::test]
async fn refuses_chunks_out_of_order() {
    for api in both() {
        let place = api.begin("team/app").await;
        api.patch(&place, "0-9", &TEXT[..10]).await;
        for range in ["0-9", "5-14", "11-20"] {
            let response = api.patch(&place, range, &TEXT[10..20]).await;
            assert_eq!(header(&response, "range"), "0-9");
            assert_eq!(header(&response, "location"), place);
            assert_eq!(
                failure(response).await,
                is(416, "BLOB_UPLOAD_INVALID"),
                "{range}"
            );
        }
        let nonsense = api.patch(&place, "from here", b"x").await;
        assert_eq!(failure(nonsense).await, is(400, "BLOB_UPLOAD_INVALID"));
        let too_long = api.patch(&place, "10-12", &TEXT[10..20]).await;
        assert_eq!(failure(too_long).await, is(400, "SIZE_INVALID"));
        // Nothing of all this was taken.
        assert_eq!(header(&api.get(&place).await, "range"), "0-9");
    }
}

#[tokio::test]
async fn keeps_what_came_when_the_client_breaks_off() {
    for api in both() {
        let place = api.begin("team/app").await;
        // By hand: a client library would not send a piece and then break off.
        let mut stream = TcpStream::connect(api.registry.address()).await.unwrap();
        let head = format!("PATCH {place} HTTP/1.1\r\nhost: x\r\ncontent-length: 33\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&TEXT[..10]).await.unwrap();
        drop(stream);
        // The registry notices in its own time.
        let noticed = async {
            while header(&api.get(&place).await, "range") != "0-9" {
                tokio::task::yield_now().await;
            }
            loop {
                let rest = api.finish(&place, &Digest::of(TEXT), &TEXT[10..]).await;
                if rest.status() != 503 {
                    break rest;
                }
            }
        };
        let rest = tokio::time::timeout(PATIENCE, noticed).await.unwrap();
        assert_eq!(rest.status(), 201);
        assert!(holds(&api, "team/app", &Digest::of(TEXT)).await);
    }
}

#[tokio::test]
async fn an_upload_outlives_the_registry() {
    let mut api = on_disk();
    let place = api.begin("team/app").await;
    api.patch(&place, "0-9", &TEXT[..10]).await;
    let (store, folder) = api.store.take().unwrap();
    let address = api.registry.address();
    drop(api);
    let backend = std::sync::Arc::new(wharf_server::registry::DiskBackend::new(store.clone()));
    let registry = wharf_testkit::TestRegistry::builder()
        .address(address)
        .backend(backend)
        .start();
    let api = Api::new(registry, Some((store, folder)));
    assert_eq!(header(&api.get(&place).await, "range"), "0-9");
    assert_eq!(
        api.finish(&place, &Digest::of(TEXT), &TEXT[10..])
            .await
            .status(),
        201
    );
}

#[tokio::test]
async fn refuses_bytes_that_are_not_the_digest_s() {
    let digest = Digest::of(b"something else");
    for api in both() {
        let place = api.begin("team/app").await;
        let wrong = api.finish(&place, &digest, TEXT).await;
        assert_eq!(failure(wrong).await, is(400, "DIGEST_INVALID"));
        assert_eq!(api.get(&place).await.status(), 404);
        assert_eq!(
            api.head(&format!("/v2/team/app/blobs/{digest}"))
                .await
                .status(),
            404
        );
        let place = api.begin("team/app").await;
        let none = api.request(Method::PUT, &place).send().await.unwrap();
        assert_eq!(failure(none).await, is(400, "DIGEST_INVALID"));
        let bad = api
            .request(Method::PUT, &format!("{place}?digest=md5:00"))
            .send()
            .await
            .unwrap();
        assert_eq!(failure(bad).await, is(400, "DIGEST_INVALID"));
    }
}

#[tokio::test]
async fn forgets_an_upload_that_is_given_up() {
    for api in both() {
        let place = api.begin("team/app").await;
        assert_eq!(api.delete(&place).await.status(), 204);
        assert_eq!(
            failure(api.get(&place).await).await,
            is(404, "BLOB_UPLOAD_UNKNOWN")
        );
        assert_eq!(api.delete(&place).await.status(), 404);
    }
}

#[tokio::test]
async fn an_upload_belongs_to_its_repository() {
    for api in both() {
        let place = api.begin("team/app").await;
        let elsewhere = place.replace("team/app", "team/other");
        assert_eq!(api.get(&elsewhere).await.status(), 404);
        let stolen = api.finish(&elsewhere, &Digest::of(TEXT), TEXT).await;
        assert_eq!(failure(stolen).await, is(404, "BLOB_UPLOAD_UNKNOWN"));
        assert_eq!(
            api.finish(&place, &Digest::of(TEXT), TEXT).await.status(),
            201
        );
    }
}

#[tokio::test]
async fn mounts_a_blob_of_another_repository() {
    for api in both() {
        let digest = api.push_blob("base", TEXT).await;
        let mount = |from| format!("/v2/team/app/blobs/uploads/?mount={digest}&from={from}");
        let elsewhere = api.post(&mount("nobody")).await;
        assert_eq!(elsewhere.status(), 202);
        let response = api.post(&mount("base")).await;
        assert_eq!(response.status(), 201);
        assert_eq!(
            header(&response, "location"),
            format!("/v2/team/app/blobs/{digest}")
        );
        assert!(holds(&api, "team/app", &digest).await);
        // It's no longer the other repository's business.
        assert_eq!(
            api.delete(&format!("/v2/base/blobs/{digest}"))
                .await
                .status(),
            202
        );
        assert!(!holds(&api, "base", &digest).await);
        assert!(holds(&api, "team/app", &digest).await);
    }
}

#[tokio::test]
async fn names_each_blob_that_a_manifest_lacks() {
    let image = samples::small();
    for api in both() {
        let (config, bytes) = &image.blobs[0];
        api.push_blob("team/app", bytes.clone()).await;
        let media_type = &image.manifest.media_type;
        let put = api
            .put("/v2/team/app/manifests/1", media_type, image.raw.clone())
            .await;
        assert_eq!(put.status(), 400);
        let errors = json(put).await["errors"].as_array().unwrap().clone();
        let lacking: Vec<&str> = errors
            .iter()
            .map(|error| error["detail"]["digest"].as_str().unwrap())
            .collect();
        let layers: Vec<&str> = image
            .layers
            .iter()
            .map(|layer| layer.digest.as_str())
            .collect();
        assert_eq!(lacking, layers);
        assert!(!lacking.contains(&config.digest.as_str()));
        assert_eq!(api.get("/v2/team/app/manifests/1").await.status(), 404);
    }
}

#[tokio::test]
async fn an_index_comes_after_its_images() {
    let index = samples::platforms(&["linux/amd64", "linux/arm64"]);
    for api in both() {
        for (_, bytes) in index.blobs() {
            api.push_blob("team/app", bytes).await;
        }
        let early = api
            .put("/v2/team/app/manifests/1", OCI_INDEX, index.raw.clone())
            .await;
        assert_eq!(failure(early).await, is(400, "MANIFEST_BLOB_UNKNOWN"));
        for (descriptor, raw) in index.manifests() {
            let path = format!("/v2/team/app/manifests/{}", descriptor.digest);
            let put = api.put(&path, &descriptor.media_type, raw).await;
            assert_eq!(put.status(), 201);
            assert_eq!(
                header(&put, "docker-content-digest"),
                descriptor.digest.as_str()
            );
        }
        let tagged = api
            .put("/v2/team/app/manifests/1", OCI_INDEX, index.raw.clone())
            .await;
        assert_eq!(tagged.status(), 201);
        let got = api.get("/v2/team/app/manifests/1").await;
        assert_eq!(got.bytes().await.unwrap(), index.raw);
    }
}

#[tokio::test]
async fn refuses_what_is_no_manifest() {
    let (_, huge) = samples::huge_manifest();
    let other = format!("/v2/team/app/manifests/{}", Digest::of(b"another"));
    let index_and_image = r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#;
    for api in both() {
        let tagged = "/v2/team/app/manifests/1";
        for (path, media_type, raw, expected) in [
            (
                tagged,
                OCI_MANIFEST,
                "not json",
                is(400, "MANIFEST_INVALID"),
            ),
            (
                tagged,
                OCI_INDEX,
                index_and_image,
                is(400, "MANIFEST_INVALID"),
            ),
            (tagged, "text/html", "{}", is(400, "MANIFEST_INVALID")),
            (
                other.as_str(),
                OCI_INDEX,
                r#"{"manifests":[]}"#,
                is(400, "DIGEST_INVALID"),
            ),
            (
                "/v2/team/app/manifests/.1",
                OCI_INDEX,
                "{}",
                is(400, "TAG_INVALID"),
            ),
            (
                "/v2/Team/manifests/1",
                OCI_INDEX,
                "{}",
                is(400, "NAME_INVALID"),
            ),
        ] {
            let response = api.put(path, media_type, raw).await;
            assert_eq!(failure(response).await, expected, "{path} {raw}");
        }
        let response = api.put(tagged, OCI_MANIFEST, huge.clone()).await;
        assert_eq!(failure(response).await, is(413, "SIZE_INVALID"));
        assert_eq!(api.get("/v2/team/app/tags/list").await.status(), 404);
    }
}
