//! What Go has as a struct: named fields, computed when a template asks for one.
//!
//! A template's values have no such kind. A function takes its place: called with a field's name it
//! answers with the field, without one with the whole as JSON. Like a struct it is true, has no
//! length, and cannot be ranged over.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use gotmpl::{TemplateError, Value, ValueFunc};

/// A struct, as templates see it.
pub(crate) trait Record: Send + Sync + 'static {
    /// Its type's name in Docker's error messages.
    const TYPE: &'static str;

    /// The fields in Go's order, for those that are printed as Go prints a struct: one list for itself,
    /// or one for each struct that is embedded. None: it is printed as its JSON.
    const PRINTED: &'static [&'static [&'static str]] = &[];

    /// One field; `None` if there is no such field.
    fn field(&self, name: &str) -> Option<Value>;

    /// The whole, as Go's JSON.
    fn json(&self) -> String;

    /// The whole, if Go prints it as a text of its own.
    fn text(&self) -> Option<String> {
        None
    }

    /// The number that it is in Go, for types with a number behind their text.
    fn number(&self) -> Option<i64> {
        None
    }

    /// Calls a method with arguments; `None` if it has no such method.
    fn method(&self, _name: &str, _arguments: &[Value]) -> Option<Result<Value, String>> {
        None
    }
}

/// What is asked of a record besides its fields.
const TEXT: i64 = 0;
const NUMBER: i64 = 1;
const TYPE_NAME: i64 = 2;

/// A record as a template's value.
pub(crate) fn record<R: Record>(record: R) -> Value {
    Value::Function(Arc::new(move |asked| match asked.first() {
        Some(Value::String(name)) if asked.len() > 1 => {
            let called = record.method(name, &asked[2..]);
            let called = called.unwrap_or_else(|| Err(no_method(&record, name)));
            called.map_err(TemplateError::Exec)
        }
        Some(Value::Int(TEXT)) => {
            let text = record.text().map(|text| Value::String(text.into()));
            Ok(text.unwrap_or(Value::Nil))
        }
        Some(Value::Int(NUMBER)) => Ok(record.number().map_or(Value::Nil, Value::Int)),
        Some(Value::Int(TYPE_NAME)) => Ok(Value::String(R::TYPE.into())),
        Some(Value::String(name)) => record
            .field(name)
            .ok_or_else(|| TemplateError::Exec(R::TYPE.to_owned())),
        Some(Value::Nil) => Ok(printed(&record)),
        _ => Ok(Value::String(record.json().into())),
    }))
}

fn no_method<R: Record>(record: &R, name: &str) -> String {
    if record.field(name).is_some() {
        format!("{name} is not a method but has arguments")
    } else {
        format!("can't evaluate field {name} in type {}", R::TYPE)
    }
}

/// Calls a method of a record; an error in Go's words if there is none.
pub(super) fn method(
    record: &ValueFunc,
    name: &Arc<str>,
    arguments: &[Value],
) -> Result<Value, String> {
    // The second one tells a method without arguments from a field.
    let mut asked = vec![Value::String(Arc::clone(name)), Value::Nil];
    asked.extend_from_slice(arguments);
    match record(&asked) {
        Ok(value) => Ok(value),
        Err(TemplateError::Exec(reason)) => Err(reason),
        Err(other) => Err(other.to_string()),
    }
}

