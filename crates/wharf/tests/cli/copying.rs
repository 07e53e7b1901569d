//! Copying from place to place, without the store.

use serde_json::json;
use wharf_core::media_type::{OCI_CONFIG, OCI_MANIFEST};
use wharf_core::{Descriptor, Digest};
use wharf_testkit::images::{Content as _, samples};
use wharf_testkit::{BuiltIndex, Fault, On, TestRegistry, Wharf, When};

use super::wharf;

/// A registry with an index, and a signature of it.
fn signed() -> (TestRegistry, BuiltIndex) {
    let registry = TestRegistry::start();
    let index = samples::platforms(&["linux/amd64", "linux/arm64"]);
    registry.push("team/multi:1", &index);
    let signature = samples::artifact("application/vnd.example.signature", index.root());
    registry.push("team/multi", &signature);
    (registry, index)
}

/// What a name points to in its registry.
fn remote(wharf: &Wharf, name: &str) -> String {
    wharf.ok(["manifest", "inspect", "-v", name])
}

/// The same images, whatever the name.
fn same(wharf: &Wharf, one: &str, other: &str) {
    let (repository, tag) = one.rsplit_once(':').unwrap();
    let (other_repository, other_tag) = other.rsplit_once(':').unwrap();
    let renamed = remote(wharf, other)
        .replace(other_repository, repository)
        .replace(&format!(":{other_tag}@"), &format!(":{tag}@"));
    assert_eq!(renamed, remote(wharf, one));
}

#[test]
fn within_one_registry_nothing_is_sent_and_all_platforms_and_referrers_go() {
    let ((registry, index), wharf) = (signed(), wharf());
    let (from, to) = (
        registry.name("team/multi:1"),
        registry.name("other/multi:2"),
    );
    let output = wharf.ok(["copy", &from, &to]);
    let digest = &index.root().digest;
    assert!(
        output.ends_with(&format!("Referrers: 1\nDigest: {digest}\n{to}\n")),
        "{output}"
    );
    let requests = registry.requests();
    let sent = requests
        .iter()
        .filter(|r| r.path.contains("/uploads/") && r.method != "POST");
    assert_eq!(sent.count(), 0, "{}", registry.story());
    same(&wharf, &from, &to);
    // Again: nothing new, and the referrer is found in its new place.
    let again = registry.name("third/multi:3");
    assert!(wharf.ok(["copy", &to, &again]).contains("Referrers: 1\n"));
    let without = registry.name("fourth/multi:3");
    assert!(
        !wharf
            .ok(["copy", "--no-referrers", &to, &without])
            .contains("Referrers")
    );
}

#[test]
fn a_registry_that_knows_no_referrers_gets_their_list_under_a_tag() {
    let ((from, index), wharf) = (signed(), wharf());
    let to = TestRegistry::start();
    to.fault(On::path("/referrers/"), When::Always, Fault::Status(404));
    let name = to.name("team/multi:1");
    wharf.ok(["copy", "-q", &from.name("team/multi:1"), &name]);
    let digest = &index.root().digest;
    let list = to.name(&format!("team/multi:sha256-{}", digest.hex()));
    let listed = wharf.ok(["manifest", "inspect", &list]);
    assert_eq!(listed.matches("\"digest\"").count(), 1, "{listed}");
    // From there it is found, too.
    let third = TestRegistry::start();
    let output = wharf.ok(["copy", &name, &third.name("team/multi:1")]);
    assert!(output.contains("Referrers: 1\n"), "{output}");
}

#[test]
fn through_layouts_and_archives_every_digest_stays() {
    let ((registry, _), wharf) = (signed(), wharf());
    let from = registry.name("team/multi:1");
    let place = |name: &str| wharf.folder().join(name).display().to_string();
    for (n, kind) in ["oci", "oci-archive", "docker-archive"]
        .into_iter()
        .enumerate()
    {
        let middle = format!("{kind}:{}:team/multi:1", place(kind));
        assert_eq!(
            wharf.ok(["copy", "-q", &from, &middle]),
            format!("{middle}\n")
        );
        let back = registry.name(&format!("back{n}/multi:1"));
        wharf.ok(["copy", "-q", &middle, &back]);
        same(&wharf, &from, &back);
    }
    // What is one archive to a copy is one to a load.
    let output = wharf.ok(["load", "-i", &place("docker-archive")]);
    assert!(output.contains("Loaded image: team/multi:1\n"), "{output}");
}

