//! How a container of an image runs, as templates see it.

use std::collections::BTreeMap;

use gotmpl::Value;
use wharf_core::config::{Empty, Healthcheck, RunConfig};

use crate::print::json::{Html, compact};
use crate::print::template::{
    GoDuration, Record, nil_map, nil_pointer, record, text_list, text_map,
};

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
            "Interval" => record(GoDuration(self.interval)),
            "Timeout" => record(GoDuration(self.timeout)),
            "StartPeriod" => record(GoDuration(self.start_period)),
            "StartInterval" => record(GoDuration(self.start_interval)),
            "Retries" => Value::Int(self.retries),
            _ => return None,
        })
    }

    fn json(&self) -> String {
        compact(self, Html::Plain)
    }
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
