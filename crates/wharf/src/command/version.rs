//! `wharf version` and `wharf --version`.

use clap::Args;
use gotmpl::Value;

use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::template::Record;
use crate::print::{json, listing, print};

/// The version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

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

/// `wharf --version`.
pub(crate) fn line() -> Result<()> {
    print(&format!("wharf version {VERSION}\n"))
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.exactly(&arguments.rest, 0)?;
    match arguments.format.as_deref() {
        None | Some("") => {
            let (os, architecture) = platform();
            // Docker's layout, with the lines that wharf has.
            print(&format!(
                "Client: wharf\n Version:           {VERSION}\n OS/Arch:           {os}/{architecture}\n"
            ))
        }
        Some(format) => {
            let text = listing::render(format, &[], [Program])
                .map_err(|error| Failure::error(error.to_string()))?;
            print(&text)
        }
    }
}

fn platform() -> (String, String) {
    let platform = wharf_core::Platform::of_this_machine();
    (platform.os, platform.architecture)
}

/// This program, for templates.
struct Program;

impl Record for Program {
    const TYPE: &'static str = "version.Client";

    fn field(&self, name: &str) -> Option<Value> {
        let (os, architecture) = platform();
        match name {
            "Version" => Some(Value::String(VERSION.into())),
            "Os" => Some(Value::String(os.into())),
            "Arch" => Some(Value::String(architecture.into())),
            // Docker's template for scripts is `{{.Client.Version}}`.
            // There is no server but the program itself.
            "Server" => Some(crate::print::template::record(Self)),
            "Client" => Some(crate::print::template::record(Self)),
            _ => None,
        }
    }

    fn json(&self) -> String {
        #[derive(serde::Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Fields {
            version: &'static str,
            os: String,
            arch: String,
        }
        let (os, arch) = platform();
        json::compact(
            &Fields {
                version: VERSION,
                os,
                arch,
            },
            json::Html::Escaped,
        )
    }
}
