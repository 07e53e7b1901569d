//! Errors that say what failed and what to do.

use std::time::Duration;

use wharf_core::event::Unwatched;
use wharf_registry::{Registry, RegistryError, RegistryErrorKind, Settings};
use wharf_testkit::images::samples;
use wharf_testkit::{Fault, On, TestRegistry, When};

use crate::canned::{Canned, answer};
use crate::common::{client, impatient, settings};

async fn error_of(client: &Registry, name: &str) -> RegistryError {
    client
        .resolve(&name.parse().unwrap(), &Unwatched)
        .await
        .unwrap_err()
}

#[tokio::test]
async fn a_refused_connection_is_told_in_dockers_words() {
    let registry = TestRegistry::start();
    let host = registry.host();
    drop(registry);
    let error = error_of(&client(), &format!("{host}/team/app:1")).await;
    assert_eq!(error.kind(), RegistryErrorKind::Unavailable);
    assert_eq!(
        error.to_string(),
        format!("Get \"http://{host}/v2/\": dial tcp {host}: connect: connection refused")
    );
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_told_in_dockers_words() {
    // `.invalid` never resolves (RFC 6761); without a resolver at all, it does not either.
    let error = error_of(&client(), "registry.invalid/app:1").await;
    assert!(
        matches!(error, RegistryError::Unreachable { .. }),
        "{error}"
    );
    let words = error.to_string();
    assert!(
        words.starts_with(
            "Get \"https://registry.invalid/v2/\": dial tcp: lookup registry.invalid: "
        ),
        "{words}"
    );
}

#[tokio::test]
async fn a_limit_is_told_with_its_reset() {
    let registry = TestRegistry::start();
    registry.push("team/app:1", &samples::small());
    let fault = Fault::TooManyRequests {
        retry_after: 5 * 3600,
    };
    registry.fault(On::manifests(), When::Always, fault);
    let error = error_of(&client(), &registry.name("team/app:1")).await;
    assert_eq!(error.kind(), RegistryErrorKind::RateLimited);
    let RegistryError::RateLimited { reset, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*reset, Some(Duration::from_secs(5 * 3600)));
    assert!(error.to_string().ends_with("it resets in 5 h"), "{error}");
    assert!(error.hint().unwrap().contains("wharf login"));
    // Nobody waits five hours: it's asked once.
    assert_eq!(
        registry
            .requests()
            .iter()
            .filter(|r| r.is_manifest())
            .count(),
        1
    );
}

#[tokio::test]
async fn a_no_is_told_in_dockers_words() {
    let registry = TestRegistry::start();
    registry.fault(On::manifests(), When::Always, Fault::Status(403));
    let error = error_of(&client(), &registry.name("team/app:1")).await;
    assert_eq!(error.kind(), RegistryErrorKind::Forbidden);
    assert_eq!(
        error.to_string(),
        format!(
            "pull access denied for {}/team/app, repository does not exist or may require \
             'docker login': denied: the test wants it so",
            registry.host()
        )
    );
}

#[tokio::test]
async fn a_busy_registry_is_tried_as_often_as_the_settings_say() {
    let registry = TestRegistry::start();
    registry.fault(On::manifests(), When::Always, Fault::Status(503));
    let error = error_of(&client(), &registry.name("team/app:1")).await;
    assert!(matches!(error, RegistryError::Status { .. }), "{error}");
    assert!(
        error.to_string().contains("503 Service Unavailable"),
        "{error}"
    );
    assert_eq!(
        registry
            .requests()
            .iter()
            .filter(|r| r.is_manifest())
            .count(),
        4
    );
}

#[tokio::test]
async fn a_strangers_words_are_tamed() {
    let body = format!(
        "{{\"errors\":[{{\"code\":\"X\",\"message\":\"\\u001b[2J{}\"}}]}}",
        "long ".repeat(2000)
    );
    let server = Canned::start(move |_| answer("418 Teapot", &[], body.as_bytes()));
    let words = error_of(&client(), &server.reference("app:1").to_string())
        .await
        .to_string();
    assert!(words.len() < 1000 && !words.contains('\u{1b}'), "{words}");
}

#[tokio::test]
async fn no_more_of_an_error_is_read_than_is_useful() {
    let error = |padding: usize| async move {
        let body = format!(
            "{{\"errors\":[{{\"code\":\"X\",\"message\":\"heard\"}}]}}{}",
            " ".repeat(padding)
        );
        let server = Canned::start(move |_| answer("418 Teapot", &[], body.as_bytes()));
        error_of(&client(), &server.reference("app:1").to_string())
            .await
            .to_string()
    };
    assert!(error(60 * 1024).await.contains("x: heard"));
    let endless = error(65 * 1024).await;
    assert!(
        endless.contains("418") && !endless.contains("heard"),
        "{endless}"
    );
}

#[tokio::test]
async fn a_proxy_is_asked_for_strangers_and_not_for_loopback() {
    let proxy = Canned::start(|_| answer("502 Bad Gateway", &[], b""));
    let registry = TestRegistry::start();
    registry.push("team/app:1", &samples::small());
    let mut settings: Settings = settings();
    settings.proxies.https = Some(format!("http://ann:pw@{}", proxy.address));
    settings.proxies.http = settings.proxies.https.clone();
    settings.proxies.no_proxy = Some("direct.invalid".to_owned());
    assert!(!format!("{settings:?}").contains("pw"));
    let client = Registry::new(settings);

    let error = error_of(&client, "registry.invalid/app:1").await;
    assert!(!error.to_string().contains("pw"), "{error}");
    let asked = proxy.asked();
    assert_eq!(asked[0].line, "CONNECT registry.invalid:443 HTTP/1.1");
    assert!(asked[0].header("proxy-authorization").is_some());

    let before = proxy.asked().len();
    error_of(&client, "direct.invalid/app:1").await;
    let local = registry.reference("team/app:1");
    client.resolve(&local, &Unwatched).await.unwrap();
    assert_eq!(proxy.asked().len(), before);
}

#[tokio::test]
async fn a_proxy_that_is_down_is_named() {
    let proxy = TestRegistry::start();
    let down = proxy.host();
    drop(proxy);
    let mut settings: Settings = settings();
    settings.proxies.https = Some(format!("http://ann:pw@{down}"));
    let error = error_of(&Registry::new(settings), "registry.invalid/app:1").await;
    assert_eq!(
        error.to_string(),
        format!(
            "Get \"https://registry.invalid/v2/\": proxyconnect tcp: dial tcp {down}: connect: \
             connection refused"
        )
    );
}

#[tokio::test]
async fn a_registry_that_says_nothing_is_not_waited_for() {
    let server = Canned::start(|asked| match asked.path() {
        "/v2/" => answer("200 OK", &[], b""),
        _ => loop {
            std::thread::park();
        },
    });
    let error = error_of(&impatient(), &server.reference("app:1").to_string()).await;
    assert!(matches!(error, RegistryError::Broken { .. }), "{error}");
    assert!(
        error.to_string().ends_with("said nothing for too long"),
        "{error}"
    );
    assert_eq!(server.paths().len(), 4);
}
