//! How the program ends: the one place that turns errors into text and exit codes.
//!
//! | code | when |
//! |---|---|
//! | 0 | done |
//! | 1 | an error |
//! | 64 | a template of `inspect` cannot be read: Docker's code |
//! | 125 | a flag that does not exist, or has a wrong value: Docker's code |
//! | 129, 130, 143 | its terminal was closed, interrupted by ^C, told to end |
//! | 141 | nobody reads the output any more, as the shell has it for SIGPIPE |

use std::io::{self, IsTerminal as _, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use wharf_engine::EngineError;

use crate::environment::Program;
use crate::print::terminal;

/// An ordinary error.
pub(crate) const ERROR: u8 = 1;
/// A flag is wrong.
pub(crate) const FLAG: u8 = 125;
/// A template of `inspect` cannot be read.
pub(crate) const INSPECT_TEMPLATE: u8 = 64;
/// What a shell adds to a signal's number.
const SIGNAL_BASE: u8 = 128;
/// SIGINT's number, and SIGPIPE's.
const SIGINT: u8 = 2;
const SIGPIPE: u8 = 13;

/// Where to tell of an error that is wharf's own.
const REPORT_TO: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/issues");

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line is wrong. The text is printed as it is.
    Usage {
        /// What is wrong, and how it is right.
        text: String,
        /// The exit code.
        code: u8,
    },
    /// The engine failed, once or several times.
    Engine(Vec<EngineError>),
    /// Something in the command itself: a template, a settings file.
    Other {
        /// What failed, and why.
        message: String,
        /// What to do about it.
        hint: Option<String>,
        /// The exit code.
        code: u8,
    },
    /// A signal ended it.
    Signal {
        /// The signal's number.
        number: u8,
        /// What the user should know.
        message: &'static str,
    },
    /// Standard output cannot be written.
    Output(io::Error),
}

/// A result of a command.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// An ordinary error.
    pub(crate) fn error(message: impl Into<String>) -> Self {
        Self::Other {
            message: message.into(),
            hint: None,
            code: ERROR,
        }
    }

    /// The same with advice.
    pub(crate) fn with_hint(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Other {
            message: message.into(),
            hint: Some(hint.into()),
            code: ERROR,
        }
    }

    /// Standard output cannot be written.
    pub(crate) const fn output(error: io::Error) -> Self {
        Self::Output(error)
    }

    fn code(&self) -> u8 {
        match self {
            Self::Usage { code, .. } | Self::Other { code, .. } => *code,
            Self::Engine(_) => ERROR,
            Self::Signal { number, .. } => SIGNAL_BASE + number,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                SIGNAL_BASE + SIGPIPE
            }
            Self::Output(_) => ERROR,
        }
    }

    /// What is said on standard error; empty for what needs no word.
    fn text(&self, bold: bool) -> String {
        match self {
            Self::Usage { text, .. } => format!("{text}\n"),
            Self::Engine(errors) => errors
                .iter()
                .map(|error| error_text(&error.chain(), error.hint.as_deref(), bold))
                .collect(),
            Self::Other { message, hint, .. } => error_text(message, hint.as_deref(), bold),
            Self::Signal { message, .. } => format!("{message}\n"),
            // Whoever closed the pipe knows.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => String::new(),
            Self::Output(error) => error_text(
                &format!("cannot write to standard output: {error}"),
                None,
                bold,
            ),
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Engine(vec![error])
    }
}

/// The failure of a command that a user has interrupted.
pub(crate) const fn interrupted(number: u8) -> Failure {
    let message = if number == SIGINT {
        "interrupted: what has come so far is kept, and the same command goes on from there"
    } else {
        "told to end: what has come so far is kept, and the same command goes on from there"
    };
    Failure::Signal { number, message }
}

/// Ends the program after a signal, once what it had begun to write is gone.
pub(crate) fn end_by_signal(number: u8) -> ! {
    let why = if number == SIGINT {
        "interrupted"
    } else {
        "told to end"
    };
    say(&format!("{why}: what was not finished is removed\n"));
    std::process::exit((SIGNAL_BASE + number).into())
}

/// Ends the program: says what went wrong, and answers with its code.
pub(crate) fn finish(result: Result<()>, program: Program, colour: bool) -> ExitCode {
    let Err(failure) = result else {
        return ExitCode::SUCCESS;
    };
    let bold = colour && io::stderr().is_terminal();
    let text = failure.text(bold);
    let text = in_the_words_of(program, text);
    // With standard error gone there is nothing to tell.
    drop(match failure {
        Failure::Engine(_) | Failure::Other { .. } if bold => {
            terminal::stderr_styled().write_all(text.as_bytes())
        }
        _ => terminal::stderr().write_all(text.as_bytes()),
    });
    ExitCode::from(failure.code())
}

