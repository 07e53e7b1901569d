//! What may stand at the cursor.

use clap::{Arg, ArgAction, Command};

/// Platforms that images commonly have.
const PLATFORMS: [&str; 7] = [
    "linux/amd64",
    "linux/arm64",
    "linux/arm/v7",
    "linux/386",
    "linux/ppc64le",
    "linux/riscv64",
    "linux/s390x",
];

/// Commands whose arguments are images, and how many of them: of some only the first is one.
const IMAGES: [(&str, usize); 24] = [
    ("rmi", usize::MAX),
    ("image rm", usize::MAX),
    ("history", 1),
    ("image history", 1),
    ("inspect", usize::MAX),
    ("image inspect", usize::MAX),
    ("save", usize::MAX),
    ("image save", usize::MAX),
    ("tag", 2),
    ("image tag", 2),
    ("push", 1),
    ("image push", 1),
    ("pull", usize::MAX),
    ("image pull", usize::MAX),
    ("images", 1),
    ("image ls", 1),
    ("outdated", usize::MAX),
    ("copy", 2),
    ("ls", 1),
    ("cat", usize::MAX),
    ("cp", 1),
    ("diff", 2),
    ("unpack", 1),
    ("image unpack", 1),
];

/// Commands whose further arguments are files.
const FILES: [&str; 7] = [
    "import",
    "image import",
    "unpack",
    "image unpack",
    "cp",
    "copy",
    "man",
];

/// Flags whose values are files or folders.
const FILE_FLAGS: [&str; 4] = ["config", "input", "output", "root"];

/// A candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) value: String,
    pub(super) about: String,
}

/// Everything that may stand there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) all: Vec<Candidate>,
    /// Files, too.
    pub(super) files: bool,
}

/// Where the cursor is.
struct Place<'c> {
    command: &'c Command,
    path: Vec<&'c str>,
    /// How many arguments stand before it.
    arguments: usize,
    /// The flag whose value it is.
    flag: Option<&'c Arg>,
    /// Do flags count no more?
    only_arguments: bool,
}

/// Finds what fits the last of `words`; `names` are the images'.
pub(super) fn find(root: &Command, words: &[String], names: &dyn Fn() -> Vec<String>) -> Found {
    let empty = String::new();
    let (current, before) = words
        .split_last()
        .map_or((&empty, &[][..]), |(l, b)| (l, b));
    let place = walk(root, before);
    let mut found = Found::default();
    if let Some(flag) = place.flag {
        values(&mut found, flag, "");
    } else if let Some((name, _)) = current.split_once('=').filter(|_| is_flag(&place, current)) {
        if let Some(flag) = long(place.command, name) {
            values(&mut found, flag, &format!("{name}="));
        }
    } else if is_flag(&place, current) {
        flags(&mut found, place.command);
    } else if place.command.has_subcommands() {
        let shown = place.command.get_subcommands().filter(|c| !c.is_hide_set());
        found
            .all
            .extend(shown.map(|c| candidate(c.get_name(), c.get_about())));
    } else {
        arguments(&mut found, &place, names);
    }
    found
        .all
        .retain(|one| one.value.starts_with(current.as_str()));
    found.all.sort_by(|a, b| a.value.cmp(&b.value));
    found
}

fn walk<'c>(root: &'c Command, before: &[String]) -> Place<'c> {
    let mut place = Place {
        command: root,
        path: Vec::new(),
        arguments: 0,
        flag: None,
        only_arguments: false,
    };
    for word in before {
        if place.flag.take().is_some() {
            continue;
        }
        if word == "--" {
            place.only_arguments = true;
        } else if is_flag(&place, word) && word.len() > 1 {
            place.flag = waits(place.command, word);
        } else if let Some(below) = place.command.find_subcommand(word) {
            place.command = below;
            place.path.push(below.get_name());
        } else {
            place.arguments += 1;
        }
    }
    place
}

fn is_flag(place: &Place<'_>, word: &str) -> bool {
    word.starts_with('-') && !place.only_arguments
}

/// The flag of a word that waits for its value in the next one.
fn waits<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    let flag = if word.starts_with("--") {
        if word.contains('=') {
            return None;
        }
        long(command, word)?
    } else {
        // Of several in one word, the last one may take a value.
        let short = word.chars().last()?;
        command
            .get_arguments()
            .find(|arg| arg.get_short() == Some(short))?
    };
    matches!(flag.get_action(), ArgAction::Set | ArgAction::Append)
        .then_some(flag)
        .filter(|flag| !flag.is_require_equals_set())
}

fn long<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    let name = word.trim_start_matches("--");
    command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(name))
}

fn flags(found: &mut Found, command: &Command) {
    let shown = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && !arg.is_positional());
    found.all.extend(shown.filter_map(|arg| {
        let name = format!("--{}", arg.get_long()?);
        Some(candidate(&name, arg.get_help()))
    }));
}

fn values(found: &mut Found, flag: &Arg, before: &str) {
    let name = flag.get_long().unwrap_or_default();
    if FILE_FLAGS.contains(&name) {
        found.files = true;
        return;
    }
    let words: Vec<String> = match name {
        "platform" => PLATFORMS.map(str::to_owned).into(),
        "format" => vec!["json".to_owned(), "table".to_owned()],
        "log-level" => ["debug", "info", "warn", "error", "fatal"]
            .map(str::to_owned)
            .into(),
        _ => {
            let possible = flag.get_possible_values();
            possible
                .iter()
                .map(|value| value.get_name().to_owned())
                .collect()
        }
    };
    found.all.extend(
        words
            .iter()
            .map(|word| plain(&format!("{before}{word}"), "")),
    );
}

fn arguments(found: &mut Found, place: &Place<'_>, names: &dyn Fn() -> Vec<String>) {
    let path = place.path.join(" ");
    if path == "completion" && place.arguments == 0 {
        found
            .all
            .extend(["bash", "fish", "zsh"].map(|shell| plain(shell, "")));
    }
    let images = IMAGES.iter().find(|(command, _)| *command == path);
    if images.is_some_and(|(_, many)| place.arguments < *many) {
        found
            .all
            .extend(names().iter().map(|name| plain(name, "image")));
    }
    let file = FILES.contains(&path.as_str());
    let first_is_image = images.is_some() && path != "copy";
    found.files |= file && (place.arguments > 0 || !first_is_image);
}

fn candidate(value: &str, about: Option<&clap::builder::StyledStr>) -> Candidate {
    let about = about.map(ToString::to_string).unwrap_or_default();
    plain(value, about.lines().next().unwrap_or_default())
}

fn plain(value: &str, about: &str) -> Candidate {
    Candidate {
        value: value.to_owned(),
        about: about.to_owned(),
    }
}
