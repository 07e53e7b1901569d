//! How a command is used: its name, its line, and how many arguments it takes.

use clap::Command;

use crate::exit::{ERROR, Failure, Result};

/// How the command that was called is used.
#[derive(Clone, Debug)]
pub(crate) struct Usage {
    /// The program's name: `wharf`.
    program: String,
    /// The command's full name: `wharf image ls`.
    path: String,
    /// How to write it: `wharf image ls [OPTIONS] [REPOSITORY[:TAG]]`.
    line: String,
}

impl Usage {
    /// The usage of the command at `path` below `root`.
    pub(super) fn of(root: &Command, path: &[&str]) -> Self {
        let program = root.get_name().to_owned();
        let full = path
            .iter()
            .fold(program.clone(), |text, name| text + " " + name);
        let line = line(find(root, path), &full);
        Self {
            program,
            path: full,
            line,
        }
    }

    /// The same as Docker writes it below an error: a group is its name alone, and the program may have
    /// anything behind its command.
    pub(super) fn in_errors(root: &Command, path: &[&str]) -> Self {
        let usage = Self::of(root, path);
        let line = match path {
            [] => format!("{} [ARG...]", usage.line),
            _ if find(root, path).has_subcommands() => usage.path.clone(),
            _ => usage.line.clone(),
        };
        Self { line, ..usage }
    }

    /// The command's full name.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// How to write it.
    pub(super) fn line(&self) -> &str {
        &self.line
    }

    /// Fails unless there are exactly `number` arguments.
    pub(crate) fn exactly(&self, given: &[String], number: usize) -> Result<()> {
        if given.len() == number {
            return Ok(());
        }
        let what = match number {
            0 => "accepts no arguments".to_owned(),
            _ => format!("requires {}", counted(number)),
        };
        Err(self.refuse(&what, "Run"))
    }

    /// Fails unless there are at least `number` arguments.
    pub(crate) fn at_least(&self, given: &[String], number: usize) -> Result<()> {
        if given.len() >= number {
            return Ok(());
        }
        Err(self.refuse(&format!("requires at least {}", counted(number)), "See"))
    }

    /// Fails if there are more than `number` arguments.
    pub(crate) fn at_most(&self, given: &[String], number: usize) -> Result<()> {
        if given.len() <= number {
            return Ok(());
        }
        Err(self.refuse(&format!("requires at most {}", counted(number)), "Run"))
    }

    /// Fails unless there are at least `least` arguments and at most `most`.
    pub(crate) fn between(&self, given: &[String], least: usize, most: usize) -> Result<()> {
        if (least..=most).contains(&given.len()) {
            return Ok(());
        }
        let what = format!("requires at least {least} and at most {}", counted(most));
        Err(self.refuse(&what, "Run"))
    }

    fn refuse(&self, what: &str, verb: &str) -> Failure {
        let Self {
            program,
            path,
            line,
        } = self;
        let text = format!(
            "{program}: '{path}' {what}\n\nUsage:  {line}\n\n{verb} '{path} --help' for more \
             information"
        );
        Failure::Usage { text, code: ERROR }
    }
}

fn counted(number: usize) -> String {
    format!("{number} argument{}", if number == 1 { "" } else { "s" })
}

/// The command at `path` below `root`; the last one that there is.
pub(super) fn find<'c>(root: &'c Command, path: &[&str]) -> &'c Command {
    path.iter().fold(root, |command, name| {
        command.find_subcommand(name).unwrap_or(command)
    })
}

/// How to write a command, its full name included.
fn line(command: &Command, full: &str) -> String {
    // clap answers with "Usage: " and what the command's `override_usage` says.
    let text = command.clone().render_usage().to_string();
    let text = text.strip_prefix("Usage:").unwrap_or(&text).trim();
    if text.is_empty() {
        full.to_owned()
    } else {
        format!("{full} {text}")
    }
}
