//! What the commands that look into images share: `IMAGE:PATH`, and how a file is shown.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use wharf_archive::files::{Entry, Kind, Node, TreeError};
use wharf_core::Platform;

use crate::exit::{Failure, Result, say};

/// Splits `IMAGE:/PATH`. A path begins behind the first colon with a slash, which no image's name has;
/// without one there is no path.
pub(super) fn split(text: &str) -> (&str, Option<&str>) {
    match text.find(":/") {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// The same where there must be a path.
pub(super) fn split_whole(text: &str) -> Result<(&str, &str)> {
    match split(text) {
        (image, Some(path)) if !image.is_empty() => Ok((image, path)),
        _ => Err(Failure::with_hint(
            format!("{text:?} names no file of an image"),
            "write IMAGE:/PATH",
        )),
    }
}

/// `--platform`, if it was given.
pub(super) fn platform(text: Option<&str>) -> Result<Option<Platform>> {
    let given = text.filter(|text| !text.is_empty());
    given
        .map(str::parse)
        .transpose()
        .map_err(|error: wharf_core::platform::PlatformError| Failure::error(error.to_string()))
}

/// Prints warnings on standard error.
pub(super) fn warn(notices: &[String]) {
    for notice in notices {
        say(&format!("WARNING: {}\n", shown(notice.as_bytes())));
    }
}

/// What is wrong with a name in an image.
pub(super) fn wrong(image: &str, error: &TreeError) -> Failure {
    Failure::error(format!("{image}: {error}"))
}

/// For a terminal: what is not text, and what moves a cursor, is shown as it would be in C.
pub(super) fn shown(name: &[u8]) -> String {
    let mut text = String::new();
    push_shown(&mut text, name);
    text
}

/// The same, behind a text.
pub(super) fn push_shown(text: &mut String, name: &[u8]) {
    // Nearly every name is plain; without a way out in between, many bytes are looked at at once.
    let plain = name
        .iter()
        .fold(true, |plain, b| plain & matches!(b, b' '..=b'~'));
    if let (true, Ok(plain)) = (plain, str::from_utf8(name)) {
        text.push_str(plain);
        return;
    }
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
}

/// Appends `-rwxr-xr-x    0    0     1234 2024-11-01 00:00 name -> target`, as `ls -l` has it.
pub(super) fn push_long(text: &mut String, node: &Node<'_>, name: &[u8], zone: &TimeZone) {
    let entry = &node.entry;
    let (uid, gid) = (entry.uid, entry.gid);
    push(text, format_args!("{} {uid:>5} {gid:>5} ", mode(entry)));
    match entry.kind {
        Kind::CharDevice | Kind::BlockDevice => {
            let numbers = format!("{},{}", entry.device.0, entry.device.1);
            push(text, format_args!("{numbers:>10}"));
        }
        Kind::Symlink => push(text, format_args!("{:>10}", entry.link.len())),
        _ => push(text, format_args!("{:>10}", entry.size)),
    }
    let time = Timestamp::from_second(entry.mtime).unwrap_or_default();
    let time = zone.to_datetime(time);
    // A pattern for each time would take half of what is spent on a line.
    let (day, clock) = (time.date(), time.time());
    let (hour, minute) = (clock.hour(), clock.minute());
    push(text, format_args!(" {day} {hour:02}:{minute:02} "));
    push_shown(text, name);
    if entry.kind == Kind::Symlink {
        text.push_str(" -> ");
        push_shown(text, entry.link);
    }
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Nothing fails that is written to memory.
    text.write_fmt(what).unwrap_or_default();
}

/// `drwxr-xr-x`.
pub(super) fn mode(entry: &Entry<'_>) -> String {
    let kind = match entry.kind {
        Kind::File | Kind::HardLink => '-',
        Kind::Folder => 'd',
        Kind::Symlink => 'l',
        Kind::CharDevice => 'c',
        Kind::BlockDevice => 'b',
        Kind::Fifo => 'p',
    };
    let mode = if entry.kind == Kind::Symlink {
        0o777
    } else {
        entry.mode
    };
    let bit = |at: u32, letter: char| if mode & (1 << at) == 0 { '-' } else { letter };
    let special = |run: u32, special: u32, both: char, alone: char| match (
        mode & (1 << special) != 0,
        mode & (1 << run) != 0,
    ) {
        (true, true) => both,
        (true, false) => alone,
        (false, true) => 'x',
        (false, false) => '-',
    };
    [
        kind,
        bit(8, 'r'),
        bit(7, 'w'),
        special(6, 11, 's', 'S'),
        bit(5, 'r'),
        bit(4, 'w'),
        special(3, 10, 's', 'S'),
        bit(2, 'r'),
        bit(1, 'w'),
        special(0, 9, 't', 'T'),
    ]
    .iter()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_begins_behind_the_first_colon_with_a_slash() {
        assert_eq!(split("busybox"), ("busybox", None));
        assert_eq!(split("busybox:musl"), ("busybox:musl", None));
        assert_eq!(split("a:5000/b:1:/etc"), ("a:5000/b:1", Some("/etc")));
        assert_eq!(split("busybox:/a:/b"), ("busybox", Some("/a:/b")));
        assert!(split_whole("busybox:musl").is_err());
        assert!(split_whole(":/etc").is_err());
    }

    #[test]
    fn what_moves_a_cursor_is_shown_and_not_sent() {
        assert_eq!(shown(b"a\x1b[2Jb\n\xff"), "a\\u{1b}[2Jb\\n\\xff");
        assert_eq!(shown("ä".as_bytes()), "ä");
    }
}
