//! The registry that wharf serves, and the demo.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use wharf_testkit::Wharf;

use super::{registry, wharf};

#[test]
fn one_store_is_served_to_another() {
    let (server, client, registry) = (wharf(), wharf(), registry());
    let name = registry.name("team/app:1");
    server.ok(["pull", "-q", &name]);
    server.ok(["tag", &name, "wharf.internal/team/app:1"]);
    let mut command = server.command(["serve", "registry", "--listen", "127.0.0.1:0"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.trim_end().rsplit("http://").next().unwrap().to_owned();

    client.ok(["pull", "-q", &format!("{address}/team/app:1")]);
    let id = |wharf: &Wharf| {
        wharf
            .ok(["images", "-q"])
            .lines()
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(id(&client), id(&server));

    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(0), &b""[..])
    );
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = wharf().run(["serve", "registry", "--listen", &address]);
    assert_eq!(output.code, Some(1));
    let expected = format!("Error: cannot listen on {address}: ");
    assert!(output.stderr.starts_with(&expected), "{}", output.stderr);
}

#[test]
fn the_demo_proves_its_point_without_the_hub() {
    let wharf = wharf();
    let text = wharf.ok(["demo", "--offline"]);
    let commands: Vec<&str> = text.lines().filter(|line| line.starts_with("$ ")).collect();
    let expected = [
        "$ wharf pull busybox:musl",
        "$ wharf tag busybox:musl busybox:local",
        "$ wharf images",
    ];
    assert_eq!(commands, expected, "{text}");
    assert!(text.contains("\nTwo names, one image: "), "{text}");
    assert!(text.contains("\nStored once: 3 blobs, "), "{text}");
    assert!(!wharf.root().exists(), "the demo has a store of its own");
}
