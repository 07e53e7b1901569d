//! Dockerfile instructions that change how an image runs: what `--change` takes.
//!
//! Each step of the way has a file of its own, as in Docker 28.5 (moby's `BuildFromConfig` and
//! buildkit's Dockerfile parser), and speaks of mistakes in its words:
//!
//! | module | what it does |
//! |---|---|
//! | `lines` | text to instructions: continued lines, comments, flags, arguments |
//! | `commands` | what each instruction takes: arguments and flags |
//! | `words` | `$name` and quotes in an argument |
//! | `patterns` | the shell's patterns in `${name#pattern}` |
//! | `apply` | instructions to a [`RunConfig`] |

mod apply;
mod commands;
mod lines;
mod patterns;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};

pub(crate) use apply::apply;

/// Why instructions cannot be used, in Docker's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Mistake(String);

type Result<T, E = Mistake> = std::result::Result<T, E>;

fn mistake<T>(text: impl Into<String>) -> Result<T> {
    Err(Mistake(text.into()))
}

/// How a container of the image runs, as Docker writes it into an image's config: all fields, in its
/// order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RunConfig {
    hostname: String,
    domainname: String,
    pub(crate) user: String,
    attach_stdin: bool,
    attach_stdout: bool,
    attach_stderr: bool,
    #[serde(skip_serializing_if = "BTreeSet::is_empty", serialize_with = "set")]
    pub(crate) exposed_ports: BTreeSet<String>,
    tty: bool,
    open_stdin: bool,
    stdin_once: bool,
    #[serde(serialize_with = "list")]
    pub(crate) env: Vec<String>,
    pub(crate) cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) healthcheck: Option<Healthcheck>,
    image: String,
    #[serde(serialize_with = "set")]
    pub(crate) volumes: BTreeSet<String>,
    pub(crate) working_dir: String,
    pub(crate) entrypoint: Option<Vec<String>>,
    #[serde(serialize_with = "list")]
    pub(crate) on_build: Vec<String>,
    #[serde(serialize_with = "map")]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) stop_signal: String,
}

/// How to find out whether a container is well. Times are in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Healthcheck {
    pub(crate) test: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) timeout: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) start_period: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) start_interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) retries: i64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Go writes a list that was never made as `null`.
fn list<S: Serializer>(list: &[String], to: S) -> Result<S::Ok, S::Error> {
    (!list.is_empty()).then_some(list).serialize(to)
}

fn map<S: Serializer>(map: &BTreeMap<String, String>, to: S) -> Result<S::Ok, S::Error> {
    (!map.is_empty()).then_some(map).serialize(to)
}

/// Go has no sets: it writes a map of empty objects.
fn set<S: Serializer>(set: &BTreeSet<String>, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Empty {}
    let all = || {
        set.iter()
            .map(|key| (key, Empty {}))
            .collect::<BTreeMap<_, _>>()
    };
    (!set.is_empty()).then(all).serialize(to)
}

#[cfg(test)]
mod tests;
