//! What is asked of registries without pulling: tags, outdated names, searches, inspections.

use wharf_core::media_type::Compression;
use wharf_testkit::images::{Content as _, samples};
use wharf_testkit::{Fault, Layer, On, TestRegistry, When};

use super::{registry, wharf};
use server::serve;

/// A server that answers one path, with std alone.
mod server {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    /// Answers every request whose path begins with `path` with `body`, all others with 404; returns
    /// the address.
    pub(super) fn serve(path: &'static str, body: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 4096];
                let length = stream.read(&mut request).unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let (status, body) = if request.starts_with(&format!("GET {path}")) {
                    ("200 OK", body)
                } else {
                    ("404 Not Found", "")
                };
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                let _gone = stream.write_all((head + body).as_bytes());
            }
        });
        address
    }
}

#[test]
fn tags_are_listed_filtered_and_formatted() {
    let (registry, wharf) = (registry(), wharf());
    for tag in ["1.0", "1.1", "latest"] {
        registry.push(&format!("team/app:{tag}"), &samples::small());
    }
    let name = registry.name("team/app");
    assert_eq!(wharf.ok(["tags", &name]), "1\n1.0\n1.1\nlatest\n");
    assert_eq!(wharf.ok(["tags", "--filter", "1.*", &name]), "1.0\n1.1\n");
    let format = ["tags", "--format", "{{.Name}}", "-f", "latest", &name];
    assert_eq!(wharf.ok(format), format!("{name}:latest\n"));
    let tagged = wharf.run(["tags", &format!("{name}:1")]);
    assert_eq!(tagged.code, Some(1));
    assert!(
        tagged.stderr.contains("leave out the tag"),
        "{}",
        tagged.stderr
    );
    assert_eq!(wharf.run(["tags", &registry.name("no/such")]).code, Some(1));
}

#[test]
fn what_was_made_and_pushed_here_has_not_moved() {
    let (registry, wharf) = (registry(), wharf());
    let archive = wharf.folder().join("files.tar");
    let files = Layer::new().compression(Compression::None);
    std::fs::write(&archive, &files.file("a", b"a").pack().blob).unwrap();
    let name = registry.name("made/here:1");
    wharf.ok(["import", &archive.display().to_string(), &name]);
    wharf.ok(["push", "-q", &name]);
    let all = ["outdated", "-a", "--format", "{{.Name}} {{.Status}}"];
    assert_eq!(wharf.ok(all), format!("{name} current\n"));

    // Of an index that is here in part, one platform is sent.
    let index = samples::platforms(&["linux/amd64", "linux/arm64"]);
    registry.push("team/multi:1", &index);
    let (from, part) = (registry.name("team/multi:1"), registry.name("part/multi:1"));
    wharf.ok(["pull", "-q", "--platform", "linux/arm64", &from]);
    wharf.ok(["tag", &from, &part]);
    wharf.ok(["push", "-q", &part]);
    let pattern = registry.name("*/multi");
    let all = [&all[..], &[&pattern]].concat();
    assert_eq!(wharf.ok(&all), format!("{part} current\n{from} current\n"));

    // Somebody else's push is one that moved the name.
    registry.push("part/multi:1", &samples::small());
    registry.push("made/here:1", &samples::small());
    assert_eq!(wharf.ok(["outdated", "-q"]), format!("{name}\n{part}\n"));
}

#[test]
fn names_that_have_moved_are_told_by_head_alone() {
    let (registry, wharf) = (registry(), wharf());
    registry.push("team/old:1", &samples::small());
    for name in ["team/app:1", "team/old:1"] {
        wharf.ok(["pull", "-q", &registry.name(name)]);
    }
    wharf.ok(["tag", &registry.name("team/app:1"), "local:1"]);
    assert_eq!(wharf.ok(["outdated", "-q"]), "");
    registry.push("team/app:1", &samples::every_compression());
    registry.forget_requests();
    let name = registry.name("team/app:1");
    assert_eq!(wharf.ok(["outdated", "-q"]), format!("{name}\n"));
    let typo = wharf.run(["outdated", "no/such"]);
    assert_eq!(typo.code, Some(1));
    assert!(
        typo.stderr.contains("no name here fits \"no/such\""),
        "{}",
        typo.stderr
    );
    let methods: Vec<String> = registry
        .requests()
        .iter()
        .map(|r| r.method.to_string())
        .collect();
    assert!(
        methods.iter().filter(|m| *m != "HEAD").count() <= 1,
        "{}",
        registry.story()
    );
    let all = wharf.ok(["outdated", "--all", "--format", "{{.Name}} {{.Status}}"]);
    assert_eq!(
        all,
        format!("{name} moved\n{} current\n", registry.name("team/old:1"))
    );
    let some = wharf.ok([
        "outdated",
        "--format",
        "{{.Status}}",
        &registry.name("team/old"),
    ]);
    assert_eq!(some, "");

    registry.fault(On::path("/old/"), When::Always, Fault::Status(404));
    let gone = wharf.ok(["outdated", "--format", "{{.Tag}} {{.Status}}"]);
    assert_eq!(gone, "1 moved\n1 gone\n");
    registry.behave();
    registry.fault(On::path("/old/"), When::Always, Fault::Status(400));
    let failed = wharf.run(["outdated", "-q"]);
    assert_eq!((failed.code, failed.stdout), (Some(1), format!("{name}\n")));
    assert!(failed.stderr.contains("team/old:1: "), "{}", failed.stderr);
}

