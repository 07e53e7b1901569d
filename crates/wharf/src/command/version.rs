//! `wharf version` and `wharf --version`.
//!
//! Scripts ask Docker for its versions by templates, and choose what they do by the answers. So the fields
//! are Docker's; the versions are wharf's own. Client and server are one program.

use clap::Args;
use gotmpl::Value;
use serde_json::json;

use crate::context::Context;
use crate::environment::Program;
use crate::exit::{Failure, INSPECT_TEMPLATE, Result};
use crate::print::json::{Html, compact};
use crate::print::print;
use crate::print::template::{Record, Template, from_json, record};

/// The version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Docker's version whose words and forms the commands have.
const DOCKER_VERSION: &str = "28.5.2";
/// Docker's Engine API whose words and forms the commands have (Docker 28.5).
const API_VERSION: &str = "1.51";
/// The oldest one that Docker 28.5 still has.
const API_VERSION_MIN: &str = "1.24";

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

/// `wharf --version`. Called as `docker`, the line has Docker's form, which scripts match: the version whose
/// words and forms the commands have, and wharf's own behind it.
pub(crate) fn line(program: Program) -> Result<()> {
    print(&match program {
        Program::Wharf => format!("wharf version {VERSION}\n"),
        Program::Docker => format!("Docker version {DOCKER_VERSION}, build wharf-{VERSION}\n"),
    })
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
        Some("json") => by_template("{{json .}}", &record(Both)),
        Some(source) => by_template(source, &record(Both)),
    }
}

/// Prints one thing by a template, as `version` and `info` do: no table, no escapes, and a line's end
/// even if the template fails.
pub(super) fn by_template(source: &str, what: &Value) -> Result<()> {
    let template = Template::parse(source).map_err(|error| Failure::Other {
        message: error.to_string(),
        hint: None,
        code: INSPECT_TEMPLATE,
    })?;
    let mut text = String::new();
    let done = template.render_strict(what, &mut text);
    text.push('\n');
    print(&text)?;
    done.map_err(|error| Failure::error(error.to_string()))
}

fn platform() -> (String, String) {
    let platform = wharf_core::Platform::of_this_machine();
    (platform.os, platform.architecture)
}

/// A field of one of the two: its name in Go, its name in JSON, what it says.
type Field = (&'static str, &'static str, serde_json::Value);

/// What the client is, in Go's order.
fn client() -> Vec<Field> {
    let (os, arch) = platform();
    vec![
        ("Version", "Version", VERSION.into()),
        ("APIVersion", "ApiVersion", API_VERSION.into()),
        ("DefaultAPIVersion", "DefaultAPIVersion", API_VERSION.into()),
        ("GitCommit", "GitCommit", "".into()),
        ("GoVersion", "GoVersion", "".into()),
        ("Os", "Os", os.into()),
        ("Arch", "Arch", arch.into()),
        ("BuildTime", "BuildTime", "".into()),
        ("Context", "Context", "default".into()),
    ]
}

/// What the server is, in Go's order.
fn server() -> Vec<Field> {
    let (os, arch) = platform();
    let kernel = rustix::system::uname();
    let kernel = kernel.release().to_string_lossy().into_owned();
    let engine = json!({"Name": "Engine", "Version": VERSION, "Details": {
        "ApiVersion": API_VERSION, "Arch": arch, "Experimental": "false", "KernelVersion": kernel,
        "MinAPIVersion": API_VERSION_MIN, "Os": os,
    }});
    vec![
        ("Platform", "Platform", json!({"Name": "wharf"})),
        ("Components", "Components", json!([engine])),
        ("Version", "Version", VERSION.into()),
        ("APIVersion", "ApiVersion", API_VERSION.into()),
        ("MinAPIVersion", "MinAPIVersion", API_VERSION_MIN.into()),
        ("GitCommit", "GitCommit", "".into()),
        ("GoVersion", "GoVersion", "".into()),
        ("Os", "Os", os.into()),
        ("Arch", "Arch", arch.into()),
        ("KernelVersion", "KernelVersion", kernel.into()),
        ("Experimental", "Experimental", false.into()),
        ("BuildTime", "BuildTime", "".into()),
    ]
}

fn find(fields: &[Field], name: &str) -> Option<Value> {
    let field = fields.iter().find(|(go, ..)| *go == name)?;
    Some(from_json(&field.2))
}

/// The fields as Go's JSON, in their order.
fn object(fields: &[Field]) -> String {
    let shown = fields
        .iter()
        .filter(|(_, _, value)| *value != json!(false))
        .map(|(_, name, value)| format!("{name:?}:{}", compact(value, Html::Plain)));
    format!("{{{}}}", shown.collect::<Vec<_>>().join(","))
}

/// All that there is to say.
struct Both;

impl Record for Both {
    const TYPE: &'static str = "system.versionInfo";

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "Client" => Some(record(Client)),
            "Server" => Some(record(Server)),
            _ => None,
        }
    }

    fn json(&self) -> String {
        format!(
            "{{\"Client\":{},\"Server\":{}}}",
            Client.json(),
            Server.json()
        )
    }
}

/// The one that is called.
struct Client;

impl Record for Client {
    const TYPE: &'static str = "system.clientVersion";

    fn field(&self, name: &str) -> Option<Value> {
        find(&client(), name)
    }

    fn json(&self) -> String {
        object(&client())
    }
}

/// The one that holds the images.
struct Server;

impl Record for Server {
    const TYPE: &'static str = "*system.Version";

    fn field(&self, name: &str) -> Option<Value> {
        find(&server(), name)
    }

    fn json(&self) -> String {
        object(&server())
    }
}
