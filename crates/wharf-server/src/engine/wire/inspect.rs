//! Everything about one image: the answer to `GET /images/NAME/json`.

use jiff::Timestamp;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use wharf_core::config::{ImageConfig, RunConfig};
use wharf_core::go_json;
use wharf_engine::{EngineError, ErrorKind, ImageDetail};

use super::run_config::Shape;
use super::summary::{Descriptor, ManifestSummary};

/// What Go prints of a time that was never set.
pub const GO_ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// The answer, in the API's order.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageInspect {
    /// The ID.
    pub id: String,
    /// The names with tags.
    pub repo_tags: Vec<String>,
    /// The names with digests.
    pub repo_digests: Vec<String>,
    /// Only images that Docker's old builder made have one.
    pub parent: &'static str,
    /// The image's own note, or that of the last step of its build.
    pub comment: String,
    /// When it was made.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub created: String,
    /// The container that it was made of: before API 1.45.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_config: Option<ContainerConfig>,
    /// Which Docker made it.
    pub docker_version: String,
    /// Who made it.
    pub author: String,
    /// For which processor.
    pub architecture: String,
    /// For which kind of this processor.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// For which system.
    pub os: String,
    /// For which version of it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// The files in its layers, in bytes.
    pub size: u64,
    /// The same, before API 1.44.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_size: Option<u64>,
    /// Where Docker's storage driver has the layers: the command line leaves it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph_driver: Option<GraphDriver>,
    /// Its layers.
    #[serde(rename = "RootFS")]
    pub root_fs: RootFs,
    /// What is known of it here.
    pub metadata: Metadata,
    /// What its name points to; if `manifests` was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<Descriptor>,
    /// Its platforms; likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifests: Option<Vec<ManifestSummary>>,
    /// How it runs.
    #[serde(serialize_with = "shown")]
    pub config: ShownConfig,
}

/// How an image runs, and how that is shown.
#[derive(Clone, Debug)]
pub struct ShownConfig {
    /// What there is.
    pub run: RunConfig,
    /// What is shown although it is empty.
    pub shape: Shape,
}

/// An image's layers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RootFs {
    /// `layers`.
    #[serde(rename = "Type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Their diff IDs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<String>,
}

/// What is known of an image here.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Metadata {
    /// When it was last given a name.
    pub last_tag_time: String,
    /// The same as a time.
    #[serde(skip)]
    pub time: Option<Timestamp>,
}

/// Docker says here where its storage driver has unpacked the layers. wharf unpacks none.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GraphDriver {
    /// Nothing.
    pub data: Option<()>,
    /// The driver's name.
    pub name: &'static str,
}

/// wharf, as a storage driver.
pub const GRAPH_DRIVER: GraphDriver = GraphDriver {
    data: None,
    name: "wharf",
};

fn shown<S: Serializer>(config: &ShownConfig, serializer: S) -> Result<S::Ok, S::Error> {
    config.shape.show(&config.run).serialize(serializer)
}

impl ImageInspect {
    /// Describes an image.
    pub fn of(detail: &ImageDetail) -> Result<Self, EngineError> {
        let summary = &detail.summary;
        let config = ImageConfig::parse(detail.config.clone())
            .map_err(|error| unreadable(detail, error.into()))?;
        let fields = config.fields;
        let last_comment = || fields.history.last().map(|step| step.comment.clone());
        let own_comment = fields.comment.clone().filter(|comment| !comment.is_empty());
        let created = fields.created.as_deref().map(rfc3339_nano);
        let diff_ids = fields.rootfs.diff_ids.iter();
        Ok(Self {
            id: summary.id.to_string(),
            repo_tags: summary.repo_tags.clone(),
            repo_digests: summary.repo_digests.clone(),
            parent: "",
            comment: own_comment.or_else(last_comment).unwrap_or_default(),
            created: created.unwrap_or_default(),
            container_config: None,
            docker_version: fields.docker_version.unwrap_or_default(),
            author: fields.author.unwrap_or_default(),
            architecture: fields.architecture,
            variant: fields.variant,
            os: if fields.os.is_empty() {
                "linux".to_owned()
            } else {
                fields.os
            },
            os_version: fields.os_version,
            size: summary.size,
            virtual_size: None,
            graph_driver: None,
            root_fs: RootFs {
                layers: diff_ids.map(ToString::to_string).collect(),
                kind: fields.rootfs.kind,
            },
            metadata: Metadata {
                last_tag_time: detail.last_tagged.map_or_else(
                    || GO_ZERO_TIME.to_owned(),
                    |time| rfc3339_nano(&time.to_string()),
                ),
                time: detail.last_tagged,
            },
            descriptor: None,
            manifests: None,
            config: ShownConfig {
                run: fields.config,
                shape: Shape::Current,
            },
        })
    }
}

fn unreadable(
    detail: &ImageDetail,
    error: Box<dyn std::error::Error + Send + Sync>,
) -> EngineError {
    let id = detail.summary.id.short();
    let message = format!("the config of image {id} cannot be read");
    EngineError::new(ErrorKind::Corrupt, message).because(error)
}

/// A time as Go writes it again: a fraction of a second without zeros at its end.
fn rfc3339_nano(text: &str) -> String {
    let Some((whole, rest)) = text.split_once('.') else {
        return text.to_owned();
    };
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (fraction, zone) = rest.split_at(end);
    match fraction.trim_end_matches('0') {
        "" => format!("{whole}{zone}"),
        fraction => format!("{whole}.{fraction}{zone}"),
    }
}

/// The container that an image was made of, as clients before API 1.45 expect it: every field is there, in
/// this order, with what the image's config has of it.
#[derive(Clone, Debug)]
pub struct ContainerConfig(Map<String, Value>);

