//! Everything about one image, as templates see it; what is printed as it is, is the Engine API's answer.
//!
//! Docker has the answer twice: as the Go struct that the client reads it into, and as the JSON that
//! came. Fields have other names in the one (`.ID`) than in the other (`.Id`), and other orders.

use gotmpl::Value;
use serde::Serialize;
use wharf_core::config::RunConfig;
use wharf_server::engine::wire::{ImageInspect, Metadata, RootFs};

use crate::print::json::{Html, compact};
use crate::print::template::{
    GoTime, Record, made_list, nil_list, nil_map, nil_pointer, record, text_list,
};

/// The answer as the Go struct has it.
pub(super) struct Typed(pub ImageInspect);

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
            "ContainerConfig" | "Descriptor" => nil_pointer(),
            "Manifests" => nil_list(),
            "Comment" => text(&image.comment),
            "Created" => text(&image.created),
            "DockerVersion" => text(&image.docker_version),
            "Author" => text(&image.author),
            "Config" => record(image.config.run.clone()),
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
            config: &image.config.run,
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
    const PRINTED: &'static [&'static [&'static str]] = &[&["Type", "Layers"]];

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
    const PRINTED: &'static [&'static [&'static str]] = &[&["LastTagTime"]];

    fn field(&self, name: &str) -> Option<Value> {
        (name == "LastTagTime").then(|| record(GoTime::utc(self.time)))
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
    use wharf_engine::{ImageDetail, ImageSummary};

    use super::*;
    use crate::print::template::{Template, from_json};

    const CONFIG: &[u8] =
        br#"{"architecture":"amd64","os":"linux","author":"Ops <ops@example.com>",
        "created":"2024-11-01T00:00:04.120Z","config":{"Cmd":["--port"],"Labels":{"v":"1"},"ExposedPorts":{"80/tcp":{}},
        "Healthcheck":{"Test":["CMD","x"],"Interval":30000000000}},
        "rootfs":{"type":"layers","diff_ids":null},"history":[{"comment":"last"}]}"#;

    fn document() -> ImageInspect {
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
        ImageInspect::of(&detail).unwrap()
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
             \"ExposedPorts\":{{\"80/tcp\":{{}}}},\"Healthcheck\":{{\"Interval\":30000000000,\"Test\":[\"CMD\",\"x\"]}},\
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
            r#"{"ExposedPorts":{"80/tcp":{}},"Cmd":["--port"],"Labels":{"v":"1"},"Healthcheck":{"Test":["CMD","x"],"Interval":30000000000}}"#
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
        assert_eq!(typed("{{.RootFS}}"), "{layers []}");
        assert_eq!(
            typed(
                r#"{{printf "%v %s %q %3s%%|%d" .Config.ExposedPorts .RepoTags .RepoTags .Os .Size}}"#
            ),
            r#"map[80/tcp:{}] [app:1] ["app:1"] linux%|7"#
        );
        assert_eq!(
            typed("{{println .Config.ExposedPorts 1}}"),
            "map[80/tcp:{}] 1\n"
        );
        assert_eq!(
            typed("{{.Descriptor}} {{json .Descriptor}} {{if .Descriptor}}a{{else}}b{{end}}"),
            "<nil> null b"
        );
        assert_eq!(
            typed("{{.Config.Healthcheck}} {{.Config.ExposedPorts}}"),
            "{[CMD x] 30s 0s 0s 0s 0} map[80/tcp:{}]"
        );
        assert_eq!(
            typed("{{.Config}}"),
            "{{ map[80/tcp:{}] [] [] [--port] map[]  map[v:1]  false} {{[CMD x] 30s 0s 0s 0s 0} [] []}}"
        );
        assert_eq!(
            typed("{{.Metadata.LastTagTime}}"),
            "2024-11-02 00:00:00.5 +0000 UTC"
        );
        assert_eq!(
            typed("{{json .Metadata.LastTagTime}} {{json .Metadata}} {{.Metadata}}"),
            "\"2024-11-02T00:00:00.5Z\" {\"LastTagTime\":\"2024-11-02T00:00:00.5Z\"} \
             {2024-11-02 00:00:00.5 +0000 UTC}"
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
