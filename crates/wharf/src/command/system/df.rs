//! `wharf system df`: how much space images take, in Docker's tables. wharf has images only; Docker's
//! containers, volumes and build cache stand there as what they are here: none.

use clap::Args;
use gotmpl::Value;
use jiff::Timestamp;
use wharf_core::human;
use wharf_engine::{DiskUsage, Engine as _, Unfinished};

use crate::command::images::rows::{self, Row, Rows};
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::table::align;
use crate::print::template::{Record, Template, TemplateFailure, made_list, record};
use crate::print::{listing, print};
use crate::runtime;

/// Docker's formats: of the table, and of `--format raw`.
const TABLE: &str = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";
const RAW: &str = "type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\n\
                   reclaimable: {{.Reclaimable}}\n";
/// The names of the columns, by field.
const HEADERS: [(&str, &str); 5] = [
    ("Type", "TYPE"),
    ("TotalCount", "TOTAL"),
    ("Active", "ACTIVE"),
    ("Size", "SIZE"),
    ("Reclaimable", "RECLAIMABLE"),
];

/// The same of `-v`: one table for each kind.
const IMAGES_TABLE: &str = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}";
const IMAGES_RAW: &str = "{{range .Images}}type: Image\nrepository: {{ .Repository }}\ntag: {{.Tag}}\n\
                          digest: {{.Digest}}\nimage_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\n\
                          virtual_size: {{.Size}}\n\n{{end -}}";
/// The columns of kinds that wharf has none of.
const NO_CONTAINERS: &str =
    "CONTAINER ID\tIMAGE\tCOMMAND\tLOCAL VOLUMES\tSIZE\tCREATED\tSTATUS\tNAMES\n";
const NO_VOLUMES: &str = "VOLUME NAME\tLINKS\tSIZE\n";
const NO_CACHE: &str = "CACHE ID\tCACHE TYPE\tSIZE\tCREATED\tLAST USED\tUSAGE\tSHARED\n";

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print by a template: "table", "table TEMPLATE", "json", or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Show each image
    #[arg(short, long)]
    verbose: bool,
    /// None are taken.
    #[arg(hide = true)]
    rest: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.exactly(&arguments.rest, 0)?;
    let format = arguments.format.as_deref().filter(|text| !text.is_empty());
    let format = format.unwrap_or("table");
    let engine = context.engine()?;
    let usage = runtime::light(engine.disk_usage())??;
    let text = if arguments.verbose {
        verbose(context, &usage, format)
    } else {
        overview(&usage, format)
    };
    let mut text = text.map_err(|error| Failure::error(error.to_string()))?;
    // Programs ask for a format, and get what Docker gives them.
    if format == "table" {
        text += &unfinished(&usage);
    }
    print(&text)
}

/// What unfinished downloads take, below Docker's tables; nothing if there are none.
fn unfinished(usage: &DiskUsage) -> String {
    let Unfinished { count, bytes } = usage.unfinished;
    if bytes == 0 {
        return String::new();
    }
    format!(
        "\nUnfinished downloads and uploads: {count}, {}\n",
        human::size(bytes)
    )
}

type Printed = Result<String, TemplateFailure>;

/// A row for each kind.
fn overview(usage: &DiskUsage, format: &str) -> Printed {
    let format = match format {
        "table" => TABLE,
        "raw" => RAW,
        format => format,
    };
    let none = |kind| Kind {
        kind,
        count: 0,
        size: 0,
    };
    let images = Kind {
        kind: "Images",
        count: usage.images.len(),
        size: usage.layers,
    };
    let kinds = [
        images,
        none("Containers"),
        none("Local Volumes"),
        none("Build Cache"),
    ];
    listing::render(format, &HEADERS, kinds)
}

/// One kind of what takes space. Nothing of it is in use: wharf runs nothing.
struct Kind {
    kind: &'static str,
    count: usize,
    size: u64,
}

impl Kind {
    fn text(&self, name: &str) -> Option<String> {
        let size = human::size(self.size);
        Some(match name {
            "Type" => self.kind.to_owned(),
            "TotalCount" => self.count.to_string(),
            "Active" => "0".to_owned(),
            "Size" => size,
            "Reclaimable" if self.size > 0 => format!("{size} (100%)"),
            "Reclaimable" => size,
            _ => return None,
        })
    }
}

impl Record for Kind {
    const TYPE: &'static str = "*formatter.diskUsageImagesContext";

    fn field(&self, name: &str) -> Option<Value> {
        self.text(name).map(|text| Value::String(text.into()))
    }

    fn json(&self) -> String {
        listing::row_json(&HEADERS, |name| self.text(name))
    }
}

/// Each image, with what it shares.
fn verbose(context: &Context, usage: &DiskUsage, format: &str) -> Printed {
    let rows = Rows {
        full_ids: !listing::is_table(format),
        digest_rows: false,
        digests: false,
        now: Timestamp::now(),
        zone: context.environment.zone(),
    };
    let rows: Vec<Row> = usage
        .images
        .iter()
        .map(|image| rows.measured(&image.summary, image.shared))
        .collect();
    if format != "table" {
        return by_template(rows, format);
    }
    let images = listing::render(IMAGES_TABLE, &rows::HEADERS, rows)?;
    let [containers, volumes, cache] = [NO_CONTAINERS, NO_VOLUMES, NO_CACHE].map(align);
    Ok(format!(
        "Images space usage:\n\n{images}\nContainers space usage:\n\n{containers}\n\
         Local Volumes space usage:\n\n{volumes}\nBuild cache usage: 0B\n\n{cache}"
    ))
}

/// By a template over everything at once, with no line's end of its own (Docker 28.5: `verboseWrite`).
fn by_template(rows: Vec<Row>, format: &str) -> Printed {
    let format = match format {
        "raw" => IMAGES_RAW.to_owned(),
        format => listing::source(format),
    };
    let everything = Everything {
        json: rows.iter().map(Record::json).collect::<Vec<_>>().join(","),
        images: Value::List(rows.into_iter().map(record).collect()),
    };
    let mut text = String::new();
    Template::parse(&format)?.render(&record(everything), &mut text)?;
    Ok(text)
}

/// All kinds, for templates.
struct Everything {
    images: Value,
    /// The images as JSON, without the list's brackets.
    json: String,
}

impl Record for Everything {
    const TYPE: &'static str = "*formatter.diskUsageContext";

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "Images" => Some(self.images.clone()),
            "Containers" | "Volumes" | "BuildCache" => Some(made_list(&[])),
            _ => None,
        }
    }

    fn json(&self) -> String {
        let images = &self.json;
        format!("{{\"Images\":[{images}],\"Containers\":[],\"Volumes\":[],\"BuildCache\":[]}}")
    }
}
