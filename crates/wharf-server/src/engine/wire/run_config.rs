//! How a container of an image runs, as Docker reads it from the config and shows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The fields that Docker shows, in Go's order; empty ones are left out.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RunConfig {
    /// Who runs it.
    #[serde(
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub user: String,
    /// The ports that it listens on.
    #[serde(
        deserialize_with = "or_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub exposed_ports: BTreeMap<String, Empty>,
    /// Its environment.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The program.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// The program's arguments.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// Where volumes belong.
    #[serde(
        deserialize_with = "or_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub volumes: BTreeMap<String, Empty>,
    /// Where it starts.
    #[serde(
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub working_dir: String,
    /// The image's labels.
    #[serde(
        deserialize_with = "or_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
    /// What ends it.
    #[serde(
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub stop_signal: String,
    /// Windows only: is the command line escaped already?
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_false")]
    pub args_escaped: bool,
    /// How its health is checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// What a build upon it begins with.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    /// What runs commands that are no lists.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
}

/// Go's `struct{}`: whatever the config has there, Docker shows nothing of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Empty;

impl<'de> Deserialize<'de> for Empty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl Serialize for Empty {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde::ser::SerializeMap::end(serializer.serialize_map(Some(0))?)
    }
}

/// How a container's health is checked. Times are in nanoseconds.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// The command.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// The time between two checks.
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// How long a check may take.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// How long it may take to start.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// The time between two checks while it starts.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// How often it may fail.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
}

/// What the API shows of a config although it is empty, by the API's version (Docker 28.5:
/// `inspect_response.go`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// 1.50 and later.
    Current,
    /// 1.49 and before: with fields of containers, which no image has.
    Before150,
}

const NULL: [&str; 6] = ["Cmd", "Entrypoint", "Env", "Labels", "OnBuild", "Volumes"];
const TEXT: [&str; 2] = ["User", "WorkingDir"];
const TEXT_BEFORE_150: [&str; 3] = ["Domainname", "Hostname", "Image"];
const FALSE_BEFORE_150: [&str; 6] = [
    "AttachStderr",
    "AttachStdin",
    "AttachStdout",
    "OpenStdin",
    "StdinOnce",
    "Tty",
];

impl RunConfig {
    /// The object of the Engine API: keys sorted, some there although they are empty.
    pub fn shown(&self, shape: Shape) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        let mut show = |names: &[&str], value: &Value| {
            all.extend(names.iter().map(|name| ((*name).to_owned(), value.clone())));
        };
        show(&NULL, &Value::Null);
        show(&TEXT, &Value::String(String::new()));
        if shape == Shape::Before150 {
            show(&TEXT_BEFORE_150, &Value::String(String::new()));
            show(&FALSE_BEFORE_150, &Value::Bool(false));
        }
        if let Ok(Value::Object(own)) = serde_json::to_value(self) {
            all.extend(own);
        }
        all
    }
}

/// Go writes an empty list or map as `null`.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn is_false(value: &bool) -> bool {
    !*value
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use wharf_core::go_json::{Html, compact};

    use super::*;

    #[test]
    fn shows_what_docker_shows_of_nothing() {
        let config: RunConfig = serde_json::from_str(r#"{"Cmd":["sh"],"Labels":null}"#).unwrap();
        assert_eq!(
            compact(&config.shown(Shape::Current), Html::Plain),
            r#"{"Cmd":["sh"],"Entrypoint":null,"Env":null,"Labels":null,"OnBuild":null,"User":"","Volumes":null,"WorkingDir":""}"#
        );
        assert_eq!(compact(&config, Html::Plain), r#"{"Cmd":["sh"]}"#);
    }

    #[test]
    fn shows_older_clients_fields_of_containers() {
        let shown = RunConfig::default().shown(Shape::Before150);
        assert_eq!(shown["Tty"], Value::Bool(false));
        assert_eq!(shown["Hostname"], Value::String(String::new()));
        assert_eq!(shown.len(), 17);
    }

    #[test]
    fn sets_lose_what_the_config_has_in_them() {
        let config: RunConfig =
            serde_json::from_str(r#"{"ExposedPorts":{"80/tcp":{"x":1}}}"#).unwrap();
        assert_eq!(
            compact(&config, Html::Plain),
            r#"{"ExposedPorts":{"80/tcp":{}}}"#
        );
    }
}
