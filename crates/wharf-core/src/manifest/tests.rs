use std::collections::BTreeMap;
use std::error::Error as _;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::limits::LAYER_MAX;
use crate::media_type::{
    DOCKER_CONFIG, DOCKER_LAYER_GZIP, DOCKER_LIST, DOCKER_MANIFEST, OCI_CONFIG, OCI_EMPTY,
    OCI_LAYER,
};

fn descriptor(media_type: &str) -> Value {
    json!({ "mediaType": media_type, "digest": format!("sha256:{:064}", 1), "size": 7 })
}

fn image() -> Value {
    json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(OCI_CONFIG),
        "layers": [descriptor(OCI_LAYER)],
    })
}

fn index_of(entries: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries })
}

fn entry(platform: &str) -> Value {
    let mut entry = descriptor(OCI_MANIFEST);
    entry["platform"] = match platform.split('/').collect::<Vec<_>>()[..] {
        [os, architecture] => json!({ "os": os, "architecture": architecture }),
        [os, architecture, variant] => {
            json!({ "os": os, "architecture": architecture, "variant": variant })
        }
        _ => Value::Null,
    };
    entry
}

fn parse(declared: &str, document: &Value) -> Result<Manifest, ManifestError> {
    Manifest::parse(declared, Bytes::from(document.to_string()))
}

fn index(entries: &[&str]) -> Index {
    let entries: Vec<_> = entries.iter().map(|platform| entry(platform)).collect();
    match parse(OCI_INDEX, &index_of(&entries)).unwrap().kind {
        Kind::Index(index) => index,
        other => panic!("{other:?}"),
    }
}

/// Which of `entries` is chosen for `wanted`: its place in the list.
fn chosen(entries: &[&str], wanted: &str) -> Option<usize> {
    let index = index(entries);
    let chosen = index.choose(&wanted.parse().unwrap())?;
    index
        .manifests
        .iter()
        .position(|entry| std::ptr::eq(entry, chosen))
}

#[test]
fn keeps_the_bytes_as_they_came() {
    let raw = Bytes::from(serde_json::to_vec_pretty(&image()).unwrap());
    let manifest = Manifest::parse("", raw.clone()).unwrap();
    assert_eq!(manifest.raw, raw);
    assert_eq!(manifest.descriptor, Descriptor::of(OCI_MANIFEST, &raw));
    assert_eq!(manifest.children().len(), 2);
    assert_eq!(manifest.children()[0].media_type, OCI_CONFIG);
}

#[test]
fn knows_what_came_whatever_it_was_declared_as() {
    let mut bare = image();
    bare.as_object_mut().unwrap().remove("mediaType");
    for (declared, document, expected) in [
        (OCI_MANIFEST, image(), OCI_MANIFEST),
        ("", image(), OCI_MANIFEST),
        ("application/json", image(), OCI_MANIFEST),
        ("text/plain; charset=utf-8", image(), OCI_MANIFEST),
        (
            "application/vnd.oci.image.manifest.v1+json; x=y",
            image(),
            OCI_MANIFEST,
        ),
        // Without a type inside, the one outside counts: the digest can be that of either.
        (DOCKER_MANIFEST, bare.clone(), DOCKER_MANIFEST),
        ("", bare, OCI_MANIFEST),
        (
            "application/octet-stream",
            json!({ "manifests": [] }),
            OCI_INDEX,
        ),
        (DOCKER_LIST, json!({ "manifests": [] }), DOCKER_LIST),
        (
            OCI_INDEX,
            json!({ "mediaType": "", "manifests": [], "layers": null }),
            OCI_INDEX,
        ),
    ] {
        let manifest = parse(declared, &document).unwrap();
        assert_eq!(
            manifest.descriptor.media_type, expected,
            "{declared} {document}"
        );
    }
}

#[test]
fn reads_what_it_has_made() {
    let config = Descriptor::of(OCI_CONFIG, b"{}");
    let layers = vec![
        Descriptor::of(OCI_LAYER, b"a"),
        Descriptor::of(OCI_LAYER, b"b"),
    ];
    let notes = BTreeMap::from([("made".to_owned(), "here".to_owned())]);
    for notes in [BTreeMap::new(), notes] {
        let made =
            Manifest::of_image(OCI_MANIFEST, config.clone(), layers.clone(), &notes).unwrap();
        let read = Manifest::parse(OCI_MANIFEST, made.raw.clone()).unwrap();
        assert_eq!(read, made);
        let document: Value = serde_json::from_slice(&made.raw).unwrap();
        assert_eq!(document["annotations"], json!(notes_or_none(&notes)));
    }
}

