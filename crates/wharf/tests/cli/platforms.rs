//! One of several platforms of an image that are here.

use wharf_testkit::images::samples;
use wharf_testkit::{TestRegistry, Wharf};

use super::wharf;

/// An index of which two platforms are here; the name shows the second.
fn two_platforms() -> (Wharf, TestRegistry, String) {
    let (wharf, registry) = (wharf(), TestRegistry::start());
    let index = samples::platforms(&["linux/amd64", "linux/arm64", "linux/s390x"]);
    registry.push("team/multi:1", &index);
    let name = registry.name("team/multi:1");
    for platform in ["linux/arm64", "linux/amd64"] {
        wharf.ok(["pull", "-q", "--platform", platform, &name]);
    }
    (wharf, registry, name)
}

/// The ID of a platform's image.
fn id(wharf: &Wharf, name: &str, platform: &str) -> String {
    let words = [
        "image",
        "inspect",
        "-f",
        "{{.Id}}",
        "--platform",
        platform,
        name,
    ];
    wharf.ok(words).trim().to_owned()
}

#[test]
fn a_name_s_other_platforms_are_inspected_too() {
    let (wharf, _registry, name) = two_platforms();
    let (arm, amd) = (
        id(&wharf, &name, "linux/arm64"),
        id(&wharf, &name, "linux/amd64"),
    );
    assert_ne!(arm, amd);
    assert_eq!(
        wharf
            .ok(["image", "inspect", "-f", "{{.Id}}", &name])
            .trim(),
        amd
    );
    for (platform, id) in [("linux/arm64", &arm), ("linux/amd64", &amd)] {
        let words = ["history", "-q", "--no-trunc", "--platform", platform, &name];
        assert_eq!(wharf.ok(words).lines().next().unwrap(), id);
    }
    // By the index's digest, and by the ID.
    let digest = wharf.ok(["image", "inspect", "-f", "{{index .RepoDigests 0}}", &name]);
    assert_eq!(id(&wharf, digest.trim(), "linux/arm64"), arm);
    assert_eq!(id(&wharf, &arm, "linux/arm64"), arm);
}

#[test]
fn a_tree_shows_which_platforms_of_an_image_are_here() {
    let (wharf, _registry, name) = two_platforms();
    wharf.ok(["tag", &name, "m:2"]);
    let tree = wharf.ok(["images", "--tree"]);
    let lines: Vec<&str> = tree.lines().collect();
    assert_eq!(lines[4], name);
    let (amd, arm) = (
        id(&wharf, &name, "linux/amd64"),
        id(&wharf, &name, "linux/arm64"),
    );
    let short = |id: &str| id["sha256:".len()..][..12].to_owned();
    for (line, begins, id) in [
        (5, "m:2 ", Some(short(&amd))),
        (6, "├─ linux/amd64 ", Some(short(&amd))),
        (7, "├─ linux/arm64", Some(short(&arm))),
        (8, "└─ linux/s390x ", None),
    ] {
        assert!(lines[line].starts_with(begins), "{tree}");
        assert!(id.is_none_or(|id| lines[line].contains(&id)), "{tree}");
        assert_eq!(lines[line].contains(" 0B "), line == 8, "{tree}");
    }
    assert_eq!(lines.len(), 10, "{tree}");
    assert_eq!(wharf.ok(["images", "--tree", "nosuch"]).lines().count(), 4);
    wharf.ok(["import", "/dev/null"]);
    assert_eq!(wharf.ok(["images", "--tree"]), tree);
    let all = wharf.ok(["images", "--tree", "-a"]);
    assert_eq!(all.matches("<untagged>").count(), 1, "{all}");
    let output = wharf.run(["images", "--tree", "-q"]);
    let expected = "Error: --quiet is not yet supported with --tree\n";
    assert_eq!((output.stderr.as_str(), output.code), (expected, Some(1)));
}

#[test]
fn the_platforms_of_an_archive_are_found_by_their_name() {
    let (here, _registry, name) = two_platforms();
    let archive = here.folder().join("multi.tar").display().to_string();
    here.ok(["save", "-o", &archive, &name]);
    let there = wharf();
    there.ok(["load", "-i", &archive]);
    let arm = id(&there, &name, "linux/arm64");
    assert_eq!(arm, id(&here, &name, "linux/arm64"));
    let words = ["image", "inspect", "--platform", "linux/arm64", "-f"];
    let tags = there.ok([&words[..], &["{{json .RepoTags}}", &name]].concat());
    assert_eq!(tags, format!("[\"{name}\"]\n"));
    let removed = there.ok(["rmi", "--platform", "linux/arm64", &name]);
    assert!(
        removed.starts_with(&format!("Deleted: {arm}\n")),
        "{removed}"
    );
    let output = there.run([&words[..], &["{{.Id}}", &name]].concat());
    assert_eq!(output.code, Some(1));
    assert_eq!(there.ok(["images", "-q"]).lines().count(), 1);
    there.ok(["store", "check"]);
}

