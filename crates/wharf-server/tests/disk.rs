//! The registry and the commands on this machine see one store.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Api, failure, is, json, on_disk};
use wharf_core::Reference;
use wharf_store::{Store, StoreError};
use wharf_testkit::images::samples;

fn store(api: &Api) -> &Store {
    &api.store.as_ref().unwrap().0
}

fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_pushed_image_is_an_image_of_the_store() {
    let api = on_disk();
    let image = samples::small();
    api.registry.push("team/app:1", &image);
    let found = store(&api)
        .read(|rows| rows.name(&name("wharf.internal/team/app:1")))
        .unwrap();
    let found = found.unwrap();
    assert_eq!(found.target, image.manifest.digest);
    assert_eq!(found.image, Some(image.config.digest));
    assert_eq!(store(&api).read(|rows| rows.images()).unwrap().len(), 1);
}

#[tokio::test]
async fn an_image_that_is_named_here_is_offered_to_clients() {
    let api = on_disk();
    let index = samples::platforms(&["linux/amd64", "linux/arm64"]);
    api.registry.push("team/app:1", &index);
    let tag = |rows: &mut wharf_store::Writing<'_>| {
        let image = index.images[0].config.digest.clone();
        rows.set_name(
            &name("wharf.internal/shown:2"),
            &index.index.digest,
            Some(&image),
        )
    };
    store(&api).write(tag).unwrap();
    assert_eq!(
        json(api.get("/v2/shown/tags/list").await).await["tags"][0],
        "2"
    );
    let got = api.get("/v2/shown/manifests/2").await;
    assert_eq!(got.bytes().await.unwrap(), index.raw);
    for child in &index.images {
        let manifest = api
            .get(&format!("/v2/shown/manifests/{}", child.manifest.digest))
            .await;
        assert_eq!(manifest.status(), 200);
        for (blob, bytes) in &child.blobs {
            let blob = api.get(&format!("/v2/shown/blobs/{}", blob.digest)).await;
            assert_eq!(blob.bytes().await.unwrap(), bytes);
        }
    }
}

#[tokio::test]
async fn images_of_other_registries_are_not_offered() {
    let api = on_disk();
    let image = samples::small();
    api.registry.push("team/app:1", &image);
    let tag = |rows: &mut wharf_store::Writing<'_>| {
        rows.set_name(
            &name("busybox:1"),
            &image.manifest.digest,
            Some(&image.config.digest),
        )
    };
    store(&api).write(tag).unwrap();
    let unknown = api.get("/v2/library/busybox/manifests/1").await;
    assert_eq!(failure(unknown).await, is(404, "MANIFEST_UNKNOWN"));
    let names = json(api.get("/v2/_catalog").await).await;
    assert_eq!(names["repositories"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_deleted_frees_its_space() {
    let api = on_disk();
    let image = samples::small();
    api.registry.push("team/app:1", &image);
    let digest = &image.manifest.digest;
    let path = format!("/v2/team/app/manifests/{digest}");
    assert_eq!(api.delete(&path).await.status(), 202);
    let here = |digest| store(&api).blob(digest).unwrap().is_some();
    assert!(!here(digest));
    assert!(store(&api).read(|rows| rows.images()).unwrap().is_empty());
    for (blob, _) in &image.blobs {
        api.delete(&format!("/v2/team/app/blobs/{}", blob.digest))
            .await;
        assert!(!here(&blob.digest));
    }
}

#[tokio::test]
async fn an_image_with_another_name_outlives_its_repository() {
    let api = on_disk();
    let image = samples::small();
    api.registry.push("team/app:1", &image);
    let tag = |rows: &mut wharf_store::Writing<'_>| {
        rows.set_name(
            &name("mine:1"),
            &image.manifest.digest,
            Some(&image.config.digest),
        )
    };
    store(&api).write(tag).unwrap();
    let path = format!("/v2/team/app/manifests/{}", image.manifest.digest);
    assert_eq!(api.delete(&path).await.status(), 202);
    let names = store(&api)
        .read(|rows| rows.names_of(&image.config.digest))
        .unwrap();
    assert_eq!(names.len(), 1);
    assert!(store(&api).blob(&image.layers[0].digest).unwrap().is_some());
}

#[tokio::test]
async fn a_damaged_blob_is_not_served() {
    let api = on_disk();
    let image = samples::small();
    api.registry.push("team/app:1", &image);
    let hex = image.layers[0].digest.hex();
    let file = store(&api)
        .root()
        .join("blobs/sha256")
        .join(&hex[..2])
        .join(hex);
    std::fs::remove_file(&file).unwrap();
    let blob = api
        .get(&format!("/v2/team/app/blobs/{}", image.layers[0].digest))
        .await;
    let (status, code) = failure(blob).await;
    assert_eq!((status, code.as_str()), (500, "UNKNOWN"));
}

#[tokio::test]
async fn artifacts_and_odd_configs_are_kept() {
    let api = on_disk();
    let artifact = samples::artifact("application/vnd.example.sbom", &samples::small().manifest);
    api.registry.push("team/app:sbom", &artifact);
    api.registry
        .push("team/app:wrong", &samples::wrong_diff_id());
    for tag in ["sbom", "wrong"] {
        assert_eq!(
            api.get(&format!("/v2/team/app/manifests/{tag}"))
                .await
                .status(),
            200
        );
    }
    let found = store(&api).read(|rows| {
        let name = rows.name(&name("wharf.internal/team/app:sbom"))?;
        Ok::<_, StoreError>(name.unwrap())
    });
    assert_eq!(found.unwrap().image, None);
}
