//! Importing archives of files. A recorded scenario of Docker tests more of it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;

use wharf_testkit::{Layer, Wharf};

use super::wharf;

/// An archive of one file, `x`, with `content`.
fn tar(content: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    builder.append_data(&mut header, "x", content).unwrap();
    builder.into_inner().unwrap()
}

/// Writes an archive into the program's folder. Answers with its path.
fn file(wharf: &Wharf, name: &str, bytes: &[u8]) -> String {
    let path = wharf.folder().join(name);
    fs::write(&path, bytes).unwrap();
    path.display().to_string()
}

/// A web server that answers once. Answers with its address.
fn serve(status: &'static str, body: Vec<u8>) -> String {
    answer(status, body.len(), body)
}

/// The same, but it promises more than it sends.
fn serve_part(length: usize, body: Vec<u8>) -> String {
    answer("200 OK", length, body)
}

fn answer(status: &'static str, length: usize, body: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") {
            connection.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        connection.write_all(head.as_bytes()).unwrap();
        connection.write_all(&body).unwrap();
    });
    format!("http://{address}/r.tar")
}

/// One field of an image.
fn shown(wharf: &Wharf, image: &str, template: &str) -> String {
    wharf
        .ok(["inspect", "-f", template, image])
        .trim()
        .to_owned()
}

