//! Docker's recorded scenarios (tests/parity/*.t), run with the built wharf as `docker` against
//! the embedded registry.
//!
//! Each scenario is a test of its own with a store of its own; all use one registry, which holds
//! the fixtures and stands in for Docker Hub as its mirror. The recordings say `127.0.0.1:5000` and
//! `127.0.0.1:5999`, where nobody listens: both are replaced by free ports of four digits, so that
//! columns keep their widths.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod jq;
mod scenario;
mod world;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use scenario::{Step, fold_stderr};
use world::World;

/// Makes a test of each scenario, and the list of all of them.
macro_rules! scenarios {
    ($($test:ident: $file:literal,)*) => {
        const SCENARIOS: &[&str] = &[$($file),*];
        $(#[test] fn $test() { check($file); })*
    };
}

// The same list is in tests/parity/passing, for CI's run against docker-registry.
scenarios! {
    the_task: "01_the_task",
    pull: "02_pull",
    pull_by_digest: "03_pull_by_digest",
    pull_errors: "04_pull_errors",
    all_tags: "05_all_tags",
    platforms: "06_platforms",
    tag: "07_tag",
    tag_errors: "08_tag_errors",
    tag_moves: "09_tag_moves",
    images_table: "10_images_table",
    images_filters: "11_images_filters",
    images_format: "12_images_format",
    rmi: "13_rmi",
    rmi_digest: "14_rmi_digest",
    inspect: "15_inspect",
    history: "16_history",
    save_load: "17_save_load",
    save_load_errors: "18_save_load_errors",
    import: "19_import",
    push: "20_push",
    push_all_tags: "21_push_all_tags",
    login: "22_login",
    prune: "23_prune",
    layers_shared: "24_layers_shared",
    codecs: "25_codecs",
    names: "26_names",
    manifest: "27_manifest",
    df: "28_df",
    import_changes: "29_import_changes",
    platform: "30_platform",
    space: "31_space",
    before_the_command: "32_before_the_command",
    templates: "33_templates",
    names_and_ids: "34_names_and_ids",
    platforms_and_logins: "35_platforms_and_logins",
}

/// What stands in tests/parity for commands that wharf does not have yet.
const LATER: &[&str] = &[];

/// Runs one scenario and shows every command that printed something else than Docker.
fn check(name: &str) {
    let text = fs::read_to_string(folder().join(format!("{name}.t"))).unwrap();
    let world = World::new(name);
    let mut wrong = String::new();
    for Step { command, expected } in scenario::parse(&text) {
        let (want, got) = (fold_stderr(&expected), world.run(&command));
        if fold_stderr(&got) != want {
            wrong += &format!("\n$ {command}\n{}", side_by_side(&expected, &got));
        }
    }
    assert!(wrong.is_empty(), "{name} differs from Docker:\n{wrong}");
}

fn side_by_side(docker: &[String], wharf: &[String]) -> String {
    let block = |lines: &[String]| {
        lines
            .iter()
            .map(|l| format!("    {l}\n"))
            .collect::<String>()
    };
    format!("  docker:\n{}  wharf:\n{}", block(docker), block(wharf))
}

/// tests/parity of the project.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/parity")
}

#[test]
fn every_scenario_is_run_or_named_as_later() {
    let here: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            entry
                .unwrap()
                .file_name()
                .into_string()
                .unwrap()
                .strip_suffix(".t")
                .map(str::to_owned)
        })
        .collect();
    let listed: BTreeSet<String> = SCENARIOS
        .iter()
        .chain(LATER)
        .map(|s| (*s).to_owned())
        .collect();
    assert_eq!(here, listed);
    assert_eq!(
        SCENARIOS.len() + LATER.len(),
        listed.len(),
        "a scenario is listed twice"
    );
}

#[test]
fn ci_runs_the_same_list() {
    let passing = fs::read_to_string(folder().join("passing")).unwrap();
    assert_eq!(passing.lines().collect::<Vec<_>>(), SCENARIOS);
}
