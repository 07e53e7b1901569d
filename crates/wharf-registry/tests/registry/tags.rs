//! Tags, page by page.

use wharf_registry::{RegistryError, RegistryErrorKind};
use wharf_testkit::images::samples;
use wharf_testkit::{Fault, On, TestRegistry, When};

use crate::canned::{Canned, answer};
use crate::common::client;

#[tokio::test]
async fn lists_tags() {
    let registry = TestRegistry::start();
    for tag in ["b", "a", "1.0"] {
        registry.push(&format!("team/app:{tag}"), &samples::small());
    }
    registry.fault(On::path("/tags/list"), When::Times(1), Fault::Status(502));
    let mut tags = client()
        .tags(&registry.reference("team/app"))
        .await
        .unwrap();
    tags.sort();
    assert_eq!(tags, ["1.0", "a", "b"]);
    let error = client()
        .tags(&registry.reference("team/none"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), RegistryErrorKind::NotFound);
}

#[tokio::test]
async fn follows_the_pages_and_passes_over_what_is_no_tag() {
    let server = Canned::start(|asked| match asked.path() {
        "/v2/app/tags/list" => answer(
            "200 OK",
            &["Link: </v2/app/tags/list?last=b&n=2>; rel=\"next\""],
            br#"{"name":"app","tags":["a","b"]}"#,
        ),
        "/v2/app/tags/list?last=b&n=2" => answer(
            "200 OK",
            &["Link: <?last=d&n=2>; rel=next"],
            b"{\"tags\":[\"../c\",\"d\\u001b[2J\",\"d\"]}",
        ),
        _ => answer("200 OK", &[], br#"{"tags":null}"#),
    });
    assert_eq!(
        client().tags(&server.reference("app")).await.unwrap(),
        ["a", "b", "d"]
    );
    assert_eq!(server.paths()[2], "/v2/app/tags/list?last=d&n=2");
}

#[tokio::test]
async fn asks_nobody_else_for_the_next_page() {
    let elsewhere = Canned::start(|_| answer("200 OK", &[], br#"{"tags":["x"]}"#));
    let link = format!(
        "Link: <http://{}/v2/app/tags/list>; rel=\"next\"",
        elsewhere.address
    );
    let server = Canned::start(move |_| answer("200 OK", &[&link], br#"{"tags":["a"]}"#));
    let error = client().tags(&server.reference("app")).await.unwrap_err();
    assert!(matches!(error, RegistryError::Protocol { .. }), "{error}");
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn a_page_that_leads_to_itself_ends_the_list() {
    let server = Canned::start(|_| {
        answer(
            "200 OK",
            &["Link: </v2/app/tags/list?x>; rel=\"next\""],
            br#"{"tags":["a"]}"#,
        )
    });
    let error = client().tags(&server.reference("app")).await.unwrap_err();
    assert!(matches!(error, RegistryError::Protocol { .. }), "{error}");
    assert_eq!(server.paths().len(), 2);
}
