//! Archives that are damaged, that lie, or that were made to do harm: each is refused in words that name
//! what is wrong with it, and the store is what it was before, to the last file.
//!
//! The attacks on single layers, and the parsers' properties, are tested in `wharf-archive`.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tar::EntryType;
use wharf_core::Digest;
use wharf_testkit::Wharf;
use wharf_testkit::images::Layer;

use super::tampered::{
    Entry, Layout, archive, bomb, config, docker_archive, file, header, layer, layout, named,
};
use super::wharf;

/// What the program may allocate in the tests of its memory, in KiB: 64 MiB.
const MEMORY_KIB: u64 = 64 * 1024;

/// A store that has an image.
fn store() -> Wharf {
    let wharf = wharf();
    let layer = archive(&[file("etc/issue", b"harmless\n")]);
    let good = named("harmless:1", &[], &layer, Digest::of(&layer));
    wharf.ok(["load", "-i", &write(&wharf, &good)]);
    wharf
}

/// Writes an archive into the program's folder. Answers with its path.
fn write(wharf: &Wharf, bytes: &[u8]) -> String {
    let path = wharf.folder().join("archive.tar");
    fs::write(&path, bytes).unwrap();
    path.display().to_string()
}

/// Every file of the store but the catalog's.
fn files(root: &Path) -> BTreeSet<PathBuf> {
    let (mut found, mut left) = (BTreeSet::new(), vec![root.to_owned()]);
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else if !path.to_string_lossy().contains("wharf.db") {
                found.insert(path);
            }
        }
    }
    found
}

/// What a store shows, and all that lies in it.
fn state(wharf: &Wharf) -> (String, String, BTreeSet<PathBuf>) {
    let images = wharf.ok(["images", "-a", "--digests", "--no-trunc"]);
    let check = wharf.ok(["store", "check"]);
    (images, check, files(&wharf.root()))
}

/// Runs the command, which has to refuse what it gets, and to leave nothing.
fn refused(what: &str, wharf: &Wharf, arguments: &[&str], words: &str) {
    let before = state(wharf);
    let output = wharf.run(arguments);
    assert_eq!(output.code, Some(1), "{what}: {}", output.stdout);
    assert_eq!(output.stdout, "", "{what}");
    let said = &output.stderr;
    assert!(said.starts_with("Error: "), "{what}: {said}");
    assert!(said.contains(words), "{what}: {said}");
    for wrong in ["registry", "pull", "internal error", "panicked"] {
        assert!(!said.contains(wrong), "{what} speaks of a {wrong}: {said}");
    }
    assert_eq!(state(wharf), before, "{what} changes the store");
}

#[test]
fn entries_that_lead_out_of_an_archive_are_refused() {
    let wharf = store();
    let link = EntryType::Symlink;
    let attacks: [(&str, Entry<'_>, &str); 8] = [
        ("traversal", file("../x", b"x"), "a name that leads out"),
        (
            "traversal from below",
            file("a/../../x", b"x"),
            "a name that leads out",
        ),
        ("absolute", file("/etc/x", b"x"), "a name that is absolute"),
        (
            "an absolute link",
            ("x", link, "/etc/passwd", b""),
            "a link that leads out",
        ),
        (
            "a link upwards",
            ("a/x", link, "../../x", b""),
            "a link that leads out",
        ),
        (
            "a hard link upwards",
            ("x", EntryType::Link, "../../etc/passwd", b""),
            "a link that leads out",
        ),
        (
            "a device",
            ("x", EntryType::Char, "", b""),
            "a device or a pipe",
        ),
        (
            "a pipe",
            ("x", EntryType::Fifo, "", b""),
            "a device or a pipe",
        ),
    ];
    for (what, entry, words) in attacks {
        let bytes = docker_archive(&[entry], &layer(), Digest::of(&layer()));
        refused(what, &wharf, &["load", "-i", &write(&wharf, &bytes)], words);
    }
}

#[test]
fn what_an_archive_says_of_its_content_has_to_be_true() {
    let wharf = store();
    let layer = layer();
    let other = || Digest::of(b"something else");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&layer).unwrap();
    let packed = packed.finish().unwrap();
    let text = b"this is no archive of files\n".repeat(40);
    let two = archive(&[
        file("config.json", &config(&[Digest::of(&layer)])),
        file("layer.tar", &layer),
        file(
            "manifest.json",
            br#"[{"Config":"config.json","RepoTags":[],"Layers":["layer.tar","layer.tar"]}]"#,
        ),
    ]);
    let missing = archive(&[
        file("config.json", &config(&[Digest::of(&layer)])),
        file(
            "manifest.json",
            br#"[{"Config":"config.json","RepoTags":[],"Layers":["layer.tar"]}]"#,
        ),
    ]);
    let none = archive(&[
        file("config.json", b"{}"),
        file(
            "manifest.json",
            br#"[{"Config":"config.json","RepoTags":["q:1"],"Layers":[]}]"#,
        ),
    ]);
    let null = archive(&[file("manifest.json", b"null")]);
    for (what, bytes, words) in [
        (
            "a config that is none",
            none,
            "invalid image JSON, no RootFS key",
        ),
        (
            "a list that is none",
            null,
            "manifest.json in the archive is malformed: it must be a list of images",
        ),
        (
            "another diff ID",
            docker_archive(&[], &layer, other()),
            "sent other bytes than",
        ),
        (
            "another diff ID of a packed layer",
            docker_archive(&[], &packed, other()),
            "does not hold what the image's config says",
        ),
        (
            "a layer that is none",
            docker_archive(&[], &text, Digest::of(&text)),
            "the layer cannot be read",
        ),
        ("a layer too many", two, "layers length mismatch"),
        (
            "a layer that is missing",
            missing,
            "open layer.tar: no such",
        ),
    ] {
        refused(what, &wharf, &["load", "-i", &write(&wharf, &bytes)], words);
    }
}

