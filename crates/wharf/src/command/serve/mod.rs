//! `wharf serve`: images for others, as Docker's engine or as a registry.

mod engine;
mod registry;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::Result;

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
