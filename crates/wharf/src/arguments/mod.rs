//! The command line.
//!
//! | module | what it holds |
//! |---|---|
//! | `elsewhere` | Docker's commands that are not about images |
//! | `globals` | Docker's flags before the command: which daemon, which folder |
//! | `pflag` | makes clap read flags the way Docker's command line does |
//! | `mistake` | clap's errors in Docker's words, with Docker's exit codes |
//! | `help` | help in Docker's layout |
//! | `usage` | how a command is used: its name, its line, how many arguments it takes |
//!
//! clap finds the command and types its values; what a user sees of it is Docker's.

mod elsewhere;
mod globals;
mod help;
mod mistake;
mod pflag;
mod usage;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser};

use crate::command::Command;
use crate::environment::Program;
use crate::exit::{ERROR, Failure, Result, say};
use crate::log::Format;

pub(crate) use help::terminal_width;
pub(crate) use pflag::{filter, said};
pub(crate) use usage::Usage;

/// What Docker says of `-h`: with the help, and of the program itself on standard error.
const DEPRECATED: &str = "Flag shorthand -h has been deprecated, use --help\n";

/// Manages container images, with Docker's words and without a daemon
#[derive(Debug, Parser)]
#[command(name = "wharf", override_usage = "[OPTIONS] COMMAND")]
pub(crate) struct Cli {
    /// Read settings from this file only
    #[arg(long, value_name = "string")]
    pub config: Option<PathBuf>,
    /// Log what happens, to standard error
    #[arg(short = 'D', long)]
    pub debug: bool,
    /// Write the log as "text" or "json"
    #[arg(long, value_name = "string", default_value = "text")]
    pub log_format: Format,
    /// Log from this level on ("debug", "info", "warn", "error", "fatal")
    #[arg(short = 'l', long, value_name = "string")]
    pub log_level: Option<String>,
    /// The folder that holds the images
    #[arg(long, value_name = "string")]
    pub root: Option<PathBuf>,
    /// Print the version and quit
    #[arg(short = 'v', long)]
    pub version: bool,
    /// Docker's folder, which `--config` names where the program is called `docker`.
    #[arg(skip)]
    pub docker_config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the command line asks for.
pub(crate) enum Asked {
    /// To run a command.
    Run(Box<Cli>, Usage),
    /// To explain one.
    Help(String),
    /// Nothing yet: the commands there are, for standard error.
    Nothing(String),
}

/// Everything that the command line can say.
pub(crate) fn root(program: Program) -> clap::Command {
    let mut root = pflag::adapt(Cli::command(), program);
    root.build();
    root
}

/// How the command at `path` is written.
pub(crate) fn usage_line(root: &clap::Command, path: &[&str]) -> String {
    Usage::of(root, path).line().to_owned()
}

/// A command's options: how each is written, and what it is for.
pub(crate) fn option_lines(command: &clap::Command) -> Vec<(String, String)> {
    help::option_lines(command)
}

/// Reads the command line.
pub(crate) fn read(program: Program, arguments: Vec<OsString>) -> Result<Asked> {
    let mut root = pflag::adapt(Cli::command(), program);
    let whole = std::iter::once(OsString::from(program.name())).chain(arguments.iter().cloned());
    let matches = match root.try_get_matches_from_mut(whole) {
        Ok(matches) => matches,
        Err(error) => return Err(mistake::explain(&error, &root, &arguments)),
    };
    let (path, leaf) = follow(&matches);
    let usage = Usage::of(&root, &path);
    if leaf.get_flag_of(pflag::HELP_SHORT) {
        let help = help::render(&root, &path);
        if path.is_empty() {
            say(DEPRECATED);
            return Ok(Asked::Help(help));
        }
        return Ok(Asked::Help(format!("{DEPRECATED}{help}")));
    }
    if leaf.get_flag_of(pflag::HELP) {
        return Ok(Asked::Help(help::render(&root, &path)));
    }
    if let [.., "help"] = path[..] {
        return topic(&root, leaf).map(Asked::Help);
    }
    let mut cli = Cli::from_arg_matches(&matches)
        .map_err(|error| mistake::explain(&error, &root, &arguments))?;
    if program == Program::Docker {
        cli.docker_config = globals::config_folder(&mut cli.config);
    }
    let group = usage::find(&root, &path).has_subcommands();
    if group && !cli.version {
        return Ok(Asked::Nothing(help::render(&root, &path)));
    }
    globals::check(&matches)?;
    Ok(Asked::Run(Box::new(cli), usage))
}

/// The names of the commands that were given, and the arguments of the last.
fn follow(matches: &ArgMatches) -> (Vec<&str>, &ArgMatches) {
    let (mut path, mut leaf) = (Vec::new(), matches);
    while let Some((name, below)) = leaf.subcommand() {
        path.push(name);
        leaf = below;
    }
    (path, leaf)
}

/// `wharf help image ls`.
fn topic(root: &clap::Command, matches: &ArgMatches) -> Result<String> {
    let words: Vec<&str> = matches
        .get_many::<String>("topic")
        .unwrap_or_default()
        .map(String::as_str)
        .collect();
    let mut path = Vec::new();
    let mut command = root;
    for word in &words {
        let Some(below) = command.find_subcommand(word) else {
            return Err(no_topic(root, &path, word));
        };
        path.push(below.get_name());
        command = below;
    }
    Ok(help::render(root, &path))
}

fn no_topic(root: &clap::Command, path: &[&str], word: &str) -> Failure {
    match elsewhere::why(root.get_name(), path, word) {
        Some((text, _)) => Failure::Usage { text, code: ERROR },
        None => Failure::error(format!("unknown help topic: {word}")),
    }
}

/// Reads a flag that some commands may not have.
trait Flag {
    fn get_flag_of(&self, id: &str) -> bool;
}

impl Flag for ArgMatches {
    fn get_flag_of(&self, id: &str) -> bool {
        self.try_get_one::<bool>(id)
            .ok()
            .flatten()
            .copied()
            .unwrap_or(false)
    }
}

#[cfg(test)]
mod tests;
