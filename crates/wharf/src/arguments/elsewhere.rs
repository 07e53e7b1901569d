//! Docker's commands that are about something else than images. Who types one of them is told so in one
//! line, and not that it does not exist.

use crate::exit::{ERROR, FLAG};

/// What a command is about, and so why it is not here.
#[derive(Clone, Copy)]
enum About {
    Containers,
    Builds,
    Others,
}

/// Docker's commands, those of its usual plugins among them.
const COMMANDS: &[(&[&str], About)] = &[
    (
        &[
            "attach",
            "commit",
            "container",
            "create",
            "exec",
            "export",
            "kill",
            "logs",
            "pause",
            "port",
            "ps",
            "rename",
            "restart",
            "rm",
            "run",
            "start",
            "stats",
            "stop",
            "top",
            "unpause",
            "update",
            "wait",
            "checkpoint",
            "compose",
        ],
        About::Containers,
    ),
    (&["build", "builder", "buildx", "bake"], About::Builds),
    (
        &[
            "config", "context", "events", "network", "node", "plugin", "secret", "service",
            "stack", "swarm", "trust", "volume", "scout", "init",
        ],
        About::Others,
    ),
];

/// Groups of images' commands, with Docker's commands in them that are not here.
const INSIDE: [(&str, &str, About); 2] = [
    ("image", "build", About::Builds),
    ("system", "events", About::Others),
];

/// Why there is no command `name` below `path`, and the exit code; `None` if Docker has none either.
pub(super) fn why(program: &str, path: &[&str], name: &str) -> Option<(String, u8)> {
    let about = match path {
        [] => COMMANDS
            .iter()
            .find(|(names, _)| names.contains(&name))
            .map(|(_, about)| *about),
        [group] => INSIDE
            .iter()
            .find(|(inside, command, _)| (inside, *command) == (group, name))
            .map(|(.., about)| *about),
        _ => None,
    }?;
    let words: Vec<&str> = path.iter().copied().chain([name]).collect();
    let reason = match about {
        About::Containers => "wharf manages images, and runs no containers",
        About::Builds => "wharf manages images, and builds none",
        About::Others => "wharf manages images, and nothing else",
    };
    let text = format!(
        "{program}: '{program} {}' is not supported: {reason}",
        words.join(" ")
    );
    // What runs a container says 125 where it cannot (Docker 28.5: run).
    let code = if path.is_empty() && name == "run" {
        FLAG
    } else {
        ERROR
    };
    Some((text, code))
}
