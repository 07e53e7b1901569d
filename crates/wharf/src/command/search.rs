//! `wharf search`, `wharf image search`: Docker Hub's search, or another registry's.

use clap::Args;
use wharf_engine::EngineError;
use wharf_registry::{Hit, Registry, RegistryErrorKind};

use crate::arguments::{filter, said};
use crate::context::Context;
use crate::exit::{Failure, Result, say};
use crate::print::columns::Columns;
use crate::print::width::ellipsis;
use crate::print::{listing, print};
use crate::runtime;

/// The columns.
const HEADERS: &[(&str, &str)] = &[
    ("Name", "NAME"),
    ("Description", "DESCRIPTION"),
    ("StarCount", "STARS"),
    ("IsOfficial", "OFFICIAL"),
];

/// Docker's table.
const TABLE: &str = "table {{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}";

/// How many are asked for if nobody says, and at most (Docker 28.5: registry search).
const LIMIT_DEFAULT: i64 = 25;
const LIMIT_MAX: i64 = 100;

/// How much of a description a table shows, in columns.
const DESCRIPTION_WIDTH: usize = 45;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Show only what fits: is-official, stars
    #[arg(short, long, value_name = "filter", value_parser = filter)]
    filter: Vec<(String, String)>,
    /// Print by a template: "table", "table TEMPLATE", "json", or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// How many to ask for, at most 100
    #[arg(long, value_name = "int", default_value_t = 0, value_parser = int)]
    limit: i64,
    /// Print descriptions in full
    #[arg(long)]
    no_trunc: bool,
    /// What to look for.
    terms: Vec<String>,
}

/// A whole number in Go's words.
fn int(text: &str) -> Result<i64, String> {
    text.parse()
        .map_err(|_| format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
}

/// What the filters ask for.
#[derive(Default)]
struct Wanted {
    official: Option<bool>,
    stars: u64,
    automated: bool,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.exactly(&arguments.terms, 1)?;
    let wanted = wanted(&arguments.filter)?;
    let limit = match arguments.limit {
        0 => LIMIT_DEFAULT,
        limit @ 1..=LIMIT_MAX => limit,
        limit => {
            let message = format!("limit {limit} is outside the range of [1, {LIMIT_MAX}]");
            return Err(Failure::error(message));
        }
    };
    let registry = Registry::new(context.settings()?.registry);
    let limit = u32::try_from(limit).unwrap_or_default();
    let found = runtime::heavy(async {
        registry
            .search(&arguments.terms[0], limit)
            .await
            .map_err(|error| {
                let missing = error.kind() == RegistryErrorKind::NotFound;
                let mut error = EngineError::from(error);
                if missing {
                    error.hint =
                        Some("`wharf tags NAME` lists the tags of a repository".to_owned());
                }
                error.into()
            })
    })?;
    let hits = found.iter().filter(|hit| {
        let official = wanted
            .official
            .is_none_or(|wanted| wanted == hit.is_official);
        official && hit.star_count >= wanted.stars && !wanted.automated
    });
    let format = match arguments.format.as_deref() {
        None | Some("" | "table") => TABLE,
        Some(format) => format,
    };
    let json = format == "json" || format.contains("json ");
    let rows = hits.map(|hit| row(hit, arguments.no_trunc, json));
    let text = listing::render(format, HEADERS, rows)
        .map_err(|error| Failure::error(error.to_string()))?;
    print(&text)
}

fn row(hit: &Hit, full: bool, json: bool) -> Columns {
    let description = if full {
        hit.description.clone()
    } else {
        ellipsis(&hit.description, DESCRIPTION_WIDTH)
    };
    let official = match (hit.is_official, json) {
        (true, false) => "[OK]".to_owned(),
        (false, false) => String::new(),
        (official, true) => official.to_string(),
    };
    let stars = hit.star_count.to_string();
    Columns::new(
        HEADERS,
        vec![hit.name.clone(), description, stars, official],
    )
}

/// In Docker's words where one is wrong.
fn wanted(filters: &[(String, String)]) -> Result<Wanted> {
    let mut wanted = Wanted::default();
    for (name, value) in said(filters) {
        let invalid = || Failure::error(format!("invalid filter '{name}={value}'"));
        let truth = || match value {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(invalid()),
        };
        match name {
            "is-official" => wanted.official = Some(truth()?),
            "stars" => wanted.stars = value.parse().map_err(|_| invalid())?,
            "is-automated" => {
                say(
                    "WARNING: the \"is-automated\" filter is deprecated, and searching for \
                     \"is-automated=true\" will not yield any results in future.\n",
                );
                wanted.automated = truth()?;
            }
            _ => return Err(Failure::error(format!("invalid filter '{name}'"))),
        }
    }
    Ok(wanted)
}
