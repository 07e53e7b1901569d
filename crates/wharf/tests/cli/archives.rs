//! Saving and loading. Docker's recorded scenarios test more of it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use wharf_core::Digest;
use wharf_testkit::images::samples;

use super::tampered::{docker_archive, layer, layout};
use super::{registry, wharf};

/// The program's folder for archives, and the path of one there.
fn path(wharf: &wharf_testkit::Wharf, name: &str) -> String {
    wharf.folder().join(name).display().to_string()
}

#[test]
fn what_is_saved_is_loaded_with_the_same_bytes() {
    let (here, there, registry) = (wharf(), wharf(), registry());
    registry.push("team/codecs:1", &samples::every_compression());
    for repository in ["team/app:1", "team/codecs:1"] {
        let name = registry.name(repository);
        here.ok(["pull", "-q", &name]);
        let (first, second) = (path(&here, "first.tar"), path(&here, "second.tar"));
        here.ok(["save", "-o", &first, &name]);
        let mode = fs::metadata(&first).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let loaded = there.ok(["load", "-i", &first]);
        assert_eq!(loaded, format!("Loaded image: {name}\n"));
        there.ok(["save", "-o", &second, &name]);
        // Manifest, config and layers are in it by digest: the same archive is the same content.
        assert!(
            fs::read(&first).unwrap() == fs::read(&second).unwrap(),
            "{repository}"
        );
    }
    there.ok(["store", "check"]);
}

#[test]
fn an_archive_that_is_cut_off_anywhere_changes_nothing() {
    let (here, there, registry) = (wharf(), wharf(), registry());
    let name = registry.name("team/app:1");
    here.ok(["pull", "-q", &name]);
    let (whole, cut) = (path(&here, "whole.tar"), path(&here, "cut.tar"));
    here.ok(["save", "-o", &whole, &name]);
    let bytes = fs::read(&whole).unwrap();
    // Behind index.json the image is whole: what follows says the same again.
    let index = bytes.windows(11).position(|name| name == b"index.json\0");
    let needed = index.unwrap() + 512;
    for at in (0..needed)
        .step_by(needed / 12)
        .chain([511, 512, 513, 1535, 1537])
    {
        fs::write(&cut, &bytes[..at]).unwrap();
        let output = there.run(["load", "-i", &cut]);
        assert_eq!(output.code, Some(1), "cut at {at}");
        assert!(
            !output.stderr.contains("internal error"),
            "{}",
            output.stderr
        );
    }
    assert_eq!(there.ok(["images", "-aq"]), "");
    there.ok(["store", "check"]);
}

#[test]
fn a_name_that_moves_is_told_of() {
    let (wharf, registry) = (wharf(), registry());
    registry.push("team/other:1", &samples::every_compression());
    let (name, other) = (registry.name("team/app:1"), registry.name("team/other:1"));
    wharf.ok(["pull", "-q", &name]);
    wharf.ok(["pull", "-q", &other]);
    let archive = path(&wharf, "a.tar");
    wharf.ok(["tag", &name, "moving:1"]);
    wharf.ok(["save", "-o", &archive, "moving:1"]);
    wharf.ok(["tag", &other, "moving:1"]);
    let old = wharf.ok(["images", "-q", "--no-trunc", "moving"]);
    let loaded = wharf.ok(["load", "-i", &archive]);
    let expected = format!(
        "The image moving:1 already exists, renaming the old one with ID {} to empty string\n\
         Loaded image: moving:1\n",
        old.trim()
    );
    assert_eq!(loaded, expected);
}

#[test]
fn a_failed_save_leaves_no_file() {
    let wharf = wharf();
    let folder = wharf.folder().join("out");
    fs::create_dir(&folder).unwrap();
    let archive = folder.join("x.tar").display().to_string();
    let output = wharf.run(["save", "-o", &archive, "nosuch:1"]);
    assert_eq!(output.code, Some(1));
    assert_eq!(output.stderr, "Error: reference does not exist\n");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn an_archive_with_packed_layers_keeps_their_bytes() {
    // crane writes a docker-archive so: the layers as the registry has them.
    let (wharf, registry) = (wharf(), registry());
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&layer()).unwrap();
    let packed = packed.finish().unwrap();
    let archive = path(&wharf, "crane.tar");
    let bytes = docker_archive(&[], &packed, Digest::of(&layer()));
    fs::write(&archive, bytes).unwrap();
    assert_eq!(
        wharf.ok(["load", "-i", &archive]),
        "Loaded image: hostile:1\n"
    );
    assert_eq!(wharf.ok(["cat", "hostile:1:/etc/motd"]), "hello\n");
    let name = registry.name("team/packed:1");
    wharf.ok(["tag", "hostile:1", &name]);
    wharf.ok(["push", "-q", &name]);
    let manifest = wharf.ok(["manifest", "inspect", &name]);
    let digest = Digest::of(&packed);
    assert!(manifest.contains(digest.as_str()), "{manifest}");
}

#[test]
fn what_is_no_image_in_a_layout_is_left_out_and_said() {
    let wharf = wharf();
    let (config, payload) = (b"{}".to_vec(), b"signed".to_vec());
    let described = |kind: &str, bytes: &[u8]| -> Value {
        json!({ "mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len() })
    };
    let manifest = "application/vnd.oci.image.manifest.v1+json";
    let artifact = |extra: Value, config_type: &str, layer_type: &str| {
        let mut artifact = json!({
            "schemaVersion": 2, "mediaType": manifest,
            "config": described(config_type, &config), "layers": [described(layer_type, &payload)],
        });
        if !extra.is_null() {
            artifact["artifactType"] = extra;
        }
        artifact.to_string().into_bytes()
    };
    let empty = "application/vnd.oci.empty.v1+json";
    let signature = artifact(
        json!("application/vnd.example.signature"),
        empty,
        "text/plain",
    );
    let image_config = "application/vnd.oci.image.config.v1+json";
    // cosign's older signatures look like images.
    let old = artifact(
        Value::Null,
        image_config,
        "application/vnd.dev.cosign.simplesigning.v1+json",
    );
    let listing = |alone: bool| {
        layout(|all| {
            all.more = vec![
                config.clone(),
                payload.clone(),
                signature.clone(),
                old.clone(),
            ];
            let Some(listed) = all.index.pointer_mut("/manifests") else {
                return;
            };
            let listed = listed.as_array_mut().unwrap();
            if alone {
                listed.clear();
            }
            listed.extend([described(manifest, &signature), described(manifest, &old)]);
        })
    };
    let archive = path(&wharf, "layout.tar");
    fs::write(&archive, listing(false)).unwrap();
    let output = wharf.run(["load", "-i", &archive]);
    assert_eq!(output.stdout, "Loaded image: hostile:1\n");
    let (first, second) = (Digest::of(&signature), Digest::of(&old));
    let expected = format!(
        "left out {first}, which is not an image: application/vnd.example.signature\n\
         left out {second}, which is not an image: application/vnd.dev.cosign.simplesigning.v1+json\n"
    );
    assert_eq!((output.code, output.stderr), (Some(0), expected));
    fs::write(&archive, listing(true)).unwrap();
    let output = wharf.run(["load", "-i", &archive]);
    assert_eq!(output.code, Some(1));
    let words = "Error: the archive holds no image: sha256:";
    assert!(output.stderr.starts_with(words), "{}", output.stderr);
}
