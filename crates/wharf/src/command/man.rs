//! `wharf man`: writes the manual, a page for each command, out of the same texts as `--help`.
//!
//! A page has no date: the same version writes the same bytes.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use clap::{Args, Command};
use wharf_archive::outside::Destination;

use super::version::VERSION;
use crate::arguments;
use crate::context::Context;
use crate::exit::{Failure, Result};

/// The permissions of a page: every user may read the manual.
const MODE: u32 = 0o644;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The folder to write to: "/usr/local/share/man/man1".
    folder: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.exactly(&arguments.folder, 1)?;
    let [folder] = &arguments.folder[..] else {
        return Ok(());
    };
    let root = arguments::root(context.environment.program);
    let folder = Path::new(folder);
    let written = fs::create_dir_all(folder).and_then(|()| {
        for (name, page) in pages(&root) {
            let file = Destination::open(&folder.join(format!("{name}.1")))?.new_file()?;
            file.file().write_all(page.as_bytes())?;
            file.finish(MODE)?;
        }
        Ok(())
    });
    written.map_err(|error| {
        let message = format!("cannot write the manual to {}: {error}", folder.display());
        Failure::error(message)
    })
}

/// All pages: their names and their texts.
fn pages(root: &Command) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut open: Vec<Vec<&str>> = vec![Vec::new()];
    while let Some(path) = open.pop() {
        let command = path.iter().fold(root, |command, name| {
            command.find_subcommand(name).unwrap_or(command)
        });
        let below = command.get_subcommands().filter(|c| !c.is_hide_set());
        open.extend(below.map(|c| path.iter().copied().chain([c.get_name()]).collect()));
        all.push((page_name(root, &path), page(root, command, &path)));
    }
    all.sort();
    all
}

fn page_name(root: &Command, path: &[&str]) -> String {
    let words = std::iter::once(root.get_name()).chain(path.iter().copied());
    words.collect::<Vec<_>>().join("-")
}

fn page(root: &Command, command: &Command, path: &[&str]) -> String {
    let name = page_name(root, path);
    let about = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    let mut text = format!(
        ".TH {} 1 \"\" \"{} {VERSION}\" \"User Commands\"\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n.B {}\n",
        roff(&name.to_uppercase()),
        root.get_name(),
        roff(&name),
        roff(&about),
        roff(&arguments::usage_line(root, path)),
    );
    let options = arguments::option_lines(command);
    if !options.is_empty() {
        text.push_str(".SH OPTIONS\n");
        for (names, what) in options {
            text.push_str(&format!(
                ".TP\n.B {}\n{}\n",
                roff(names.trim()),
                roff(&what)
            ));
        }
    }
    let mut below: Vec<&Command> = command
        .get_subcommands()
        .filter(|c| !c.is_hide_set())
        .collect();
    below.sort_by_key(|c| c.get_name());
    let mut see = Vec::new();
    if !below.is_empty() {
        text.push_str(".SH COMMANDS\n");
        for one in &below {
            let about = one.get_about().map(ToString::to_string).unwrap_or_default();
            text.push_str(&format!(
                ".TP\n.B {}\n{}\n",
                roff(one.get_name()),
                roff(&about)
            ));
            let path: Vec<&str> = path.iter().copied().chain([one.get_name()]).collect();
            see.push(page_name(root, &path));
        }
    }
    if let Some((_, above)) = path.split_last() {
        see.insert(0, page_name(root, above));
    }
    let see: Vec<String> = see
        .iter()
        .map(|name| format!("\\fB{}\\fR(1)", roff(name)))
        .collect();
    text.push_str(&format!(".SH SEE ALSO\n{}\n", see.join(", ")));
    text
}

/// Text, so that nothing in it is a request of roff's.
fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    let lines = escaped.lines().map(|line| match line.chars().next() {
        Some('.' | '\'') => format!("\\&{line}"),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Program;

    #[test]
    fn every_command_has_a_page_that_says_how_it_is_used() {
        let root = arguments::root(Program::Wharf);
        let pages = pages(&root);
        let page = |name: &str| {
            let found = pages.iter().find(|(page, _)| page == name);
            found.map(|(_, text)| text.clone()).unwrap_or_default()
        };
        assert!(page("wharf").contains("\\fBwharf\\-pull\\fR(1)"));
        assert!(page("wharf-image-rm").contains(".B wharf image rm [OPTIONS] IMAGE [IMAGE...]\n"));
        assert!(page("wharf-pull").contains(".B \\-a, \\-\\-all\\-tags\n"));
        assert!(!pages.iter().any(|(name, _)| name.contains("__")));
    }

    #[test]
    fn nothing_in_a_text_is_taken_for_a_request() {
        assert_eq!(roff(".SH a\n'b\\fB-c"), "\\&.SH a\n\\&'b\\efB\\-c");
    }
}
