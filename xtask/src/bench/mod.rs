//! `cargo xtask bench`: wharf and its peers side by side in one run, written to bench/RESULTS.md.
//!
//! | module | what it holds |
//! |---|---|
//! | [`image`] | the image, made out of the machine's own /usr |
//! | [`registry`] | who serves it |
//! | [`peers`], [`docker`] | who pulls it |
//! | [`aside`] | what is removed only when everything is measured |
//! | [`archive`] | the image as a docker-archive |
//! | [`transfers`] | whole images in and out of the store, and looks into one |
//! | [`commands`] | short commands on large stores |
//! | [`prune`] | removing the images of a large store |
//! | [`engine`] | the Engine API, over sockets |
//! | [`measure`] | wall time, processor time and memory of a command |
//! | [`report`] | the tables, and which targets are met |

mod archive;
mod aside;
mod commands;
mod docker;
mod engine;
mod image;
pub(crate) mod measure;
mod peers;
mod prune;
mod registry;
mod report;
mod transfers;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::process::{build_wharf, workspace};
use peers::{Contender, Ground};
use registry::Registry;
use report::{Results, Runs};

/// The image's size unpacked, in bytes: more than 1 GB, as promised.
const SIZE: u64 = 1_130_000_000;
/// The same for a quick look at whether everything works.
const SMALL_SIZE: u64 = 40_000_000;
/// Its layers.
const LAYERS: usize = 7;
/// The size of the image that has many names, where the image itself does not count.
const NAMED_SIZE: u64 = 100_000;
/// How often those pull that unpack; one pull of theirs takes as long as thirty of the others'.
const UNPACKING_ROUNDS: usize = 2;

/// How to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often each one pulls
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How often each short command runs
    #[arg(long, default_value_t = 60)]
    runs: usize,
    /// A small image, two rounds, the report to stdout: does everything work?
    #[arg(long)]
    quick: bool,
    /// Only the Engine API; its section of the report is written anew
    #[arg(long)]
    only_engine: bool,
    /// Only prunes of large stores; the report goes to stdout
    #[arg(long, conflicts_with = "only_engine")]
    only_prune: bool,
    /// Measure this wharf instead of building one
    #[arg(long)]
    wharf: Option<PathBuf>,
}

/// Measures everything, and writes the report.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let work = workspace().join("bench/work");
    fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    let wharf = options.wharf.clone().map_or_else(build_wharf, Ok)?;
    let (size, folder) = if options.quick {
        (SMALL_SIZE, "usr-small")
    } else {
        (SIZE, "usr-large")
    };
    aside::begin(
        &work,
        options.quick || options.only_engine || options.only_prune,
    )?;
    if options.only_prune {
        return only_prune(options, &work, wharf);
    }
    if options.only_engine {
        return only_engine(options, &work, wharf);
    }
    everything(options, &work, wharf, (size, folder))
}

