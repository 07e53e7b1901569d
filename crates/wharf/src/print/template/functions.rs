//! What templates can call: Docker's functions, and the access to fields. Go's own functions come
//! with the library.

use std::sync::Arc;

use gotmpl::{FuncMap, TemplateError, Value};

use super::go_json::to_json;
use super::places::Last;
use super::{go_text, limits, record};

/// The access to fields. No template can call it by this name.
pub(super) const FIELD: &str = "\0field";
/// Prints a result.
pub(super) const PRINT: &str = "\0print";
/// Calls a method: a field with arguments.
pub(super) const METHOD: &str = "\0method";
/// Marks the place of the call that comes next.
pub(super) const MARK: &str = "\0mark";
/// Fails with a message.
pub(super) const FAIL: &str = "\0fail";
/// Checks that `range` can go through a value.
pub(super) const ITERATE: &str = "\0iterate";
/// Begins an error about one argument of a call: its number follows, and a colon.
pub(super) const ARGUMENT: &str = "\0argument ";

/// Docker's functions and Go's own, with the least and the largest number of arguments.
const FUNCTIONS: [(&str, usize, Option<usize>); 27] = [
    ("json", 1, Some(1)),
    ("split", 2, Some(2)),
    ("join", 2, Some(2)),
    ("title", 1, Some(1)),
    ("lower", 1, Some(1)),
    ("upper", 1, Some(1)),
    ("pad", 3, Some(3)),
    ("truncate", 2, Some(2)),
    ("index", 1, None),
    ("and", 1, None),
    ("or", 1, None),
    ("not", 1, Some(1)),
    ("eq", 1, None),
    ("ne", 2, Some(2)),
    ("lt", 2, Some(2)),
    ("le", 2, Some(2)),
    ("gt", 2, Some(2)),
    ("ge", 2, Some(2)),
    ("len", 1, Some(1)),
    ("slice", 1, None),
    ("call", 1, None),
    ("print", 0, None),
    ("printf", 1, None),
    ("println", 0, None),
    ("html", 0, None),
    ("js", 0, None),
    ("urlquery", 0, None),
];

/// Those whose result can be longer than their arguments, or that put arguments together.
const GROWING: [&str; 13] = [
    "json", "join", "title", "lower", "upper", "pad", "printf", "println", "print", "html", "js",
    "urlquery", PRINT,
];

/// Is there such a function?
pub(super) fn is_function(name: &str) -> bool {
    FUNCTIONS.iter().any(|(known, ..)| *known == name)
}

/// Does a function not need all of its arguments? The library runs it itself.
pub(super) fn is_special(name: &str) -> bool {
    matches!(name, "and" | "or")
}