#[test]
fn what_a_layout_says_of_its_content_has_to_be_true() {
    let wharf = store();
    let longer =
        |size: u64| move |all: &mut Layout| all.manifest["layers"][0]["size"] = json!(size);
    let tampered: [(&str, Vec<u8>, &str); 8] = [
        (
            "a layer's size",
            layout(longer(99)),
            "bytes where its descriptor says 99",
        ),
        (
            "a layer's size beyond all disks",
            layout(longer(1 << 62)),
            "is declared with 4611686018427387904 bytes",
        ),
        (
            "a layer's bytes",
            layout(|all| {
                if let Some(layer) = &mut all.layer {
                    layer[600] = b'!';
                }
            }),
            "sent other bytes than",
        ),
        (
            "a config's bytes",
            layout(|all| {
                let text = String::from_utf8_lossy(&all.config).replace("amd64", "arm64");
                all.config = text.into_bytes();
            }),
            "sent other bytes than",
        ),
        (
            "a manifest's bytes",
            layout(|all| {
                let text = all.manifest.to_string();
                all.instead = Some(
                    text.replace("\"schemaVersion\":2", "\"schemaVersion\":3")
                        .into(),
                );
            }),
            "sent other bytes than",
        ),
        (
            "a layer that is missing",
            layout(|all| all.layer = None),
            ": no such file or directory",
        ),
        (
            "a manifest's size",
            layout(|all| all.list("size", json!(7))),
            "bytes where its descriptor says 7",
        ),
        (
            "a digest that leads out",
            layout(|all| all.list("digest", json!("sha256:../../../../etc/passwd"))),
            "index.json in the archive is malformed: manifests[0].digest: invalid digest",
        ),
    ];
    for (what, bytes, words) in tampered {
        refused(what, &wharf, &["load", "-i", &write(&wharf, &bytes)], words);
    }
    wharf.ok(["load", "-i", &write(&wharf, &layout(|_| ()))]);
}

#[test]
fn a_layout_that_is_cut_off_is_refused() {
    let wharf = store();
    let whole = layout(|_| ());
    for at in (1..whole.len() - 2048)
        .step_by(whole.len() / 9)
        .chain([512, 1537])
    {
        let path = write(&wharf, &whole[..at]);
        refused(&format!("cut at {at}"), &wharf, &["load", "-i", &path], "");
    }
}

#[test]
fn one_bad_image_of_several_keeps_the_good_ones_out() {
    let wharf = store();
    let layer = layer();
    let (good, bad) = (
        config(&[Digest::of(&layer)]),
        config(&[Digest::of(b"other")]),
    );
    let bytes = archive(&[
        file("good.json", &good),
        file("bad.json", &bad),
        file("layer.tar", &layer),
        file(
            "manifest.json",
            br#"[{"Config":"good.json","RepoTags":["good:1"],"Layers":["layer.tar"]},
                 {"Config":"bad.json","RepoTags":["bad:1"],"Layers":["layer.tar"]}]"#,
        ),
    ]);
    let path = write(&wharf, &bytes);
    refused(
        "a bad second image",
        &wharf,
        &["load", "-i", &path],
        "bytes",
    );
}

