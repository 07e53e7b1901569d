//! Lists, inspections and removals. Docker's recorded scenarios test more of them.

use super::{registry, wharf};

#[test]
fn a_second_name_is_no_second_image() {
    let (wharf, registry) = (wharf(), registry());
    let name = registry.name("team/app:1");
    wharf.ok(["pull", "-q", &name]);
    wharf.ok(["tag", &name, "app:local"]);
    let ids = wharf.ok(["images", "-q", "--no-trunc"]);
    let mut ids: Vec<&str> = ids.lines().collect();
    assert_eq!(ids.len(), 2);
    ids.dedup();
    assert_eq!(ids.len(), 1);
    let json = wharf.ok(["images", "--format", "json"]);
    assert_eq!(json.lines().count(), 2);
    assert!(json.contains(r#""Digest":"\u003cnone\u003e""#), "{json}");
}

#[test]
fn flags_and_names_may_stand_in_any_order() {
    let (wharf, registry) = (wharf(), registry());
    wharf.ok(["pull", "-q", &registry.name("team/app:1")]);
    let name = registry.name("team/*");
    for words in [
        ["images", "-q", &name],
        ["images", &name, "-q"],
        ["images", &name, "--quiet=1"],
    ] {
        assert_eq!(wharf.ok(words).lines().count(), 1, "{words:?}");
    }
    assert_eq!(wharf.ok(["images", "-q", "--", "nosuch"]), "");
}

#[test]
fn a_command_that_is_taken_for_an_image_is_suggested() {
    let output = wharf().run(["images", "ls"]);
    assert_eq!(output.code, Some(0));
    assert_eq!(
        output.stderr,
        "\nNo images found matching \"ls\": did you mean \"wharf image ls\"?\n"
    );
    assert_eq!(wharf().run(["image", "ls", "ls"]).stderr, "");
}

#[test]
fn what_is_not_here_is_said_after_what_is() {
    let (wharf, registry) = (wharf(), registry());
    let name = registry.name("team/app:1");
    wharf.ok(["pull", "-q", &name]);
    let output = wharf.run([
        "inspect", "--format", "{{.Os}}", "nosuch:1", &name, "nosuch:2",
    ]);
    assert_eq!((output.stdout.as_str(), output.code), ("linux\n", Some(1)));
    let expected = "Error: No such object: nosuch:1\nError: No such object: nosuch:2\n";
    assert_eq!(output.stderr, expected);

    let output = wharf.run(["rmi", "nosuch:1", &name, "nosuch:2"]);
    assert!(
        output.stdout.starts_with(&format!("Untagged: {name}\n")),
        "{}",
        output.stdout
    );
    let expected = "Error: No such image: nosuch:1\nError: No such image: nosuch:2\n";
    assert_eq!((output.stderr.as_str(), output.code), (expected, Some(1)));
    assert_eq!(wharf.run(["rmi", "-f", "nosuch:1"]).code, Some(0));
}

#[test]
fn an_inspection_is_a_list() {
    let (wharf, registry) = (wharf(), registry());
    let name = registry.name("team/app:1");
    wharf.ok(["pull", "-q", &name]);
    let text = wharf.ok(["image", "inspect", &name, &name]);
    assert!(
        text.starts_with("[\n    {\n        \"Id\": \"sha256:"),
        "{text}"
    );
    assert!(text.ends_with("\n    }\n]\n"), "{text}");
    let compact = wharf.ok(["image", "inspect", "-f", "json", &name]);
    assert!(
        compact.starts_with("[{\"Id\":") && compact.lines().count() == 1,
        "{compact}"
    );
}

#[test]
fn nothing_is_pruned_without_a_yes() {
    let (wharf, registry) = (wharf(), registry());
    wharf.ok(["pull", "-q", &registry.name("team/app:1")]);
    let output = wharf.run(["image", "prune", "-a"]);
    assert_eq!(output.code, Some(0));
    assert!(output.stdout.ends_with("[y/N] "), "{}", output.stdout);
    assert_eq!(wharf.ok(["images", "-q"]).lines().count(), 1);
    let pruned = wharf.ok(["image", "prune", "-af"]);
    assert!(
        pruned.starts_with("Deleted Images:\nuntagged: "),
        "{pruned}"
    );
    assert_eq!(wharf.ok(["images", "-q"]), "");
}

#[test]
fn a_sound_store_is_called_sound_and_a_damaged_one_is_healed_by_a_pull() {
    let (wharf, registry) = (wharf(), registry());
    let name = registry.name("team/app:1");
    wharf.ok(["pull", "-q", &name]);
    assert!(
        wharf
            .ok(["store", "check"])
            .ends_with("everything is sound\n")
    );

    damage(&wharf.root().join("blobs"));
    let output = wharf.run(["store", "check"]);
    assert_eq!(output.code, Some(1));
    assert!(output.stdout.contains(" found\n"), "{}", output.stdout);
    assert!(
        output.stderr.contains("hint: `wharf store check --repair`"),
        "{}",
        output.stderr
    );

    let repaired = wharf.ok(["store", "check", "--repair"]);
    assert!(repaired.contains("repaired: "), "{repaired}");
    wharf.ok(["pull", "-q", &name]);
    assert!(
        wharf
            .ok(["store", "check"])
            .ends_with("everything is sound\n")
    );
}

/// Changes one byte of the largest file below `folder`.
fn damage(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path)
            } else {
                files.push(path)
            }
        }
    }
    let largest = files
        .iter()
        .max_by_key(|file| file.metadata().unwrap().len())
        .unwrap();
    let mut bytes = std::fs::read(largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::set_permissions(largest, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(largest, bytes).unwrap();
}
