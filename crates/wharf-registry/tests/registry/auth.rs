//! Who may pull: passwords, tokens, and where neither of them goes.

use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;
use wharf_core::event::Unwatched;
use wharf_core::media_type::DOCKER_LAYER_FOREIGN;
use wharf_core::{ContentError, Descriptor, Reference, Source as _};
use wharf_registry::{CredentialSettings, Registry, RegistryError, RegistryErrorKind, Settings};
use wharf_testkit::images::{BuiltImage, Content as _, Image, samples};
use wharf_testkit::registry::Origin;
use wharf_testkit::token::TokenSettings;
use wharf_testkit::{Auth, Authority, Fault, On, TestRegistry, When, certs};

use crate::canned::{Canned, answer};
use crate::common::{Heard, blob, client, drain, refused, settings};

fn config(folder: &Path, auths: &str) -> CredentialSettings {
    let path = folder.join("config.json");
    fs::write(&path, format!("{{\"auths\":{{{auths}}}}}")).unwrap();
    CredentialSettings {
        docker_config: Some(path),
        ..CredentialSettings::default()
    }
}

/// A client that is logged in as `user:password`.
fn logged_in(folder: &TempDir, host: &str, pair: &str) -> Registry {
    let auth = STANDARD.encode(pair);
    let credentials = config(
        folder.path(),
        &format!("\"{host}\":{{\"auth\":\"{auth}\"}}"),
    );
    Registry::new(Settings {
        credentials,
        ..settings()
    })
}

async fn pull(client: &Registry, reference: &Reference, image: &BuiltImage) {
    client.resolve(reference, &Unwatched).await.unwrap();
    for (what, bytes) in image.blobs() {
        assert!(blob(client, reference, &what).await.unwrap() == bytes);
    }
}

async fn refusal(client: &Registry, reference: &Reference) -> RegistryError {
    let error = client.resolve(reference, &Unwatched).await.unwrap_err();
    assert_eq!(error.kind(), RegistryErrorKind::Unauthorized, "{error}");
    for secret in ["secret", "wrong", "b3Bz"] {
        assert!(!format!("{error:?} {error}").contains(secret), "{error:?}");
    }
    error
}

fn basic() -> (TestRegistry, BuiltImage, Reference) {
    let registry = TestRegistry::builder()
        .auth(Auth::basic("ops", "secret"))
        .start();
    let image = samples::small();
    registry.push("team/app:1", &image);
    let reference = registry.reference("team/app:1");
    (registry, image, reference)
}

fn token(settings: TokenSettings) -> (TestRegistry, BuiltImage, Reference) {
    let registry = TestRegistry::builder().auth(Auth::Token(settings)).start();
    let image = Image::random(5, 4, 100_000).build();
    registry.push("team/app:1", &image);
    let reference = registry.reference("team/app:1");
    (registry, image, reference)
}

#[tokio::test]
async fn shows_a_password() {
    let (registry, image, reference) = basic();
    let home = TempDir::new().unwrap();
    pull(
        &logged_in(&home, &registry.host(), "ops:secret"),
        &reference,
        &image,
    )
    .await;
}

#[tokio::test]
async fn tells_a_wrong_password_from_none() {
    let (registry, _, reference) = basic();
    let home = TempDir::new().unwrap();
    let client_with = logged_in(&home, &registry.host(), "ops:wrong");
    let error = refusal(&client_with, &reference).await;
    let file = home.path().join("config.json");
    assert_eq!(
        error.to_string(),
        format!(
            "{} refused the credentials from {}: unauthorized: authentication required",
            registry.host(),
            file.display()
        )
    );
    assert!(error.hint().unwrap().contains("wrong or has expired"));

    let error = refusal(&client(), &reference).await;
    assert_eq!(
        error.to_string(),
        format!(
            "Head \"{}/v2/team/app/manifests/1\": no basic auth credentials",
            registry.url()
        )
    );
    assert_eq!(
        error.hint().unwrap(),
        format!("log in with `wharf login {}`", registry.host())
    );
    let asked = registry
        .requests()
        .iter()
        .filter(|request| request.is_manifest())
        .count();
    assert_eq!(asked, 3, "once wrongly, twice barely");
}

