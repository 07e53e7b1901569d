//! Challenges as servers send them: right credentials are shown, whatever the header looks like.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use wharf_registry::{CredentialSettings, Registry, RegistryError, RegistryErrorKind, Settings};

use crate::canned::{Asked, Canned, answer};
use crate::common::{client, settings};

/// `ops:secret`
const AUTH: &str = "b3BzOnNlY3JldA==";

/// A client that is logged in at a server.
fn logged_in(home: &TempDir, server: &Canned) -> Registry {
    with_config(
        home,
        &format!(
            r#"{{"auths":{{"{}":{{"auth":"{AUTH}"}}}}}}"#,
            server.address
        ),
    )
}

fn with_config(home: &TempDir, config: &str) -> Registry {
    let path = home.path().join("config.json");
    fs::write(&path, config).unwrap();
    Registry::new(Settings {
        credentials: CredentialSettings {
            docker_config: Some(path),
            ..CredentialSettings::default()
        },
        ..settings()
    })
}

/// A 401 with these headers, byte for byte. `HOST` stands for the server's own address.
fn unauthorized(asked: &Asked, headers: &[&[u8]]) -> Vec<u8> {
    let host = asked.header("host").unwrap().as_bytes();
    let mut bytes =
        b"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n".to_vec();
    for header in headers {
        bytes.extend_from_slice(b"WWW-Authenticate: ");
        let mut rest = *header;
        while let Some(at) = rest.windows(4).position(|window| window == b"HOST") {
            bytes.extend_from_slice(&rest[..at]);
            bytes.extend_from_slice(host);
            rest = &rest[at + 4..];
        }
        bytes.extend_from_slice(rest);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// A registry that wants what the headers say, and is content with `accepted`.
fn registry(headers: &'static [&'static [u8]], accepted: &'static str) -> Canned {
    Canned::start(
        move |asked| match (asked.path(), asked.header("authorization")) {
            (path, Some(given)) if path.starts_with("/token") && given.starts_with("Basic ") => {
                answer("200 OK", &[], br#"{"token":"t"}"#)
            }
            ("/v2/app/tags/list", Some(given)) if given == accepted => {
                answer("200 OK", &[], br#"{"tags":["a"]}"#)
            }
            _ => unauthorized(asked, headers),
        },
    )
}

#[tokio::test]
async fn issue_12_shows_a_password_to_every_basic_challenge() {
    let challenges: &[&[&[u8]]] = &[
        &[b"Basic"],
        &[b"Basic realm=/"],
        &[b"Basic realm=My Registry"],
        &[b"Basic realm=\"\""],
        &[b"BASIC REALM=\"x\""],
        &[b"basic  realm=\"x\""],
        &[b"Basic\trealm=\"x\""],
        &[b"Basic realm='x y'"],
        &[b"Basic realm=\"B\xc3\xbcro\""],
        &[b"Basic realm=\"B\xfcro\""],
        &[b"Basic realm=B\xfcro, charset=\"UTF-8\""],
        &[b"Basic realm=\"x"],
        &[b"Basic realm=\"a \"b\" c\""],
        &[b"Basic realm=\"a\\\"b\","],
        &[b", Basic realm=x"],
        &[b"Negotiate, Basic realm=x"],
        &[b"Negotiate oRQwEqADCgEBoQsGCSqGSIb3EgECAg==, Basic realm=\"x\""],
        &[b"Negotiate", b"NTLM", b"Basic realm=\"x\""],
        &[b"Digest realm=\"a, b\", nonce=\"c\", Basic realm=x"],
        &[b"Bearer service=\"x\"", b"Basic realm=x"],
        &[b"Bearer realm=\"nowhere\", Basic realm=x"],
    ];
    for headers in challenges {
        let server = registry(headers, "Basic b3BzOnNlY3JldA==");
        let home = TempDir::new().unwrap();
        let tags = logged_in(&home, &server)
            .tags(&server.reference("app"))
            .await;
        let shown = headers
            .iter()
            .map(|header| header.escape_ascii().to_string());
        assert_eq!(tags.unwrap(), ["a"], "{:?}", shown.collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn issue_12_gets_a_token_for_every_bearer_challenge() {
    let challenges: &[&[&[u8]]] = &[
        &[b"Bearer realm=\"http://HOST/token\",service=,scope=\"repository:app:pull\""],
        &[b"Bearer realm=\"http://HOST/token\" service=\"s\" scope=\"repository:app:pull\""],
        &[b"Bearer realm=\"http://HOST/token\"; service=\"s\""],
        &[b"Bearer   realm = \"http://HOST/token\" ,\tservice=\"s\""],
        &[b"bearer\tREALM=http://HOST/token"],
        &[b"Bearer realm='http://HOST/token',service='s'"],
        &[b"Bearer realm=\"http://HOST/token\",service=\"B\xfcro\""],
        &[b"Bearer realm=\"http://HOST/token"],
        &[b"Bearer realm=\"http://HOST/token,service=\"s\""],
        &[b"Bearer realm=\"http:\\/\\/HOST/token\""],
        &[b"Basic realm=\"x\", Bearer realm=\"http://HOST/token\""],
        &[b"Basic realm=\"x\" Bearer realm=\"http://HOST/token\""],
        &[
            b"Basic realm=x",
            b"Negotiate",
            b"Bearer realm=\"http://HOST/token\",",
        ],
    ];
    for headers in challenges {
        let server = registry(headers, "Bearer t");
        let home = TempDir::new().unwrap();
        let tags = logged_in(&home, &server)
            .tags(&server.reference("app"))
            .await;
        let shown = headers
            .iter()
            .map(|header| header.escape_ascii().to_string());
        assert_eq!(tags.unwrap(), ["a"], "{:?}", shown.collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn says_why_a_challenge_cannot_be_met() {
    let challenges: &[(&[&[u8]], &str)] = &[
        (&[b"Bearer service=\"s\""], "the challenge has no realm"),
        (
            &[b"Bearer realm=\"/token\""],
            "is not the address of a token service",
        ),
        (
            &[b"Negotiate", b"NTLM"],
            "the authentication scheme \"negotiate\"; wharf knows Basic and Bearer",
        ),
    ];
    for (headers, words) in challenges {
        let server = registry(headers, "");
        let home = TempDir::new().unwrap();
        let error = logged_in(&home, &server)
            .tags(&server.reference("app"))
            .await
            .unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert!(matches!(error, RegistryError::Protocol { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_registry_may_challenge_at_its_root_only() {
    let server = Canned::start(
        |asked| match (asked.path(), asked.header("authorization")) {
            ("/v2/app/tags/list", Some(_)) => answer("200 OK", &[], br#"{"tags":["a"]}"#),
            ("/v2/", _) => unauthorized(asked, &[b"Basic realm=x"]),
            _ => unauthorized(asked, &[]),
        },
    );
    let home = TempDir::new().unwrap();
    let tags = logged_in(&home, &server)
        .tags(&server.reference("app"))
        .await;
    assert_eq!(tags.unwrap(), ["a"]);
}

/// A registry with tokens `t1`, `t2`, …, which says nothing of what it wants once it was asked for something
/// with the first one. It takes those from `good` on then.
fn expiring(good: usize) -> (Canned, Arc<AtomicUsize>) {
    let issued = Arc::new(AtomicUsize::new(0));
    let (count, uses) = (Arc::clone(&issued), AtomicUsize::new(0));
    let server = Canned::start(move |asked| {
        if asked.path().starts_with("/token") {
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            return answer(
                "200 OK",
                &[],
                format!(r#"{{"token":"t{number}"}}"#).as_bytes(),
            );
        }
        let given = asked
            .header("authorization")
            .and_then(|text| text.strip_prefix("Bearer t"));
        let Some(given) = given.and_then(|text| text.parse::<usize>().ok()) else {
            let silent = uses.load(Ordering::SeqCst) > 0;
            let headers: &[&[u8]] = &[b"Bearer realm=\"http://HOST/token\""];
            return unauthorized(asked, if silent { &[] } else { headers });
        };
        if uses.fetch_add(1, Ordering::SeqCst) == 0 || given >= good {
            return answer("200 OK", &[], br#"{"tags":["a"]}"#);
        }
        let body = br#"{"errors":[{"code":"UNAUTHORIZED","message":"the token was revoked"}]}"#;
        answer("401 Unauthorized", &[], body)
    });
    (server, issued)
}

#[tokio::test]
async fn an_expired_token_without_a_challenge_is_got_anew() {
    let (server, issued) = expiring(2);
    let client = client();
    for _ in 0..3 {
        assert_eq!(client.tags(&server.reference("app")).await.unwrap(), ["a"]);
    }
    assert_eq!(issued.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_new_token_that_is_refused_too_ends_in_the_registry_s_words() {
    let (server, issued) = expiring(usize::MAX);
    let client = client();
    client.tags(&server.reference("app")).await.unwrap();
    let error = client.tags(&server.reference("app")).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("unauthorized: the token was revoked"),
        "{error}"
    );
    assert_eq!(issued.load(Ordering::SeqCst), 2);
    let asked = server
        .paths()
        .iter()
        .filter(|path| path.contains("/tags/"))
        .count();
    assert!(asked <= 4, "{:?}", server.paths());
}

#[tokio::test]
async fn a_refusal_says_why_no_credentials_were_shown() {
    for (config, words) in [
        (
            r#"{"auths":{"HOST":{"auth":"%%secret"}}}"#,
            "auths.\"HOST\" has an auth that is not base64",
        ),
        (r#"{"auths":{"HOST":7}}"#, "auths.\"HOST\" is not an object"),
        (r#"{"auths":"secret"}"#, "auths is not an object"),
        (r#"{"auths":{"HOST":{"auth":"secret","#, "it is not valid"),
    ] {
        for headers in [
            &[b"Basic realm=x".as_slice()] as &[&[u8]],
            &[b"Bearer realm=\"http://HOST/token\""],
        ] {
            let headers: &'static [&'static [u8]] = Box::leak(headers.to_vec().into_boxed_slice());
            let server = registry(headers, "");
            let host = server.address.to_string();
            let home = TempDir::new().unwrap();
            let client = with_config(&home, &config.replace("HOST", &host));
            let error = client.tags(&server.reference("app")).await.unwrap_err();
            assert_eq!(error.kind(), RegistryErrorKind::Unauthorized, "{error}");
            let told = format!("{error} {:?}", error.hint());
            let words = words.replace("HOST", &host);
            assert!(told.replace("\\\"", "\"").contains(&words), "{told}");
            assert!(
                told.contains("config.json") && !told.contains("secret"),
                "{told}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_another_registry_s_entry_changes_nothing() {
    let server = registry(&[b"Basic realm=x"], "Basic b3BzOnNlY3JldA==");
    let home = TempDir::new().unwrap();
    let config = format!(
        r#"{{"credHelpers":{{"other":7,"third":null}},"auths":{{"other":7,"third":null,"fourth":{{"auth":"!"}},"{}":{{"auth":"{AUTH}"}}}}}}"#,
        server.address
    );
    let tags = with_config(&home, &config)
        .tags(&server.reference("app"))
        .await;
    assert_eq!(tags.unwrap(), ["a"]);
}
