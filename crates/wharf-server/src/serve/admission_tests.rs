use axum::http::HeaderValue;

use super::*;

const HERE: &str = "127.0.0.1:2375";

fn at(address: &str) -> Admission {
    Admission::over_tcp(address.parse().unwrap())
}

/// A request with these headers; its answer's status, or 200.
fn status_at(admission: &Admission, method: &str, target: &str, headers: &[(&str, &str)]) -> u16 {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        request = request.header(*name, value);
    }
    let result = admission.check(&request.body(()).unwrap());
    result.err().map_or(200, |refusal| refusal.status.as_u16())
}

fn status(method: &str, target: &str, headers: &[(&str, &str)]) -> u16 {
    status_at(&at(HERE), method, target, headers)
}

#[test]
fn on_loopback_the_host_is_this_machine() {
    for own in [
        "localhost",
        "localhost:2375",
        "api.moby.localhost",
        "a.localhost:5000",
        "LocalHost:2375",
        "localhost.",
        "LOCALHOST.:2375",
        "localhost:",
        "localhost:9",
        "127.0.0.1",
        "127.0.0.1:2375",
        "127.0.0.1:65535",
        "127.255.255.254",
        "127.0.0.1.",
        "[::1]",
        "[::1]:2375",
        "[0:0:0:0:0:0:0:1]",
        "[::1%lo]:2375",
        "[::1%25lo]",
        "[::ffff:127.0.0.1]:2375",
        " 127.0.0.1 ",
    ] {
        assert_eq!(status("GET", "/", &[("host", own)]), 200, "{own}");
        assert_eq!(status("POST", "/", &[("host", own)]), 200, "{own}");
    }
    for foreign in [
        "evil.example",
        "evil.example:2375",
        "localhost.evil.example",
        "notlocalhost",
        "localhost..",
        ".localhost",
        "127.0.0.1.evil.example",
        "127.0.0.1.nip.io",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "0.0.0.0:2375",
        "[::]",
        "192.168.1.7:2375",
        "128.0.0.1",
        "[::2]",
        "[fe80::1%lo]",
        "[::ffff:10.0.0.1]",
        "::1",
        "[::1",
        "[localhost]",
        "localhost:2375:1",
        "localhost:65536",
        "localhost:+1",
        "localhost:abc",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost/evil",
        "localhost, evil.example",
        "localhost evil",
        "local\u{2024}host",
        "xn--localhost-",
        "",
        " ",
        ":2375",
        "%6cocalhost",
    ] {
        let status = status("GET", "/", &[("host", foreign)]);
        assert!(matches!(status, 400 | 403), "{foreign:?}: {status}");
    }
}

#[test]
fn there_is_one_host_and_a_target_in_absolute_form_is_one_too() {
    let own = ("host", "localhost");
    assert_eq!(status("GET", "/", &[own, own]), 400);
    assert_eq!(status("GET", "/", &[own, ("host", "evil.example")]), 400);
    assert_eq!(status("GET", "/", &[]), 400);
    assert_eq!(
        status("GET", "http://localhost:2375/images/json", &[own]),
        200
    );
    assert_eq!(status("GET", "http://127.0.0.1/", &[own]), 200);
    for target in [
        "http://evil.example/images/json",
        "http://evil.example:2375/",
        "https://localhost.evil.example/",
        "http://evil.example@localhost/",
        "http://localhost@evil.example/",
    ] {
        assert_eq!(status("GET", target, &[own]), 403, "{target}");
    }
    let foreign = ("host", "evil.example");
    assert_eq!(status("GET", "http://localhost/", &[foreign]), 403);
    assert_eq!(status("CONNECT", "evil.example:443", &[own]), 403);
}

#[test]
fn clients_from_before_1_1_need_no_host() {
    let request = |version| {
        let request = Request::builder().version(version).uri("/");
        at(HERE).check(&request.body(()).unwrap())
    };
    assert_eq!(request(Version::HTTP_10), Ok(()));
    assert!(request(Version::HTTP_11).is_err());
    let named = Request::builder()
        .version(Version::HTTP_10)
        .header("host", "evil.example");
    assert!(at(HERE).check(&named.body(()).unwrap()).is_err());
}