fn notes_or_none(notes: &BTreeMap<String, String>) -> Option<&BTreeMap<String, String>> {
    Some(notes).filter(|notes| !notes.is_empty())
}

#[test]
fn tells_images_from_artifacts() {
    let with = |config: &str, artifact_type: Value| {
        let mut document = image();
        document["config"] = descriptor(config);
        document["artifactType"] = artifact_type;
        matches!(parse(OCI_MANIFEST, &document).unwrap().kind, Kind::Image(_))
    };
    for config in [
        OCI_CONFIG,
        DOCKER_CONFIG,
        "",
        "application/octet-stream",
        "application/json",
    ] {
        assert!(with(config, Value::Null), "{config:?}");
    }
    assert!(!with(OCI_EMPTY, Value::Null));
    assert!(!with(
        "application/vnd.cncf.helm.config.v1+json",
        Value::Null
    ));
    // What the artifact type says does not count (Docker 28.5: pull).
    for artifact_type in [
        "",
        "application/vnd.example+json",
        OCI_CONFIG,
        OCI_EMPTY,
        "?",
    ] {
        assert!(with(OCI_CONFIG, json!(artifact_type)), "{artifact_type:?}");
        assert!(
            with(DOCKER_CONFIG, json!(artifact_type)),
            "{artifact_type:?}"
        );
        assert!(!with(OCI_EMPTY, json!(artifact_type)), "{artifact_type:?}");
    }
    let mut empty = image();
    empty["artifactType"] = json!("");
    let Kind::Image(parts) = parse("", &empty).unwrap().kind else {
        panic!("an image");
    };
    assert_eq!(parts.artifact_type, None);
}

