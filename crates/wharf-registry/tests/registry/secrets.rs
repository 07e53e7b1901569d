//! No secret of an address is in any error.

use std::error::Error;

use wharf_core::event::Unwatched;
use wharf_registry::{RegistryError, Settings};

use crate::canned::{Canned, answer};
use crate::common::{client, mirrored, settings};

/// All that can be seen of an error.
fn seen(error: &RegistryError) -> String {
    let mut text = format!("{error} {error:?} {:?}", error.hint());
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(" {error} {error:?}"));
        source = error.source();
    }
    text
}

fn harmless(error: &RegistryError) {
    let text = seen(error);
    assert!(!text.contains("SECRET"), "{text}");
}

/// Addresses of a server, each with a secret.
fn addresses(host: &str) -> Vec<String> {
    vec![
        format!("http://ann:SECRET@{host}/a.tar"),
        format!("http://SECRET@{host}/a.tar"),
        format!("http://{host}/a.tar?sig=SECRET"),
        format!("http://{host}/a.tar?X-Amz-Signature=SECRET&x=1"),
        format!("http://{host}?SECRET"),
        format!("http://{host}/a;token=SECRET/b.tar"),
        format!("http://{host}/a.tar#SECRET"),
        format!("HTTP://ann:SECRET@{host}/a.tar?x@y=SECRET#SECRET"),
    ]
}

#[tokio::test]
async fn issue_12_a_web_file_s_address_is_shown_without_its_secrets() {
    let missing = Canned::start(|_| answer("404 Not Found", &[], b"no"));
    let broken = Canned::start(|_| Vec::new());
    let nonsense = Canned::start(|_| b"SSH-2.0-x\r\n\r\n".to_vec());
    let servers = [missing.address, broken.address, nonsense.address].map(|a| a.to_string());
    for host in servers
        .iter()
        .map(String::as_str)
        .chain(["127.0.0.1:1", "no-such-host.invalid"])
    {
        for address in addresses(host) {
            let error = client().web_file(&address).await.err().unwrap();
            harmless(&error);
        }
    }
    for address in [
        "http://ann:SECRET@/a",
        "http://ann:SEC/RET@host:99999999/SECRET?SECRET",
        "http://ann:SECRET@[::1/a",
        "ftp://ann:SECRET@host/a?SECRET",
        "http:///?sig=SECRET",
    ] {
        harmless(&client().web_file(address).await.err().unwrap());
    }
    let file = Canned::start(|_| answer("200 OK", &[], b"x"));
    for address in addresses(&file.address.to_string()) {
        let shown = client()
            .web_file(&address)
            .await
            .unwrap()
            .address()
            .to_string();
        assert!(
            !shown.contains("SECRET") && shown.contains(&file.address.to_string()),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn where_a_redirect_leads_is_shown_without_its_secrets() {
    for target in [
        "http://ann:SECRET@127.0.0.1:1/a?sig=SECRET",
        "http://127.0.0.1:1/a;x=SECRET?sig=SECRET#SECRET",
        "ftp://127.0.0.1/?sig=SECRET",
        "http://[SECRET/",
    ] {
        let location = format!("Location: {target}");
        let server = Canned::start(move |_| answer("307 Temporary Redirect", &[&location], b""));
        let reference = server.reference("app:1");
        harmless(&client().resolve(&reference, &Unwatched).await.unwrap_err());
        let address = format!("http://{}/?SECRET", server.address);
        harmless(&client().web_file(&address).await.err().unwrap());
    }
}

#[tokio::test]
async fn proxies_and_mirrors_are_shown_without_their_passwords() {
    for proxy in [
        "http://ann:SECRET@127.0.0.1:1",
        "ann:SECRET@127.0.0.1:1",
        "http://ann:SECRET@127.0.0.1:1/?SECRET",
        "socks5://ann:SECRET@127.0.0.1:1",
        "http://ann:SEC/RET@127.0.0.1:x/SECRET",
        "http://ann:SECRET@",
    ] {
        let mut settings = settings();
        settings.proxies.http = Some(proxy.to_owned());
        settings.proxies.https = Some(proxy.to_owned());
        assert!(!format!("{settings:?}").contains("SECRET"), "{settings:?}");
        let client = wharf_registry::Registry::new(settings);
        let reference = "registry.invalid/app:1".parse().unwrap();
        harmless(&client.resolve(&reference, &Unwatched).await.unwrap_err());
        harmless(
            &client
                .web_file("http://files.invalid/a?SECRET")
                .await
                .err()
                .unwrap(),
        );
    }
    for mirror in [
        "https://ann:SECRET@mirror.invalid",
        "mirror.invalid/a?SECRET",
        "http://ann:SE/CRET@x",
    ] {
        let settings: Settings = mirrored("registry.invalid", &[mirror.to_owned()]);
        let client = wharf_registry::Registry::new(settings);
        let reference = "registry.invalid/app:1".parse().unwrap();
        let error = client.resolve(&reference, &Unwatched).await.unwrap_err();
        harmless(&error);
        assert!(!seen(&error).contains("SE/CRET"));
    }
}

#[tokio::test]
async fn the_next_page_and_a_token_service_are_shown_without_their_secrets() {
    for link in [
        "<http://ann:SECRET@x.invalid/?SECRET>",
        "<http://[SECRET>",
        "<?SECRET",
        "<http://ann:SECRET@HOST/?n=SECRET>",
    ] {
        let server = Canned::start(move |asked| {
            let link =
                format!("Link: {link}; rel=next").replace("HOST", asked.header("host").unwrap());
            let first = !asked.path().contains("n=");
            if first {
                answer("200 OK", &[&link], br#"{"tags":["a"]}"#)
            } else {
                answer("400 Bad Request", &[], b"")
            }
        });
        harmless(&client().tags(&server.reference("app")).await.unwrap_err());
    }
    for realm in [
        "http://ann:SECRET@127.0.0.1:1/t?x=SECRET",
        "ann:SECRET@/",
        "http://[SECRET",
    ] {
        let header = format!("WWW-Authenticate: Bearer realm=\"{realm}\"");
        let server = Canned::start(move |_| answer("401 Unauthorized", &[&header], b""));
        harmless(&client().tags(&server.reference("app")).await.unwrap_err());
    }
}
