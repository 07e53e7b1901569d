//! Configs out of the documents of Docker before 1.10 (Docker 28.5: image/v1, `HistoryFromConfig` and
//! `MakeConfigFromV1Config`), byte for byte as Go writes them: keys at the top sorted, values as they came but
//! for spaces, `<`, `>` and `&` escaped.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use wharf_core::Digest;

/// What is wrong with a document.
type Reason = String;

/// Documents of this version of Docker and later ones are taken as they are. Of earlier ones, what today's Docker
/// knows is written anew.
const AS_IT_IS: [u64; 3] = [1, 8, 3];

/// Keys that a config does not have.
const DROPPED: [&str; 6] = ["id", "parent", "Size", "parent_id", "layer_id", "throwaway"];

/// A document as today's Docker reads it, in Go's order.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct V1Document {
    #[serde(deserialize_with = "zero", skip_serializing)]
    parent: String,
    #[serde(deserialize_with = "zero", skip_serializing_if = "String::is_empty")]
    comment: String,
    created: Option<String>,
    #[serde(deserialize_with = "zero", skip_serializing_if = "String::is_empty")]
    container: String,
    #[serde(deserialize_with = "zero")]
    container_config: V1Config,
    #[serde(deserialize_with = "zero", skip_serializing_if = "String::is_empty")]
    docker_version: String,
    #[serde(deserialize_with = "zero", skip_serializing_if = "String::is_empty")]
    author: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<V1Config>,
    #[serde(deserialize_with = "zero", skip_serializing_if = "String::is_empty")]
    architecture: String,
    #[serde(deserialize_with = "zero", skip_serializing_if = "String::is_empty")]
    variant: String,
    #[serde(deserialize_with = "zero", skip_serializing_if = "String::is_empty")]
    os: String,
}

/// How a container runs, in Go's order.
#[derive(Default, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
struct V1Config {
    #[serde(deserialize_with = "zero")]
    hostname: String,
    #[serde(deserialize_with = "zero")]
    domainname: String,
    #[serde(deserialize_with = "zero")]
    user: String,
    #[serde(deserialize_with = "zero")]
    attach_stdin: bool,
    #[serde(deserialize_with = "zero")]
    attach_stdout: bool,
    #[serde(deserialize_with = "zero")]
    attach_stderr: bool,
    #[serde(deserialize_with = "zero", skip_serializing_if = "BTreeMap::is_empty")]
    exposed_ports: BTreeMap<String, Nothing>,
    #[serde(deserialize_with = "zero")]
    tty: bool,
    #[serde(deserialize_with = "zero")]
    open_stdin: bool,
    #[serde(deserialize_with = "zero")]
    stdin_once: bool,
    env: Option<Vec<String>>,
    #[serde(deserialize_with = "words")]
    cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<V1Healthcheck>,
    #[serde(deserialize_with = "zero", skip_serializing_if = "is_zero")]
    args_escaped: bool,
    #[serde(deserialize_with = "zero")]
    image: String,
    volumes: Option<BTreeMap<String, Nothing>>,
    #[serde(deserialize_with = "zero")]
    working_dir: String,
    #[serde(deserialize_with = "words")]
    entrypoint: Option<Vec<String>>,
    #[serde(deserialize_with = "zero", skip_serializing_if = "is_zero")]
    network_disabled: bool,
    #[serde(deserialize_with = "zero", skip_serializing_if = "String::is_empty")]
    mac_address: String,
    on_build: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    #[serde(deserialize_with = "zero", skip_serializing_if = "String::is_empty")]
    stop_signal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_timeout: Option<i64>,
    #[serde(deserialize_with = "words", skip_serializing_if = "is_empty")]
    shell: Option<Vec<String>>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase")]
struct V1Healthcheck {
    #[serde(skip_serializing_if = "is_empty")]
    test: Option<Vec<String>>,
    #[serde(skip_serializing_if = "is_zero")]
    interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    timeout: i64,
    #[serde(skip_serializing_if = "is_zero")]
    start_period: i64,
    #[serde(skip_serializing_if = "is_zero")]
    start_interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    retries: i64,
}

/// Go's `struct{}`: whatever it is read from, it is an empty object.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Nothing {}

/// A line of history, in Go's order.
#[derive(Serialize)]
struct V1History<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    created_by: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    author: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    comment: &'a str,
}

