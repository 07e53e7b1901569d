//! `wharf image prune`: removes images that nobody names, and frees what no image holds.

use std::io::{self, BufRead as _};

use clap::Args;
use wharf_core::human;
use wharf_engine::{Engine as _, Filters, PruneOptions, Pruned, Removed};

use crate::arguments::filter;
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::print;
use crate::runtime;

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
    /// None are taken.
    #[arg(hide = true)]
    rest: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.exactly(&arguments.rest, 0)?;
    if !arguments.force && !confirmed(arguments.all)? {
        return Ok(());
    }
    let mut filters = Filters::default();
    for (name, value) in arguments.filter.iter().filter(|(name, _)| !name.is_empty()) {
        filters.add(name, value);
    }
    let engine = context.engine()?;
    let options = PruneOptions {
        all: arguments.all,
        filters,
    };
    let pruned = runtime::light(engine.prune(&options))??;
    print(&text(&pruned))
}

/// Asks before anything goes.
fn confirmed(all: bool) -> Result<bool> {
    let what = if all {
        "all images"
    } else {
        "all images that have no name"
    };
    print(&format!(
        "WARNING! This will remove {what}.\nAre you sure you want to continue? [y/N] "
    ))?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| {
        Failure::with_hint(
            format!("cannot read the answer: {error}"),
            "--force does not ask",
        )
    })?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}

fn text(pruned: &Pruned) -> String {
    let mut text = String::new();
    if !pruned.removed.is_empty() {
        text.push_str("Deleted Images:\n");
        for removed in &pruned.removed {
            text.push_str(&match removed {
                Removed::Untagged(name) => format!("untagged: {name}\n"),
                Removed::Deleted(digest) => format!("deleted: {digest}\n"),
            });
        }
        text.push('\n');
    }
    text + &format!("Total reclaimed space: {}\n", human::size(pruned.reclaimed))
}

#[cfg(test)]
mod tests {
    use wharf_core::Digest;

    use super::*;

    #[test]
    fn prints_as_docker_does() {
        assert_eq!(text(&Pruned::default()), "Total reclaimed space: 0B\n");
        let pruned = Pruned {
            removed: vec![
                Removed::Untagged("app:1".into()),
                Removed::Deleted(Digest::of(b"")),
            ],
            reclaimed: 1_982_425,
            freed: 0,
        };
        let digest = Digest::of(b"");
        assert_eq!(
            text(&pruned),
            format!(
                "Deleted Images:\nuntagged: app:1\ndeleted: {digest}\n\n\
                 Total reclaimed space: 1.982MB\n"
            )
        );
    }
}
