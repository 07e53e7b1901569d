//! Named pipes, sockets, devices and folders in place of files: an error, and no waiting for a
//! writer.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use wharf_testkit::{Output, Wharf};

use super::{registry, wharf};

/// What can stand in place of a file without rights of root.
const KINDS: [(&str, &str); 5] = [
    ("pipe", "a named pipe"),
    ("link to a pipe", "a named pipe"),
    ("socket", "a socket"),
    ("folder", "a directory"),
    ("device", "a device"),
];

/// Puts something that is not a regular file in the place of `path`.
fn replace(path: &Path, kind: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    if fs::remove_file(path).is_err() {
        fs::remove_dir(path).ok();
    }
    match kind {
        "pipe" => mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap(),
        "link to a pipe" => {
            let pipe = path.with_extension("pipe");
            replace(&pipe, "pipe");
            symlink(&pipe, path).unwrap();
        }
        "socket" => drop(UnixListener::bind(path).unwrap()),
        "folder" => fs::create_dir(path).unwrap(),
        "device" => symlink("/dev/zero", path).unwrap(),
        kind => panic!("{kind}"),
    }
}

fn bounded(wharf: &Wharf, arguments: &[&str]) -> Output {
    wharf.run_limited(":", arguments)
}

/// Replaces `path` by each kind and runs `arguments`, which must fail with one error that names
/// the path and the kind.
fn refused(wharf: &Wharf, path: &Path, arguments: &[&str]) {
    for (kind, name) in KINDS {
        replace(path, kind);
        let output = bounded(wharf, arguments);
        let text = &output.stderr;
        assert_eq!(output.code, Some(1), "{kind}: {arguments:?}: {text}");
        assert!(text.contains(name), "{kind}: {arguments:?}: {text}");
    }
}

#[test]
fn settings_are_a_regular_file() {
    let wharf = wharf();
    refused(&wharf, &wharf.folder().join("config.toml"), &["images"]);
    wharf.config("");
    let named = wharf.folder().join("named");
    refused(
        &wharf,
        &named,
        &["--config", named.to_str().unwrap(), "images"],
    );
    // The null device is what an operator names to have no settings.
    wharf.ok(["--config", "/dev/null", "images"]);
}

#[test]
fn docker_s_config_that_is_no_regular_file_is_warned_of() {
    let (wharf, registry) = (wharf(), registry());
    let path = wharf.folder().join("docker/config.json");
    let name = registry.name("team/app:1");
    for (kind, words) in KINDS {
        replace(&path, kind);
        let output = bounded(&wharf, &["images"]);
        assert_eq!(output.code, Some(0), "{kind}: {}", output.stderr);
        assert!(output.stderr.contains(words), "{kind}: {}", output.stderr);
        bounded(&wharf, &["pull", "-q", &name]);
        let login = ["login", "-u", "ops", "-p", "x", &registry.host()];
        let output = bounded(&wharf, &login);
        assert_eq!(output.code, Some(1), "{kind}: {}", output.stderr);
    }
}

#[test]
fn podman_s_credentials_and_authorities_are_regular_files() {
    let registry = registry();
    let wharf = wharf();
    let auth = wharf.folder().join("auth.json");
    let authorities = wharf.folder().join("authorities.pem");
    let zone = wharf.folder().join("zone");
    let name = registry.name("team/app:1");
    let wharf = wharf
        .env("REGISTRY_AUTH_FILE", auth.to_str().unwrap())
        .env("SSL_CERT_FILE", authorities.to_str().unwrap())
        .env("TZ", zone.to_str().unwrap());
    for (kind, words) in KINDS {
        replace(&auth, kind);
        replace(&zone, kind);
        fs::remove_file(&authorities).ok();
        fs::remove_dir(&authorities).ok();
        let output = bounded(&wharf, &["pull", "-q", &name]);
        assert!(output.code < Some(2), "{kind}: {}", output.stderr);
        replace(&authorities, kind);
        let output = bounded(&wharf, &["pull", "-q", &name]);
        if kind != "folder" {
            assert_eq!(output.code, Some(1), "{kind}: {}", output.stderr);
            assert!(output.stderr.contains(words), "{kind}: {}", output.stderr);
        }
    }
}

#[test]
fn layouts_and_archives_are_regular_files() {
    let (wharf, registry) = (wharf(), registry());
    let layout = wharf.folder().join("layout");
    let archive = wharf.folder().join("archive.tar");
    let from = format!("oci:{}", layout.display());
    let to = format!("oci:{}", wharf.folder().join("other").display());
    let name = registry.name("team/app:1");
    wharf.ok(["copy", &name, &from]);
    for kind in ["oci-archive", "docker-archive"] {
        let from = format!("{kind}:{}", archive.display());
        refused(&wharf, &archive, &["copy", &from, &to]);
    }
    let blobs = fs::read_dir(layout.join("blobs/sha256")).unwrap();
    let blob = blobs.map(|blob| blob.unwrap().path()).next().unwrap();
    for path in [blob, layout.join("index.json")] {
        for (kind, _) in KINDS {
            replace(&path, kind);
            let output = bounded(&wharf, &["copy", &from, &to]);
            assert_eq!(output.code, Some(1), "{kind}: {}", output.stderr);
        }
    }
}

#[test]
fn lists_of_manifests_and_a_server_s_certificates_are_regular_files() {
    let (wharf, registry) = (wharf(), registry());
    let name = registry.name("team/app:1");
    wharf.ok([
        "manifest",
        "create",
        "--insecure",
        "example.com/list:1",
        &name,
    ]);
    let lists = wharf.folder().join("docker/manifests");
    let list = fs::read_dir(lists).unwrap().next().unwrap().unwrap().path();
    let entry = fs::read_dir(list).unwrap().next().unwrap().unwrap().path();
    refused(
        &wharf,
        &entry,
        &["manifest", "inspect", "example.com/list:1"],
    );

    let certificate = wharf.folder().join("cert.pem");
    let file = certificate.to_str().unwrap();
    refused(
        &wharf,
        &certificate,
        &[
            "serve",
            "engine",
            "--listen",
            "tcp://127.0.0.1:0",
            "--tls-cert",
            file,
            "--tls-key",
            file,
            "--tls-client-ca",
            file,
        ],
    );
}
