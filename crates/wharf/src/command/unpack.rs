//! `wharf unpack`, an image's files in a new folder; with `--bundle`, an OCI runtime bundle around them.

use std::fs;
use std::path::Path;

use clap::Args;
use wharf_archive::files::Place;

use super::files::platform;
use crate::context::Context;
use crate::exit::{Failure, Result, say};
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
    check(folder)?;
    let platform = platform(arguments.platform.as_deref())?;
    let engine = context.engine()?;
    let files = engine.files(image, platform.as_ref())?;
    if !arguments.bundle {
        tell(&engine.extract(&files, Place::ROOT, folder)?);
        return Ok(());
    }
    let config = bundle::config(&engine, &files)?;
    let cannot = |error: &std::io::Error| {
        Failure::error(format!("cannot write {}: {error}", folder.display()))
    };
    let made = !folder.exists();
    fs::create_dir_all(folder).map_err(|error| cannot(&error))?;
    let written = engine.extract(&files, Place::ROOT, &folder.join("rootfs"));
    let written = match written {
        Ok(written) => written,
        Err(error) => {
            // What was there before a failure is there after it.
            if made && let Err(error) = fs::remove_dir(folder) {
                say(&format!("WARNING: {} stays: {error}\n", folder.display()));
            }
            return Err(error.into());
        }
    };
    tell(&written);
    let text = indented(&config, Html::Plain) + "\n";
    fs::write(folder.join("config.json"), text).map_err(|error| cannot(&error))
}

/// A folder that has something in it is not touched.
fn check(folder: &Path) -> Result<()> {
    let Ok(mut entries) = fs::read_dir(folder) else {
        return if fs::symlink_metadata(folder).is_ok() {
            Err(Failure::error(format!(
                "{} is there and is no folder",
                folder.display()
            )))
        } else {
            Ok(())
        };
    };
    if entries.next().is_some() {
        let message = format!("{} is not empty", folder.display());
        return Err(Failure::with_hint(
            message,
            "name a folder that does not exist yet",
        ));
    }
    Ok(())
}

fn tell(notices: &[String]) {
    for notice in notices {
        say(&format!("WARNING: {notice}\n"));
    }
}
