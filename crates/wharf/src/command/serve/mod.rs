//! `wharf serve`: images for others, as Docker's engine or as a registry.

mod engine;
mod registry;

use clap::Subcommand;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use wharf_server::serve::{HostNames, Limits};

use crate::context::Context;
use crate::exit::{Failure, Result};

pub(super) use registry::{address, listen};

/// How to serve.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the Docker Engine API for images
    #[command(override_usage = "[OPTIONS]")]
    Engine(engine::Arguments),
    /// Serve the images that are here as a registry
    #[command(override_usage = "[OPTIONS]")]
    Registry(registry::Arguments),
}

/// Runs it.
pub(crate) fn run(context: &Context, command: &Command) -> Result<()> {
    match command {
        Command::Engine(arguments) => engine::run(context, arguments),
        Command::Registry(arguments) => registry::run(context, arguments),
    }
}

/// Reads the names that clients may use.
fn host_names(names: &[String]) -> Result<HostNames> {
    HostNames::new(names).map_err(|error| Failure::error(format!("--allow-host: {error}")))
}

/// Bounds limits to as many connections as there may be open files. Every connection is one, and many systems begin with
/// 1024 of them, but allow more to who asks.
fn within_open_files(limits: Limits) -> Limits {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files stays as it is");
            limit.current
        }
    };
    limits.for_open_files(files.unwrap_or(u64::MAX))
}