/// What a field holds; it tells what is shown if the config does not have it.
#[derive(Clone, Copy)]
enum Holds {
    Text,
    Flag,
    List,
    /// A list, for which there may be one text.
    Words,
    Map,
    /// Anything; it is left out if it is absent.
    Optional,
}

const CONTAINER_FIELDS: [(&str, Holds); 24] = [
    ("Hostname", Holds::Text),
    ("Domainname", Holds::Text),
    ("User", Holds::Text),
    ("AttachStdin", Holds::Flag),
    ("AttachStdout", Holds::Flag),
    ("AttachStderr", Holds::Flag),
    ("ExposedPorts", Holds::Optional),
    ("Tty", Holds::Flag),
    ("OpenStdin", Holds::Flag),
    ("StdinOnce", Holds::Flag),
    ("Env", Holds::List),
    ("Cmd", Holds::Words),
    ("Healthcheck", Holds::Optional),
    ("ArgsEscaped", Holds::Optional),
    ("Image", Holds::Text),
    ("Volumes", Holds::Map),
    ("WorkingDir", Holds::Text),
    ("Entrypoint", Holds::Words),
    ("NetworkDisabled", Holds::Optional),
    ("OnBuild", Holds::List),
    ("Labels", Holds::Map),
    ("StopSignal", Holds::Optional),
    ("StopTimeout", Holds::Optional),
    ("Shell", Holds::Optional),
];

impl ContainerConfig {
    /// What an image's config says of it.
    pub fn of(config: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct File {
            container_config: Map<String, Value>,
        }
        // The config was read before: what is wrong with this part only is not worth an error.
        let file: File = go_json::from_slice(config).unwrap_or_default();
        Self(file.container_config)
    }

    /// A field's value; the key may have any case, as for Go.
    fn value(&self, name: &str) -> Option<&Value> {
        let in_any_case = || {
            let mut all = self.0.iter();
            all.find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        };
        let found = self.0.get(name).or_else(in_any_case);
        found.filter(|value| !value.is_null())
    }
}

/// Shows `null` inside of a list or a map as the text that it stands for.
fn with_texts(value: &Value, holds: Holds) -> Value {
    let text = |value: &Value| match value {
        Value::Null => Value::String(String::new()),
        other => other.clone(),
    };
    match (value, holds) {
        (Value::String(_), Holds::Words) => Value::Array(vec![value.clone()]),
        (Value::Array(all), Holds::List | Holds::Words) => all.iter().map(text).collect(),
        (Value::Object(all), Holds::Map) => all
            .iter()
            .map(|(key, value)| (key.clone(), text(value)))
            .collect(),
        (other, _) => other.clone(),
    }
}

impl Serialize for ContainerConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, holds) in CONTAINER_FIELDS {
            match (self.value(name), holds) {
                (Some(value), _) => map.serialize_entry(name, &with_texts(value, holds))?,
                (None, Holds::Text) => map.serialize_entry(name, "")?,
                (None, Holds::Flag) => map.serialize_entry(name, &false)?,
                (None, Holds::List | Holds::Words | Holds::Map) => {
                    map.serialize_entry(name, &Value::Null)?;
                }
                (None, Holds::Optional) => {}
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use wharf_core::go_json::{Html, compact};
    use wharf_core::{Descriptor, Digest};
    use wharf_engine::ImageSummary;

    use super::*;

    fn detail(config: &[u8]) -> ImageDetail {
        let summary = ImageSummary {
            id: Digest::of(config),
            created: None,
            size: 0,
            repo_tags: Vec::new(),
            repo_digests: Vec::new(),
            labels: BTreeMap::new(),
        };
        ImageDetail {
            summary,
            manifest: Descriptor::of("", b""),
            config: bytes::Bytes::copy_from_slice(config),
            last_tagged: None,
        }
    }

    #[test]
    fn older_clients_see_zero_values_for_null() {
        let config =
            br#"{"container_config":{"hostname":null,"Tty":null,"Env":[null,"A=b"],"Cmd":"x y",
            "Labels":{"a":null},"Volumes":null,"StopTimeout":null,"ENTRYPOINT":["e",null]}}"#;
        let shown = compact(&ContainerConfig::of(config), Html::Plain);
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["Hostname"], "");
        assert_eq!(shown["Tty"], false);
        assert_eq!(shown["Env"], serde_json::json!(["", "A=b"]));
        assert_eq!(shown["Cmd"], serde_json::json!(["x y"]));
        assert_eq!(shown["Entrypoint"], serde_json::json!(["e", ""]));
        assert_eq!(shown["Labels"], serde_json::json!({ "a": "" }));
        assert!(shown.get("StopTimeout").is_none());
        assert!(shown["Volumes"].is_null());
    }

    proptest! {
        /// Whatever of these parts makes a config that is taken, is shown.
        #[test]
        fn what_is_taken_is_shown(
            parts in proptest::collection::vec(
                "\\{|\\}|\\[|\\]|,|:|null|true|7|\"x\"|\"config\":|\"Config\":|\"Env\":|\"Cmd\":|\"Labels\":|\"Healthcheck\":|\"history\":|\"empty_layer\":|\"container_config\":|\"os\":",
                0..24,
            ),
        ) {
            let text = format!("{{{}}}", parts.concat());
            let taken = ImageConfig::parse(bytes::Bytes::from(text.clone())).is_ok();
            let shown = ImageInspect::of(&detail(text.as_bytes()));
            prop_assert_eq!(taken, shown.is_ok(), "{}", text);
            if let Ok(mut shown) = shown {
                shown.container_config = Some(ContainerConfig::of(text.as_bytes()));
                let json = compact(&shown, Html::Escaped);
                prop_assert!(serde_json::from_str::<Value>(&json).is_ok());
            }
        }
    }
}
