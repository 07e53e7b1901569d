//! The log, on standard error: for whoever asks for it with `--debug`, `--log-level` or `WHARF_LOG`.
//!
//! Only wharf's own events are shown: what libraries log at their lowest levels holds headers, and
//! so credentials.

use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::exit::{Failure, Result};

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

/// Starts the log, if it was asked for.
pub(crate) fn start(debug: bool, level: Option<&str>, directives: Option<&str>) -> Result<()> {
    let level = level.map(named).transpose()?;
    let directives = match (debug, level, directives) {
        (true, ..) => "debug",
        (false, Some(level), _) => level,
        (false, None, Some(directives)) => directives,
        (false, None, None) => return Ok(()),
    };
    let filter = EnvFilter::try_new(directives).map_err(|error| {
        Failure::error(format!(
            "WHARF_LOG={directives:?} is not a log filter: {error}"
        ))
    })?;
    tracing_subscriber::registry()
        .with(filter_fn(|event| event.target().starts_with(OWN)))
        .with(filter)
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr))
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
