//! Which requests go through a proxy.

use wharf_core::event::Unwatched;
use wharf_registry::{Registry, RegistryError, Settings};

use crate::canned::{Canned, answer};
use crate::common::settings;

/// Whether an image of a registry that does not exist is asked for at the proxy.
async fn asks_proxy(proxy: &Canned, list: &str, image: &str) -> bool {
    let mut settings: Settings = settings();
    settings.proxies.https = Some(proxy.address.to_string());
    settings.proxies.no_proxy = Some(list.to_owned());
    let before = proxy.asked().len();
    let reference = image.parse().unwrap();
    Registry::new(settings)
        .resolve(&reference, &Unwatched)
        .await
        .unwrap_err();
    proxy.asked().len() > before
}

#[tokio::test]
async fn issue_12_no_proxy_has_go_s_rules() {
    let proxy = Canned::start(|_| answer("502 Bad Gateway", &[], b""));
    for (list, image, asked) in [
        ("", "a.corp.invalid/app:1", true),
        ("corp.invalid", "a.corp.invalid/app:1", false),
        ("corp.invalid", "acorp.invalid/app:1", true),
        ("a.corp.invalid:5000", "a.corp.invalid:5000/app:1", false),
        ("a.corp.invalid:5000", "a.corp.invalid/app:1", true),
        ("a.corp.invalid:443", "a.corp.invalid/app:1", false),
        ("*.corp.invalid", "a.corp.invalid/app:1", false),
        (".corp.invalid", "corp.invalid/app:1", true),
        ("x, A.Corp.INVALID ,y", "a.corp.invalid/app:1", false),
        ("*", "a.corp.invalid/app:1", false),
    ] {
        assert_eq!(
            asks_proxy(&proxy, list, image).await,
            asked,
            "{list:?} {image}"
        );
    }
}

#[tokio::test]
async fn a_proxy_needs_no_scheme() {
    let proxy = Canned::start(|_| answer("502 Bad Gateway", &[], b""));
    for text in [
        format!("http://{}", proxy.address),
        format!("{}", proxy.address),
        format!("  {}/ ", proxy.address),
        format!("ann:pw@{}", proxy.address),
    ] {
        let mut settings: Settings = settings();
        settings.proxies.https = Some(text.clone());
        let reference = "registry.invalid/app:1".parse().unwrap();
        let before = proxy.asked().len();
        Registry::new(settings)
            .resolve(&reference, &Unwatched)
            .await
            .unwrap_err();
        let asked = &proxy.asked()[before..];
        assert_eq!(
            asked[0].line, "CONNECT registry.invalid:443 HTTP/1.1",
            "{text}"
        );
        let authorized = asked[0].header("proxy-authorization").is_some();
        assert_eq!(authorized, text.contains('@'), "{text}");
    }
}

#[tokio::test]
async fn a_proxy_that_cannot_be_used_is_an_error_and_only_where_it_counts() {
    for text in ["socks5://127.0.0.1:1", "http://", "http://a b", "::"] {
        let mut settings: Settings = settings();
        settings.proxies.https = Some(text.to_owned());
        settings.proxies.no_proxy = Some("direct.invalid".to_owned());
        let client = Registry::new(settings);
        let error = client
            .resolve(&"registry.invalid/app:1".parse().unwrap(), &Unwatched)
            .await
            .unwrap_err();
        assert!(
            matches!(error, RegistryError::Setting { .. }),
            "{text}: {error}"
        );
        assert!(error.to_string().starts_with("HTTPS_PROXY "), "{error}");
        let error = client
            .resolve(&"direct.invalid/app:1".parse().unwrap(), &Unwatched)
            .await
            .unwrap_err();
        assert!(
            matches!(error, RegistryError::Unreachable { .. }),
            "{text}: {error}"
        );
    }
}

#[tokio::test]
async fn a_cgi_program_takes_no_proxy_from_a_header() {
    let proxy = Canned::start(|_| answer("200 OK", &[], b"x"));
    let address = Some(format!("http://{}", proxy.address));
    let mut settings: Settings = settings();
    (settings.proxies.http, settings.proxies.https) = (address.clone(), address);
    let client = Registry::new(settings.clone());
    assert!(client.web_file("http://files.invalid/a").await.is_ok());
    settings.proxies.cgi = true;
    let client = Registry::new(settings);
    let error = client
        .web_file("http://files.invalid/a")
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains("REQUEST_METHOD"), "{error}");
    let before = proxy.asked().len();
    assert!(client.web_file("https://files.invalid/a").await.is_err());
    assert_eq!(proxy.asked().len(), before + 1, "https is not concerned");
}
