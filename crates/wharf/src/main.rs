//! The `wharf` program: arguments, printing, progress, exit codes.
//!
//! | module | what it holds |
//! |---|---|
//! | [`arguments`] | the command line, with Docker's help and errors |
//! | [`command`] | one file per command |
//! | [`print`] | tables, templates, JSON |
//! | [`progress`] | what a pull shows while it runs |
//! | [`settings`] | `config.toml` |
//! | [`docker_config`] | what of Docker's `config.json` is about images |
//! | [`environment`] | the one file that reads the environment |
//! | [`exit`] | the one file that turns errors into text and exit codes |
//! | [`context`] | what every command is handed |
//! | [`runtime`] | threads and signals |
//! | [`interrupt`] | removes unfinished files when a signal comes |
//! | [`log`] | `--debug` |
//!
//! What images are and how they come and go is `wharf_engine`'s business.

mod arguments;
mod command;
mod context;
mod docker_config;
mod environment;
mod exit;
mod interrupt;
mod log;
mod print;
mod progress;
mod runtime;
mod settings;

use std::ffi::OsString;
use std::process::ExitCode;

use arguments::Asked;
use context::Context;
use environment::Environment;

fn main() -> ExitCode {
    exit::install_panic_hook();
    let (environment, arguments) = Environment::read();
    let colour = environment.colour();
    let program = environment.program;
    exit::finish(run(environment, arguments), program, colour)
}

fn run(mut environment: Environment, arguments: Vec<OsString>) -> exit::Result<()> {
    runtime::check_stack()?;
    runtime::check_address_space()?;
    runtime::report_file_size_limit()?;
    match arguments::read(environment.program, arguments)? {
        Asked::Help(text) => print::print(&text),
        Asked::Nothing(text) => {
            exit::say(&text);
            Ok(())
        }
        Asked::Run(cli, usage) => {
            environment.docker_config = cli.docker_config;
            let command = if cli.version { None } else { cli.command };
            let is_server = command.as_ref().is_some_and(command::Command::is_server);
            log::start(&log::Asked {
                debug: cli.debug,
                level: cli.log_level.as_deref(),
                directives: environment.log().as_deref(),
                server: is_server,
                format: cli.log_format,
            })?;
            let context = Context {
                environment,
                usage,
                config: cli.config,
                root: cli.root,
            };
            command::run(command, &context)
        }
    }
}
