//! `wharf system prune`: Docker's words for what `wharf image prune` does. Of all that Docker removes there,
//! wharf has images.

use clap::Args;
use wharf_engine::{Engine as _, Filters, PruneOptions};

use crate::arguments::filter;
use crate::command::prune::{confirmed, filters, say_kept, text};
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::print;
use crate::runtime;

/// The filters that Docker has here.
const FILTERS: [&str; 3] = ["label", "label!", "until"];

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Remove all images, not only those without a name
    #[arg(short, long)]
    all: bool,
    /// Remove only what fits: label, label!, until
    #[arg(long, value_name = "filter", value_parser = filter)]
    filter: Vec<(String, String)>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Taken for Docker's sake: wharf has no volumes
    #[arg(long)]
    volumes: bool,
    /// None are taken.
    #[arg(hide = true)]
    rest: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.exactly(&arguments.rest, 0)?;
    let is_until = |(name, _): &(String, String)| name == "until";
    if arguments.volumes && arguments.filter.iter().any(is_until) {
        let message = "ERROR: The \"until\" filter is not supported with \"--volumes\"";
        return Err(Failure::error(message));
    }
    let filters = filters(context, &arguments.filter);
    if let Some(name) = filters.names().find(|name| !FILTERS.contains(name)) {
        let message = format!("invalid filter '{name}'");
        let hint = format!("the filters here are: {}", FILTERS.join(", "));
        return Err(Failure::with_hint(message, hint));
    }
    if !arguments.force && !confirmed(&warning(arguments.all, &filters))? {
        return Ok(());
    }
    let options = PruneOptions {
        all: arguments.all,
        filters,
        ..PruneOptions::default()
    };
    let engine = context.engine()?;
    let pruned = runtime::light(engine.prune(&options))??;
    print(&text(&pruned))?;
    say_kept(&pruned);
    Ok(())
}

/// Docker's warning, without what wharf does not have.
fn warning(all: bool, filters: &Filters) -> String {
    let images = if all {
        "all images without at least one container associated to them"
    } else {
        "all dangling images"
    };
    let mut lines: Vec<String> = Vec::new();
    for name in FILTERS {
        let values = filters.get(name).iter();
        lines.extend(values.map(|value| format!("  - {name}={value}\n")));
    }
    lines.sort();
    let filtered = if lines.is_empty() {
        String::new()
    } else {
        let lines = lines.concat();
        format!("\n  Items to be pruned will be filtered with:\n{lines}")
    };
    format!("WARNING! This will remove:\n  - {images}\n{filtered}\n")
}