#[tokio::test]
async fn takes_a_password_that_was_changed_meanwhile() {
    let (registry, image, reference) = basic();
    let home = TempDir::new().unwrap();
    let client = logged_in(&home, &registry.host(), "ops:wrong");
    refusal(&client, &reference).await;
    logged_in(&home, &registry.host(), "ops:secret");
    pull(&client, &reference, &image).await;
}

#[tokio::test]
async fn gets_a_token_for_a_password() {
    let (registry, image, reference) = token(TokenSettings::user("ops", "secret"));
    let home = TempDir::new().unwrap();
    pull(
        &logged_in(&home, &registry.host(), "ops:secret"),
        &reference,
        &image,
    )
    .await;
    assert_eq!(registry.token_counts().issued, 1);
    let ask = registry
        .requests()
        .iter()
        .find(|request| request.path == "/token")
        .cloned()
        .unwrap();
    assert_eq!(ask.authorization.as_deref(), Some("Basic"));
    assert_eq!(
        ask.query,
        "account=ops&scope=repository%3Ateam%2Fapp%3Apull&service=registry.test"
    );
}

#[tokio::test]
async fn gets_a_token_for_nobody() {
    let (registry, image, reference) = token(TokenSettings::anonymous());
    pull(&client(), &reference, &image).await;
    assert_eq!(registry.token_counts().issued, 1);
}

#[tokio::test]
async fn gets_a_token_for_an_identity_token() {
    let (registry, image, reference) = token(TokenSettings::user("ops", "secret"));
    let refresh = registry.tokens().unwrap().refresh_token();
    let home = TempDir::new().unwrap();
    let auths = format!(
        "\"{}\":{{\"auth\":\"b3Bz\",\"identitytoken\":\"{refresh}\"}}",
        registry.host()
    );
    let credentials = config(home.path(), &auths);
    pull(
        &Registry::new(Settings {
            credentials,
            ..settings()
        }),
        &reference,
        &image,
    )
    .await;
    let counts = registry.token_counts();
    assert_eq!((counts.issued, counts.refreshed), (1, 1));

    let auths = format!("\"{}\":{{\"identitytoken\":\"wrong\"}}", registry.host());
    let credentials = config(home.path(), &auths);
    refusal(
        &Registry::new(Settings {
            credentials,
            ..settings()
        }),
        &reference,
    )
    .await;
}

#[tokio::test]
async fn tells_what_a_token_service_refused() {
    let (registry, _, reference) = token(TokenSettings::user("ops", "secret"));
    let home = TempDir::new().unwrap();
    let error = refusal(&logged_in(&home, &registry.host(), "ops:wrong"), &reference).await;
    assert!(
        error
            .to_string()
            .ends_with("incorrect username or password"),
        "{error}"
    );
    let error = refusal(&client(), &reference).await;
    assert!(
        error.to_string().contains("refused an anonymous request"),
        "{error}"
    );
    assert_eq!(registry.token_counts().refused, 2);
}

#[tokio::test]
async fn several_downloads_ask_for_one_token_once() {
    let (registry, image, reference) = token(TokenSettings::anonymous());
    let client = client();
    let blobs = image.blobs();
    let all = blobs
        .iter()
        .map(|(what, _)| blob(&client, &reference, what));
    for read in futures_util::future::join_all(all).await {
        read.unwrap();
    }
    assert_eq!(registry.token_counts().issued, 1);
}

#[tokio::test]
async fn renews_a_token_in_the_middle_of_a_pull() {
    let settings = TokenSettings {
        uses: Some(2),
        ..TokenSettings::anonymous()
    };
    let (registry, image, reference) = token(settings);
    pull(&client(), &reference, &image).await;
    assert_eq!(
        registry.token_counts().issued,
        3,
        "six requests, two per token"
    );
}

