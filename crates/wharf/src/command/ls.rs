//! `wharf ls`: lists files of an image, straight from its layers.

use clap::Args;
use wharf_archive::files::{Kind, Node};

use super::files::{long, platform, shown, split, wrong};
use crate::context::Context;
use crate::exit::Result;
use crate::print::print;

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
    let path = path.unwrap_or("/").as_bytes();
    // As with ls, a link to a folder is listed as the folder if its name ends with a slash.
    let found = if path.ends_with(b"/") || !arguments.long {
        files.tree.find(path)
    } else {
        files.tree.find_link(path)
    };
    let (place, node) = found.map_err(|error| wrong(image, &error))?;
    let zone = context.environment.zone();
    let line = |node: &Node, name: &[u8]| {
        if arguments.long {
            long(node, name, &zone) + "\n"
        } else {
            shown(name) + "\n"
        }
    };
    if let Some(node) = node.filter(|node| node.entry.kind != Kind::Folder) {
        return print(&line(node, path));
    }
    let start = if place.is_empty() { 0 } else { place.len() + 1 };
    let mut text = String::new();
    if arguments.recursive {
        for (path, node) in files.tree.below(&place) {
            text.push_str(&line(node, &path[start..]));
        }
    } else {
        for (path, node) in files.tree.children(&place) {
            text.push_str(&line(node, &path[start..]));
        }
    }
    print(&text)
}
