//! `wharf system …`: what concerns everything that is here.

use clap::Subcommand;

use crate::context::Context;
use crate::exit::Result;

mod df;
mod prune;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show how much space images take
    #[command(override_usage = "[OPTIONS]")]
    Df(df::Arguments),
    /// Say what is here: images, settings, this machine
    #[command(override_usage = "[OPTIONS]")]
    Info(super::info::Arguments),
    /// Remove images that nobody needs
    #[command(override_usage = "[OPTIONS]")]
    Prune(prune::Arguments),
}

/// Does it.
pub(crate) fn run(context: &Context, command: &Command) -> Result<()> {
    match command {
        Command::Df(arguments) => df::run(context, arguments),
        Command::Info(arguments) => super::info::run(context, arguments),
        Command::Prune(arguments) => prune::run(context, arguments),
    }
}
