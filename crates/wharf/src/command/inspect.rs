//! `wharf inspect`, `wharf image inspect`: says everything about images, as JSON or by a template.

use std::sync::Arc;

use clap::Args;
use wharf_core::event::Unwatched;
use wharf_core::platform::PlatformError;
use wharf_core::reference::ReferenceError;
use wharf_core::{Platform, Reference};
use wharf_engine::{Engine as _, ErrorKind, LocalEngine};

use crate::context::Context;
use crate::exit::{ERROR, Failure, INSPECT_TEMPLATE, Result, say};
use crate::print::json::{Html, compact, indented};
use crate::print::print;
use crate::print::template::{Template, from_json, record};
use crate::runtime;

mod config;
mod document;

use document::Typed;
use wharf_server::engine::wire::ImageInspect;

/// What Docker can inspect. wharf has images only.
const TYPES: [&str; 10] = [
    "config",
    "container",
    "image",
    "network",
    "node",
    "plugin",
    "secret",
    "service",
    "task",
    "volume",
];

/// The arguments of `wharf image inspect`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print by a Go template, or as "json" in one line
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
    /// Say everything about the image of this platform: "linux/arm64"
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// Ask the images' registries, without pulling anything
    #[arg(long)]
    remote: bool,
    /// The images.
    names: Vec<String>,
}

/// The arguments of `wharf inspect`, which in Docker is for all kinds of objects.
#[derive(Debug, Args)]
pub(crate) struct AnyArguments {
    /// Print by a Go template, or as "json" in one line
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
    /// Ask the images' registries, without pulling anything
    #[arg(long)]
    remote: bool,
    /// Taken for Docker's sake: images always show their size
    #[arg(short, long)]
    size: bool,
    /// Only objects of this type: "image"
    #[arg(long = "type", value_name = "string")]
    kind: Option<String>,
    /// The images.
    names: Vec<String>,
}

/// Runs `wharf image inspect`.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.at_least(&arguments.names, 1)?;
    let format = Format::parse(arguments.format.as_deref())?;
    let platform = platform(arguments.platform.as_deref())?;
    let engine = context.engine()?;
    inspect(&format, &arguments.names, |name| {
        if arguments.remote {
            return find_remote(&engine, name, platform.as_ref());
        }
        find(&engine, name, platform.as_ref())
    })
}

fn platform(text: Option<&str>) -> Result<Option<Platform>> {
    text.filter(|text| !text.is_empty())
        .map(str::parse)
        .transpose()
        .map_err(|error: PlatformError| Failure::error(error.to_string()))
}

/// What a registry says of an image: only its manifests and its config come.
fn find_remote(
    engine: &LocalEngine,
    name: &str,
    platform: Option<&Platform>,
) -> Result<ImageInspect> {
    let reference: Reference = name
        .parse()
        .map_err(|error: ReferenceError| Failure::error(error.to_string()))?;
    let (reference, watch) = (reference.or_latest(), Arc::new(Unwatched));
    let detail =
        runtime::heavy(async { Ok(engine.inspect_remote(&reference, platform, watch).await?) })?;
    Ok(ImageInspect::of(&detail)?)
}

/// Runs `wharf inspect`.
pub(crate) fn run_any(context: &Context, arguments: &AnyArguments) -> Result<()> {
    context.usage.at_least(&arguments.names, 1)?;
    let kind = arguments.kind.as_deref();
    if kind.is_some_and(|kind| !TYPES.contains(&kind)) {
        let (kind, types) = (kind.unwrap_or_default(), TYPES.join("\", \""));
        let message = match kind {
            "" => format!("type is empty: must be one of \"{types}\""),
            _ => format!("unknown type: {kind:?}: must be one of \"{types}\""),
        };
        return Err(Failure::error(message));
    }
    let format = Format::parse(arguments.format.as_deref())?;
    if arguments.size {
        say("WARNING: --size ignored for image\n");
    }
    let engine = context.engine()?;
    if arguments.remote {
        return inspect(&format, &arguments.names, |name| {
            find_remote(&engine, name, None)
        });
    }
    inspect(&format, &arguments.names, |name| match kind {
        // Docker asks for a container first, and refuses this before it asks (28.5: client).
        None if name.trim().is_empty() => Err(Failure::error(
            "invalid container name or ID: value is empty",
        )),
        Some("image") => find(&engine, name, None),
        None => find(&engine, name, None).map_err(|error| any_kind(error, name)),
        Some(kind) => Err(Failure::error(format!("Error: No such {kind}: {name}"))),
    })
}

