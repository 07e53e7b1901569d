//! `wharf ls`: lists files of an image, straight from its layers.

use std::io::{BufWriter, Write as _};

use clap::Args;
use wharf_archive::files::{Kind, Place};

use super::files::{platform, push_long, push_shown, split, warn, wrong};
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::terminal;

/// How much is written at once, in bytes: an image has some megabytes of names.
const BUFFER: usize = 64 * 1024;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Show modes, owners, sizes and times
    #[arg(short, long)]
    long: bool,
    /// Look into the image for this platform: "linux/arm64"
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// Show everything below, too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// The image, and what in it.
    names: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.exactly(&arguments.names, 1)?;
    let (image, path) = split(&arguments.names[0]);
    let platform = platform(arguments.platform.as_deref())?;
    let files = context.engine()?.files(image, platform.as_ref())?;
    warn(&files.notices());
    let path = path.unwrap_or("/").as_bytes();
    // As with ls, a link to a folder is listed as the folder if its name ends with a slash.
    let found = if path.ends_with(b"/") || !arguments.long {
        files.tree.find(path)
    } else {
        files.tree.find_link(path)
    };
    let place = found.map_err(|error| wrong(image, &error))?;
    let zone = context.environment.zone();
    let mut out = BufWriter::with_capacity(BUFFER, terminal::stdout());
    let mut text = String::new();
    let mut line = |place: Place, name: &[u8]| {
        text.clear();
        if arguments.long {
            push_long(&mut text, &files.tree.node(place), name, &zone);
        } else {
            push_shown(&mut text, name);
        }
        text.push('\n');
        out.write_all(text.as_bytes())
    };
    if files.tree.kind(place) != Kind::Folder {
        line(place, path).map_err(Failure::output)?;
    } else if arguments.recursive {
        let start = match files.tree.path(place).len() {
            0 => 0,
            length => length + 1,
        };
        let mut visit = |path: &[u8], place| line(place, &path[start..]);
        files
            .tree
            .walk(place, &mut visit)
            .map_err(Failure::output)?;
    } else {
        for (name, place) in files.tree.children(place) {
            line(place, name).map_err(Failure::output)?;
        }
    }
    out.flush().map_err(Failure::output)
}
