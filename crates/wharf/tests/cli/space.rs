//! How much space images take, and getting it back. Docker's recorded scenarios test more of it.

use std::time::{Duration, Instant};

use wharf_core::Digest;
use wharf_testkit::images::{Image, Layer};
use wharf_testkit::{Fault, On, TestRegistry, Wharf, When};

use super::{registry, wharf};

/// How long a test waits for what must happen at once.
const PATIENCE: Duration = Duration::from_secs(30);

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

/// Three images of one repository, from old to new, and one of another.
fn several(wharf: &Wharf) -> TestRegistry {
    let registry = TestRegistry::start();
    for (seed, name, created) in [
        (1, "team/app:1", "2021-01-01T00:00:00Z"),
        (2, "team/app:2", "2022-01-01T00:00:00Z"),
        (3, "team/app:3", "2023-01-01T00:00:00Z"),
        (4, "team/tool:1", "2020-01-01T00:00:00Z"),
    ] {
        let image = Image::random(seed, 1, 1000).created(created);
        let image = image.label("seed", &seed.to_string());
        registry.push(name, &image.build());
        wharf.ok(["pull", "-q", &registry.name(name)]);
    }
    registry
}

/// The names that are here, without the registry's.
fn names(wharf: &Wharf) -> String {
    let shown = wharf.ok(["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    let mut names: Vec<&str> = shown
        .lines()
        .map(|name| name.split_once('/').map_or(name, |(_, name)| name))
        .collect();
    names.sort_unstable();
    names.join(" ")
}

#[test]
fn a_dry_run_prints_what_the_run_prints_and_changes_nothing() {
    for flags in [
        &["-a"][..],
        &["--keep", "1"],
        &["-a", "--filter", "reference=*/team/app:[12]"],
        &["--unused-for", "0s", "--keep=2"],
        &[],
    ] {
        let wharf = wharf();
        let _registry = several(&wharf);
        // An image that nobody names.
        wharf.ok(["import", "/dev/null"]);
        // Dates, not ages: these change while the test runs.
        let all = "{{.Repository}} {{.Tag}} {{.Digest}} {{.ID}} {{.CreatedAt}} {{.Size}}";
        let list = ["images", "-a", "--no-trunc", "--format", all];
        let before = (wharf.ok(list), blobs(&wharf));
        let dry = [&["image", "prune", "--dry-run"], flags].concat();
        let dry = wharf.run(dry);
        assert_eq!((wharf.ok(list), blobs(&wharf)), before);
        assert_eq!(dry.stderr, "nothing was removed: this was a dry run\n");
        let real = wharf.ok([&["image", "prune", "-f"], flags].concat());
        assert_eq!(dry.stdout, real, "{flags:?}");
        assert!(real.starts_with("Deleted Images:\n"), "{real}");
        assert_ne!(blobs(&wharf), before.1, "{flags:?}");
        wharf.ok(["store", "check"]);
    }
}

/// How many blobs the store has.
fn blobs(wharf: &Wharf) -> usize {
    let (mut files, mut folders) = (0, vec![wharf.root().join("blobs")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files += 1;
            }
        }
    }
    files
}

#[test]
fn keep_keeps_the_newest_names_of_each_repository() {
    let wharf = wharf();
    let registry = several(&wharf);
    // The oldest image has a name elsewhere, and stays under that one.
    wharf.ok(["tag", &registry.name("team/app:1"), "old:1"]);
    let pruned = wharf.ok(["image", "prune", "-f", "--keep", "1"]);
    assert_eq!(names(&wharf), "old:1 team/app:3 team/tool:1");
    let untagged = pruned.lines().filter(|line| line.starts_with("untagged: "));
    assert_eq!(untagged.count(), 4, "{pruned}");
    assert!(
        pruned.contains("Total reclaimed space: 1.029kB\n"),
        "{pruned}"
    );
    assert_eq!(
        wharf.ok(["image", "prune", "-f", "--keep", "1"]),
        "Total reclaimed space: 0B\n"
    );
}

#[test]
fn all_rules_of_a_prune_must_agree() {
    for (flags, left) in [
        (
            &["--keep", "2", "--filter", "label=seed=2"][..],
            "team/app:1 team/app:2 team/app:3 team/tool:1",
        ),
        (
            &["--keep", "1", "--filter", "label=seed=2"],
            "team/app:1 team/app:3 team/tool:1",
        ),
        (
            &["-a", "--filter", "reference=*/*/tool"],
            "team/app:1 team/app:2 team/app:3",
        ),
        (
            &[
                "-a",
                "--filter",
                "until=2022-06-01",
                "--filter",
                "label!=seed=4",
            ],
            "team/app:3 team/tool:1",
        ),
        (
            &["--unused-for", "1h"],
            "team/app:1 team/app:2 team/app:3 team/tool:1",
        ),
        (
            &["--unused-for", "0s", "--keep", "1"],
            "team/app:3 team/tool:1",
        ),
        (&["--unused-for=0s"], ""),
        (
            &["--filter", "reference=*/*/*"],
            "team/app:1 team/app:2 team/app:3 team/tool:1",
        ),
    ] {
        let wharf = wharf();
        let _registry = several(&wharf);
        wharf.ok([&["image", "prune", "-f"], flags].concat());
        assert_eq!(names(&wharf), left, "{flags:?}");
    }
}

#[test]
fn a_prune_asks_in_docker_s_words() {
    let wharf = wharf();
    for (words, question) in [
        (
            &["image", "prune"][..],
            "WARNING! This will remove all dangling images.\n",
        ),
        (
            &["image", "prune", "-a"],
            "WARNING! This will remove all images without at least one container associated to them.\n",
        ),
        (
            &["image", "prune", "--keep", "3"],
            "WARNING! This will remove all images and names that are not among the newest 3 of their repository.\n",
        ),
        (
            &["system", "prune"],
            "WARNING! This will remove:\n  - all dangling images\n\n",
        ),
        (
            &[
                "system",
                "prune",
                "-a",
                "--filter",
                "until=24h",
                "--filter",
                "label=x",
            ],
            "WARNING! This will remove:\n  - all images without at least one container associated to them\n\n  \
             Items to be pruned will be filtered with:\n  - label=x\n  - until=24h\n\n",
        ),
    ] {
        let output = wharf.run(words);
        let expected = format!("{question}Are you sure you want to continue? [y/N] ");
        assert_eq!((output.stdout, output.code), (expected, Some(0)));
    }
}

#[test]
fn mistakes_in_a_prune_are_explained() {
    for (words, code, text) in [
        (
            &["image", "prune", "-f", "--filter", "nosuch=1"][..],
            1,
            "Error: invalid filter 'nosuch'\n",
        ),
        (
            &["image", "prune", "-af", "--filter", "dangling=true"],
            1,
            "Error: invalid filter 'dangling=[false true]'\n",
        ),
        (
            &["image", "prune", "-f", "--keep", "0"],
            125,
            "invalid argument \"0\" for \"--keep\" flag: ",
        ),
        (
            &["image", "prune", "-f", "--unused-for", "5"],
            125,
            "invalid argument \"5\" for \"--unused-for\" flag: time: missing unit in duration \"5\"\n",
        ),
        (
            &["system", "prune", "-f", "--volumes", "--filter", "until=1h"],
            1,
            "Error: ERROR: The \"until\" filter is not supported with \"--volumes\"\n",
        ),
        (
            &["system", "prune", "-f", "--filter", "reference=x"],
            1,
            "Error: invalid filter 'reference'\n",
        ),
    ] {
        let output = wharf().run(words);
        assert_eq!(output.code, Some(code), "{words:?}: {}", output.stderr);
        assert!(output.stderr.starts_with(text), "{}", output.stderr);
    }
}

#[test]
fn system_prune_removes_images() {
    let wharf = wharf();
    let _registry = several(&wharf);
    let pruned = wharf.ok(["system", "prune", "-af"]);
    assert!(
        pruned.ends_with("\n\nTotal reclaimed space: 4.116kB\n"),
        "{pruned}"
    );
    assert_eq!(names(&wharf), "");
}

#[test]
fn docker_s_config_has_filters_of_every_prune_and_the_format_of_images() {
    let wharf = wharf();
    let _registry = several(&wharf);
    wharf.docker_config(
        r#"{"imagesFormat": "{{.Tag}}", "pruneFilters": ["label=seed=2", "nonsense"], "auths": {}}"#,
    );
    assert_eq!(wharf.ok(["images", "*/*/app"]), "3\n2\n1\n");
    assert_eq!(wharf.ok(["images", "--format", "x", "*/*/tool"]), "x\n");
    assert_eq!(wharf.ok(["images", "-q"]).lines().next().unwrap().len(), 12);
    // What the command line says counts, where both are about the same.
    wharf.ok(["image", "prune", "-af", "--filter", "label!=seed=2"]);
    assert_eq!(names(&wharf), "team/app:2");
    wharf.docker_config(r#"{"pruneFilters": ["label!=seed=2"]}"#);
    wharf.ok(["image", "prune", "-af"]);
    assert_eq!(names(&wharf), "team/app:2");
    wharf.docker_config("{");
    let output = wharf.run(["images", "-q", "--format", "{{.Tag}}"]);
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        ("2\n", "")
    );
    let output = wharf.run(["image", "prune", "-af"]);
    assert!(
        output
            .stderr
            .starts_with("WARNING: Error loading config file: "),
        "{}",
        output.stderr
    );
    assert_eq!(output.code, Some(0));
}

#[test]
fn a_prune_leaves_what_a_pull_in_progress_needs() {
    let (wharf, registry) = (wharf(), TestRegistry::start());
    let shared = Layer::random(1, 1000);
    let old = Image::builder().layer(shared.clone()).build();
    let new = Image::builder().layer(shared).layer(Layer::random(2, 1000));
    let new = new.build();
    registry.push("team/app:1", &old);
    registry.push("team/app:2", &new);
    wharf.ok(["pull", "-q", &registry.name("team/app:1")]);
    let blob = |digest: &Digest| {
        let hex = digest.hex();
        wharf.root().join("blobs/sha256").join(&hex[..2]).join(hex)
    };
    let (shared, own) = (&new.layers[0].digest, &new.layers[1].digest);

    registry.fault(On::digest(own), When::Times(1), Fault::Stall(1));
    let mut pull = wharf.spawn(["pull", "-q", &registry.name("team/app:2")]);
    let asked = |digest: &Digest| {
        let requests = registry.requests();
        let blobs = requests.iter().filter_map(|request| request.blob());
        blobs.filter(|blob| blob == digest).count()
    };
    let start = Instant::now();
    while asked(own) == 0 {
        assert!(start.elapsed() < PATIENCE, "the layer was never asked for");
        std::thread::yield_now();
    }
    let pruned = wharf.ok(["image", "prune", "-af"]);
    assert!(pruned.contains(&format!("deleted: {}\n", old.config.digest)));
    assert!(blob(shared).exists() && !blob(&old.config.digest).exists());
    pull.kill().unwrap();
    wharf.ok(["pull", "-q", &registry.name("team/app:2")]);
    assert_eq!(asked(shared), 1, "it was here all the time");
    wharf.ok(["store", "check"]);
}

/// Kills a pull in the middle of its second layer, after the config and the first layer have come whole. Returns the
/// name and the layers.
fn broken_pull(wharf: &Wharf, registry: &TestRegistry) -> (String, [Digest; 2]) {
    let image = Image::builder()
        .layer(Layer::random(1, 100_000))
        .layer(Layer::random(2, 3_000_000))
        .build();
    registry.push("team/large:1", &image);
    let name = registry.name("team/large:1");
    let layers = [0, 1].map(|layer| image.layers[layer].digest.clone());
    let [first, second] = &layers;
    registry.fault(On::digest(second), When::Times(1), Fault::Stall(2_000_000));
    let mut pull = wharf.spawn(["pull", "-q", &name]);
    let blobs = wharf.root().join("blobs/sha256");
    let ingest = |digest: &Digest, kind: &str| {
        let name = format!("ingest/sha256-{}.{kind}", digest.hex());
        wharf.root().join(name)
    };
    // A blob's lock goes when its row is written.
    let whole = |digest: &Digest| {
        let here = blobs.join(&digest.hex()[..2]).join(digest.hex());
        here.exists() && !ingest(digest, "lock").exists()
    };
    let part = ingest(second, "data");
    let come = || part.metadata().is_ok_and(|part| part.len() > 1_700_000);
    let start = Instant::now();
    while !whole(&image.config.digest) || !whole(first) || !come() {
        assert!(start.elapsed() < PATIENCE, "the layers do not come");
        std::thread::yield_now();
    }
    pull.kill().unwrap();
    pull.wait().unwrap();
    registry.behave();
    (name, layers)
}

/// The number of bytes in a line that ends with a size, as far as it matters.
fn megabytes(line: &str) -> f64 {
    let size = line.trim_end().rsplit(' ').next().unwrap();
    let size = size.strip_suffix("MB").unwrap_or_else(|| panic!("{line}"));
    size.parse().unwrap()
}

#[test]
fn issue_12_a_prune_keeps_what_a_broken_pull_has_brought() {
    for prune in [
        &["image", "prune", "-f"][..],
        &["image", "prune", "-af"],
        &["system", "prune", "-af"],
        &["image", "prune", "-f", "--keep", "1"],
        &["image", "prune", "-f", "--unused-for", "0s"],
    ] {
        let (wharf, registry) = (wharf(), registry());
        let other = registry.name("team/app:1");
        wharf.ok(["pull", "-q", &other]);
        let (name, [first, second]) = broken_pull(&wharf, &registry);
        wharf.ok(["rmi", &other]);
        let kept = wharf.run(prune);
        assert!(
            kept.stdout.ends_with("Total reclaimed space: 0B\n"),
            "{}",
            kept.stdout
        );
        assert!(
            kept.stderr.contains("MB of unfinished downloads is kept"),
            "{}",
            kept.stderr
        );
        registry.forget_requests();
        wharf.ok(["pull", "-q", &name]);
        let asked_again = registry.bytes_served(&second);
        assert!(asked_again < 1_400_000, "{prune:?}: {asked_again}");
        assert_eq!(registry.blob_gets(&first), 0, "{prune:?}: it came whole");
    }
}

#[test]
fn issue_12_unfinished_downloads_are_counted_wherever_they_are_removed() {
    let (wharf, registry) = (wharf(), registry());
    broken_pull(&wharf, &registry);
    let table = wharf.ok(["system", "df"]);
    let (docker_s, below) = table.split_once("\n\n").unwrap();
    assert_eq!(docker_s.lines().count(), 5, "{table}");
    let taken = megabytes(below);
    assert!((1.5..3.2).contains(&taken), "{table}");
    assert!(
        below.starts_with("Unfinished downloads and uploads: "),
        "{table}"
    );
    assert!(wharf.ok(["system", "df", "-v"]).ends_with(below));
    // Programs get Docker's rows.
    let rows = wharf.ok(["system", "df", "--format", "{{.Type}}"]);
    assert_eq!(rows, "Images\nContainers\nLocal Volumes\nBuild Cache\n");

    let dry = wharf.ok(["image", "prune", "--dry-run", "--partial"]);
    assert!((megabytes(&dry) - taken).abs() < 0.1, "{dry}");
    assert_eq!(wharf.ok(["system", "df"]), table, "nothing was removed");
    let kept = wharf.run(["image", "prune", "--dry-run"]);
    assert_eq!(kept.stdout, "Total reclaimed space: 0B\n");
    assert_eq!(wharf.ok(["image", "prune", "-f", "--partial"]), dry);
    assert!(!wharf.ok(["system", "df"]).contains("Unfinished"));
    let after = wharf.run(["image", "prune", "-f", "--partial"]);
    assert_eq!(
        (after.stdout.as_str(), after.stderr.as_str()),
        ("Total reclaimed space: 0B\n", "")
    );
}

#[test]
fn issue_12_an_old_download_goes_with_any_prune() {
    let (wharf, registry) = (wharf(), registry());
    broken_pull(&wharf, &registry);
    let mut aged = 0;
    for folder in ["ingest", "blobs"] {
        let mut folders = vec![wharf.root().join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let old = std::time::SystemTime::now() - Duration::from_hours(24 * 8);
                std::fs::File::open(&path)
                    .unwrap()
                    .set_modified(old)
                    .unwrap();
                aged += 1;
            }
        }
    }
    assert!(aged > 1);
    let dry = wharf.run(["image", "prune", "--dry-run"]);
    let real = wharf.run(["image", "prune", "-f"]);
    assert_eq!(
        (dry.stdout.as_str(), real.stderr.as_str()),
        (real.stdout.as_str(), "")
    );
    assert!(megabytes(&real.stdout) > 1.5, "{}", real.stdout);
    assert_eq!(blobs(&wharf), 0);
}
