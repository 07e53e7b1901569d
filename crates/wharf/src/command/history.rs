//! `wharf history`: shows how an image was built.

use clap::Args;
use gotmpl::Value;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use wharf_core::human;
use wharf_engine::{Engine as _, HistoryEntry};

use super::save::platform;
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::template::Record;
use crate::print::width::ellipsis;
use crate::print::{listing, print};
use crate::runtime;

/// Docker's formats of the table: with ages, and with dates.
const TABLE: &str = "table {{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
const TABLE_OF_DATES: &str =
    "table {{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
/// The names of the columns, by field.
const HEADERS: [(&str, &str); 6] = [
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
];

/// What Docker shows for steps that have no image of their own.
const MISSING: &str = "<missing>";
/// How wide a step's command is shown.
const COMMAND_WIDTH: usize = 45;
/// Year 1, in seconds: what a step without a date has in Go.
const GO_ZERO: i64 = -62_135_596_800;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print by a template: "table", "table TEMPLATE", "json", or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Print sizes and dates for people
    #[arg(
        short = 'H', long, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", default_value = "true"
    )]
    human: bool,
    /// Print commands and IDs in full
    #[arg(long)]
    no_trunc: bool,
    /// Show how the image of this platform was built: "linux/arm64"
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// Print IDs only
    #[arg(short, long)]
    quiet: bool,
    /// The image.
    images: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.exactly(&arguments.images, 1)?;
    let platform = platform(arguments.platform.as_deref())?;
    let engine = context.engine()?;
    let steps = runtime::light(engine.history(&arguments.images[0], platform.as_ref()))??;
    let given = arguments
        .format
        .as_deref()
        .filter(|format| !format.is_empty());
    let format = match given.unwrap_or("table") {
        "table" if arguments.quiet => "{{.ID}}",
        "table" if !arguments.human => TABLE_OF_DATES,
        "table" => TABLE,
        format => format,
    };
    let (now, zone) = (Timestamp::now(), context.environment.zone());
    let rows = steps.into_iter().map(|step| Row {
        step,
        full: arguments.no_trunc,
        human: arguments.human,
        now,
        zone: zone.clone(),
    });
    let text = listing::render(format, &HEADERS, rows)
        .map_err(|error| Failure::error(error.to_string()))?;
    print(&text)
}

/// One step.
struct Row {
    step: HistoryEntry,
    full: bool,
    human: bool,
    now: Timestamp,
    zone: TimeZone,
}

impl Row {
    fn created(&self) -> i64 {
        self.step.created.map_or(GO_ZERO, Timestamp::as_second)
    }

    fn created_at(&self) -> String {
        let time = Timestamp::from_second(self.created()).unwrap_or_default();
        human::point_rfc3339(time, &self.zone)
    }

    fn text(&self, name: &str) -> Option<String> {
        let step = &self.step;
        Some(match name {
            "ID" => match &step.id {
                None => MISSING.to_owned(),
                Some(id) if self.full => id.to_string(),
                Some(id) => id.short().to_owned(),
            },
            "CreatedAt" => self.created_at(),
            "CreatedSince" if self.human => human::history_age(self.created(), self.now),
            "CreatedSince" => self.created_at(),
            "CreatedBy" => {
                let command = step.created_by.replace('\t', " ");
                if self.full {
                    command
                } else {
                    ellipsis(&command, COMMAND_WIDTH)
                }
            }
            "Size" if self.human => human::table_size(step.size),
            "Size" => step.size.to_string(),
            "Comment" => step.comment.clone(),
            _ => return None,
        })
    }
}

impl Record for Row {
    const TYPE: &'static str = "*image.historyContext";

    fn field(&self, name: &str) -> Option<Value> {
        self.text(name).map(|text| Value::String(text.into()))
    }

    fn json(&self) -> String {
        listing::row_json(&HEADERS, |name| self.text(name))
    }
}
