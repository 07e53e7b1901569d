//! Who pulls: wharf and its peers, each by its own command into a folder that is empty before.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use rustix::mount::{UnmountFlags, unmount};

use super::aside;
use super::docker::Docker;
use super::measure::{Usage, measure};
use crate::process::version;

/// Signs nothing, trusts everything: skopeo and podman refuse to start without a policy.
const POLICY: &str = r#"{"default":[{"type":"insecureAcceptAnything"}]}"#;

/// podman looks for its network helper before it pulls; it is never run.
const PODMAN_HELPER: &str = "netavark";

/// What every contender needs to know.
pub(crate) struct Ground {
    /// The folder for targets, settings and logs; all on one file system.
    pub(crate) folder: PathBuf,
    /// The image to pull: `127.0.0.1:PORT/NAME:TAG`.
    pub(crate) image: String,
    /// The wharf to measure.
    pub(crate) wharf: PathBuf,
}

impl Ground {
    /// Prepares the settings that wharf and its peers read.
    pub(crate) fn prepare(self) -> anyhow::Result<Self> {
        fs::create_dir_all(self.folder.join("home")).context("cannot make the bench's folder")?;
        fs::write(self.folder.join("policy.json"), POLICY)?;
        let helpers = self.folder.join("helpers");
        fs::create_dir_all(&helpers)?;
        fs::write(helpers.join(PODMAN_HELPER), "#!/bin/sh\n")?;
        fs::set_permissions(
            helpers.join(PODMAN_HELPER),
            fs::Permissions::from_mode(0o755),
        )?;
        let podman = format!("[engine]\nhelper_binaries_dir = [{helpers:?}]\n");
        fs::write(self.folder.join("podman.conf"), podman)?;
        for verify in ["digest", "full"] {
            let settings = format!("[pull]\nverify = \"{verify}\"\n");
            fs::write(self.folder.join(format!("{verify}.toml")), settings)?;
        }
        Ok(self)
    }

    /// A wharf that works on a store of its own.
    pub(crate) fn command(&self, store: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.wharf);
        command
            .env("WHARF_ROOT", store)
            .env("WHARF_CONFIG", self.file("full.toml"))
            .env("HOME", self.folder.join("home"))
            .args(arguments);
        command
    }

    fn file(&self, name: &str) -> OsString {
        self.folder.join(name).into()
    }

    /// An empty folder, with nothing left to be written to the disk.
    pub(crate) fn empty(&self, name: &str) -> anyhow::Result<PathBuf> {
        let target = self.folder.join("target").join(name);
        if target.exists() {
            unmount_below(&target)?;
            aside::clear(&target, &self.folder)?;
        }
        fs::create_dir_all(&target)?;
        rustix::fs::syncfs(fs::File::open(&target)?).context("cannot sync the disk")?;
        Ok(target)
    }
}

/// Ends the mounts that podman leaves over its own folder.
fn unmount_below(folder: &Path) -> anyhow::Result<()> {
    // proc(5): the mount point is field 5.
    for line in fs::read_to_string("/proc/self/mountinfo")?.lines() {
        let place = line.split(' ').nth(4).map(Path::new);
        if let Some(place) = place.filter(|place| place.starts_with(folder)) {
            unmount(place, UnmountFlags::DETACH)
                .with_context(|| format!("cannot unmount {}", place.display()))?;
        }
    }
    Ok(())
}

/// Somebody who can pull an image.
pub(crate) struct Contender {
    /// Its name in the tables.
    pub(crate) name: &'static str,
    /// Its version, as it prints it.
    pub(crate) version: String,
    /// Does it unpack the layers, and take so long that fewer rounds must do?
    pub(crate) unpacks: bool,
    how: How,
}

enum How {
    /// A command that pulls into a folder.
    Command(fn(&Ground, &Path) -> Command),
    /// A daemon.
    Docker(Docker),
}

