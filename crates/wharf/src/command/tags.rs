//! `wharf tags`: lists the tags of a repository in its registry.

use clap::Args;
use wharf_core::Reference;
use wharf_core::reference::ReferenceError;
use wharf_engine::glob::Glob;
use wharf_engine::{Engine as _, Whose};

use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::columns::Columns;
use crate::print::{listing, print};
use crate::runtime;

/// The columns.
const HEADERS: &[(&str, &str)] = &[
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Name", "NAME"),
];

/// The table, where one is asked for.
const TABLE: &str = "table {{.Repository}}\t{{.Tag}}";

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Show only tags that fit a pattern: "1.*"
    #[arg(short, long, value_name = "pattern")]
    filter: Vec<String>,
    /// Print by a template: "table", "table TEMPLATE", "json", or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// The repository.
    names: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.exactly(&arguments.names, 1)?;
    let repository: Reference = arguments.names[0]
        .parse()
        .map_err(|error: ReferenceError| Failure::error(error.to_string()))?;
    if !repository.is_name_only() {
        let message = format!(
            "{} names one image, not a repository",
            repository.familiar()
        );
        return Err(Failure::with_hint(message, "leave out the tag"));
    }
    let patterns = arguments.filter.iter().map(|pattern| Glob::new(pattern));
    let patterns: Vec<Glob> = patterns
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::error(error.to_string()))?;
    let engine = context.engine()?;
    let mut tags =
        runtime::heavy(async { Ok(engine.remote_tags(&repository, &Whose::Kept).await?) })?;
    tags.retain(|tag| patterns.is_empty() || patterns.iter().any(|glob| glob.is_match(tag)));
    let format = match arguments.format.as_deref() {
        None | Some("") => "{{.Tag}}",
        Some("table") => TABLE,
        Some(format) => format,
    };
    let name = repository.familiar();
    let rows = tags.into_iter().map(|tag| {
        let whole = format!("{name}:{tag}");
        Columns::new(HEADERS, vec![name.clone(), tag, whole])
    });
    let text = listing::render(format, HEADERS, rows)
        .map_err(|error| Failure::error(error.to_string()))?;
    print(&text)
}
