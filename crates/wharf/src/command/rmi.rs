//! `wharf rmi`, `wharf image rm`: removes names, and the images behind them with their last one.

use clap::Args;
use wharf_core::platform::PlatformError;
use wharf_engine::{Engine as _, ErrorKind, RemoveOptions, Removed};

use crate::context::Context;
use crate::exit::{Failure, Result, say_errors};
use crate::print::print;
use crate::runtime;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Remove an image although several repositories name it
    #[arg(short, long)]
    force: bool,
    /// Taken for Docker's sake: images have no untagged parents here
    #[arg(long)]
    no_prune: bool,
    /// Remove only the image of this platform: "linux/arm64"
    #[arg(long, value_name = "strings", value_delimiter = ',')]
    platform: Vec<String>,
    /// The images.
    images: Vec<String>,
}

/// Runs it. Each image is removed on its own: what cannot be removed does not keep the others.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.at_least(&arguments.images, 1)?;
    let given = arguments.platform.iter().filter(|text| !text.is_empty());
    let platforms = given.map(|text| text.parse()).collect::<Result<_, _>>();
    let options = RemoveOptions {
        force: arguments.force,
        platforms: platforms.map_err(|error: PlatformError| Failure::error(error.to_string()))?,
    };
    let engine = context.engine()?;
    let mut errors = Vec::new();
    for name in &arguments.images {
        match runtime::light(engine.remove(name, &options))? {
            Ok(removed) => print(&lines(&removed))?,
            Err(error) => errors.push(error),
        }
    }
    let missing_only = errors.iter().all(|error| error.kind == ErrorKind::NotFound);
    if errors.is_empty() {
        Ok(())
    } else if arguments.force && missing_only {
        // Who forces a removal does not mind that there was nothing to remove.
        say_errors(&errors);
        Ok(())
    } else {
        Err(Failure::Engine(errors))
    }
}

fn lines(removed: &[Removed]) -> String {
    let line = |removed: &Removed| match removed {
        Removed::Untagged { name, .. } => format!("Untagged: {name}\n"),
        Removed::Deleted(digest) | Removed::DeletedLayers(digest) => format!("Deleted: {digest}\n"),
    };
    removed.iter().map(line).collect()
}
