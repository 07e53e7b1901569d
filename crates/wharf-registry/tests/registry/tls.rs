//! TLS: whom the client trusts, who it is, and what it says when one of both fails.

use std::fs;
use std::sync::Arc;

use tempfile::TempDir;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use wharf_core::event::Unwatched;
use wharf_registry::{
    HostSettings, Registry, RegistryError, RegistryErrorKind, Settings, TlsTrouble,
};
use wharf_testkit::certs::{Flaw, write_certs_d};
use wharf_testkit::images::samples;
use wharf_testkit::{Authority, TestRegistry, Tls};

use crate::canned::{Canned, answer};
use crate::common::{client, settings};

struct Stage {
    registry: TestRegistry,
    folder: TempDir,
    client: Registry,
}

fn stage(tls: Tls) -> Stage {
    let registry = TestRegistry::builder().tls(tls).start();
    registry.push("team/app:1", &samples::small());
    let folder = TempDir::new().unwrap();
    let certificate_folders = vec![folder.path().to_owned()];
    let client = Registry::new(Settings {
        certificate_folders,
        ..settings()
    });
    Stage {
        registry,
        folder,
        client,
    }
}

impl Stage {
    async fn resolve(&self) -> Result<(), RegistryError> {
        let reference = self.registry.reference("team/app:1");
        self.client
            .resolve(&reference, &Unwatched)
            .await
            .map(|_| ())
    }

