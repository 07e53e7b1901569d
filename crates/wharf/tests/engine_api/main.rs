//! Docker Engine's recorded answers (tests/engine-api/answers.txt), asked again of `wharf serve engine`.
//!
//! The requests are those of the recording, in its order, with the bodies that tests/engine-api/record sends. The
//! registries are the testkit's, on free ports of four digits that stand for the recording's.
//!
//! Evened out is what Docker leaves open, and the one point where wharf differs on purpose: a push sends the
//! manifest's bytes as they were pulled, where Docker's classic store writes a new manifest with another digest.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod client;
mod even;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use client::{Answer, ask};
use even::even;
use wharf_testkit::{Auth, TestRegistry, Wharf};

/// The recording's registry, and the one that wants a password.
const RECORDED: [&str; 2] = ["127.0.0.1:5000", "127.0.0.1:5001"];

/// Docker's digest of the manifest that its push makes anew, and that of the one that was pulled.
const MADE_BY_DOCKER: &str =
    "sha256:667627188877dacaa21504dc48c084156933df0b26af9e2c53629d85cfbf4fa3";
const AS_PULLED: &str = "sha256:98cb9f8678c61cf45f7fd539c137a4d681b54c7c7f0ce9222fcac9178eeb8a66";

/// One request of the recording.
struct Asked {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
}

#[test]
fn answers_as_docker_engine_does() {
    let registry = TestRegistry::with_fixtures();
    let protected = TestRegistry::builder()
        .four_digit_port()
        .auth(Auth::basic("ops", "secret"))
        .start();
    let hosts = [registry.host(), protected.host()];
    let wharf = Wharf::new(env!("CARGO_BIN_EXE_wharf"));
    wharf.config(&format!(
        "[registry.\"docker.io\"]\nmirrors = [\"http://{}\"]\n",
        hosts[0]
    ));
    push_before(&hosts[0]);
    let socket = wharf.folder().join("wharf.sock");
    let _server = serve(&wharf, &socket);
    let mut archives = Vec::new();
    let mut wrong = String::new();
    let text = fs::read_to_string(folder().join("answers.txt")).unwrap();
    for block in text.split(">>> ").skip(1) {
        let (head, expected) = block.split_once('\n').unwrap();
        let asked = request(head);
        let path = here(&asked.path, &hosts);
        let body = body(&asked, &archives, &hosts);
        let answer = ask(
            &socket,
            &asked.method,
            &path,
            &asked.headers,
            body.as_deref(),
        );
        if answer.header("content-type") == Some("application/x-tar") {
            archives.push(answer.body.clone());
        }
        let got = as_recorded(&shown(&asked, &answer), &hosts);
        let (want, got) = (even(expected), even(&got));
        if want != got {
            wrong += &format!("\n>>> {head}\n  docker:\n    {want}\n  wharf:\n    {got}\n");
        }
    }
    assert_eq!(archives.len(), 2);
    assert!(wrong.is_empty(), "{wrong}");
}

/// The recording's registry has what is pushed there already: it was recorded twice.
fn push_before(registry: &str) {
    let wharf = Wharf::new(env!("CARGO_BIN_EXE_wharf"));
    let (from, to) = (
        format!("{registry}/library/busybox:musl"),
        format!("{registry}/api/box:1"),
    );
    wharf.ok(["pull", "-q", &from]);
    wharf.ok(["tag", &from, &to]);
    wharf.ok(["push", "-q", &to]);
}

/// The server, which ends with this.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill().and_then(|()| self.0.wait()));
    }
}

/// Starts the server, and waits until it says that it serves.
fn serve(wharf: &Wharf, socket: &Path) -> Server {
    let listen = format!("unix://{}", socket.display());
    let mut command = wharf.command(["serve", "engine", "--listen", &listen]);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = Server(command.spawn().unwrap());
    let mut line = String::new();
    let output = server.0.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut line).unwrap();
    assert!(line.contains(&listen), "{line}");
    server
}

/// tests/engine-api of the project.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/engine-api")
}

