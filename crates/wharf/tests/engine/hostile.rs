//! Bad input: it is refused or bounded, and the next client is served.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::{fs, net::Shutdown};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::server::{Server, rest, status};

/// More than any body that is read whole may have, in bytes.
const A_LOT: usize = 64 * 1024 * 1024;

/// How much memory a server may take that was sent a lot, in bytes.
const MEMORY_MAX: u64 = 64 * 1024 * 1024;

/// Many more connections than a server keeps, and how many these are.
const CROWD: usize = 3000;
const KEPT: usize = 1024;

/// Writes pieces until the server has had enough, or `most` bytes were taken. Returns how many these were.
fn pour(stream: &mut UnixStream, piece: &[u8], most: usize) -> usize {
    let mut taken = 0;
    while taken < most && stream.write_all(piece).is_ok() {
        taken += piece.len();
    }
    taken
}

/// One piece of a body in chunks.
fn chunk(content: &[u8]) -> Vec<u8> {
    let mut piece = format!("{:x}\r\n", content.len()).into_bytes();
    piece.extend(content);
    piece.extend(b"\r\n");
    piece
}

#[test]
fn endless_json_is_refused_before_it_is_all_there() {
    let server = Server::start();
    for path in ["/auth", "/images/prune", "/containers/create", "/build"] {
        let mut stream = server.connect();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let taken = pour(&mut stream, &chunk(&[b'['; 16 * 1024]), A_LOT);
        assert!(taken < A_LOT, "{path}: all of it was taken");
        if path == "/auth" {
            assert_eq!(status(&rest(stream)), 400);
        }
        server.serves();
    }
    assert!(server.peak() < MEMORY_MAX);
}

#[test]
fn a_header_of_a_megabyte_is_refused() {
    let server = Server::start();
    let mut stream = server.connect();
    stream.write_all(b"GET /_ping HTTP/1.1\r\nX-Y: ").unwrap();
    let taken = pour(&mut stream, &[b'a'; 16 * 1024], A_LOT);
    assert!(taken < 1024 * 1024, "{taken} bytes of a header were taken");
    assert_eq!(status(&rest(stream)), 431);

    let mut stream = server.connect();
    let path = "a".repeat(1024 * 1024);
    // It may be refused before all of it was sent.
    drop(write!(stream, "GET /images/{path}/json HTTP/1.1\r\n"));
    assert!((400..500).contains(&status(&rest(stream))));
    server.serves();
}

#[test]
fn half_closed_connections_are_ended() {
    let server = Server::start();
    for request in [
        "",
        "GET /images/json HTTP/1.1\r\nHo",
        "POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc",
        "GET /events HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let mut stream = server.connect();
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        // It ends: nobody is waited for who will never say another word.
        drop(rest(stream));
        server.serves();
    }
}

#[test]
fn names_lead_nowhere_but_into_the_store() {
    let server = Server::start();
    let folder = server.wharf.folder();
    let outside = |path: &std::path::Path| -> Vec<_> {
        let entries = fs::read_dir(path).unwrap();
        let mut all: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        all.sort();
        all
    };
    let before = outside(folder);
    let up = "..%2f..%2f..%2fetc%2fpasswd";
    for (method, path) in [
        ("GET", format!("/images/{up}/json")),
        ("GET", "/images/../../../etc/passwd/json".to_owned()),
        ("GET", format!("/images/{up}/history")),
        ("GET", format!("/images/{up}/get")),
        ("GET", format!("/images/get?names={up}")),
        ("GET", format!("/distribution/{up}/json")),
        ("POST", format!("/images/{up}/tag?repo=x")),
        ("POST", format!("/images/{up}/push")),
        ("POST", format!("/images/create?fromImage={up}")),
        ("POST", format!("/images/create?fromImage=x&tag={up}")),
        ("POST", format!("/images/create?fromSrc=-&repo={up}")),
        ("DELETE", format!("/images/{up}")),
        ("DELETE", format!("/images/sha256:{up}")),
        ("GET", "/images/%00/json".to_owned()),
        ("GET", format!("/images/{}/json", "a/".repeat(10_000))),
    ] {
        let (status, body) = server.ask(method, &path);
        assert!((400..500).contains(&status), "{path}: {status} {body}");
        assert!(body.contains("\"message\""), "{path}: {body}");
    }
    assert_eq!(outside(folder), before);
    server.serves();
}

#[test]
fn what_is_no_text_is_refused() {
    let server = Server::start();
    for (method, path) in [
        ("GET", "/images/%ff%fe/json"),
        ("GET", "/images/%c0%ae%c0%ae/json"),
        ("POST", "/images/x/tag?repo=%ff"),
        ("GET", "/images/json?filters=%ff"),
        ("GET", "/images/json?filters={%22reference%22:[%22%ff%22]}"),
        ("GET", "/images/%zz/json"),
        ("GET", "/images/%"),
    ] {
        let (status, body) = server.ask(method, path);
        assert!((400..500).contains(&status), "{path}: {status} {body}");
    }
    for raw in [
        &b"GET /images/\xff/json HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"\xff\xfe\x00\r\n\r\n",
        b"GET /_ping HTTP/9.9\r\n\r\n",
        b"POST /auth HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /auth HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let mut stream = server.connect();
        stream.write_all(raw).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let status = status(&rest(stream));
        assert!(status == 0 || (400..500).contains(&status), "{status}");
    }
    server.serves();
}

#[test]
fn a_crowd_that_says_nothing_leaves_room() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    let server = Server::start();
    let crowd: Vec<UnixStream> = (0..CROWD).map(|_| server.connect()).collect();
    server.serves();
    let sockets = |server: &Server| {
        let files = server.open_files();
        files.iter().filter(|f| f.starts_with("socket:")).count()
    };
    // A few are the server's own: what it listens on, and what signals come through.
    assert!(sockets(&server) <= KEPT + 8, "{}", sockets(&server));
    assert!(server.peak() < MEMORY_MAX, "{}", server.peak());
    // Those who came first have lost their places, and the last ones have theirs.
    let mut last = crowd.last().unwrap().try_clone().unwrap();
    let request = b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    last.write_all(request).unwrap();
    assert_eq!(status(&rest(last)), 200);
    assert_eq!(rest(crowd[0].try_clone().unwrap()), "");
    drop(crowd);
    server.serves();
}
