//! Pushing. Docker's recorded scenarios test more of it, `wharf-registry`'s tests what goes over the wire.

use std::fs;
use std::path::Path;

use wharf_core::Digest;
use wharf_testkit::images::{Content as _, samples};
use wharf_testkit::{Fault, On, TestRegistry, Wharf, When};

use super::{registry, wharf};

fn digests(wharf: &Wharf, name: &str) -> String {
    let output = wharf.ok(["inspect", "-f", "{{json .RepoDigests}}", name]);
    output.trim().to_owned()
}

#[test]
fn what_was_pulled_arrives_elsewhere_with_the_same_digests() {
    let (from, to, here, there) = (registry(), TestRegistry::start(), wharf(), wharf());
    from.push("team/codecs:1", &samples::every_compression());
    for image in ["team/app:1", "team/codecs:1"] {
        let (source, target) = (from.name(image), to.name(image));
        here.ok(["pull", "-q", &source]);
        here.ok(["tag", &source, &target]);
        let output = here.ok(["push", &target]);
        let repository = target.trim_end_matches(":1");
        let heading = format!("The push refers to repository [{repository}]\n");
        assert!(output.starts_with(&heading), "{output}");
        assert_eq!(there.ok(["pull", "-q", &target]), format!("{target}\n"));
        let digest = |all: String| all.rsplit_once('@').map(|(_, digest)| digest.to_owned());
        assert_eq!(
            digest(digests(&there, &target)),
            digest(digests(&here, &source)),
            "{image}"
        );
        let archive = |wharf: &Wharf, name: &str| {
            let file = wharf.folder().join("image.tar").display().to_string();
            wharf.ok(["save", "-o", &file, name]);
            fs::read(file).unwrap()
        };
        there.ok(["tag", &target, &source]);
        assert!(
            archive(&here, &source) == archive(&there, &source),
            "{image}"
        );
    }
}

#[test]
fn a_second_push_sends_no_layer() {
    let (registry, wharf) = (registry(), wharf());
    let (source, target) = (registry.name("team/app:1"), registry.name("other/app:1"));
    wharf.ok(["pull", "-q", &source]);
    wharf.ok(["tag", &source, &target]);
    let first = wharf.ok(["push", &target]);
    // It was pulled from this registry: the layer is taken over from there.
    assert!(first.contains(": Mounted from team/app\n"), "{first}");
    registry.forget_requests();
    let second = wharf.ok(["push", &target]);
    assert!(second.contains(": Layer already exists\n"), "{second}");
    let uploads = registry.requests();
    let uploads = uploads.iter().filter(|r| r.path.contains("/uploads/"));
    assert_eq!(uploads.count(), 0, "{}", registry.story());
}

#[test]
fn an_index_goes_whole_where_its_other_images_are_and_else_in_part_with_a_note() {
    let (from, to, wharf) = (TestRegistry::start(), TestRegistry::start(), wharf());
    let index = samples::platforms(&["linux/amd64", "linux/arm64"]);
    from.push("team/multi:1", &index);
    let source = from.name("team/multi:1");
    wharf.ok(["pull", "-q", "--platform", "linux/amd64", &source]);

    let partial = to.name("team/multi:1");
    wharf.ok(["tag", &source, &partial]);
    let output = wharf.run(["push", &partial]);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let note = "Not all multiplatform-content is present";
    assert!(output.stderr.contains(note), "{}", output.stderr);
    let root = index.root().digest.to_string();
    assert!(!output.stdout.contains(&root), "{}", output.stdout);

    // Where the index came from, nothing of it is missing.
    let whole = from.name("team/multi:2");
    wharf.ok(["tag", &source, &whole]);
    let output = wharf.run(["push", &whole]);
    assert_eq!(output.stderr, "");
    assert!(output.stdout.contains(&root), "{}", output.stdout);

    let absent = wharf.run(["push", "--platform", "linux/arm64", &partial]);
    assert_eq!(absent.code, Some(1));
    assert!(
        absent
            .stderr
            .contains("does not match the specified platform (linux/arm64)"),
        "{}",
        absent.stderr
    );
}

/// A tar of these files.
fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

/// A docker-archive with one plain layer, as `docker save` of the classic store wrote them.
fn docker_archive(file: &Path) {
    let layer = tar_of(&[("etc/motd", &b"hello\n".repeat(1000))]);
    let diff_id = Digest::of(&layer);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
    );
    let manifest = r#"[{"Config":"c.json","RepoTags":["made/here:1"],"Layers":["l/layer.tar"]}]"#;
    let archive = tar_of(&[
        ("manifest.json", manifest.as_bytes()),
        ("c.json", config.as_bytes()),
        ("l/layer.tar", &layer),
    ]);
    fs::write(file, archive).unwrap();
}

#[test]
fn plain_layers_of_what_was_made_here_are_packed_once() {
    let (one, two, wharf) = (TestRegistry::start(), TestRegistry::start(), wharf());
    let file = wharf.folder().join("classic.tar");
    docker_archive(&file);
    wharf.ok(["load", "-i", &file.display().to_string()]);
    let id = wharf.ok(["images", "-q", "--no-trunc", "made/here:1"]);
    for (compression, magic) in [("gzip", &[0x1f, 0x8b][..]), ("zstd", &[0x28, 0xb5])] {
        let mut sent = Vec::new();
        for registry in [&one, &two] {
            let name = registry.name(&format!("{compression}/here:1"));
            wharf.ok(["tag", "made/here:1", &name]);
            let output = wharf.ok(["push", "--compression", compression, &name]);
            sent.push(output.lines().last().unwrap().to_owned());
            let there = super::wharf();
            there.ok(["pull", "-q", &name]);
            assert_eq!(there.ok(["images", "-q", "--no-trunc", &name]), id);
            let image = there.folder().join("image.tar").display().to_string();
            there.ok(["save", "-o", &image, &name]);
            let bytes = fs::read(image).unwrap();
            assert!(bytes.windows(magic.len()).any(|window| window == magic));
        }
        assert_eq!(sent[0], sent[1], "the same image has two digests");
    }
    wharf.ok(["store", "check"]);
}

#[test]
fn a_push_that_is_refused_says_so_in_the_registry_s_words() {
    let (registry, wharf) = (registry(), wharf());
    let name = registry.name("team/app:1");
    wharf.ok(["pull", "-q", &name]);
    registry.fault(On::path("/manifests/"), When::Always, Fault::Status(403));
    let output = wharf.run(["push", &name]);
    assert_eq!(output.code, Some(1));
    let words = "denied: the test wants it so";
    assert!(output.stderr.contains(words), "{}", output.stderr);
    assert!(output.stderr.contains("log in with"), "{}", output.stderr);
}

#[test]
fn what_cannot_be_a_push_is_refused_before_anything_is_asked() {
    let (registry, wharf) = (registry(), wharf());
    let digest = Digest::of(b"x");
    let by_digest = wharf.run(["push", &registry.name(&format!("team/app@{digest}"))]);
    assert_eq!(by_digest.code, Some(1));
    assert!(by_digest.stderr.contains("cannot push a digest reference"));
    let packed = wharf.run(["push", "--compression", "lzma", "team/app"]);
    assert_eq!(packed.code, Some(125), "{}", packed.stderr);
    assert!(registry.requests().is_empty());
}
