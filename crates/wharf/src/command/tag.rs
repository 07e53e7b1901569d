//! `wharf tag`: gives an image a further name.

use clap::Args;
use wharf_core::reference::{self, ReferenceError};
use wharf_core::{Digest, Reference};
use wharf_engine::Engine as _;

use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::runtime;

/// What a digest's algorithm is called; a repository of that name would be taken for one.
pub(super) const DIGEST_ALGORITHM: &str = "sha256";
/// Why there cannot be one.
pub(super) const AMBIGUOUS: &str =
    "refusing to create an ambiguous tag using digest algorithm as name";

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
    check_source(source)?;
    let target = parse_target(target)?;
    let engine = context.engine()?;
    runtime::light(engine.tag(source, &target))??;
    Ok(())
}

/// What can be neither a name nor an ID is refused in the words that a new name is refused in.
fn check_source(text: &str) -> Result<()> {
    match text.parse::<Reference>() {
        Err(error) if !is_id(text) => Err(not_a_name(text, &error)),
        _ => Ok(()),
    }
}

fn is_id(text: &str) -> bool {
    reference::is_identifier(text) || text.parse::<Digest>().is_ok()
}

fn not_a_name(text: &str, error: &ReferenceError) -> Failure {
    Failure::error(format!(
        "Error parsing reference: {text:?} is not a valid repository/tag: {error}"
    ))
}

/// Docker's checks on the new name, in its words and order.
fn parse_target(text: &str) -> Result<Reference> {
    let target: Reference = text.parse().map_err(|error| not_a_name(text, &error))?;
    if target.digest().is_some() {
        return Err(Failure::error(
            "refusing to create a tag with a digest reference",
        ));
    }
    let target = target.or_latest();
    if target.familiar_repository() == DIGEST_ALGORITHM {
        return Err(Failure::error(AMBIGUOUS));
    }
    Ok(target)
}
