//! `wharf unpack`, an image's files in a new folder; with `--bundle`, an OCI runtime bundle around them.

use std::path::Path;
use std::{fs, io};

use clap::Args;
use wharf_archive::files::Place;
use wharf_archive::outside::Destination;

use super::files::{platform, warn};
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::interrupt;
use crate::print::json::{Html, indented};

mod bundle;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Make a bundle: FOLDER/rootfs, and a FOLDER/config.json for runc, crun and the like
    #[arg(long)]
    bundle: bool,
    /// Unpack the image for this platform: "linux/arm64"
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// The image, and where to.
    names: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.exactly(&arguments.names, 2)?;
    let [image, folder] = &arguments.names[..] else {
        return Ok(());
    };
    let folder = Path::new(folder);
    let platform = platform(arguments.platform.as_deref())?;
    let destination = destination(folder, arguments.bundle)?;
    let engine = context.engine()?;
    let files = engine.files(image, platform.as_ref())?;
    files.check_whole()?;
    let config = if arguments.bundle {
        let config = bundle::config(&engine, &files)?;
        Some(indented(&config, Html::Plain) + "\n")
    } else {
        None
    };
    interrupt::guarded(|| {
        let written = match &config {
            None => engine.extract(&files, Place::ROOT, &destination)?,
            Some(config) => engine.extract_bundle(&files, &destination, config.as_bytes())?,
        };
        warn(&written);
        Ok(())
    })
}

/// Where the folder will be. Nothing is there yet, or an empty folder; for a bundle, folders above it are made.
fn destination(folder: &Path, bundle: bool) -> Result<Destination> {
    let shown = folder.display();
    let cannot = |error: io::Error| Failure::error(format!("cannot write {shown}: {error}"));
    if let (true, Some(above)) = (bundle, folder.parent()) {
        fs::create_dir_all(above).map_err(cannot)?;
    }
    let destination = Destination::open(folder).map_err(cannot)?;
    if destination.kind().map_err(cannot)?.is_none() {
        return Ok(destination);
    }
    if !destination.is_folder() {
        let message = format!("{shown} is there and is no folder");
        return Err(Failure::error(message));
    }
    if destination.is_empty_folder().map_err(cannot)? {
        return Ok(destination);
    }
    let hint = "name a folder that does not exist yet";
    Err(Failure::with_hint(format!("{shown} is not empty"), hint))
}