    async fn trouble(&self) -> (TlsTrouble, RegistryError) {
        let error = self.resolve().await.unwrap_err();
        assert_eq!(error.kind(), RegistryErrorKind::Unavailable, "{error}");
        match &error {
            RegistryError::Tls { trouble, .. } => (trouble.clone(), error),
            other => panic!("{other}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn trusts_an_authority_of_its_own_folder() {
    let stage = stage(Tls::default());
    stage.registry.write_certs_d(stage.folder.path()).unwrap();
    stage.resolve().await.unwrap();
}

/// An authority's certificate of X.509's first version, which has no extensions.
const FIRST_VERSION: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBMjCB2QIUVueGfnwIIy4CdwfQ2POAO/NugTIwCgYIKoZIzj0EAwIwGzEZMBcG\n\
A1UEAwwQYW4gb2xkIGF1dGhvcml0eTAgFw0yNjExMjMwNTAyMTJaGA8yMTI2MTAz\n\
MDA1MDIxMlowGzEZMBcGA1UEAwwQYW4gb2xkIGF1dGhvcml0eTBZMBMGByqGSM49\n\
AgEGCCqGSM49AwEHA0IABPGbWrO+vg/1zzVqgH40EdzRkJdEEQASzu671vLo8MoN\n\
us/A1HykjpUaAdVw7kyvMbzxe1keKKDxmjudmL2KUJ8wCgYIKoZIzj0EAwIDSAAw\n\
RQIhAISXeNh9/W6EMJfkSxgXWLNsHb7eWBFmXyYT9K1fxwIIAiA0CDGfnYTphQJJ\n\
DG5yMLR5ihHvnc/mtY3MU2c8mMHtHA==\n\
-----END CERTIFICATE-----\n\
";

#[tokio::test]
async fn an_old_certificate_beside_the_right_one_does_no_harm() {
    let stage = stage(Tls::default());
    stage.registry.write_certs_d(stage.folder.path()).unwrap();
    let folder = stage.folder.path().join(stage.registry.host());
    fs::write(folder.join("old.crt"), FIRST_VERSION).unwrap();
    stage.resolve().await.unwrap();
}

#[tokio::test]
async fn an_unknown_authority_is_named_with_the_remedy() {
    // Without a folder, loopback is asked for plain http first; what answers is found to be TLS.
    let stage = stage(Tls::default());
    let (trouble, error) = stage.trouble().await;
    assert_eq!(trouble, TlsTrouble::UnknownAuthority);
    let host = stage.registry.host();
    assert_eq!(
        error.to_string(),
        format!(
            "Get \"https://{host}/v2/\": tls: the certificate is signed by an authority that is \
             not trusted here"
        )
    );
    let remedy = stage.folder.path().join(&host).join("ca.crt");
    assert!(
        error
            .hint()
            .unwrap()
            .contains(&remedy.display().to_string()),
        "{:?}",
        error.hint()
    );
}

#[tokio::test]
async fn a_wrong_authority_is_an_unknown_one() {
    let stage = stage(Tls::default());
    let other = Authority::new("another authority");
    write_certs_d(
        stage.folder.path(),
        &stage.registry.host(),
        Some(&other),
        None,
    )
    .unwrap();
    assert_eq!(stage.trouble().await.0, TlsTrouble::UnknownAuthority);
}

#[tokio::test]
async fn an_expired_certificate_says_since_when() {
    let stage = stage(Tls {
        flaw: Flaw::Expired,
        clients: false,
    });
    stage.registry.write_certs_d(stage.folder.path()).unwrap();
    let (trouble, error) = stage.trouble().await;
    assert_eq!(
        trouble,
        TlsTrouble::Expired(" on 2021-01-01T00:00:00Z".to_owned()),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("clock"));
}

#[tokio::test]
async fn a_certificate_for_another_host_says_for_which() {
    let stage = stage(Tls {
        flaw: Flaw::WrongHost,
        clients: false,
    });
    stage.registry.write_certs_d(stage.folder.path()).unwrap();
    let (trouble, error) = stage.trouble().await;
    assert_eq!(
        trouble,
        TlsTrouble::WrongName("; it is for registry.example.org".to_owned()),
        "{error}"
    );
}

#[tokio::test]
async fn shows_a_client_certificate() {
    let stage = stage(Tls {
        flaw: Flaw::None,
        clients: true,
    });
    stage.registry.write_certs_d(stage.folder.path()).unwrap();
    stage.resolve().await.unwrap();
}

#[tokio::test]
async fn a_client_certificate_that_is_missing_or_wrong_says_so() {
    let stage = stage(Tls {
        flaw: Flaw::None,
        clients: true,
    });
    let host = stage.registry.host();
    write_certs_d(stage.folder.path(), &host, stage.registry.authority(), None).unwrap();
    let (trouble, error) = stage.trouble().await;
    assert_eq!(trouble, TlsTrouble::ClientCertificateRequired);
    assert!(error.hint().unwrap().contains("client.cert"));

    let stranger = Authority::new("another authority").client("a stranger");
    stranger
        .write(&stage.folder.path().join(&host), "client")
        .unwrap();
    let certificate_folders = vec![stage.folder.path().to_owned()];
    let client = Registry::new(Settings {
        certificate_folders,
        ..settings()
    });
    let stage = Stage { client, ..stage };
    let (trouble, error) = stage.trouble().await;
    assert!(
        matches!(trouble, TlsTrouble::ClientCertificateRefused(_)),
        "{error}"
    );
}

#[tokio::test]
async fn insecure_takes_any_certificate_and_plain_http() {
    for flaw in [
        None,
        Some(Flaw::None),
        Some(Flaw::Expired),
        Some(Flaw::WrongHost),
    ] {
        let builder = TestRegistry::builder();
        let registry = match flaw {
            Some(flaw) => builder
                .tls(Tls {
                    flaw,
                    clients: false,
                })
                .start(),
            None => builder.start(),
        };
        registry.push("team/app:1", &samples::small());
        let host = HostSettings {
            mirrors: Vec::new(),
            insecure: true,
        };
        let registries = [(registry.host(), host)].into();
        let client = Registry::new(Settings {
            registries,
            ..settings()
        });
        let resolved = client
            .resolve(&registry.reference("team/app:1"), &Unwatched)
            .await;
        assert!(resolved.is_ok(), "{flaw:?}: {:?}", resolved.err());
    }
}

#[tokio::test]
async fn a_registry_with_a_folder_is_never_asked_in_plain_http() {
    let registry = TestRegistry::start();
    registry.push("team/app:1", &samples::small());
    let folder = TempDir::new().unwrap();
    let authority = Authority::new("an authority");
    write_certs_d(folder.path(), &registry.host(), Some(&authority), None).unwrap();
    let certificate_folders = vec![folder.path().to_owned()];
    let client = Registry::new(Settings {
        certificate_folders,
        ..settings()
    });
    let error = client
        .resolve(&registry.reference("team/app:1"), &Unwatched)
        .await
        .unwrap_err();
    assert!(
        matches!(
            &error,
            RegistryError::Tls {
                trouble: TlsTrouble::NotTls,
                ..
            }
        ),
        "{error}: {error:?}"
    );
    assert!(registry.requests().is_empty());
}

#[tokio::test]
async fn only_an_insecure_registry_may_redirect_to_plain_http() {
    let plain = Canned::start(|_| answer("200 OK", &[], br#"{"tags":["a"]}"#));
    let (_, config) = authority_of_itself(&["127.0.0.1"], 2100);
    let location = format!("Location: http://{}/x", plain.address);
    let server = Canned::start_with(Some(config), move |_| {
        answer("307 Temporary Redirect", &[&location], b"")
    });
    let host = HostSettings {
        mirrors: Vec::new(),
        insecure: true,
    };
    let registries = [(server.address.to_string(), host)].into();
    let client = Registry::new(Settings {
        registries,
        ..settings()
    });
    assert_eq!(client.tags(&server.reference("app")).await.unwrap(), ["a"]);
}

/// Names and what is in them.
type Files<'a> = &'a [(&'a str, &'a str)];

#[tokio::test]
async fn broken_files_are_named() {
    let authority = Authority::new("an authority");
    let (one, other) = (authority.client("one"), authority.client("other"));
    let cases: [(Files<'_>, &str, &str); 7] = [
        (
            &[("ca.crt", "no certificate")],
            "ca.crt",
            "it holds no certificate in PEM",
        ),
        (
            &[(
                "ca.crt",
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            )],
            "ca.crt",
            "a certificate in it is damaged",
        ),
        (
            &[("client.cert", &one.certificate)],
            "client.cert",
            "client.key is not there",
        ),
        (
            &[("client.key", &one.key)],
            "client.key",
            "client.cert is not there",
        ),
        (
            &[("client.cert", &one.certificate), ("client.key", "x")],
            "client.key",
            "it holds no private key in PEM",
        ),
        (
            &[
                ("client.cert", &one.certificate),
                ("client.key", &other.key),
            ],
            "client.key",
            "it is not the key of",
        ),
        (
            &[("client.cert", ""), ("client.key", &one.key)],
            "client.cert",
            "it holds no certificate",
        ),
    ];
    for (files, at_fault, reason) in cases {
        let stage = stage(Tls::default());
        let folder = stage.folder.path().join(stage.registry.host());
        fs::create_dir_all(&folder).unwrap();
        for (name, content) in files {
            fs::write(folder.join(name), content).unwrap();
        }
        let error = stage.resolve().await.unwrap_err();
        assert_eq!(error.kind(), RegistryErrorKind::Invalid);
        let words = error.to_string();
        let path = folder.join(at_fault);
        assert!(
            words.starts_with(&format!("cannot use {}: ", path.display())),
            "{words}"
        );
        assert!(words.contains(reason), "{words}");
    }
}

/// A certificate as `openssl req -x509` makes it: its own authority, and the server's at once.
fn authority_of_itself(names: &[&str], year: i32) -> (String, Arc<ServerConfig>) {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let der = CertificateDer::from(certificate.der().to_vec());
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![der],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (certificate.pem(), Arc::new(config))
}

async fn tags_with(pem: &str, config: Arc<ServerConfig>) -> Result<Vec<String>, RegistryError> {
    let server = Canned::start_with(Some(config), |_| {
        answer("200 OK", &[], br#"{"tags":["a"]}"#)
    });
    let folder = TempDir::new().unwrap();
    let own = folder.path().join(server.address.to_string());
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("ca.crt"), pem).unwrap();
    let certificate_folders = vec![folder.path().to_owned()];
    let client = Registry::new(Settings {
        certificate_folders,
        ..settings()
    });
    client.tags(&server.reference("app")).await
}

#[tokio::test]
async fn trusts_the_very_certificate_that_lies_in_the_folder() {
    let (pem, config) = authority_of_itself(&["127.0.0.1"], 2100);
    assert_eq!(tags_with(&pem, config).await.unwrap(), ["a"]);

    // Not another one that looks like it, not for another host, not for ever.
    let trouble = |error: RegistryError| match error {
        RegistryError::Tls { trouble, .. } => trouble,
        other => panic!("{other}"),
    };
    let (_, config) = authority_of_itself(&["127.0.0.1"], 2100);
    let error = tags_with(&pem, config).await.unwrap_err();
    assert_eq!(trouble(error), TlsTrouble::UnknownAuthority);
    let (pem, config) = authority_of_itself(&["registry.corp"], 2100);
    let error = tags_with(&pem, config).await.unwrap_err();
    assert!(matches!(trouble(error), TlsTrouble::WrongName(_)));
    let (pem, config) = authority_of_itself(&["127.0.0.1"], 2021);
    let error = tags_with(&pem, config).await.unwrap_err();
    assert!(matches!(trouble(error), TlsTrouble::Expired(_)));
}

#[tokio::test]
async fn a_plain_server_that_says_400_to_everything_is_asked_all_the_same() {
    // 400 is what a server that speaks TLS says to plain http; so it's asked by https as well.
    let server = Canned::start(|_| answer("400 Bad Request", &[], b"no"));
    let error = client().tags(&server.reference("app")).await.unwrap_err();
    let url = format!("http://{}/v2/app/tags/list", server.address);
    assert_eq!(error.to_string(), format!("Get \"{url}\": 400 Bad Request"));
}
