//! A disk that is full: a clear error, nothing lost, and the next pull goes on once there is room.
//!
//! As root, the store lies on a small memory disk, mounted where nobody else sees it: this program
//! runs once more in a mount namespace of its own. Others can only limit the size of files,
//! which is not the same error; that is done, and said.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use rustix::mount::{MountFlags, mount, mount_remount};
use wharf_testkit::images::samples;

use super::ground::{Ground, verify_blobs};

/// Smaller than an image, larger than its parts: the disk fills in the middle of a layer.
const DISK: &str = "size=30m";
/// Room for everything.
const LARGER_DISK: &str = "size=128m";
/// The same as the largest file that may be written, in the shell's unit of 1 KiB.
const FILE_MAX: &str = "12000";
/// The images' contents.
const SEED: u64 = 7;

/// Runs wharf out of space, and says how.
pub(super) fn run(wharf: &Path) -> anyhow::Result<String> {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: a full disk needs root to mount one; files are limited in size instead");
        limited_files(wharf)?;
        return Ok("files limited in size (a full disk was SKIPPED: no root)".into());
    }
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe().context("cannot find this program")?)
        .arg("full-disk")
        .arg(wharf)
        .status()
        .context("cannot run unshare, which is part of util-linux")?;
    ensure!(status.success(), "it did not survive");
    Ok("survived".into())
}

/// The task `full-disk`: what [`run`] starts, in a mount namespace of its own.
pub(crate) fn in_own_namespace(wharf: &Path) -> anyhow::Result<()> {
    let ground = Ground::new(wharf, SEED);
    let root = ground.wharf.root();
    fs::create_dir_all(&root)?;
    let size = std::ffi::CString::new(DISK)?;
    mount(
        "tmpfs",
        &root,
        "tmpfs",
        MountFlags::empty(),
        Some(size.as_c_str()),
    )
    .context("cannot mount a memory disk")?;
    let name = run_out_of_space(&ground, &["no space left"], &|arguments| {
        ground.wharf.run(arguments)
    })?;

    let size = std::ffi::CString::new(LARGER_DISK)?;
    mount_remount(&root, MountFlags::empty(), size.as_c_str()).context("cannot grow the disk")?;
    goes_on(&ground, &name)
}

/// The same with a limit on files.
fn limited_files(wharf: &Path) -> anyhow::Result<()> {
    let ground = Ground::new(wharf, SEED);
    let name = run_out_of_space(&ground, &["too large", "no space left"], &|arguments| {
        // Without the trap, the signal that comes with the error would end the process.
        let limit = format!("trap '' XFSZ; ulimit -f {FILE_MAX}; exec \"$0\" \"$@\"");
        let inner = ground.wharf.command(arguments);
        let mut command = Command::new("bash");
        command
            .args(["-c", &limit])
            .arg(inner.get_program())
            .args(inner.get_args());
        command.env_clear();
        command.envs(
            inner
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        let output = command.output().expect("bash is there");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        wharf_testkit::command::Output {
            stdout,
            stderr,
            code: output.status.code(),
        }
    })?;
    goes_on(&ground, &name)
}

/// Pulls a small image, which fits, and one that does not, by `wharf`. Returns the latter's name.
fn run_out_of_space(
    ground: &Ground,
    words: &[&str],
    wharf: &dyn Fn(&[&str]) -> wharf_testkit::command::Output,
) -> anyhow::Result<String> {
    let small = samples::small();
    ground.registry.push("team/small:1", &small);
    ground.succeed(&["pull", &ground.registry.name("team/small:1")])?;
    let large = ground.images[0].name.clone();
    for _ in 0..2 {
        let output = wharf(&["pull", &large]);
        let told = output.stderr.to_lowercase();
        ensure!(
            output.code == Some(1),
            "a pull on a full disk ended with {:?}: {told}",
            output.code
        );
        ensure!(
            words.iter().any(|w| told.contains(w)),
            "the error does not say why: {told}"
        );
        verify_blobs(&ground.wharf.root())?;
        ground.lists(&small)?;
        ground.check()?;
    }
    Ok(large)
}

/// With room again, the pull goes on from what is here.
fn goes_on(ground: &Ground, name: &str) -> anyhow::Result<()> {
    let image = &ground.images[0].image;
    let before = ground.here(image)?;
    let kept: u64 = before.values().sum();
    ensure!(
        kept > 0,
        "nothing was kept of the pull that ran out of space"
    );
    ground.registry.forget_requests();
    ground.succeed(&["pull", name])?;
    ground.sent_only_what_was_missing(image, &before, false)?;
    ground.lists(image)?;
    ground.check()
}
