//! Looking into images: their files, listed, read, compared and unpacked.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use wharf_testkit::{Image, Layer, TestRegistry, Wharf};

use super::wharf;

/// An image of two layers, which show whiteouts, links and a folder that a file replaces.
fn image() -> Image {
    let base = Layer::new()
        .directory("etc")
        .file("etc/motd", b"hello\n")
        .file("etc/gone", b"not there any more")
        .file("opt/old/a", b"a")
        .symlink("bin", "usr/bin")
        .file("usr/bin/tool", b"#!/bin/sh\n")
        .hard_link("usr/bin/alias", "usr/bin/tool")
        .file("dir/file", b"x");
    let top = Layer::new()
        .file("etc/.wh.gone", b"")
        .file("opt/old/.wh..wh..opq", b"")
        .file("opt/old/b", b"bb")
        .file("bin/new", b"through a link")
        .file("dir", b"a file now")
        .symlink("etc/loop", "loop")
        .symlink("up", "../../../../etc/motd");
    Image::builder().layer(base).layer(top)
}

fn pulled(image: Image) -> (TestRegistry, Wharf, String) {
    let (registry, wharf) = (TestRegistry::start(), wharf());
    registry.push("team/files:1", &image.build());
    let name = registry.name("team/files:1");
    wharf.ok(["pull", "-q", &name]);
    (registry, wharf, name)
}

/// What is below a folder: kind, permissions and content or target of each.
fn listing(folder: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let about = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            let what = if about.is_dir() {
                open.push(path.clone());
                "folder".to_owned()
            } else if about.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else {
                format!(
                    "{} {}",
                    about.len(),
                    String::from_utf8_lossy(&fs::read(&path).unwrap())
                )
            };
            all.insert(name, what);
        }
    }
    all
}

#[test]
fn files_are_listed_and_printed_straight_from_the_layers() {
    let (_registry, wharf, name) = pulled(image());
    assert_eq!(wharf.ok(["ls", &name]), "bin\ndir\netc\nopt\nup\nusr\n");
    assert_eq!(wharf.ok(["ls", &format!("{name}:/opt/old")]), "b\n");
    assert_eq!(
        wharf.ok(["ls", &format!("{name}:/bin/")]),
        "alias\nnew\ntool\n"
    );
    let long = wharf.ok(["ls", "-l", &format!("{name}:/etc")]);
    assert!(long.contains(" loop -> loop\n"), "{long}");
    let all = wharf.ok(["ls", "-R", &name]);
    assert!(
        all.contains("usr/bin/new\n") && !all.contains("gone"),
        "{all}"
    );
    for (path, expected) in [
        ("/etc/motd", "hello\n"),
        ("/up", "hello\n"),
        ("/bin/new", "through a link"),
        ("/usr/bin/alias", "#!/bin/sh\n"),
        ("/dir", "a file now"),
    ] {
        assert_eq!(
            wharf.ok(["cat", &format!("{name}:{path}")]),
            expected,
            "{path}"
        );
    }
    for (path, words) in [
        ("/etc/gone", "no such file or directory"),
        ("/etc", "is a directory"),
        ("/etc/loop", "too many levels of symbolic links"),
    ] {
        let output = wharf.run(["cat", &format!("{name}:{path}")]);
        assert_eq!(output.code, Some(1), "{path}");
        assert!(output.stderr.contains(words), "{}", output.stderr);
    }
    assert_eq!(wharf.run(["cat", &name]).code, Some(1));
}

#[test]
fn a_layer_that_nobody_has_read_is_read_once() {
    let (registry, wharf) = (TestRegistry::start(), wharf());
    wharf.config("[pull]\nverify = \"digest\"\n");
    registry.push("team/files:1", &image().build());
    let name = registry.name("team/files:1");
    wharf.ok(["pull", "-q", &name]);
    let first = wharf.ok(["ls", "-R", &name]);
    let notes = wharf.root().join("notes");
    assert_eq!(fs::read_dir(&notes).unwrap().count(), 2);
    // Notes that are damaged, anywhere, are made again.
    for file in fs::read_dir(&notes).unwrap() {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        for cut in [0, 5, bytes.len() / 2, bytes.len() - 1] {
            fs::write(&path, &bytes[..cut]).unwrap();
            assert_eq!(wharf.ok(["ls", "-R", &name]), first, "cut at {cut}");
        }
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 1;
        fs::write(&path, &flipped).unwrap();
        assert_eq!(wharf.ok(["ls", "-R", &name]), first);
        assert!(
            fs::read(&path).unwrap() == bytes,
            "the notes were not made again"
        );
    }
    wharf.ok(["store", "check"]);
}

