//! `wharf outdated`: which names have moved in their registries. Nothing is fetched.
//!
//! It succeeds when it could ask, whatever the answer: scripts read the names of `-q`. A registry that
//! did not answer is an error, told after what the others said.

use clap::Args;
use wharf_core::Digest;
use wharf_engine::{Engine as _, EngineError, Standing, Watched};

use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::columns::Columns;
use crate::print::{listing, print};
use crate::runtime;

/// The columns.
const HEADERS: &[(&str, &str)] = &[
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Local", "LOCAL"),
    ("Remote", "REMOTE"),
    ("Status", "STATUS"),
    ("Name", "NAME"),
];

/// The table.
const TABLE: &str = "table {{.Repository}}\t{{.Tag}}\t{{.Local}}\t{{.Remote}}\t{{.Status}}";

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Show names that have not moved too
    #[arg(short, long)]
    all: bool,
    /// Print by a template: "table", "table TEMPLATE", "json", or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Print digests in full
    #[arg(long)]
    no_trunc: bool,
    /// Print names only
    #[arg(short, long)]
    quiet: bool,
    /// Which names: patterns.
    names: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let engine = context.engine()?;
    let all = runtime::heavy(async { Ok(engine.outdated(&arguments.names).await?) })?;
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    for one in all {
        match one.standing {
            Standing::Unknown(error) => errors.push(named(error, &one.reference.familiar())),
            Standing::Current if !arguments.all => {}
            _ => rows.push(row(&one, arguments.no_trunc)),
        }
    }
    let format = match arguments.format.as_deref() {
        None | Some("" | "table") if !arguments.quiet => TABLE,
        None | Some("" | "table") => "{{.Name}}",
        Some(format) => format,
    };
    let text = listing::render(format, HEADERS, rows)
        .map_err(|error| Failure::error(error.to_string()))?;
    print(&text)?;
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Failure::Engine(errors))
    }
}

fn row(one: &Watched, full: bool) -> Columns {
    let shown = |digest: &Digest| {
        if full {
            digest.to_string()
        } else {
            digest.short().to_owned()
        }
    };
    let (remote, status) = match &one.standing {
        Standing::Moved(digest) => (shown(digest), "moved"),
        Standing::Gone => (String::new(), "gone"),
        Standing::Current | Standing::Unknown(_) => (shown(&one.local), "current"),
    };
    let texts = vec![
        one.reference.familiar_repository().to_owned(),
        one.reference.tag().unwrap_or_default().to_owned(),
        shown(&one.local),
        remote,
        status.to_owned(),
        one.reference.familiar(),
    ];
    Columns::new(HEADERS, texts)
}

fn named(error: EngineError, name: &str) -> EngineError {
    let mut named = EngineError::new(error.kind, format!("{name}: {}", error.chain()));
    named.hint = error.hint;
    named
}
