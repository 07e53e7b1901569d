//! `wharf load`, `wharf image load`: reads images out of an archive.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::sync::Arc;

use clap::Args;
use wharf_core::Event;
use wharf_engine::{Engine as _, LoadInput, LoadOptions, words};

use super::import::cannot_open;
use super::save::platform;
use crate::context::Context;
use crate::exit::{Failure, Result, say};
use crate::print::print;
use crate::runtime;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Read from tar archive file, instead of STDIN
    #[arg(short, long, value_name = "string")]
    input: Option<String>,
    /// Load only the given platform variant: "linux/amd64"
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// Suppress the load output
    #[arg(short, long)]
    quiet: bool,
    /// None are taken.
    #[arg(hide = true)]
    rest: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.exactly(&arguments.rest, 0)?;
    let input = open(arguments.input.as_deref().filter(|path| !path.is_empty()))?;
    let options = LoadOptions {
        platform: platform(arguments.platform.as_deref())?,
    };
    let engine = context.engine()?;
    let loaded = runtime::heavy(async {
        let watch = Arc::new(|event| {
            if let Event::Notice(text) = event {
                say(&format!("{text}\n"));
            }
        });
        Ok(engine.load(LoadInput::File(input), &options, watch).await?)
    })?;
    let lines = words::loaded(&loaded);
    print(
        &lines
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
    )
}

fn open(path: Option<&str>) -> Result<File> {
    let cannot = |error: io::Error| Failure::error(format!("cannot read standard input: {error}"));
    let Some(path) = path else {
        if io::stdin().is_terminal() {
            return Err(Failure::error(
                "requested load from stdin, but stdin is empty",
            ));
        }
        let input = io::stdin().as_fd().try_clone_to_owned().map_err(cannot)?;
        return Ok(File::from(input));
    };
    let file = File::open(path).map_err(|error| cannot_open(path, &error))?;
    if file.metadata().is_ok_and(|about| about.is_dir()) {
        return Err(Failure::error(format!("read {path}: is a directory")));
    }
    Ok(file)
}
