//! `wharf diff`: compares two images: config, layers, files. It succeeds whatever it finds.
//!
//! A file has changed if its kind, mode, owner, content or target has. A time alone is no change: builds
//! give a new one to everything.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io::{self, BufWriter, Write};

use clap::Args;
use serde_json::{Value, json};
use wharf_archive::files::tree::compare;
use wharf_archive::files::{Entry, Kind, Place};
use wharf_core::go_json;
use wharf_core::human::table_size;
use wharf_engine::{FileLayer, ImageFiles};

use super::files::{platform, shown, warn};
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::json::{Html, indented};
use crate::print::terminal::{self, Stream};

/// How much is written at once, in bytes.
const BUFFER: usize = 64 * 1024;

/// The config's fields that are compared, beside those of `config` itself.
const FIELDS: [&str; 6] = [
    "architecture",
    "author",
    "created",
    "os",
    "os.version",
    "variant",
];

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// "json": everything, for programs
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Compare the images for this platform: "linux/arm64"
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// The images: the old one and the new one.
    names: Vec<String>,
}

/// A file that is not the same.
struct Change {
    before: Option<Place>,
    after: Option<Place>,
}

/// All files that are not the same, sorted by name.
struct Changes<'a> {
    a: &'a ImageFiles,
    b: &'a ImageFiles,
    all: Vec<Change>,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.exactly(&arguments.names, 2)?;
    let [a, b] = &arguments.names[..] else {
        return Ok(());
    };
    let platform = platform(arguments.platform.as_deref())?;
    let engine = context.engine()?;
    let (a, b) = engine.files_of_both(a, b, platform.as_ref())?;
    for files in [&a, &b] {
        warn(&files.notices());
    }
    let (config, layers, changes) = (configs(&a, &b), Layers::of(&a, &b), Changes::of(&a, &b));
    match arguments.format.as_deref() {
        None | Some("") => text(&config, &layers, &changes, &mut output()).map_err(Failure::output),
        Some("json") => {
            let all = json!({
                "Config": config.iter().map(|(field, before, after)| {
                    json!({ "Field": field, "Before": before, "After": after })
                }).collect::<Vec<_>>(),
                "Layers": {
                    "Shared": layers.shared.iter().map(layer).collect::<Vec<_>>(),
                    "Removed": layers.only_a.iter().map(layer).collect::<Vec<_>>(),
                    "Added": layers.only_b.iter().map(layer).collect::<Vec<_>>(),
                },
                "Files": [],
            });
            json(&all, &changes, &mut output()).map_err(Failure::output)
        }
        Some(other) => Err(Failure::with_hint(
            format!("{other:?} is no format of a comparison"),
            "there is \"json\"",
        )),
    }
}

/// The layers of both, and of one of them.
struct Layers {
    shared: Vec<FileLayer>,
    only_a: Vec<FileLayer>,
    only_b: Vec<FileLayer>,
}

impl Layers {
    fn of(a: &ImageFiles, b: &ImageFiles) -> Self {
        let ids = |files: &ImageFiles| -> BTreeSet<String> {
            files
                .layers
                .iter()
                .map(|layer| layer.diff_id.to_string())
                .collect()
        };
        let (in_a, in_b) = (ids(a), ids(b));
        let split = |files: &ImageFiles, other: &BTreeSet<String>| {
            let all = files.layers.iter().cloned();
            all.partition::<Vec<_>, _>(|layer| other.contains(layer.diff_id.as_str()))
        };
        let ((shared, only_a), (_, only_b)) = (split(a, &in_b), split(b, &in_a));
        Self {
            shared,
            only_a,
            only_b,
        }
    }
}

fn configs(a: &ImageFiles, b: &ImageFiles) -> Vec<(String, Value, Value)> {
    let read = |files: &ImageFiles| -> Value {
        go_json::from_slice(&files.config.raw).unwrap_or_default()
    };
    let (a, b) = (read(a), read(b));
    let mut all = Vec::new();
    for field in FIELDS {
        all.push((field.to_owned(), a[field].clone(), b[field].clone()));
    }
    let keys = |value: &Value| -> BTreeSet<String> {
        value["config"]
            .as_object()
            .map(|map| map.keys().cloned().collect())
            .unwrap_or_default()
    };
    for key in keys(&a).union(&keys(&b)) {
        let (before, after) = (a["config"][key].clone(), b["config"][key].clone());
        all.push((format!("config.{key}"), before, after));
    }
    all.retain(|(_, before, after)| before != after);
    all
}

impl<'a> Changes<'a> {
    fn of(a: &'a ImageFiles, b: &'a ImageFiles) -> Self {
        let mut all = Vec::new();
        let compared: Result<(), Infallible> =
            compare(&a.tree, &b.tree, &mut |_, before, after| {
                let same = match (before, after) {
                    (Some(before), Some(after)) => {
                        is_same(&a.tree.node(before).entry, &b.tree.node(after).entry)
                    }
                    _ => false,
                };
                if !same {
                    all.push(Change { before, after });
                }
                Ok(())
            });
        match compared {
            Ok(()) => Self { a, b, all },
            Err(never) => match never {},
        }
    }

