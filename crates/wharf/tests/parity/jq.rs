//! The few jq filters that the scenarios use, so that a machine without jq can run them.
//!
//! This is not jq: a filter that isn't listed in [`apply`] is left to the real one.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// Splits `COMMAND | jq ARGUMENTS` if the arguments are ones that [`apply`] knows.
pub(crate) fn split(command: &str) -> Option<(&str, &str)> {
    let (before, arguments) = command.rsplit_once(" | jq ")?;
    apply(arguments, "").map(|_| (before, arguments))
}

/// What `jq ARGUMENTS` prints for `input`; `None` if these arguments are not known here.
pub(crate) fn apply(arguments: &str, input: &str) -> Option<String> {
    match arguments {
        "-c 'del(.CreatedSince)'" => Some(each_compact(input, &["CreatedSince"])),
        "-S" | "-S ." => Some(each_sorted(input, |value| value)),
        "-S '.[0] | del(.GraphDriver, .Metadata)'" => Some(each_sorted(input, first_image)),
        _ => None,
    }
}

fn first_image(mut list: Value) -> Value {
    let mut image = list.get_mut(0).map(Value::take).unwrap_or_default();
    if let Some(members) = image.as_object_mut() {
        members.remove("GraphDriver");
        members.remove("Metadata");
    }
    image
}

/// Every object of `input` on a line, members in their order, without `unwanted`.
fn each_compact(input: &str, unwanted: &[&str]) -> String {
    let mut out = String::new();
    for object in serde_json::Deserializer::from_str(input).into_iter::<Members>() {
        match object {
            Ok(Members(members)) => {
                let kept = members
                    .iter()
                    .filter(|(name, _)| !unwanted.contains(&name.as_str()));
                let members: Vec<String> = kept
                    .map(|(name, value)| format!("{}:{value}", Value::from(&**name)))
                    .collect();
                out.push_str(&format!("{{{}}}\n", members.join(",")));
            }
            Err(error) => return out + &format!("not an object: {error}\n"),
        }
    }
    out
}

/// Every value of `input`, indented, members sorted by name.
fn each_sorted(input: &str, change: fn(Value) -> Value) -> String {
    let mut out = String::new();
    for value in serde_json::Deserializer::from_str(input).into_iter::<Value>() {
        match value {
            Ok(value) => out.push_str(&format!("{:#}\n", change(value))),
            Err(error) => return out + &format!("not JSON: {error}\n"),
        }
    }
    out
}

/// An object's members in the order in which they stand, which `serde_json::Map` forgets.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[test]
fn keeps_the_order_of_members_and_drops_one() {
    let input = "{\"b\":1,\"CreatedSince\":\"now\",\"a\":\"<none>\"}\n{\"c\":{}}\n";
    let output = apply("-c 'del(.CreatedSince)'", input).unwrap();
    assert_eq!(output, "{\"b\":1,\"a\":\"<none>\"}\n{\"c\":{}}\n");
}

#[test]
fn sorts_and_indents() {
    let input = r#"[{"b":[],"a":{"d":1,"c":30000000000},"Metadata":{}}]"#;
    let output = apply("-S '.[0] | del(.GraphDriver, .Metadata)'", input).unwrap();
    assert_eq!(
        output,
        "{\n  \"a\": {\n    \"c\": 30000000000,\n    \"d\": 1\n  },\n  \"b\": []\n}\n"
    );
}

#[test]
fn leaves_other_filters_to_jq() {
    assert_eq!(split("docker images | jq -c '.[0].x'"), None);
    assert_eq!(
        split("docker images | jq -S"),
        Some(("docker images", "-S"))
    );
}