#[tokio::test]
async fn renews_a_token_for_the_rest_of_a_blob() {
    let settings = TokenSettings {
        uses: Some(1),
        ..TokenSettings::anonymous()
    };
    let (registry, image, reference) = token(settings);
    let (layer, bytes) = image
        .blobs()
        .into_iter()
        .max_by_key(|(what, _)| what.size)
        .unwrap();
    let client = client();
    client.resolve(&reference, &Unwatched).await.unwrap();
    registry.fault(On::blobs().ranged(false), When::Always, Fault::Cut(30_000));
    let source = client.source(&reference, Heard::default().arc());
    let (read, error) = drain(source.open(&layer, 0..layer.size).await.unwrap()).await;
    assert!(error.is_none(), "{error:?}");
    assert!(read == bytes);
    let refused = registry
        .requests()
        .iter()
        .filter(|request| request.status() == 401)
        .count();
    assert!(refused >= 2, "{}", registry.story());
}

#[tokio::test]
async fn a_token_that_is_never_good_ends_it() {
    let settings = TokenSettings {
        uses: Some(0),
        ..TokenSettings::anonymous()
    };
    let (registry, _, reference) = token(settings);
    refusal(&client(), &reference).await;
    assert_eq!(registry.token_counts().issued, 1);
}

#[tokio::test]
async fn a_token_for_too_little_is_a_no() {
    let server = Canned::start(|asked| {
        let host = asked.header("host").unwrap();
        let wants = format!(
            "WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"s\",\
             scope=\"repository:app:pull\",error=\"insufficient_scope\""
        );
        match asked.path() {
            path if path.starts_with("/token") => answer("200 OK", &[], br#"{"token":"t"}"#),
            _ => answer("401 Unauthorized", &[&wants], b""),
        }
    });
    let error = client()
        .resolve(&server.reference("app:1"), &Unwatched)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), RegistryErrorKind::Forbidden, "{error}");
    assert!(
        error
            .to_string()
            .contains("requested access to the resource is denied"),
        "{error}"
    );
}

#[tokio::test]
async fn a_401_without_words_has_docker_s_own() {
    let server = Canned::start(|_| {
        let wants = "WWW-Authenticate: Basic realm=\"r\"";
        answer("401 Unauthorized", &[wants], b"")
    });
    let home = TempDir::new().unwrap();
    let client = logged_in(&home, &server.address.to_string(), "ops:wrong");
    let error = client.tags(&server.reference("app")).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with(": unauthorized: authentication required"),
        "{error}"
    );
}

