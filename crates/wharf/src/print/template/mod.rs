//! Go's templates, with Docker's functions.
//!
//! The `gotmpl` crate reads and runs them; it knows maps and no structs. Docker's rows are structs:
//! a field that they lack is an error that names the place, where a map's missing key is nothing.
//! So every field access of a template is turned into a call of a function here, which knows both.
//!
//! | module | what it holds |
//! |---|---|
//! | `functions` | what templates can call: Docker's functions, and the access to fields |
//! | `rewrite` | turns field accesses into calls |
//! | `limits` | how long a result may be |
//! | `record` | what Go has as a struct |
//! | `go_json` | a template's values as JSON |
//! | `go_text` | a template's values as Go prints them |

mod functions;
mod go_json;
mod go_text;
mod limits;
mod record;
mod rewrite;

use std::sync::Arc;

use gotmpl::parse::{DefineNode, ListNode, Node, Parser};
use gotmpl::{TemplateError, Value};

pub(crate) use go_json::from_json;
pub(crate) use record::{
    Record, made_list, nil_list, nil_map, nil_pointer, record, text_list, text_map,
};

use functions::Missing;

/// Under which name the template itself is kept, next to those that it defines.
const MAIN: &str = "\0main";

/// Why a template cannot be read or run, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template parsing error: {0}")]
pub(crate) struct TemplateFailure(String);

/// A template.
pub(crate) struct Template {
    main: ListNode,
    defines: Vec<DefineNode>,
    rows: gotmpl::Template,
}

impl Template {
    /// Reads a template.
    pub(crate) fn parse(source: &str) -> Result<Self, TemplateFailure> {
        let (mut main, mut defines) = parse_to_the_end(source)?;
        rewrite::rewrite(&mut main, "", source).map_err(TemplateFailure)?;
        for define in &mut defines {
            let name = define.name.to_string();
            rewrite::rewrite(&mut define.body, &name, source).map_err(TemplateFailure)?;
        }
        let rows = assemble(&main, &defines, functions::for_rows(Missing::Nothing));
        Ok(Self {
            main,
            defines,
            rows,
        })
    }

    /// Appends what the template makes of `dot`.
    pub(crate) fn render(&self, dot: &Value, text: &mut String) -> Result<(), TemplateFailure> {
        run(&self.rows, dot, text)
    }

    /// The same for the names of columns: functions leave them as they are.
    pub(crate) fn render_header(
        &self,
        dot: &Value,
        text: &mut String,
    ) -> Result<(), TemplateFailure> {
        let headers = assemble(&self.main, &self.defines, functions::for_headers());
        run(&headers, dot, text)
    }

    /// The same where a map's missing key is an error (Go: `missingkey=error`).
    pub(crate) fn render_strict(
        &self,
        dot: &Value,
        text: &mut String,
    ) -> Result<(), TemplateFailure> {
        let functions = functions::for_rows(Missing::Error);
        run(&assemble(&self.main, &self.defines, functions), dot, text)
    }
}

/// What stands behind a template while it is read. The library stops at an `{{end}}` too many
/// without a word; then this is not found.
const END: &str = "\u{0}end";

fn parse_to_the_end(source: &str) -> Result<(ListNode, Vec<DefineNode>), TemplateFailure> {
    let parse = |text: &str| Parser::new(text, "{{", "}}")?.parse();
    // Errors in the template's own words first: the mark would change them.
    parse(source).map_err(|error| failure(&error))?;
    let (mut main, defines) = parse(&format!("{source}{END}")).map_err(|error| failure(&error))?;
    let unmarked = match main.nodes.last() {
        Some(Node::Text(last)) => last.text.strip_suffix(END).map(Arc::from),
        _ => None,
    };
    match (main.nodes.last_mut(), unmarked) {
        (Some(Node::Text(last)), Some(text)) => last.text = text,
        _ => {
            return Err(TemplateFailure(
                "template: :1: unexpected {{end}}".to_owned(),
            ));
        }
    }
    Ok((main, defines))
}

fn assemble(
    main: &ListNode,
    defines: &[DefineNode],
    functions: gotmpl::FuncMap,
) -> gotmpl::Template {
    let template = gotmpl::Template::new("")
        .max_range_iters(limits::TURNS_MAX)
        .funcs(functions)
        .add_parse_tree(MAIN, main.clone());
    defines.iter().fold(template, |template, define| {
        template.add_parse_tree(&define.name, define.body.clone())
    })
}

fn run(template: &gotmpl::Template, dot: &Value, text: &mut String) -> Result<(), TemplateFailure> {
    // Nothing of a row is shown when it fails in its middle.
    let mut row = limits::Row::default();
    let done = template.execute_template_fmt(&mut row, MAIN, dot);
    done.map_err(|error| failure(&row.excess().unwrap_or(error)))?;
    text.push_str(&row.text);
    Ok(())
}

/// The error in Go's words, as far as the library says where it happened.
fn failure(error: &TemplateError) -> TemplateFailure {
    TemplateFailure(match error {
        TemplateError::Parse { line, message, .. } | TemplateError::Lex { line, message, .. } => {
            format!("template: :{line}: {message}")
        }
        TemplateError::Exec(message) if message.starts_with("template: ") => message.clone(),
        TemplateError::Exec(message) => format!("template: executing \"\": {message}"),
        other => format!("template: executing \"\": {other}"),
    })
}

#[cfg(test)]
mod tests;
