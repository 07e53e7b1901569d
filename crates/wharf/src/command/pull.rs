//! `wharf pull`, `wharf image pull`: fetches images from registries.
//!
//! Several references are pulled one after the other, each with Docker's output. Nothing is said of
//! a reference before its registry has answered, so that a list of which none exists prints nothing
//! but errors.

use clap::Args;
use wharf_core::platform::PlatformError;
use wharf_core::reference::ReferenceError;
use wharf_core::{Platform, Reference};
use wharf_engine::{Engine, PullOptions, Whose, words};

use crate::context::Context;
use crate::environment::Program;
use crate::exit::{Failure, Result};
use crate::print::print;
use crate::progress::{Shown, Style, digest_line, status, summary};
use crate::runtime;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Fetch all tags of the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Taken for Docker's sake: wharf verifies every byte, and has no Notary
    #[arg(
        long, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", default_value = "true"
    )]
    disable_content_trust: bool,
    /// Fetch the image for this platform: "linux/arm64"
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// Print only the name that was pulled
    #[arg(short, long)]
    quiet: bool,
    /// What to fetch.
    names: Vec<String>,
}

/// One reference of the command line.
struct Wanted {
    reference: Reference,
    /// Was its tag left out?
    tag_missing: bool,
}

/// How all of them are pulled.
struct Plan {
    options: PullOptions,
    all_tags: bool,
    style: Style,
    /// Are there several?
    several: bool,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    match context.environment.program {
        Program::Docker => context.usage.exactly(&arguments.names, 1)?,
        Program::Wharf => context.usage.at_least(&arguments.names, 1)?,
    }
    if !arguments.disable_content_trust {
        return Err(Failure::error("content trust (Notary) is not supported"));
    }
    let wanted = arguments
        .names
        .iter()
        .map(|name| parse(name, arguments.all_tags))
        .collect::<Result<Vec<_>>>()?;
    let style = Style::of(context.environment.output(), arguments.quiet);
    let platform = match platform(context, arguments) {
        Ok(platform) => platform,
        Err(error) => {
            // Docker's daemon reads the platform, when its client has spoken of the tag already.
            if let [one] = &wanted[..]
                && one.tag_missing
                && style != Style::Quiet
            {
                print(&default_tag(&one.reference))?;
            }
            return Err(error);
        }
    };
    let plan = Plan {
        options: PullOptions {
            platform,
            ..PullOptions::default()
        },
        all_tags: arguments.all_tags,
        style,
        several: wanted.len() > 1,
    };
    let engine = context.engine()?;
    runtime::heavy(async { pull_all(&engine, &plan, &wanted).await })
}

fn parse(name: &str, all_tags: bool) -> Result<Wanted> {
    let reference: Reference = name
        .parse()
        .map_err(|error: ReferenceError| Failure::with_hint(error.to_string(), advice(name)))?;
    let tag_missing = reference.is_name_only();
    if all_tags && !tag_missing {
        return Err(Failure::error("tag can't be used with --all-tags/-a"));
    }
    let reference = if all_tags {
        reference
    } else {
        reference.or_latest()
    };
    Ok(Wanted {
        reference,
        tag_missing: tag_missing && !all_tags,
    })
}

/// What to write instead of something that is no name.
fn advice(name: &str) -> String {
    if let Some((scheme, rest)) = name.split_once("://") {
        return format!("leave {scheme}:// out: {rest}");
    }
    if name.starts_with(['/', '.', '~']) {
        return format!("an image in a file is loaded by `wharf load -i {name}`");
    }
    format!("{name:?} is not NAME[:TAG|@DIGEST]")
}

fn platform(context: &Context, arguments: &Arguments) -> Result<Option<Platform>> {
    let given = arguments
        .platform
        .clone()
        .or_else(|| context.environment.platform());
    given
        .filter(|text| !text.is_empty())
        .map(|text| text.parse())
        .transpose()
        .map_err(|error: PlatformError| Failure::error(error.to_string()))
}

/// Pulls each reference. One that fails does not keep the others.
async fn pull_all(engine: &dyn Engine, plan: &Plan, wanted: &[Wanted]) -> Result<()> {
    let mut errors = Vec::new();
    for one in wanted {
        let pulled = if plan.all_tags {
            pull_tags(engine, plan, &one.reference).await
        } else {
            pull_one(engine, plan, one).await
        };
        match pulled {
            Err(Failure::Engine(failed)) => errors.extend(failed),
            other => other?,
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Failure::Engine(errors))
    }
}

async fn pull_one(engine: &dyn Engine, plan: &Plan, wanted: &Wanted) -> Result<()> {
    let Wanted {
        reference,
        tag_missing,
    } = wanted;
    let mut held = String::new();
    if *tag_missing && plan.style != Style::Quiet {
        held = default_tag(reference);
        if !plan.several {
            print(&std::mem::take(&mut held))?;
        }
    }
    let shown = Shown::new(plan.style, held);
    let pulled = engine.pull(reference, &plan.options, shown.watch()).await;
    shown.finish()?;
    let pulled = pulled?;
    if plan.style != Style::Quiet {
        print(&summary(&pulled.reference, &pulled.digest, pulled.newer))?;
        print(&warning(reference, plan, pulled.other_platform.as_ref()))?;
    }
    print(&format!("{reference}\n"))
}

fn default_tag(reference: &Reference) -> String {
    let tag = reference.tag().unwrap_or_default();
    format!("Using default tag: {tag}\n")
}

/// What Docker says below the status of an image for another platform than was asked for.
fn warning(reference: &Reference, plan: &Plan, has: Option<&Platform>) -> String {
    let (Some(has), Some(wanted)) = (has, &plan.options.platform) else {
        return String::new();
    };
    words::other_platform(reference, has, wanted) + "\n"
}

/// Pulls every tag of a repository, with one status for all of them.
async fn pull_tags(engine: &dyn Engine, plan: &Plan, repository: &Reference) -> Result<()> {
    let mut newer = false;
    let mut other_platform = None;
    for tag in engine.remote_tags(repository, &Whose::Kept).await? {
        let reference = repository.with_tag(&tag).map_err(|error| {
            Failure::error(format!(
                "the registry lists a tag that is none, {tag:?}: {error}"
            ))
        })?;
        let shown = Shown::new(plan.style, String::new());
        let pulled = engine.pull(&reference, &plan.options, shown.watch()).await;
        shown.finish()?;
        let pulled = pulled?;
        newer |= pulled.newer;
        other_platform = other_platform.or(pulled.other_platform);
        if plan.style != Style::Quiet {
            print(&digest_line(&pulled.digest))?;
        }
    }
    if plan.style != Style::Quiet {
        print(&status(repository, newer))?;
        print(&warning(repository, plan, other_platform.as_ref()))?;
    }
    print(&format!("{repository}\n"))
}
