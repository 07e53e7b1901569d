//! Passwords and signatures: they are used, and never shown.

use std::fs;

use wharf_testkit::images::samples;
use wharf_testkit::{Auth, TestRegistry, Wharf};

use super::wharf;

/// Runs a command in all its ways to talk, and makes sure that none of them tells a secret.
fn keeps_quiet(wharf: &Wharf, arguments: &[&str]) {
    for more in [
        &[][..],
        &["--debug"],
        &["--log-level", "debug", "--log-format", "json"],
    ] {
        let all: Vec<&str> = more.iter().chain(arguments).copied().collect();
        let output = wharf.run(&all);
        let text = format!("{}{}", output.stdout, output.stderr);
        assert!(!text.contains("SECRET"), "{all:?}: {text}");
    }
}

#[test]
fn issue_12_import_tells_no_secret_of_an_address() {
    let wharf = wharf();
    for address in [
        "http://127.0.0.1:1/a.tar?sig=SECRET",
        "http://127.0.0.1:1/a.tar?X-Amz-Signature=SECRET",
        "http://ann:SECRET@127.0.0.1:1/a.tar",
        "http://127.0.0.1:1/a;t=SECRET/b.tar",
        "http://127.0.0.1:1/a.tar#SECRET",
        "HTTPS://ann:SECRET@127.0.0.1:1/a.tar?SECRET",
        "http://ann:SECRET@127.0.0.1:x/a.tar",
        "ftp://ann:SECRET@127.0.0.1/a.tar?SECRET",
    ] {
        let output = wharf.run(["import", address]);
        assert_eq!(output.code, Some(1), "{address}");
        keeps_quiet(&wharf, &["import", address]);
    }
}

#[test]
fn proxies_tell_no_password() {
    for proxy in [
        "http://ann:SECRET@127.0.0.1:1",
        "ann:SECRET@127.0.0.1:1",
        "http://ann:SEC/RET@x:SECRET",
    ] {
        let wharf = wharf().env("HTTPS_PROXY", proxy).env("http_proxy", proxy);
        keeps_quiet(&wharf, &["pull", "registry.invalid/app"]);
        keeps_quiet(&wharf, &["import", "http://files.invalid/a?SECRET"]);
    }
}

#[test]
fn mistakes_in_settings_tell_no_password() {
    for config in [
        "[registry.\"docker.io\"]\nmirrors = [\"https://ann:SECRET@mirror.corp\"]",
        "[registry.\"docker.io\"]\nmirrors = [\"ftp://ann:SECRET@mirror.corp\"]",
        "[registry.\"docker.io\"]\nmirrors = \"https://ann:SECRET@mirror.corp\"",
        "[registry.\"https://ann:SECRET@mirror.corp\"]\ninsecure = true",
        "[registry.\"docker.io\"]\ninsecure = \"https://ann:SECRET@mirror.corp\"",
    ] {
        let wharf = wharf();
        wharf.config(config);
        assert_eq!(wharf.run(["pull", "busybox"]).code, Some(1), "{config}");
        keeps_quiet(&wharf, &["pull", "busybox"]);
    }
}

/// A registry for `ops` with `SECRET`.
fn guarded() -> TestRegistry {
    let registry = TestRegistry::builder()
        .auth(Auth::basic("ops", "SECRET"))
        .start();
    registry.push("app:1", &samples::small());
    registry
}

/// `ops:SECRET`
const AUTH: &str = "b3BzOlNFQ1JFVA==";

#[test]
fn issue_12_docker_auth_config_counts() {
    let registry = guarded();
    let name = registry.name("app:1");
    let variable = format!(
        r#"{{"auths":{{"{}":{{"auth":"{AUTH}"}}}}}}"#,
        registry.host()
    );
    let wharf = wharf().env("DOCKER_AUTH_CONFIG", &variable);
    wharf.ok(["pull", &name]);
    wharf.ok(["tags", &registry.name("app")]);
    keeps_quiet(&wharf, &["pull", &name]);
    // It is read and never written.
    assert!(!wharf.folder().join("docker/config.json").exists());
}

#[test]
fn issue_12_credentials_that_cannot_be_read_are_named() {
    let registry = guarded();
    let (host, name) = (registry.host(), registry.name("app:1"));
    for entry in [r#"{"auth":"%%SECRET"}"#, "7", r#"{"auth":["SECRET"]}"#] {
        let wharf = wharf();
        wharf.docker_config(&format!(r#"{{"auths":{{"{host}":{entry}}}}}"#));
        for command in [
            ["pull", name.as_str()],
            ["tags", name.trim_end_matches(":1")],
            ["push", &name],
        ] {
            let output = wharf.run(command);
            assert_eq!(output.code, Some(1), "{command:?}");
            if command[0] != "push" {
                assert!(
                    output.stderr.contains("docker/config.json: auths."),
                    "{}",
                    output.stderr
                );
            }
            keeps_quiet(&wharf, &command);
        }
    }
    let wharf = wharf();
    let folder = wharf.folder().join("docker");
    fs::create_dir_all(&folder).unwrap();
    for text in [
        format!("\u{feff}{{\"auths\":{{\"{host}\":{{\"auth\":\"{AUTH}\"}}}}}}"),
        format!(
            r#"{{"credHelpers":null,"auths":{{"x":null,"{host}":{{"auth":"b3BzOlNF\nQ1JFVA=="}}}}}}"#
        ),
        format!(r#"{{"auths":{{"x":7,"y":{{"auth":"!"}},"{host}":{{"auth":"{AUTH}"}}}}}}"#),
    ] {
        fs::write(folder.join("config.json"), &text).unwrap();
        let output = wharf.run(["pull", &name]);
        assert_eq!(output.code, Some(0), "{text}: {}", output.stderr);
        assert_eq!(output.stderr, "", "{text}");
    }
}

#[test]
fn no_proxy_and_both_spellings_of_a_proxy_count() {
    // Nobody listens there: what goes through the proxy says so.
    let down = "http://127.0.0.1:1";
    for (proxy, list, through) in [
        ("HTTPS_PROXY", "", true),
        ("https_proxy", "", true),
        ("HTTPS_PROXY", "invalid", false),
        ("https_proxy", "*.invalid", false),
        ("https_proxy", "registry.invalid:443", false),
        ("https_proxy", "registry.invalid:444", true),
        ("HTTP_PROXY", "", false),
    ] {
        let wharf = wharf().env(proxy, down).env("no_proxy", list);
        let output = wharf.run(["pull", "registry.invalid/app"]);
        assert_eq!(
            output.stderr.contains("proxyconnect"),
            through,
            "{proxy} {list}: {}",
            output.stderr
        );
    }
    let wharf = wharf().env("HTTP_PROXY", down).env("REQUEST_METHOD", "GET");
    let output = wharf.run(["import", "http://files.invalid/a"]);
    assert!(
        output.stderr.contains("REQUEST_METHOD"),
        "{}",
        output.stderr
    );
}

#[test]
fn the_least_rate_is_a_setting() {
    let wharf = wharf();
    for (value, fits) in [
        ("0", true),
        ("100", true),
        ("1048576", true),
        ("1048577", false),
        ("-1", false),
        ("\"1k\"", false),
        ("9223372036854775807", false),
    ] {
        wharf.config(&format!("[pull]\nmin_rate = {value}"));
        let output = wharf.run(["pull", "registry.invalid/app"]);
        let told = output
            .stderr
            .contains("min_rate is a number of bytes a second from 0 to 1048576");
        assert_eq!(told, !fits, "{value}: {}", output.stderr);
    }
}
