//! Lists in pages: followed to their end or refused, never shortened.

use wharf_core::event::Unwatched;
use wharf_core::media_type::OCI_INDEX;
use wharf_core::{Descriptor, Digest};
use wharf_registry::{RegistryError, RegistryErrorKind};

use crate::canned::{Canned, answer};
use crate::common::client;

/// A registry with two pages of tags. Its `Link` headers are those of the first one.
fn two_pages(links: &'static [&'static str]) -> Canned {
    Canned::start(move |asked| {
        if asked.path().contains("last=") {
            return answer("200 OK", &[], br#"{"tags":["b"]}"#);
        }
        let links: Vec<String> = links.iter().map(|link| format!("Link: {link}")).collect();
        let links: Vec<&str> = links.iter().map(String::as_str).collect();
        answer("200 OK", &links, br#"{"tags":["a"]}"#)
    })
}

#[tokio::test]
async fn issue_12_every_next_page_is_read() {
    let links: &[&[&str]] = &[
        &["</style.css>; rel=preload", "<?last=a>; rel=\"next\""],
        &["<?last=a>; title=\"a, b\"; rel=\"next\""],
        &["<?last=a,b>; rel=next"],
        &["<?last=a>; rel=\"next last\""],
        &["<?last=a>"],
        &["<?last=a>; REL=Next"],
        &["</v2/app/tags/list?last=a>;rel=next"],
        &["<list?n=1&last=a>; rel=\"next\""],
        &["<?last=a>; rel=next; anchor=\"#x\""],
        &["<?n=1>; rel=prev, , <?last=a>; rel=next,"],
        &["<?last=a>; title=\"\\\"; rel=prev\"; rel=next"],
    ];
    for links in links {
        let server = two_pages(links);
        let tags = client().tags(&server.reference("app")).await;
        assert_eq!(tags.unwrap(), ["a", "b"], "{links:?}");
    }
}

#[tokio::test]
async fn issue_12_a_link_that_cannot_be_read_is_an_error() {
    let links: &[&[&str]] = &[
        &["?last=a; rel=next"],
        &["<?last=a; rel=next"],
        &["<?last=a>; rel=\"next"],
        &["<?last=a> rel=next"],
        &["<?n=1>; rel=prev", "<?last=a"],
        &["<?last=a>; rel=next, <?last=b>; rel=next"],
        &["<http://other.invalid/v2/app/tags/list?last=a>; rel=next"],
        &["<//other.invalid/?last=a>"],
        &["<?last=a>; rel=next; anchor=\"/v2/other/tags/list\""],
        &["<>; rel=next"],
        &["<ftp://127.0.0.1/?last=a>; rel=next"],
    ];
    for links in links {
        let server = two_pages(links);
        let error = client().tags(&server.reference("app")).await.unwrap_err();
        assert!(
            matches!(error, RegistryError::Protocol { .. }),
            "{links:?}: {error}"
        );
        assert_eq!(server.paths().len(), 1, "{:?}", server.paths());
    }
}

#[tokio::test]
async fn pages_that_lead_in_a_circle_end() {
    let server = Canned::start(|asked| {
        let next = match asked.path() {
            path if path.ends_with("last=a") => "b",
            path if path.ends_with("last=b") => "c",
            _ => "a",
        };
        let link = format!("Link: <?last={next}>; rel=next");
        answer("200 OK", &[&link], br#"{"tags":["a"]}"#)
    });
    let error = client().tags(&server.reference("app")).await.unwrap_err();
    assert!(error.to_string().contains("lead in a circle"), "{error}");
    assert!(server.paths().len() <= 5, "{:?}", server.paths());
}

#[tokio::test]
async fn a_list_has_a_largest_size() {
    let server = Canned::start(|asked| {
        let page: usize = asked
            .path()
            .rsplit('=')
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(0);
        let tags: Vec<String> = (0..40_000)
            .map(|n| format!("{page:0>40}-{n:0>40}"))
            .collect();
        let body = serde_json::to_vec(&serde_json::json!({ "tags": tags })).unwrap();
        let link = format!("Link: <?last={}>; rel=next", page + 1);
        answer("200 OK", &[&link], &body)
    });
    let error = client().tags(&server.reference("app")).await.unwrap_err();
    assert!(
        error.to_string().contains("lists tags without end"),
        "{error}"
    );
    assert!(server.paths().len() < 12, "{}", server.paths().len());
}

#[tokio::test]
async fn referrers_are_followed_in_the_same_way() {
    let subject = Digest::of(b"subject");
    let page = |name: &str, links: &[&str]| {
        let referrer = Descriptor::of(
            "application/vnd.oci.image.manifest.v1+json",
            name.as_bytes(),
        );
        let body = format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{{"mediaType":"{}","digest":"{}","size":{}}}]}}"#,
            referrer.media_type, referrer.digest, referrer.size
        );
        let mut headers = vec!["Content-Type: application/vnd.oci.image.index.v1+json"];
        headers.extend(links);
        answer("200 OK", &headers, body.as_bytes())
    };
    for (links, count) in [
        (
            vec!["Link: </x>; rel=prev", "Link: <?last=a>; rel=next"],
            Some(2),
        ),
        (
            vec!["Link: <?last=a,b>; title=\"x, y\"; rel=\"last next\""],
            Some(2),
        ),
        (vec!["Link: <?last=a>"], Some(2)),
        (vec![], Some(1)),
        (vec!["Link: <?last=a"], None),
    ] {
        let shown = format!("{links:?}");
        let server = Canned::start(move |asked| {
            let first = !asked.path().contains("last=");
            if first {
                page("one", &links)
            } else {
                page("two", &[])
            }
        });
        let found = client()
            .referrers(&server.reference("app"), &subject, &Unwatched)
            .await;
        match count {
            Some(count) => assert_eq!(found.unwrap().manifests.len(), count, "{shown}"),
            None => assert_eq!(
                found.unwrap_err().kind(),
                RegistryErrorKind::Corrupt,
                "{shown}"
            ),
        }
    }
}