#[test]
fn what_is_unpacked_is_what_the_layers_say() {
    let (_registry, wharf, name) = pulled(image());
    let folder = wharf.folder().join("rootfs");
    let to = folder.display().to_string();
    assert_eq!(wharf.ok(["unpack", &name, &to]), "");
    let found = listing(&folder);
    let expected = [
        ("bin", "-> usr/bin"),
        ("dir", "10 a file now"),
        ("etc", "folder"),
        ("etc/loop", "-> loop"),
        ("etc/motd", "6 hello\n"),
        ("opt", "folder"),
        ("opt/old", "folder"),
        ("opt/old/b", "2 bb"),
        ("up", "-> ../../../../etc/motd"),
        ("usr", "folder"),
        ("usr/bin", "folder"),
        ("usr/bin/alias", "10 #!/bin/sh\n"),
        ("usr/bin/new", "14 through a link"),
        ("usr/bin/tool", "10 #!/bin/sh\n"),
    ];
    let expected = expected.map(|(name, what)| (name.to_owned(), what.to_owned()));
    assert_eq!(found, expected.into());
    let inode = |name: &str| fs::metadata(folder.join(name)).unwrap().ino();
    assert_eq!(inode("usr/bin/tool"), inode("usr/bin/alias"));
    // A second time, the folder is not empty; an empty one makes room.
    let again = wharf.run(["unpack", &name, &to]);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("is not empty"), "{}", again.stderr);
    let empty = wharf.folder().join("empty");
    fs::create_dir(&empty).unwrap();
    wharf.ok(["unpack", &name, &empty.display().to_string()]);
    assert_eq!(listing(&empty), found);
}

