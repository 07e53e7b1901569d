//! Short commands on large stores: `tag`, `images -q`, `--version`; with docker beside them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use wharf_core::Reference;
use wharf_store::Store;

use super::docker::Docker;
use super::measure::{median_time, wall};
use super::peers::Ground;

/// How many names docker gets: one takes it 16 ms, so more would take longer than everything else.
const DOCKER_NAMES: usize = 1_000;

/// A command, and how long it took, run after run.
pub(crate) struct Timed {
    /// What it is, for the table.
    pub(crate) what: &'static str,
    /// Who ran it.
    pub(crate) who: &'static str,
    /// On how many names.
    pub(crate) names: usize,
    /// One time for each run.
    pub(crate) times: Vec<Duration>,
}

impl Timed {
    /// The time in the middle.
    pub(crate) fn median(&self) -> Duration {
        median_time(&self.times).unwrap_or_default()
    }
}

/// One row to measure, and the command for its nth run.
struct Row<'a> {
    timed: Timed,
    command: Box<dyn Fn(usize) -> Command + 'a>,
}

/// Runs every command `runs` times, one after the other in turn, so that whatever else the machine
/// does meets them all.
pub(crate) fn run(
    ground: &Ground,
    docker: Option<&Docker>,
    small: bool,
    runs: usize,
) -> anyhow::Result<Vec<Timed>> {
    let (few, many) = if small {
        (1_000, 2_000)
    } else {
        (1_000, 100_000)
    };
    let mut rows = Vec::new();
    for names in [few, many] {
        let store = store(ground, "tag", names)?;
        rows.push(row("tag", "wharf", names, move |run| {
            wharf(
                ground,
                &store,
                &["tag", "bench/name-0:1", &format!("bench/run-{run}:1")],
            )
        }));
    }
    for names in [100, if small { 1_000 } else { 10_000 }] {
        let store = store(ground, "list", names)?;
        let command = move |_| wharf(ground, &store, &["images", "-q"]);
        rows.push(row("images -q", "wharf", names, command));
    }
    let nowhere = ground.empty("nothing")?;
    rows.push(row("--version", "wharf", 0, move |_| {
        wharf(ground, &nowhere, &["--version"])
    }));
    if let Some(docker) = docker {
        rows.extend(docker_rows(ground, docker)?);
    }
    for run in 0..=runs {
        for row in &mut rows {
            let time = wall(&mut (row.command)(run))?;
            // The first one only warms up.
            if run > 0 {
                row.timed.times.push(time);
            }
        }
    }
    Ok(rows.into_iter().map(|row| row.timed).collect())
}

fn row<'a>(
    what: &'static str,
    who: &'static str,
    names: usize,
    command: impl Fn(usize) -> Command + 'a,
) -> Row<'a> {
    Row {
        timed: Timed {
            what,
            who,
            names,
            times: Vec::new(),
        },
        command: Box::new(command),
    }
}

fn wharf(ground: &Ground, store: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(&ground.wharf);
    command
        .env("WHARF_ROOT", store)
        .env("HOME", ground.folder.join("home"));
    command
        .env("WHARF_CONFIG", ground.folder.join("digest.toml"))
        .args(arguments);
    command
}

/// A store with one small image that has `names` names.
///
/// The image is pulled, as users do it. Its names are set in one transaction through the
/// store's own interface: with a hundred thousand commands this would take ten minutes.
fn store(ground: &Ground, purpose: &str, names: usize) -> anyhow::Result<PathBuf> {
    let root = ground.empty(&format!("{purpose}-{names}"))?;
    let output = wharf(ground, &root, &["pull", "--quiet", &ground.image]).output()?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "wharf pull failed: {}",
        words.trim()
    );
    let reference: Reference = ground.image.parse()?;
    Store::open(&root)?.write(|rows| {
        let name = rows
            .name(&reference)?
            .context("the image that was pulled has no name")?;
        for number in 0..names - 1 {
            let target: Reference = format!("bench/name-{number}:1").parse()?;
            rows.set_name(&target, &name.target, name.image.as_ref())?;
        }
        anyhow::Ok(())
    })?;
    Ok(root)
}

fn docker_rows<'a>(ground: &'a Ground, docker: &'a Docker) -> anyhow::Result<Vec<Row<'a>>> {
    docker.begin_anew()?;
    docker.run(&["pull", "--quiet", &ground.image])?;
    let image = ground.image.as_str();
    for number in 1..DOCKER_NAMES {
        docker.run(&["tag", image, &format!("bench/name-{number}:1")])?;
    }
    Ok(vec![
        row("tag", "docker", DOCKER_NAMES, move |run| {
            docker.command(&["tag", image, &format!("bench/run-{run}:1")])
        }),
        row("images -q", "docker", DOCKER_NAMES, |_| {
            docker.command(&["images", "-q"])
        }),
        row("--version", "docker", 0, |_| docker.command(&["--version"])),
    ])
}
