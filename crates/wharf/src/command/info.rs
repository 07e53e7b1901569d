//! `wharf info`, `wharf system info`: what is here, in Docker's layout and with its fields where wharf
//! has them.

use std::fs;

use clap::Args;
use serde_json::{Value, json};
use wharf_core::{Platform, human};
use wharf_engine::{Engine as _, Filters, ListQuery};
use wharf_server::engine::{Host, describe};

use super::version::{VERSION, by_template};
use crate::context::Context;
use crate::exit::Result;
use crate::print::json::{Html, compact};
use crate::print::print;
use crate::print::template::from_json;
use crate::runtime;

/// What loopback is called in Docker's list of insecure registries.
const ALWAYS_INSECURE: [&str; 2] = ["::1/128", "127.0.0.0/8"];

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print by a Go template, or as "json"
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
    /// None are taken.
    #[arg(hide = true)]
    rest: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.exactly(&arguments.rest, 0)?;
    let info = collect(context)?;
    match arguments.format.as_deref() {
        None | Some("") => print(&text(&info)),
        Some("json") => print(&(compact(&info, Html::Escaped) + "\n")),
        Some(format) => by_template(format, &from_json(&info)),
    }
}

fn collect(context: &Context) -> Result<Value> {
    let (host, root) = (host(context)?, context.root()?);
    // What is only asked makes no store.
    let images = if root.is_dir() {
        let query = ListQuery {
            all: true,
            filters: Filters::default(),
        };
        let engine = context.engine()?;
        runtime::light(engine.images(&query))??.len()
    } else {
        0
    };
    let mut info = describe(&host, images);
    info["ClientInfo"] = json!({
        "Context": "default", "Debug": false, "Os": std::env::consts::OS, "Plugins": [],
        "Version": VERSION, "Warnings": null,
    });
    info["ServerErrors"] = json!([]);
    Ok(info)
}

/// About this program, this machine and the settings.
pub(super) fn host(context: &Context) -> Result<Host> {
    let (settings, root) = (context.settings()?, context.root()?);
    let registries = &settings.registry.registries;
    let mirrors = registries
        .get("docker.io")
        .map(|host| host.mirrors.as_slice());
    // Docker writes them with a slash behind.
    let mirrors = mirrors
        .unwrap_or_default()
        .iter()
        .map(|url| format!("{}/", url.trim_end_matches('/')));
    let mut insecure: Vec<String> = ALWAYS_INSECURE.map(str::to_owned).into();
    let marked = registries.iter().filter(|(_, host)| host.insecure);
    insecure.extend(marked.map(|(name, _)| name.clone()));
    let system = rustix::system::uname();
    let word = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    Ok(Host {
        version: VERSION.to_owned(),
        root: root.display().to_string(),
        name: word(system.nodename()),
        kernel: word(system.release()),
        operating_system: operating_system(),
        machine: word(system.machine()),
        architecture: Platform::of_this_machine().architecture,
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        memory: memory(),
        insecure_registries: insecure,
        mirrors: mirrors.collect(),
    })
}

/// Docker's lines, those that say something here.
fn text(info: &Value) -> String {
    let word = |name: &str| info[name].as_str().unwrap_or_default().to_owned();
    let mut text = format!(
        "Client:\n Version:    {VERSION}\n\nServer:\n Images: {}\n Server Version: {}\n Kernel Version: {}\n \
         Operating System: {}\n OSType: {}\n Architecture: {}\n CPUs: {}\n Total Memory: {}\n Name: {}\n \
         Docker Root Dir: {}\n",
        info["Images"],
        word("ServerVersion"),
        word("KernelVersion"),
        word("OperatingSystem"),
        word("OSType"),
        word("Architecture"),
        info["NCPU"],
        human::binary_size(info["MemTotal"].as_u64().unwrap_or_default()),
        word("Name"),
        word("DockerRootDir"),
    );
    let lists = [
        ("Insecure Registries", "InsecureRegistryCIDRs"),
        ("Registry Mirrors", "Mirrors"),
    ];
    for (title, field) in lists {
        let all = info["RegistryConfig"][field]
            .as_array()
            .cloned()
            .unwrap_or_default();
        if !all.is_empty() {
            text.push_str(&format!(" {title}:\n"));
            for one in all {
                text.push_str(&format!("  {}\n", one.as_str().unwrap_or_default()));
            }
        }
    }
    text
}

/// os-release(5): `Debian GNU/Linux 12 (bookworm)`.
fn operating_system() -> String {
    let read = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = read
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(
        || "Linux".to_owned(),
        |name| name.trim_matches('"').to_owned(),
    )
}

/// In bytes.
fn memory() -> u64 {
    let read = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = read.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}