    /// Its name, and what it was and is.
    fn about(&self, change: &Change) -> (String, Option<Entry<'a>>, Option<Entry<'a>>) {
        let entry = |files: &'a ImageFiles, place: Option<Place>| {
            place.map(|place| files.tree.node(place).entry)
        };
        let path = match (change.before, change.after) {
            (Some(place), _) => self.a.tree.path(place),
            (None, Some(place)) => self.b.tree.path(place),
            (None, None) => Vec::new(),
        };
        let (before, after) = (entry(self.a, change.before), entry(self.b, change.after));
        (shown(&path), before, after)
    }

    fn json(&self, change: &Change) -> Value {
        let (path, before, after) = self.about(change);
        let about = |entry: Option<Entry<'_>>| {
            entry.map(|entry| {
                json!({
                    "Mode": super::files::mode(&entry), "Uid": entry.uid, "Gid": entry.gid,
                    "Size": entry.size, "Link": shown(entry.link),
                })
            })
        };
        let kind = match (before, after) {
            (None, _) => "A",
            (_, None) => "D",
            _ => "C",
        };
        json!({
            "Kind": kind, "Path": format!("/{path}"),
            "Before": about(before), "After": about(after),
        })
    }
}

fn is_same(a: &Entry<'_>, b: &Entry<'_>) -> bool {
    let kind = a.kind == b.kind && a.mode == b.mode && a.uid == b.uid && a.gid == b.gid;
    let device = !matches!(a.kind, Kind::CharDevice | Kind::BlockDevice) || a.device == b.device;
    kind && device
        && (a.size, a.stored, a.hash) == (b.size, b.stored, b.hash)
        && (a.form, a.map) == (b.form, b.map)
        && (a.link, a.attributes) == (b.link, b.attributes)
}

/// Standard output. The names of many deep files would take gigabytes: they are written one by one.
fn output() -> BufWriter<Stream<io::StdoutLock<'static>>> {
    BufWriter::with_capacity(BUFFER, terminal::stdout())
}

/// Writes everything, the files one by one in the place of the empty list.
fn json(all: &Value, changes: &Changes<'_>, out: &mut impl Write) -> io::Result<()> {
    const EMPTY: &str = "\"Files\": []";
    let whole = indented(all, Html::Plain) + "\n";
    let Some((before, behind)) = whole.rsplit_once(EMPTY).filter(|_| !changes.all.is_empty())
    else {
        out.write_all(whole.as_bytes())?;
        return out.flush();
    };
    write!(out, "{before}\"Files\": [")?;
    for (number, change) in changes.all.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let one = indented(&changes.json(change), Html::Plain).replace('\n', "\n        ");
        write!(out, "{comma}\n        {one}")?;
    }
    write!(out, "\n    ]{behind}")?;
    out.flush()
}

fn text(
    config: &[(String, Value, Value)],
    layers: &Layers,
    changes: &Changes<'_>,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut text = String::new();
    if !config.is_empty() {
        text.push_str("Config:\n");
        for (field, before, after) in config {
            text.push_str(&format!("  {field}: {before} -> {after}\n"));
        }
    }
    let size = |layers: &[FileLayer]| table_size(layers.iter().map(|layer| layer.size).sum());
    text.push_str(&format!(
        "Layers: {} shared ({}), {} removed ({}), {} added ({})\n",
        layers.shared.len(),
        size(&layers.shared),
        layers.only_a.len(),
        size(&layers.only_a),
        layers.only_b.len(),
        size(&layers.only_b),
    ));
    out.write_all(text.as_bytes())?;
    let (mut added, mut changed, mut removed) = (0, 0, 0);
    for change in &changes.all {
        let (name, before, after) = changes.about(change);
        let line = match (before, after) {
            (None, Some(after)) => {
                added += 1;
                format!("A /{name} {}\n", table_size(after.size))
            }
            (Some(before), None) => {
                removed += 1;
                format!("D /{name} {}\n", table_size(before.size))
            }
            (Some(before), Some(after)) => {
                changed += 1;
                let (before, after) = (table_size(before.size), table_size(after.size));
                format!("C /{name} {before} -> {after}\n")
            }
            (None, None) => continue,
        };
        out.write_all(line.as_bytes())?;
    }
    writeln!(
        out,
        "Files: {added} added, {changed} changed, {removed} removed"
    )?;
    out.flush()
}

fn layer(layer: &FileLayer) -> Value {
    json!({ "DiffID": layer.diff_id.as_str(), "Blob": layer.blob.as_str(), "Size": layer.size })
}
