//! Settings, the log, closed pipes, odd stores.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use wharf_testkit::images::samples;
use wharf_testkit::{Auth, TestRegistry};

use super::{registry, wharf};

#[test]
fn a_key_that_does_not_exist_is_named_with_its_line() {
    let wharf = wharf();
    wharf.config("[pull]\nparalel = 3\n");
    let output = wharf.run(["images"]);
    assert_eq!((output.stdout.as_str(), output.code), ("", Some(1)));
    let file = wharf.folder().join("config.toml");
    assert_eq!(
        output.stderr,
        format!(
            "Error: {}:2: unknown key `paralel`; known are `parallel`, `verify`, `min_rate`\nhint: correct \
             the file, or name another with --config\n",
            file.display()
        )
    );
}

#[test]
fn a_settings_file_that_was_named_must_be_there() {
    let wharf = wharf();
    let output = wharf.run(["--config", "/no/such/file", "images"]);
    assert_eq!(output.code, Some(1));
    assert!(
        output
            .stderr
            .starts_with("Error: cannot read settings: /no/such/file: ")
    );
    fs::remove_file(wharf.folder().join("config.toml")).unwrap();
    assert_eq!(wharf.run(["images"]).code, Some(1));
}

#[test]
fn the_command_line_wins_over_the_environment() {
    let wharf = wharf();
    wharf.config("broken");
    let good = wharf.folder().join("good.toml");
    fs::write(&good, "").unwrap();
    let other = wharf.folder().join("other");
    let (config, root) = (good.to_str().unwrap(), other.to_str().unwrap());
    wharf.ok(["--config", config, "--root", root, "images"]);
    assert!(other.exists() && !wharf.root().exists());
}

#[test]
fn settings_of_the_user_are_found_where_they_belong() {
    let wharf = wharf();
    let folder = wharf.folder().join("config/wharf");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.toml"), "nosuch = 1").unwrap();
    let mut command = wharf.command(["images"]);
    let output = command.env_remove("WHARF_CONFIG").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.contains("config/wharf/config.toml:1: unknown key `nosuch`"),
        "{text}"
    );
}

#[test]
fn nobody_is_told_when_nobody_reads() {
    let (wharf, registry) = (wharf(), registry());
    wharf.ok(["pull", "-q", &registry.name("team/app:1")]);
    for words in [
        &["images"][..],
        &["inspect", "-f", "{{.Id}}", "app:1"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = wharf.command(words);
        let output = command
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = output.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
        assert_eq!(output.status.code(), Some(141), "{words:?}");
    }
}

#[test]
fn a_pull_goes_on_though_nobody_reads() {
    let (wharf, registry) = (wharf(), registry());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = wharf.command(["pull", &registry.name("team/app:1")]);
    let output = command
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = output.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(wharf.ok(["images", "-q"]).lines().count(), 1);
}

#[test]
fn the_log_tells_what_happens_and_no_secrets() {
    let registry = TestRegistry::builder()
        .auth(Auth::basic("ops", "hunter2"))
        .start();
    registry.push("team/app:1", &samples::small());
    let wharf = wharf();
    // ops:hunter2
    let auth = "b3BzOmh1bnRlcjI=";
    wharf.docker_config(&format!(
        r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#,
        registry.host()
    ));
    let name = registry.name("team/app:1");
    let output = wharf.run(["-D", "pull", "-q", &name]);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert!(
        output.stderr.contains(&registry.host()),
        "the log is empty: {}",
        output.stderr
    );
    for secret in ["hunter2", auth] {
        assert!(!output.stderr.contains(secret), "{}", output.stderr);
    }
    let output = wharf.run(["pull", "-q", &name]);
    assert_eq!(output.stderr, "", "nobody asked for a log");
}

#[test]
fn a_store_that_cannot_be_used_is_refused_with_a_reason() {
    let wharf = wharf();
    fs::write(wharf.root(), "a file").unwrap();
    let output = wharf.run(["images"]);
    assert_eq!((output.stdout.as_str(), output.code), ("", Some(1)));
    let root = wharf.root().display().to_string();
    assert!(output.stderr.starts_with("Error: ") && output.stderr.contains(&root));
}

#[test]
fn a_store_that_others_may_read_is_closed() {
    let wharf = wharf();
    wharf.ok(["images"]);
    fs::set_permissions(wharf.root(), fs::Permissions::from_mode(0o755)).unwrap();
    wharf.ok(["images"]);
    let mode = fs::metadata(wharf.root()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}