/// Returns the text that Go prints for a record, if it is one of its own.
pub(super) fn own_text(record: &ValueFunc) -> Option<Arc<str>> {
    match record(&[Value::Int(TEXT)]) {
        Ok(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// Returns the number that a record is in Go.
pub(super) fn number(record: &ValueFunc) -> Option<i64> {
    match record(&[Value::Int(NUMBER)]) {
        Ok(Value::Int(number)) => Some(number),
        _ => None,
    }
}

/// Returns the name of a record's type.
pub(super) fn type_name(record: &ValueFunc) -> String {
    match record(&[Value::Int(TYPE_NAME)]) {
        Ok(Value::String(name)) => name.to_string(),
        _ => "struct".to_owned(),
    }
}

/// A field of a record; an error with the type's name if it has no such field.
pub(super) fn field(record: &ValueFunc, name: &Arc<str>) -> Result<Value, String> {
    match record(&[Value::String(Arc::clone(name))]) {
        Ok(value) => Ok(value),
        Err(TemplateError::Exec(kind)) => Err(kind),
        Err(other) => Err(other.to_string()),
    }
}

/// The values that are printed: a list for each struct.
fn printed<R: Record>(record: &R) -> Value {
    let field = |name: &&str| record.field(name).unwrap_or(Value::Nil);
    let part = |names: &&[&str]| Value::List(names.iter().map(field).collect());
    Value::List(R::PRINTED.iter().map(part).collect())
}

/// What a record prints as a Go struct; `None` if it is printed as its JSON.
pub(super) fn parts(record: &ValueFunc) -> Option<Vec<Arc<[Value]>>> {
    let Ok(Value::List(parts)) = record(&[Value::Nil]) else {
        return None;
    };
    let parts = parts.iter().filter_map(|part| match part {
        Value::List(values) => Some(Arc::clone(values)),
        _ => None,
    });
    Some(parts.collect()).filter(|parts: &Vec<_>| !parts.is_empty())
}

/// The whole of a record, as Go's JSON.
pub(super) fn json(record: &ValueFunc) -> Option<Arc<str>> {
    match record(&[]) {
        Ok(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// Go's slice that was never made: it has no elements, and is `null` in JSON.
static NIL_LIST: LazyLock<Arc<[Value]>> = LazyLock::new(|| Arc::from(Vec::new()));
/// Go's map that was never made.
static NIL_MAP: LazyLock<Arc<BTreeMap<Arc<str>, Value>>> = LazyLock::new(Arc::default);

/// Go's pointer to nothing: false, `null` in JSON, printed as `<nil>`, and without fields.
static NIL_POINTER: LazyLock<Arc<[Value]>> = LazyLock::new(|| Arc::from(Vec::new()));

/// Go's pointer to nothing.
pub(crate) fn nil_pointer() -> Value {
    Value::List(Arc::clone(&NIL_POINTER))
}

/// Is it that?
pub(super) fn is_nil_pointer(value: &Value) -> bool {
    matches!(value, Value::List(list) if Arc::ptr_eq(list, &NIL_POINTER))
}

/// Go's slice that was never made.
pub(crate) fn nil_list() -> Value {
    Value::List(Arc::clone(&NIL_LIST))
}

/// Go's map that was never made.
pub(crate) fn nil_map() -> Value {
    Value::Map(Arc::clone(&NIL_MAP))
}

/// Is it one of those?
pub(super) fn is_nil(value: &Value) -> bool {
    match value {
        Value::List(list) => Arc::ptr_eq(list, &NIL_LIST) || is_nil_pointer(value),
        Value::Map(map) => Arc::ptr_eq(map, &NIL_MAP),
        Value::Nil => true,
        _ => false,
    }
}

/// A slice of strings; nil if there is none.
pub(crate) fn text_list(texts: &[String]) -> Value {
    if texts.is_empty() {
        return nil_list();
    }
    made_list(texts)
}

/// A slice of strings that was made even if there is none: `[]` in JSON.
pub(crate) fn made_list(texts: &[String]) -> Value {
    Value::List(
        texts
            .iter()
            .map(|text| Value::String(text.as_str().into()))
            .collect(),
    )
}

/// A map of strings; nil if there is none.
pub(crate) fn text_map(texts: &BTreeMap<String, String>) -> Value {
    if texts.is_empty() {
        return nil_map();
    }
    let entries = texts
        .iter()
        .map(|(key, text)| (key.as_str().into(), Value::String(text.as_str().into())));
    Value::Map(Arc::new(entries.collect()))
}
