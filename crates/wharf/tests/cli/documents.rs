//! Manifests and configs as other tools write them: what a pull takes, every command shows.
//!
//! Docker 28.5 pulls these images and shows them: Go reads `null` as a zero value, and a key in any case.

use bytes::Bytes;
use serde_json::{Value, json};
use wharf_core::media_type::{DOCKER_CONFIG, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST};
use wharf_core::{Descriptor, Digest};
use wharf_testkit::{TestRegistry, Wharf};

use super::tampered::layer;
use super::wharf;

/// Changes a manifest before it is published.
type Edit = fn(&mut Value);

/// Puts an image of one layer into a registry, with this config, and a manifest that was edited.
fn push(registry: &TestRegistry, name: &str, config: &[u8], edit: impl FnOnce(&mut Value)) {
    let layer = layer();
    let (repository, tag) = name.split_once(':').unwrap();
    for blob in [config, &layer] {
        registry.push_blob(repository, &Digest::of(blob), Bytes::copy_from_slice(blob));
    }
    let mut manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": Descriptor::of(OCI_CONFIG, config), "layers": [Descriptor::of(OCI_LAYER, &layer)],
    });
    edit(&mut manifest);
    let raw = Bytes::from(manifest.to_string());
    let descriptor = Descriptor::of(OCI_MANIFEST, &raw);
    registry.push_manifest(repository, Some(tag), &descriptor, raw);
}

/// A config; `%` stands for the layer's diff ID.
fn config(text: &str) -> Vec<u8> {
    let diff_id = Digest::of(&layer());
    text.replace('%', diff_id.as_str()).into_bytes()
}

/// Runs every command that shows an image.
fn shown(wharf: &Wharf, name: &str) -> Value {
    let text = wharf.ok(["inspect", name]);
    let saved = wharf.folder().join("saved.tar").display().to_string();
    for arguments in [
        &["history", "--no-trunc"][..],
        &["history", "--format", "{{json .}}"],
        &["images", "--no-trunc"],
        &["images", "--tree"],
        &["inspect", "-f", "{{json .}} {{.Config}}"],
        &["save", "-o", &saved],
        &["ls"],
    ] {
        let mut all = arguments.to_vec();
        if !arguments.contains(&"images") {
            all.push(name);
        }
        wharf.ok(all);
    }
    wharf.ok(["store", "check"]);
    let all: Value = serde_json::from_str(&text).unwrap();
    all[0].clone()
}

