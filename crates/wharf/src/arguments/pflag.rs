//! Makes clap read flags the way Docker's command line does (spf13/pflag).
//!
//! A boolean flag takes a value behind `=` (`--quiet=false`), of a repeated flag the last one
//! counts, a flag's value may begin with a dash, and `-h` still helps.

use clap::builder::TypedValueParser as _;
use clap::{Arg, ArgAction, Command};

use super::globals;
use crate::environment::Program;

/// The argument that asks for help.
pub(super) const HELP: &str = "help";
/// The same by `-h`, which Docker would rather not have any more.
pub(super) const HELP_SHORT: &str = "help-short";

/// Gives `root`, and all commands below it, Docker's way of reading flags, and the name by which
/// the program was called.
pub(super) fn adapt(root: Command, program: Program) -> Command {
    let root = match program {
        Program::Wharf => root,
        Program::Docker => globals::add(root),
    };
    let root = below(root).name(program.name()).bin_name(program.name());
    match program {
        Program::Wharf => root,
        // Docker pulls one image at a time, and says so.
        Program::Docker => root
            .mut_subcommand("pull", one_name)
            .mut_subcommand("image", |image| image.mut_subcommand("pull", one_name)),
    }
}

fn one_name(pull: Command) -> Command {
    pull.override_usage("[OPTIONS] NAME[:TAG|@DIGEST]")
}

fn below(command: Command) -> Command {
    let help = Arg::new(HELP)
        .long("help")
        .action(ArgAction::SetTrue)
        .hide(true);
    let taken = command
        .get_arguments()
        .any(|arg| arg.get_short() == Some('h'));
    let mut command = command
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .disable_version_flag(true)
        .args_override_self(true)
        .arg(help);
    if !taken {
        let short = Arg::new(HELP_SHORT)
            .short('h')
            .action(ArgAction::SetTrue)
            .hide(true);
        command = command.arg(short);
    }
    command.mut_args(argument).mut_subcommands(below)
}

fn argument(arg: Arg) -> Arg {
    match arg.get_action() {
        ArgAction::SetTrue => boolean(arg).default_value("false"),
        _ if arg.is_positional() => arg,
        _ if is_boolean(&arg) => arg.value_parser(bool_parser()),
        _ => arg.allow_hyphen_values(true),
    }
}

/// Makes a flag a boolean one that takes a value behind `=`.
fn boolean(arg: Arg) -> Arg {
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_parser(bool_parser())
}

fn bool_parser() -> impl clap::builder::TypedValueParser<Value = bool> {
    clap::builder::NonEmptyStringValueParser::new().try_map(|text| go_bool(&text))
}

/// A boolean in Go's words.
fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!(
            "strconv.ParseBool: parsing {text:?}: invalid syntax"
        )),
    }
}

/// Is it a boolean flag?
pub(super) fn is_boolean(arg: &Arg) -> bool {
    arg.get_num_args()
        .is_some_and(|number| number.min_values() == 0)
}

/// The filters that say something.
pub(crate) fn said(filters: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    let all = filters
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    all.filter(|said| *said != ("", ""))
}

/// One filter, `name=value`. Docker takes the name in any case, and an empty filter for none.
pub(crate) fn filter(text: &str) -> Result<(String, String), String> {
    if text.is_empty() {
        return Ok(Default::default());
    }
    let (name, value) = text
        .split_once('=')
        .ok_or("bad format of filter (expected name=value)")?;
    Ok((name.trim().to_lowercase(), value.trim().to_owned()))
}
