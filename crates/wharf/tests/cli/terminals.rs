//! Text from outside on a terminal: no command lets it act there, and a pipe gets the bytes.

use std::process::Stdio;

use wharf_testkit::images::{Image, Layer};
use wharf_testkit::{TestRegistry, Wharf};

use super::pulling::{everything_shown, open_terminal};
use super::wharf;

/// Renames the terminal, rings, clears the screen, turns the text, goes back.
const HOSTILE: &str = "a\x1b]0;x\x07\x1b[2Jb\u{9b}2Jc\u{202e}d\u{2066}e\rf\x08g\x7f\u{2028}h";

/// What a command shows on a terminal, on both of its outputs.
fn shown(wharf: &Wharf, arguments: &[&str]) -> String {
    let (terminal, other_end) = open_terminal(24, 200);
    let mut command = wharf.command(arguments);
    command
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(other_end.try_clone().unwrap())
        .stderr(other_end);
    let mut child = command.spawn().unwrap();
    // The program alone holds the other end: reading ends with it.
    drop(command);
    let text = everything_shown(terminal);
    child.wait().unwrap();
    // The terminal's own line ends, and wharf's own colours.
    let text = text.replace("\r\n", "\n");
    let colours = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap();
    colours.replace_all(&text, "").into_owned()
}

fn acts(c: char) -> bool {
    let turns = ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
    turns || c == '\u{2028}' || (c.is_control() && c != '\n' && c != '\t')
}

#[test]
fn no_command_lets_text_from_outside_act_on_a_terminal() {
    let (wharf, registry) = (wharf(), TestRegistry::start());
    let file = format!("{HOSTILE}.txt");
    let image = |content: &[u8]| {
        Image::builder()
            .label("key", HOSTILE)
            .label(HOSTILE, "value")
            .annotation("note", HOSTILE)
            .layer(Layer::new().file(&file, content).symlink("link", HOSTILE))
            .layer(Layer::new().file("plain", HOSTILE.as_bytes()))
            .build()
    };
    registry.push("team/app:1", &image(b"1"));
    registry.push("team/app:2", &image(b"2"));
    let (name, other) = (registry.name("team/app:1"), registry.name("team/app:2"));
    wharf.ok(["pull", "-q", &name]);
    wharf.ok(["pull", "-q", &other]);
    let archive = wharf.folder().join("empty.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&archive).unwrap());
    tar.append_dir(".", wharf.folder().join("home")).unwrap();
    tar.finish().unwrap();
    wharf.ok([
        "import",
        "-m",
        HOSTILE,
        archive.to_str().unwrap(),
        "imported:1",
    ]);

    let label = r#"{{index .Config.Labels "key"}}"#;
    let plain = format!("{name}:/plain");
    for arguments in [
        &["inspect", "-f", label, &name][..],
        &["inspect", &name],
        &["-D", "inspect", &name],
        &["history", "--no-trunc", "imported:1"],
        &["history", "--format", "{{.Comment}}", "imported:1"],
        &["images", "--tree"],
        &["images", "--format", "table {{.ID}}\t\u{9b}2J"],
        &["ls", &name],
        &["ls", "-lR", &name],
        &["cat", &plain],
        &["diff", &name, &other],
        &["manifest", "inspect", "--insecure", &name],
        &["manifest", "inspect", "--insecure", "-v", &name],
        &["search", "--filter", HOSTILE, &name],
        &["inspect", HOSTILE],
        &["pull", HOSTILE],
        &["images", "--format", "{{.\u{9b}2J}}"],
        &["images", "--no-such\x1b[2J"],
        &["no-such\x1b[2J"],
    ] {
        let text = shown(&wharf, arguments);
        assert!(!text.is_empty(), "{arguments:?} shows nothing");
        assert!(!text.contains(acts), "{arguments:?}: {text:?}");
    }

    // A pipe gets the bytes.
    assert_eq!(
        wharf.ok(["inspect", "-f", label, &name]),
        format!("{HOSTILE}\n")
    );
    assert_eq!(wharf.ok(["cat", &plain]), HOSTILE);
    let comment = wharf.ok(["history", "--format", "{{.Comment}}", "imported:1"]);
    assert!(comment.contains('\u{202e}'), "{comment:?}");
}

#[test]
fn help_has_nothing_to_replace() {
    for arguments in [&["--help"][..], &["pull", "--help"], &["images"]] {
        let text = shown(&wharf(), arguments);
        assert!(!text.contains('\u{fffd}'), "{arguments:?}: {text:?}");
    }
}
