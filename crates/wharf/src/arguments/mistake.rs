//! clap's errors in Docker's words, with Docker's exit codes: 125 for a flag, 1 for a command.

use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use super::elsewhere;
use super::pflag::is_boolean;
use super::usage::{Usage, find};
use crate::exit::{ERROR, FLAG, Failure};

/// Says what is wrong with `arguments`.
pub(super) fn explain(error: &clap::Error, root: &Command, arguments: &[OsString]) -> Failure {
    let words: Vec<String> = arguments
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let (path, rest) = locate(root, &words);
    let usage = Usage::in_errors(root, &path);
    let subject = context(error, ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let name = context(error, ContextKind::InvalidSubcommand);
            let like = context(error, ContextKind::SuggestedSubcommand);
            unknown_command(root, &path, &usage, &name, &like)
        }
        ErrorKind::UnknownArgument if subject.starts_with('-') => {
            flag(&usage, &unknown_flag(&subject, rest))
        }
        // A word that is neither a flag's nor a command's, where only a command may stand.
        ErrorKind::UnknownArgument => unknown_command(root, &path, &usage, &subject, ""),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let value = context(error, ContextKind::InvalidValue);
            match (whose(root, &path, &subject), error.source()) {
                (Some((depth, arg)), Some(reason)) => {
                    let names = flag_names(arg);
                    flag(
                        &Usage::in_errors(root, &path[..depth]),
                        &format!("invalid argument {value:?} for {names:?} flag: {reason}"),
                    )
                }
                (Some((depth, arg)), None) if !value.is_empty() => {
                    let names = flag_names(arg);
                    let all = context(error, ContextKind::ValidValue);
                    flag(
                        &Usage::in_errors(root, &path[..depth]),
                        &format!(
                            "invalid argument {value:?} for {names:?} flag: must be one of: {all}"
                        ),
                    )
                }
                // A word that is no flag's value.
                (None, None) if !value.is_empty() => {
                    let all = context(error, ContextKind::ValidValue);
                    flag(&usage, &format!("{value:?} is none of: {all}"))
                }
                _ => flag(&usage, &needs_argument(rest)),
            }
        }
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            flag(&usage, line.strip_prefix("error: ").unwrap_or(line))
        }
    }
}

/// Which command was meant: the names down to it, and the words behind them.
///
/// clap's errors don't say it.
fn locate<'c, 'w>(root: &'c Command, words: &'w [String]) -> (Vec<&'c str>, &'w [String]) {
    let (mut path, mut command, mut at) = (Vec::new(), root, 0);
    let mut start = 0;
    while let Some(word) = words.get(at) {
        if let Some(below) = command.find_subcommand(word) {
            path.push(below.get_name());
            command = below;
            start = at + 1;
        } else if !word.starts_with('-') || !has_flag(command, word) {
            break;
        } else if takes_next(command, word) {
            at += 1;
        }
        at += 1;
    }
    (path, &words[start..])
}

/// Which of the commands down to the last one has the flag that clap speaks of: how deep it is, and
/// the flag.
fn whose<'c>(root: &'c Command, path: &[&str], subject: &str) -> Option<(usize, &'c Arg)> {
    (0..=path.len()).rev().find_map(|depth| {
        find(root, &path[..depth])
            .get_arguments()
            .find(|arg| subject.starts_with(&shown(arg)))
            .map(|arg| (depth, arg))
    })
}

/// Does the command have all flags of this word?
fn has_flag(command: &Command, word: &str) -> bool {
    if let Some(long) = word.strip_prefix("--") {
        let name = long.split('=').next().unwrap_or(long);
        return command
            .get_arguments()
            .any(|arg| arg.get_long() == Some(name));
    }
    let mut letters = word.trim_start_matches('-').chars();
    while let Some(letter) = letters.next() {
        let mut arguments = command.get_arguments();
        match arguments.find(|arg| arg.get_short() == Some(letter)) {
            None => return false,
            // What follows is its value.
            Some(arg) if !is_boolean(arg) => return true,
            Some(_) if letters.as_str().starts_with('=') => return true,
            Some(_) => {}
        }
    }
    word.len() > 1
}

/// Is the word behind this flag its value?
fn takes_next(command: &Command, word: &str) -> bool {
    command
        .get_arguments()
        .filter(|arg| !is_boolean(arg))
        .any(|arg| {
            let long = arg
                .get_long()
                .is_some_and(|long| word.strip_prefix("--") == Some(long));
            long || arg
                .get_short()
                .is_some_and(|c| word.strip_prefix('-') == Some(&c.to_string()))
        })
}

/// `like` is what may have been meant.
fn unknown_command(
    root: &Command,
    path: &[&str],
    usage: &Usage,
    name: &str,
    like: &str,
) -> Failure {
    let program = root.get_name();
    if let Some((text, code)) = elsewhere::why(program, path, name) {
        return Failure::Usage { text, code };
    }
    let full = usage.path();
    let meant = match like.rsplit(' ').next() {
        None | Some("") => String::new(),
        Some(one) => format!("\n\nDid you mean '{full} {one}'?"),
    };
    let text = if path.is_empty() {
        format!(
            "{program}: unknown command: {full} {name}{meant}\n\nRun '{full} --help' for more information"
        )
    } else {
        let line = usage.line();
        format!(
            "{program}: unknown command: {full} {name}{meant}\n\nUsage:  {line}\n\nRun '{full} --help' for \
             more information"
        )
    };
    Failure::Usage { text, code: ERROR }
}

fn flag(usage: &Usage, what: &str) -> Failure {
    let (line, path) = (usage.line(), usage.path());
    let text = format!("{what}\n\nUsage:  {line}\n\nRun '{path} --help' for more information");
    Failure::Usage { text, code: FLAG }
}

/// `--x`, or one letter of several, `x` of `-qx`, with what stands behind it.
fn unknown_flag(subject: &str, rest: &[String]) -> String {
    if subject.starts_with("--") {
        let name = subject.split('=').next().unwrap_or(subject);
        return format!("unknown flag: {name}");
    }
    let Some(letter) = subject.chars().nth(1) else {
        return format!("unknown flag: {subject}");
    };
    let letters = rest
        .iter()
        .filter(|word| word.starts_with('-') && !word.starts_with("--"))
        .find_map(|word| word.find(letter).map(|at| &word[at..]))
        .unwrap_or_default();
    format!("unknown shorthand flag: '{letter}' in -{letters}")
}

/// The last word is a flag that wants a value.
fn needs_argument(rest: &[String]) -> String {
    let word = rest.last().map_or("", String::as_str);
    match word.strip_prefix('-') {
        Some(letters) if !letters.starts_with('-') => {
            let letter = letters.chars().next_back().unwrap_or_default();
            format!("flag needs an argument: '{letter}' in -{letter}")
        }
        _ => format!("flag needs an argument: {word}"),
    }
}

/// How clap writes an argument in its errors: `--filter <filter>`.
fn shown(arg: &Arg) -> String {
    match (arg.get_long(), arg.get_short()) {
        (Some(long), _) => format!("--{long}"),
        (None, Some(short)) => format!("-{short}"),
        (None, None) => format!("<{}>", arg.get_id()),
    }
}

/// How pflag writes a flag: `-f, --filter`.
fn flag_names(arg: &Arg) -> String {
    match (arg.get_short(), arg.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}"),
        (None, Some(long)) => format!("--{long}"),
        (Some(short), None) => format!("-{short}"),
        (None, None) => arg.get_id().to_string(),
    }
}

fn context(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" "),
        _ => String::new(),
    }
}
