//! Issue 12: layers that others packed, layered and named in ways of their own, and files that are written outside of
//! the store.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use wharf_core::Digest;
use wharf_testkit::{Layer, Wharf};

use super::hostile::within_memory;
use super::tampered::{archive, config, docker_archive, file, layer, layout};
use super::wharf;

/// A tar of the file `etc/motd`, packed by bzip2 and by xz; its diff ID.
const BZIP2: &str = "QlpoOTFBWSZTWeoUquYAAG/7gMmQAARAANWAAEBuRp4ACAggAFQyUNDTTQYEep6gkpqaNDQYgaB9TEZCCD0IRGud5pHCCBDgqxvq8VjhFGIfiEk/pzkCm8289uiqzZ0aJJA/F3JFOFCQ6hSq5g==";
const XZ: &str = "/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4Cf/AGFdADKdCIYUltE4104j1IUOQsX+bK9kKStznE6tNoRCyCj6Y63v7fmIXSEACDg9j9vb9k9r/t+vR0LL7UguROEj6WfGFsvKPuHgwLYzl1Fera7uXkQW+KlRVN+PRVkAnvPlXAAAAAAAKka6V2BenOQAAX2AUAAAAPJ1Ag6xxGf7AgAAAAAEWVo=";
const DIFF_ID: &str = "sha256:e6f871c88768b0402d842480b5c36bc26df46459306273780935638f05f815ca";

fn bytes(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

fn write(wharf: &Wharf, name: &str, bytes: &[u8]) -> String {
    let path = wharf.folder().join(name);
    fs::write(&path, bytes).unwrap();
    path.display().to_string()
}

/// Loads an image of some layers.
fn loaded(wharf: &Wharf, name: &str, layers: Vec<Layer>) {
    let packed: Vec<_> = layers.into_iter().map(Layer::pack).collect();
    let config = config(
        &packed
            .iter()
            .map(|one| one.diff_id.clone())
            .collect::<Vec<_>>(),
    );
    let names: Vec<String> = (0..packed.len()).map(|n| format!("{n}.tar")).collect();
    let manifest = json!([{ "Config": "config.json", "RepoTags": [name], "Layers": names }]);
    let mut out = tar::Builder::new(Vec::new());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        out.append_data(&mut header, name, bytes).unwrap();
    };
    for (name, one) in names.iter().zip(&packed) {
        add(name, &one.blob);
    }
    add("config.json", &config);
    add("manifest.json", manifest.to_string().as_bytes());
    let path = write(wharf, "loaded.tar", &out.into_inner().unwrap());
    wharf.ok(["load", "-q", "-i", &path]);
}

/// Every name below a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let (mut all, mut open) = (BTreeSet::new(), vec![folder.to_owned()]);
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if fs::symlink_metadata(&path).unwrap().is_dir() {
                open.push(path.clone());
            }
            all.insert(path.strip_prefix(folder).unwrap().display().to_string());
        }
    }
    all
}

fn lines(text: &str) -> BTreeSet<String> {
    text.lines().map(str::to_owned).collect()
}

/// Looks into an image of one file in every way.
fn looks(wharf: &Wharf, name: &str) {
    let at = |file: &str| wharf.folder().join(file);
    assert_eq!(wharf.ok(["ls", "-R", name]), "etc\netc/motd\n");
    assert_eq!(wharf.ok(["cat", &format!("{name}:/etc/motd")]), "hello\n");
    wharf.ok([
        "cp",
        &format!("{name}:/etc/motd"),
        &at("motd").display().to_string(),
    ]);
    assert_eq!(fs::read(at("motd")).unwrap(), b"hello\n");
    wharf.ok(["unpack", name, &at("rootfs").display().to_string()]);
    assert_eq!(fs::read(at("rootfs/etc/motd")).unwrap(), b"hello\n");
    fs::remove_dir_all(at("rootfs")).unwrap();
    assert!(wharf.ok(["diff", name, name]).contains("0 changed"));
    let saved = at("saved.tar").display().to_string();
    wharf.ok(["save", "-o", &saved, name]);
    wharf.ok(["rmi", name]);
    wharf.ok(["load", "-i", &saved]);
    assert_eq!(wharf.ok(["cat", &format!("{name}:/etc/motd")]), "hello\n");
    wharf.ok(["store", "check"]);
}

