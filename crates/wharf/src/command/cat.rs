//! `wharf cat`: prints files of images, straight from their layers.

use std::io::{self, Write as _};

use clap::Args;
use wharf_archive::files::Kind;

use super::files::{platform, split_whole, warn, wrong};
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::terminal;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Look into the image for this platform: "linux/arm64"
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// The files.
    names: Vec<String>,
}

/// Runs it. What cannot be printed does not keep the others.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.at_least(&arguments.names, 1)?;
    let platform = platform(arguments.platform.as_deref())?;
    let engine = context.engine()?;
    let mut out = terminal::stdout();
    for name in &arguments.names {
        let (image, path) = split_whole(name)?;
        let files = engine.files(image, platform.as_ref())?;
        warn(&files.notices());
        let place = files
            .tree
            .find(path.as_bytes())
            .map_err(|error| wrong(image, &error))?;
        match files.tree.kind(place) {
            Kind::File => {}
            Kind::Folder => return Err(not_a_file(name, "a directory")),
            _ => return Err(not_a_file(name, "a device or a pipe")),
        }
        let mut failed = None;
        let read = engine.read_files(&files, &[place], &mut |_, bytes| {
            out.write_all(bytes).inspect_err(|error| {
                failed = Some(io::Error::from(error.kind()));
            })
        });
        // Whoever closed the pipe does not want the rest.
        if let Some(error) = failed {
            return Err(Failure::output(error));
        }
        read?;
    }
    out.flush().map_err(Failure::output)
}

fn not_a_file(name: &str, what: &str) -> Failure {
    Failure::error(format!("{name}: is {what}"))
}
