//! Requests that are odd in themselves: each is answered or refused, and the next client is served.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;

use wharf_testkit::{Image, TestRegistry};

use super::server::{Server, rest, status};

/// How much memory a server may take for whatever it is sent, in bytes.
const MEMORY_MAX: u64 = 64 * 1024 * 1024;

/// How many may listen to events.
const LISTENERS: usize = 128;

fn send(server: &Server, request: impl AsRef<[u8]>) -> String {
    let mut stream = server.connect();
    // It may be refused before all of it was sent.
    drop(stream.write_all(request.as_ref()));
    drop(stream.shutdown(std::net::Shutdown::Write));
    rest(stream)
}

/// Everything but letters and digits, as addresses have it.
fn escaped(text: &str) -> String {
    let one = |b: u8| match b.is_ascii_alphanumeric() {
        true => char::from(b).to_string(),
        false => format!("%{b:02X}"),
    };
    text.bytes().map(one).collect()
}

#[test]
fn numbers_that_are_too_large_are_refused() {
    let server = Server::start();
    for number in [
        "-1",
        "4294967296",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999999999",
        "1e400",
        "0x10",
        "2147483647:2147483647",
        "2024-10-15+2147483647:00",
        "2024-10-15T06:30:00-35791394:59",
        "99999999999999999999h",
        "253402300800",
        "NaN",
        "\u{661}",
    ] {
        let number = escaped(number);
        for path in [
            format!("/images/search?term=a&limit={number}"),
            format!("/images/search?term=a&filters=%7B%22stars%22%3A%5B%22{number}%22%5D%7D"),
            format!("/v1.{number}/images/json"),
        ] {
            let (status, body) = server.ask("GET", &path);
            assert!((400..=500).contains(&status), "{path}: {status} {body}");
        }
        // A number that is none is refused, and one that is far away is a time all the same.
        let path = format!("/events?since={number}&until=1");
        let (events, body) = server.ask("GET", &path);
        assert!(matches!(events, 200 | 400), "{path}: {events} {body}");
        let filters = escaped("{\"until\":[\"") + &number + &escaped("\"]}");
        let (pruned, body) = server.ask("POST", &format!("/images/prune?filters={filters}"));
        assert!(matches!(pruned, 200 | 400), "{number}: {pruned} {body}");
    }
    server.serves();
}

#[test]
fn filters_may_be_deep_long_or_full_of_stars() {
    let server = Server::start();
    server.has(&format!("{}:1", "a".repeat(100)));
    let many = |count: usize, value: &str| vec![format!("\"{value}\""); count].join(",");
    for (filters, refused) in [
        ("[".repeat(20_000), true),
        ("{\"a\":".repeat(5_000), true),
        ("{\"reference\":{".repeat(2_000) + &"}".repeat(4_000), true),
        (format!("{{\"reference\":[{}]}}", many(2_000, "*")), false),
        (
            format!("{{\"reference\":[\"{}b\"]}}", "*a".repeat(8_000)),
            false,
        ),
        (
            format!("{{\"reference\":[\"{}\"]}}", "[a-z]*".repeat(2_000)),
            false,
        ),
        (
            format!("{{\"reference\":[\"{}\"]}}", "[".repeat(10_000)),
            true,
        ),
        (format!("{{\"label\":[{}]}}", many(2_000, "a=b")), false),
        (format!("{{\"before\":[\"{}\"]}}", "a".repeat(20_000)), true),
    ] {
        let path = format!(
            "/images/json?filters={}",
            filters.replace('%', "%25").replace(' ', "%20")
        );
        let (status, body) = server.ask("GET", &escaped_quotes(&path));
        let fine = if refused {
            (400..500).contains(&status)
        } else {
            matches!(status, 200 | 400)
        };
        assert!(fine, "{}: {status} {body}", &filters[..20]);
        server.serves();
    }
    assert!(server.peak() < MEMORY_MAX, "{}", server.peak());
}

