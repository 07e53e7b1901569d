//! Lists are kept as long as nothing changes, and true all the same.

use wharf_testkit::TestRegistry;
use wharf_testkit::images::samples;

use super::server::Server;

#[test]
fn a_list_shows_at_once_what_the_command_line_does() {
    let registry = TestRegistry::start();
    registry.push("team/app:1", &samples::small());
    let (server, name) = (Server::start(), registry.name("team/app:1"));
    server.wharf.ok(["pull", &name]);
    let has = |path: &str, name: &str| server.ask("GET", path).1.contains(name);
    let list = "/images/json";
    assert!(has(list, &name) && !has(list, "mine:1"));
    server.wharf.ok(["tag", &name, "mine:1"]);
    assert!(has(list, "mine:1") && has(list, "mine:1"));
    server.wharf.ok(["rmi", "mine:1"]);
    assert!(!has(list, "mine:1"));
}

#[test]
fn versions_and_filters_have_lists_of_their_own() {
    let registry = TestRegistry::start();
    registry.push("team/app:1", &samples::small());
    let (server, name) = (Server::start(), registry.name("team/app:1"));
    server.wharf.ok(["pull", &name]);
    let has = |path: &str, text: &str| server.ask("GET", path).1.contains(text);
    for _ in 0..2 {
        assert!(has("/v1.43/images/json", "VirtualSize"));
        assert!(!has("/v1.51/images/json", "VirtualSize"));
        assert!(has("/images/json?manifests=1", "\"Manifests\""));
        assert!(!has("/images/json", "\"Manifests\""));
        assert!(!has(
            "/images/json?filters={%22dangling%22:[%22true%22]}",
            &name
        ));
    }
}
