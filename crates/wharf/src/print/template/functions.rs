//! What templates can call: Docker's functions, and the access to fields. Go's own functions come
//! with the library.

use std::sync::Arc;

use gotmpl::{FuncMap, TemplateError, Value};

use super::go_json::to_json;
use super::go_text;
use super::limits;
use super::record;

/// The access to fields. No template can call it by this name.
pub(super) const FIELD: &str = "\0field";
/// Prints a result.
pub(super) const PRINT: &str = "\0print";

/// Docker's functions.
const DOCKER: [&str; 9] = [
    "json", "split", "join", "title", "lower", "upper", "pad", "truncate", "index",
];
/// Go's own.
const GO: [&str; 18] = [
    "and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "slice", "call", "print",
    "printf", "println", "html", "js", "urlquery",
];

/// Those whose result can be longer than their arguments, or that put arguments together.
const GROWING: [&str; 13] = [
    "json", "join", "title", "lower", "upper", "pad", "printf", "println", "print", "html", "js",
    "urlquery", PRINT,
];
/// Those of them that are taken from the library as they are.
const GROWING_OF_GO: [&str; 4] = ["print", "html", "js", "urlquery"];

/// Is there such a function?
pub(super) fn is_function(name: &str) -> bool {
    DOCKER.contains(&name) || GO.contains(&name)
}

/// What a map's missing key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// Nothing: Go prints `<no value>`.
    Nothing,
    /// An error.
    Error,
}

type Answer = Result<Value, TemplateError>;

/// The functions for rows.
pub(super) fn for_rows(missing: Missing) -> FuncMap {
    let mut functions = FuncMap::new();
    let mut add = |name: &str, function: fn(&[Value]) -> Answer| {
        functions.insert(name.to_owned(), Arc::new(function));
    };
    add(PRINT, print);
    add("json", |args| Ok(text(to_json(one("json", args)?))));
    add("split", |args| {
        split(string("split", args, 0)?, string("split", args, 1)?)
    });
    add("join", join);
    add("title", |args| Ok(text(title(string("title", args, 0)?))));
    add("lower", |args| {
        Ok(text(string("lower", args, 0)?.to_lowercase()))
    });
    add("upper", |args| {
        Ok(text(string("upper", args, 0)?.to_uppercase()))
    });
    add("pad", pad);
    add("printf", printf);
    add("println", println);
    for name in GROWING_OF_GO {
        let library = move |args: &[Value]| call(name, args);
        functions.insert(name.to_owned(), Arc::new(library));
    }
    let mut add = |name: &str, function: fn(&[Value]) -> Answer| {
        functions.insert(name.to_owned(), Arc::new(function));
    };
    add("truncate", |args| {
        Ok(text(truncate(
            string("truncate", args, 0)?,
            number("truncate", args, 1)?,
        )))
    });
    functions.insert(FIELD.to_owned(), Arc::new(move |args| field(args, missing)));
    functions.insert(
        "index".to_owned(),
        Arc::new(move |args| index(args, missing)),
    );
    limits::bound(&mut functions, &GROWING);
    functions
}

/// The functions for the names of columns: they leave them as they are, but for `pad`, which
/// keeps a column in line.
pub(super) fn for_headers() -> FuncMap {
    let mut functions = for_rows(Missing::Nothing);
    for name in [
        "json", "split", "join", "title", "lower", "upper", "truncate",
    ] {
        let same = move |args: &[Value]| one(name, args).cloned();
        functions.insert(name.to_owned(), Arc::new(same));
    }
    functions
}

/// `field receiver place name …`: what follows the dots, one after the other.
fn field(args: &[Value], missing: Missing) -> Answer {
    let [receiver, Value::String(place), names @ ..] = args else {
        return Err(wrong("field", "a receiver, a place and names"));
    };
    let mut value = receiver.clone();
    for name in names {
        let Value::String(name) = name else {
            return Err(wrong("field", "names"));
        };
        let found = match &value {
            Value::Function(fields) => record::field(fields, name)
                .map_err(|kind| format!("can't evaluate field {name} in type {kind}")),
            Value::Map(map) => match (map.get(name), missing) {
                (Some(found), _) => Ok(found.clone()),
                (None, Missing::Nothing) => Ok(Value::Nil),
                (None, Missing::Error) => Err(format!("map has no entry for key {name:?}")),
            },
            Value::Nil if missing == Missing::Nothing => Ok(Value::Nil),
            Value::Nil => Err(format!("nil data; no entry for key {name:?}")),
            nil if record::is_nil_pointer(nil) => {
                Err(format!("nil pointer evaluating field {name}"))
            }
            other => {
                let kind = other.type_name();
                Err(format!("can't evaluate field {name} in type {kind}"))
            }
        };
        value = found.map_err(|reason| TemplateError::Exec(format!("{place}: {reason}")))?;
    }
    Ok(value)
}

