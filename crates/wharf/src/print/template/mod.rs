//! Go's templates, with Docker's functions.
//!
//! The `gotmpl` crate reads and runs them; it knows maps and no structs. Docker's rows are structs:
//! a field that they lack is an error that names the place, where a map's missing key is nothing.
//! So every field access of a template is turned into a call of a function here, which knows both.
//!
//! | module | what it holds |
//! |---|---|
//! | `functions` | what templates can call: Docker's functions, and the access to fields |
//! | `syntax` | what Go refuses before it runs a template |
//! | `rewrite` | turns field accesses into calls |
//! | `limits` | how long a result may be |
//! | `places` | where functions are called, for errors in Go's words |
//! | `time` | Go's times and lengths of time |
//! | `record` | what Go has as a struct |
//! | `go_json` | a template's values as JSON |
//! | `go_text` | a template's values as Go prints them |

mod functions;
mod go_json;
mod go_text;
mod limits;
mod places;
mod record;
mod rewrite;
mod syntax;
mod time;

use gotmpl::parse::{DefineNode, ListNode, Parser};
use gotmpl::{TemplateError, Value};

pub(crate) use go_json::from_json;
pub(crate) use record::{
    Record, made_list, nil_list, nil_map, nil_pointer, record, text_list, text_map,
};

pub(crate) use time::{GoDuration, GoTime};

use functions::{ARGUMENT, Missing};
use places::{Last, Place};
use rewrite::Rewrite;

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
    places: Vec<Place>,
    last: Last,
}

impl Template {
    /// Reads a template.
    pub(crate) fn parse(source: &str) -> Result<Self, TemplateFailure> {
        let (mut main, mut defines) = read(source).map_err(TemplateFailure)?;
        let names = defines.iter().map(|define| define.name.to_string());
        let mut rewrite = Rewrite::new(source, names.collect());
        rewrite.template(&mut main, "").map_err(TemplateFailure)?;
        for define in &mut defines {
            let name = define.name.to_string();
            rewrite
                .template(&mut define.body, &name)
                .map_err(TemplateFailure)?;
        }
        let last = Last::default();
        let functions = functions::for_rows(Missing::Nothing, &last);
        Ok(Self {
            rows: assemble(&main, &defines, functions),
            main,
            defines,
            places: rewrite.into_places(),
            last,
        })
    }

    /// Appends what the template makes of `dot`.
    pub(crate) fn render(&self, dot: &Value, text: &mut String) -> Result<(), TemplateFailure> {
        self.run(&self.rows, dot, text)
    }

    /// The same for the names of columns: functions leave them as they are.
    pub(crate) fn render_header(
        &self,
        dot: &Value,
        text: &mut String,
    ) -> Result<(), TemplateFailure> {
        let functions = functions::for_headers(&self.last);
        self.run(&assemble(&self.main, &self.defines, functions), dot, text)
    }

    /// The same where a map's missing key is an error (Go: `missingkey=error`).
    pub(crate) fn render_strict(
        &self,
        dot: &Value,
        text: &mut String,
    ) -> Result<(), TemplateFailure> {
        let functions = functions::for_rows(Missing::Error, &self.last);
        self.run(&assemble(&self.main, &self.defines, functions), dot, text)
    }

    fn run(
        &self,
        template: &gotmpl::Template,
        dot: &Value,
        text: &mut String,
    ) -> Result<(), TemplateFailure> {
        self.last.clear();
        // Nothing of a row is shown when it fails in its middle.
        let mut row = limits::Row::default();
        let done = template.execute_template_fmt(&mut row, MAIN, dot);
        done.map_err(|error| {
            let error = row.excess().unwrap_or(error);
            TemplateFailure(failure(&error, self.last.place(&self.places)))
        })?;
        text.push_str(&row.text);
        Ok(())
    }
}

fn read(source: &str) -> Result<(ListNode, Vec<DefineNode>), String> {
    let read = Parser::new(source, "{{", "}}").and_then(Parser::parse);
    let read = read.map_err(|error| syntax::in_go_s_words(&error, source))?;
    syntax::check_blocks(source)?;
    Ok(read)
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

/// The error in Go's words, with the place of the last call.
fn failure(error: &TemplateError, place: Option<&Place>) -> String {
    let message = match error {
        TemplateError::Exec(message) if message.starts_with("template: ") => {
            return message.clone();
        }
        TemplateError::RecursionLimit => "exceeded maximum template depth".to_owned(),
        TemplateError::Exec(message) => message.clone(),
        other => other.to_string(),
    };
    let limit = matches!(
        error,
        TemplateError::RecursionLimit | TemplateError::RangeIterLimit
    );
    let Some(place) = place.filter(|_| !limit) else {
        return format!("template: executing \"\": {message}");
    };
    if let Some((number, rest)) = message
        .strip_prefix(ARGUMENT)
        .and_then(|rest| rest.split_once(':'))
    {
        let number: usize = number.parse().unwrap_or(usize::MAX);
        let (expected, reason) = rest.split_once(':').unwrap_or_default();
        return match place.arguments.get(number) {
            Some((head, Some(literal))) => {
                let expected = if expected == "int" {
                    "integer"
                } else {
                    expected
                };
                format!("{head}: expected {expected}; found {literal}")
            }
            Some((head, None)) => format!("{head}: {reason}"),
            None => format!("{}: {reason}", place.head),
        };
    }
    let (head, function) = (&place.head, &place.function);
    format!("{head}: error calling {function}: {message}")
}

#[cfg(test)]
mod tests;
