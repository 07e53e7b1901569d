//! `cargo xtask torture`: what a store must survive, done to the release build over and over.
//!
//! | module | what it does |
//! |---|---|
//! | [`kill`] | pulls from a registry that fails at random, each killed at a random moment |
//! | [`crowd`] | many processes on one store at once |
//! | [`disk`] | a disk that is full |
//! | [`ground`] | the images, the registry, the store, and what is looked at after each step |
//!
//! Everything by chance comes from one seed, which the last line names. The moment of a kill does
//! too, but not what the processor has done by then, so a failure may need a few tries to come back.

mod crowd;
mod disk;
mod ground;
mod kill;

use std::path::PathBuf;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

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
    /// Torture this wharf instead of building one
    #[arg(long)]
    wharf: Option<PathBuf>,
}

/// Does all of it; the first thing that must not be ends it.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let wharf = options.wharf.clone().map_or_else(build_wharf, Ok)?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let seed = options.seed.unwrap_or(now.as_secs() % 1_000_000);
    let start = Instant::now();
    let mut done = Vec::new();
    let parts: [(&str, &dyn Fn() -> anyhow::Result<String>); 3] = [
        ("faults and kills", &|| {
            kill::run(&wharf, options.rounds, seed)
        }),
        ("crowd", &|| {
            crowd::run(&wharf, options.rounds.div_ceil(ROUNDS_PER_CROWD), seed)
        }),
        ("full disk", &|| disk::run(&wharf)),
    ];
    for (name, part) in parts {
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
