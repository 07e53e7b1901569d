//! Everything about one image, in the shape of Docker's Engine API 1.51, and as templates see it.
//!
//! Docker has the answer twice: as the Go struct that the client reads it into, and as the JSON that
//! came. Fields have other names in the one (`.ID`) than in the other (`.Id`), and other orders.

use gotmpl::Value;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wharf_core::ImageConfig;
use wharf_core::human;
use wharf_engine::{EngineError, ErrorKind, ImageDetail};

use super::config::RunConfig;
use crate::exit::Result;
use crate::print::json::{Html, compact};
use crate::print::template::{Record, made_list, nil_list, nil_map, record, text_list};

/// What Go prints of a time that was never set.
const GO_ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// The answer, in the API's order.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Document {
    id: String,
    repo_tags: Vec<String>,
    repo_digests: Vec<String>,
    /// Only images that Docker's old builder made have one.
    parent: &'static str,
    comment: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    created: String,
    docker_version: String,
    author: String,
    architecture: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    variant: String,
    os: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    os_version: String,
    size: u64,
    #[serde(rename = "RootFS")]
    root_fs: RootFs,
    metadata: Metadata,
    #[serde(serialize_with = "shown")]
    config: RunConfig,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RootFs {
    #[serde(rename = "Type", skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    layers: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    last_tag_time: String,
    #[serde(skip)]
    time: Option<Timestamp>,
}

fn shown<S: serde::Serializer>(config: &RunConfig, serializer: S) -> Result<S::Ok, S::Error> {
    config.shown().serialize(serializer)
}

/// The part of a config that says how a container runs.
#[derive(Deserialize)]
struct ConfigFile {
    #[serde(default)]
    config: Option<RunConfig>,
}

impl Document {
    /// Describes an image.
    pub(super) fn of(detail: &ImageDetail) -> Result<Self> {
        let summary = &detail.summary;
        let unreadable = |error: Box<dyn std::error::Error + Send + Sync>| {
            let message = format!("the config of image {} cannot be read", summary.id.short());
            EngineError::new(ErrorKind::Corrupt, message).because(error)
        };
        let config =
            ImageConfig::parse(detail.config.clone()).map_err(|error| unreadable(error.into()))?;
        let file: ConfigFile =
            serde_json::from_slice(&detail.config).map_err(|error| unreadable(error.into()))?;
        let fields = config.fields;
        let last_comment = || fields.history.last().map(|step| step.comment.clone());
        let own_comment = fields.comment.clone().filter(|comment| !comment.is_empty());
        Ok(Self {
            id: summary.id.to_string(),
            repo_tags: summary.repo_tags.clone(),
            repo_digests: summary.repo_digests.clone(),
            parent: "",
            comment: own_comment.or_else(last_comment).unwrap_or_default(),
            created: fields
                .created
                .as_deref()
                .map(rfc3339_nano)
                .unwrap_or_default(),
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
            root_fs: RootFs {
                kind: fields.rootfs.kind,
                layers: fields
                    .rootfs
                    .diff_ids
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
            },
            metadata: Metadata {
                last_tag_time: detail.last_tagged.map_or_else(
                    || GO_ZERO_TIME.to_owned(),
                    |time| rfc3339_nano(&time.to_string()),
                ),
                time: detail.last_tagged,
            },
            config: file.config.unwrap_or_default(),
        })
    }
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

/// The answer as the Go struct has it.
pub(super) struct Typed(pub Document);

/// Go's order of the whole: the config in its middle.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct InGoOrder<'d> {
    id: &'d str,
    repo_tags: &'d [String],
    repo_digests: &'d [String],
    parent: &'d str,
    comment: &'d str,
    #[serde(skip_serializing_if = "str::is_empty")]
    created: &'d str,
    docker_version: &'d str,
    author: &'d str,
    config: &'d RunConfig,
    architecture: &'d str,
    #[serde(skip_serializing_if = "str::is_empty")]
    variant: &'d str,
    os: &'d str,
    #[serde(skip_serializing_if = "str::is_empty")]
    os_version: &'d str,
    size: u64,
    #[serde(rename = "RootFS")]
    root_fs: &'d RootFs,
    metadata: &'d Metadata,
}

impl Record for Typed {
    const TYPE: &'static str = "image.InspectResponse";

    fn field(&self, name: &str) -> Option<Value> {
        let Self(image) = self;
        let text = |text: &str| Value::String(text.into());
        Some(match name {
            "ID" => text(&image.id),
            "RepoTags" => made_list(&image.repo_tags),
            "RepoDigests" => made_list(&image.repo_digests),
            // Images of old builders have them, and wharf none.
            "Parent" | "Container" => text(""),
            "ContainerConfig" | "Descriptor" => Value::Nil,
            "Manifests" => nil_list(),
            "Comment" => text(&image.comment),
            "Created" => text(&image.created),
            "DockerVersion" => text(&image.docker_version),
            "Author" => text(&image.author),
            "Config" => record(image.config.clone()),
            "Architecture" => text(&image.architecture),
            "Variant" => text(&image.variant),
            "Os" => text(&image.os),
            "OsVersion" => text(&image.os_version),
            "Size" => Value::Uint(image.size),
            "VirtualSize" => Value::Int(0),
            "GraphDriver" => record(NoDriver),
            "RootFS" => record(image.root_fs.clone()),
            "Metadata" => record(image.metadata.clone()),
            _ => return None,
        })
    }

