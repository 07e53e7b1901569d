//! Web pages and foreign hosts: a browser on this machine must not reach a server in its user's name.

use super::server::{Server, status};

/// Both servers, each with a request that changes something.
fn servers(more: &[&str]) -> [(Server, &'static str); 2] {
    let engine = [&["engine", "--listen", "tcp://127.0.0.1:0"], more].concat();
    let registry = [&["registry", "--listen", "127.0.0.1:0"], more].concat();
    [
        (Server::over_tcp(&engine), "POST /images/prune"),
        (Server::over_tcp(&registry), "POST /v2/a/blobs/uploads/"),
    ]
}

fn ask(server: &Server, request: &str, headers: &str) -> (u16, String) {
    let told = server.told(format!(
        "{request} HTTP/1.1\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n"
    ));
    (status(&told), told)
}

#[test]
fn a_name_that_was_bound_anew_reads_nothing() {
    for (server, change) in servers(&[]) {
        let address = server.address().to_owned();
        for read in [
            "GET /images/json",
            "GET /v2/_catalog",
            "GET /nosuch",
            "OPTIONS /",
        ] {
            for host in [
                "evil.example",
                "rebind.evil.example:2375",
                "localhost.evil.example",
                "0.0.0.0",
                "127.0.0.1.evil.example",
                "192.0.2.1",
                "[::2]",
                "",
            ] {
                let (status, told) = ask(&server, read, &format!("Host: {host}\r\n"));
                assert_eq!(status, 403, "{read} {host:?}: {told}");
                assert!(told.contains("--allow-host"), "{told}");
            }
        }
        for own in [
            &address,
            "localhost",
            "LOCALHOST.:1",
            "127.9.9.9",
            "[::1]:2375",
        ] {
            let (status, told) = ask(&server, change, &format!("Host: {own}\r\n"));
            assert!((200..300).contains(&status), "{own}: {told}");
        }
        let host = format!("Host: {address}\r\n");
        assert_eq!(ask(&server, change, &host.repeat(2)).0, 400);
        assert_eq!(
            ask(&server, change, &format!("{host}Host: evil.example\r\n")).0,
            400
        );
        assert_eq!(ask(&server, change, "").0, 400);
        let absolute = change.replace(" /", " http://evil.example/");
        assert_eq!(ask(&server, &absolute, &host).0, 403);
        let old = server.told("GET /_ping HTTP/1.0\r\n\r\n");
        assert_ne!(status(&old), 403, "{old}");
    }
}

#[test]
fn a_page_changes_nothing() {
    for (server, change) in servers(&[]) {
        server.has("a:1");
        let before = server.wharf.ok(["images", "--digests"]);
        let host = format!("Host: {}\r\n", server.address());
        for request in [
            change,
            "POST /images/a:1/tag?repo=evil",
            "DELETE /images/a:1",
            "POST /images/create?fromImage=evil.example/a",
            "POST /images/a:1/push",
            "PUT /v2/a/manifests/1",
            "DELETE /v2/a/manifests/1",
            "PATCH /v2/a/blobs/uploads/x",
        ] {
            for page in [
                "Origin: http://evil.example",
                "Origin: null",
                "Origin: http://localhost:3000",
                "Origin:",
                "Sec-Fetch-Site: cross-site",
                "sec-fetch-site: same-site",
                "Content-Type: text/plain\r\nOrigin: https://evil.example",
            ] {
                let (status, told) = ask(&server, request, &format!("{host}{page}\r\n"));
                assert_eq!(status, 403, "{request} {page}: {told}");
                assert!(told.contains("a web page"), "{told}");
            }
        }
        assert_eq!(server.wharf.ok(["images", "--digests"]), before);
        // It may ask, since the browser keeps the answer from it.
        let (status, told) = ask(
            &server,
            "GET /_ping",
            &format!("{host}Origin: http://x\r\n"),
        );
        assert_ne!(status, 403);
        assert!(
            !told.to_lowercase().contains("access-control-allow"),
            "{told}"
        );
    }
}

#[test]
fn each_server_refuses_in_its_own_form() {
    let [(engine, _), (registry, _)] = servers(&[]);
    let (_, told) = ask(&engine, "GET /images/json", "Host: evil.example\r\n");
    assert!(told.contains("{\"message\":\"the host"), "{told}");
    let (_, told) = ask(&registry, "GET /v2/", "Host: evil.example\r\n");
    assert!(told.contains("{\"errors\":[{\"code\":\"DENIED\""), "{told}");
    assert!(
        told.to_lowercase()
            .contains("docker-distribution-api-version"),
        "{told}"
    );
}

#[test]
fn names_of_this_machine_can_be_added() {
    for (server, change) in servers(&["--allow-host", "Images.Example", "--allow-host", "10.1.2.3"])
    {
        for host in [
            "images.example",
            "IMAGES.example:443",
            "10.1.2.3:5000",
            "localhost",
        ] {
            let (status, told) = ask(&server, change, &format!("Host: {host}\r\n"));
            assert!((200..300).contains(&status), "{host}: {told}");
        }
        assert_eq!(ask(&server, change, "Host: evil.example\r\n").0, 403);
        assert_eq!(
            ask(
                &server,
                change,
                "Host: images.example\r\nOrigin: http://images.example\r\n"
            )
            .0,
            403
        );
    }
    let wharf = wharf_testkit::Wharf::new(env!("CARGO_BIN_EXE_wharf"));
    for wrong in ["http://a", "a:1", "*", ""] {
        let arguments = [
            "serve",
            "registry",
            "--listen",
            "127.0.0.1:0",
            "--allow-host",
            wrong,
        ];
        let failed = wharf.run(arguments);
        assert!(failed.stderr.contains("--allow-host"), "{}", failed.stderr);
        assert_eq!(failed.code, Some(1), "{wrong}");
    }
}

#[test]
fn clients_of_a_unix_socket_write_any_host() {
    let server = Server::start();
    for host in [
        "docker",
        "api.moby.localhost",
        "%2Frun%2Fdocker.sock",
        "localhost",
        "evil.example",
        "",
    ] {
        let request = format!(
            "POST /images/prune HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let mut stream = server.connect();
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        assert_eq!(status(&super::server::rest(stream)), 200, "{host}");
    }
}
