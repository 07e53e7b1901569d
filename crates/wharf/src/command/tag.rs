//! `wharf tag`: gives an image a further name.

use clap::Args;
use wharf_core::Reference;
use wharf_engine::Engine as _;

use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::runtime;

/// What a digest's algorithm is called; a repository of that name would be taken for one.
const DIGEST_ALGORITHM: &str = "sha256";

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The image.
    source: Option<String>,
    /// Its new name. Flags may stand only before the image: what comes behind it is never one.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let names: Vec<String> = arguments
        .source
        .iter()
        .chain(&arguments.rest)
        .cloned()
        .collect();
    context.usage.exactly(&names, 2)?;
    let [source, target] = &names[..] else {
        return Ok(());
    };
    let target = parse_target(target)?;
    let engine = context.engine()?;
    runtime::light(engine.tag(source, &target))??;
    Ok(())
}

/// Docker's checks on the new name, in its words and order.
fn parse_target(text: &str) -> Result<Reference> {
    let target: Reference = text.parse().map_err(|error| {
        Failure::error(format!(
            "Error parsing reference: {text:?} is not a valid repository/tag: {error}"
        ))
    })?;
    if target.digest().is_some() {
        return Err(Failure::error(
            "refusing to create a tag with a digest reference",
        ));
    }
    let target = target.or_latest();
    if target.familiar_repository() == DIGEST_ALGORITHM {
        let message = "refusing to create an ambiguous tag using digest algorithm as name";
        return Err(Failure::error(message));
    }
    Ok(target)
}
