//! How a container of an image runs, as the Engine API shows it.

use std::collections::BTreeMap;

use serde_json::Value;
use wharf_core::config::RunConfig;

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

impl Shape {
    /// Shows a config: keys sorted, some there although they are empty.
    pub fn show(self, config: &RunConfig) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        let mut show = |names: &[&str], value: &Value| {
            all.extend(names.iter().map(|name| ((*name).to_owned(), value.clone())));
        };
        show(&NULL, &Value::Null);
        show(&TEXT, &Value::String(String::new()));
        if self == Self::Before150 {
            show(&TEXT_BEFORE_150, &Value::String(String::new()));
            show(&FALSE_BEFORE_150, &Value::Bool(false));
        }
        if let Ok(Value::Object(own)) = serde_json::to_value(config) {
            all.extend(own);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use wharf_core::go_json::{self, Html, ReadError, compact};

    use super::*;

    fn read(text: &str) -> Result<RunConfig, ReadError> {
        go_json::from_slice(text.as_bytes())
    }

    #[test]
    fn shows_what_docker_shows_of_nothing() {
        let config: RunConfig = read(r#"{"Cmd":["sh"],"Labels":null}"#).unwrap();
        assert_eq!(
            compact(&Shape::Current.show(&config), Html::Plain),
            r#"{"Cmd":["sh"],"Entrypoint":null,"Env":null,"Labels":null,"OnBuild":null,"User":"","Volumes":null,"WorkingDir":""}"#
        );
        assert_eq!(compact(&config, Html::Plain), r#"{"Cmd":["sh"]}"#);
    }

    #[test]
    fn shows_older_clients_fields_of_containers() {
        let shown = Shape::Before150.show(&RunConfig::default());
        assert_eq!(shown["Tty"], Value::Bool(false));
        assert_eq!(shown["Hostname"], Value::String(String::new()));
        assert_eq!(shown.len(), 17);
    }

    #[test]
    fn sets_lose_what_the_config_has_in_them() {
        let config: RunConfig = read(r#"{"ExposedPorts":{"80/tcp":{"x":1}}}"#).unwrap();
        assert_eq!(
            compact(&config, Html::Plain),
            r#"{"ExposedPorts":{"80/tcp":{}}}"#
        );
    }
}
