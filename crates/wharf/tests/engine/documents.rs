//! Images whose config has `null` where Go has a zero value: the API shows what a pull takes.

use bytes::Bytes;
use serde_json::{Value, json};
use wharf_core::media_type::{OCI_CONFIG, OCI_MANIFEST};
use wharf_core::{Descriptor, Digest};
use wharf_testkit::TestRegistry;

use super::server::Server;

#[test]
#[allow(clippy::too_many_lines, reason = "most lines are a table")]
fn issue_12_the_api_shows_what_a_pull_takes() {
    let registry = TestRegistry::start();
    let server = Server::start();
    let empty = r#""rootfs":{"type":"layers","diff_ids":null}"#;
    for (tag, config) in [
        (
            "nulls",
            format!(r#"{{"os":null,"created":null,"config":null,"history":null,{empty}}}"#),
        ),
        (
            "labels",
            format!(r#"{{"config":{{"Labels":{{"a":null}},"Env":[null],"Cmd":"x"}},{empty}}}"#),
        ),
        (
            "history",
            format!(r#"{{"history":[{{"empty_layer":true,"created_by":null}}],{empty}}}"#),
        ),
        (
            "old",
            format!(r#"{{"container_config":{{"Env":null,"Cmd":"x","Tty":null}},{empty}}}"#),
        ),
        (
            "check",
            format!(r#"{{"config":{{"healthcheck":{{"StartInterval":null}}}},{empty}}}"#),
        ),
    ] {
        let config = Bytes::from(config);
        registry.push_blob("odd/api", &Digest::of(&config), config.clone());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "",
            "config": Descriptor::of(OCI_CONFIG, &config), "layers": null,
        });
        let raw = Bytes::from(manifest.to_string());
        let descriptor = Descriptor::of(OCI_MANIFEST, &raw);
        registry.push_manifest("odd/api", Some(tag), &descriptor, raw);
        let name = registry.name(&format!("odd/api:{tag}"));
        server.wharf.ok(["pull", &name]);
        for version in ["", "/v1.43", "/v1.49"] {
            for path in [
                format!("/images/{name}/json"),
                format!("/images/{name}/history"),
                "/images/json".to_owned(),
            ] {
                let (status, body) = server.ask("GET", &format!("{version}{path}"));
                assert_eq!(status, 200, "{tag} {version}{path}: {body}");
                let body: Value = serde_json::from_str(&body).unwrap();
                assert!(body.is_object() || body.is_array(), "{tag}");
            }
        }
    }
    let name = registry.name("odd/api:labels");
    let (_, body) = server.ask("GET", &format!("/images/{name}/json"));
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["Config"]["Labels"], json!({ "a": "" }));
    assert_eq!(body["Config"]["Env"], json!([""]));
    assert_eq!(body["Config"]["Cmd"], json!(["x"]));
}

#[test]
#[allow(clippy::too_many_lines, reason = "most lines are a table")]
fn issue_12_names_are_refused_as_by_the_command_line() {
    let server = Server::start();
    for (method, path, words) in [
        (
            "POST",
            "/images/create?fromImage=scratch&tag=latest",
            "'scratch' is a reserved name",
        ),
        (
            "POST",
            "/images/create?fromImage=docker.io/library/scratch",
            "'scratch' is a reserved name",
        ),
        ("DELETE", "/images/%20", "image name cannot be blank"),
        ("DELETE", "/images/%20%20", "image name cannot be blank"),
    ] {
        let (status, body) = server.ask(method, path);
        assert!((400..500).contains(&status), "{path}: {status}");
        assert!(body.contains(words), "{path}: {body}");
    }
    for (arguments, words) in [
        (&["pull", "scratch"][..], "'scratch' is a reserved name"),
        (&["pull", "-q", "scratch:x"], "'scratch' is a reserved name"),
        (
            &["pull", "-a", "docker.io/library/scratch"],
            "'scratch' is a reserved name",
        ),
        (&["rmi", " "], "image name cannot be blank"),
        (&["rmi", ""], "image name cannot be blank"),
        (
            &["inspect", " "],
            "invalid container name or ID: value is empty",
        ),
        (&["image", "inspect", " "], "invalid reference format"),
        (&["image", "inspect", ""], "No such image: "),
        (&["history", " "], "invalid reference format"),
        (&["save", "-o", "x.tar", " "], "invalid reference format"),
        (&["tag", " ", "x"], "invalid reference format"),
        (&["push", " "], "invalid reference format"),
        (&["pull", " "], "invalid reference format"),
    ] {
        let output = server.wharf.run(arguments);
        assert_eq!(output.code, Some(1), "{arguments:?}");
        assert!(
            output.stderr.contains(words),
            "{arguments:?}: {}",
            output.stderr
        );
    }
}