/// A result, as text.
fn print(args: &[Value]) -> Answer {
    let value = one("print", args)?;
    Ok(go_text::with_structs(value).map_or_else(|| value.clone(), text))
}

/// The library's `printf`, with lists, maps and structs as Go has them.
fn printf(args: &[Value]) -> Answer {
    let [Value::String(format), args @ ..] = args else {
        return call("printf", args);
    };
    let (format, args) = go_text::operands(format, args);
    let mut all = vec![text(format)];
    all.extend(args);
    call("printf", &all)
}

/// The library's `println`, with structs as Go has them.
fn println(args: &[Value]) -> Answer {
    let shown = |value: &Value| go_text::with_structs(value).map_or_else(|| value.clone(), text);
    call("println", &args.iter().map(shown).collect::<Vec<_>>())
}

/// Calls a function of the library's own, of which only templates know.
fn call(name: &str, args: &[Value]) -> Answer {
    let places = (0..args.len()).map(|at| format!(" (index . {at})"));
    let source = format!("{{{{{name}{}}}}}", places.collect::<String>());
    let template = gotmpl::Template::new("").parse(&source)?;
    let shown = template.execute_to_string(&Value::List(args.to_vec().into()))?;
    Ok(text(shown))
}

/// Go's `index`. What a map of strings lacks is an empty string.
fn index(args: &[Value], missing: Missing) -> Answer {
    let [first, keys @ ..] = args else {
        return Err(wrong("index", "a value and keys"));
    };
    let mut value = first.clone();
    for key in keys {
        let of_strings = missing == Missing::Nothing && matches!(value, Value::Map(_));
        value = match value.index(key)? {
            Value::Nil if of_strings => text(String::new()),
            found => found,
        };
    }
    Ok(value)
}

fn split(source: &str, separator: &str) -> Answer {
    let part = |part: &str| text(part.to_owned());
    let parts = if separator.is_empty() {
        source.len()
    } else {
        source.matches(separator).count()
    };
    if parts > limits::PARTS_MAX {
        let most = limits::PARTS_MAX;
        return Err(wrong("split", &format!("a text of at most {most} parts")));
    }
    Ok(Value::List(if separator.is_empty() {
        source.chars().map(|c| text(c.to_string())).collect()
    } else {
        source.split(separator).map(part).collect()
    }))
}

fn join(args: &[Value]) -> Answer {
    let separator = string("join", args, 1)?;
    let Some(Value::List(values)) = args.first() else {
        return Err(wrong("join", "a list of strings"));
    };
    let texts: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
    let texts = texts.ok_or_else(|| wrong("join", "a list of strings"))?;
    Ok(text(texts.join(separator)))
}

/// The first letter of each word in upper case, as Go's `strings.Title` has it: digits and
/// underscores are parts of words.
fn title(source: &str) -> String {
    let mut inside = false;
    let letter = |c: char| {
        let first = !std::mem::replace(&mut inside, c.is_alphanumeric() || c == '_');
        if first {
            c.to_uppercase().collect::<String>()
        } else {
            c.to_string()
        }
    };
    source.chars().map(letter).collect()
}

fn pad(args: &[Value]) -> Answer {
    let source = string("pad", args, 0)?;
    if source.is_empty() {
        return Ok(text(String::new()));
    }
    let (before, after) = (number("pad", args, 1)?, number("pad", args, 2)?);
    Ok(text(format!("{:before$}{source}{:after$}", "", "")))
}

/// The first `length` bytes; fewer where the cut would be inside a character.
fn truncate(source: &str, length: usize) -> String {
    if source.len() < length {
        return source.to_owned();
    }
    let end = (0..=length)
        .rev()
        .find(|&at| source.is_char_boundary(at))
        .unwrap_or(0);
    source[..end].to_owned()
}

fn text(text: String) -> Value {
    Value::String(text.into())
}

fn one<'a>(name: &str, args: &'a [Value]) -> Result<&'a Value, TemplateError> {
    args.first().ok_or_else(|| wrong(name, "an argument"))
}

fn string<'a>(name: &str, args: &'a [Value], at: usize) -> Result<&'a str, TemplateError> {
    args.get(at)
        .and_then(Value::as_str)
        .ok_or_else(|| wrong(name, "a string"))
}

/// Bounds a width that a template asks for: more is a typing error, and would take all memory.
const WIDTH_MAX: usize = 1 << 16;

fn number(name: &str, args: &[Value], at: usize) -> Result<usize, TemplateError> {
    let number = args
        .get(at)
        .and_then(Value::as_int)
        .and_then(|n| usize::try_from(n).ok());
    number
        .filter(|&number| number <= WIDTH_MAX)
        .ok_or_else(|| wrong(name, "a number that is not negative, and not huge"))
}

fn wrong(name: &str, expected: &str) -> TemplateError {
    let message = format!("template: executing \"\": error calling {name}: expected {expected}");
    TemplateError::Exec(message)
}
