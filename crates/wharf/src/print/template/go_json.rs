//! A template's values as JSON, and JSON as a template's values.

use std::sync::Arc;

use gotmpl::Value;
use serde::ser::{Error as _, SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};

use super::record::{is_nil, json};
use crate::print::json::{Html, compact};

/// The value as JSON, in one line, keys sorted.
pub(super) fn to_json(value: &Value) -> String {
    compact(&AsJson(value), Html::Plain)
}

struct AsJson<'v>(&'v Value);

impl Serialize for AsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            value if is_nil(value) => serializer.serialize_none(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::Uint(value) => serializer.serialize_u64(*value),
            Value::Float(value) => serializer.serialize_f64(*value),
            Value::String(value) => serializer.serialize_str(value),
            Value::List(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in values.iter() {
                    list.serialize_element(&AsJson(value))?;
                }
                list.end()
            }
            Value::Map(values) => {
                let mut map = serializer.serialize_map(Some(values.len()))?;
                for (key, value) in values.iter() {
                    map.serialize_entry(key.as_ref(), &AsJson(value))?;
                }
                map.end()
            }
            // A record says itself how its JSON is, the order of its fields included.
            Value::Function(function) => {
                let text = json(function).ok_or_else(|| S::Error::custom("not a record"))?;
                let raw = serde_json::value::RawValue::from_string(text.as_ref().to_owned());
                raw.map_err(S::Error::custom)?.serialize(serializer)
            }
            Value::Nil => serializer.serialize_none(),
        }
    }
}

/// JSON as a template's value.
pub(crate) fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => number
            .as_i64()
            .map(Value::Int)
            .or_else(|| number.as_f64().map(Value::Float))
            .unwrap_or(Value::Nil),
        serde_json::Value::String(text) => Value::String(text.as_str().into()),
        serde_json::Value::Array(values) => Value::List(values.iter().map(from_json).collect()),
        serde_json::Value::Object(values) => {
            let entries = values
                .iter()
                .map(|(key, v)| (key.as_str().into(), from_json(v)));
            Value::Map(Arc::new(entries.collect()))
        }
    }
}