#[test]
fn issue_12_layers_are_read_however_they_are_packed() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&layer()).unwrap();
    let padded = [gzip.finish().unwrap(), vec![0; 700]].concat();
    let diff_id: Digest = DIFF_ID.parse().unwrap();
    for (packing, packed, diff_id) in [
        ("bzip2", bytes(BZIP2), &diff_id),
        ("xz", bytes(XZ), &diff_id),
        ("gzip", padded, &Digest::of(&layer())),
    ] {
        let wharf = wharf();
        let archive = docker_archive(&[], &packed, diff_id.clone());
        wharf.ok(["load", "-i", &write(&wharf, "a.tar", &archive)]);
        looks(&wharf, "hostile:1");
        for media_type in [
            format!("tar+{packing}"),
            "tar".to_owned(),
            "tar+gzip".to_owned(),
        ] {
            let wharf = wharf_with(&packed, diff_id, &media_type);
            looks(&wharf, "hostile:1");
        }
        let wharf = super::wharf();
        wharf.ok(["import", &write(&wharf, "rootfs.tar", &packed), "hostile:1"]);
        looks(&wharf, "hostile:1");
    }
    // What they unpack to has to be what the config says.
    for layer in [bytes(BZIP2), bytes(XZ)] {
        let wharf = wharf();
        let archive = docker_archive(&[], &layer, Digest::of(b"something else"));
        let refused = wharf.run(["load", "-i", &write(&wharf, "a.tar", &archive)]);
        assert_eq!(refused.code, Some(1));
        assert!(
            refused
                .stderr
                .contains("does not hold what the image's config says")
        );
    }
}

/// A store with an image of a layout, whose layer has this type.
fn wharf_with(layer: &[u8], diff_id: &Digest, media_type: &str) -> Wharf {
    let wharf = wharf();
    let config = config(std::slice::from_ref(diff_id));
    let bytes = layout(|all| {
        all.layer = None;
        all.more = vec![layer.to_vec(), config.clone()];
        all.manifest["config"]["digest"] = json!(Digest::of(&config));
        all.manifest["config"]["size"] = json!(config.len());
        all.manifest["layers"][0] = json!({
            "mediaType": format!("application/vnd.oci.image.layer.v1.{media_type}"),
            "digest": Digest::of(layer), "size": layer.len(),
        });
    });
    wharf.ok(["load", "-i", &write(&wharf, "layout.tar", &bytes)]);
    wharf
}

#[test]
fn issue_12_junk_behind_a_layer_is_called_that() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&[0; 1024]).unwrap();
    for (packing, packed) in [
        ("gzip", gzip.finish().unwrap()),
        ("bzip2", bytes(BZIP2)),
        ("xz", bytes(XZ)),
    ] {
        for junk in [&b"x"[..], b"junk", &[0, 0, 0, 7]] {
            let wharf = wharf();
            let layer = [&packed[..], junk].concat();
            let archive = docker_archive(&[], &layer, DIFF_ID.parse().unwrap());
            let refused = wharf.run(["load", "-i", &write(&wharf, "a.tar", &archive)]);
            assert_eq!(refused.code, Some(1));
            let words = format!("something that is not {packing} follows the {packing} data");
            assert!(refused.stderr.contains(&words), "{}", refused.stderr);
        }
    }
}

