//! A scenario: commands, each with what Docker printed. And what makes two outputs comparable.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

/// One command of a scenario.
pub(crate) struct Step {
    /// What bash runs.
    pub(crate) command: String,
    /// What Docker printed: stdout, stderr with `! ` before each line, `[N]` for a status but 0.
    pub(crate) expected: Vec<String>,
}

/// Reads a scenario. Text before the first command is its comment.
pub(crate) fn parse(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step {
                command: command.to_owned(),
                expected: Vec::new(),
            });
        } else if let Some(step) = steps.last_mut() {
            step.expected.push(line.to_owned());
        }
    }
    steps
}

/// One output with what Docker leaves open evened out: ages, the order of the layers' progress
/// lines (the last line of each layer counts), and the widths of columns that hold an age.
pub(crate) fn even(text: &str) -> Vec<String> {
    let layers: BTreeMap<&str, &str> = text.lines().filter_map(layer).collect();
    let mut out = Vec::new();
    let mut placed = false;
    for line in text.lines() {
        if layer(line).is_none() {
            out.push(even_line(line));
        } else if !placed {
            placed = true;
            out.extend(layers.iter().map(|(id, status)| format!("{id}: {status}")));
        }
    }
    while out.last().is_some_and(String::is_empty) {
        out.pop();
    }
    out
}

/// A layer's progress line: `b90dda330915: Pull complete`.
fn layer(line: &str) -> Option<(&str, &str)> {
    let (id, status) = line.split_once(": ")?;
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    (id.len() == 12 && id.bytes().all(is_hex)).then_some((id, status))
}

fn even_line(line: &str) -> String {
    const AGE: &str = r"(?x) (Less\ than\ a\ second | About\ an?\ \w+
        | \d+\ (second|minute|hour|day|week|month|year)s?)\ ago | N/A(\ \ )";
    static AGES: LazyLock<Regex> = LazyLock::new(|| Regex::new(AGE).unwrap());
    static GAPS: LazyLock<Regex> = LazyLock::new(|| Regex::new(" {2,}").unwrap());
    static IMPORTS: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\S*/docker-import-\d+/").unwrap());
    let line = IMPORTS.replace_all(line, "…/");
    if AGES.is_match(&line) || line.contains("CREATED ") {
        let line = AGES.replace_all(&line, "<ago>$3");
        return GAPS.replace_all(&line, "  ").trim_end().to_owned();
    }
    line.trim_end().to_owned()
}

/// The same lines with all of stderr as one: its words are ours, only whether there are any is
/// Docker's.
pub(crate) fn fold_stderr(lines: &[String]) -> Vec<String> {
    let is_stderr = |line: &&String| line.starts_with("! ");
    let mut out: Vec<String> = lines.iter().filter(|l| !is_stderr(l)).cloned().collect();
    if lines.iter().any(|line| is_stderr(&line)) {
        out.push("! …".into());
    }
    out
}

#[test]
fn evens_out_what_docker_leaves_open() {
    let text = "bbbbbbbbbbbb: Waiting\naaaaaaaaaaaa: Pull complete\nbbbbbbbbbbbb: Pull complete\n\
                x     2 years ago    5MB\ny   N/A       1kB   \nREPO   CREATED   \n\n";
    let lines = [
        "aaaaaaaaaaaa: Pull complete",
        "bbbbbbbbbbbb: Pull complete",
        "x  <ago>  5MB",
        "y  <ago>  1kB",
        "REPO  CREATED",
    ];
    assert_eq!(even(text), lines);
}

#[test]
fn keeps_columns_without_an_age() {
    assert_eq!(even("A     B\n"), ["A     B"]);
    assert_eq!(even("SharedSize N/A N/A 0\n"), ["SharedSize N/A N/A 0"]);
}
