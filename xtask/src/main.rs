//! Checks, benchmarks and torture runs of this workspace: `cargo xtask --help`.
//!
//! | command | what it does |
//! |---|---|
//! | `arrows` | fails when a crate imports one that it must not know |

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal: what it prints is what it is for"
)]

mod arrows;

use clap::{Parser, Subcommand};

/// Checks, benchmarks and torture runs of the wharf workspace.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check that no crate imports one that it must not know.
    Arrows,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Arrows => arrows::run(),
    }
}