/// `POST /images/load  {'Content-Type': 'application/x-tar'}`
fn request(head: &str) -> Asked {
    let (line, headers) = head.split_once("  {").unwrap_or((head, ""));
    let (method, path) = line.split_once(' ').unwrap();
    let headers = headers
        .trim_end_matches('}')
        .split(", ")
        .filter_map(|pair| {
            let (name, value) = pair.split_once(": ")?;
            let bare = |text: &str| text.trim_matches('\'').to_owned();
            Some((bare(name), bare(value)))
        });
    // Two of them are shortened in the recording.
    let path = match path {
        "/images/get?names=…&names=…" => {
            "/images/get?names=busybox:musl&names=127.0.0.1:5000/team/app:1.1"
        }
        path => path,
    };
    Asked {
        method: method.to_owned(),
        path: path.to_owned(),
        headers: headers.collect(),
    }
}

/// What the recording's program sends.
fn body(asked: &Asked, archives: &[Vec<u8>], hosts: &[String; 2]) -> Option<Vec<u8>> {
    thread_local! {
        static LOADS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
        static LOGINS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }
    if asked.path.contains("/images/load") {
        let number = LOADS.replace(LOADS.get() + 1);
        return Some(archives.get(number).cloned().unwrap_or(b"junk".repeat(300)));
    }
    if asked.path.contains("fromSrc=-") {
        let mut header = tar::Header::new_gnu();
        header.set_path("hello").unwrap();
        header.set_size(3);
        header.set_mode(0o644);
        header.set_cksum();
        let mut archive = tar::Builder::new(Vec::new());
        archive.append(&header, &b"hi\n"[..]).unwrap();
        return Some(archive.into_inner().unwrap());
    }
    if asked.path.ends_with("/auth") {
        let number = LOGINS.replace(LOGINS.get() + 1);
        let password = ["secret", "no"][number];
        let login = serde_json::json!({
            "username": "ops", "password": password, "serveraddress": hosts[1],
        });
        return Some(login.to_string().into_bytes());
    }
    None
}

/// An answer as the recording's program prints it.
fn shown(asked: &Asked, answer: &Answer) -> String {
    if answer.header("content-type") == Some("application/x-tar") {
        return archive(asked, answer);
    }
    let mut text = format!("<<< {} {}\n", answer.status, answer.reason);
    for name in [
        "Api-Version",
        "Content-Type",
        "Transfer-Encoding",
        "X-Content-Type-Options",
    ] {
        if let Some(value) = answer.header(name) {
            text += &format!("{name}: {value}\n");
        }
    }
    let body = String::from_utf8(answer.body.clone()).unwrap();
    let is_json = answer.header("content-type") == Some("application/json");
    if asked.path == "/version" || asked.path.contains("/images/search") {
        text += if body.is_empty() {
            "(no body)\n"
        } else {
            "(some body)\n"
        };
    } else if is_json {
        let mut seen = std::collections::HashSet::new();
        for line in body.lines().filter(|line| !line.trim().is_empty()) {
            let line = even::numbers(line);
            if seen.insert(line.clone()) {
                text += &(line + "\n");
            }
        }
    } else {
        text += &format!("b'{}'\n", body.escape_debug());
    }
    text
}

fn archive(asked: &Asked, answer: &Answer) -> String {
    let kind = "application/x-tar";
    let mut archive = tar::Archive::new(&answer.body[..]);
    let (mut names, mut images) = (Vec::new(), 0);
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        if name == "manifest.json" {
            let all: serde_json::Value = serde_json::from_reader(entry).unwrap();
            images = all.as_array().unwrap().len();
        }
        if !name.contains('/') {
            names.push(name);
        }
    }
    names.sort();
    if asked.path.contains("names=") {
        return format!("<<< {} {kind} {images} images\n", answer.status);
    }
    let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    format!("<<< {} {kind} [{}] \n", answer.status, names.join(", "))
}

fn here(text: &str, hosts: &[String; 2]) -> String {
    text.replace(RECORDED[0], &hosts[0])
        .replace(RECORDED[1], &hosts[1])
}

fn as_recorded(text: &str, hosts: &[String; 2]) -> String {
    text.replace(&hosts[0], RECORDED[0])
        .replace(&hosts[1], RECORDED[1])
}