#[test]
fn a_platform_that_is_not_here_is_told_in_docker_s_words() {
    let (wharf, _registry, name) = two_platforms();
    let expected = format!(
        "Error: image with reference {name} was found but its platform (linux/amd64) does not match the \
         specified platform (linux/s390x)\n"
    );
    for words in [["image", "inspect"], ["image", "history"], ["image", "rm"]] {
        let output = wharf.run([&words[..], &["--platform", "linux/s390x", &name]].concat());
        assert_eq!(output.code, Some(1), "{words:?}");
        assert!(output.stderr.starts_with(&expected), "{}", output.stderr);
    }
    let output = wharf.run(["rmi", "--platform", "a/b/c/d", &name]);
    assert!(
        output
            .stderr
            .starts_with("Error: \"a/b/c/d\": cannot parse platform specifier: invalid argument\n")
    );
    let output = wharf.run(["history", "--platform", "a/b/c/d", &name]);
    assert!(output.stderr.starts_with("Error: invalid platform: "));
    assert_eq!(wharf.ok(["images", "-aq"]).lines().count(), 2);
    // Each of several errors is told as one.
    let words = [
        "image",
        "inspect",
        "--platform",
        "linux/s390x",
        &name,
        "nope",
    ];
    let output = wharf.run(words);
    assert!(
        output
            .stderr
            .ends_with("(linux/s390x)\nError: No such image: nope:latest\n")
    );
}

#[test]
fn one_platform_is_removed_and_the_name_shows_another() {
    let (wharf, _registry, name) = two_platforms();
    let (arm, amd) = (
        id(&wharf, &name, "linux/arm64"),
        id(&wharf, &name, "linux/amd64"),
    );
    let removed = wharf.ok(["rmi", "--platform", "linux/amd64", &name]);
    assert!(
        removed.starts_with(&format!("Deleted: {amd}\n")),
        "{removed}"
    );
    assert!(!removed.contains("Untagged: "), "{removed}");
    let left = wharf.ok([
        "images",
        "--no-trunc",
        "--format",
        "{{.Repository}}:{{.Tag}} {{.ID}}",
    ]);
    assert_eq!(left, format!("{name} {arm}\n"));
    wharf.ok(["store", "check"]);
    // It comes back, and both go with the name.
    wharf.ok(["pull", "-q", "--platform", "linux/amd64", &name]);
    assert_eq!(wharf.ok(["images", "-aq"]).lines().count(), 2);
    let removed = wharf.ok(["rmi", "--platform=linux/arm64,linux/amd64", &name]);
    for word in [
        format!("Deleted: {arm}"),
        format!("Deleted: {amd}"),
        format!("Untagged: {name}"),
    ] {
        assert!(removed.contains(&word), "{removed}");
    }
    assert_eq!(wharf.ok(["images", "-aq"]), "");
    assert!(wharf.ok(["store", "check"]).starts_with("0 blobs"));
}

#[test]
fn a_prune_leaves_the_digest_of_the_platform_that_the_name_shows() {
    let (wharf, _registry, name) = two_platforms();
    let digests = || wharf.ok(["inspect", "-f", "{{json .RepoDigests}}", &name]);
    let before = digests();
    let arm = id(&wharf, &name, "linux/arm64");
    let pruned = wharf.ok(["image", "prune", "-f"]);
    assert_eq!(pruned.matches("untagged: ").count(), 1, "{pruned}");
    assert!(pruned.contains(&format!("deleted: {arm}")), "{pruned}");
    assert_eq!(digests(), before);
}

#[test]
fn an_index_s_digest_is_removed_from_all_its_platforms() {
    let (wharf, _registry, name) = two_platforms();
    let digest = wharf.ok(["inspect", "-f", "{{index .RepoDigests 0}}", &name]);
    let removed = wharf.ok(["rmi", digest.trim()]);
    assert_eq!(removed.matches("Untagged: ").count(), 1, "{removed}");
    assert_eq!(wharf.run(["inspect", digest.trim()]).code, Some(1));
    // The platform that has a tag stays.
    assert_eq!(
        wharf.ok(["inspect", "-f", "{{json .RepoDigests}}", &name]),
        "[]\n"
    );
}
