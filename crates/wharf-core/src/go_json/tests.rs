//! What Go's `encoding/json` makes of the same documents (its documentation, and Go 1.24).

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Inner {
    name: String,
    count: i64,
    flag: bool,
    list: Vec<String>,
    map: BTreeMap<String, String>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Outer {
    inner: Inner,
    pointer: Option<Inner>,
    all: Vec<Inner>,
    text: String,
    #[serde(rename = "os.version")]
    dotted: String,
    size: u64,
    ratio: f64,
    nested: Vec<Vec<u8>>,
    anything: Value,
}

fn read(text: &str) -> Result<Outer, String> {
    from_slice(text.as_bytes()).map_err(|error| error.to_string())
}

fn ok(text: &str) -> Outer {
    read(text).unwrap()
}

#[test]
fn null_is_a_zero_value_everywhere() {
    for text in [
        "null",
        "{}",
        r#"{"inner":null,"pointer":null,"all":null,"text":null,"os.version":null,"size":null,"ratio":null,"nested":null,"anything":null}"#,
        r#"{"inner":{"Name":null,"Count":null,"Flag":null,"List":null,"Map":null}}"#,
    ] {
        assert_eq!(ok(text), Outer::default(), "{text}");
    }
    let read = ok(
        r#"{"inner":{"List":[null,"a",null],"Map":{"k":null,"l":"v"}},"all":[null,{"Count":1},null],"nested":[null,[1,null]]}"#,
    );
    assert_eq!(read.inner.list, ["", "a", ""]);
    let map = [("k", ""), ("l", "v")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(read.inner.map, BTreeMap::from(map));
    let counts: Vec<_> = read.all.iter().map(|inner| inner.count).collect();
    assert_eq!(counts, [0, 1, 0]);
    assert_eq!(read.nested, [vec![], vec![1, 0]]);
}

#[test]
fn keys_match_in_any_case_and_the_exact_one_comes_first() {
    assert_eq!(ok(r#"{"TEXT":"a"}"#).text, "a");
    assert_eq!(ok(r#"{"OS.Version":"a"}"#).dotted, "a");
    assert_eq!(
        ok(r#"{"\u0073ize":3,"inner":{"nAME":"n","COUNT":1}}"#).size,
        3
    );
    assert_eq!(ok("{\"\u{17f}ize\":4}").size, 4);
    assert_eq!(
        ok(r#"{"os_version":"a","tex":"b","textt":"c"}"#),
        Outer::default()
    );
    // A map's keys are data.
    let read = ok(r#"{"inner":{"Map":{"k":"1","K":"2"}}}"#);
    assert_eq!(read.inner.map.len(), 2);
}

#[test]
fn of_a_key_that_occurs_several_times_the_last_counts() {
    assert_eq!(ok(r#"{"text":"a","text":"b"}"#).text, "b");
    assert_eq!(ok(r#"{"text":"a","Text":"b","text":null}"#).text, "b");
    let read = ok(r#"{"inner":{"Name":"a","List":["x"]},"inner":{"Count":2},"inner":null}"#);
    assert_eq!((read.inner.name.as_str(), read.inner.count), ("a", 2));
    assert_eq!(read.inner.list, ["x"]);
    let read = ok(r#"{"inner":{"Map":{"a":"1","b":"1"}},"inner":{"Map":{"b":"2"}}}"#);
    assert_eq!(read.inner.map["a"], "1");
    assert_eq!(read.inner.map["b"], "2");
    assert!(
        ok(r#"{"inner":{"Map":{"a":"1"},"Map":null}}"#)
            .inner
            .map
            .is_empty()
    );
    assert!(
        ok(r#"{"inner":{"List":["a"],"List":null}}"#)
            .inner
            .list
            .is_empty()
    );
    assert_eq!(
        ok(r#"{"pointer":{"Name":"a"},"pointer":null}"#).pointer,
        None
    );
    let pointer = ok(r#"{"pointer":{"Name":"a"},"pointer":null,"pointer":{"Count":1}}"#);
    let pointer = pointer.pointer.unwrap();
    assert_eq!((pointer.name.as_str(), pointer.count), ("", 1));
}

#[test]
fn text_that_is_not_utf_8_is_read_as_go_reads_it() {
    let raw = b"{\"text\":\"a\xff\xfeb\xe2\x82\",\"inner\":{\"Map\":{\"\xc3\":\"\x80\"}}}";
    let read: Outer = from_slice(raw).unwrap();
    assert_eq!(read.text, "a\u{fffd}\u{fffd}b\u{fffd}\u{fffd}");
    assert_eq!(read.inner.map["\u{fffd}"], "\u{fffd}");
    for (text, expected) in [
        (r"\ud800", "\u{fffd}"),
        (r"\uDC00x", "\u{fffd}x"),
        (r"\ud800\u0041", "\u{fffd}A"),
        (r"\ud83d\ude00", "\u{1f600}"),
        (r"\ud83d\ud83d\ude00", "\u{fffd}\u{1f600}"),
        (r"\\ud800", r"\ud800"),
        (r"\\\ud800", "\\\u{fffd}"),
    ] {
        assert_eq!(
            ok(&format!("{{\"text\":\"{text}\"}}")).text,
            expected,
            "{text}"
        );
    }
    // Outside of a text it is no JSON.
    assert!(from_slice::<Outer>(b"{\xff}").is_err());
    assert!(from_slice::<Outer>(b"\xef\xbb\xbf{}").is_err());
}

#[test]
#[allow(clippy::too_many_lines, reason = "most lines are a table")]
fn says_which_field_is_wrong() {
    for (text, expected) in [
        (
            r#"{"size":"7"}"#,
            "size: it must be a whole number that is not negative, not string \"7\"",
        ),
        (
            r#"{"size":7.0}"#,
            "size: it must be a whole number that is not negative, not floating point `7.0`",
        ),
        (
            r#"{"size":-1}"#,
            "size: it must be a whole number that is not negative, not integer `-1`",
        ),
        (r#"{"text":{}}"#, "text: it must be a string, not map"),
        (
            r#"{"all":[{},{"Flag":"x"}]}"#,
            "all[1].Flag: it must be a boolean, not string \"x\"",
        ),
        (r#"{"all":{}}"#, "all: it must be a list, not map"),
        (
            r#"{"inner":[]}"#,
            "inner: it must be an object, not sequence",
        ),
        (
            r#"{"inner":{"Map":{"k":1}}}"#,
            "inner.Map.k: it must be a string, not integer `1`",
        ),
        (
            r#"{"nested":[[1],[2,300]]}"#,
            "nested[1][1]: it must be a whole number that is not negative, not integer `300`",
        ),
        ("[]", "it must be an object, not sequence"),
        (
            "{",
            "not valid JSON: EOF while parsing an object at line 1 column 1",
        ),
        (
            "{} x",
            "not valid JSON: trailing characters at line 1 column 4",
        ),
        (
            "",
            "not valid JSON: EOF while parsing a value at line 1 column 0",
        ),
    ] {
        assert_eq!(read(text).unwrap_err(), expected, "{text}");
    }
    let long = format!(r#"{{"size":"{}"}}"#, "x".repeat(100_000));
    assert!(read(&long).unwrap_err().len() < 1000);
}

#[test]
fn bounds_levels_and_values() {
    let deep = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!("{{\"anything\":{open}{close}}}")
    };
    assert!(read(&deep(DEPTH_MAX - 1)).is_ok());
    for levels in [DEPTH_MAX, 5_000, 2_000_000] {
        let error = from_slice::<Outer>(deep(levels).as_bytes()).unwrap_err();
        assert!(matches!(error, ReadError::Depth), "{error}");
        // Also where no type asks for it.
        let unknown = deep(levels).replace("anything", "unknown");
        assert!(matches!(
            from_slice::<Outer>(unknown.as_bytes()),
            Err(ReadError::Depth)
        ));
    }
    let many = |values: usize| format!("{{\"unknown\":[{}0]}}", "0,".repeat(values));
    assert!(read(&many(VALUES_MAX - 10)).is_ok());
    let error = from_slice::<Outer>(many(VALUES_MAX).as_bytes()).unwrap_err();
    assert!(matches!(error, ReadError::Values(VALUES_MAX)), "{error}");
    assert!(from_slice_within::<Outer>(many(VALUES_MAX).as_bytes(), 2 * VALUES_MAX).is_ok());
    // What stands in a text is not counted.
    let text = format!("{{\"text\":\"{}\"}}", "[{,\\\"".repeat(VALUES_MAX));
    assert_eq!(ok(&text).text.len(), 4 * VALUES_MAX);
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-zé\u{2028}\\\\\"]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map("[a-zA-Z]{0,6}", inner, 0..6)
                .prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #[test]
    fn reads_any_value_as_serde_json_does(value in json_value()) {
        prop_assert_eq!(from_slice::<Value>(value.to_string().as_bytes()).unwrap(), value);
    }

    #[test]
    fn never_panics(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(from_slice::<Outer>(&raw));
    }

    #[test]
    fn never_panics_near_documents(
        parts in proptest::collection::vec(
            "\\{|\\}|\\[|\\]|,|:|null|true|1|\"inner\"|\"text\"|\"all\"|\"anything\"|\"\\\\ud800\"|\"|\\\\| ",
            0..20,
        ),
    ) {
        let text = parts.concat();
        if from_slice::<Value>(text.as_bytes()).is_err() {
            prop_assert!(from_slice::<Outer>(text.as_bytes()).is_err());
        }
    }
}