#[test]
fn every_loopback_address_is_watched_and_others_are_not() {
    for loopback in [
        "127.0.0.1:1",
        "127.8.8.8:1",
        "[::1]:1",
        "[::ffff:127.0.0.1]:1",
    ] {
        let foreign = [("host", "evil.example")];
        assert_eq!(
            status_at(&at(loopback), "GET", "/", &foreign),
            403,
            "{loopback}"
        );
    }
    for reached in ["0.0.0.0:5000", "192.168.1.7:5000", "[::]:5000"] {
        let named = ("host", "registry.example");
        assert_eq!(status_at(&at(reached), "GET", "/", &[named]), 200);
        // A page may not change anything there, either.
        let origin = ("origin", "http://evil.example");
        assert_eq!(status_at(&at(reached), "POST", "/", &[named, origin]), 403);
    }
}

#[test]
fn names_may_be_added() {
    let names = HostNames::new(&[
        "Registry.Example",
        "docker.example.com.",
        "10.0.0.1",
        "fd00::1",
    ]);
    let admission = at(HERE).with_names(names.unwrap());
    for own in [
        "registry.example",
        "REGISTRY.example:443",
        "docker.example.com",
        "10.0.0.1:1",
        "[fd00::1]:1",
        "localhost",
    ] {
        assert_eq!(
            status_at(&admission, "GET", "/", &[("host", own)]),
            200,
            "{own}"
        );
    }
    for foreign in [
        "example",
        "x.registry.example",
        "registry.example.org",
        "10.0.0.2",
    ] {
        assert_eq!(
            status_at(&admission, "GET", "/", &[("host", foreign)]),
            403,
            "{foreign}"
        );
    }
    for wrong in [
        "", "a:1", "a:", "http://a", "a/b", "*", "*.a", "a b", "[::1]:1", ".",
    ] {
        assert!(HostNames::new(&[wrong]).is_err(), "{wrong}");
    }
}

#[test]
fn pages_change_nothing() {
    let own = ("host", "localhost");
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "ANY", "get"] {
        for from in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("origin", ""),
            ("origin", "http://localhost:2375"),
            ("origin", "file://"),
            ("origin", "\u{e9}"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "something new"),
        ] {
            assert_eq!(status(method, "/", &[own, from]), 403, "{method} {from:?}");
        }
        assert_eq!(status(method, "/", &[own]), 200, "{method}");
    }
    let twice = [
        own,
        ("sec-fetch-site", "none"),
        ("sec-fetch-site", "cross-site"),
    ];
    assert_eq!(status("POST", "/", &twice), 403);
    for method in ["GET", "HEAD", "OPTIONS"] {
        // The browser does not show a page what it has read so.
        assert_eq!(
            status(method, "/", &[own, ("origin", "http://evil.example")]),
            200
        );
        for (site, expected) in [("none", 200), ("same-origin", 200), ("cross-site", 403)] {
            assert_eq!(
                status(method, "/", &[own, ("sec-fetch-site", site)]),
                expected
            );
        }
    }
}

#[test]
fn over_a_unix_socket_every_host_will_do() {
    let origin = ("origin", "https://a-console.example");
    for host in [
        "docker",
        "api.moby.localhost",
        "%2Frun%2Fdocker.sock",
        "",
        "d",
    ] {
        let headers = [("host", host), origin];
        assert_eq!(
            status_at(&Admission::all(), "POST", "/", &headers),
            200,
            "{host}"
        );
    }
    assert_eq!(status_at(&Admission::all(), "POST", "/", &[]), 200);
}

#[test]
fn a_refusal_says_what_to_do_and_repeats_little() {
    let long = "a".repeat(10_000);
    let request = Request::builder().header("host", &long).body(()).unwrap();
    let refusal = at(HERE).check(&request).unwrap_err();
    assert!(
        refusal.message.contains("--allow-host"),
        "{}",
        refusal.message
    );
    assert!(refusal.message.len() < 500, "{}", refusal.message.len());
}
