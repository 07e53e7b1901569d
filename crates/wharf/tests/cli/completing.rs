//! What a tab finds, and the manual.

use std::fs;
use std::process::Command;

use wharf_testkit::Wharf;

use super::{registry, wharf};

/// The candidates for these words.
fn complete(wharf: &Wharf, words: &[&str]) -> Vec<String> {
    let output = wharf.ok(std::iter::once("__complete").chain(words.iter().copied()));
    let value = |line: &str| line.split('\t').next().unwrap().to_owned();
    output.lines().map(value).collect()
}

#[test]
fn a_tab_finds_commands_flags_values_and_files() {
    let wharf = wharf();
    assert_eq!(complete(&wharf, &["pu"]), ["pull", "push"]);
    assert_eq!(complete(&wharf, &["image", "l"]), ["load", "ls"]);
    assert_eq!(complete(&wharf, &["images", "--no"]), ["--no-trunc"]);
    assert_eq!(
        complete(&wharf, &["push", "--compression", ""]),
        ["gzip", "zstd"]
    );
    assert_eq!(
        complete(&wharf, &["push", "--compression=z"]),
        ["--compression=zstd"]
    );
    let platforms = complete(&wharf, &["pull", "--platform", "linux/arm"]);
    assert_eq!(platforms, ["linux/arm/v7", "linux/arm64"]);
    assert_eq!(complete(&wharf, &["load", "-qi", ""]), [":files"]);
    assert_eq!(
        complete(&wharf, &["completion", ""]),
        ["bash", "fish", "zsh"]
    );
    assert!(
        !complete(&wharf, &[""])
            .iter()
            .any(|word| word.starts_with("__"))
    );
    assert!(complete(&wharf, &["nosuch", "x", "--"]).len() > 1);
    assert!(!wharf.root().exists(), "a tab has made a store");
}

#[test]
fn a_tab_finds_the_images_that_are_here() {
    let (registry, wharf) = (registry(), wharf());
    let name = registry.name("team/app:1");
    wharf.ok(["pull", "-q", &name]);
    wharf.ok(["tag", &name, "app:one"]);
    for command in [
        &["rmi"][..],
        &["image", "rm", "-f"],
        &["save", "-o", "x"],
        &["tag"],
    ] {
        let mut words = command.to_vec();
        words.push("");
        let mut both = [name.clone(), "app:one".to_owned()];
        both.sort();
        assert_eq!(complete(&wharf, &words), both, "{command:?}");
    }
    assert_eq!(complete(&wharf, &["rmi", "app:"]), ["app:one"]);
    assert!(complete(&wharf, &["history", "app:one", ""]).is_empty());
}

#[test]
fn bash_completes_names_with_colons() {
    let (registry, wharf) = (registry(), wharf());
    let name = registry.name("team/app:1");
    wharf.ok(["pull", "-q", &name]);
    wharf.ok(["tag", &name, "app:one"]);
    let script = wharf.folder().join("completion");
    fs::write(&script, wharf.ok(["completion", "bash"])).unwrap();
    let program = env!("CARGO_BIN_EXE_wharf");
    let test = format!(
        "source '{}'; COMP_WORDBREAKS=' :='; COMP_LINE='{program} rmi app:o'; \
         COMP_POINT=${{#COMP_LINE}}; _wharf; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display()
    );
    let output = Command::new("bash")
        .args(["-c", &test])
        .env("WHARF_ROOT", wharf.root())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "one\n");
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let wharf = wharf();
    let folder = wharf.folder().join("man1");
    wharf.ok(["man", &folder.display().to_string()]);
    let page = fs::read_to_string(folder.join("wharf-image-ls.1")).unwrap();
    assert!(page.starts_with(".TH WHARF\\-IMAGE\\-LS 1 "), "{page}");
    let nowhere = wharf.run(["man", "/proc/nowhere"]);
    assert_eq!(nowhere.code, Some(1));
    assert!(
        nowhere.stderr.contains("cannot write the manual"),
        "{}",
        nowhere.stderr
    );
}
