//! Clients that stall or go away in the middle of something: nobody else notices, and nothing is done in vain.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use wharf_testkit::{Fault, Image, On, TestRegistry, When};

use super::server::{Server, rest, status};

/// A layer that takes half a second to come, and its pieces, in bytes.
const LAYER: usize = 8_000_000;
const PIECE: usize = 16_000;

/// A pull that is under way.
struct Pull(BufReader<UnixStream>);

impl Pull {
    fn begin(server: &Server, name: &str) -> Self {
        let mut stream = server.connect();
        let request = format!(
            "POST /images/create?fromImage={name} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        Self(BufReader::new(stream))
    }

    /// Waits until it says how many bytes have come.
    fn until_bytes_come(&mut self) {
        let mut line = String::new();
        while !line.contains("\"Downloading\"") {
            line.clear();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "it ended before");
        }
    }

    /// What else it says, until its end.
    fn rest(mut self) -> String {
        let mut text = String::new();
        while self.0.read_line(&mut text).unwrap() > 0 {}
        text
    }
}

/// A registry with an image whose layer comes slowly.
fn slow_registry() -> (TestRegistry, wharf_testkit::BuiltImage) {
    let (registry, image) = (TestRegistry::start(), Image::random(7, 1, LAYER).build());
    registry.push("team/slow:1", &image);
    let every = Duration::from_millis(1);
    let slow = Fault::Slow {
        bytes: PIECE,
        every,
    };
    registry.fault(On::blobs(), When::Always, slow);
    (registry, image)
}

/// The image's layer: its largest blob.
fn layer(image: &wharf_testkit::BuiltImage) -> wharf_core::Descriptor {
    let largest = image.blobs.iter().max_by_key(|(what, _)| what.size);
    largest.unwrap().0.clone()
}

#[test]
fn a_pull_ends_with_its_client_and_the_next_one_goes_on_from_it() {
    let (registry, image) = slow_registry();
    let (server, layer) = (Server::start(), layer(&image));
    let name = registry.name("team/slow:1");
    let mut pull = Pull::begin(&server, &name);
    pull.until_bytes_come();
    drop(pull);

    // It waits for the first one's end: if that went on, everything would come from there.
    let said = Pull::begin(&server, &name).rest();
    assert!(said.contains("Status: Downloaded newer image"), "{said}");
    let gets: Vec<_> = registry
        .requests()
        .into_iter()
        .filter(|request| request.blob().as_ref() == Some(&layer.digest))
        .collect();
    assert_eq!(gets.len(), 2, "{}", registry.story());
    assert!(gets[0].sent() < layer.size, "{}", registry.story());
    let range = gets[1].range.clone().unwrap_or_default();
    let from: u64 = range
        .trim_start_matches("bytes=")
        .split('-')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0);
    assert!(from > 0, "it began anew: {range:?}");
    assert!(gets[1].sent() <= layer.size - from);
    server.serves();
    server.wharf.ok(["store", "check"]);
}

#[test]
fn a_pull_that_runs_already_is_joined() {
    let (registry, image) = slow_registry();
    let server = Server::start();
    let name = registry.name("team/slow:1");
    let mut first = Pull::begin(&server, &name);
    first.until_bytes_come();
    let mut second = Pull::begin(&server, &name);
    second.until_bytes_come();
    for pull in [first, second] {
        let said = pull.rest();
        assert!(said.contains("Pull complete"), "{said}");
        assert!(said.contains("Status: "), "{said}");
    }
    for (what, _) in &image.blobs {
        let sent = registry.bytes_served(&what.digest);
        assert_eq!(sent, what.size, "{}", registry.story());
        assert_eq!(registry.blob_gets(&what.digest), 1);
    }
}

