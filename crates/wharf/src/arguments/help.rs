//! Help in Docker's layout.

use clap::{Arg, Command};

use super::pflag::is_boolean;
use super::usage::{Usage, find};
use crate::command;

/// How wide help is where nobody knows how wide the terminal is.
const WIDTH_DEFAULT: usize = 80;
/// A text column narrower than this is not worth its line breaks; it then begins on a line of its
/// own, further to the left.
const COLUMN_MIN: usize = 24;
/// Where that line begins.
const COLUMN_LEFT: usize = 16;
/// The last word of a text may stand out this far rather than on a line of its own.
const SLOP: usize = 5;
/// Command names are padded to at least this width.
const NAME_WIDTH_MIN: usize = 11;

/// Explains the command at `path` below `root`.
pub(super) fn render(root: &Command, path: &[&str]) -> String {
    let command = find(root, path);
    let usage = Usage::of(root, path);
    let mut text = format!("Usage:  {}\n\n", usage.line());
    text.push_str(&about(command));
    text.push('\n');
    if let Some(aliases) = command::aliases(path) {
        let full: Vec<String> = aliases
            .iter()
            .map(|alias| format!("{} {alias}", root.get_name()))
            .collect();
        write_section(&mut text, "Aliases:", &format!("  {}\n", full.join(", ")));
    }
    let options = options(command, terminal_width());
    if !path.is_empty() && !options.is_empty() {
        write_section(&mut text, "Options:", &options);
    }
    if command.has_subcommands() {
        commands(&mut text, command, path.is_empty());
        if path.is_empty() && !options.is_empty() {
            write_section(&mut text, "Global Options:", &options);
        }
        let line = format!(
            "\nRun '{} COMMAND --help' for more information on a command.\n",
            usage.path()
        );
        text.push_str(&line);
    }
    text
}

fn write_section(text: &mut String, title: &str, body: &str) {
    text.push('\n');
    text.push_str(title);
    text.push('\n');
    text.push_str(body);
}

fn about(command: &Command) -> String {
    command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// The commands below a command: at the top the common ones first, then the groups.
fn commands(text: &mut String, command: &Command, top: bool) {
    let mut all: Vec<&Command> = command
        .get_subcommands()
        .filter(|c| !c.is_hide_set())
        .collect();
    all.sort_by_key(|c| c.get_name());
    let width = all
        .iter()
        .map(|c| c.get_name().len())
        .max()
        .unwrap_or(0)
        .max(NAME_WIDTH_MIN);
    let line = |c: &Command| format!("  {:<width$} {}\n", c.get_name(), about(c));
    let list = |choose: &dyn Fn(&Command) -> bool| -> String {
        let chosen = all.iter().filter(|c| choose(c));
        chosen.map(|c| line(c)).collect()
    };
    let is_common = |c: &Command| top && command::COMMON.contains(&c.get_name());
    let common = command::COMMON
        .iter()
        .filter_map(|name| all.iter().find(|c| c.get_name() == *name && is_common(c)))
        .map(|c| line(c))
        .collect();
    let sections = [
        ("Common Commands:", common),
        ("Management Commands:", list(&|c| c.has_subcommands())),
        (
            "Commands:",
            list(&|c| !c.has_subcommands() && !is_common(c)),
        ),
    ];
    for (title, body) in sections.iter().filter(|(_, body)| !body.is_empty()) {
        write_section(text, title, body);
    }
}

/// The options, sorted by name, their texts in one column.
fn options(command: &Command, width: usize) -> String {
    let lines = option_lines(command);
    let column = lines
        .iter()
        .map(|(names, _)| names.len())
        .max()
        .unwrap_or(0)
        + 3;
    lines
        .iter()
        .fold(String::new(), |mut text, (names, description)| {
            let gap = column - names.len();
            let wrapped = wrap(description, column, width - 1);
            text.push_str(&format!("{names}{:gap$}{wrapped}\n", ""));
            text
        })
}

/// The options, sorted by name: how each is written, and what it is for.
pub(super) fn option_lines(command: &Command) -> Vec<(String, String)> {
    let mut shown: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| !arg.is_positional() && !arg.is_hide_set())
        .collect();
    shown.sort_by_key(|arg| arg.get_long());
    shown
        .iter()
        .map(|arg| (names(arg), described(arg)))
        .collect()
}

/// `  -f, --filter filter`.
fn names(arg: &Arg) -> String {
    let mut text = match arg.get_short() {
        Some(short) => format!("  -{short}, --"),
        None => "      --".to_owned(),
    };
    text.push_str(arg.get_long().unwrap_or_default());
    if !is_boolean(arg)
        && let Some([value]) = arg.get_value_names()
    {
        text.push(' ');
        text.push_str(value);
    }
    text
}

/// What the option is for, and what it is when it is not given.
fn described(arg: &Arg) -> String {
    let mut text = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let default = arg
        .get_default_values()
        .first()
        .and_then(|value| value.to_str());
    match default {
        None | Some("" | "false") => {}
        Some("0") if is_number(arg) => {}
        Some(value) if is_boolean(arg) || is_number(arg) => {
            text.push_str(&format!(" (default {value})"))
        }
        Some(value) => text.push_str(&format!(" (default {value:?})")),
    }
    text
}

fn is_number(arg: &Arg) -> bool {
    let names = arg.get_value_names().unwrap_or_default();
    names.iter().any(|name| name.as_str() == "int")
}

/// Breaks `text` at spaces, so that lines end before `width` and begin at `indent`.
fn wrap(text: &str, mut indent: usize, width: usize) -> String {
    let mut wrapped = String::new();
    if width.saturating_sub(indent) < COLUMN_MIN {
        indent = COLUMN_LEFT;
        wrapped.push_str(&format!("\n{:indent$}", ""));
    }
    let room = width.saturating_sub(indent).saturating_sub(SLOP).max(1);
    let mut first = true;
    for paragraph in text.split('\n') {
        let mut rest = paragraph;
        loop {
            if !first {
                wrapped.push_str(&format!("\n{:indent$}", ""));
            }
            first = false;
            let cut = if rest.chars().count() < room + SLOP {
                None
            } else {
                break_at(rest, room)
            };
            let Some(cut) = cut else {
                wrapped.push_str(rest);
                break;
            };
            wrapped.push_str(&rest[..cut]);
            rest = &rest[cut + 1..];
        }
    }
    wrapped
}

/// Where the last space among the first `room` characters is.
fn break_at(text: &str, room: usize) -> Option<usize> {
    let end = text
        .char_indices()
        .nth(room)
        .map_or(text.len(), |(at, _)| at);
    text[..end].rfind(' ').filter(|&at| at > 0)
}

/// How wide the terminal is.
pub(crate) fn terminal_width() -> usize {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout());
    match size {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col).max(2),
        _ => WIDTH_DEFAULT,
    }
}
