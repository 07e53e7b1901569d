//! Docker with a daemon of its own: no networks, an own data folder and socket.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use tempfile::TempDir;

use super::measure::Usage;
use super::peers::Ground;
use crate::process::{Running, memory, version};

/// The kernel counts processor time in these: `USER_HZ`, 100 on every Linux that runs Docker.
const TICKS_PER_SECOND: u64 = 100;

/// A daemon that ends when this is dropped.
pub(crate) struct Docker {
    /// The daemon's version.
    pub(crate) version: String,
    socket: String,
    /// Holds the folders with the images: one for each start.
    folder: PathBuf,
    containerd: bool,
    daemon: Mutex<Daemon>,
    /// Holds the socket and the log; goes after the daemon.
    short: TempDir,
}

#[derive(Default)]
struct Daemon {
    starts: usize,
    running: Option<Running>,
}

impl Docker {
    /// Starts a daemon with an empty image store, the classic one.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        Self::start_with(folder, false)
    }

    /// Starts a daemon with an empty image store, the classic one or containerd's.
    pub(crate) fn start_with(folder: &Path, containerd: bool) -> anyhow::Result<Self> {
        let Some(version) = version("dockerd", &["--version"]) else {
            bail!("not in PATH")
        };
        ensure!(rustix::process::geteuid().is_root(), "dockerd needs root");
        // A socket's path may have 108 bytes; the workspace's may have more.
        let short = tempfile::Builder::new().prefix("bench-").tempdir()?;
        let docker = Self {
            version,
            socket: format!("unix://{}/docker.sock", short.path().display()),
            folder: folder.join("docker"),
            containerd,
            daemon: Mutex::default(),
            short,
        };
        docker.begin_anew()?;
        Ok(docker)
    }

    /// Ends the daemon, and starts one that has no image. What the one before had stays on the disk: see
    /// [`super::aside`].
    pub(crate) fn begin_anew(&self) -> anyhow::Result<()> {
        let mut daemon = self.daemon.lock().unwrap_or_else(PoisonError::into_inner);
        daemon.running = None;
        daemon.starts += 1;
        let data = self.folder.join(daemon.starts.to_string());
        fs::create_dir_all(&data)?;
        let short = self.short.path();
        let mut command = Command::new("dockerd");
        command.arg("--data-root").arg(data);
        command.arg("--exec-root").arg(short.join("exec"));
        command.arg("--pidfile").arg(short.join("pid"));
        command.args(["--iptables=false", "--ip6tables=false", "--bridge=none"]);
        // No container publishes a port here, and not every package puts the proxy into PATH.
        command.arg("--userland-proxy=false");
        let feature = format!("containerd-snapshotter={}", self.containerd);
        command.args(["--feature", &feature, "-H", &self.socket]);
        let ready = || {
            let mut ping = Command::new("docker");
            ping.args(["-H", &self.socket, "version"])
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            ping.status().is_ok_and(|status| status.success())
        };
        daemon.running = Some(Running::start(&mut command, &short.join("log"), ready)?);
        Ok(())
    }

    /// The daemon's process ID.
    pub(crate) fn id(&self) -> u32 {
        let daemon = self.daemon.lock().unwrap_or_else(PoisonError::into_inner);
        // There is none only if it could not be started anew; process 0 has no figures to read.
        daemon.running.as_ref().map_or(0, Running::id)
    }

    /// Where the daemon's API is.
    pub(crate) fn socket_path(&self) -> PathBuf {
        self.short.path().join("docker.sock")
    }

    /// A docker command that talks to this daemon.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(["-H", &self.socket]).args(arguments);
        command.env("DOCKER_CONFIG", self.short.path());
        command
    }

    /// Runs a docker command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let output = self.command(arguments).stdin(Stdio::null()).output()?;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "docker {} failed: {}",
            arguments.join(" "),
            words.trim()
        );
        Ok(())
    }

    /// Pulls an image that isn't here.
    pub(crate) fn pull(&self, ground: &Ground) -> anyhow::Result<Usage> {
        self.begin_anew()?;
        self.measured(ground, &["pull", "--quiet", &ground.image])
    }

    /// Runs a command. Processor time and memory are the daemon's: it does the work.
    pub(crate) fn measured(&self, ground: &Ground, arguments: &[&str]) -> anyhow::Result<Usage> {
        // proc(5): 5 resets the peak of the resident memory.
        fs::write(format!("/proc/{}/clear_refs", self.id()), "5")?;
        let disk = fs::File::open(&ground.folder)?;
        rustix::fs::syncfs(&disk)?;
        let (start, cpu) = (Instant::now(), self.cpu()?);
        self.run(arguments)?;
        rustix::fs::syncfs(&disk)?;
        Ok(Usage {
            wall: start.elapsed(),
            cpu: self.cpu()? - cpu,
            peak: self.peak()?,
        })
    }

    fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        // proc(5): after the name in parentheses come the state as field 3, utime to cstime as 14 to 17.
        let fields: Vec<&str> = stat
            .rsplit(") ")
            .next()
            .unwrap_or_default()
            .split(' ')
            .collect();
        let ticks = fields.get(11..15).context("a short /proc/PID/stat")?;
        let ticks: u64 = ticks
            .iter()
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
    }

    fn peak(&self) -> anyhow::Result<u64> {
        memory(self.id(), "VmHWM")
    }
}
