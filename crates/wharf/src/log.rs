//! The log, on standard error: for whoever asks for it with `--debug`, `--log-level` or `WHARF_LOG`.
//!
//! Only wharf's own events are shown: what libraries log at their lowest levels holds headers, and
//! so credentials.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::exit::{Failure, Result};
use crate::print::terminal;

/// What names of wharf's own events begin with.
const OWN: &str = "wharf";

/// Docker's names of levels, and what they mean here.
const LEVELS: [(&str, &str); 5] = [
    ("debug", "debug"),
    ("info", "info"),
    ("warn", "warn"),
    ("error", "error"),
    ("fatal", "error"),
];

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// An object on each line, for programs.
    Json,
}

/// What is asked of the log.
pub(crate) struct Asked<'a> {
    /// `--debug`
    pub(crate) debug: bool,
    /// `--log-level`
    pub(crate) level: Option<&'a str>,
    /// `WHARF_LOG`
    pub(crate) directives: Option<&'a str>,
    /// Does the command serve? Then it tells of requests without being asked.
    pub(crate) server: bool,
    /// `--log-format`
    pub(crate) format: Format,
}

/// Starts the log, if it was asked for.
pub(crate) fn start(asked: &Asked<'_>) -> Result<()> {
    let level = asked.level.map(named).transpose()?;
    let directives = match (asked.debug, level, asked.directives, asked.server) {
        (true, ..) => "debug",
        (false, Some(level), ..) => level,
        (false, None, Some(directives), _) => directives,
        (false, None, None, true) => "info",
        (false, None, None, false) => return Ok(()),
    };
    let filter = EnvFilter::try_new(directives).map_err(|error| {
        Failure::error(format!(
            "WHARF_LOG={directives:?} is not a log filter: {error}"
        ))
    })?;
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(terminal::stderr_styled);
    let lines = match asked.format {
        Format::Text => lines.boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(filter_fn(|event| event.target().starts_with(OWN)))
        .with(filter)
        .with(lines)
        .try_init()
        .map_err(|error| Failure::error(format!("the log cannot be started: {error}")))
}

fn named(level: &str) -> Result<&'static str> {
    let known = LEVELS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(level));
    known
        .map(|&(_, level)| level)
        .ok_or_else(|| Failure::error(format!("Unable to parse logging level: {level}")))
}