#[test]
fn of_entries_with_one_name_the_last_one_counts() {
    let wharf = store();
    let garbage = [
        file("layer.tar", b"garbage"),
        file("manifest.json", b"garbage"),
    ];
    let bytes = docker_archive(&garbage, &layer(), Digest::of(&layer()));
    let loaded = wharf.ok(["load", "-i", &write(&wharf, &bytes)]);
    assert_eq!(loaded, "Loaded image: hostile:1\n");
    assert_eq!(wharf.ok(["cat", "hostile:1:/etc/motd"]), "hello\n");
}

#[test]
fn ten_gigabytes_of_zeros_are_not_unpacked() {
    let wharf = store();
    let bomb = bomb();
    let as_layer = docker_archive(&[], &bomb, Digest::of(b"zeros"));
    let path = write(&wharf, &as_layer);
    let words = "it unpacks to more than 200 times its size";
    refused("a layer", &wharf, &["load", "-i", &path], words);
    let path = write(&wharf, &bomb);
    let words = "unpacks to more than 100 times its size";
    refused(
        "an archive of images",
        &wharf,
        &["load", "-i", &path],
        words,
    );
    refused("an archive of files", &wharf, &["import", &path], words);
}

#[test]
fn a_layer_that_nobody_has_read_is_refused_when_it_is_unpacked() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&layer()).unwrap();
    let packed = packed.finish().unwrap();
    let cut = &packed[..packed.len() - 12];
    for (what, layer, words) in [
        ("another diff ID", packed.as_slice(), "diff ID"),
        ("a bomb", &bomb(), "times its size"),
        ("cut off", cut, "ends"),
    ] {
        let wharf = wharf();
        wharf.config("[pull]\nverify = \"digest\"\n");
        let bytes = docker_archive(&[], layer, Digest::of(b"something else"));
        wharf.ok(["load", "-i", &write(&wharf, &bytes)]);
        let parent = wharf.folder().join("parent");
        fs::create_dir(&parent).unwrap();
        let target = parent.join("rootfs").display().to_string();
        let output = wharf.run(["unpack", "hostile:1", &target]);
        assert_eq!(output.code, Some(1), "{what}");
        assert!(output.stderr.contains(words), "{what}: {}", output.stderr);
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 0, "{what}");
    }
}

/// Runs the program with no more than [`MEMORY_KIB`] to allocate. Answers with its exit code and with what
/// it said on standard error.
pub(super) fn within_memory(wharf: &Wharf, arguments: &[&str]) -> (Option<i32>, String) {
    let plain = wharf.command(arguments);
    let limit = format!("ulimit -d {MEMORY_KIB}; exec \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &limit, "sh"]).arg(plain.get_program());
    command.args(plain.get_args()).env_clear();
    // The threads' stacks count: a machine with many processors would have many.
    command.env("TOKIO_WORKER_THREADS", "2");
    for (name, value) in plain.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let output = command.output().unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn a_million_entries_in_an_archive_of_images_are_refused_in_little_memory() {
    let wharf = store();
    let before = state(&wharf);
    let path = wharf.folder().join("many.tar");
    let thousand = header(file("x", b"")).as_bytes().repeat(1000);
    let mut out = fs::File::create(&path).unwrap();
    for _ in 0..1000 {
        out.write_all(&thousand).unwrap();
    }
    let path = path.display().to_string();
    let (code, said) = within_memory(&wharf, &["load", "-i", &path]);
    assert_eq!(code, Some(1), "{said}");
    let words = "Error: the archive has more than 65536 entries; nothing was loaded\n";
    assert_eq!(said, words);
    assert_eq!(state(&wharf), before);
}

#[test]
fn many_files_in_a_layer_are_taken_in_little_memory() {
    // What a layer takes does not grow with its entries: a million take as much, and ten times as long.
    let many: Layer = (0..100_000).fold(Layer::new(), |layer, n| layer.file(&format!("{n}"), b""));
    let packed = many.pack();
    let wharf = store();
    let bytes = docker_archive(&[], &packed.blob, packed.diff_id);
    let path = write(&wharf, &bytes);
    let (code, said) = within_memory(&wharf, &["load", "-i", &path]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let path = write(&wharf, &packed.blob);
    let (code, said) = within_memory(&wharf, &["import", &path, "files:1"]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert_eq!(wharf.ok(["images", "-q", "files:1"]).lines().count(), 1);
}