impl Contender {
    /// Pulls the image into an empty place, and says what that took.
    pub(crate) fn pull(&mut self, ground: &Ground) -> anyhow::Result<Usage> {
        match &mut self.how {
            How::Docker(docker) => docker.pull(ground),
            How::Command(command) => {
                let target = ground.empty(self.name)?;
                let mut command = command(ground, &target);
                command.env("HOME", ground.folder.join("home"));
                measure(&command, &ground.folder, &ground.folder)
            }
        }
    }

    /// Frees what the last pull has left.
    pub(crate) fn clean(&mut self, ground: &Ground) -> anyhow::Result<()> {
        match &self.how {
            How::Docker(_) => Ok(()),
            How::Command(_) => ground.empty(self.name).map(drop),
        }
    }

    /// The daemon, if it is one.
    pub(crate) fn docker(&self) -> Option<&Docker> {
        match &self.how {
            How::Docker(docker) => Some(docker),
            How::Command(_) => None,
        }
    }
}

/// Everybody who is here, wharf first; and who is missing, and why.
pub(crate) fn find(ground: &Ground) -> (Vec<Contender>, Vec<String>) {
    let mut here = Vec::new();
    let mut missing = Vec::new();
    let wharf_version = version(&ground.wharf.to_string_lossy(), &["--version"]);
    let mut add = |name, found: Option<String>, unpacks, command| match found {
        Some(version) => here.push(Contender {
            name,
            version,
            unpacks,
            how: How::Command(command),
        }),
        None => missing.push(format!("{name}: not in PATH")),
    };
    add(
        "wharf, verify = digest",
        wharf_version.clone(),
        false,
        wharf_digest,
    );
    add("wharf, verify = full", wharf_version, false, wharf_full);
    add("skopeo", version("skopeo", &["--version"]), false, skopeo);
    add("crane", version("crane", &["version"]), false, crane);
    add("oras", version("oras", &["version"]), false, oras);
    add("podman", version("podman", &["--version"]), true, podman);
    match Docker::start(&ground.folder) {
        Ok(docker) => here.push(Contender {
            name: "docker",
            version: docker.version.clone(),
            unpacks: true,
            how: How::Docker(docker),
        }),
        Err(error) => missing.push(format!("docker: {error:#}")),
    }
    (here, missing)
}

fn wharf_digest(ground: &Ground, target: &Path) -> Command {
    wharf(ground, target, "digest.toml")
}

fn wharf_full(ground: &Ground, target: &Path) -> Command {
    wharf(ground, target, "full.toml")
}

fn wharf(ground: &Ground, target: &Path, settings: &str) -> Command {
    let mut command = Command::new(&ground.wharf);
    command
        .env("WHARF_ROOT", target.join("store"))
        .env("WHARF_CONFIG", ground.file(settings));
    command.args(["pull", &ground.image]);
    command
}

fn skopeo(ground: &Ground, target: &Path) -> Command {
    let mut command = Command::new("skopeo");
    command.arg("--policy").arg(ground.file("policy.json"));
    command.args(["copy", "--quiet", "--src-tls-verify=false"]);
    command.arg(format!("docker://{}", ground.image));
    command.arg(format!("oci:{}:1", target.join("layout").display()));
    command
}

fn crane(ground: &Ground, target: &Path) -> Command {
    let mut command = Command::new("crane");
    command.args(["pull", "--insecure", "--format=oci", &ground.image]);
    command.arg(target.join("layout"));
    command
}

fn oras(ground: &Ground, target: &Path) -> Command {
    let mut command = Command::new("oras");
    command.args([
        "copy",
        "--no-tty",
        "--from-plain-http",
        "--to-oci-layout",
        &ground.image,
    ]);
    command.arg(format!("{}:1", target.join("layout").display()));
    command
}

fn podman(ground: &Ground, target: &Path) -> Command {
    let mut command = Command::new("podman");
    command.env("CONTAINERS_CONF", ground.file("podman.conf"));
    command
        .arg("--root")
        .arg(target.join("root"))
        .arg("--runroot")
        .arg(target.join("run"));
    command.args([
        "--storage-driver",
        "overlay",
        "pull",
        "--quiet",
        "--tls-verify=false",
    ]);
    command
        .arg("--signature-policy")
        .arg(ground.file("policy.json"))
        .arg(&ground.image);
    command
}