fn escaped_quotes(path: &str) -> String {
    let (path, query) = path.split_once('=').unwrap();
    let mut out = format!("{path}=");
    for c in query.chars() {
        match c {
            '"' | '{' | '}' | '[' | ']' | '=' => out.push_str(&format!("%{:02X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

#[test]
fn names_of_a_megabyte_are_refused() {
    let server = Server::start();
    let long = "a".repeat(1024 * 1024);
    for request in [
        format!("GET /images/{long}/json HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("POST /images/x/tag?repo={long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("DELETE /images/{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET /_ping HTTP/1.1\r\nHost: x\r\nX-Registry-Auth: {long}\r\n\r\n"),
        format!("{long} /_ping HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET /_ping HTTP/1.1\r\n{long}: x\r\n\r\n"),
        format!(
            "GET /_ping HTTP/1.1\r\nHost: x\r\n{}\r\n",
            "X-Y: z\r\n".repeat(10_000)
        ),
        format!(
            "GET /_ping HTTP/1.1\r\nHost: x\r\n{}\r\n",
            "X-Y: z\r\n".repeat(500)
        ),
    ] {
        let status = status(&send(&server, &request));
        // Or the connection broke under so much that nobody reads.
        assert!(
            status == 0 || (400..500).contains(&status),
            "{status}: {}",
            &request[..40]
        );
        server.serves();
    }
    let long = "a/".repeat(10_000);
    for path in [
        format!("/images/{long}/json"),
        format!("/images/create?fromImage={long}"),
    ] {
        let method = if path.contains("create") {
            "POST"
        } else {
            "GET"
        };
        assert!((400..500).contains(&server.ask(method, &path).0));
    }
    assert!(server.peak() < MEMORY_MAX, "{}", server.peak());
}

#[test]
fn paths_have_no_tricks() {
    let server = Server::start();
    for path in [
        "/images/%2e%2e/%2e%2e/json",
        "/images/..%2f..%2fjson/json",
        "//images/json",
        "/images//json",
        "/images/./json",
        "/%2e%2e/images/json",
        "/v1.43/../images/json",
        "/v1.43//images/json",
        "/images/json/",
        "/images/json%00",
        "/images/json%0d%0aX-Evil:%20yes",
        "/images/%252e%252e/json",
        "/IMAGES/json",
    ] {
        let (status, body) = server.ask("GET", path);
        assert!((400..500).contains(&status), "{path}: {status} {body}");
    }
    server.serves();
}

#[test]
fn bodies_are_what_their_heads_say_or_refused() {
    let server = Server::start();
    let chunked =
        "POST /auth HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    let length = |value: &str, more: &str| {
        format!(
            "POST /auth HTTP/1.1\r\nHost: x\r\nContent-Length: {value}\r\n{more}Connection: close\r\n\r\n{{}}"
        )
    };
    for request in [
        length("18446744073709551615", ""),
        length("18446744073709551616", ""),
        length("9223372036854775807", ""),
        length("-2", ""),
        length("+2", ""),
        length("2, 3", ""),
        length("0x2", ""),
        length("2", "Content-Length: 3\r\n"),
        format!("{chunked}ffffffffffffffff\r\n{{}}"),
        format!("{chunked}10000000000000000\r\n{{}}"),
        format!("{chunked}-2\r\n{{}}\r\n0\r\n\r\n"),
        format!("{chunked}2;{}\r\n{{}}\r\n0\r\n\r\n", "x=y;".repeat(100_000)),
        format!(
            "{chunked}2\r\n{{}}\r\n0\r\n{}\r\n",
            "X-Y: z\r\n".repeat(100_000)
        ),
        format!("{chunked}{}", "1;x=y\r\n{\r\n".repeat(100_000)),
    ] {
        let status = status(&send(&server, &request));
        assert!(
            status == 0 || (400..500).contains(&status),
            "{status}: {}",
            &request[..90]
        );
        server.serves();
    }
    assert!(server.peak() < MEMORY_MAX, "{}", server.peak());
}

#[test]
fn requests_behind_each_other_are_answered_in_turn_and_upgrades_are_not_made() {
    let server = Server::start();
    let ping = "GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = ping.replace("Host", "Connection: close\r\nHost");
    let mut stream = server.connect();
    let requests = ping.repeat(499) + &last;
    let mut writer = stream.try_clone().unwrap();
    let sent = std::thread::spawn(move || writer.write_all(requests.as_bytes()).unwrap());
    let said = rest(&mut stream);
    sent.join().unwrap();
    assert_eq!(said.matches("HTTP/1.1 200 OK").count(), 500);
    for upgrade in [
        "GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        "POST /containers/x/attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
        "POST /session HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        "GET /events HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhl\r\n\r\n",
        "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let said = send(&server, upgrade);
        assert_ne!(status(&said), 101, "{upgrade}: {said}");
        server.serves();
    }
}

#[test]
fn those_who_listen_to_events_leave_room_for_others() {
    let server = Server::start();
    let listen = |server: &Server| -> (u16, BufReader<UnixStream>) {
        let mut stream = server.connect();
        stream
            .write_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        (status(&line), stream)
    };
    let mut listeners = Vec::new();
    for _ in 0..LISTENERS {
        let (status, stream) = listen(&server);
        assert_eq!(status, 200);
        listeners.push(stream);
    }
    for _ in 0..10 {
        let said = send(
            &server,
            "GET /events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        );
        assert_eq!(status(&said), 503, "{said}");
        assert!(
            said.contains("Retry-After: ") && said.contains("listen to events already"),
            "{said}"
        );
    }
    server.serves();
    drop(listeners);
    server.until("a place is free again", |server| listen(server).0 == 200);
    assert!(server.peak() < MEMORY_MAX, "{}", server.peak());
}

#[test]
fn a_manifest_that_declares_sizes_kills_nothing() {
    let registry = TestRegistry::start();
    let image = Image::random(1, 1, 1000).build();
    registry.push("team/app:1", &image);
    let server = Server::start();
    let digest = format!("sha256:{}", "ab".repeat(32));
    let media = "application/vnd.oci.image.manifest.v1+json";
    let kinds = ["config.v1+json", "layer.v1.tar+gzip"];
    for size in [
        "281474976710656",
        "9007199254740992",
        "4611686018427387904",
        "9223372036854775807",
        "18446744073709551615",
        "1e30",
        "-1",
    ] {
        for large in [0, 1] {
            let one = |number: usize| {
                let size = if number == large { size } else { "2" };
                format!(
                    "{{\"mediaType\":\"application/vnd.oci.image.{}\",\"digest\":\"{digest}\",\"size\":{size}}}",
                    kinds[number]
                )
            };
            let raw = format!(
                "{{\"schemaVersion\":2,\"mediaType\":\"{media}\",\"config\":{},\"layers\":[{}]}}",
                one(0),
                one(1)
            );
            let tag = format!("s{}-{large}", size.trim_start_matches('-'));
            registry.lie("team/app", &tag, media, raw.into());
            let name = registry.name("team/app");
            let (status, said) = server.ask(
                "POST",
                &format!("/images/create?fromImage={name}&tag={tag}"),
            );
            assert!(
                status >= 400 || said.contains("errorDetail"),
                "{size}: {status} {said}"
            );
            drop(server.ask("GET", &format!("/distribution/{name}:{tag}/json")));
            server.serves();
        }
    }
    assert!(server.peak() < MEMORY_MAX, "{}", server.peak());
    server.wharf.ok(["store", "check"]);
}