#[tokio::test]
async fn asks_for_what_the_registry_says_a_token_must_have() {
    let server = Canned::start(|asked| {
        let host = asked.header("host").unwrap();
        let wants = format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\",scope=\"aws\"");
        match (asked.path(), asked.header("authorization")) {
            (path, _) if path.starts_with("/token") => answer("200 OK", &[], br#"{"token":"t"}"#),
            (_, Some("Bearer t")) => answer("200 OK", &[], br#"{"tags":["a"]}"#),
            _ => answer("401 Unauthorized", &[&wants], b""),
        }
    });
    assert_eq!(
        client().tags(&server.reference("app")).await.unwrap(),
        ["a"]
    );
    let asked = server.paths();
    let token = asked
        .iter()
        .find(|path| path.starts_with("/token"))
        .unwrap();
    assert_eq!(token, "/token?scope=repository%3Aapp%3Apull&scope=aws");
}

#[tokio::test]
async fn a_registry_token_is_shown_as_it_is() {
    let server = Canned::start(|asked| match asked.header("authorization") {
        Some("Bearer given") => answer("200 OK", &[], br#"{"tags":["a"]}"#),
        _ => answer(
            "401 Unauthorized",
            &["WWW-Authenticate: Bearer realm=\"http://127.0.0.1:1/\""],
            b"",
        ),
    });
    let home = TempDir::new().unwrap();
    let auths = format!("\"{}\":{{\"registrytoken\":\"given\"}}", server.address);
    let credentials = config(home.path(), &auths);
    let client = Registry::new(Settings {
        credentials,
        ..settings()
    });
    assert_eq!(client.tags(&server.reference("app")).await.unwrap(), ["a"]);
}

#[tokio::test]
async fn credentials_stay_with_their_origin() {
    for auth in [
        Auth::basic("ops", "secret"),
        Auth::Token(TokenSettings::user("ops", "secret")),
    ] {
        let registry = TestRegistry::builder().auth(auth).start();
        let image = samples::small();
        registry.push("team/app:1", &image);
        registry.fault(On::blobs(), When::Always, Fault::Redirect);
        let home = TempDir::new().unwrap();
        let client = logged_in(&home, &registry.host(), "ops:secret");
        pull(&client, &registry.reference("team/app:1"), &image).await;
        let all = registry.requests();
        let strayed: Vec<_> = all.iter().filter(|r| r.origin == Origin::Other).collect();
        assert!(!strayed.is_empty());
        assert!(
            strayed
                .iter()
                .all(|request| request.authorization.is_none()),
            "{}",
            registry.story()
        );
    }
}

#[tokio::test]
async fn credentials_do_not_come_back_by_way_of_a_stranger() {
    let (registry, image, reference) = basic();
    let (layer, _) = image.blobs().into_iter().next().unwrap();
    let home_again = format!(
        "Location: {}/v2/team/app/blobs/{}",
        registry.url(),
        layer.digest
    );
    let stranger = Canned::start(move |_| answer("307 Temporary Redirect", &[&home_again], b""));
    let away = Fault::RedirectTo(format!("http://{}/", stranger.address));
    registry.fault(On::blobs(), When::Times(2), away);
    let home = TempDir::new().unwrap();
    let client = logged_in(&home, &registry.host(), "ops:secret");
    client.resolve(&reference, &Unwatched).await.unwrap();
    registry.forget_requests();
    assert!(blob(&client, &reference, &layer).await.is_err());
    assert_eq!(stranger.asked()[0].header("authorization"), None);
    let back = registry.requests().last().cloned().unwrap();
    assert_eq!((back.status(), back.authorization.clone()), (401, None));
}

#[tokio::test]
async fn asks_other_addresses_only_for_foreign_layers_and_without_credentials() {
    let (registry, _, reference) = basic();
    let home = TempDir::new().unwrap();
    let client = logged_in(&home, &registry.host(), "ops:secret");
    client.resolve(&reference, &Unwatched).await.unwrap();
    let elsewhere = Canned::start(|_| answer("200 OK", &[], b"windows"));
    let mut what = Descriptor::of("application/octet-stream", b"windows");
    what.urls = vec![
        "file:///etc/passwd".to_owned(),
        format!("http://{}/layer?signature=x", elsewhere.address),
    ];
    let error = refused(blob(&client, &reference, &what).await);
    assert!(matches!(error, ContentError::Missing { .. }), "{error}");
    assert!(elsewhere.asked().is_empty());

    what.media_type = DOCKER_LAYER_FOREIGN.to_owned();
    assert_eq!(blob(&client, &reference, &what).await.unwrap(), b"windows");
    assert_eq!(elsewhere.asked()[0].path(), "/layer?signature=x");
    assert_eq!(elsewhere.asked()[0].header("authorization"), None);

    // What fails at the registry for another reason than that it isn't there stays a failure.
    registry.fault(On::blobs(), When::Always, Fault::Status(403));
    let error = refused(blob(&client, &reference, &what).await);
    assert!(error.to_string().contains("denied"), "{error}");
    assert_eq!(elsewhere.asked().len(), 1);
}

/// A TLS server that wants a token from wherever `realm` says.
fn tls_server(realm: &'static str, location: &'static str) -> (Canned, TempDir, Registry) {
    let authority = Authority::new("an authority");
    let config = Authority::server_config(&authority.server(certs::Flaw::None), None);
    let server = Canned::start_with(Some(config), move |asked| {
        if asked.path().contains("/blobs/") || !location.is_empty() {
            return answer("302 Found", &[&format!("Location: {location}")], b"");
        }
        let wants = format!("WWW-Authenticate: Bearer realm=\"{realm}\"");
        answer("401 Unauthorized", &[&wants], b"")
    });
    let folder = TempDir::new().unwrap();
    let host = server.address.to_string();
    certs::write_certs_d(folder.path(), &host, Some(&authority), None).unwrap();
    let certificate_folders = vec![folder.path().to_owned()];
    let client = Registry::new(Settings {
        certificate_folders,
        ..settings()
    });
    (server, folder, client)
}

#[tokio::test]
async fn a_token_service_is_https_where_the_registry_is() {
    let (server, _folder, client) = tls_server("http://tokens.invalid/token", "");
    let error = client
        .resolve(&server.reference("app:1"), &Unwatched)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("not https; nothing was sent there"),
        "{error}"
    );
    assert_eq!(error.kind(), RegistryErrorKind::Corrupt);
}

#[tokio::test]
async fn https_is_never_left_for_http() {
    let (server, _folder, client) = tls_server("", "http://cdn.invalid/blob?signature=xyz");
    let error = client
        .resolve(&server.reference("app:1"), &Unwatched)
        .await
        .unwrap_err();
    let words = error.to_string();
    assert!(
        words.contains("it redirects from https to http://cdn.invalid/blob, which is"),
        "{words}"
    );
    assert!(!words.contains("xyz"), "{words}");
}

#[tokio::test]
async fn a_token_answer_without_end_is_refused() {
    let server = Canned::start(|asked| {
        let wants = format!(
            "WWW-Authenticate: Bearer realm=\"http://{}/token\"",
            asked.header("host").unwrap()
        );
        match asked.path() {
            path if path.starts_with("/token") => answer("200 OK", &[], &vec![b' '; 2 << 20]),
            _ => answer("401 Unauthorized", &[&wants], b""),
        }
    });
    let error = client()
        .resolve(&server.reference("app:1"), &Unwatched)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            RegistryError::TooLarge {
                limit: 1_048_576,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_token_service_that_is_busy_is_asked_again() {
    let (registry, image, reference) = token(TokenSettings::anonymous());
    registry.fault(On::tokens(), When::Times(2), Fault::Status(503));
    pull(&client(), &reference, &image).await;
    assert_eq!(registry.token_counts().issued, 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_a_notice_and_no_failure() {
    let (registry, image, reference) = token(TokenSettings::anonymous());
    let home = TempDir::new().unwrap();
    let path = home.path().join("config.json");
    fs::write(&path, "{ \"auths\": \"secret\" }").unwrap();
    let credentials = CredentialSettings {
        docker_config: Some(path.clone()),
        ..CredentialSettings::default()
    };
    let client = Registry::new(Settings {
        credentials,
        ..settings()
    });
    let heard = Heard::default();
    client.resolve(&reference, &heard).await.unwrap();
    registry.tokens().unwrap().revoke_all();
    client.resolve(&reference, &heard).await.unwrap();
    pull(&client, &reference, &image).await;
    let notices = heard.notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].contains(&path.display().to_string()) && !notices[0].contains("secret"));
}

#[tokio::test]
async fn a_token_is_not_used_to_its_last_second() {
    let lifetime = Duration::from_secs(3600);
    let (registry, image, reference) = token(TokenSettings {
        lifetime,
        ..TokenSettings::anonymous()
    });
    let client = client();
    pull(&client, &reference, &image).await;
    pull(&client, &reference, &image).await;
    assert_eq!(registry.token_counts().issued, 1);
}