#[test]
fn an_imported_image_says_what_it_was_told() {
    let wharf = wharf();
    let archive = file(&wharf, "r.tar", &tar(b"hello"));
    let id = wharf.ok([
        "import",
        "-c",
        "ENV A=1",
        "-c",
        "CMD echo $A",
        "--change=HEALTHCHECK --interval=5s CMD true",
        "-c",
        "ONBUILD RUN x",
        &archive,
        "mine",
    ]);
    assert_eq!(id.trim(), shown(&wharf, "mine:latest", "{{.Id}}"));
    for (template, expected) in [
        ("{{json .Config.Env}}", r#"["A=1"]"#),
        ("{{json .Config.Cmd}}", r#"["/bin/sh","-c","echo $A"]"#),
        ("{{json .Config.OnBuild}}", r#"["RUN x"]"#),
        ("{{.Config.Healthcheck.Interval}}", "5s"),
        ("{{.Comment}}|{{.Author}}|{{.Os}}", "Imported from -||linux"),
        ("{{.Size}} {{len .RootFS.Layers}}", "5 1"),
        ("{{json .RepoDigests}}", "[]"),
    ] {
        assert_eq!(shown(&wharf, "mine", template), expected, "{template}");
    }
    wharf.ok(["store", "check"]);
}

#[test]
fn a_packed_archive_is_the_same_layer_as_a_plain_one() {
    let wharf = wharf();
    let plain = tar(&b"hello ".repeat(10_000));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let packed = [
        ("plain", plain.clone()),
        ("gzip", gzip.finish().unwrap()),
        ("zstd", zstd::encode_all(&plain[..], 1).unwrap()),
    ];
    let mut layers = Vec::new();
    for (name, bytes) in packed {
        wharf.ok(["import", &file(&wharf, name, &bytes), name]);
        layers.push(shown(&wharf, name, "{{json .RootFS.Layers}} {{.Size}}"));
    }
    layers.dedup();
    assert_eq!(layers.len(), 1, "{layers:?}");
}

#[test]
fn an_imported_image_goes_into_an_archive_and_out_of_it_again() {
    let (here, there) = (wharf(), wharf());
    let mut child = here
        .command(["import", "-m", "a note", "-", "mine:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(&tar(b"hello"))
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let id = String::from_utf8(output.stdout).unwrap();
    let saved = here.folder().join("saved.tar").display().to_string();
    here.ok(["save", "-o", &saved, "mine:1"]);
    there.ok(["load", "-i", &saved]);
    assert_eq!(there.ok(["images", "-q", "--no-trunc", "mine"]), id);
    assert_eq!(shown(&there, "mine:1", "{{.Comment}}"), "a note");
}

#[test]
fn an_import_takes_a_name_over() {
    let wharf = wharf();
    let (one, two) = (
        file(&wharf, "1.tar", &tar(b"one")),
        file(&wharf, "2.tar", &tar(b"two!")),
    );
    let first = wharf.ok(["import", &one, "mine:1"]);
    let second = wharf.ok(["import", &two, "mine:1"]);
    assert_eq!(wharf.ok(["images", "-q", "--no-trunc", "mine"]), second);
    let dangling = wharf.ok(["images", "-q", "--no-trunc", "-f", "dangling=true"]);
    assert_eq!(dangling, first);
}

#[test]
fn an_archive_comes_from_a_web_server() {
    let wharf = wharf();
    let url = serve("200 OK", tar(b"hello"));
    let output = wharf.ok(["import", &url, "mine:1"]);
    let id = shown(&wharf, "mine:1", "{{.Id}}");
    assert_eq!(output, format!("Downloading from {url}\n{id}\n"));
    let comment = shown(&wharf, "mine:1", "{{.Comment}}");
    assert_eq!(comment, format!("Imported from {url}"));

    let url = serve("404 Not Found", b"no such file\n".to_vec());
    let output = wharf.run(["import", &url, "mine:2"]);
    let expected = format!("Error: failed to GET {url} with status 404 Not Found: no such file\n");
    assert_eq!((output.stderr, output.code), (expected, Some(1)));
    assert_eq!(output.stdout, "");
}

#[test]
fn what_is_no_archive_leaves_nothing() {
    let wharf = wharf();
    let whole = tar(&[7; 5000]);
    for (name, bytes) in [
        (
            "text",
            b"this is no archive, but it is long enough to be one".repeat(20),
        ),
        ("cut", whole[..3000].to_vec()),
        (
            "outside",
            Layer::new().file("../../x", b"x").pack().blob.to_vec(),
        ),
        ("cut.zst", {
            let packed = zstd::encode_all(&whole[..], 1).unwrap();
            packed[..packed.len() / 2].to_vec()
        }),
        ("twice", {
            let once = zstd::encode_all(&whole[..], 1).unwrap();
            zstd::encode_all(&once[..], 1).unwrap()
        }),
    ] {
        let output = wharf.run(["import", &file(&wharf, name, &bytes), "mine:1"]);
        assert_eq!(
            (output.stdout.as_str(), output.code),
            ("", Some(1)),
            "{name}"
        );
        assert!(output.stderr.starts_with("Error: "), "{}", output.stderr);
    }
    assert_eq!(wharf.ok(["images", "-aq"]), "");
    let found = wharf.ok(["store", "check"]);
    assert!(found.ends_with("everything is sound\n"), "{found}");
}

#[test]
fn mistakes_in_an_import_are_told_in_docker_s_words() {
    let wharf = wharf();
    let archive = file(&wharf, "r.tar", &tar(b"hello"));
    for (words, expected) in [
        (
            &["nosuch.tar"][..],
            "Error: open nosuch.tar: no such file or directory\n",
        ),
        (
            &["-c", "RUN true", &archive],
            "Error: RUN is not a valid change command\n",
        ),
        (
            &[
                &archive,
                "mine@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            ],
            "Error: cannot import digest reference\n",
        ),
        (&["."], "Error: read .: is a directory\n"),
        (
            &["--platform", "nosuch", &archive],
            "Error: \"nosuch\": unknown operating system or architecture: invalid argument\n",
        ),
        (
            &["--platform", "windows/amd64", &archive],
            "Error: operating system is not supported\n",
        ),
    ] {
        let output = wharf.run(std::iter::once(&"import").chain(words));
        assert_eq!(output.code, Some(1), "{words:?}");
        assert!(output.stderr.starts_with(expected), "{}", output.stderr);
    }
    assert_eq!(wharf.ok(["images", "-aq"]), "");
}

#[test]
fn the_environment_names_an_import_s_platform() {
    let wharf = wharf().env("DOCKER_DEFAULT_PLATFORM", "linux/s390x");
    let archive = file(&wharf, "r.tar", &tar(b"hello"));
    wharf.ok(["import", &archive, "mine:1"]);
    assert_eq!(shown(&wharf, "mine:1", "{{.Architecture}}"), "s390x");
    wharf.ok(["import", "--platform", "linux/arm/v6", &archive, "mine:2"]);
    let platform = shown(&wharf, "mine:2", "{{.Architecture}}{{.Variant}}");
    assert_eq!(platform, "armv6");
}

#[test]
fn a_download_that_breaks_off_leaves_nothing() {
    let wharf = wharf();
    let whole = tar(&[7; 5000]);
    let address = serve_part(whole.len(), whole[..2000].to_vec());
    let output = wharf.run(["import", &address, "mine:1"]);
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.starts_with("Error: "), "{}", output.stderr);
    assert!(!output.stderr.contains("tar header"), "{}", output.stderr);
    assert_eq!(wharf.ok(["images", "-aq"]), "");
    assert!(wharf.ok(["store", "check"]).starts_with("0 blobs"));
}