#[test]
fn a_bundle_says_how_the_image_runs() {
    let (_registry, wharf, name) = pulled(image());
    let folder = wharf.folder().join("bundle");
    wharf.ok(["unpack", "--bundle", &name, &folder.display().to_string()]);
    assert!(folder.join("rootfs/etc/motd").exists());
    let config = fs::read(folder.join("config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["root"]["path"], "rootfs");
    assert_eq!(config["process"]["cwd"], "/");
    assert!(
        config["process"]["args"]
            .as_array()
            .is_some_and(|args| !args.is_empty())
    );
}

#[test]
fn files_are_copied_out_with_docker_cp_s_rules() {
    let (_registry, wharf, name) = pulled(image());
    let place = |name: &str| wharf.folder().join(name);
    let to = |name: &str| place(name).display().to_string();
    wharf.ok(["cp", &format!("{name}:/etc/motd"), &to("motd")]);
    assert_eq!(fs::read(place("motd")).unwrap(), b"hello\n");
    fs::create_dir(place("there")).unwrap();
    wharf.ok(["cp", &format!("{name}:/etc/motd"), &to("there")]);
    assert!(place("there/motd").exists());
    wharf.ok(["cp", &format!("{name}:/usr"), &to("there")]);
    assert_eq!(
        fs::read(place("there/usr/bin/new")).unwrap(),
        b"through a link"
    );
    wharf.ok(["cp", &format!("{name}:/usr"), &to("new")]);
    assert!(place("new/bin/tool").exists());
    wharf.ok(["cp", &format!("{name}:/bin"), &to("link")]);
    assert_eq!(fs::read_link(place("link")).unwrap(), Path::new("usr/bin"));

    let output = wharf
        .command(["cp", &format!("{name}:/usr"), "-"])
        .output()
        .unwrap();
    let mut archive = tar::Archive::new(&output.stdout[..]);
    let mut names = Vec::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        names.push(entry.path().unwrap().display().to_string());
    }
    names.sort();
    assert_eq!(
        names,
        [
            "usr",
            "usr/bin",
            "usr/bin/alias",
            "usr/bin/new",
            "usr/bin/tool"
        ]
    );
}

#[test]
fn two_images_are_compared() {
    let (registry, wharf, name) = pulled(image());
    let other = image()
        .layer(
            Layer::new()
                .file("etc/motd", b"hello, world\n")
                .file("etc/.wh.loop", b"")
                .file("new", b"n"),
        )
        .label("version", "2");
    registry.push("team/files:2", &other.build());
    let newer = registry.name("team/files:2");
    wharf.ok(["pull", "-q", &newer]);
    let text = wharf.ok(["diff", &name, &newer]);
    assert!(
        text.contains("config.Labels: null -> {\"version\":\"2\"}")
            || text.contains("config.Labels"),
        "{text}"
    );
    assert!(text.contains("Layers: 2 shared"), "{text}");
    let end = "C /etc/motd 6B -> 13B\nA /new 1B\nFiles: 1 added, 1 changed, 1 removed\n";
    assert!(
        text.contains("D /etc/loop 0B\n") && text.ends_with(end),
        "{text}"
    );
    assert!(
        wharf
            .ok(["diff", &name, &name])
            .ends_with("Files: 0 added, 0 changed, 0 removed\n")
    );
    let json = wharf.ok(["diff", "--format", "json", &name, &newer]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["Files"].as_array().unwrap().len(), 3);
}

#[test]
fn attacks_are_refused_and_nothing_is_written_anywhere() {
    let attacks: [(&str, Layer, &str); 8] = [
        (
            "traversal",
            Layer::new().file("a/../../escaped", b"x"),
            "leads out of the image",
        ),
        (
            "traversal alone",
            Layer::new().file("../escaped", b"x"),
            "leads out of the image",
        ),
        (
            "a whiteout of the parent",
            Layer::new().file("a/.wh...", b""),
            "leads out of the image",
        ),
        (
            "a hard link to outside",
            Layer::new().hard_link("passwd", "../../etc/passwd"),
            "leads out of the image",
        ),
        (
            "a hard link to an absolute name",
            Layer::new().hard_link("passwd", "/etc/passwd"),
            "is a hard link to",
        ),
        (
            "a hard link to a folder",
            Layer::new().directory("d").hard_link("l", "d"),
            "is a hard link to",
        ),
        (
            "a file as a folder",
            Layer::new().file("a", b"").file("a/b", b""),
            "not a directory",
        ),
        (
            "links in a circle",
            Layer::new()
                .symlink("a", "b")
                .symlink("b", "a")
                .file("a/x", b""),
            "symbolic links",
        ),
    ];
    for (what, layer, words) in attacks {
        let (_registry, wharf, name) = pulled(Image::builder().layer(layer));
        let parent = wharf.folder().join("parent");
        fs::create_dir(&parent).unwrap();
        let output = wharf.run([
            "unpack",
            &name,
            &parent.join("rootfs").display().to_string(),
        ]);
        assert_eq!(output.code, Some(1), "{what}");
        assert!(output.stderr.contains(words), "{what}: {}", output.stderr);
        assert_eq!(
            listing(&parent),
            BTreeMap::new(),
            "{what} has left something"
        );
        assert!(!wharf.folder().join("escaped").exists(), "{what}");
    }
}

#[test]
fn a_link_that_leads_out_is_made_and_not_followed() {
    let wharf_folder = tempfile::tempdir().unwrap();
    let victim = wharf_folder.path().join("victim");
    fs::create_dir(&victim).unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o755)).unwrap();
    let base = Layer::new()
        .symlink("out", &victim.display().to_string())
        .file("out/inside", b"x")
        .symlink("file", &victim.join("target").display().to_string());
    let top = Layer::new()
        .file("file", b"replaces the link")
        .directory("deep/er");
    let (_registry, wharf, name) = pulled(Image::builder().layer(base).layer(top));
    let rootfs = wharf.folder().join("rootfs");
    wharf.ok(["unpack", &name, &rootfs.display().to_string()]);
    assert_eq!(
        fs::read_dir(&victim).unwrap().count(),
        0,
        "something was written outside"
    );
    assert_eq!(fs::read(rootfs.join("file")).unwrap(), b"replaces the link");
    let inside = rootfs
        .join(victim.strip_prefix("/").unwrap())
        .join("inside");
    assert_eq!(fs::read(inside).unwrap(), b"x");
}

/// An archive's file of 3,000 bytes, of which two pieces are stored; the map is in front of them.
fn with_holes(layer: Layer, path: &str) -> Layer {
    let record = |key: &str, value: &str| {
        let rest = key.len() + value.len() + 3;
        format!("{} {key}={value}\n", rest + 2)
    };
    let pax = [
        record("GNU.sparse.major", "1"),
        record("GNU.sparse.minor", "0"),
        record("GNU.sparse.name", path),
        record("GNU.sparse.realsize", "3000"),
    ]
    .concat();
    let mut content = b"3\n1000\n5\n2000\n4\n3000\n0\n".to_vec();
    content.resize(512, 0);
    content.extend(b"firstlast");
    let stand_in = format!("GNUSparseFile.7/{path}");
    layer
        .entry("pax", tar::EntryType::XHeader, 0o644, None, pax.as_bytes())
        .entry(&stand_in, tar::EntryType::Regular, 0o640, None, &content)
}

