//! Checks, benchmarks and torture runs of this workspace: `cargo xtask --help`.
//!
//! | command | what it does |
//! |---|---|
//! | `arrows` | fails when a crate imports one that it must not know |
//! | `bench` | measures wharf and its peers side by side, into bench/RESULTS.md |
//! | `torture` | kills, crowds, full disks and a server under load, over and over |

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal: what it prints is what it is for"
)]

mod api;
mod arrows;
mod bench;
mod http;
mod process;
mod torture;

use std::path::PathBuf;
use std::process::ExitCode;

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
    /// Measure wharf and its peers side by side.
    Bench(bench::Options),
    /// Kill wharf, crowd it, fill its disk and load its server, over and over.
    Torture(torture::Options),
    /// Fill a disk: `torture` runs this program once more for it, in a mount namespace of its own.
    #[command(hide = true)]
    FullDisk {
        /// The wharf to run.
        wharf: PathBuf,
    },
    /// Run a command and report what it took: `bench` runs this program once more for it.
    #[command(hide = true)]
    Measure {
        /// The folder whose file system is synced before the time is taken.
        #[arg(long)]
        sync: PathBuf,
        /// Where the report goes.
        #[arg(long)]
        report: PathBuf,
        /// The command.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Arrows => arrows::run(),
        Task::Bench(options) => bench::run(&options),
        Task::Torture(options) => torture::run(&options),
        Task::FullDisk { wharf } => torture::in_own_namespace(&wharf),
        Task::Measure {
            sync,
            report,
            command,
        } => bench::measure::run(&sync, &report, &command),
    }
}