#[test]
fn issue_12_an_odd_entry_hides_no_other_file() {
    let wharf = wharf();
    let odd: [(&str, Layer); 5] = [
        (
            "not a directory",
            Layer::new()
                .file("etc/motd/x", b"")
                .file("etc/motd", b"")
                .file("etc/motd/y", b""),
        ),
        ("hard link", Layer::new().hard_link("b", "none")),
        ("leads out", Layer::new().file("../x", b"")),
        ("below a whiteout", Layer::new().file("a/.wh.b/c", b"")),
        ("longer than", Layer::new().file(&"x".repeat(300), b"")),
    ];
    for (words, layer) in odd {
        let base = Layer::new()
            .file("etc/issue", b"hello\n")
            .file("etc/motd", b"x");
        let top = Layer::new().file("bin/sh", b"#!");
        loaded(&wharf, "odd:1", vec![base, layer, top]);
        let motd = "odd:1:/etc/issue";
        let to = wharf.folder().join("copy").display().to_string();
        for command in [
            vec!["ls", "-R", "odd:1"],
            vec!["cat", motd],
            vec!["cp", motd, &to],
            vec!["diff", "odd:1", "odd:1"],
        ] {
            let output = wharf.run(&command);
            assert_eq!(output.code, Some(0), "{command:?}: {}", output.stderr);
            let said = &output.stderr;
            assert!(said.contains("WARNING: an entry of layer 2"), "{said}");
            assert!(said.contains(words), "{words}: {said}");
        }
        assert_eq!(wharf.ok_with_warnings(["cat", motd]), "hello\n");
        let listed = wharf.ok_with_warnings(["ls", "-R", "odd:1"]);
        assert!(
            listed.contains("bin/sh\n") && listed.contains("etc/issue\n"),
            "{listed}"
        );
        let rootfs = wharf.folder().join("rootfs");
        let refused = wharf.run(["unpack", "odd:1", &rootfs.display().to_string()]);
        assert_eq!(refused.code, Some(1));
        assert!(
            !rootfs.exists() && refused.stderr.contains(words),
            "{}",
            refused.stderr
        );
    }
}

trait Warnings {
    fn ok_with_warnings<const N: usize>(&self, arguments: [&str; N]) -> String;
}

impl Warnings for Wharf {
    fn ok_with_warnings<const N: usize>(&self, arguments: [&str; N]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        output.stdout
    }
}

#[test]
fn issue_12_what_is_listed_is_what_is_unpacked() {
    // Numbers that are the same every time (Knuth's generator).
    let mut state = 12_u64;
    let mut below = |max: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % max
    };
    let wharf = wharf();
    for round in 0..12 {
        let mut layers = Vec::new();
        for _ in 0..3 {
            let mut layer = Layer::new();
            for _ in 0..8 {
                let mut words: Vec<&str> = Vec::new();
                for _ in 0..=below(3) {
                    words.push(["a", "b", "c"][usize::try_from(below(3)).unwrap()]);
                }
                let last = words.pop().unwrap();
                let above: String = words.iter().map(|word| format!("{word}/")).collect();
                layer = match below(8) {
                    0 => layer.file(&format!("{above}.wh.{last}"), b""),
                    1 => layer.file(&format!("{above}.wh..wh..opq"), b""),
                    2 => layer.directory(&format!("{above}{last}")),
                    3 => layer.symlink(&format!("{above}{last}"), "b"),
                    _ => layer.file(&format!("{above}{last}"), b"x"),
                };
            }
            layers.push(layer);
        }
        loaded(&wharf, "random:1", layers);
        let listed = wharf.run(["ls", "-R", "random:1"]);
        let rootfs = wharf.folder().join(format!("rootfs-{round}"));
        let unpacked = wharf.run(["unpack", "random:1", &rootfs.display().to_string()]);
        if listed.stderr.is_empty() {
            assert_eq!(unpacked.code, Some(0), "{}", unpacked.stderr);
            assert_eq!(names(&rootfs), lines(&listed.stdout), "{round}");
        } else {
            assert_eq!(unpacked.code, Some(1), "{round}");
        }
    }
}

