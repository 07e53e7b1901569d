//! How much space images take, and getting it back. Docker's recorded scenarios test more of it.

use super::{registry, wharf};

#[test]
fn without_images_nothing_takes_space() {
    let wharf = wharf();
    assert_eq!(
        wharf.ok(["system", "df"]),
        "TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE\n\
         Images          0         0         0B        0B\n\
         Containers      0         0         0B        0B\n\
         Local Volumes   0         0         0B        0B\n\
         Build Cache     0         0         0B        0B\n"
    );
    assert_eq!(
        wharf.ok(["system", "df", "-v"]),
        "Images space usage:

REPOSITORY   TAG       IMAGE ID   CREATED   SIZE      SHARED SIZE   UNIQUE SIZE   CONTAINERS

Containers space usage:

CONTAINER ID   IMAGE     COMMAND   LOCAL VOLUMES   SIZE      CREATED   STATUS    NAMES

Local Volumes space usage:

VOLUME NAME   LINKS     SIZE

Build cache usage: 0B

CACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE     SHARED
"
    );
    assert_eq!(
        wharf.ok(["system", "df", "-v", "--format", "json"]),
        r#"{"Images":[],"Containers":[],"Volumes":[],"BuildCache":[]}"#
    );
}

#[test]
fn a_second_name_takes_no_space() {
    let (wharf, registry) = (wharf(), registry());
    let name = registry.name("team/app:1");
    wharf.ok(["pull", "-q", &name]);
    let format = "{{.Type}} {{.TotalCount}} {{.Size}} {{.Reclaimable}}";
    let before = wharf.ok(["system", "df", "--format", format]);
    assert!(before.starts_with("Images 1 "), "{before}");
    assert!(before.contains(" (100%)\nContainers 0 0B 0B\n"), "{before}");
    wharf.ok(["tag", &name, "app:local"]);
    assert_eq!(wharf.ok(["system", "df", "--format", format]), before);
    // By its first name only.
    let names = "{{range .Images}}{{.Repository}}:{{.Tag}} {{.SharedSize}} {{.ID}}\\n{{end}}";
    let shown = wharf.ok(["system", "df", "-v", "--format", names]);
    let id = wharf.ok(["images", "-q", "--no-trunc", "app:local"]);
    assert_eq!(shown, format!("{name} 0B {id}"));
    let raw = wharf.ok(["system", "df", "-v", "--format", "raw"]);
    assert!(
        raw.starts_with("type: Image\nrepository: 127.0.0.1"),
        "{raw}"
    );
    let rows = wharf.ok(["system", "df", "--format", "json"]);
    assert_eq!(rows.lines().count(), 4);
    assert!(
        rows.starts_with(r#"{"Active":"0","Reclaimable":""#),
        "{rows}"
    );
}

#[test]
fn a_field_that_does_not_exist_is_named() {
    let output = wharf().run(["system", "df", "--format", "{{.Nope}}"]);
    assert_eq!((output.stdout.as_str(), output.code), ("", Some(1)));
    assert!(
        output
            .stderr
            .contains("can't evaluate field Nope in type *formatter.diskUsageImagesContext"),
        "{}",
        output.stderr
    );
}
