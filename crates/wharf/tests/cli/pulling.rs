//! Pulling: several references, an interrupt, what a terminal sees.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use wharf_testkit::images::samples;
use wharf_testkit::{Fault, On, TestRegistry, When};

use super::{registry, wharf};

/// How long a test waits for what must happen at once.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn several_references_are_pulled_one_after_the_other() {
    let (wharf, registry) = (wharf(), registry());
    registry.push("team/other:latest", &samples::every_compression());
    let (first, second) = (registry.name("team/app:1"), registry.name("team/other"));
    let text = wharf.ok(["pull", &first, &second]);
    let lines: Vec<&str> = text.lines().filter(|line| !is_layer(line)).collect();
    assert_eq!(lines.len(), 9, "{text}");
    assert_eq!(lines[0], "1: Pulling from team/app");
    assert_eq!(lines[3], first);
    assert_eq!(lines[4], "Using default tag: latest");
    assert_eq!(lines[5], "latest: Pulling from team/other");
    assert_eq!(
        lines[7],
        format!("Status: Downloaded newer image for {second}:latest")
    );
    assert_eq!(lines[8], format!("{second}:latest"));
}

fn is_layer(line: &str) -> bool {
    line.as_bytes().get(12) == Some(&b':') && line[..12].bytes().all(|b| b.is_ascii_hexdigit())
}

#[test]
fn of_several_references_one_that_fails_does_not_keep_the_others() {
    let (wharf, registry) = (wharf(), registry());
    let (missing, there) = (registry.name("no/such"), registry.name("team/app:1"));
    let output = wharf.run(["pull", &missing, &there, &missing]);
    assert_eq!(output.code, Some(1));
    assert!(
        output.stdout.starts_with("1: Pulling from team/app\n"),
        "{}",
        output.stdout
    );
    let error = format!("Error: manifest for {missing}:latest not found");
    assert_eq!(
        output.stderr.matches(&error).count(),
        2,
        "{}",
        output.stderr
    );
    assert_eq!(wharf.ok(["images", "-q"]).lines().count(), 1);
}

#[test]
fn references_that_do_not_exist_print_nothing_but_errors() {
    let (wharf, registry) = (wharf(), registry());
    let output = wharf.run([
        "pull",
        &registry.name("no/such"),
        &registry.name("no/other"),
    ]);
    assert_eq!((output.stdout.as_str(), output.code), ("", Some(1)));
    // A single one says which tag it takes before it asks, as with Docker.
    let output = wharf.run(["pull", &registry.name("no/such")]);
    assert_eq!(output.stdout, "Using default tag: latest\n");
}

#[test]
fn one_wrong_name_among_several_stops_all_before_anything_is_asked() {
    let (wharf, registry) = (wharf(), registry());
    let output = wharf.run(["pull", &registry.name("team/app:1"), "Wrong"]);
    assert_eq!((output.stdout.as_str(), output.code), ("", Some(1)));
    assert!(registry.requests().is_empty());
}

#[test]
fn all_tags_have_one_status() {
    let (wharf, registry) = (wharf(), registry());
    registry.push("team/app:2", &samples::every_compression());
    let repository = registry.name("team/app");
    let text = wharf.ok(["pull", "-a", &repository]);
    assert_eq!(text.matches("Pulling from team/app\n").count(), 2, "{text}");
    assert_eq!(text.matches("Digest: ").count(), 2, "{text}");
    assert_eq!(text.matches("Status: ").count(), 1, "{text}");
    assert!(text.ends_with(&format!(
        "Status: Downloaded newer image for {repository}\n{repository}\n"
    )));
    let again = wharf.ok(["pull", "-a", &repository]);
    assert!(
        again.contains("Status: Image is up to date for "),
        "{again}"
    );
    assert_eq!(
        wharf.ok(["pull", "-aq", &repository]),
        format!("{repository}\n")
    );
}

/// Waits until the registry was asked for a blob.
fn wait_for_blob(registry: &TestRegistry) {
    let start = Instant::now();
    while !registry
        .requests()
        .iter()
        .any(|request| request.blob().is_some())
    {
        assert!(start.elapsed() < PATIENCE, "no blob was asked for");
        thread::yield_now();
    }
}