#[test]
fn issue_12_a_destination_that_is_a_link_is_not_followed() {
    let wharf = wharf();
    loaded(
        &wharf,
        "app:1",
        vec![
            Layer::new()
                .file("f", b"x")
                .directory("d")
                .file("d/g", b"y"),
        ],
    );
    let at = |name: &str| wharf.folder().join(name);
    let path = |name: &str| at(name).display().to_string();
    fs::create_dir(at("victim")).unwrap();
    symlink(at("victim"), at("link")).unwrap();
    symlink(at("nothing"), at("dangling")).unwrap();
    for name in ["link", "link/", "dangling", "dangling/"] {
        for command in [
            vec!["unpack".to_owned(), "app:1".to_owned(), path(name)],
            vec![
                "unpack".to_owned(),
                "--bundle".to_owned(),
                "app:1".to_owned(),
                path(name),
            ],
        ] {
            let refused = wharf.run(&command);
            assert_eq!(refused.code, Some(1), "{command:?}");
            assert!(
                refused.stderr.contains("is no folder"),
                "{}",
                refused.stderr
            );
        }
    }
    assert_eq!(names(&at("victim")), BTreeSet::new());
    assert!(!at("nothing").exists());
    // A page of the manual is not written through a link.
    fs::create_dir(at("man")).unwrap();
    fs::write(at("secret"), "before").unwrap();
    symlink(at("secret"), at("man/wharf.1")).unwrap();
    wharf.ok(["man", &path("man")]);
    assert_eq!(fs::read(at("secret")).unwrap(), b"before");
    // A folder is not copied through one, and nothing is left over.
    let into = at("into");
    fs::create_dir(&into).unwrap();
    symlink(at("victim"), into.join("d")).unwrap();
    let refused = wharf.run(["cp", "app:1:/d", &path("into")]);
    assert_eq!(refused.code, Some(1));
    assert_eq!(names(&at("victim")), BTreeSet::new());
    assert_eq!(names(&into), BTreeSet::from(["d".to_owned()]));
    // A bundle appears as a whole, with modes of its own.
    wharf.ok(["unpack", "--bundle", "app:1", &path("bundle")]);
    let mode = |name: &str| fs::metadata(at(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("bundle"), mode("bundle/rootfs")), (0o755, 0o755));
    assert_eq!(mode("bundle/config.json") & !0o644, 0);
}

#[test]
fn issue_12_files_are_copied_to_folders_of_any_name() {
    let wharf = wharf();
    loaded(
        &wharf,
        "app:1",
        vec![
            Layer::new()
                .file("f", b"x")
                .directory("d")
                .file("d/g", b"y"),
        ],
    );
    let at = |name: &str| wharf.folder().join(name);
    fs::create_dir(at("here")).unwrap();
    fs::create_dir(at("here/below")).unwrap();
    symlink("here", at("link")).unwrap();
    fs::write(at("behind"), "before").unwrap();
    symlink(at("behind"), at("here/below/f")).unwrap();
    for (from, folder, to, made) in [
        ("app:1:/f", "here", ".", "here/f"),
        ("app:1:/f", "here/below", "..", "here/f"),
        ("app:1:/f", "", "link", "here/f"),
        ("app:1:/f", "", "here/", "here/f"),
        ("app:1:/f", "", "here/.", "here/f"),
        ("app:1:/f", "", "here/g", "here/g"),
        ("app:1:/d", "here", ".", "here/d/g"),
        ("app:1:/d", "", "link/", "here/d/g"),
        ("app:1:/d/.", "", "here/new", "here/new/g"),
    ] {
        let mut command = wharf.command(["cp", from, to]);
        let status = command.current_dir(at(folder)).status().unwrap();
        assert!(status.success(), "{from}, {folder}, {to}");
        assert!(at(made).exists(), "{made}");
        let made = at(made);
        if made.parent().unwrap().ends_with("here") {
            fs::remove_file(made).unwrap();
        } else {
            fs::remove_dir_all(made.parent().unwrap()).unwrap();
        }
    }
    // A link of this user is followed, also in a folder.
    wharf.ok(["cp", "app:1:/f", &at("here/below").display().to_string()]);
    assert_eq!(fs::read(at("behind")).unwrap(), b"x");
    assert_eq!(begun(&at("here")), Vec::<PathBuf>::new());
}

#[test]
fn issue_12_what_a_killed_command_left_is_named() {
    let wharf = wharf();
    loaded(&wharf, "app:1", vec![Layer::new().file("f", b"x")]);
    let left = wharf.folder().join(".rootfs.wharf-0123456789ab");
    fs::create_dir(&left).unwrap();
    let rootfs = wharf.folder().join("rootfs").display().to_string();
    let output = wharf.run(["unpack", "app:1", &rootfs]);
    assert_eq!(output.code, Some(0));
    let words = format!("WARNING: {} is left over", left.display());
    assert!(output.stderr.starts_with(&words), "{}", output.stderr);
}

/// What lies beside the store that a command has begun.
fn begun(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_begun = |path: &PathBuf| path.display().to_string().contains(".wharf-");
    entries.filter(is_begun).collect()
}