/// Advice names the program as it was called: by the other name it may not be there.
fn in_the_words_of(program: Program, text: String) -> String {
    match program {
        Program::Wharf => text,
        Program::Docker => text.replace("`wharf ", "`docker "),
    }
}

/// Says something on standard error that is not an error.
pub(crate) fn say(text: &str) {
    // With standard error gone there is nothing to tell.
    drop(terminal::stderr().write_all(text.as_bytes()));
}

/// Errors in the engine's words, one after the other, without ending the program.
pub(crate) fn say_errors(errors: &[EngineError]) {
    for error in errors {
        say(&error_text(&error.chain(), error.hint.as_deref(), false));
    }
}

/// One error, and the advice below it.
fn error_text(message: &str, hint: Option<&str>, bold: bool) -> String {
    let message = without_numbers(&terminal::safe(message));
    let mut text = match (message.strip_prefix("Error"), bold) {
        // Docker's own words begin so already.
        (Some(_), _) => message,
        (None, true) => format!("\x1b[1;31mError:\x1b[0m {message}"),
        (None, false) => format!("Error: {message}"),
    };
    text.push('\n');
    if let Some(hint) = hint {
        text.push_str("hint: ");
        text.push_str(&terminal::safe(hint));
        text.push('\n');
    }
    text
}

/// Without what the system's own messages add for programmers: the error's number, and the name of a temporary
/// file behind it.
fn without_numbers(text: &str) -> String {
    const NUMBER: &str = " (os error ";
    const PLACE: &str = " at path \"";
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once(NUMBER) {
        let Some((_, behind)) = behind.split_once(')') else {
            break;
        };
        out.push_str(before);
        let placed = behind.strip_prefix(PLACE);
        rest = placed
            .and_then(|path| path.split_once('"'))
            .map_or(behind, |(_, behind)| behind);
    }
    out + rest
}

/// Set while a panic is expected, and told of as an error.
static EXPECTED: AtomicBool = AtomicBool::new(false);

/// Runs `work`, which a library may end by a panic for a reason that is not wharf's fault; `None` if
/// it has. Only for the main thread, while it is alone.
pub(crate) fn without_panic_text<T>(work: impl FnOnce() -> T) -> Option<T> {
    EXPECTED.store(true, Ordering::Relaxed);
    let done = catch_unwind(AssertUnwindSafe(work)).ok();
    EXPECTED.store(false, Ordering::Relaxed);
    done
}

/// Makes a panic, which is always wharf's own fault, say so in one line.
pub(crate) fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        if EXPECTED.load(Ordering::Relaxed) {
            return;
        }
        let payload = panic.payload();
        let what = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        let place = panic
            .location()
            .map_or_else(String::new, |at| format!(" at {at}"));
        say(&format!(
            "wharf: internal error{place}: {}; please report it at {REPORT_TO}\n",
            what.replace('\n', " ")
        ));
    }));
}

#[cfg(test)]
mod tests {
    use wharf_engine::ErrorKind;

    use super::*;

    #[test]
    fn says_what_failed_why_and_what_to_do() {
        let error = EngineError::new(ErrorKind::Unavailable, "cannot pull x")
            .because(io::Error::other("the disk is full"))
            .hint("free some space");
        let failure = Failure::from(error);
        assert_eq!(
            failure.text(false),
            "Error: cannot pull x: the disk is full\nhint: free some space\n"
        );
        assert_eq!(failure.code(), 1);
    }

    #[test]
    fn keeps_docker_s_own_beginning() {
        let failure = Failure::error("Error parsing reference: \"X\"");
        assert_eq!(failure.text(true), "Error parsing reference: \"X\"\n");
    }

    #[test]
    fn lets_no_control_character_through() {
        let failure = Failure::error("the registry says \x1b]0;gotcha\x07");
        assert!(!failure.text(false).contains('\x1b'));
    }

    #[test]
    fn advice_names_the_program_as_it_was_called() {
        let text = || "hint: log in with `wharf login x`\n".to_owned();
        assert_eq!(in_the_words_of(Program::Wharf, text()), text());
        assert_eq!(
            in_the_words_of(Program::Docker, text()),
            "hint: log in with `docker login x`\n"
        );
    }

    #[test]
    fn the_systems_messages_lose_their_numbers() {
        let text = |reason: &str| Failure::error(format!("cannot write x: {reason}")).text(false);
        let plain = "Error: cannot write x: No such file\n";
        assert_eq!(text("No such file (os error 2)"), plain);
        assert_eq!(
            text("No such file (os error 2) at path \"/a/.tmpX\""),
            plain
        );
        assert_eq!(text("No such file"), plain);
        assert_eq!(text(" (os error "), "Error: cannot write x:  (os error \n");
    }

    #[test]
    fn says_nothing_when_nobody_reads() {
        let failure = Failure::output(io::ErrorKind::BrokenPipe.into());
        assert_eq!((failure.text(false).as_str(), failure.code()), ("", 141));
    }
}