/// `null` means Go's zero value.
fn zero<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Words, or one as a text (Docker: strslice).
fn words<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        Many(Vec<String>),
        One(String),
    }
    Ok(Option::deserialize(from)?.map(|words| match words {
        Words::Many(words) => words,
        Words::One(word) => vec![word],
    }))
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn is_empty(words: &Option<Vec<String>>) -> bool {
    words.as_ref().is_none_or(Vec::is_empty)
}

fn parse(raw: &[u8]) -> Result<V1Document, Reason> {
    // The library would take a list of the fields, too.
    if !raw.trim_ascii_start().starts_with(b"{") {
        return Err("it is not an object".to_owned());
    }
    let mut document: V1Document =
        serde_json::from_slice(raw).map_err(|error| error.to_string())?;
    if let Some(created) = &mut document.created {
        *created = time(created)?;
    }
    Ok(document)
}

/// Returns the ID of a document's parent.
pub(super) fn parent(raw: &[u8]) -> Result<Option<String>, Reason> {
    let parent = parse(raw)?.parent;
    Ok((!parent.is_empty()).then_some(parent))
}

/// Returns the line of history that a document stands for.
pub(super) fn history(raw: &[u8]) -> Result<Box<RawValue>, Reason> {
    let document = parse(raw)?;
    let line = V1History {
        created: document.created.as_deref(),
        created_by: &document.container_config.cmd.unwrap_or_default().join(" "),
        author: &document.author,
        comment: &document.comment,
    };
    raw_value(&line)
}

/// Makes the config of an image, out of its document, its layers and its history.
pub(super) fn config(
    raw: &[u8],
    diff_ids: &[Digest],
    history: &[&RawValue],
) -> Result<String, Reason> {
    #[derive(Serialize)]
    struct RootFs<'a> {
        r#type: &'a str,
        diff_ids: &'a [Digest],
    }
    let document = parse(raw)?;
    let again;
    let raw = if is_before(&document.docker_version) {
        again = serde_json::to_vec(&document).map_err(|error| error.to_string())?;
        &again
    } else {
        raw
    };
    let fields: Result<BTreeMap<String, Box<RawValue>>, _> = serde_json::from_slice(raw);
    let mut fields = fields.map_err(|error| error.to_string())?;
    fields.retain(|name, _| !DROPPED.contains(&name.as_str()));
    let rootfs = RootFs {
        r#type: "layers",
        diff_ids,
    };
    fields.insert("rootfs".to_owned(), raw_value(&rootfs)?);
    fields.insert("history".to_owned(), raw_value(&history)?);
    let mut text = String::from("{");
    for (name, value) in &fields {
        if text.len() > 1 {
            text.push(',');
        }
        text += &serde_json::to_string(name).map_err(|error| error.to_string())?;
        text.push(':');
        compact(value.get(), &mut text);
    }
    text.push('}');
    Ok(escaped(&text))
}

fn raw_value(value: &impl Serialize) -> Result<Box<RawValue>, Reason> {
    serde_json::value::to_raw_value(value).map_err(|error| error.to_string())
}

/// Appends JSON without the spaces between its parts.
fn compact(json: &str, out: &mut String) {
    let (mut within, mut escape) = (false, false);
    for c in json.chars() {
        if within || !matches!(c, ' ' | '\t' | '\n' | '\r') {
            out.push(c);
        }
        match c {
            _ if escape => escape = false,
            '\\' => escape = within,
            '"' => within = !within,
            _ => {}
        }
    }
}

/// As Go escapes JSON, so that it may stand in HTML. These characters stand nowhere but in strings.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

