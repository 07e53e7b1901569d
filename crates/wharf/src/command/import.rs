//! `wharf import`, `wharf image import`: makes an image of an archive of files.

use std::fs::File;
use std::io;
use std::sync::Arc;

use clap::Args;
use wharf_core::platform::PlatformError;
use wharf_core::reference::ReferenceError;
use wharf_core::{Event, Platform, Reference};
use wharf_engine::{Engine as _, ImportInput, ImportOptions};
use wharf_registry::ShownUrl;

use super::tag::{AMBIGUOUS, DIGEST_ALGORITHM};
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::print;
use crate::runtime;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Apply Dockerfile instruction to the created image
    #[arg(short, long, value_name = "list")]
    change: Vec<String>,
    /// Set commit message for imported image
    #[arg(
        short,
        long,
        value_name = "string",
        default_value = "",
        hide_default_value = true
    )]
    message: String,
    /// Set the platform of the image: "linux/arm64"
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// What to import, and how to call it.
    words: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.at_least(&arguments.words, 1)?;
    let source = arguments.words[0].as_str();
    let input = open(source)?;
    // What stands behind the name is taken for nothing, as with Docker.
    let name = arguments.words.get(1).filter(|name| !name.is_empty());
    let options = ImportOptions {
        reference: name.map(|name| reference(name)).transpose()?,
        changes: arguments.change.clone(),
        message: arguments.message.clone(),
        platform: platform(context, arguments.platform.as_deref())?,
    };
    let engine = context.engine()?;
    let id = runtime::heavy(async {
        let watch = Arc::new(|event| {
            if let Event::Notice(text) = event {
                // A closed pipe shows itself with the ID.
                drop(print(&format!("{text}\n")));
            }
        });
        Ok(engine.import(input, &options, watch).await?)
    })?;
    print(&format!("{id}\n"))
}

fn open(source: &str) -> Result<ImportInput> {
    if source == "-" {
        return Ok(ImportInput::Stream(Box::new(io::stdin())));
    }
    let scheme = source.split_once("://").map(|(scheme, _)| scheme);
    let web = |scheme: &str| {
        ["http", "https"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(scheme))
    };
    if scheme.is_some_and(web) {
        return Ok(ImportInput::Url(source.to_owned()));
    }
    let file = File::open(source).map_err(|error| match scheme {
        // It was meant as an address, and may hold a password.
        Some(_) => cannot_open(&ShownUrl::of_text(source).to_string(), &error),
        None => cannot_open(source, &error),
    })?;
    if file.metadata().is_ok_and(|about| about.is_dir()) {
        return Err(Failure::error(format!("read {source}: is a directory")));
    }
    Ok(ImportInput::Stream(Box::new(file)))
}

/// A file that cannot be opened, in Go's words.
pub(super) fn cannot_open(path: &str, error: &io::Error) -> Failure {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    Failure::error(format!("open {path}: {why}"))
}

fn reference(name: &str) -> Result<Reference> {
    let reference: Reference = name
        .parse()
        .map_err(|error: ReferenceError| Failure::error(error.to_string()))?;
    if reference.digest().is_some() {
        return Err(Failure::error("cannot import digest reference"));
    }
    if reference.familiar_repository() == DIGEST_ALGORITHM {
        return Err(Failure::error(AMBIGUOUS));
    }
    Ok(reference.or_latest())
}

/// `--platform`, or what the environment says.
fn platform(context: &Context, given: Option<&str>) -> Result<Option<Platform>> {
    let given = given.map(str::to_owned);
    given
        .or_else(|| context.environment.platform())
        .filter(|text| !text.is_empty())
        .map(|text| text.parse())
        .transpose()
        .map_err(|error: PlatformError| Failure::error(error.to_string()))
}
