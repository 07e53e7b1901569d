//! `GET /info`: Docker's fields, so that every client finds what it looks for; those about containers say that there
//! are none.

use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use wharf_engine::ListQuery;

use super::answer::{Result, json as answer};
use super::version::ApiVersion;
use super::{Api, Host};

pub(super) async fn get(api: &Api, version: &ApiVersion) -> Result<Response> {
    let query = ListQuery {
        all: true,
        ..ListQuery::default()
    };
    let images = api
        .rows(move |engine| Box::pin(async move { engine.images(&query).await }))
        .await?;
    let mut info = describe(&api.host, images.len());
    info["NEventsListener"] = api.events.listeners().into();
    for_version(&mut info, version);
    Ok(answer(StatusCode::OK, &info))
}

/// Describes the machine and what is here; `wharf info` prints the same.
pub fn describe(host: &Host, images: usize) -> Value {
    let mut info = machine(host);
    info["Images"] = images.into();
    info["SystemTime"] = Timestamp::now().to_string().into();
    info["RegistryConfig"] = registries(host);
    if let (Value::Object(all), Value::Object(none)) = (&mut info, nothing()) {
        all.extend(none);
    }
    info
}

fn machine(host: &Host) -> Value {
    json!({
        "ID": host.name,
        "Name": host.name,
        "Driver": "wharf",
        "DriverStatus": [["Root Dir", host.root]],
        "DockerRootDir": host.root,
        "ServerVersion": host.version,
        "KernelVersion": host.kernel,
        "OperatingSystem": host.operating_system,
        "OSVersion": "",
        "OSType": "linux",
        "Architecture": host.machine,
        "NCPU": host.cpus,
        "MemTotal": host.memory,
        "IndexServerAddress": "https://index.docker.io/v1/",
    })
}

fn registries(host: &Host) -> Value {
    let index = |name: &str, mirrors: &[String], secure: bool, official: bool| json!({ "Name": name, "Mirrors": mirrors, "Secure": secure, "Official": official });
    let (networks, names): (Vec<&String>, Vec<&String>) = host
        .insecure_registries
        .iter()
        .partition(|name| name.contains('/'));
    let mut indexes: Map<String, Value> = names
        .into_iter()
        .map(|name| (name.clone(), index(name, &[], false, false)))
        .collect();
    let hub = index("docker.io", &host.mirrors, true, true);
    indexes.insert("docker.io".to_owned(), hub);
    json!({
        "IndexConfigs": indexes,
        "InsecureRegistryCIDRs": networks,
        "Mirrors": host.mirrors,
    })
}

/// What is about containers, and swarm, and Docker's own inside.
fn nothing() -> Value {
    let numbers = [
        "Containers",
        "ContainersRunning",
        "ContainersPaused",
        "ContainersStopped",
        "NFd",
        "NGoroutines",
        "NEventsListener",
    ];
    let no = [
        "MemoryLimit",
        "SwapLimit",
        "CpuCfsPeriod",
        "CpuCfsQuota",
        "CPUShares",
        "CPUSet",
        "PidsLimit",
        "IPv4Forwarding",
        "Debug",
        "OomKillDisable",
        "ExperimentalBuild",
        "LiveRestoreEnabled",
    ];
    let empty = [
        "HttpProxy",
        "HttpsProxy",
        "NoProxy",
        "DefaultRuntime",
        "Isolation",
        "InitBinary",
    ];
    let mut all = json!({
        "Plugins": { "Volume": [], "Network": [], "Authorization": null, "Log": [] },
        "LoggingDriver": "none",
        "CgroupDriver": "none",
        "CgroupVersion": "",
        "GenericResources": null,
        "Labels": [],
        "Runtimes": {},
        "Swarm": {
            "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": false,
            "Error": "", "RemoteManagers": null,
        },
        "ContainerdCommit": { "ID": "" },
        "RuncCommit": { "ID": "" },
        "InitCommit": { "ID": "" },
        "SecurityOptions": [],
        "CDISpecDirs": [],
        "Warnings": null,
    });
    let mut set = |names: &[&str], value: Value| {
        for name in names {
            all[*name] = value.clone();
        }
    };
    set(&numbers, 0.into());
    set(&no, false.into());
    set(&empty, "".into());
    all
}

/// What older versions have besides (Docker 28.5: `getInfo`).
fn for_version(info: &mut Value, version: &ApiVersion) {
    if version.is_before(50) {
        info["BridgeNfIptables"] = false.into();
        info["BridgeNfIp6tables"] = false.into();
    }
    if version.is_before(49) {
        for commit in ["ContainerdCommit", "RuncCommit", "InitCommit"] {
            info[commit]["Expected"] = "".into();
        }
    }
    if version.is_before(47) {
        let registries = &mut info["RegistryConfig"];
        registries["AllowNondistributableArtifactsCIDRs"] = Value::Null;
        registries["AllowNondistributableArtifactsHostnames"] = Value::Null;
    }
}
