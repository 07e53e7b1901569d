//! Programs that run beside a task, and end with it.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// How long a program may take to get ready.
const START_MAX: Duration = Duration::from_secs(60);
/// How long a program may take to end by itself before it is killed.
const STOP_MAX: Duration = Duration::from_secs(20);
/// How often it is looked at meanwhile.
const TICK: Duration = Duration::from_millis(20);

/// How much of a failed program's output an error shows: its last words say why.
const TAIL_LINES: usize = 3;
/// The same in characters.
const TAIL_CHARACTERS: usize = 300;

/// A program that runs until this is dropped.
pub(crate) struct Running {
    child: Child,
    name: String,
}

impl Running {
    /// Starts `command` and waits until `ready` says so. What it prints goes to the file `log`.
    pub(crate) fn start(
        command: &mut Command,
        log: &Path,
        ready: impl Fn() -> bool,
    ) -> anyhow::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let output =
            File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let child = command
            .spawn()
            .with_context(|| format!("cannot run {name}"))?;
        let mut running = Self { child, name };
        let start = Instant::now();
        while !ready() {
            if let Some(status) = running.child.try_wait()? {
                bail!("{} has ended ({status}): {}", running.name, tail(log));
            }
            let waited = start.elapsed();
            ensure!(
                waited < START_MAX,
                "{} is not ready after {waited:?}: {}",
                running.name,
                tail(log)
            );
            sleep(TICK);
        }
        Ok(running)
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = |child: &mut Child| matches!(child.try_wait(), Ok(Some(_)) | Err(_));
        if ended(&mut self.child) {
            return;
        }
        if kill_process(Pid::from_child(&self.child), Signal::TERM).is_ok() {
            let start = Instant::now();
            while start.elapsed() < STOP_MAX {
                if ended(&mut self.child) {
                    return;
                }
                sleep(TICK);
            }
        }
        eprintln!("{} does not end; killing it", self.name);
        // Both fail only if it has ended after all.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A figure of a process's memory, in bytes: `VmRSS`, or `VmHWM` for the most that it had (proc(5)).
pub(crate) fn memory(id: u32, figure: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'));
    let kib = line
        .and_then(|line| line.trim().split(' ').next())
        .with_context(|| format!("no {figure}"))?;
    Ok(kib.parse::<u64>()? * 1024)
}

/// The end of what a program has printed, in one line.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read(log)
        .map(|b| String::from_utf8_lossy(&b).into_owned())
        .unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(TAIL_LINES).collect();
    let text = lines.into_iter().rev().collect::<Vec<_>>().join(" / ");
    let start = text
        .char_indices()
        .rev()
        .nth(TAIL_CHARACTERS)
        .map_or(0, |(start, _)| start);
    text[start..].to_owned()
}

/// A port on loopback that nobody listens on now.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port on loopback")?;
    Ok(listener.local_addr()?.port())
}

/// What `PROGRAM ARGUMENTS` prints first, or `None` if there is no such program.
pub(crate) fn version(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let first: Vec<&str> = text
        .lines()
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let first = first.join(" ");
    // crane, as Debian builds it, does not know its own.
    let known = !first.contains("could not determine");
    let first = if known {
        first
    } else {
        "version unknown".into()
    };
    output.status.success().then_some(first)
}

/// The workspace's folder.
pub(crate) fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Builds wharf as users have it, and says where it is.
pub(crate) fn build_wharf() -> anyhow::Result<PathBuf> {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--package", "wharf"])
        .current_dir(workspace())
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "wharf does not build");
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(workspace().join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("cannot ask cargo for its target folder")?;
    Ok(metadata.target_directory.join("release/wharf").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_ends_when_it_is_dropped() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let running =
            Running::start(Command::new("sleep").arg("1000"), log.path(), || true).unwrap();
        let id = Pid::from_raw(i32::try_from(running.id()).unwrap()).unwrap();
        drop(running);
        assert!(rustix::process::test_kill_process(id).is_err());
    }

    #[test]
    fn a_program_that_ends_early_is_an_error() {
        let log = tempfile::NamedTempFile::new().unwrap();
        assert!(Running::start(&mut Command::new("false"), log.path(), || false).is_err());
    }
}