/// Measures with an image of this size, made in this folder.
fn everything(
    options: &Options,
    work: &Path,
    wharf: PathBuf,
    (size, folder): (u64, &str),
) -> anyhow::Result<()> {
    println!("making the image");
    let image = image::prepare(&work.join(folder), size, LAYERS)?;
    let named = image::prepare(&work.join("usr-named"), NAMED_SIZE, 1)?;
    let registry = Registry::start(&work.join("registry"), &wharf)?;
    let pulled = registry.push(&image, "bench/usr")?;
    let named = registry.push(&named, "bench/named")?;
    let shorter = registry.push(&transfers::shorter(&image)?, "bench/shorter")?;
    let archive = archive::prepare(&image, transfers::NAME)?;
    let folder = work.join(aside::RUN);
    let ground = Ground {
        folder: folder.clone(),
        image: pulled,
        wharf: wharf.clone(),
    }
    .prepare()?;
    let (mut contenders, missing) = peers::find(&ground);
    let (rounds, runs) = if options.quick {
        (2, 10)
    } else {
        (options.rounds, options.runs)
    };
    let pulls = pull(&mut contenders, &ground, rounds)?;
    let works = |name| pulls.iter().any(|p| p.name == name && p.failure.is_none());
    let docker = contenders
        .iter()
        .filter(|c| works(c.name))
        .find_map(Contender::docker);
    println!("in, out and looking");
    let stage = transfers::Stage {
        ground: &ground,
        image: &image,
        archive: &archive,
        shorter: &shorter,
        docker,
    };
    let transfers = transfers::run(&stage, rounds)?;
    println!("short commands");
    let ground = Ground {
        folder,
        image: named,
        wharf,
    };
    let commands = commands::run(&ground, docker, options.quick, runs)?;
    drop(contenders);
    println!("prunes");
    let prune = prune::run(&ground, options.quick)?;
    println!("the engine API");
    let engine = engine::run(&ground, options.quick, rounds)?;
    let results = Results {
        image,
        registry: registry.software.clone(),
        pulls,
        transfers,
        missing,
        commands,
        prune: Some(prune),
        engine: Some(engine),
    };
    aside::end(work)?;
    publish(&results.to_markdown(), options.quick)
}

/// Shows the report, and keeps it unless its figures mean nothing.
fn publish(report: &str, quick: bool) -> anyhow::Result<()> {
    println!("\n{report}");
    if !quick {
        let path = workspace().join("bench/RESULTS.md");
        fs::write(&path, report).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The Engine API's part alone.
fn only_engine(options: &Options, work: &Path, wharf: PathBuf) -> anyhow::Result<()> {
    let ground = Ground {
        folder: work.join(aside::RUN),
        image: String::new(),
        wharf,
    }
    .prepare()?;
    let rounds = if options.quick { 2 } else { options.rounds };
    let section = engine::run(&ground, options.quick, rounds)?;
    aside::end(work)?;
    println!("\n{}", section.to_markdown());
    if options.quick {
        return Ok(());
    }
    engine::replace(&section, &workspace().join("bench/RESULTS.md"))
}

/// The prunes alone.
fn only_prune(options: &Options, work: &Path, wharf: PathBuf) -> anyhow::Result<()> {
    let ground = Ground {
        folder: work.join(aside::RUN),
        image: String::new(),
        wharf,
    }
    .prepare()?;
    let section = prune::run(&ground, options.quick)?;
    aside::end(work)?;
    println!("\n{}", section.to_markdown());
    for target in section.targets() {
        println!("{}", target.row());
    }
    Ok(())
}

/// Everybody pulls, in turn, round after round: back and forth, so that nobody always comes after the same one, who
/// may have left the disk with work to do.
fn pull(contenders: &mut [Contender], ground: &Ground, rounds: usize) -> anyhow::Result<Vec<Runs>> {
    let mut all: Vec<Runs> = contenders
        .iter()
        .map(|c| Runs::new("pull", c.name, c.version.clone()))
        .collect();
    for round in 0..rounds {
        for (contender, pulls) in in_turn(round, contenders.iter_mut().zip(&mut all)) {
            if pulls.failure.is_some() || (contender.unpacks && round >= UNPACKING_ROUNDS) {
                continue;
            }
            match contender.pull(ground) {
                Ok(usage) => {
                    println!(
                        "round {}, {}: {:.2?}",
                        round + 1,
                        contender.name,
                        usage.wall
                    );
                    pulls.rounds.push(usage);
                }
                // A peer that does not work here is a line in the table; wharf has to.
                Err(error) if contender.name.starts_with("wharf") => return Err(error),
                Err(error) => {
                    println!("round {}, {}: {error:#}", round + 1, contender.name);
                    pulls.failure = Some(format!("{error:#}"));
                }
            }
            contender.clean(ground)?;
        }
    }
    Ok(all)
}

/// All of them, in every other round from the last to the first.
fn in_turn<T>(round: usize, all: impl Iterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = all.collect();
    if round % 2 == 1 {
        all.reverse();
    }
    all
}
