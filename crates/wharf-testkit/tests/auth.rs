//! Passwords, tokens and certificates are asked for, and wrong ones are refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, Identity, Response, StatusCode};
use serde_json::Value;
use wharf_testkit::certs::{Authority, Flaw};
use wharf_testkit::images::samples;
use wharf_testkit::token::TokenSettings;
use wharf_testkit::{Auth, Fault, On, TestRegistry, Tls, TlsProxy, When};

fn client() -> ClientBuilder {
    Client::builder().no_proxy()
}

fn registry(auth: Auth) -> TestRegistry {
    let registry = TestRegistry::builder().auth(auth).start();
    registry.push("team/app:1", &samples::small());
    registry
}

fn manifest(registry: &TestRegistry) -> String {
    format!("{}/v2/team/app/manifests/1", registry.url())
}

async fn with_token(registry: &TestRegistry, token: &str) -> Response {
    let client = client().build().unwrap();
    client
        .get(manifest(registry))
        .bearer_auth(token)
        .send()
        .await
        .unwrap()
}

fn challenge(response: &Response) -> &str {
    response.headers()["www-authenticate"].to_str().unwrap()
}

/// A token for `scope` from the registry's own service, by GET.
async fn token(registry: &TestRegistry, user: Option<(&str, &str)>, scope: &str) -> Response {
    let query = format!("service=registry.test&scope={scope}&offline_token=true");
    let request = client()
        .build()
        .unwrap()
        .get(format!("{}/token?{query}", registry.url()));
    let request = match user {
        Some((user, password)) => request.basic_auth(user, Some(password)),
        None => request,
    };
    request.send().await.unwrap()
}

