//! A template's values as Go prints them (`%v`): `[a b]`, `map[k:v]`, and structs as `{a b}`.

use gotmpl::Value;

use super::record;

/// The value as Go prints it, where a struct is in it; `None` where the library knows how.
pub(super) fn with_structs(value: &Value) -> Option<String> {
    has_struct(value).then(|| text(value))
}

/// A format and its operands, where the library's `printf` gets a text for each list, map and struct.
pub(super) fn operands(format: &str, values: &[Value]) -> (String, Vec<Value>) {
    let (mut made, mut operands) = (String::new(), values.to_vec());
    let mut at = 0;
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        made.push(c);
        if c != '%' {
            continue;
        }
        // Flags, width and precision, then the verb.
        for c in rest.by_ref() {
            if !matches!(c, '+' | '-' | '#' | ' ' | '.' | '0'..='9') {
                if let (Some(Value::Function(fields)), 'd' | 'x' | 'X' | 'o' | 'b') =
                    (operands.get(at), c)
                    && let Some(number) = record::number(fields)
                {
                    operands[at] = Value::Int(number);
                }
                let whole = operands.get(at).filter(|value| is_made_of_others(value));
                let shown = whole.map(|value| if c == 'q' { quoted(value) } else { text(value) });
                made.push(if shown.is_some() { 's' } else { c });
                if let Some(shown) = shown {
                    operands[at] = Value::String(shown.into());
                }
                at += usize::from(c != '%');
                break;
            }
            made.push(c);
        }
    }
    (made, operands)
}

fn is_made_of_others(value: &Value) -> bool {
    matches!(value, Value::List(_) | Value::Map(_) | Value::Function(_))
}

/// `["a" "b"]`: what is in lists and maps, in quotes.
fn quoted(value: &Value) -> String {
    match value {
        Value::List(values) => format!("[{}]", joined(values.iter().map(quoted))),
        Value::Map(values) => {
            let entries = values
                .iter()
                .map(|(key, value)| format!("{key:?}:{}", quoted(value)));
            format!("map[{}]", joined(entries))
        }
        Value::String(text) => format!("{text:?}"),
        Value::Function(fields) if record::own_text(fields).is_some() => {
            format!("{:?}", text(value))
        }
        other => text(other),
    }
}

fn has_struct(value: &Value) -> bool {
    match value {
        Value::Function(_) => true,
        pointer if record::is_nil_pointer(pointer) => true,
        Value::List(values) => values.iter().any(has_struct),
        Value::Map(values) => values.values().any(has_struct),
        _ => false,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Nil => "<nil>".to_owned(),
        pointer if record::is_nil_pointer(pointer) => "<nil>".to_owned(),
        Value::List(values) => format!("[{}]", joined(values.iter().map(text))),
        Value::Map(values) => {
            let entries = values
                .iter()
                .map(|(key, value)| format!("{key}:{}", text(value)));
            format!("map[{}]", joined(entries))
        }
        Value::Function(fields) => {
            if let Some(own) = record::own_text(fields) {
                return own.to_string();
            }
            let Some(parts) = record::parts(fields) else {
                return record::json(fields).unwrap_or_default().to_string();
            };
            let shown = parts
                .iter()
                .map(|part| format!("{{{}}}", joined(part.iter().map(text))));
            match parts.len() {
                1 => joined(shown),
                // Structs that are embedded stand in braces of their own.
                _ => format!("{{{}}}", joined(shown)),
            }
        }
        other => other.to_string(),
    }
}

fn joined(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join(" ")
}
