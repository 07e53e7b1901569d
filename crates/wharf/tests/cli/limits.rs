//! Limits of the system: a command does its work or says what it lacks, and ends either way.

use wharf_testkit::images::samples;

use super::{registry, wharf};

/// What the shell sets before it starts the program. Limits on processes do not hold for root:
/// `.ci/85-limits.sh` sets them as another user.
const LIMITS: [&str; 26] = [
    "ulimit -n 8",
    "ulimit -n 10",
    "ulimit -n 12",
    "ulimit -n 16",
    "ulimit -n 24",
    "ulimit -n 40",
    "ulimit -f 0",
    "ulimit -f 1",
    "ulimit -f 16",
    "ulimit -f 64",
    "ulimit -f 100",
    "ulimit -f 200",
    "ulimit -v 60000",
    "ulimit -v 80000",
    "ulimit -v 100000",
    "ulimit -v 110000",
    "ulimit -v 130000",
    "ulimit -v 180000",
    "ulimit -v 300000",
    "prlimit --pid $$ --nproc=1:1",
    "prlimit --pid $$ --nproc=4:4",
    "prlimit --pid $$ --nproc=16:16",
    "prlimit --pid $$ --nproc=64:64",
    "ulimit -s 128",
    "ulimit -s 512",
    "ulimit -n 12; ulimit -f 64; ulimit -v 130000",
];

/// What a panic, an overflow of the stack and a failed allocation say.
const CRASHES: [&str; 4] = [
    "panicked",
    "internal error",
    "overflow",
    "memory allocation",
];

#[test]
fn under_each_limit_each_command_ends_with_a_result_or_an_error() {
    let (wharf, registry) = (wharf(), registry());
    let name = registry.name("team/app:1");
    let many = registry.name("team/many:1");
    registry.push("team/many:1", &samples::many_layers(9));
    wharf.ok(["pull", "-q", &name]);
    let at = |file: &str| wharf.folder().join(file).display().to_string();
    let (archive, saved, other, tree) = (at("in.tar"), at("out.tar"), at("other"), at("tree"));
    let pushed = registry.name("team/pushed:1");
    wharf.ok(["tag", &name, &pushed]);
    wharf.ok(["save", "-o", &archive, &name]);
    for limits in LIMITS {
        for arguments in [
            &["--root", &other, "pull", "-q", &many][..],
            &["--root", &other, "load", "-q", "-i", &archive],
            &["save", "-o", &saved, &name],
            &["push", "-q", &pushed],
            &["images"],
            &["tag", &name, "other:1"],
            &["ls", &name],
            &["diff", &name, &pushed],
            &["unpack", &name, &tree],
            &["inspect", &name],
            &["store", "check"],
        ] {
            let output = wharf.run_limited(limits, arguments);
            let text = output.stderr;
            let about = format!("{limits}: {arguments:?}: {:?}: {text}", output.code);
            assert!(matches!(output.code, Some(0 | 1 | 125)), "{about}");
            assert!(!CRASHES.iter().any(|crash| text.contains(crash)), "{about}");
            assert_eq!(output.code == Some(0), !text.contains("Error"), "{about}");
        }
        for path in [&other, &tree] {
            std::fs::remove_dir_all(path).ok();
        }
    }
    // Nothing is lost by what failed.
    wharf.ok(["store", "check"]);
    wharf.ok(["pull", "-q", &many]);
    assert!(wharf.ok(["ls", &name]).contains("etc"));
}

#[test]
fn a_file_beyond_the_limit_is_named_with_the_reason() {
    let (wharf, registry) = (wharf(), registry());
    let name = registry.name("team/app:1");
    wharf.ok(["pull", "-q", &name]);
    let out = wharf.folder().join("out.tar").display().to_string();
    let output = wharf.run_limited("ulimit -f 1", ["save", "-o", &out, &name]);
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    let text = output.stderr.to_lowercase();
    assert!(
        text.contains("ulimit -f") || text.contains("file too large"),
        "{text}"
    );
    let output = wharf.run_limited("ulimit -f 1", ["tag", &name, "x:1"]);
    assert!(output.stderr.contains("ulimit -f"), "{}", output.stderr);
}

#[test]
fn too_little_address_space_is_said_with_what_is_needed() {
    let wharf = wharf();
    let output = wharf.run_limited("ulimit -v 60000", ["images"]);
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    let text = output.stderr;
    assert!(
        text.starts_with("Error: the limit on address space is too low: 60000 KiB"),
        "{text}"
    );
    assert!(text.contains("hint: `ulimit -v "), "{text}");
}