/// What is wrong with a call of this many arguments, in Go's words.
pub(super) fn wrong_count(name: &str, count: usize) -> Option<String> {
    let (_, least, most) = FUNCTIONS.iter().find(|(known, ..)| *known == name)?;
    let wanted = match most {
        Some(most) if count > *most || count < *least => most.to_string(),
        None if count < *least => format!("at least {least}"),
        _ => return None,
    };
    Some(format!(
        "wrong number of args for {name}: want {wanted} got {count}"
    ))
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
pub(super) fn for_rows(missing: Missing, last: &Last) -> FuncMap {
    let mut functions = FuncMap::new();
    let marked = last.clone();
    let mark = move |args: &[Value]| {
        marked.mark(one("mark", args)?);
        Ok(args.last().cloned().unwrap_or(Value::Nil))
    };
    functions.insert(MARK.to_owned(), Arc::new(mark));
    let mut add = |name: &str, function: fn(&[Value]) -> Answer| {
        functions.insert(name.to_owned(), Arc::new(function));
    };
    add(PRINT, print);
    add(METHOD, method);
    add(FAIL, |args| {
        Err(TemplateError::Exec(string("fail", args, 0)?.to_owned()))
    });
    add(ITERATE, iterate);
    add("len", len);
    add("slice", slice);
    add("print", print_all);
    for name in ["html", "js", "urlquery"] {
        let as_text = move |args: &[Value]| call(name, &texts(args));
        functions.insert(name.to_owned(), Arc::new(as_text));
    }
    for name in ["eq", "ne", "lt", "le", "gt", "ge"] {
        let compare = move |args: &[Value]| compare(name, args);
        functions.insert(name.to_owned(), Arc::new(compare));
    }
    let mut add = |name: &str, function: fn(&[Value]) -> Answer| {
        functions.insert(name.to_owned(), Arc::new(function));
    };
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
pub(super) fn for_headers(last: &Last) -> FuncMap {
    let mut functions = for_rows(Missing::Nothing, last);
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
    for (step, name) in names.iter().enumerate() {
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
            // What is in Go's map or list of anything has no type of its own.
            _ if missing == Missing::Error && (step > 0 || place.contains("at <.")) => Err(
                format!("can't evaluate field {name} in type interface {{}}"),
            ),
            other => {
                let kind = other.type_name();
                Err(format!("can't evaluate field {name} in type {kind}"))
            }
        };
        value = found.map_err(|reason| TemplateError::Exec(format!("{place}: {reason}")))?;
    }
    Ok(value)
}

/// `method receiver place name arguments…`.
fn method(args: &[Value]) -> Answer {
    let [
        receiver,
        Value::String(place),
        Value::String(name),
        arguments @ ..,
    ] = args
    else {
        return Err(wrong("method", "a receiver, a place and a name"));
    };
    let called = match receiver {
        Value::Function(fields) => record::method(fields, name, arguments),
        Value::Map(_) => Err(format!("{name} is not a method but has arguments")),
        other => {
            let kind = go_type(other);
            Err(format!("can't evaluate field {name} in type {kind}"))
        }
    };
    called.map_err(|reason| TemplateError::Exec(format!("{place}: {reason}")))
}

/// `iterate place value`: the value, if `range` can go through it.
fn iterate(args: &[Value]) -> Answer {
    let [Value::String(place), value] = args else {
        return Err(wrong("iterate", "a place and a value"));
    };
    match value {
        Value::List(_) | Value::Map(_) | Value::Int(_) | Value::Nil => Ok(value.clone()),
        Value::Uint(number) => Ok(i64::try_from(*number).map_or(Value::Nil, Value::Int)),
        other => {
            let shown = go_text::with_structs(other).unwrap_or_else(|| other.to_string());
            let reason = format!("{place}: range can't iterate over {shown}");
            Err(TemplateError::Exec(reason))
        }
    }
}

/// Go's `len`.
fn len(args: &[Value]) -> Answer {
    let value = one("len", args)?;
    match value.len().and_then(|length| i64::try_from(length).ok()) {
        Some(length) if !record::is_nil_pointer(value) => Ok(Value::Int(length)),
        _ => Err(TemplateError::Exec(match value {
            Value::Nil => "len of nil pointer".to_owned(),
            other => format!("len of type {}", go_type(other)),
        })),
    }
}

/// Go's `slice`.
fn slice(args: &[Value]) -> Answer {
    let [value, bounds @ ..] = args else {
        return Err(wrong("slice", "a value"));
    };
    let failed = |reason: String| Err(TemplateError::Exec(reason));
    let length = match value {
        Value::List(list) => list.len(),
        Value::String(text) => text.len(),
        Value::Nil => return failed("slice of untyped nil".to_owned()),
        other => return failed(format!("can't slice item of type {}", go_type(other))),
    };
    if bounds.len() > 3 {
        return failed(format!("too many slice indexes: {}", bounds.len()));
    }
    if bounds.len() == 3 && matches!(value, Value::String(_)) {
        return failed("cannot 3-index slice a string".to_owned());
    }
    let mut found = Vec::new();
    for bound in bounds {
        let Some(number) = as_int(bound) else {
            let kind = go_type(bound);
            return failed(format!("cannot index slice/array with type {kind}"));
        };
        match usize::try_from(number) {
            Ok(bound) if bound <= length => found.push(bound),
            _ => return failed(format!("index out of range: {number}")),
        }
    }
    if let Some(pair) = found.windows(2).find(|pair| pair[0] > pair[1]) {
        return failed(format!("invalid slice index: {} > {}", pair[0], pair[1]));
    }
    let from = found.first().copied().unwrap_or(0);
    let to = found.get(1).copied().unwrap_or(length);
    Ok(match value {
        Value::List(list) => Value::List(list[from..to].into()),
        Value::String(all) => text(String::from_utf8_lossy(&all.as_bytes()[from..to]).into_owned()),
        other => other.clone(),
    })
}

/// Go's comparisons; a length of time is a number.
fn compare(name: &str, args: &[Value]) -> Answer {
    if name == "eq" && args.len() < 2 {
        return Err(TemplateError::Exec(
            "missing argument for comparison".to_owned(),
        ));
    }
    let number = |value: &Value| match value {
        Value::Function(fields) => record::number(fields).map_or_else(|| value.clone(), Value::Int),
        other => other.clone(),
    };
    let all: Vec<Value> = args.iter().map(number).collect();
    for list in &all {
        if matches!(list, Value::List(_) | Value::Map(_)) && !record::is_nil(list) {
            let shown = go_text::with_structs(list).unwrap_or_else(|| list.to_string());
            let reason = format!("non-comparable type {shown}: {}", go_type(list));
            return Err(TemplateError::Exec(reason));
        }
    }
    let Value::String(shown) = call(name, &all)? else {
        return Ok(Value::Bool(false));
    };
    Ok(Value::Bool(&*shown == "true"))
}

fn as_int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Uint(number) => i64::try_from(*number).ok(),
        _ => None,
    }
}