#[test]
fn an_interrupt_ends_a_pull_and_the_next_one_goes_on() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let (wharf, registry) = (wharf(), registry());
        let name = registry.name("team/app:1");
        registry.fault(On::blobs(), When::Always, Fault::Stall(1));
        let mut command = wharf.command(["pull", &name]);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for_blob(&registry);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            text.contains("the same command goes on from there"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1, "{text}");

        registry.behave();
        wharf.ok(["pull", "-q", &name]);
        assert!(wharf.ok(["store", "check"]).contains("sound"));
    }
}

/// Opens a terminal of this size; returns its own end, and the one for a program.
pub(super) fn open_terminal(rows: u16, columns: u16) -> (OwnedFd, OwnedFd) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&terminal, size).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let other_end = File::options()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap());
    (terminal, OwnedFd::from(other_end.unwrap()))
}

/// Reads what a terminal is shown until no program holds its other end.
pub(super) fn everything_shown(terminal: OwnedFd) -> String {
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    let mut terminal = File::from(terminal);
    while let Ok(length @ 1..) = terminal.read(&mut buffer) {
        text.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// A terminal, and what it was shown until the program ended.
fn on_a_terminal(command: &mut std::process::Command, rows: u16, columns: u16) -> String {
    let (terminal, output) = open_terminal(rows, columns);
    let mut child = command
        .stdout(output)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The last one who holds the other end is the program: reading ends with it.
    command.stdout(Stdio::null());
    let reader = thread::spawn(move || everything_shown(terminal));
    assert!(child.wait().unwrap().success());
    reader.join().unwrap()
}

#[test]
fn a_terminal_ends_up_with_docker_s_lines() {
    for (rows, columns) in [(24, 80), (4, 80), (24, 40)] {
        let (wharf, registry) = (wharf(), TestRegistry::start());
        let image = samples::many_layers(12);
        registry.push("team/app:1", &image);
        let name = registry.name("team/app:1");
        let mut command = wharf.command(["pull", &name]);
        let shown = on_a_terminal(command.env("TERM", "xterm"), rows, columns);
        assert!(shown.contains("layers"), "no bars were shown: {shown:?}");
        let lines = screen(&shown, usize::from(columns));
        let complete = lines
            .iter()
            .filter(|line| line.ends_with(": Pull complete"));
        assert_eq!(complete.count(), 12, "{lines:#?}");
        assert_eq!(lines[0], "1: Pulling from team/app");
        assert_eq!(lines.last(), Some(&name));
        // On a narrow one, the digest and the status take several lines.
        let tail = if columns < 80 { 5 } else { 3 };
        assert_eq!(lines.len(), 1 + 12 + tail, "{lines:#?}");
    }
}

#[test]
fn a_terminal_that_only_prints_gets_plain_lines() {
    let (wharf, registry) = (wharf(), registry());
    let mut command = wharf.command(["pull", &registry.name("team/app:1")]);
    let shown = on_a_terminal(command.env("TERM", "dumb"), 24, 80);
    assert!(
        !shown.contains('\x1b') && shown.contains(": Pull complete\r\n"),
        "{shown:?}"
    );
}

/// What stands on a terminal in the end: of the codes that move the cursor, those that progress
/// bars use. A line that is full goes on in the next.
fn screen(shown: &str, columns: usize) -> Vec<String> {
    let (mut lines, mut row, mut column) = (vec![vec![]], 0, 0);
    let mut rest = shown.chars();
    while let Some(c) = rest.next() {
        match c {
            '\r' => column = 0,
            '\n' => row += 1,
            '\x1b' => match code(&mut rest) {
                (number, 'A') => row -= number,
                (number, 'B') => row += number,
                (_, 'K') => lines[row].clear(),
                _ => {}
            },
            c => {
                if column == columns {
                    (row, column) = (row + 1, 0);
                }
                lines.resize(lines.len().max(row + 1), Vec::new());
                let line: &mut Vec<char> = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
        lines.resize(lines.len().max(row + 1), Vec::new());
    }
    let lines = lines
        .iter()
        .map(|line| line.iter().collect::<String>().trim_end().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

/// The rest of a code, `[2K`: its number and its letter.
fn code(rest: &mut std::str::Chars<'_>) -> (usize, char) {
    let mut number = String::new();
    for c in rest {
        match c {
            '[' => {}
            letter if letter.is_ascii_alphabetic() => return (number.parse().unwrap_or(1), letter),
            digit => number.push(digit),
        }
    }
    (0, ' ')
}
