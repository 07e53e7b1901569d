//! Where a template calls functions, for errors in Go's words.
//!
//! The library runs a function without saying where it was called. So each call is preceded by a mark:
//! the number of its place here. The last mark is the place of an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gotmpl::Value;
use gotmpl::parse::{CommandNode, Expr, Number, PipeNode, SmolStr};

/// No function was called yet.
const NOWHERE: usize = usize::MAX;

/// The place of one call.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The function's name.
    pub(super) function: String,
    /// How an error of the whole call begins: `template: :1:2: executing "" at <index .X 9>`.
    pub(super) head: String,
    /// The same for each argument; the literal, if it is one.
    pub(super) arguments: Vec<(String, Option<String>)>,
}

/// The place of the last call.
#[derive(Clone, Debug)]
pub(super) struct Last(Arc<AtomicUsize>);

impl Default for Last {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(NOWHERE)))
    }
}

impl Last {
    /// Forgets the last call.
    pub(super) fn clear(&self) {
        self.0.store(NOWHERE, Ordering::Relaxed);
    }

    /// Keeps the place that a mark names.
    pub(super) fn mark(&self, number: &Value) {
        let number = number.as_int().and_then(|n| usize::try_from(n).ok());
        self.0.store(number.unwrap_or(NOWHERE), Ordering::Relaxed);
    }

    /// Returns the place, if there is one.
    pub(super) fn place<'p>(&self, places: &'p [Place]) -> Option<&'p Place> {
        places.get(self.0.load(Ordering::Relaxed))
    }
}

/// An argument that is written as it is, as Go shows it in errors.
pub(super) fn literal(argument: &Expr) -> Option<String> {
    match argument {
        Expr::String(..) | Expr::Number(..) | Expr::Bool(..) => Some(shown(argument)),
        _ => None,
    }
}

/// An expression as Go writes it again.
pub(super) fn shown(expression: &Expr) -> String {
    match expression {
        Expr::Dot(_) => ".".to_owned(),
        Expr::Field(_, fields) => chain(fields),
        Expr::Variable(_, name, fields) => format!("{name}{}", chain(fields)),
        Expr::Identifier(_, name) => name.to_string(),
        Expr::String(_, text) => format!("{text:?}"),
        Expr::Number(_, number) => match number {
            Number::Int(number) => number.to_string(),
            Number::Uint(number) => number.to_string(),
            Number::Float(number) => number.to_string(),
        },
        Expr::Bool(_, value) => value.to_string(),
        Expr::Nil(_) => "nil".to_owned(),
        Expr::Pipe(_, pipe) => format!("({})", shown_pipe(pipe)),
        Expr::Chain(_, inner, fields) => format!("{}{}", shown(inner), chain(fields)),
    }
}

/// A command as Go writes it again.
pub(super) fn shown_command(command: &CommandNode) -> String {
    let all: Vec<_> = command.args.iter().map(shown).collect();
    all.join(" ")
}

/// A pipeline as Go writes it again.
pub(super) fn shown_pipe(pipe: &PipeNode) -> String {
    let all: Vec<_> = pipe.commands.iter().map(shown_command).collect();
    all.join(" | ")
}

fn chain(fields: &[SmolStr]) -> String {
    fields.iter().map(|field| format!(".{field}")).collect()
}