/// In Docker's `inspect`, what is no image may still be something else, and the last word is this.
fn any_kind(error: Failure, name: &str) -> Failure {
    match &error {
        Failure::Engine(errors)
            if errors
                .iter()
                .all(|e| matches!(e.kind, ErrorKind::NotFound | ErrorKind::Invalid)) =>
        {
            no_such_object(name)
        }
        _ => error,
    }
}

fn no_such_object(name: &str) -> Failure {
    Failure::error(format!("Error: No such object: {name}"))
}

fn find(engine: &LocalEngine, name: &str, platform: Option<&Platform>) -> Result<ImageInspect> {
    if name.is_empty() {
        return Err(Failure::error("Error: No such image: "));
    }
    let detail = runtime::light(engine.inspect(name, platform))??;
    Ok(ImageInspect::of(&detail)?)
}

/// How the answer is printed.
enum Format {
    /// As a list, indented.
    Indented,
    /// As a list, in one line.
    Compact,
    /// By a template, a line for each.
    Template(Box<Template>),
}

impl Format {
    fn parse(format: Option<&str>) -> Result<Self> {
        match format {
            None | Some("") => Ok(Self::Indented),
            Some("json") => Ok(Self::Compact),
            Some(source) => Template::parse(source)
                .map(|template| Self::Template(Box::new(template)))
                .map_err(|error| Failure::Other {
                    message: error.to_string(),
                    hint: None,
                    code: INSPECT_TEMPLATE,
                }),
        }
    }

    /// Prints what was found.
    fn print(&self, found: &[ImageInspect]) -> (String, Vec<Failure>) {
        match self {
            Self::Indented if found.is_empty() => ("[]\n".to_owned(), Vec::new()),
            Self::Indented => (indented(&found, Html::Escaped) + "\n", Vec::new()),
            Self::Compact => (compact(&found, Html::Escaped) + "\n", Vec::new()),
            Self::Template(template) => by_template(template, found),
        }
    }
}

/// A line for each that the template fits. As in Docker, it is tried on the fields as Go has them
/// first, then on those of the JSON.
fn by_template(template: &Template, found: &[ImageInspect]) -> (String, Vec<Failure>) {
    let (mut text, mut errors) = (String::new(), Vec::new());
    for document in found {
        let typed = record(Typed(document.clone()));
        let done = template.render(&typed, &mut text).or_else(|_| {
            let raw = from_json(&serde_json::json!(document));
            template.render_strict(&raw, &mut text)
        });
        match done {
            Ok(()) => text.push('\n'),
            Err(error) => errors.push(Failure::error(error.to_string())),
        }
    }
    if text.is_empty() {
        text.push('\n');
    }
    (text, errors)
}

/// Prints all that are found, then says what was not.
fn inspect(
    format: &Format,
    names: &[String],
    find: impl Fn(&str) -> Result<ImageInspect>,
) -> Result<()> {
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for name in names {
        match find(name) {
            Ok(document) => found.push(document),
            Err(error) => errors.push(error),
        }
    }
    let (text, failed) = format.print(&found);
    errors.extend(failed);
    print(&text)?;
    all_of(errors)
}

/// Several failures as one.
fn all_of(mut errors: Vec<Failure>) -> Result<()> {
    if errors.len() <= 1 {
        return errors.pop().map_or(Ok(()), Err);
    }
    let mut lines = Vec::new();
    for error in errors {
        match error {
            Failure::Engine(all) => lines.extend(all.iter().map(|error| error.chain())),
            Failure::Other { message, .. } => lines.push(message),
            other => return Err(other),
        }
    }
    let told = lines
        .into_iter()
        .map(|line| match line.strip_prefix("Error") {
            Some(_) => line,
            None => format!("Error: {line}"),
        });
    Err(Failure::Other {
        message: told.collect::<Vec<_>>().join("\n"),
        hint: None,
        code: ERROR,
    })
}
