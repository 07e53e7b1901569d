//! Filters, in both of their forms: `{"label":{"tier=web":true}}` and, from older clients,
//! `{"label":["tier=web"]}`.

use std::collections::BTreeMap;

use wharf_core::go_json;
use wharf_engine::Filters;

use super::answer::{Failure, Result};

/// The form of today; a value that is false is none.
type Sets = BTreeMap<String, BTreeMap<String, bool>>;
/// The form of older clients.
type Lists = BTreeMap<String, Vec<String>>;

/// Reads filters; none from an empty text.
pub(super) fn parse(text: &str) -> Result<Filters> {
    let mut filters = Filters::default();
    if text.is_empty() {
        return Ok(filters);
    }
    let lists = match go_json::from_slice::<Sets>(text.as_bytes()) {
        Ok(sets) => sets
            .into_iter()
            .map(|(name, set)| (name, chosen(set)))
            .collect(),
        Err(_) => go_json::from_slice::<Lists>(text.as_bytes())
            .map_err(|_| Failure::bad("invalid filter"))?,
    };
    for (name, values) in lists {
        filters.mention(&name);
        for value in values {
            filters.add(&name, &value);
        }
    }
    Ok(filters)
}

fn chosen(set: BTreeMap<String, bool>) -> Vec<String> {
    set.into_iter()
        .filter_map(|(value, is_set)| is_set.then_some(value))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_both_forms() {
        let new = parse(r#"{"label":{"a":true,"b":true,"c":false},"since":{"x":true}}"#).unwrap();
        assert_eq!(new.get("label"), ["a", "b"]);
        assert_eq!(new.get("since"), ["x"]);
        let old = parse(r#"{"label":["a","b"]}"#).unwrap();
        assert_eq!(old.get("label"), ["a", "b"]);
        for none in ["", "{}", "null"] {
            assert!(parse(none).unwrap().is_empty(), "{none}");
        }
        for mentioned in [r#"{"label":{}}"#, r#"{"label":[]}"#, r#"{"label":null}"#] {
            let filters = parse(mentioned).unwrap();
            assert!(
                filters.has("label") && filters.get("label").is_empty(),
                "{mentioned}"
            );
        }
    }

    #[test]
    fn refuses_everything_else_in_docker_s_words() {
        for wrong in [
            "notjson",
            "[]",
            "7",
            r#"{"a":"b"}"#,
            r#"{"a":{"b":1}}"#,
            "{",
        ] {
            assert_eq!(
                parse(wrong).unwrap_err().message,
                "invalid filter",
                "{wrong}"
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read_or_refused(text in ".*") {
            drop(parse(&text));
        }
    }
}
