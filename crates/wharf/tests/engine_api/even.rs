//! What Docker leaves open, and the recording's program leaves out.

use regex::Regex;
use serde_json::{Value, json};

use super::{AS_PULLED, MADE_BY_DOCKER};

/// The recording's program does this to each line.
pub(crate) fn numbers(line: &str) -> String {
    let replace = |text: String, pattern: &str, with: &str| {
        Regex::new(pattern)
            .unwrap()
            .replace_all(&text, with)
            .into_owned()
    };
    let line = replace(line.to_owned(), r#""(current|total)":\d+"#, r#""$1":0"#);
    let line = replace(line, r#""progress":"[^"]*""#, r#""progress":"…""#);
    let driver = r#""GraphDriver":\{"Data":(null|\{[^}]*\}),"Name":"\w*"\}"#;
    let line = replace(line, driver, r#""GraphDriver":"…""#);
    replace(line, r#""LastTagTime":"[^"]*""#, r#""LastTagTime":"…""#)
}

/// Evens out an answer: the order of layers' lines, the order of images of one date, what was imported just now,
/// and with the storage driver whether an answer about it is just too long for one piece.
pub(crate) fn even(answer: &str) -> String {
    let answer = answer.replace(MADE_BY_DOCKER, AS_PULLED);
    let mut lines: Vec<String> = answer
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .map(images)
        .collect();
    if lines.iter().any(|line| line.contains("GraphDriver")) {
        lines.retain(|line| line != "Transfer-Encoding: chunked");
    }
    if lines.iter().any(|line| line.contains("progressDetail")) {
        lines.sort();
    }
    lines.join("\n    ")
}

fn images(line: &str) -> String {
    if line.starts_with(r#"{"status":"sha256:"#) {
        return "the ID of what was imported".to_owned();
    }
    let Ok(mut value) = serde_json::from_str::<Value>(line) else {
        return line.to_owned();
    };
    let list = if line.starts_with(r#"{"LayersSize""#) {
        value["Images"].as_array_mut()
    } else if line.starts_with(r#"[{"Containers""#) {
        value.as_array_mut()
    } else {
        return line.to_owned();
    };
    let list = list.unwrap();
    for image in list.iter_mut() {
        if image["RepoTags"] == json!(["mine:1"]) {
            image["Id"] = json!("what was imported");
            image["Created"] = json!(i64::MAX);
        }
    }
    list.sort_by_key(|image| (-image["Created"].as_i64().unwrap(), image["Id"].to_string()));
    value.to_string()
}