#[test]
fn an_image_is_inspected_in_its_registry_and_nothing_is_kept() {
    let (registry, wharf) = (TestRegistry::start(), wharf());
    let index = samples::platforms(&["linux/amd64", "linux/arm64"]);
    registry.push("team/multi:1", &index);
    let name = registry.name("team/multi:1");
    let format = "{{.Architecture}} {{index .RepoTags 0}} {{index .RepoDigests 0}}";
    let repository = registry.name("team/multi");
    let digest = &index.root().digest;
    assert_eq!(
        wharf.ok([
            "image",
            "inspect",
            "--remote",
            "--platform",
            "linux/arm64",
            "-f",
            format,
            &name
        ]),
        format!("arm64 {name} {repository}@{digest}\n")
    );
    assert_eq!(wharf.ok(["images", "-q"]), "");
    let layers = registry.requests();
    assert!(
        wharf
            .ok(["inspect", "--remote", &name])
            .contains("\"Architecture\": \"amd64\"")
    );
    let blobs = layers.iter().filter(|r| r.blob().is_some()).count();
    assert_eq!(
        blobs,
        1,
        "more than the config was fetched: {}",
        registry.story()
    );
    // Here and there, an image says the same of itself.
    wharf.ok(["pull", "-q", &name]);
    let what = "{{json .Config}} {{json .RootFS}} {{.Id}} {{.Created}}";
    assert_eq!(
        wharf.ok(["image", "inspect", "--remote", "-f", what, &name]),
        wharf.ok(["image", "inspect", "-f", what, &name])
    );
    assert_eq!(
        wharf
            .run(["inspect", "--remote", &registry.name("no/such:1")])
            .code,
        Some(1)
    );
}

#[test]
fn a_search_finds_in_docker_s_table() {
    let wharf = wharf();
    let host = serve(
        "/v1/search?q=box&n=25",
        r#"{"results":[{"name":"busybox","description":"Busybox\nbase image, in one line and rather too long for a table","star_count":7,
            "is_official":true},{"name":"ops/box","description":"","star_count":1,"is_official":false}]}"#,
    );
    let term = format!("{host}/box");
    let lines = wharf.ok(["search", &term]);
    let mut lines = lines.lines();
    assert!(lines.next().unwrap().starts_with("NAME "));
    let first = lines.next().unwrap();
    assert!(
        first.contains("Busybox base image, in one line and rather t… "),
        "{first}"
    );
    assert!(first.ends_with("[OK]"), "{first}");
    let few = [
        "search",
        "--filter",
        "is-official=false",
        "--format",
        "{{.Name}}",
        &term,
    ];
    assert_eq!(wharf.ok(few), "ops/box\n");
    let stars = [
        "search",
        "-f",
        "stars=5",
        "--format",
        "{{.Name}} {{.StarCount}}",
        &term,
    ];
    assert_eq!(wharf.ok(stars), "busybox 7\n");
    for (arguments, words) in [
        (
            &["--limit", "101", "x"][..],
            "limit 101 is outside the range of [1, 100]",
        ),
        (&["-f", "stars=many", "x"], "invalid filter 'stars=many'"),
        (&["-f", "nosuch=1", "x"], "invalid filter 'nosuch'"),
    ] {
        let output = wharf.run(["search"].iter().chain(arguments));
        assert_eq!(output.code, Some(1));
        assert!(output.stderr.contains(words), "{}", output.stderr);
    }
    let none = wharf.run(["search", &format!("{}/x", serve("/nothing", ""))]);
    assert_eq!(none.code, Some(1));
    assert!(
        none.stderr.contains("the registry has none"),
        "{}",
        none.stderr
    );
    assert!(none.stderr.contains("wharf tags NAME"), "{}", none.stderr);
}

#[test]
fn info_and_version_have_docker_s_fields() {
    let (registry, wharf) = (registry(), wharf());
    assert!(wharf.ok(["info"]).contains("\n Images: 0\n"));
    assert!(!wharf.root().exists(), "to ask has made a store");
    wharf.ok(["pull", "-q", &registry.name("team/app:1")]);
    let root = wharf.root().display().to_string();
    assert_eq!(
        wharf.ok(["system", "info", "-f", "{{.Images}} {{.DockerRootDir}}"]),
        format!("1 {root}\n")
    );
    let version = wharf.ok([
        "version",
        "--format",
        "{{.Client.Version}} {{.Server.Version}}",
    ]);
    let (client, server) = version.trim().split_once(' ').unwrap();
    assert_eq!(client, server);
    assert!(
        wharf
            .ok(["version"])
            .starts_with("Client: wharf\n Version:           ")
    );
    assert_eq!(wharf.run(["info", "-f", "{{.NoSuch}}"]).code, Some(1));
}
