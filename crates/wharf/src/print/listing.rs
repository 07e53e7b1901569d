//! Rows: as a table, as JSON, by a template.

use std::collections::BTreeMap;

use gotmpl::Value;

use super::json::{Html, compact};
use super::table::align;
use super::template::{Record, Template, TemplateFailure, record};

/// The format of which a table is made.
const TABLE: &str = "table";
/// One JSON object per row.
const JSON: &str = "json";

/// Is it a table's format?
pub(crate) fn is_table(format: &str) -> bool {
    format.starts_with(TABLE)
}

/// Prints `rows` by `format`: `json`, a template, or `table` and a template. `headers` names a
/// table's columns, by the field that they show.
pub(crate) fn render<R: Record>(
    format: &str,
    headers: &[(&str, &str)],
    rows: impl IntoIterator<Item = R>,
) -> Result<String, TemplateFailure> {
    let template = Template::parse(&source(format))?;
    let mut body = String::new();
    for row in rows {
        template.render(&record(row), &mut body)?;
        body.push('\n');
    }
    if !is_table(format) {
        return Ok(body);
    }
    let names = headers
        .iter()
        .map(|&(field, name)| (field.into(), Value::String(name.into())));
    let mut table = String::new();
    // A header that cannot be made is left out: the rows say more than an error would.
    drop(template.render_header(
        &Value::Map(std::sync::Arc::new(names.collect())),
        &mut table,
    ));
    table.push('\n');
    table.push_str(&body);
    Ok(align(&table))
}

/// The template that a format stands for.
pub(crate) fn source(format: &str) -> String {
    let text = match format {
        JSON => "{{json .}}",
        _ => format.strip_prefix(TABLE).unwrap_or(format),
    };
    // A shell hands over `\t` as two characters.
    text.trim_matches(' ')
        .replace("\\t", "\t")
        .replace("\\n", "\n")
}

/// One row's fields as Go's JSON: those of its columns that it has.
pub(crate) fn row_json(headers: &[(&str, &str)], text: impl Fn(&str) -> Option<String>) -> String {
    let fields: BTreeMap<&str, String> = headers
        .iter()
        .filter_map(|&(name, _)| Some((name, text(name)?)))
        .collect();
    compact(&fields, Html::Escaped)
}
