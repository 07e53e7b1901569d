//! How a container of an image runs, as templates see it.

use std::collections::BTreeMap;

use gotmpl::Value;
use wharf_core::config::{Empty, Healthcheck, RunConfig};

use crate::print::json::{Html, compact};
use crate::print::template::{Record, nil_map, nil_pointer, record, text_list, text_map};

impl Record for RunConfig {
    const TYPE: &'static str = "*v1.DockerOCIImageConfig";
    const PRINTED: &'static [&'static [&'static str]] = &[
        &[
            "User",
            "ExposedPorts",
            "Env",
            "Entrypoint",
            "Cmd",
            "Volumes",
            "WorkingDir",
            "Labels",
            "StopSignal",
            "ArgsEscaped",
        ],
        &["Healthcheck", "OnBuild", "Shell"],
    ];

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
            "Healthcheck" => self.healthcheck.clone().map_or_else(nil_pointer, record),
            "OnBuild" => text_list(&self.on_build),
            "Shell" => text_list(&self.shell),
            _ => return None,
        })
    }

    fn json(&self) -> String {
        compact(self, Html::Plain)
    }
}

impl Record for Empty {
    const TYPE: &'static str = "struct {}";
    const PRINTED: &'static [&'static [&'static str]] = &[&[]];

    fn field(&self, _: &str) -> Option<Value> {
        None
    }

    fn json(&self) -> String {
        "{}".to_owned()
    }
}

impl Record for Healthcheck {
    const TYPE: &'static str = "*v1.HealthcheckConfig";
    const PRINTED: &'static [&'static [&'static str]] = &[&[
        "Test",
        "Interval",
        "Timeout",
        "StartPeriod",
        "StartInterval",
        "Retries",
    ]];

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
    let entries = names
        .keys()
        .map(|name| (name.as_str().into(), record(Empty)));
    Value::Map(std::sync::Arc::new(entries.collect()))
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
}
