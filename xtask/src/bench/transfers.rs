//! Whole images in and out: save, load, push, unpack; and looks into one: ls, diff, cat.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use super::archive::Archive;
use super::docker::Docker;
use super::image::{Image, TAG};
use super::in_turn;
use super::measure::{Usage, measure};
use super::peers::Ground;
use super::registry::Registry;
use super::report::Runs;
use crate::process::version;

/// How often those run that take ten times as long as the others.
const SLOW_ROUNDS: usize = 2;
/// What the image is called in the archive, and in Docker.
pub(crate) const NAME: &str = "bench/usr:1";

/// Everything the jobs need.
pub(crate) struct Stage<'a> {
    pub(crate) ground: &'a Ground,
    pub(crate) image: &'a Image,
    pub(crate) archive: &'a Archive,
    /// The image without its last layer, in the registry.
    pub(crate) shorter: &'a str,
    pub(crate) docker: Option<&'a Docker>,
}

/// Prepares what it needs, and measures.
type Once<'a> = Box<dyn Fn() -> anyhow::Result<Usage> + 'a>;

/// Something that is measured, over and over.
struct Job<'a> {
    runs: Runs,
    slow: bool,
    once: Once<'a>,
}

/// Runs every job in turn, round after round, back and forth.
pub(crate) fn run(stage: &Stage<'_>, rounds: usize) -> anyhow::Result<Vec<Runs>> {
    let store = stage.ground.empty("transfers")?;
    stage.wharf(&store, &["pull", "--quiet", &stage.ground.image])?;
    stage.wharf(&store, &["pull", "--quiet", stage.shorter])?;
    let mut jobs = stage.wharf_jobs(&store);
    jobs.extend(stage.pushing_peers());
    jobs.extend(stage.unpacking_peers());
    if let Some(docker) = stage.docker {
        jobs.extend(stage.docker_jobs(docker));
    }
    for round in 0..rounds {
        for job in in_turn(round, jobs.iter_mut()) {
            if job.runs.failure.is_some() || (job.slow && round >= SLOW_ROUNDS) {
                continue;
            }
            let (what, name) = (job.runs.what, job.runs.name);
            match (job.once)() {
                Ok(usage) => {
                    println!("round {}, {what}, {name}: {:.2?}", round + 1, usage.wall);
                    job.runs.rounds.push(usage);
                }
                Err(error) if name == "wharf" => return Err(error.context(what)),
                Err(error) => {
                    println!("round {}, {what}, {name}: {error:#}", round + 1);
                    job.runs.failure = Some(format!("{error:#}"));
                }
            }
        }
    }
    stage.ground.empty("transfers")?;
    let mut runs: Vec<Runs> = jobs.into_iter().map(|job| job.runs).collect();
    // One kind of work beneath the other; wharf is the first of each.
    let order = ["save", "load", "push", "unpack", "ls -R", "diff", "cat"];
    runs.sort_by_key(|runs| order.iter().position(|what| *what == runs.what));
    Ok(runs)
}