    fn json(&self) -> String {
        let Self(image) = self;
        let ordered = InGoOrder {
            id: &image.id,
            repo_tags: &image.repo_tags,
            repo_digests: &image.repo_digests,
            parent: image.parent,
            comment: &image.comment,
            created: &image.created,
            docker_version: &image.docker_version,
            author: &image.author,
            config: &image.config,
            architecture: &image.architecture,
            variant: &image.variant,
            os: &image.os,
            os_version: &image.os_version,
            size: image.size,
            root_fs: &image.root_fs,
            metadata: &image.metadata,
        };
        compact(&ordered, Html::Plain)
    }
}

impl Record for RootFs {
    const TYPE: &'static str = "image.RootFS";

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "Type" => Some(Value::String(self.kind.as_str().into())),
            "Layers" => Some(text_list(&self.layers)),
            _ => None,
        }
    }

    fn json(&self) -> String {
        compact(self, Html::Plain)
    }
}

impl Record for Metadata {
    const TYPE: &'static str = "image.Metadata";

    fn field(&self, name: &str) -> Option<Value> {
        let time = || {
            let zone = jiff::tz::TimeZone::UTC;
            let time = self.time.map(|time| human::point(time, &zone));
            time.unwrap_or_else(|| "0001-01-01 00:00:00 +0000 UTC".to_owned())
        };
        (name == "LastTagTime").then(|| Value::String(time().into()))
    }

    fn json(&self) -> String {
        compact(self, Html::Plain)
    }
}

/// Docker says here where its storage driver has unpacked the layers. wharf unpacks none.
struct NoDriver;

impl Record for NoDriver {
    const TYPE: &'static str = "storage.DriverData";

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "Name" => Some(Value::String("".into())),
            "Data" => Some(nil_map()),
            _ => None,
        }
    }

    fn json(&self) -> String {
        r#"{"Data":null,"Name":""}"#.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use wharf_core::{Descriptor, Digest};
    use wharf_engine::ImageSummary;

    use super::*;
    use crate::print::template::{Template, from_json};

    const CONFIG: &[u8] =
        br#"{"architecture":"amd64","os":"linux","author":"Ops <ops@example.com>",
        "created":"2024-11-01T00:00:04.120Z","config":{"Cmd":["--port"],"Labels":{"v":"1"},
        "Healthcheck":{"Test":["CMD","x"],"Interval":30000000000}},
        "rootfs":{"type":"layers","diff_ids":null},"history":[{"comment":"last"}]}"#;

    fn document() -> Document {
        let summary = ImageSummary {
            id: Digest::of(b""),
            created: None,
            size: 7,
            repo_tags: vec!["app:1".to_owned()],
            repo_digests: Vec::new(),
            labels: BTreeMap::new(),
        };
        let detail = ImageDetail {
            summary,
            manifest: Descriptor::of("", b""),
            config: CONFIG.into(),
            last_tagged: Some("2024-11-02T00:00:00.5Z".parse().unwrap()),
        };
        Document::of(&detail).unwrap()
    }

    fn typed(source: &str) -> String {
        let mut text = String::new();
        let template = Template::parse(source).unwrap();
        template
            .render(&record(Typed(document())), &mut text)
            .map_err(|e| e.to_string())
            .unwrap();
        text
    }

    #[test]
    fn has_the_api_s_order() {
        let id = Digest::of(b"");
        let expected = format!(
            "{{\"Id\":\"{id}\",\"RepoTags\":[\"app:1\"],\"RepoDigests\":[],\"Parent\":\"\",\
             \"Comment\":\"last\",\"Created\":\"2024-11-01T00:00:04.12Z\",\"DockerVersion\":\"\",\
             \"Author\":\"Ops \\u003cops@example.com\\u003e\",\"Architecture\":\"amd64\",\
             \"Os\":\"linux\",\"Size\":7,\"RootFS\":{{\"Type\":\"layers\"}},\
             \"Metadata\":{{\"LastTagTime\":\"2024-11-02T00:00:00.5Z\"}},\
             \"Config\":{{\"Cmd\":[\"--port\"],\"Entrypoint\":null,\"Env\":null,\
             \"Healthcheck\":{{\"Interval\":30000000000,\"Test\":[\"CMD\",\"x\"]}},\
             \"Labels\":{{\"v\":\"1\"}},\"OnBuild\":null,\"User\":\"\",\"Volumes\":null,\
             \"WorkingDir\":\"\"}}}}"
        );
        assert_eq!(compact(&document(), Html::Escaped), expected);
    }

    #[test]
    fn templates_see_go_s_struct_first() {
        assert_eq!(
            typed("{{.Variant}}|{{.Os}}/{{.Architecture}} {{.Size}}"),
            "|linux/amd64 7"
        );
        assert_eq!(
            typed("{{json .Config}}"),
            r#"{"Cmd":["--port"],"Labels":{"v":"1"},"Healthcheck":{"Test":["CMD","x"],"Interval":30000000000}}"#
        );
        assert_eq!(
            typed("{{json .Config.Entrypoint}} {{.Config.Labels.nosuch}}"),
            "null <no value>"
        );
        assert_eq!(
            typed("{{.Config.Healthcheck.Interval}} {{len .RootFS.Layers}}"),
            "30s 0"
        );
        assert_eq!(
            typed("{{.Author}} {{json .RootFS}}"),
            "Ops <ops@example.com> {\"Type\":\"layers\"}"
        );
        assert_eq!(
            typed("{{.Metadata.LastTagTime}}"),
            "2024-11-02 00:00:00 +0000 UTC"
        );
    }

    #[test]
    fn templates_see_the_json_second() {
        let raw = from_json(&serde_json::json!(document()));
        let template = Template::parse("{{.Id}} {{json .Config.User}}").unwrap();
        let mut text = String::new();
        assert!(
            template
                .render(&record(Typed(document())), &mut text)
                .is_err()
        );
        template.render_strict(&raw, &mut text).unwrap();
        assert_eq!(text, format!("{} \"\"", Digest::of(b"")));
    }
}
