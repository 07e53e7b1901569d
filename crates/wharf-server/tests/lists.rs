//! Lists of tags, repositories and referrers; deletions.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Api, both, failure, header, is, json};
use serde_json::{Value, json as value};
use wharf_testkit::Image;
use wharf_testkit::images::samples;

async fn tags(api: &Api, query: &str) -> (Value, Option<String>) {
    let response = api.get(&format!("/v2/team/app/tags/list{query}")).await;
    let link = response
        .headers()
        .get("link")
        .map(|link| link.to_str().unwrap().to_owned());
    let body = json(response).await;
    assert_eq!(body["name"], "team/app");
    (body["tags"].clone(), link)
}

#[tokio::test]
async fn lists_tags_page_by_page() {
    let image = samples::small();
    for api in both() {
        for tag in ["b", "a", "C", "1.0"] {
            api.registry.push(&format!("team/app:{tag}"), &image);
        }
        assert_eq!(tags(&api, "").await, (value!(["1.0", "C", "a", "b"]), None));
        let next = "</v2/team/app/tags/list?last=C&n=2>; rel=\"next\"".to_owned();
        assert_eq!(tags(&api, "?n=2").await, (value!(["1.0", "C"]), Some(next)));
        assert_eq!(tags(&api, "?last=C&n=2").await, (value!(["a", "b"]), None));
        assert_eq!(tags(&api, "?last=zzz").await, (value!([]), None));
        assert_eq!(tags(&api, "?n=0").await, (value!([]), None));
        let wrong = api.get("/v2/team/app/tags/list?n=many").await;
        assert_eq!(failure(wrong).await, is(400, "PAGINATION_NUMBER_INVALID"));
        let unknown = api.get("/v2/team/ap/tags/list").await;
        assert_eq!(failure(unknown).await, is(404, "NAME_UNKNOWN"));
    }
}

#[tokio::test]
async fn lists_repositories_page_by_page() {
    let image = samples::small();
    for api in both() {
        assert_eq!(
            json(api.get("/v2/_catalog").await).await,
            value!({ "repositories": [] })
        );
        for name in [
            "zoo:1",
            "team/app:1",
            "team/app:2",
            "team/app/sub:1",
            "base:1",
        ] {
            api.registry.push(name, &image);
        }
        let all = value!({ "repositories": ["base", "team/app", "team/app/sub", "zoo"] });
        assert_eq!(json(api.get("/v2/_catalog").await).await, all);
        let page = api.get("/v2/_catalog?n=2").await;
        assert_eq!(
            header(&page, "link"),
            "</v2/_catalog?last=team/app&n=2>; rel=\"next\""
        );
        let page = json(api.get("/v2/_catalog?last=team/app&n=2").await).await;
        assert_eq!(page, value!({ "repositories": ["team/app/sub", "zoo"] }));
    }
}

#[tokio::test]
async fn deletes_tags_and_manifests() {
    let image = samples::small();
    let other = Image::random(8, 1, 100).build();
    for api in both() {
        api.registry.push("team/app:1", &image);
        api.registry.push("team/app:2", &image);
        api.registry.push("team/app:3", &other);
        let by_digest = format!("/v2/team/app/manifests/{}", image.manifest.digest);
        assert_eq!(api.delete("/v2/team/app/manifests/1").await.status(), 202);
        assert_eq!(api.delete("/v2/team/app/manifests/1").await.status(), 404);
        // Only the name is gone.
        assert_eq!(api.get(&by_digest).await.status(), 200);
        assert_eq!(tags(&api, "").await.0, value!(["2", "3"]));
        assert_eq!(api.delete(&by_digest).await.status(), 202);
        assert_eq!(
            failure(api.get(&by_digest).await).await,
            is(404, "MANIFEST_UNKNOWN")
        );
        assert_eq!(api.delete(&by_digest).await.status(), 404);
        assert_eq!(tags(&api, "").await.0, value!(["3"]));
        assert_eq!(api.delete("/v2/team/app/manifests/3").await.status(), 202);
        assert_eq!(tags(&api, "").await.0, value!([]));
    }
}

#[tokio::test]
async fn lists_what_refers_to_a_manifest() {
    let image = samples::small();
    let sign = samples::artifact("application/vnd.example.signature", &image.manifest);
    let list = samples::artifact("application/vnd.example.sbom", &image.manifest);
    for api in both() {
        let path = format!("/v2/team/app/referrers/{}", image.manifest.digest);
        // Nobody needs to know the subject.
        let none = api.get(&path).await;
        assert_eq!(
            header(&none, "content-type"),
            "application/vnd.oci.image.index.v1+json"
        );
        assert_eq!(json(none).await["manifests"], value!([]));

        api.registry.push("team/app:1", &image);
        api.registry.push("team/app", &sign);
        for (_, bytes) in &list.blobs {
            api.push_blob("team/app", bytes.clone()).await;
        }
        let by_digest = format!("/v2/team/app/manifests/{}", list.manifest.digest);
        let put = api
            .put(&by_digest, &list.manifest.media_type, list.raw.clone())
            .await;
        assert_eq!(header(&put, "oci-subject"), image.manifest.digest.as_str());

        let all = json(api.get(&path).await).await["manifests"].clone();
        let mut expected = [&sign.manifest.digest, &list.manifest.digest];
        expected.sort_by_key(|digest| digest.to_string());
        let digests: Vec<&Value> = all
            .as_array()
            .unwrap()
            .iter()
            .map(|d| &d["digest"])
            .collect();
        assert_eq!(
            digests,
            expected
                .map(|digest| value!(digest))
                .iter()
                .collect::<Vec<_>>()
        );
        assert_eq!(all[0]["annotations"]["org.example.about"], "a test");

        let filtered = format!("{path}?artifactType=application/vnd.example.sbom");
        let response = api.get(&filtered).await;
        assert_eq!(header(&response, "oci-filters-applied"), "artifactType");
        let only = json(response).await["manifests"].clone();
        assert_eq!(only.as_array().unwrap().len(), 1);
        assert_eq!(only[0]["artifactType"], "application/vnd.example.sbom");

        assert_eq!(api.delete(&by_digest).await.status(), 202);
        let left = json(api.get(&path).await).await["manifests"].clone();
        assert_eq!(left.as_array().unwrap().len(), 1);
        let elsewhere = format!("/v2/team/other/referrers/{}", image.manifest.digest);
        assert_eq!(
            json(api.get(&elsewhere).await).await["manifests"],
            value!([])
        );
    }
}
