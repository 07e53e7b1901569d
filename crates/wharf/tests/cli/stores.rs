//! The store's folder: which one it may be, with which modes it is made, and what works where it can only be read.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use wharf_testkit::images::samples;
use wharf_testkit::{Output, TestRegistry, Wharf};

use super::tampered::{docker_archive, layer};
use super::{registry, wharf};

/// Runs a line of shell in the program's surroundings; in it, `wharf` is the program.
fn shell(wharf: &Wharf, line: &str) -> Output {
    let program = wharf.command([""; 0]);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("wharf() {{ \"$PROGRAM\" \"$@\"; }}\n{line}")]);
    command.env_clear();
    for (name, value) in program.get_envs() {
        command.env(name, value.unwrap());
    }
    command.env("PROGRAM", program.get_program());
    command.current_dir(wharf.folder()).stdin(Stdio::null());
    let output = command.output().unwrap();
    Output {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code(),
    }
}

/// Every file and folder below a folder, itself included, with its mode.
fn modes(folder: &Path) -> Vec<(PathBuf, u32)> {
    let mut all = Vec::new();
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        let about = fs::symlink_metadata(&path).unwrap();
        if about.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        }
        all.push((path, about.mode() & 0o7777));
    }
    all.sort();
    all
}

fn one_line(output: &Output) {
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    let lines: Vec<&str> = output.stderr.lines().collect();
    assert!(
        lines.len() <= 2 && lines[0].starts_with("Error: "),
        "{}",
        output.stderr
    );
    assert!(
        !output.stderr.contains("internal error"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_folder_that_was_removed_under_the_program_is_an_error() {
    let wharf = wharf();
    for root in [".", "./", "x", "x/y/z", "../gone", "./."] {
        for command in ["images", "store check", "rmi x", "load -i /dev/null"] {
            let line = format!("mkdir gone; cd gone; rmdir ../gone; wharf --root {root} {command}");
            let output = shell(&wharf, &line);
            if root == "../gone" {
                // Its path goes through a folder that is not there.
                assert_ne!(output.code, None, "{line}: {}", output.stderr);
                fs::remove_dir_all(wharf.folder().join("gone")).ok();
                continue;
            }
            one_line(&output);
        }
    }
}

#[test]
fn folders_that_are_no_store_stay_as_they_are() {
    let wharf = wharf();
    let folder = wharf.folder().join("mine");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("letter"), b"dear").unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    symlink(&folder, wharf.folder().join("link")).unwrap();
    for root in [
        "mine",
        "mine/",
        "mine/.",
        "link",
        "link/",
        "link/.",
        "/proc",
        "/proc/self",
        "/sys",
        "/sys/kernel",
        "/tmp",
        "/",
        "/etc",
        "/dev",
        "/dev/shm",
        "/usr",
        "/var",
        "/proc/x",
        "/sys/x",
    ] {
        let before = fs::metadata(root).map(|about| about.mode()).ok();
        let output = shell(&wharf, &format!("wharf --root {root} images"));
        one_line(&output);
        assert_eq!(
            fs::metadata(root).map(|about| about.mode()).ok(),
            before,
            "{root}"
        );
    }
    let all: Vec<_> = modes(&folder)
        .into_iter()
        .map(|(_, mode)| mode & 0o777)
        .collect();
    assert_eq!((all.len(), all[0]), (2, 0o755));
    let output = shell(&wharf, "wharf --root mine images");
    assert_eq!(
        output.stderr,
        "Error: the folder mine is not a store: it holds \"letter\", and a store has its folder to itself\n\
         hint: name an empty folder, or one that does not exist yet, with --root or WHARF_ROOT, for instance \
         mine/wharf\n"
    );
}

#[test]
fn a_home_is_a_store_only_if_there_is_one_in_it() {
    let wharf = wharf();
    for root in ["home", "home/", "$HOME", "./home/."] {
        let output = shell(&wharf, &format!("wharf --root {root} images"));
        one_line(&output);
        assert!(output.stderr.contains("home"), "{}", output.stderr);
    }
    assert_eq!(
        fs::read_dir(wharf.folder().join("home")).unwrap().count(),
        0
    );
    // A service whose home is its store goes on working.
    assert_eq!(
        shell(&wharf, "HOME=/ wharf --root home images -q").code,
        Some(0)
    );
    assert_eq!(shell(&wharf, "wharf --root home images -q").code, Some(0));
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    let registry = registry();
    for umask in ["000", "022", "077", "0777"] {
        let wharf = wharf();
        let name = registry.name("team/app:1");
        let archive = docker_archive(&[], &layer(), wharf_core::Digest::of(&layer()));
        fs::write(wharf.folder().join("image.tar"), archive).unwrap();
        fs::write(wharf.folder().join("files.tar"), layer()).unwrap();
        let line = format!(
            "umask {umask}; wharf() {{ \"$PROGRAM\" --root a/b/store \"$@\" || exit 9; }}; \
             wharf pull -q {name}; wharf load -qi image.tar; wharf import files.tar made:1; wharf tag {name} x:1; \
             rm -r a/b/store/notes; wharf ls {name}; \
             for f in a/b/store/blobs/sha256/*/*; do rm -f $f; : > $f; break; done; \
             wharf store check --repair; wharf rmi -f made:1"
        );
        let output = shell(&wharf, &line);
        assert_eq!(
            output.code,
            Some(0),
            "umask {umask}: {}{}",
            output.stdout,
            output.stderr
        );
        let folder = wharf.folder().join("a");
        let mut found = Vec::new();
        for (path, mode) in modes(&folder) {
            let below = path.strip_prefix(&folder).unwrap().to_owned();
            let set_aside = below.starts_with("b/store/damaged") && !path.is_dir();
            let wanted = match (path.is_dir(), below.starts_with("b/store/blobs")) {
                (true, _) => 0o700,
                (false, true) => 0o444,
                (false, false) => 0o600,
            };
            // What was set aside is as the shell has made it.
            assert!(
                mode == wanted || set_aside,
                "umask {umask}: {} {mode:o}",
                below.display()
            );
            found.push(below);
        }
        let has = |part: &str| {
            found
                .iter()
                .any(|path| path.to_string_lossy().contains(part))
        };
        assert!(
            has("notes/sha256-") && has("wharf.db-wal") && has("damaged/"),
            "{found:?}"
        );
    }
}

/// A store with an image that was pulled and one that was made here, and the arguments that name them.
struct Stocked {
    wharf: Wharf,
    pulled: String,
    registry: TestRegistry,
}

fn stocked() -> Stocked {
    let (registry, wharf) = (registry(), wharf());
    registry.push("team/codecs:1", &samples::every_compression());
    let pulled = registry.name("team/codecs:1");
    wharf.ok(["pull", "-q", &pulled]);
    let archive = docker_archive(&[], &layer(), wharf_core::Digest::of(&layer()));
    fs::write(wharf.folder().join("image.tar"), archive).unwrap();
    fs::write(wharf.folder().join("files.tar"), layer()).unwrap();
    wharf.ok([
        "load",
        "-qi",
        wharf.folder().join("image.tar").to_str().unwrap(),
    ]);
    for (name, image) in [
        ("new/pulled:1", pulled.as_str()),
        ("new/made:1", "hostile:1"),
    ] {
        wharf.ok(["tag", image, &registry.name(name)]);
    }
    Stocked {
        wharf,
        pulled,
        registry,
    }
}

/// What makes the store read-only for a line of shell, and what takes that back: a mount that cannot be written,
/// in a name space of its own; or, where a user may not make one, the permissions, which do not bind root.
fn read_only(wharf: &Wharf) -> (&'static str, &'static str) {
    let mount = "mount --bind store store && mount -o remount,bind,ro store";
    let tried = shell(
        wharf,
        &format!("unshare -rm sh -c '{mount} && ! touch store/x' 2>/dev/null"),
    );
    if tried.code == Some(0) {
        return (
            "unshare -rm sh -c 'mount --bind store store && mount -o remount,bind,ro store && exec \"$PROGRAM\" \
             \"$@\"' sh",
            "",
        );
    }
    assert!(
        !rustix::process::geteuid().is_root(),
        "root needs the right to make name spaces for this test"
    );
    (
        "chmod -R a-w store; wharf",
        "; code=$?; chmod -R u+w store; exit $code",
    )
}

#[test]
fn what_only_reads_works_in_a_store_that_cannot_be_written() {
    let Stocked {
        wharf,
        pulled,
        registry,
    } = stocked();
    let (before, after) = read_only(&wharf);
    let root = wharf.root();
    let run = |arguments: &str| shell(&wharf, &format!("{before} {arguments}{after}"));
    let (there, made) = (registry.name("new/pulled:1"), registry.name("new/made:1"));
    for round in [
        "as left",
        "without notes",
        "without shared memory",
        "without a log",
    ] {
        match round {
            "without notes" => fs::remove_dir_all(root.join("notes")).unwrap(),
            "without shared memory" => fs::remove_file(root.join("wharf.db-shm")).unwrap(),
            "without a log" => fold(&wharf),
            _ => {}
        }
        let stock = modes(&root);
        for arguments in [
            "images".to_owned(),
            "images --tree".to_owned(),
            "images -a --digests".to_owned(),
            format!("inspect {pulled}"),
            format!("history {pulled}"),
            format!("ls -R {pulled}"),
            "ls -l hostile:1".to_owned(),
            "cat hostile:1:/etc/motd".to_owned(),
            format!("diff {pulled} hostile:1"),
            "cp hostile:1:/etc/motd out-cp".to_owned(),
            format!("save -o out.tar {pulled} hostile:1"),
            "unpack hostile:1 out-unpack".to_owned(),
            "store check".to_owned(),
            "system df".to_owned(),
            format!("push {there}"),
            format!("push {made}"),
            "info".to_owned(),
        ] {
            let output = run(&arguments);
            assert_eq!(
                output.code,
                Some(0),
                "{round}: {arguments}: {}",
                output.stderr
            );
            for left in ["out-cp", "out.tar"] {
                fs::remove_file(wharf.folder().join(left)).ok();
            }
            fs::remove_dir_all(wharf.folder().join("out-unpack")).ok();
        }
        assert_eq!(run("cat hostile:1:/etc/motd").stdout, "hello\n", "{round}");
        assert_eq!(
            modes(&root),
            stock,
            "{round}: nothing came and nothing went"
        );
    }
    let other = super::wharf();
    for name in [&there, &made] {
        other.ok(["pull", "-q", name]);
    }
    assert_eq!(other.ok(["cat", &format!("{made}:/etc/motd")]), "hello\n");
}

/// Folds the log into the database, and removes it.
fn fold(wharf: &Wharf) {
    // A write folds a log that is longer than some 130 pages.
    for number in 0..200 {
        wharf.ok(["tag", "hostile:1", &format!("filler:{number}")]);
        let log = fs::metadata(wharf.root().join("wharf.db-wal"))
            .unwrap()
            .len();
        if log == 0 {
            break;
        }
    }
    assert_eq!(
        fs::metadata(wharf.root().join("wharf.db-wal"))
            .unwrap()
            .len(),
        0
    );
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(wharf.root().join(format!("wharf.db{suffix}"))).unwrap();
    }
}

#[test]
fn what_writes_says_that_the_store_cannot_be_written() {
    let Stocked {
        wharf,
        pulled,
        registry,
    } = stocked();
    let (before, after) = read_only(&wharf);
    let stock = modes(&wharf.root());
    registry.forget_requests();
    for arguments in [
        format!("pull {pulled}"),
        format!("pull -q {}", registry.name("team/app:1")),
        format!("tag {pulled} x:1"),
        "rmi hostile:1".to_owned(),
        "load -i image.tar".to_owned(),
        "import files.tar".to_owned(),
        "image prune -f".to_owned(),
        "store check --repair".to_owned(),
    ] {
        let output = shell(&wharf, &format!("{before} {arguments}{after}"));
        assert_eq!(output.code, Some(1), "{arguments}: {}", output.stdout);
        assert_eq!(
            output.stderr,
            format!(
                "Error: the store {} is read-only\nhint: what only reads works here; to change something, make the \
                 folder writable, or name another one with --root or WHARF_ROOT\n",
                wharf.root().display()
            ),
            "{arguments}"
        );
    }
    assert_eq!(
        registry.requests().len(),
        0,
        "it is said before anything is asked for"
    );
    assert_eq!(modes(&wharf.root()), stock);
}

#[test]
fn nothing_waits_for_a_pipe_in_the_store() {
    let Stocked { wharf, pulled, .. } = stocked();
    let root = wharf.root();
    let notes = fs::read_dir(root.join("notes"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let blob = modes(&root.join("blobs"))
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.is_file())
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    for path in [
        notes.path(),
        root.join("ingest/lease-1"),
        root.join("ingest/upload-1"),
        root.join("ingest/spool-1"),
        blob,
        root.join("wharf.db-wal"),
    ] {
        fs::remove_file(&path).ok();
        let at = path.display();
        let line = format!(
            "mkfifo {at}; for c in 'ls -R {pulled}' 'image prune -f' 'store check' 'save -o out.tar {pulled}' images; \
             do timeout 20 \"$PROGRAM\" $c; [ $? -eq 124 ] && exit 99; done; rm -f {at}; exit 0"
        );
        let output = shell(&wharf, &line);
        assert_eq!(output.code, Some(0), "{at}: {}", output.stderr);
    }
}