/// CVE-2021-41190, security rule 5.
#[test]
fn refuses_what_can_be_read_in_two_ways() {
    let conflict = |declared, document: &Value| {
        matches!(
            parse(declared, document),
            Err(ManifestError::TypeConflict { .. })
        )
    };
    assert!(conflict(OCI_INDEX, &image()));
    assert!(conflict(DOCKER_MANIFEST, &image()));
    assert!(conflict("application/x-tar", &image()));
    assert!(conflict(OCI_MANIFEST, &index_of(&[])));
    let shape = |declared, document: Value| match parse(declared, &document) {
        Err(ManifestError::Shape(reason)) => reason,
        other => panic!("{document} gives {other:?}"),
    };
    for field in ["config", "layers"] {
        for declared in [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST, ""] {
            let mut both = json!({ "schemaVersion": 2, "manifests": [] });
            both[field] = image()[field].clone();
            assert!(
                shape(declared, both).contains("at the same time"),
                "{field} {declared}"
            );
        }
    }
    assert!(shape(OCI_MANIFEST, json!({ "manifests": [] })).contains("says that it is an image"));
    let mut bare = image();
    bare.as_object_mut().unwrap().remove("mediaType");
    assert!(shape(OCI_INDEX, bare).contains("says that it is a list"));
    for nothing in [
        json!({}),
        json!({ "layers": [] }),
        json!({ "config": null }),
    ] {
        assert!(shape("", nothing).starts_with("neither"));
    }
    for second in ["manifests", "Manifests", "MANIFEST\u{17f}"] {
        let twice = format!(r#"{{"schemaVersion":2,"manifests":[],"{second}":[]}}"#);
        let twice = Manifest::parse(OCI_INDEX, Bytes::from(twice));
        assert!(matches!(twice, Err(ManifestError::Json(_))), "{second}");
    }
    let digest = format!("sha256:{:064}", 1);
    let twice = image()
        .to_string()
        .replace("\"size\":7", &format!("\"size\":7,\"Digest\":\"{digest}\""));
    assert!(Manifest::parse("", Bytes::from(twice)).is_err());
}

#[test]
fn refuses_schema_1_and_says_what_to_do() {
    for (declared, document) in [
        (DOCKER_SCHEMA1, json!({})),
        (DOCKER_SCHEMA1_SIGNED, image()),
        (
            "application/json",
            json!({ "schemaVersion": 1, "name": "x" }),
        ),
        (
            DOCKER_MANIFEST,
            json!({ "schemaVersion": 2, "fsLayers": [] }),
        ),
    ] {
        let error = parse(declared, &document).unwrap_err();
        assert!(matches!(error, ManifestError::Schema1), "{declared}");
        assert!(error.to_string().contains("push the image again"));
    }
}

#[test]
fn refuses_what_is_too_large() {
    let max = usize::try_from(DOCUMENT_MAX).unwrap();
    let mut raw = image().to_string().into_bytes();
    raw.resize(max, b' ');
    assert!(Manifest::parse(OCI_MANIFEST, Bytes::from(raw.clone())).is_ok());
    raw.push(b' ');
    let error = Manifest::parse(OCI_MANIFEST, Bytes::from(raw)).unwrap_err();
    assert!(matches!(error, ManifestError::TooLarge(size) if size == DOCUMENT_MAX + 1));
    let many = json!({ "manifests": vec![descriptor(OCI_MANIFEST); INDEX_ENTRIES_MAX + 1] });
    assert!(matches!(
        parse(OCI_INDEX, &many),
        Err(ManifestError::Shape(_))
    ));
    let many = json!({ "config": descriptor(""), "layers": vec![descriptor(""); LAYERS_MAX + 1] });
    assert!(matches!(
        parse(OCI_MANIFEST, &many),
        Err(ManifestError::Shape(_))
    ));
}

/// Sizes that no content has: just above the limit, and those that overflow other integer types.
fn impossible_sizes(max: u64) -> [u64; 7] {
    [
        max + 1,
        1 << 48,
        1 << 53,
        1 << 62,
        i64::MAX as u64,
        1 << 63,
        u64::MAX,
    ]
}

fn with_size(mut document: Value, path: &str, size: u64) -> Value {
    *document.pointer_mut(path).unwrap() = json!(size);
    document
}

#[test]
fn refuses_declared_sizes_that_no_content_has() {
    let mut about = image();
    about["subject"] = descriptor(OCI_MANIFEST);
    let mut chart = image();
    chart["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json");
    let list = index_of(&[entry("linux/amd64"), descriptor(OCI_LAYER)]);
    for (document, path, max) in [
        (&about, "/config/size", DOCUMENT_MAX),
        (&about, "/layers/0/size", LAYER_MAX),
        (&about, "/subject/size", DOCUMENT_MAX),
        (&chart, "/config/size", LAYER_MAX),
        (&chart, "/layers/0/size", LAYER_MAX),
        (&list, "/manifests/0/size", DOCUMENT_MAX),
        (&list, "/manifests/1/size", LAYER_MAX),
    ] {
        let at_most = with_size(document.clone(), path, max);
        assert!(parse("", &at_most).is_ok(), "{path} of {max}");
        for size in impossible_sizes(max) {
            let error = parse("", &with_size(document.clone(), path, size)).unwrap_err();
            let ManifestError::DeclaredSize(reason) = &error else {
                panic!("{path} of {size}: {error:?}");
            };
            assert_eq!((reason.size, reason.max), (size, max), "{path}");
        }
    }
}

#[test]
fn refuses_sizes_that_are_not_a_number_of_bytes() {
    for size in [
        "-1",
        "1e3",
        "7.0",
        "1e400",
        "99999999999999999999999",
        "\"7\"",
        "[7]",
    ] {
        let raw = image()
            .to_string()
            .replace("\"size\":7", &format!("\"size\":{size}"));
        let error = Manifest::parse("", Bytes::from(raw)).unwrap_err();
        assert!(matches!(error, ManifestError::Json(_)), "{size}: {error:?}");
    }
}

#[test]
fn refuses_what_is_malformed() {
    let mut cases = vec![];
    for (field, value) in [
        ("size", json!(-1)),
        ("size", json!("7")),
        ("digest", json!("sha256:../../etc/passwd")),
        ("digest", json!("md5:d41d8cd98f00b204e9800998ecf8427e")),
        ("digest", Value::Null),
        ("annotations", json!([])),
    ] {
        let mut document = image();
        document["layers"][0][field] = value;
        cases.push(document.to_string());
    }
    cases.extend(["", "7", "[]", "\"\"", "{", "{}x"].map(str::to_owned));
    for text in cases {
        let error = Manifest::parse(OCI_MANIFEST, Bytes::from(text.clone())).unwrap_err();
        assert!(
            matches!(error, ManifestError::Json(_)) && error.source().is_some(),
            "{text}"
        );
    }
    let other = parse("application/vnd.oci.artifact.manifest.v1+json", &json!({}));
    assert!(matches!(other, Err(ManifestError::MediaType(_))));
}

#[test]
fn takes_the_nulls_that_go_writes() {
    let mut document = image();
    document["layers"] = Value::Null;
    document["subject"] = Value::Null;
    for field in ["annotations", "urls", "platform", "artifactType"] {
        document["config"][field] = Value::Null;
    }
    assert_eq!(parse(OCI_MANIFEST, &document).unwrap().children().len(), 1);
    // Go reads nothing out of it, which is no manifest.
    let error = parse(OCI_MANIFEST, &Value::Null).unwrap_err();
    assert!(matches!(error, ManifestError::Shape(_)), "{error}");
}

#[test]
fn refuses_images_that_leave_sizes_out() {
    let zero = [json!(0), Value::Null];
    for path in ["/config/size", "/layers/0/size"] {
        for size in &zero {
            let mut document = image();
            *document.pointer_mut(path).unwrap() = size.clone();
            let error = parse(OCI_MANIFEST, &document).unwrap_err();
            assert!(
                matches!(error, ManifestError::DeclaredEmpty { .. }),
                "{path}: {error}"
            );
        }
    }
    let mut document = image();
    document["layers"][0]["size"] = json!(0);
    document["layers"][0]["digest"] = json!(Digest::of(b""));
    assert!(parse(OCI_MANIFEST, &document).is_ok());
}

#[test]
fn chooses_as_docker_does() {
    let all = [
        "linux/amd64",
        "linux/arm/v6",
        "linux/arm/v7",
        "linux/arm64/v8",
        "linux/386",
    ];
    for (entries, wanted, expected) in [
        (&all[..], "linux/amd64", Some(0)),
        (&all[..], "linux/amd64/v3", Some(0)),
        (&all[..], "linux/arm64", Some(3)),
        (&all[..], "linux/arm", Some(2)),
        (&all[..], "linux/arm/v6", Some(1)),
        (&all[..], "linux/arm/v5", None),
        (&all[..], "linux/arm/v8", Some(2)),
        (&all[1..], "linux/amd64", Some(3)),
        (&all[..3], "linux/arm64", Some(2)),
        (&all[..], "linux/s390x", None),
        (&all[..], "windows/amd64", None),
        // The best one, not the first one; of equals, the first one.
        (
            &["linux/amd64", "linux/amd64/v2", "linux/amd64/v3"],
            "linux/amd64/v2",
            Some(1),
        ),
        (&["linux/amd64/v2", "linux/amd64/v3"], "linux/amd64", None),
        (&["linux/amd64", "linux/x86_64"], "linux/amd64", Some(0)),
        // What says nothing of platforms is the last resort.
        (&["-", "linux/386"], "linux/amd64", Some(1)),
        (&["linux/arm64", "-", "-"], "linux/amd64", Some(1)),
        (&["unknown/unknown"], "linux/amd64", None),
        (&[], "linux/amd64", None),
    ] {
        assert_eq!(chosen(entries, wanted), expected, "{wanted} of {entries:?}");
    }
}

#[test]
fn an_attestation_is_nobody_s_image() {
    let mut attestation = entry("linux/amd64");
    attestation["annotations"] = json!({ "vnd.docker.reference.type": "attestation-manifest" });
    let mut other = entry("linux/amd64");
    other["mediaType"] = json!("application/vnd.example+json");
    let mut blank = entry("-");
    blank["platform"] = json!({ "os": "", "architecture": "" });
    let list = index_of(&[attestation, other, entry("unknown/unknown"), blank]);
    let Kind::Index(index) = parse(OCI_INDEX, &list).unwrap().kind else {
        panic!("not an index")
    };
    assert_eq!(index.images().count(), 0);
    let chosen = index.choose(&"linux/amd64".parse().unwrap());
    assert_eq!(chosen, index.manifests.last());
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        "[a-z/+.]{0,8}".prop_map(Value::from),
        Just(descriptor(DOCKER_LAYER_GZIP)),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((FIELDS, inner), 0..5)
                .prop_map(|fields| fields.into_iter().collect::<Value>()),
        ]
    })
}

const FIELDS: &str =
    "(schemaVersion|mediaType|config|layers|manifests|subject|fsLayers|digest|size)";

proptest! {
    #[test]
    fn never_panics_on_junk(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Manifest::parse("", Bytes::from(raw)).is_err());
    }

    /// Whatever is accepted is one thing only, and its bytes are kept.
    #[test]
    fn never_panics_on_json(
        document in proptest::collection::vec((FIELDS, json_value()), 0..6),
        declared in prop_oneof![Just(""), Just(OCI_INDEX), Just(OCI_MANIFEST), Just(DOCKER_LIST)],
    ) {
        let document: Value = document.into_iter().collect();
        if let Ok(manifest) = parse(declared, &document) {
            prop_assert_eq!(&manifest.raw[..], document.to_string().into_bytes());
            let is_list = !document["manifests"].is_null();
            prop_assert_eq!(matches!(manifest.kind, Kind::Index(_)), is_list);
            prop_assert_eq!(is_index(&manifest.descriptor.media_type), is_list);
            prop_assert!(!is_list || document["layers"].is_null() && document["config"].is_null());
        }
    }
}
