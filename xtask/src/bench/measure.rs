//! Wall time, processor time and peak memory of a command.
//!
//! The kernel counts into a process's peak memory what it had before its `exec`, and that is its
//! parent's memory. So commands are run by a small process of their own: this program once more,
//! with the hidden task `measure`, which has allocated next to nothing.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use wait4::Wait4 as _;

use crate::process::tail;

/// What a command took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// From its start until it had ended and what it wrote was on the disk.
    pub(crate) wall: Duration,
    /// Processor time, user and system, of it and its children.
    pub(crate) cpu: Duration,
    /// Its largest resident memory, in bytes.
    pub(crate) peak: u64,
}

/// Runs `command` and syncs the file system of `folder`, all of it timed.
///
/// What it prints goes to a file under `scratch`; the end of that is part of the error when it fails.
pub(crate) fn measure(command: &Command, folder: &Path, scratch: &Path) -> anyhow::Result<Usage> {
    let (log, report) = (scratch.join("command.log"), scratch.join("command.json"));
    let mut outer = Command::new(std::env::current_exe().context("cannot find this program")?);
    outer
        .arg("measure")
        .arg("--sync")
        .arg(folder)
        .arg("--report")
        .arg(&report)
        .arg("--");
    outer.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let status = outer
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .status()
        .context("cannot run the measuring process")?;
    if !status.success() {
        bail!("{}", tail(&log));
    }
    let report = fs::read(&report).context("the measuring process has left no report")?;
    serde_json::from_slice(&report).context("the measuring process has left a bad report")
}

/// The task `measure`: what [`measure`] starts.
pub(crate) fn run(sync: &Path, report: &Path, command: &[String]) -> anyhow::Result<()> {
    let (program, arguments) = command.split_first().context("no command was given")?;
    let folder = File::open(sync).with_context(|| format!("cannot open {}", sync.display()))?;
    let start = Instant::now();
    let child = Command::new(program)
        .args(arguments)
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    let used = child
        .wait4()
        .with_context(|| format!("cannot wait for {program}"))?;
    rustix::fs::syncfs(&folder).context("cannot sync the disk")?;
    let wall = start.elapsed();
    if !used.status.success() {
        bail!("{}", used.status);
    }
    let cpu = used.rusage.utime + used.rusage.stime;
    let usage = Usage {
        wall,
        cpu,
        peak: used.rusage.maxrss,
    };
    fs::write(report, serde_json::to_vec(&usage)?)
        .with_context(|| format!("cannot write {}", report.display()))
}

/// The wall time of a short command, without any sync: it is durable by itself or it is not.
pub(crate) fn wall(command: &mut Command) -> anyhow::Result<Duration> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let start = Instant::now();
    let status = command
        .status()
        .with_context(|| format!("cannot run {command:?}"))?;
    let wall = start.elapsed();
    if !status.success() {
        bail!("{command:?} failed: {status}");
    }
    Ok(wall)
}

/// The time in the middle; of an even number of times, the mean of the two.
pub(crate) fn median_time(times: &[Duration]) -> Option<Duration> {
    let mut sorted = times.to_vec();
    sorted.sort();
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some((lower + upper) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_one_in_the_middle() {
        let ms = Duration::from_millis;
        assert_eq!(median_time(&[ms(9), ms(1), ms(2)]), Some(ms(2)));
        assert_eq!(median_time(&[ms(9), ms(1), ms(2), ms(4)]), Some(ms(3)));
        assert_eq!(median_time(&[]), None);
    }

    #[test]
    fn a_failed_command_is_an_error() {
        assert!(wall(&mut Command::new("false")).is_err());
        assert!(wall(&mut Command::new("true")).is_ok());
    }

    #[test]
    fn reports_what_a_command_took() {
        let folder = tempfile::tempdir().unwrap();
        let report = folder.path().join("report");
        run(folder.path(), &report, &["true".into()]).unwrap();
        let usage: Usage = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
        assert!(usage.peak > 100_000 && usage.wall > Duration::ZERO);
    }
}
