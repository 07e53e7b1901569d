//! `cargo xtask torture`: what a store must survive, done to the release build over and over.
//!
//! | module | what it does |
//! |---|---|
//! | [`kill`] | pulls from a registry that fails at random, each killed at a random moment |
//! | [`crowd`] | many processes on one store at once |
//! | [`disk`] | a disk that is full |
//! | [`engine`] | the Engine API server with two hundred clients at once, killed under that load |
//! | [`ground`] | the images, the registry, the store, and what is looked at after each step |
//!
//! Everything by chance comes from one seed, which the last line names. The moment of a kill does
//! too, but not what the processor has done by then, so a failure may need a few tries to come back.

mod crowd;
mod disk;
mod engine;
mod ground;
mod kill;

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::ensure;

use crate::process::build_wharf;

/// How many rounds of pulls go with one round of crowds.
const ROUNDS_PER_CROWD: u64 = 50;

/// How to torture.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many pulls are killed
    #[arg(long, default_value_t = 500)]
    rounds: u64,
    /// Do the same as an earlier run
    #[arg(long)]
    seed: Option<u64>,
    /// How long the server is loaded, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How often the server is killed under load
    #[arg(long, default_value_t = 50)]
    server_kills: u64,
    /// Only this part: kill, crowd, disk or engine
    #[arg(long)]
    only: Option<String>,
    /// Torture this wharf instead of building one
    #[arg(long)]
    wharf: Option<PathBuf>,
}

/// A part: its short name, its name, and what it does; it answers with what it has seen.
type Part<'a> = (&'a str, &'a str, &'a dyn Fn() -> anyhow::Result<String>);

/// Does all of it; the first thing that must not be ends it.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let wharf = options.wharf.clone().map_or_else(build_wharf, Ok)?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let seed = options.seed.unwrap_or(now.as_secs() % 1_000_000);
    let start = Instant::now();
    let mut done = Vec::new();
    let parts: [Part<'_>; 4] = [
        ("kill", "faults and kills", &|| {
            kill::run(&wharf, options.rounds, seed)
        }),
        ("crowd", "crowd", &|| {
            crowd::run(&wharf, options.rounds.div_ceil(ROUNDS_PER_CROWD), seed)
        }),
        ("disk", "full disk", &|| disk::run(&wharf)),
        ("engine", "engine", &|| {
            let load = Duration::from_secs(options.seconds);
            engine::run(&wharf, load, options.server_kills, seed)
        }),
    ];
    if let Some(only) = &options.only {
        let known = parts.iter().any(|(short, ..)| short == only);
        ensure!(
            known,
            "there is no part {only:?}: kill, crowd, disk, engine"
        );
    }
    for (short, name, part) in parts {
        if options.only.as_deref().is_some_and(|only| only != short) {
            continue;
        }
        match part() {
            Ok(told) => done.push(format!("{name}: {told}")),
            Err(error) => {
                let error = error.context(format!("{name}, with --seed {seed}"));
                return Err(error);
            }
        }
    }
    println!(
        "torture survived in {:.0?}, --seed {seed}; {}",
        start.elapsed(),
        done.join("; ")
    );
    Ok(())
}

pub(crate) use disk::in_own_namespace;