#[test]
#[allow(clippy::too_many_lines, reason = "most lines are a table")]
fn issue_12_null_is_a_zero_value_in_a_config() {
    let registry = TestRegistry::start();
    let rest = r#""rootfs":{"type":"layers","diff_ids":["%"]}"#;
    let run = |fields: &str| {
        format!(r#"{{"os":"linux","architecture":"amd64","config":{{{fields}}},{rest}}}"#)
    };
    let with = |fields: &str| format!("{{{fields},{rest}}}");
    let cases = [
        (
            "fields",
            with(
                r#""os":null,"architecture":null,"variant":null,"os.version":null,"author":null,"created":null,"comment":null,"docker_version":null,"config":null,"history":null"#,
            ),
        ),
        ("history", with(r#""os":"linux","history":[null]"#)),
        (
            "steps",
            with(
                r#""history":[{"created":null,"created_by":null,"comment":null,"author":null,"empty_layer":null},{"empty_layer":true}]"#,
            ),
        ),
        ("labels", run(r#""Labels":{"a":null,"b":"x"}"#)),
        (
            "lists",
            run(
                r#""Env":[null,"A=b"],"Cmd":[null],"Entrypoint":[null],"OnBuild":[null],"Shell":[null]"#,
            ),
        ),
        (
            "all",
            run(
                r#""User":null,"ExposedPorts":null,"Env":null,"Entrypoint":null,"Cmd":null,"Volumes":null,"WorkingDir":null,"Labels":null,"StopSignal":null,"ArgsEscaped":null,"Healthcheck":null,"OnBuild":null,"Shell":null"#,
            ),
        ),
        (
            "check",
            run(
                r#""Healthcheck":{"Test":null,"Interval":null,"Timeout":null,"StartPeriod":null,"StartInterval":null,"Retries":null}"#,
            ),
        ),
        (
            "tests",
            run(r#""Healthcheck":{"Test":["CMD",null],"Interval":1}"#),
        ),
        (
            "sets",
            run(r#""ExposedPorts":{"80/tcp":null},"Volumes":{"/data":null}"#),
        ),
        (
            "strings",
            run(r#""Cmd":"one two","Entrypoint":"/bin/sh","Shell":"sh""#),
        ),
        (
            "case",
            run(r#""cmd":["x"],"LABELS":{"a":"b"},"entryPoint":["y"],"workingdir":"/w""#),
        ),
        (
            "twice",
            run(r#""Cmd":["a"],"Cmd":["b"],"Labels":{"a":"1"},"Labels":{"b":"2"}"#),
        ),
    ];
    for (tag, text) in &cases {
        let name = format!("odd/nulls:{tag}");
        push(&registry, &name, &config(text), |_| ());
        let (wharf, name) = (wharf(), registry.name(&name));
        wharf.ok(["pull", "--platform", "linux/amd64", &name]);
        let image = shown(&wharf, &name);
        let run = &image["Config"];
        match *tag {
            "fields" => assert_eq!((&image["Os"], &run["Cmd"]), (&json!("linux"), &Value::Null)),
            "labels" => assert_eq!(run["Labels"], json!({ "a": "", "b": "x" })),
            "lists" => assert_eq!(run["Env"], json!(["", "A=b"])),
            "tests" => assert_eq!(
                run["Healthcheck"],
                json!({ "Test": ["CMD", ""], "Interval": 1 })
            ),
            "sets" => assert_eq!(run["ExposedPorts"], json!({ "80/tcp": {} })),
            "strings" => {
                assert_eq!(run["Cmd"], json!(["one two"]));
                assert_eq!(run["Entrypoint"], json!(["/bin/sh"]));
            }
            "case" => {
                assert_eq!(run["Cmd"], json!(["x"]));
                assert_eq!(run["Labels"], json!({ "a": "b" }));
                assert_eq!(run["WorkingDir"], json!("/w"));
            }
            "twice" => {
                assert_eq!(run["Cmd"], json!(["b"]));
                assert_eq!(run["Labels"], json!({ "a": "1", "b": "2" }));
            }
            _ => {}
        }
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "most lines are a table")]
fn issue_12_null_is_a_zero_value_in_a_manifest() {
    let registry = TestRegistry::start();
    let config = config(r#"{"os":"linux","rootfs":{"type":"layers","diff_ids":["%"]}}"#);
    let edits: [(&str, Edit); 6] = [
        ("top", |m| {
            for field in [
                "annotations",
                "subject",
                "artifactType",
                "manifests",
                "urls",
            ] {
                m[field] = Value::Null;
            }
        }),
        ("media-type", |m| m["mediaType"] = Value::Null),
        ("layer", |m| {
            for field in ["annotations", "urls", "platform", "artifactType"] {
                m["layers"][0][field] = Value::Null;
            }
        }),
        ("config", |m| {
            m["config"]["annotations"] = json!({ "a": null })
        }),
        ("annotations", |m| {
            m["annotations"] = json!({ "a": null, "b": "x" })
        }),
        ("case", |m| {
            let layers = m["layers"].take();
            m.as_object_mut().unwrap().remove("layers");
            m["Layers"] = layers;
        }),
    ];
    for (tag, edit) in edits {
        let name = format!("odd/manifests:{tag}");
        push(&registry, &name, &config, edit);
        let (wharf, name) = (wharf(), registry.name(&name));
        wharf.ok(["pull", &name]);
        shown(&wharf, &name);
    }
}

#[test]
fn issue_12_an_artifact_type_does_not_make_an_artifact_of_an_image() {
    let registry = TestRegistry::start();
    let config = config(r#"{"os":"linux","rootfs":{"type":"layers","diff_ids":["%"]}}"#);
    for (number, kind) in [
        "",
        "application/vnd.example+json",
        OCI_CONFIG,
        DOCKER_CONFIG,
        "x",
    ]
    .iter()
    .enumerate()
    {
        let name = format!("odd/kinds:{number}");
        push(&registry, &name, &config, |m| {
            m["artifactType"] = json!(kind)
        });
        let (wharf, name) = (wharf(), registry.name(&name));
        wharf.ok(["pull", &name]);
        shown(&wharf, &name);
    }
}

/// The digest is right, so nothing on the way has changed the bytes.
#[test]
#[allow(clippy::too_many_lines, reason = "most lines are a table")]
fn issue_12_a_proxy_is_not_blamed_for_what_was_published() {
    let registry = TestRegistry::start();
    let fine = r#"{"os":"linux","rootfs":{"type":"layers","diff_ids":["%"]}}"#;
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
    let steps = r#"{"history":[{},{}],"rootfs":{"type":"layers","diff_ids":["%"]}}"#;
    let cases: [(&str, &str, Edit, &str); 6] = [
        ("no-json", "{", |_| (), "not valid JSON"),
        (
            "type",
            r#"{"config":{"Env":"A=b"}}"#,
            |_| (),
            "config.Env: it must be a list",
        ),
        (
            "layers",
            r#"{"os":"linux"}"#,
            |_| (),
            "lists 0 layers and its manifest 1",
        ),
        ("deep", &deep, |_| (), "more than 100 levels"),
        (
            "history",
            steps,
            |_| (),
            "too many non-empty layers in History section",
        ),
        (
            "size",
            fine,
            |m| m["config"]["size"] = json!(9),
            "where its descriptor says 9",
        ),
    ];
    for (tag, text, edit, words) in cases {
        let name = format!("odd/broken:{tag}");
        push(&registry, &name, &config(text), edit);
        let wharf = wharf();
        let output = wharf.run(["pull", &registry.name(&name)]);
        assert_eq!(output.code, Some(1), "{tag}");
        assert!(output.stderr.contains(words), "{tag}: {}", output.stderr);
        assert!(
            output.stderr.contains("was published like that"),
            "{tag}: {}",
            output.stderr
        );
        assert!(!output.stderr.contains("proxy"), "{tag}: {}", output.stderr);
        assert_eq!(wharf.ok(["images", "-q"]), "", "{tag}");
    }
}

/// The registry would refuse such a manifest, so it tells a lie.
#[test]
fn issue_12_an_image_that_leaves_its_sizes_out_is_refused_for_that_reason() {
    let registry = TestRegistry::start();
    let config = config(r#"{"os":"linux","rootfs":{"type":"layers","diff_ids":["%"]}}"#);
    for (tag, path, size) in [
        ("layer", "/layers/0/size", json!(0)),
        ("layer-null", "/layers/0/size", Value::Null),
        ("config", "/config/size", json!(0)),
    ] {
        let mut raw = Bytes::new();
        push(&registry, "odd/sizes:whole", &config, |m| {
            let mut edited = m.clone();
            *edited.pointer_mut(path).unwrap() = size;
            raw = Bytes::from(edited.to_string());
        });
        registry.lie("odd/sizes", tag, OCI_MANIFEST, raw);
        let wharf = wharf();
        let output = wharf.run(["pull", &registry.name(&format!("odd/sizes:{tag}"))]);
        assert_eq!(output.code, Some(1), "{tag}");
        let words = "has 0 bytes, and its digest says otherwise";
        assert!(output.stderr.contains(words), "{tag}: {}", output.stderr);
        assert!(!output.stderr.contains("proxy"), "{tag}: {}", output.stderr);
    }
}
