//! `wharf images`, `wharf image ls`: lists the images that are here.

use clap::Args;
use wharf_engine::{Engine as _, Filters, ImageSummary, ListQuery};

use crate::arguments::{filter, said};
use crate::context::Context;
use crate::docker_config;
use crate::exit::{Failure, Result, say};
use crate::print::{listing, print};
use crate::runtime;

pub(super) mod rows;
mod tree;

use rows::{HEADERS, Row, Rows};

/// Docker's format of the table, in templates.
const TABLE: &str = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}";
/// The same with digests.
const TABLE_WITH_DIGESTS: &str = "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}";
/// The field that makes rows of digests, as Docker finds it in a format.
const DIGEST_FIELD: &str = "{{.Digest}}";

/// Commands of `wharf image`: who asks `wharf images` for such an image means the command.
const COMMANDS: [&str; 13] = [
    "build", "history", "import", "inspect", "list", "load", "ls", "prune", "pull", "push", "rm",
    "save", "tag",
];

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Show intermediate images too
    #[arg(short, long)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Show only what fits: before, dangling, label, reference, since, until
    #[arg(short, long, value_name = "filter", value_parser = filter)]
    filter: Vec<(String, String)>,
    /// Print by a template: "table", "table TEMPLATE", "json", or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Print IDs and digests in full
    #[arg(long)]
    no_trunc: bool,
    /// Print IDs only
    #[arg(short, long)]
    quiet: bool,
    /// Show the platforms of each image as a tree (EXPERIMENTAL)
    #[arg(long)]
    tree: bool,
    /// Which names to show: a pattern.
    names: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.at_most(&arguments.names, 1)?;
    let mut filters = Filters::default();
    for (name, value) in said(&arguments.filter) {
        filters.add(name, value);
    }
    let name = arguments.names.first().filter(|name| !name.is_empty());
    if let Some(name) = name {
        filters.add("reference", name);
    }
    if arguments.tree {
        return show_tree(context, arguments, filters);
    }
    let engine = context.engine()?;
    let query = ListQuery {
        all: arguments.all,
        filters,
    };
    let images = runtime::light(engine.images(&query))??;
    print(&text(context, arguments, &images)?)?;
    if let Some(name) = name.filter(|name| images.is_empty() && COMMANDS.contains(&name.as_str()))
        && context.usage.path().ends_with("images")
    {
        let program = context.environment.program.name();
        say(&format!(
            "\nNo images found matching {name:?}: did you mean \"{program} image {name}\"?\n"
        ));
    }
    Ok(())
}

/// `--tree`, with none of the flags that Docker does not have there either.
fn show_tree(context: &Context, arguments: &Arguments, filters: Filters) -> Result<()> {
    let format = arguments
        .format
        .as_ref()
        .is_some_and(|text| !text.is_empty());
    let flags = [
        (arguments.quiet, "--quiet"),
        (arguments.no_trunc, "--no-trunc"),
        (arguments.digests, "--show-digest"),
        (format, "--format"),
    ];
    if let Some((_, flag)) = flags.iter().find(|(given, _)| *given) {
        let message = format!("{flag} is not yet supported with --tree");
        return Err(Failure::error(message));
    }
    let engine = context.engine()?;
    let query = ListQuery {
        all: arguments.all,
        filters,
    };
    let images = runtime::light(engine.image_tree(&query))??;
    tree::draw(context, &images)
}

/// The list, as it was asked for.
fn text(context: &Context, arguments: &Arguments, images: &[ImageSummary]) -> Result<String> {
    let given = arguments.format.clone().filter(|format| !format.is_empty());
    let format = given.or_else(|| {
        let own = || docker_config::read(&context.environment).images_format;
        (!arguments.quiet).then(own).filter(|own| !own.is_empty())
    });
    let format = format.as_deref();
    if matches!(format, None | Some("table")) && arguments.quiet {
        return Ok(ids(images, arguments.no_trunc));
    }
    let format = with_digests(format.unwrap_or("table"), arguments);
    let rows = Rows {
        full_ids: arguments.no_trunc,
        digest_rows: arguments.digests,
        digests: arguments.digests || format.contains(DIGEST_FIELD),
        now: jiff::Timestamp::now(),
        zone: context.environment.zone(),
    };
    let rows: Vec<Row> = rows.of(images);
    if format == TABLE || format == TABLE_WITH_DIGESTS {
        return Ok(rows::table(&rows, arguments.digests));
    }
    listing::render(&format, &HEADERS, rows).map_err(|error| Failure::error(error.to_string()))
}

/// The format, with digests in it if they were asked for.
fn with_digests(format: &str, arguments: &Arguments) -> String {
    match (format, arguments.digests, arguments.quiet) {
        ("table", false, _) => TABLE.to_owned(),
        ("table", true, _) => TABLE_WITH_DIGESTS.to_owned(),
        ("raw", _, true) => "image_id: {{.ID}}".to_owned(),
        ("raw", digests, false) => raw(digests),
        (format, true, _) if listing::is_table(format) && !format.contains(DIGEST_FIELD) => {
            format!("{format}\t{DIGEST_FIELD}")
        }
        (format, ..) => format.to_owned(),
    }
}

/// Docker's `--format raw`: a line per field.
fn raw(digests: bool) -> String {
    let digest = if digests { "digest: {{.Digest}}\n" } else { "" };
    format!(
        "repository: {{{{ .Repository }}}}\ntag: {{{{.Tag}}}}\n{digest}image_id: {{{{.ID}}}}\n\
         created_at: {{{{.CreatedAt}}}}\nvirtual_size: {{{{.Size}}}}\n"
    )
}

/// `images -q`: one ID per row of the table, made without its other columns.
fn ids(images: &[ImageSummary], full: bool) -> String {
    let mut text = String::new();
    for image in images {
        let id = if full {
            image.id.as_str()
        } else {
            image.id.short()
        };
        for _ in 0..rows::count(image) {
            text.push_str(id);
            text.push('\n');
        }
    }
    text
}