/// What older versions of cosign push: an image whose layer is no layer.
fn old_signature(registry: &TestRegistry, subject: &Digest, kind: &str) -> String {
    let config =
        json!({ "architecture": "", "os": "", "rootfs": { "type": "layers", "diff_ids": [] } });
    let config = config.to_string().into_bytes();
    let payload = format!("{{\"{kind}\":true}}").into_bytes();
    let described = |media_type: &str, bytes: &[u8]| {
        registry.push_blob("team/multi", &Digest::of(bytes), bytes.to_vec().into());
        Descriptor::of(media_type, bytes)
    };
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": described(OCI_CONFIG, &config),
        "layers": [described("application/vnd.dev.cosign.simplesigning.v1+json", &payload)],
    });
    let tag = format!("sha256-{}.{kind}", subject.hex());
    let raw = manifest.to_string().into_bytes();
    let described = Descriptor::of(OCI_MANIFEST, &raw);
    registry.push_manifest("team/multi", Some(&tag), &described, raw.into());
    tag
}

#[test]
fn signatures_under_cosign_s_older_tags_go_too() {
    let ((registry, index), wharf) = (signed(), wharf());
    let root = &index.root().digest;
    let child = &index.images[0].manifest.digest;
    let tags = [
        old_signature(&registry, root, "sig"),
        old_signature(&registry, root, "att"),
        old_signature(&registry, child, "sbom"),
    ];
    let from = registry.name("team/multi:1");
    let folder = wharf.folder().join("layout").display().to_string();
    let (layout, to) = (format!("oci:{folder}:1"), registry.name("other/multi:1"));
    let back = registry.name("back/multi:1");
    for (from, to, count) in [(&from, &to, 4), (&to, &layout, 4), (&layout, &back, 3)] {
        let output = wharf.ok(["copy", from, to]);
        assert!(
            output.contains(&format!("Referrers: {count}\n")),
            "{output}"
        );
    }
    for tag in &tags {
        for repository in ["other/multi", "back/multi"] {
            let name = registry.name(&format!("{repository}:{tag}"));
            same(&wharf, &registry.name(&format!("team/multi:{tag}")), &name);
        }
    }
    let without = registry.name("fourth/multi:1");
    wharf.ok(["copy", "-q", "--no-referrers", &from, &without]);
    let name = registry.name(&format!("fourth/multi:{}", tags[0]));
    assert_eq!(wharf.run(["manifest", "inspect", &name]).code, Some(1));
}

#[test]
fn one_platform_can_be_copied_alone() {
    let ((registry, index), wharf) = (signed(), wharf());
    let (from, to) = (registry.name("team/multi:1"), registry.name("arm/multi:1"));
    let output = wharf.ok(["copy", "--platform", "linux/arm64", &from, &to]);
    assert!(!output.contains(index.root().digest.as_str()), "{output}");
    assert!(remote(&wharf, &to).contains("\"architecture\": \"arm64\""));
    let none = wharf.run(["copy", "--platform", "linux/s390x", &from, &to]);
    assert_eq!(none.code, Some(1));
    let words = "no matching manifest for linux/s390x";
    assert!(none.stderr.contains(words), "{}", none.stderr);
    // Nor is one that stands alone taken for another one.
    let again = registry.name("other/multi:1");
    let none = wharf.run(["copy", "--platform", "linux/amd64", &to, &again]);
    assert_eq!(none.code, Some(1));
    let words = "the image is for linux/arm64, and not for linux/amd64";
    assert!(none.stderr.contains(words), "{}", none.stderr);
    wharf.ok(["copy", "--platform", "linux/arm64", &to, &again]);
}

#[test]
fn what_is_not_there_or_not_clear_is_refused_and_changes_nothing() {
    let ((registry, _), wharf) = (signed(), wharf());
    let from = registry.name("team/multi:1");
    let folder = wharf.folder().join("layout").display().to_string();
    for tag in ["one", "two"] {
        wharf.ok(["copy", "-q", &from, &format!("oci:{folder}:{tag}")]);
    }
    let refused = |from: &str, to: &str, words: &str| {
        let output = wharf.run(["copy", from, to]);
        assert_eq!(output.code, Some(1), "{from} {to}");
        assert!(output.stderr.contains(words), "{}", output.stderr);
    };
    let to = registry.name("new/multi:1");
    refused(&format!("oci:{folder}"), &to, "holds several images");
    refused(
        "dir:/some/folder",
        &to,
        "dir: is a place that wharf does not read or write",
    );
    refused(
        &format!("oci:{folder}:three"),
        &to,
        "there is no image three",
    );
    refused(
        "oci:/no/such/folder",
        &to,
        "there is no image in /no/such/folder",
    );
    refused(
        "oci-archive:/no/such/file",
        &to,
        "cannot open /no/such/file",
    );
    refused("oci:", &to, "names no path");
    refused(&registry.name("no/such:1"), &to, "not found");
    let file = wharf.folder().join("not-written.tar");
    let archive = format!("docker-archive:{}", file.display());
    refused(&registry.name("no/such:1"), &archive, "not found");
    assert!(!file.exists());
    refused("Bad", &to, "must be lowercase");
    let tags = wharf.run(["manifest", "inspect", &to]);
    assert_eq!(tags.code, Some(1), "something was copied");
}