#[test]
fn the_one_who_joined_goes_on_when_the_first_one_goes_away() {
    let (registry, image) = slow_registry();
    let (server, layer) = (Server::start(), layer(&image));
    let name = registry.name("team/slow:1");
    let mut first = Pull::begin(&server, &name);
    first.until_bytes_come();
    let mut second = Pull::begin(&server, &name);
    second.until_bytes_come();
    drop(first);
    let said = second.rest();
    assert!(said.contains("Status: Downloaded newer image"), "{said}");
    // What was on its way to the first one when it went may have come twice.
    let twice = 1_000_000;
    let sent = registry.bytes_served(&layer.digest);
    assert!(sent < layer.size + twice, "{}", registry.story());
}

#[test]
fn stalled_clients_keep_nobody_waiting() {
    let (registry, small) = (TestRegistry::start(), Image::random(1, 2, 1000).build());
    let stuck = Image::random(2, 1, 100_000).build();
    registry.push("team/small:1", &small);
    registry.push("team/stuck:1", &stuck);
    let digest = layer(&stuck).digest;
    registry.fault(On::digest(&digest), When::Always, Fault::Stall(10));
    let server = Server::start();

    // A registry that stalls, a client that sends half an archive, one that takes nothing of what it is sent.
    let mut stalled = vec![
        Pull::begin(&server, &registry.name("team/stuck:1"))
            .0
            .into_inner(),
    ];
    for _ in 0..8 {
        let mut load = server.connect();
        let head = b"POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nhalf";
        load.write_all(head).unwrap();
        stalled.push(load);
    }
    let said = Pull::begin(&server, &registry.name("team/small:1")).rest();
    assert!(said.contains("Status: Downloaded newer image"), "{said}");
    let name = registry.name("team/small:1");
    for _ in 0..8 {
        let mut save = server.connect();
        let head = format!("GET /images/{name}/get HTTP/1.1\r\nHost: x\r\n\r\n");
        save.write_all(head.as_bytes()).unwrap();
        stalled.push(save);
    }
    server.serves();
    let (tagged, _) = server.ask("POST", &format!("/images/{name}/tag?repo=mine"));
    assert_eq!(tagged, 201);
    assert_eq!(server.ask("DELETE", "/images/mine:latest").0, 200);
    drop(stalled);
    server.serves();
}

#[test]
fn an_archive_that_breaks_off_leaves_nothing() {
    let server = Server::start();
    let mut load = server.connect();
    let head = b"POST /images/load HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    load.write_all(head).unwrap();
    // A file of eight exabytes begins.
    let mut header = tar::Header::new_gnu();
    header.set_path("endless").unwrap();
    header.set_size(1 << 63);
    header.set_cksum();
    let mut piece = format!("{:x}\r\n", 512 + 1_000_000).into_bytes();
    piece.extend(header.as_bytes());
    piece.resize(piece.len() + 1_000_000, 0);
    piece.extend(b"\r\n");
    load.write_all(&piece).unwrap();
    let spooled = |server: &Server| server.open_files().iter().any(|f| f.contains("/spool-"));
    server.until("the archive is written to the disk", spooled);
    drop(load);
    server.until("its file is gone", |server| !spooled(server));
    server.serves();

    // The same to its end: it is cut off, and so no image.
    let mut load = server.connect();
    load.write_all(b"POST /images/load HTTP/1.1\r\nHost: x\r\nConnection: close\r\n")
        .unwrap();
    write!(load, "Content-Length: {}\r\n\r\n", 512).unwrap();
    load.write_all(header.as_bytes()).unwrap();
    let said = rest(load);
    assert_eq!(status(&said), 200);
    assert!(said.contains("errorDetail"), "{said}");
}

#[test]
fn who_listens_to_events_does_not_hold_up_the_end() {
    let server = Server::start();
    let mut listener = server.connect();
    listener
        .write_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut listener = BufReader::new(listener);
    let mut line = String::new();
    listener.read_line(&mut line).unwrap();
    assert_eq!(status(&line), 200, "{line}");
    // Requests in progress have ten seconds; this one needs none of them.
    assert!(server.end() < Duration::from_secs(5));
}
