//! Logging in and out. Docker's recorded scenario tests more of it, `wharf-registry`'s tests the file.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use wharf_testkit::token::TokenSettings;
use wharf_testkit::{Auth, TestRegistry, Wharf};

use super::wharf;

/// Logs in with a password from a pipe; answers with the exit code, stdout and stderr.
fn login(wharf: &Wharf, server: &str, password: &str) -> (Option<i32>, String, String) {
    let mut command = wharf.command(["login", "-u", "ops", "--password-stdin", server]);
    let piped = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(password.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn config(wharf: &Wharf) -> String {
    let find = |name: &str| {
        let folders = [
            wharf.folder().to_owned(),
            wharf.folder().join("docker"),
            wharf.folder().join(".docker"),
        ];
        folders
            .iter()
            .map(|folder| folder.join(name))
            .find(|path| path.exists())
    };
    find("config.json")
        .map(|path| fs::read_to_string(path).unwrap())
        .unwrap_or_default()
}

#[test]
fn a_token_service_s_identity_token_is_kept_instead_of_the_password() {
    let tokens = TokenSettings::user("ops", "secret");
    let registry = TestRegistry::builder().auth(Auth::Token(tokens)).start();
    let wharf = wharf();
    wharf.docker_config("{}");
    let (code, stdout, stderr) = login(&wharf, &registry.host(), "secret\r\n");
    assert_eq!(
        (code, stdout.as_str()),
        (Some(0), "Login Succeeded\n"),
        "{stderr}"
    );
    assert!(!stderr.contains("unencrypted"), "{stderr}");
    let kept = config(&wharf);
    assert!(kept.contains("\"identitytoken\": "), "{kept}");
    assert!(!kept.contains("b3BzOnNlY3JldA"), "{kept}");
    // It is good for a push.
    let source = super::registry();
    let name = source.name("team/app:1");
    wharf.ok(["pull", "-q", &name]);
    let target = registry.name("team/app:1");
    wharf.ok(["tag", &name, &target]);
    wharf.ok(["push", "-q", &target]);
    wharf.ok(["logout", &registry.host()]);
    assert_eq!(wharf.run(["push", "-q", &target]).code, Some(1));
}

#[test]
fn a_wrong_password_is_refused_and_not_kept() {
    for auth in [
        Auth::basic("ops", "secret"),
        Auth::Token(TokenSettings::user("ops", "secret")),
    ] {
        let registry = TestRegistry::builder().auth(auth).start();
        let wharf = wharf();
        let (code, stdout, stderr) = login(&wharf, &registry.host(), "wrong");
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(
            !stderr.contains("wrong\"") && stderr.starts_with("Error: "),
            "{stderr}"
        );
        assert_eq!(config(&wharf), "");
    }
}

#[test]
fn what_is_kept_is_tried_again() {
    let registry = TestRegistry::builder()
        .auth(Auth::basic("ops", "secret"))
        .start();
    let wharf = wharf();
    wharf.docker_config("{}");
    let host = registry.host();
    let (_, _, stderr) = login(&wharf, &host, "secret");
    assert!(
        stderr.contains("WARNING! Your credentials are stored unencrypted in '"),
        "{stderr}"
    );
    let again = wharf.run(["login", &host]);
    assert_eq!(
        (again.code, again.stdout.as_str()),
        (Some(0), "Login Succeeded\n")
    );
    assert!(
        again
            .stderr
            .contains("existing credentials... [Username: ops]"),
        "{}",
        again.stderr
    );
}

#[test]
fn what_cannot_be_a_login_is_refused() {
    let wharf = wharf();
    for (arguments, words) in [
        (&["-p", "x", "--password-stdin"][..], "conflicting options"),
        (&["--password-stdin"], "requires --username to be set"),
        (&["-u", "", "-p", "x"], "username is empty"),
        (&["-u", "ops", "-p", ""], "password is empty"),
        (&["-u", "ops", "127.0.0.1:1"], "from a non TTY device"),
        (&["a", "b"], "requires at most 1 argument"),
    ] {
        let output = wharf.run(["login"].iter().chain(arguments));
        assert_eq!(output.code, Some(1), "{arguments:?}");
        assert!(output.stderr.contains(words), "{}", output.stderr);
    }
    let (code, _, stderr) = login(&wharf, "127.0.0.1:1", "secret");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("connection refused"), "{stderr}");
}
