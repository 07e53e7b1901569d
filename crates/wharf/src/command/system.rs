//! `wharf system …`: what concerns everything that is here.

use clap::Subcommand;

use crate::context::Context;
use crate::exit::Result;

mod df;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show how much space images take
    #[command(override_usage = "[OPTIONS]")]
    Df(df::Arguments),
}

/// Does it.
pub(crate) fn run(context: &Context, command: &Command) -> Result<()> {
    match command {
        Command::Df(arguments) => df::run(context, arguments),
    }
}