/// Tells whether a version is before the first one whose documents are taken as they are (moby: versions.LessThan).
fn is_before(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0_u64));
    let mut part = || parts.next().unwrap_or(0);
    [part(), part(), part()] < AS_IT_IS
}

/// A time as Go writes it: without zeros at the end of its fraction, and `Z` for UTC.
fn time(text: &str) -> Result<String, Reason> {
    let wrong = || "a time is not of RFC 3339".to_owned();
    let (seconds, rest) = text
        .split_at_checked("2006-01-02T15:04:05".len())
        .ok_or_else(wrong)?;
    let mut shape = seconds.bytes().zip(b"0000-00-00T00:00:00".iter());
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let fits = |(is, expected): (u8, &u8)| match expected {
        b'0' => is.is_ascii_digit(),
        other => is == *other,
    };
    if !shape.all(fits) {
        return Err(wrong());
    }
    let zone = rest.find(['Z', '+', '-']).ok_or_else(wrong)?;
    let (fraction, zone) = rest.split_at(zone);
    let zone = match zone.split_at(1) {
        ("Z", "") => "Z",
        ("+" | "-", offset) => match offset.split_once(':') {
            Some(("00", "00")) => "Z",
            Some((hours, minutes)) if digits(hours) && digits(minutes) => zone,
            _ => return Err(wrong()),
        },
        _ => return Err(wrong()),
    };
    let fraction = match fraction.strip_prefix('.') {
        Some(part) if digits(part) => &part[..part.len().min(9)],
        None if fraction.is_empty() => "",
        _ => return Err(wrong()),
    };
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    Ok(format!("{seconds}{point}{fraction}{zone}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(document: &str) -> String {
        let line = history(document.as_bytes()).unwrap();
        let diff_id = "sha256:e6f871c88768b0402d842480b5c36bc26df46459306273780935638f05f815ca";
        config(document.as_bytes(), &[diff_id.parse().unwrap()], &[&line]).unwrap()
    }

    /// The IDs that Docker 28.5.2 gave to images of these documents.
    #[test]
    fn configs_are_those_that_docker_makes() {
        let config = r#"{"Cmd": ["sh"], "Env": ["A=b & <c>"], "Hostname": "h"}"#;
        let document = |version: &str, config: &str, cmd: &str| {
            format!(
                r#"{{"id": "{}", "created": "2015-01-02T03:04:05.123456789Z", "container": "x",
                "container_config": {cmd}, "docker_version": "{version}", "author": "me <me@x>", "config": {config},
                "architecture": "amd64", "os": "linux", "Size": 7, "layer_id": "sha256:zz", "comment": "hi",
                "extra": {{"b": 1, "a": [ 1, 2 ]}}}}"#,
                "a".repeat(64)
            )
        };
        let nop = r##"{"Cmd": ["/bin/sh", "-c", "#(nop) ADD file:x in /"], "Hostname": "h"}"##;
        let full = r#"{"Cmd": ["sh"], "Entrypoint": null, "Env": ["PATH=/bin"], "ExposedPorts": {"80/tcp": {}},
            "Volumes": {"/data": {}}, "Labels": {"a": "b", "A": "<>"}, "WorkingDir": "/w", "User": "u", "Image": "i",
            "OnBuild": ["RUN x"], "StopSignal": "SIGTERM", "Tty": true,
            "Healthcheck": {"Test": ["CMD", "x"], "Interval": 5}, "MacAddress": "aa", "NetworkDisabled": true,
            "Shell": ["/bin/sh"], "StopTimeout": 3, "ArgsEscaped": true, "Domainname": "d", "Memory": 5,
            "CpuShares": 4, "PortSpecs": null}"#;
        let minimal =
            r#"{"id": "c", "created": "2014-01-02T03:04:05Z", "config": null, "os": "linux"}"#;
        for (document, id) in [
            (
                document("1.9.1", config, nop),
                "392f4e8c28d0511ea4eebc10816e629f31d5bcbb970c0cc12d625d8d6aa991fd",
            ),
            (
                document("1.6.0", config, nop),
                "984f557099c9ec63c8e3fb933ec7c12360364d2143257ea324a68df596104aa2",
            ),
            (
                document("1.6.0", full, full),
                "2d4cf8628336f444a1614e3df67541efa63d7cf3761d9bc5c907cbc557047d7b",
            ),
            (
                minimal.to_owned(),
                "4706914a001278b17e75d1acebc896044a4c0280d85c8bcd25809d77007b1396",
            ),
            (
                r#"{"id": "a"}"#.to_owned(),
                "ba1bc87ff7bb2dcc1dafecc176bf1fb9f512836041897b32bba66b4f949e364e",
            ),
        ] {
            let made = made(&document);
            assert_eq!(Digest::of(made.as_bytes()).hex(), id, "{made}");
        }
    }

    /// The same of an image with a parent.
    #[test]
    fn history_begins_with_the_parent_s() {
        for (version, id) in [
            (
                "1.9.1",
                "f549d290f14062fb4f77ddddbb562234a7953f0016339848c22cf0c746398425",
            ),
            (
                "1.6.0",
                "9b76f40cf24d678adac1e4c6f0641ce57c40b360c87e6b4f95bc115161a666d3",
            ),
        ] {
            let parent = r##"{"created": "2015-01-02T03:04:05.123456789Z", "author": "me <me@x>", "comment": "hi",
                "container_config": {"Cmd": ["/bin/sh", "-c", "#(nop) ADD file:x in /"]}}"##;
            let document = format!(
                r#"{{"id": "b", "parent": "a", "created": "2016-01-02T03:04:05Z",
                "container_config": {{"Cmd": ["/bin/sh", "-c", "echo"]}}, "docker_version": "{version}",
                "config": {{"Cmd": ["sh"]}}, "architecture": "amd64", "os": "linux", "Size": 7}}"#
            );
            let lines = [parent, &document].map(|raw| history(raw.as_bytes()).unwrap());
            let diff_ids = [
                "sha256:e6f871c88768b0402d842480b5c36bc26df46459306273780935638f05f815ca",
                "sha256:f49401e662645e287f8943b2479f184492122ea768dc82c6caa49dc431e2f635",
            ];
            let diff_ids = diff_ids.map(|id| id.parse().unwrap());
            let made = config(document.as_bytes(), &diff_ids, &[&lines[0], &lines[1]]).unwrap();
            assert_eq!(Digest::of(made.as_bytes()).hex(), id, "{made}");
        }
    }

    #[test]
    fn documents_that_are_malformed_are_refused() {
        for wrong in [
            "",
            "[]",
            "7",
            r#"{"created": "yesterday"}"#,
            r#"{"config": 7}"#,
            r#"{"parent": {}}"#,
        ] {
            assert!(history(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_written_as_go_writes_them() {
        for (text, expected) in [
            ("2015-01-02T03:04:05Z", "2015-01-02T03:04:05Z"),
            ("2015-01-02T03:04:05.1230Z", "2015-01-02T03:04:05.123Z"),
            ("2015-01-02T03:04:05.000Z", "2015-01-02T03:04:05Z"),
            ("2015-01-02T03:04:05+00:00", "2015-01-02T03:04:05Z"),
            ("2015-01-02T03:04:05.5-07:00", "2015-01-02T03:04:05.5-07:00"),
        ] {
            assert_eq!(time(text).unwrap(), expected);
        }
        for wrong in [
            "",
            "now",
            "2015-01-02",
            "2015-01-02T03:04:05",
            "2015-01-02T03:04:05.Z",
            "2015-01-02T03:04:05+7",
        ] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, before) in [
            ("", true),
            ("1.8.2", true),
            ("1.8.3", false),
            ("1.10.0", false),
            ("x", true),
            ("1.9", false),
        ] {
            assert_eq!(is_before(version), before, "{version}");
        }
    }
}
