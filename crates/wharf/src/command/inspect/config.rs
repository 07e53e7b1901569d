//! How a container of an image runs, as Docker reads it from the config and shows it.

use std::collections::BTreeMap;

use gotmpl::Value;
use serde::{Deserialize, Deserializer, Serialize};

use crate::print::json::{Html, compact};
use crate::print::template::{Record, nil_map, record, text_list, text_map};

/// The fields that Docker shows, in Go's order; empty ones are left out.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RunConfig {
    #[serde(
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    user: String,
    #[serde(
        deserialize_with = "or_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    exposed_ports: BTreeMap<String, Empty>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    env: Vec<String>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    entrypoint: Vec<String>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    cmd: Vec<String>,
    #[serde(
        deserialize_with = "or_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    volumes: BTreeMap<String, Empty>,
    #[serde(
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    working_dir: String,
    #[serde(
        deserialize_with = "or_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    labels: BTreeMap<String, String>,
    #[serde(
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    stop_signal: String,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_false")]
    args_escaped: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<Healthcheck>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    on_build: Vec<String>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    shell: Vec<String>,
}

/// Go's `struct{}`: whatever the config has there, Docker shows nothing of it.
#[derive(Clone, Copy, Debug, Default)]
struct Empty;

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
struct Healthcheck {
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    test: Vec<String>,
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

/// What API 1.50 and later show although it is empty (Docker 28.5: inspect).
const ALWAYS_SHOWN: [(&str, Shown); 8] = [
    ("Cmd", Shown::Null),
    ("Entrypoint", Shown::Null),
    ("Env", Shown::Null),
    ("Labels", Shown::Null),
    ("OnBuild", Shown::Null),
    ("User", Shown::Text),
    ("Volumes", Shown::Null),
    ("WorkingDir", Shown::Text),
];

#[derive(Clone, Copy)]
enum Shown {
    Null,
    Text,
}

impl RunConfig {
    /// The object of the Engine API: keys sorted, some there although they are empty.
    pub(super) fn shown(&self) -> BTreeMap<String, serde_json::Value> {
        let own = match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        };
        let mut all: BTreeMap<String, serde_json::Value> = own.into_iter().collect();
        for (name, shown) in ALWAYS_SHOWN {
            all.entry(name.to_owned()).or_insert_with(|| match shown {
                Shown::Null => serde_json::Value::Null,
                Shown::Text => serde_json::Value::String(String::new()),
            });
        }
        all
    }
}

impl Record for RunConfig {
    const TYPE: &'static str = "*v1.DockerOCIImageConfig";

    fn field(&self, name: &str) -> Option<Value> {
        let text = |text: &String| Value::String(text.as_str().into());
        Some(match name {
            "User" => text(&self.user),
            "ExposedPorts" => set(&self.exposed_ports),
            "Env" => text_list(&self.env),
            "Entrypoint" => text_list(&self.entrypoint),
            "Cmd" => text_list(&self.cmd),
            "Volumes" => set(&self.volumes),
            "WorkingDir" => text(&self.working_dir),
            "Labels" => text_map(&self.labels),
            "StopSignal" => text(&self.stop_signal),
            "ArgsEscaped" => Value::Bool(self.args_escaped),
            "Healthcheck" => self.healthcheck.clone().map_or(Value::Nil, record),
            "OnBuild" => text_list(&self.on_build),
            "Shell" => text_list(&self.shell),
            _ => return None,
        })
    }

    fn json(&self) -> String {
        compact(self, Html::Plain)
    }
}

impl Record for Healthcheck {
    const TYPE: &'static str = "*v1.HealthcheckConfig";

    fn field(&self, name: &str) -> Option<Value> {
        Some(match name {
            "Test" => text_list(&self.test),
            "Interval" => Value::String(go_duration(self.interval).into()),
            "Timeout" => Value::String(go_duration(self.timeout).into()),
            "StartPeriod" => Value::String(go_duration(self.start_period).into()),
            "StartInterval" => Value::String(go_duration(self.start_interval).into()),
            "Retries" => Value::Int(self.retries),
            _ => return None,
        })
    }

    fn json(&self) -> String {
        compact(self, Html::Plain)
    }
}

/// A length of time as Go prints it: `1m30s`, `500ms`.
fn go_duration(nanos: i64) -> String {
    let (sign, n) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let fraction = |unit: u64| {
        let digits = format!("{:0width$}", n % unit, width = unit.ilog10() as usize);
        let digits = digits.trim_end_matches('0');
        if digits.is_empty() {
            String::new()
        } else {
            format!(".{digits}")
        }
    };
    let text = match n {
        0 => "0s".to_owned(),
        1..1_000 => format!("{n}ns"),
        1_000..1_000_000 => format!("{}{}µs", n / 1_000, fraction(1_000)),
        1_000_000..1_000_000_000 => format!("{}{}ms", n / 1_000_000, fraction(1_000_000)),
        _ => {
            let seconds = n / 1_000_000_000;
            let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            let tail = format!("{s}{}s", fraction(1_000_000_000));
            match (h, m) {
                (0, 0) => tail,
                (0, m) => format!("{m}m{tail}"),
                (h, m) => format!("{h}h{m}m{tail}"),
            }
        }
    };
    format!("{sign}{text}")
}

/// A set of names, which Go has as a map to nothing.
fn set(names: &BTreeMap<String, Empty>) -> Value {
    if names.is_empty() {
        return nil_map();
    }
    let nothing = || Value::Map(std::sync::Arc::default());
    let entries = names.keys().map(|name| (name.as_str().into(), nothing()));
    Value::Map(std::sync::Arc::new(entries.collect()))
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
    use super::*;

    #[test]
    fn prints_durations_as_go_does() {
        for (nanos, text) in [
            (0, "0s"),
            (30_000_000_000, "30s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (1_500_000_000, "1.5s"),
            (500_000_000, "500ms"),
            (1_500_000, "1.5ms"),
            (2_050, "2.05µs"),
            (7, "7ns"),
            (-2_000_000_000, "-2s"),
        ] {
            assert_eq!(go_duration(nanos), text);
        }
    }

    #[test]
    fn shows_what_docker_shows_of_nothing() {
        let config: RunConfig = serde_json::from_str(r#"{"Cmd":["sh"],"Labels":null}"#).unwrap();
        assert_eq!(
            compact(&config.shown(), Html::Plain),
            r#"{"Cmd":["sh"],"Entrypoint":null,"Env":null,"Labels":null,"OnBuild":null,"User":"","Volumes":null,"WorkingDir":""}"#
        );
        assert_eq!(config.json(), r#"{"Cmd":["sh"]}"#);
    }

    #[test]
    fn sets_lose_what_the_config_has_in_them() {
        let config: RunConfig =
            serde_json::from_str(r#"{"ExposedPorts":{"80/tcp":{"x":1}}}"#).unwrap();
        assert_eq!(config.json(), r#"{"ExposedPorts":{"80/tcp":{}}}"#);
    }
}