impl<'a> Stage<'a> {
    fn wharf_jobs(&'a self, store: &'a Path) -> Vec<Job<'a>> {
        let ground = self.ground;
        let image = ground.image.as_str();
        let version = version(&ground.wharf.to_string_lossy(), &["--version"]);
        let small = format!("{image}:/{}", self.archive.small_file);
        let job = |what, once: Once<'a>| Job {
            runs: Runs::new(what, "wharf", version.clone().unwrap_or_default()),
            slow: false,
            once,
        };
        let timed = move |store: &Path, arguments: &[&str]| {
            measure(
                &ground.command(store, arguments),
                &ground.folder,
                &ground.folder,
            )
        };
        vec![
            job(
                "save",
                Box::new(move || {
                    let out = ground.empty("out")?.join("saved.tar");
                    timed(store, &["save", "-o", &text(&out), image])
                }),
            ),
            job(
                "load",
                Box::new(move || {
                    timed(
                        &ground.empty("loaded")?,
                        &["load", "-i", &text(&self.archive.path)],
                    )
                }),
            ),
            job(
                "push",
                Box::new(move || {
                    let registry = Registry::start(&ground.empty("pushed")?, &ground.wharf)?;
                    let target = format!("{}/{NAME}", registry.address);
                    self.wharf(store, &["tag", image, &target])?;
                    let usage = timed(store, &["push", "--quiet", &target]);
                    self.wharf(store, &["rmi", &target])?;
                    usage
                }),
            ),
            job(
                "unpack",
                Box::new(move || {
                    let out = ground.empty("out")?.join("rootfs");
                    timed(store, &["unpack", image, &text(&out)])
                }),
            ),
            job(
                "ls -R",
                Box::new(move || timed(store, &["ls", "-R", image])),
            ),
            job(
                "diff",
                Box::new(move || timed(store, &["diff", self.shorter, image])),
            ),
            job("cat", Box::new(move || timed(store, &["cat", &small]))),
        ]
    }

    /// Measures a peer's command.
    fn timed(&self, mut command: Command) -> anyhow::Result<Usage> {
        let folder = &self.ground.folder;
        command.env("HOME", folder.join("home"));
        measure(&command, folder, folder)
    }

    fn pushing_peers(&'a self) -> Vec<Job<'a>> {
        let ground = self.ground;
        let layout = format!("oci:{}:{TAG}", self.image.layout.display());
        let skopeo = job(
            "push",
            "skopeo",
            &["--version"],
            false,
            Box::new(move || {
                let registry = Registry::start(&ground.empty("pushed")?, &ground.wharf)?;
                let mut command = Command::new("skopeo");
                command
                    .arg("--policy")
                    .arg(ground.folder.join("policy.json"));
                command.args(["copy", "--quiet", "--dest-tls-verify=false", &layout]);
                command.arg(format!("docker://{}/{NAME}", registry.address));
                self.timed(command)
            }),
        );
        let crane = job(
            "push",
            "crane",
            &["version"],
            false,
            Box::new(move || {
                let registry = Registry::start(&ground.empty("pushed")?, &ground.wharf)?;
                let mut command = Command::new("crane");
                command
                    .arg("push")
                    .arg("--insecure")
                    .arg(&self.image.layout);
                command.arg(format!("{}/{NAME}", registry.address));
                self.timed(command)
            }),
        );
        skopeo.into_iter().chain(crane).collect()
    }

    fn unpacking_peers(&'a self) -> Vec<Job<'a>> {
        let ground = self.ground;
        let umoci = job(
            "unpack",
            "umoci",
            &["--version"],
            true,
            Box::new(move || {
                let out = ground.empty("out")?.join("bundle");
                let mut command = Command::new("umoci");
                command.args(["unpack", "--image"]);
                command
                    .arg(format!("{}:{TAG}", self.image.layout.display()))
                    .arg(&out);
                if !rustix::process::geteuid().is_root() {
                    command.arg("--rootless");
                }
                self.timed(command)
            }),
        );
        let tar = job(
            "unpack",
            "tar -x",
            &["--version"],
            false,
            Box::new(move || {
                let out = ground.empty("out")?;
                let mut command = Command::new("sh");
                command.args([
                    "-ec",
                    r#"cd "$1"; shift; for l; do tar -xpf "$l"; done"#,
                    "sh",
                ]);
                command.arg(&out).args(self.image.layer_files()?);
                self.timed(command)
            }),
        );
        umoci.into_iter().chain(tar).collect()
    }

    fn docker_jobs(&'a self, docker: &'a Docker) -> Vec<Job<'a>> {
        let ground = self.ground;
        let job = |what, once: Once<'a>| Job {
            runs: Runs::new(what, "docker", docker.version.clone()),
            slow: true,
            once,
        };
        // In this order in the first round: what is loaded is saved and pushed.
        vec![
            job(
                "load",
                Box::new(move || {
                    docker.begin_anew()?;
                    docker.measured(ground, &["load", "-q", "-i", &text(&self.archive.path)])
                }),
            ),
            job(
                "save",
                Box::new(move || {
                    let out = ground.empty("out")?.join("saved.tar");
                    docker.measured(ground, &["save", "-o", &text(&out), NAME])
                }),
            ),
            job(
                "push",
                Box::new(move || {
                    let registry = Registry::start(&ground.empty("pushed")?, &ground.wharf)?;
                    let target = format!("{}/{NAME}", registry.address);
                    docker.run(&["tag", NAME, &target])?;
                    docker.measured(ground, &["push", "--quiet", &target])
                }),
            ),
        ]
    }

    /// Runs wharf to its end, unmeasured.
    fn wharf(&self, store: &Path, arguments: &[&str]) -> anyhow::Result<()> {
        let output = self.ground.command(store, arguments).output()?;
        let words = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(
            output.status.success(),
            "wharf {arguments:?}: {}",
            words.trim()
        );
        Ok(())
    }
}

/// A peer's job, if that peer is here. Its name begins with its program.
fn job<'a>(
    what: &'static str,
    who: &'static str,
    ask: &[&str],
    slow: bool,
    once: Once<'a>,
) -> Option<Job<'a>> {
    let version = version(who.split(' ').next()?, ask)?;
    Some(Job {
        runs: Runs::new(what, who, version),
        slow,
        once,
    })
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// The image without its last layer, as a second one in the same layout.
pub(crate) fn shorter(image: &Image) -> anyhow::Result<Image> {
    let blobs = image.layout.join("blobs/sha256");
    let read = |name: &str| -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::from_slice(&fs::read(blobs.join(name))?)?)
    };
    let mut manifest = read(image.manifest.digest.hex())?;
    let digest = manifest["config"]["digest"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let mut config = read(digest.trim_start_matches("sha256:"))?;
    config["rootfs"]["diff_ids"]
        .as_array_mut()
        .context("no diff IDs")?
        .pop();
    if let Some(history) = config["history"].as_array_mut() {
        history.pop();
    }
    manifest["layers"]
        .as_array_mut()
        .context("no layers")?
        .pop();
    image.with(&config, manifest)
}
