//! `wharf store check`: reads everything in the store, says what is wrong, and repairs it.

use std::io::{IsTerminal as _, stderr};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use wharf_core::human;
use wharf_engine::EngineError;
use wharf_store::{CheckProgress, CheckReport};

use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::print;

/// What to do with the store.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read everything, and say what is damaged or missing
    #[command(override_usage = "[OPTIONS]")]
    Check(CheckArguments),
}

/// The arguments of `wharf store check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// Set aside what is damaged, so that the next pull brings it back
    #[arg(long)]
    repair: bool,
    /// None are taken.
    #[arg(hide = true)]
    rest: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, command: &Command) -> Result<()> {
    let Command::Check(arguments) = command;
    context.usage.exactly(&arguments.rest, 0)?;
    let root = context.root()?;
    let bar = Bar::new();
    let report = wharf_store::check(&root, arguments.repair, &|at| bar.show(at));
    bar.finish();
    let report = report.map_err(EngineError::from)?;
    print(&text(&report))?;
    if report.is_clean() || arguments.repair {
        return Ok(());
    }
    let problems = counted(report.findings.len(), "problem");
    Err(Failure::with_hint(
        format!("the store in {} has {problems}", root.display()),
        "`wharf store check --repair` sets aside what is damaged; then pull it again",
    ))
}

fn text(report: &CheckReport) -> String {
    let mut lines: Vec<String> = report.findings.clone();
    lines.extend(
        report
            .repaired
            .iter()
            .map(|line| format!("repaired: {line}")),
    );
    let (blobs, bytes) = (
        counted(usize::try_from(report.blobs).unwrap_or(usize::MAX), "blob"),
        human::size(report.bytes),
    );
    let verdict = match report.findings.len() {
        0 => "everything is sound".to_owned(),
        number => format!("{} found", counted(number, "problem")),
    };
    lines.push(format!("{blobs} read, {bytes}: {verdict}"));
    if report.leftovers > 0 {
        let files = counted(
            usize::try_from(report.leftovers).unwrap_or(usize::MAX),
            "file",
        );
        lines.push(format!(
            "{files} that nothing needs; `wharf image prune` frees the space"
        ));
    }
    lines.join("\n") + "\n"
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// How far it is: on standard error, if that is a terminal.
struct Bar(Option<ProgressBar>);

impl Bar {
    fn new() -> Self {
        let template = "{msg} [{bar:30.}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        let style = ProgressStyle::with_template(template);
        Self(style.ok().filter(|_| stderr().is_terminal()).map(|style| {
            let target = ProgressDrawTarget::stderr();
            ProgressBar::with_draw_target(Some(0), target)
                .with_style(style.progress_chars("=> "))
                .with_message("Checking")
        }))
    }

    fn show(&self, at: CheckProgress) {
        if let Self(Some(bar)) = self {
            bar.set_length(at.bytes_total);
            bar.set_position(at.bytes);
        }
    }

    fn finish(&self) {
        if let Self(Some(bar)) = self {
            bar.finish_and_clear();
        }
    }
}
