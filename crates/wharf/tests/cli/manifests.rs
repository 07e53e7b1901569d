//! Manifests and lists of manifests. Docker's recorded scenario tests more of it.

use wharf_core::Digest;
use wharf_testkit::images::{Content as _, samples};
use wharf_testkit::{TestRegistry, Wharf};

use super::{registry, wharf};

/// A registry with two images, each in a repository of its own.
fn two_images() -> (TestRegistry, Wharf, [String; 2]) {
    let (registry, wharf) = (registry(), wharf());
    registry.push("team/codecs:1", &samples::every_compression());
    let names = [registry.name("team/app:1"), registry.name("team/codecs:1")];
    (registry, wharf, names)
}

#[test]
fn a_list_is_put_together_annotated_pushed_and_pulled() {
    let (registry, wharf, [one, two]) = two_images();
    let list = registry.name("team/both:1");
    assert_eq!(
        wharf.ok(["manifest", "create", &list, &one]),
        format!("Created manifest list {list}\n")
    );
    wharf.ok(["manifest", "create", "--amend", &list, &two]);
    let annotate = [
        "manifest", "annotate", &list, &two, "--os", "linux", "--arch", "arm64",
    ];
    assert_eq!(
        wharf.ok(annotate.into_iter().chain(["--variant", "v8"])),
        ""
    );
    let local = wharf.ok(["manifest", "inspect", &list]);
    assert!(local.contains("\"architecture\": \"arm64\""), "{local}");

    let output = wharf.ok(["manifest", "push", "--purge", &list]);
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.len(), 3, "{output}");
    assert!(lines[0].starts_with("Pushed ref "), "{output}");
    // What is in one registry is taken over, not sent.
    let uploads = registry.requests();
    let sent =
        |r: &wharf_testkit::registry::Request| r.path.contains("/uploads/") && r.method != "POST";
    assert!(!uploads.iter().any(|r| sent(r)), "{}", registry.story());

    let remote = wharf.ok(["manifest", "inspect", &list]);
    assert_eq!(remote, local, "what was pushed is not what was shown");
    assert_eq!(Digest::of(remote.trim_end().as_bytes()).as_str(), lines[2]);
    wharf.ok(["pull", "-q", "--platform", "linux/arm64", &list]);
    let gone = wharf.run(["manifest", "push", &list]);
    assert_eq!(gone.code, Some(1));
    assert!(
        gone.stderr.contains(&format!("No such manifest: {list}")),
        "{}",
        gone.stderr
    );
}

#[test]
fn what_cannot_be_in_a_list_is_refused() {
    let (registry, wharf, [one, _]) = two_images();
    let list = registry.name("team/both:1");
    let index = samples::platforms(&["linux/amd64", "linux/arm64"]);
    registry.push("team/multi:1", &index);
    let refused = |arguments: &[&str], words: &str| {
        let output = wharf.run(arguments);
        assert_eq!(output.code, Some(1), "{arguments:?}");
        assert!(output.stderr.contains(words), "{}", output.stderr);
    };
    let multi = registry.name("team/multi:1");
    refused(&["manifest", "create", &list, &multi], "is a manifest list");
    wharf.ok(["manifest", "create", &list, &one]);
    let platform = ["manifest", "annotate", &list, &one, "--arch", "vax"];
    refused(&platform, "unsupported os/arch combination: /vax");
    let other = "registry.invalid/both:1";
    wharf.ok(["manifest", "create", other, &one]);
    refused(
        &["manifest", "push", other],
        "cannot use source images from a different registry than the target image",
    );
    refused(
        &["manifest", "rm", "no/such:1", other],
        "No such manifest: docker.io/no/such:1",
    );
    refused(&["manifest", "push", other], "No such manifest");
    refused(
        &["manifest", "inspect", "a", "b", "c"],
        "requires at least 1 and at most 2 arguments",
    );
}

#[test]
fn a_list_says_everything_about_its_images_when_asked() {
    let (registry, wharf, _) = two_images();
    let index = samples::platforms(&["linux/amd64", "linux/arm64"]);
    registry.push("team/multi:1", &index);
    let name = registry.name("team/multi:1");
    let output = wharf.ok(["manifest", "inspect", "-v", &name]);
    let all: serde_json::Value = serde_json::from_str(&output).unwrap();
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 3);
    let root = index.root().digest.to_string();
    assert!(!output.contains(&root));
    for one in all {
        let digest = one["Descriptor"]["digest"].as_str().unwrap();
        assert_eq!(one["Ref"], format!("{name}@{digest}"));
        assert!(one["OCIManifest"].is_object() && one["Raw"].is_string());
    }
}

#[test]
fn a_damaged_list_says_which_file_and_can_be_removed() {
    let (registry, wharf, [one, _]) = two_images();
    let list = registry.name("team/both:1");
    wharf.ok(["manifest", "create", &list, &one]);
    let folder = walk(wharf.folder(), "manifests").expect("there is a folder of lists");
    let list_folder = std::fs::read_dir(&folder)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let file = std::fs::read_dir(&list_folder)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    std::fs::write(&file, "{").unwrap();
    let output = wharf.run(["manifest", "inspect", &list]);
    assert_eq!(output.code, Some(1));
    assert!(
        output.stderr.contains(&file.display().to_string()),
        "{}",
        output.stderr
    );
    wharf.ok(["manifest", "rm", &list]);
    assert!(!list_folder.exists());
}

/// A folder of this name, somewhere below.
fn walk(folder: &std::path::Path, name: &str) -> Option<std::path::PathBuf> {
    let mut below = Vec::new();
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        if entry.file_name() == name {
            return Some(entry.path());
        }
        if entry.path().is_dir() {
            below.push(entry.path());
        }
    }
    below.iter().find_map(|folder| walk(folder, name))
}