/// Runs a command, sends it a signal once it has begun to write, and gives its exit code.
fn interrupted(wharf: &Wharf, arguments: &[&str], signal: &str, folder: &Path) -> Option<i32> {
    let mut command = wharf.command(arguments);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while begun(folder).is_empty() && child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "nothing was begun");
        std::thread::yield_now();
    }
    let id = child.id().to_string();
    // It may have ended meanwhile: its exit code says so.
    let sent = Command::new("kill")
        .args(["-s", signal, &id])
        .stderr(Stdio::null())
        .status();
    sent.unwrap();
    child.wait().unwrap().code()
}

#[test]
fn issue_12_a_signal_leaves_nothing_of_an_unfinished_folder() {
    let wharf = wharf();
    let many = (0..20_000).fold(Layer::new(), |layer, n| {
        layer.file(&format!("{}/{n}", n % 100), b"x")
    });
    loaded(&wharf, "many:1", vec![many]);
    let folder = wharf.folder().join("out");
    fs::create_dir(&folder).unwrap();
    let to = folder.join("x").display().to_string();
    // A shell may have made this test ignore signals, and the program with it.
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .unwrap();
    let ignored = u64::from_str_radix(mask.trim(), 16).unwrap();
    for (signal, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        let code = if ignored & (1 << (number - 1)) == 0 {
            128 + number
        } else {
            0
        };
        for arguments in [
            &["unpack", "many:1", &to][..],
            &["unpack", "--bundle", "many:1", &to],
            &["cp", "many:1:/", &to],
        ] {
            let found = interrupted(&wharf, arguments, signal, &folder);
            assert_eq!(found, Some(code), "{arguments:?}, {signal}");
            if code == 0 {
                fs::remove_dir_all(folder.join("x")).unwrap();
            }
            assert_eq!(names(&folder), BTreeSet::new(), "{arguments:?}, {signal}");
        }
    }
    // A signal that was ignored from the beginning stays ignored.
    let ignoring = "trap '' HUP INT; exec \"$@\"";
    let plain = wharf.command(["unpack", "many:1", &to]);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", ignoring, "sh"])
        .arg(plain.get_program())
        .args(plain.get_args());
    for (name, value) in plain.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    let mut child = shell.spawn().unwrap();
    while begun(&folder).is_empty() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    for signal in ["HUP", "INT"] {
        let id = child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        sent.unwrap();
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(names(&folder.join("x")).len(), 20_100);
}

#[test]
fn issue_12_long_names_take_little_memory() {
    let deep = |words: usize| "d/".repeat(words);
    let wharf = wharf();
    // Eight names of a thousand folders, and ten thousand files in one of them, are shown and unpacked.
    let eight = (0..8).fold(Layer::new(), |layer, n| {
        layer.file(&format!("{n}/{}x", deep(1000)), b"")
    });
    let many = (0..10_000).fold(eight, |layer, n| {
        layer.file(&format!("{}{n}", deep(1000)), b"")
    });
    loaded(&wharf, "deep:1", vec![many]);
    loaded(&wharf, "flat:1", vec![Layer::new().file("x", b"")]);
    let rootfs = wharf.folder().join("rootfs").display().to_string();
    let copy = wharf.folder().join("copy").display().to_string();
    for command in [
        &["ls", "deep:1:/0"][..],
        &["ls", "-R", "deep:1"],
        &["cat", &format!("deep:1:/{}7", deep(1000))],
        &["diff", "deep:1", "deep:1"],
        &["diff", "deep:1", "flat:1"],
        &["diff", "--format", "json", "flat:1", "deep:1"],
        &["cp", "deep:1:/", "-"],
        &["unpack", "deep:1", &rootfs],
        &["cp", "deep:1:/", &copy],
    ] {
        let (code, said) = within_memory(&wharf, command);
        assert_eq!((code, said.as_str()), (Some(0), ""), "{command:?}");
    }
    // What asks for more is refused, in as little memory.
    let by_turns = (0..6000).fold(Layer::new(), |layer, n| {
        layer.file(&format!("{}{n}", format!("{}/", n % 2).repeat(1000)), b"")
    });
    let implied = (0..100).fold(Layer::new(), |layer, n| {
        layer.file(&format!("{n}/{}x", deep(1000)), b"")
    });
    for (layer, words) in [
        (by_turns, "longer than those of any honest layer"),
        (implied, "65536 folders"),
    ] {
        loaded(&wharf, "long:1", vec![layer]);
        for command in [
            &["ls", "long:1"][..],
            &["cat", "long:1:/x"],
            &["diff", "long:1", "long:1"],
            &["unpack", "long:1", &format!("{rootfs}-2")],
        ] {
            let (code, said) = within_memory(&wharf, command);
            assert_eq!(code, Some(1), "{command:?}: {said}");
            assert!(said.contains(words), "{command:?}: {said}");
        }
    }
    for name in [deep(30_000), "x".repeat(4097)] {
        let packed = Layer::new().file(&name, b"").pack();
        let archive = docker_archive(&[], &packed.blob, packed.diff_id);
        let path = write(&wharf, "long.tar", &archive);
        for command in [
            &["load", "-i", &path][..],
            &["import", &write(&wharf, "l.tar", &packed.blob)],
        ] {
            let (code, said) = within_memory(&wharf, command);
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains("a name is longer than 4096 bytes"), "{said}");
        }
    }
}