#[test]
fn files_with_holes_are_read_copied_and_unpacked() {
    let base = with_holes(Layer::new().file("a", b"before"), "holes");
    let base = base.file("z", b"behind").hard_link("also", "holes");
    let (_registry, wharf, name) = pulled(Image::builder().layer(base));
    let mut expected = vec![0; 3000];
    expected[1000..1005].copy_from_slice(b"first");
    expected[2000..2004].copy_from_slice(b"last");
    let output = |arguments: &[&str]| {
        let output = wharf.command(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    assert_eq!(wharf.ok(["ls", &name]), "a\nalso\nholes\nz\n");
    assert_eq!(output(&["cat", &format!("{name}:/holes")]), expected);
    assert_eq!(output(&["cat", &format!("{name}:/also")]), expected);

    let to = |file: &str| wharf.folder().join(file).display().to_string();
    wharf.ok(["cp", &format!("{name}:/holes"), &to("copy")]);
    assert_eq!(fs::read(to("copy")).unwrap(), expected);
    let copied = output(&["cp", &format!("{name}:/"), "-"]);
    let mut archive = tar::Archive::new(&copied[..]);
    let mut found = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let (mut bytes, path) = (Vec::new(), entry.path().unwrap().display().to_string());
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        found.insert(path, (entry.header().entry_type(), bytes));
    }
    // The first of a file's names has its content.
    let (regular, link) = (tar::EntryType::Regular, tar::EntryType::Link);
    assert_eq!(found["also"], (regular, expected.clone()));
    assert_eq!(found["holes"], (link, Vec::new()));
    assert_eq!(found["z"], (regular, b"behind".to_vec()));

    wharf.ok(["unpack", &name, &to("rootfs")]);
    for file in ["rootfs/holes", "rootfs/also"] {
        assert_eq!(fs::read(to(file)).unwrap(), expected, "{file}");
    }
    assert_eq!(fs::read(to("rootfs/z")).unwrap(), b"behind");
    let mode = fs::metadata(to("rootfs/holes")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o640);
    assert!(!Path::new(&to("rootfs/GNUSparseFile.7")).exists());
}

#[test]
fn a_copy_of_zeros_takes_no_room() {
    let zeros = vec![0; 4 << 20];
    let layer = Layer::new().file("zeros", &zeros);
    let (_registry, wharf, name) = pulled(Image::builder().layer(layer));
    let copy = wharf.folder().join("copy");
    wharf.ok(["cp", &format!("{name}:/zeros"), &copy.display().to_string()]);
    assert_eq!(fs::read(&copy).unwrap(), zeros);
    // In blocks of 512 bytes.
    let room = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&copy).unwrap());
    assert!(room < 100, "{room} blocks");
}

#[test]
fn what_is_no_file_is_not_replaced_by_one() {
    let layer = Layer::new().file("file", b"content");
    let (_registry, wharf, name) = pulled(Image::builder().layer(layer));
    let at = |file: &str| wharf.folder().join(file);
    let from = format!("{name}:/file");
    std::os::unix::fs::symlink(at("behind"), at("link")).unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all", at("dangling")).unwrap();
    let status = std::process::Command::new("mkfifo")
        .arg(at("pipe"))
        .status();
    assert!(status.unwrap().success());
    let pipe = "cannot write to a named pipe (FIFO)";
    let link = "cannot write to a symbolic link directly";
    for (file, obstacle) in [("pipe", pipe), ("dangling", link), ("link", link)] {
        let before = fs::symlink_metadata(at(file)).unwrap().file_type();
        let path = at(file).display().to_string();
        let mut commands = vec![
            vec![
                "save".to_owned(),
                "-o".to_owned(),
                path.clone(),
                name.clone(),
            ],
            vec![
                "copy".to_owned(),
                name.clone(),
                format!("docker-archive:{path}"),
            ],
        ];
        if file != "link" {
            commands.push(vec!["cp".to_owned(), from.clone(), path]);
        }
        for command in commands {
            let refused = wharf.run(&command);
            assert_eq!(refused.code, Some(1), "{command:?}");
            assert!(refused.stderr.contains(obstacle), "{}", refused.stderr);
            assert_eq!(fs::symlink_metadata(at(file)).unwrap().file_type(), before);
        }
    }
    // A copy goes through a link, as cp's does.
    fs::write(at("behind"), "before").unwrap();
    wharf.ok(["cp", &from, &at("link").display().to_string()]);
    assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
    assert_eq!(fs::read(at("behind")).unwrap(), b"content");
}
