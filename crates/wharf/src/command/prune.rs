//! `wharf image prune`: removes images that nobody names, and frees what no image holds.

use std::io::{self, BufRead as _};
use std::num::NonZeroUsize;

use clap::Args;
use jiff::SignedDuration;
use wharf_core::human;
use wharf_engine::{Engine as _, Filters, PruneOptions, Pruned, Removed, when};

use crate::arguments::{filter, said};
use crate::context::Context;
use crate::docker_config;
use crate::exit::{Failure, Result, say};
use crate::print::print;
use crate::runtime;

/// Docker's questions.
const ALL: &str = "all images without at least one container associated to them.";
const DANGLING: &str = "all dangling images.";

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Remove all images, not only those without a name
    #[arg(short, long)]
    all: bool,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Remove only what fits: label, label!, reference, until
    #[arg(long, value_name = "filter", value_parser = filter)]
    filter: Vec<(String, String)>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Remove names too, but keep the newest ones of each repository: so many
    #[arg(long, value_name = "number", value_parser = how_many)]
    keep: Option<NonZeroUsize>,
    /// Remove unfinished downloads too, however new they are; without this they are kept for a week
    #[arg(long)]
    partial: bool,
    /// Remove names too, but only what was not pulled, tagged, pushed or loaded for so long: "12h", "30d", "2w"
    #[arg(long, value_name = "duration", value_parser = long_duration)]
    unused_for: Option<SignedDuration>,
    /// None are taken.
    #[arg(hide = true)]
    rest: Vec<String>,
}

fn long_duration(text: &str) -> std::result::Result<SignedDuration, String> {
    match when::long_duration(text) {
        Ok(time) if time.is_negative() => Err("it cannot be negative".to_owned()),
        Ok(time) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.exactly(&arguments.rest, 0)?;
    let mut filters = filters(context, &arguments.filter);
    // As Docker says -a: who says otherwise besides is told so.
    filters.add("dangling", if arguments.all { "false" } else { "true" });
    if !arguments.force && !arguments.dry_run {
        let question = format!("WARNING! This will remove {}\n", what(arguments));
        if !confirmed(&question)? {
            return Ok(());
        }
    }
    let options = PruneOptions {
        all: arguments.all,
        filters,
        keep: arguments.keep.map(NonZeroUsize::get),
        unused_for: arguments.unused_for,
        partial: arguments.partial,
        dry_run: arguments.dry_run,
    };
    let engine = context.engine()?;
    let pruned = runtime::light(engine.prune(&options))??;
    print(&text(&pruned))?;
    say_kept(&pruned);
    if arguments.dry_run {
        say("nothing was removed: this was a dry run\n");
    }
    Ok(())
}

/// What goes, for the question.
fn what(arguments: &Arguments) -> String {
    let mut rules = Vec::new();
    if let Some(number) = arguments.keep {
        rules.push(match number.get() {
            1 => "not the newest of their repository".to_owned(),
            number => format!("not among the newest {number} of their repository"),
        });
    }
    if arguments.unused_for.is_some() {
        rules.push("unused for as long as that".to_owned());
    }
    match (rules.is_empty(), arguments.all) {
        (false, _) => format!("all images and names that are {}.", rules.join(" and ")),
        (true, true) => ALL.to_owned(),
        (true, false) => DANGLING.to_owned(),
    }
}

fn how_many(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "a number from 1 on is expected")
}

/// The command line's filters, and those of Docker's `config.json` that do not contradict them (Docker 28.5:
/// `PruneFilters`).
pub(super) fn filters(context: &Context, given: &[(String, String)]) -> Filters {
    let mut filters = Filters::default();
    for (name, value) in said(given) {
        filters.add(name, value);
    }
    for text in docker_config::read(&context.environment).prune_filters {
        let Some((name, value)) = text.split_once('=') else {
            continue;
        };
        let opposite = match name {
            "label" => "label!",
            "label!" => "label",
            _ => "",
        };
        if !filters.get(opposite).iter().any(|other| other == value) {
            filters.add(name, value);
        }
    }
    filters
}

/// Asks before anything goes.
pub(super) fn confirmed(warning: &str) -> Result<bool> {
    print(&format!(
        "{warning}Are you sure you want to continue? [y/N] "
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

/// Says how much was kept for a pull that goes on: not on standard output, which has Docker's lines.
pub(super) fn say_kept(pruned: &Pruned) {
    if pruned.partial_kept > 0 {
        say(&format!(
            "{} of unfinished downloads is kept for a week: the next pull goes on with it; \
             `wharf image prune --partial` removes it\n",
            human::size(pruned.partial_kept)
        ));
    }
}

/// Docker's lines.
pub(super) fn text(pruned: &Pruned) -> String {
    let mut text = String::new();
    if !pruned.removed.is_empty() {
        text.push_str("Deleted Images:\n");
        for removed in &pruned.removed {
            text.push_str(&match removed {
                Removed::Untagged { name, .. } => format!("untagged: {name}\n"),
                Removed::Deleted(digest) | Removed::DeletedLayers(digest) => {
                    format!("deleted: {digest}\n")
                }
            });
        }
        text.push('\n');
    }
    text + &format!("Total reclaimed space: {}\n", human::size(pruned.reclaimed))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use wharf_core::Digest;

    use super::*;

    #[test]
    fn prints_as_docker_does() {
        assert_eq!(text(&Pruned::default()), "Total reclaimed space: 0B\n");
        let pruned = Pruned {
            removed: vec![
                Removed::Untagged {
                    name: "app:1".into(),
                    image: Digest::of(b""),
                    labels: BTreeMap::new(),
                    along: false,
                },
                Removed::Deleted(Digest::of(b"")),
            ],
            reclaimed: 1_982_425,
            ..Pruned::default()
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