/// A docker-archive of an image that has these layers, of which some are left out.
fn delta(name: &str, layers: &[(&Digest, Option<&[u8]>)]) -> Vec<u8> {
    let all: Vec<Digest> = layers
        .iter()
        .map(|(diff_id, _)| (*diff_id).clone())
        .collect();
    let names: Vec<String> = all
        .iter()
        .map(|id| format!("{}/layer.tar", id.hex()))
        .collect();
    let manifest = json!([{ "Config": "config.json", "RepoTags": [name], "Layers": names }]);
    let (config, manifest) = (config(&all), manifest.to_string());
    let mut entries = vec![
        file("config.json", &config),
        file("manifest.json", manifest.as_bytes()),
    ];
    for (name, (_, bytes)) in names.iter().zip(layers) {
        entries.extend(bytes.map(|bytes| file(name, bytes)));
    }
    archive(&entries)
}

#[test]
fn issue_12_an_archive_may_leave_out_layers_that_are_here() {
    let tar = |name: &str| archive(&[file(name, b"x")]);
    let (base, middle, top) = (tar("base"), tar("middle"), tar("top"));
    let ids = [&base, &middle, &top].map(|layer| Digest::of(layer));
    let [base_id, middle_id, top_id] = &ids;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&base).unwrap();
    let packed = gzip.finish().unwrap();
    // However the layers that are here are packed.
    for stored in [&base, &packed] {
        let wharf = wharf();
        let load = |name: &str, layers: &[(&Digest, Option<&[u8]>)]| {
            wharf.run([
                "load",
                "-i",
                &write(&wharf, "delta.tar", &delta(name, layers)),
            ])
        };
        let first = load(
            "base:1",
            &[(base_id, Some(stored)), (middle_id, Some(&middle))],
        );
        assert_eq!(first.code, Some(0), "{}", first.stderr);
        let layers = [(base_id, None), (middle_id, None), (top_id, Some(&top[..]))];
        let second = load("top:1", &layers);
        assert_eq!(second.code, Some(0), "{}", second.stderr);
        assert_eq!(wharf.ok(["ls", "top:1"]), "base\nmiddle\ntop\n");
        // All of them, and some in another order.
        assert_eq!(
            load("all:1", &[(base_id, None), (middle_id, None)]).code,
            Some(0)
        );
        assert_eq!(
            load("other:1", &[(middle_id, None), (base_id, None)]).code,
            Some(0)
        );
        // One that is not here.
        let missing = Digest::of(b"missing");
        let refused = load("bad:1", &[(base_id, None), (&missing, None)]);
        assert_eq!(refused.code, Some(1));
        assert!(
            refused.stderr.contains("layer.tar: no such file"),
            "{}",
            refused.stderr
        );
        // What was left out stays with the image that needs it.
        wharf.ok(["rmi", "base:1", "all:1", "other:1"]);
        wharf.ok(["image", "prune", "-f"]);
        assert_eq!(wharf.ok(["ls", "top:1"]), "base\nmiddle\ntop\n");
        let saved = wharf.folder().join("saved.tar").display().to_string();
        wharf.ok(["save", "-o", &saved, "top:1"]);
        wharf.ok(["rmi", "top:1"]);
        wharf.ok(["image", "prune", "-f"]);
        let refused = load("top:1", &layers);
        assert_eq!(refused.code, Some(1));
        wharf.ok(["load", "-i", &saved]);
        wharf.ok(["store", "check"]);
    }
}