async fn field(response: Response, name: &str) -> String {
    let answer: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    answer[name].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn asks_for_a_password() {
    let registry = registry(Auth::basic("user", "secret"));
    let client = client().build().unwrap();
    let request = || client.get(manifest(&registry));
    let none = request().send().await.unwrap();
    assert_eq!(none.status(), StatusCode::UNAUTHORIZED);
    assert!(challenge(&none).starts_with("Basic realm="));
    let wrong = request()
        .basic_auth("user", Some("wrong"))
        .send()
        .await
        .unwrap();
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    let right = request()
        .basic_auth("user", Some("secret"))
        .send()
        .await
        .unwrap();
    assert_eq!(right.status(), StatusCode::OK);
}

#[tokio::test]
async fn asks_for_a_token_of_the_right_scope() {
    let registry = registry(Auth::Token(TokenSettings::user("user", "secret")));
    let none = with_token(&registry, "made-up").await;
    assert_eq!(none.status(), StatusCode::UNAUTHORIZED);
    let expected = format!(
        "Bearer realm=\"{}/token\",service=\"registry.test\",scope=\"repository:team/app:pull\"",
        registry.url()
    );
    assert_eq!(challenge(&none), expected);

    let pull = "repository:team/app:pull";
    let user = Some(("user", "secret"));
    assert_eq!(
        token(&registry, None, pull).await.status(),
        StatusCode::UNAUTHORIZED
    );
    let wrong = Some(("user", "wrong"));
    assert_eq!(
        token(&registry, wrong, pull).await.status(),
        StatusCode::UNAUTHORIZED
    );
    let other = field(
        token(&registry, user, "repository:team/other:pull").await,
        "token",
    )
    .await;
    let refused = with_token(&registry, &other).await;
    assert!(challenge(&refused).ends_with(",error=\"insufficient_scope\""));
    let right = field(token(&registry, user, pull).await, "token").await;
    assert_eq!(with_token(&registry, &right).await.status(), StatusCode::OK);

    let counts = registry.token_counts();
    assert_eq!((counts.issued, counts.refused), (2, 2));
    registry.tokens().unwrap().revoke_all();
    assert_eq!(
        with_token(&registry, &right).await.status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn gives_tokens_for_passwords_and_refresh_tokens_by_post() {
    let registry = registry(Auth::Token(TokenSettings::user("user", "se/cret +1")));
    let post = async |form: &str| {
        let url = format!("{}/token", registry.url());
        let body = format!("service=registry.test&scope=repository%3Ateam%2Fapp%3Apull&{form}");
        let request = client().build().unwrap().post(url).body(body);
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .send()
            .await
            .unwrap()
    };
    let form = "grant_type=password&username=user&password=se%2Fcret+%2B1&access_type=offline";
    let answer = post(form).await;
    let refresh = field(answer, "refresh_token").await;
    let answer = post(&format!("grant_type=refresh_token&refresh_token={refresh}")).await;
    let right = field(answer, "access_token").await;
    assert_eq!(with_token(&registry, &right).await.status(), StatusCode::OK);
    let made_up = post("grant_type=refresh_token&refresh_token=made-up").await;
    assert_eq!(made_up.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        post("grant_type=nothing").await.status(),
        StatusCode::BAD_REQUEST
    );
    assert_eq!(registry.token_counts().refreshed, 1);
}

#[tokio::test]
async fn tokens_end_after_their_uses_and_their_time() {
    let pull = "repository:team/app:pull";
    let settings = TokenSettings {
        uses: Some(2),
        ..TokenSettings::anonymous()
    };
    let counted = registry(Auth::Token(settings));
    let twice = field(token(&counted, None, pull).await, "token").await;
    for expected in [StatusCode::OK, StatusCode::OK, StatusCode::UNAUTHORIZED] {
        assert_eq!(with_token(&counted, &twice).await.status(), expected);
    }
    let settings = TokenSettings {
        lifetime: Duration::ZERO,
        ..TokenSettings::anonymous()
    };
    let hasty = registry(Auth::Token(settings));
    let late = field(token(&hasty, None, pull).await, "token").await;
    assert_eq!(
        with_token(&hasty, &late).await.status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn strangers_may_pull_and_not_push() {
    let registry = registry(Auth::Token(TokenSettings::anonymous()));
    let both = field(
        token(&registry, None, "repository:team/app:pull,push").await,
        "token",
    )
    .await;
    assert_eq!(with_token(&registry, &both).await.status(), StatusCode::OK);
    let url = format!("{}/v2/team/app/blobs/uploads/", registry.url());
    let push = client()
        .build()
        .unwrap()
        .post(url)
        .bearer_auth(both)
        .send()
        .await
        .unwrap();
    assert_eq!(push.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_good_token_can_be_refused() {
    let registry = registry(Auth::Token(TokenSettings::anonymous()));
    let right = token(&registry, None, "repository:team/app:pull").await;
    let right = field(right, "token").await;
    registry.fault(On::manifests(), When::Times(1), Fault::Unauthorized);
    let refused = with_token(&registry, &right).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(challenge(&refused).starts_with("Bearer "));
    assert_eq!(with_token(&registry, &right).await.status(), StatusCode::OK);
}

/// What a client that trusts `authority` gets to see.
async fn over_tls(url: &str, authority: &Authority, pem: Option<&str>) -> reqwest::Result<u16> {
    let root = Certificate::from_pem(authority.certificate().as_bytes())?;
    let mut builder = client().tls_certs_only([root]);
    if let Some(pem) = pem {
        builder = builder.identity(Identity::from_pem(pem.as_bytes())?);
    }
    Ok(builder.build()?.get(url).send().await?.status().as_u16())
}

#[tokio::test]
async fn shows_certificates_with_the_flaws_that_were_wished_for() {
    for (flaw, good) in [
        (Flaw::None, true),
        (Flaw::Expired, false),
        (Flaw::WrongHost, false),
    ] {
        let registry = TestRegistry::builder()
            .tls(Tls {
                flaw,
                clients: false,
            })
            .start();
        let url = format!("{}/v2/", registry.url());
        let seen = over_tls(&url, registry.authority().unwrap(), None).await;
        assert_eq!(seen.is_ok(), good, "{flaw:?}: {seen:?}");
        assert!(
            over_tls(&url, &Authority::new("another one"), None)
                .await
                .is_err()
        );
    }
}

#[tokio::test]
async fn asks_clients_for_certificates() {
    let tls = Tls {
        flaw: Flaw::None,
        clients: true,
    };
    let registry = TestRegistry::builder().tls(tls).start();
    let url = format!("{}/v2/", registry.url());
    let authority = registry.authority().unwrap();
    assert!(over_tls(&url, authority, None).await.is_err());

    let folder = tempfile::tempdir().unwrap();
    registry.write_certs_d(folder.path()).unwrap();
    let folder = folder.path().join(registry.host());
    let read = |name| std::fs::read_to_string(folder.join(name)).unwrap();
    let pem = format!("{}{}", read("client.cert"), read("client.key"));
    assert_eq!(over_tls(&url, authority, Some(&pem)).await.unwrap(), 200);
    assert_eq!(read("ca.crt"), authority.certificate());
    let other = Authority::new("another one").client("a stranger");
    let pem = format!("{}{}", other.certificate, other.key);
    assert!(over_tls(&url, authority, Some(&pem)).await.is_err());
}

#[tokio::test]
async fn puts_tls_in_front_of_a_registry_without() {
    let registry = registry(Auth::None);
    let proxy = TlsProxy::start(registry.address(), Tls::default());
    let url = format!("https://{}/v2/team/app/manifests/1", proxy.host());
    assert_eq!(over_tls(&url, proxy.authority(), None).await.unwrap(), 200);
    assert!(
        over_tls(&url, &Authority::new("another one"), None)
            .await
            .is_err()
    );
}