/// A value's type as Go names it in errors.
pub(super) fn go_type(value: &Value) -> String {
    match value {
        Value::Uint(_) => "int64",
        Value::List(_) => "[]interface {}",
        Value::Map(_) => "map[string]interface {}",
        Value::Function(fields) => return record::type_name(fields),
        other => other.type_name(),
    }
    .to_owned()
}

/// The library's `print`, with structs as Go has them: a blank stands between two values that are no texts.
fn print_all(args: &[Value]) -> Answer {
    let mut out = String::new();
    for (number, value) in args.iter().enumerate() {
        let before = number.checked_sub(1).and_then(|at| args.get(at));
        let is_text = |value: &Value| matches!(value, Value::String(_));
        if before.is_some_and(|before| !is_text(before) && !is_text(value)) {
            out.push(' ');
        }
        let shown = call("print", &texts(std::slice::from_ref(value)))?;
        out.push_str(shown.as_str().unwrap_or_default());
    }
    Ok(text(out))
}

/// Values with structs as Go prints them.
fn texts(args: &[Value]) -> Vec<Value> {
    let shown = |value: &Value| go_text::with_structs(value).map_or_else(|| value.clone(), text);
    args.iter().map(shown).collect()
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
    call("println", &texts(args))
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
        value = element(&value, key, missing).map_err(TemplateError::Exec)?;
    }
    Ok(value)
}

fn element(value: &Value, key: &Value, missing: Missing) -> Result<Value, String> {
    let position = |length: usize, kind: &str| {
        let Some(number) = as_int(key) else {
            let kind = go_type(key);
            return Err(format!("cannot index slice/array with type {kind}"));
        };
        match usize::try_from(number) {
            Ok(at) if at < length => Ok(at),
            // Go itself lets the first one behind the end pass; the panic that follows says this.
            Ok(at) if at == length => Err(format!("reflect: {kind} index out of range")),
            _ => Err(format!("index out of range: {number}")),
        }
    };
    match (value, key) {
        (nil, _) if record::is_nil_pointer(nil) => Err("index of nil pointer".to_owned()),
        (Value::List(list), _) => Ok(list[position(list.len(), "slice")?].clone()),
        (Value::String(text), _) => {
            let at = position(text.len(), "string")?;
            Ok(Value::Int(i64::from(text.as_bytes()[at])))
        }
        (Value::Map(map), Value::String(key)) => Ok(match (map.get(key), missing) {
            (Some(found), _) => found.clone(),
            (None, Missing::Nothing) => text(String::new()),
            (None, Missing::Error) => Value::Nil,
        }),
        (Value::Map(_), key) => {
            let kind = go_type(key);
            Err(format!("value has type {kind}; should be string"))
        }
        (Value::Nil, _) => Err("index of untyped nil".to_owned()),
        (other, _) => Err(format!("can't index item of type {}", go_type(other))),
    }
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
        return Err(wrong_type(args, 0, "[]string"));
    };
    let texts: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
    let texts = texts.ok_or_else(|| wrong_type(args, 0, "[]string"))?;
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

fn string<'a>(_: &str, args: &'a [Value], at: usize) -> Result<&'a str, TemplateError> {
    args.get(at)
        .and_then(Value::as_str)
        .ok_or_else(|| wrong_type(args, at, "string"))
}

/// An argument of the wrong type; the place of the call is added later.
fn wrong_type(args: &[Value], at: usize, expected: &str) -> TemplateError {
    let found = args.get(at).map_or_else(|| "nil".to_owned(), go_type);
    TemplateError::Exec(format!(
        "{ARGUMENT}{at}:{expected}:wrong type for value; expected {expected}; got {found}"
    ))
}

/// Bounds a width that a template asks for: more is a typing error, and would take all memory.
const WIDTH_MAX: usize = 1 << 16;

fn number(name: &str, args: &[Value], at: usize) -> Result<usize, TemplateError> {
    let number = args.get(at).and_then(as_int);
    let number = number.ok_or_else(|| wrong_type(args, at, "int"))?;
    usize::try_from(number)
        .ok()
        .filter(|&number| number <= WIDTH_MAX)
        .ok_or_else(|| wrong(name, "a number that is not negative, and not huge"))
}

fn wrong(name: &str, expected: &str) -> TemplateError {
    let message = format!("template: executing \"\": error calling {name}: expected {expected}");
    TemplateError::Exec(message)
}
