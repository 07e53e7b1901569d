//! `wharf login`, `wharf logout`: who the user is at a registry. The store isn't needed.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use wharf_core::event::Unwatched;
use wharf_engine::EngineError;
use wharf_registry::{Login, Registry, RegistryErrorKind, Server};

use crate::context::Context;
use crate::exit::{Failure, Result, say};
use crate::print::print;
use crate::runtime;

/// Bounds a password, in bytes: tokens of cloud registries have a few KiB.
const PASSWORD_MAX: u64 = 1024 * 1024;

/// The arguments of `wharf login`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Password or token; seen by everybody on this machine
    #[arg(short, long, value_name = "string")]
    password: Option<String>,
    /// Take the password or token from stdin
    #[arg(long)]
    password_stdin: bool,
    /// User name
    #[arg(short, long, value_name = "string")]
    username: Option<String>,
    /// The registry; Docker Hub without one.
    server: Vec<String>,
}

/// The arguments of `wharf logout`.
#[derive(Debug, Args)]
pub(crate) struct LogoutArguments {
    /// The registry; Docker Hub without one.
    server: Vec<String>,
}

/// Runs `wharf login`.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.at_most(&arguments.server, 1)?;
    check(arguments)?;
    if arguments.password.is_some() {
        say("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n");
    }
    let server = Server::new(arguments.server.first().map(String::as_str));
    let registry = Registry::new(context.settings()?.registry);
    let password = if arguments.password_stdin {
        Some(password_from_stdin()?)
    } else {
        arguments.password.clone()
    };
    // Spaces around it are none of it, and one that is empty was not given (Docker 28.5: login).
    let password = password
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty());
    let mut known = None;
    if arguments.username.is_none() && password.is_none() {
        known = runtime::heavy(async { Ok(registry.kept_login(&server, &Unwatched).await) })?;
    }
    if let Some(login) = &known
        && again(&registry, &server, login)?
    {
        return print("Login Succeeded\n");
    }
    let login = asked(arguments, password, known.as_ref())?;
    runtime::heavy(async {
        let kept = registry
            .login(&server, &login)
            .await
            .map_err(EngineError::from)?;
        if let Some(file) = kept.plain_in {
            say(&format!(
                "\nWARNING! Your credentials are stored unencrypted in '{}'.\n\
                 Configure a credential helper to remove this warning. See\n\
                 https://docs.docker.com/go/credential-store/\n\n",
                file.display()
            ));
        }
        print("Login Succeeded\n")
    })
}

/// Docker's rules, in its words and order.
fn check(arguments: &Arguments) -> Result<()> {
    let empty = |value: &Option<String>| value.as_deref() == Some("");
    let wrong = if arguments.password_stdin && arguments.password.is_some() {
        "conflicting options: cannot specify both --password and --password-stdin"
    } else if arguments.password_stdin && arguments.username.is_none() {
        "the --password-stdin option requires --username to be set"
    } else if empty(&arguments.username) {
        "username is empty"
    } else if empty(&arguments.password) {
        "password is empty"
    } else {
        return Ok(());
    };
    Err(Failure::error(wrong))
}

/// Tries what is kept already. Is it still good?
fn again(registry: &Registry, server: &Server, login: &Login) -> Result<bool> {
    say(&format!(
        "Authenticating with existing credentials... [Username: {}]\n\n\
         \x20Info -> To login with a different account, run 'docker logout' followed by 'docker login'\n\n",
        login.user
    ));
    let tried = runtime::heavy(async { Ok(registry.login(server, login).await) })?;
    match tried {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == RegistryErrorKind::Unauthorized => {
            say("Stored credentials invalid or expired\n");
            Ok(false)
        }
        Err(error) => {
            say(&format!("Login did not succeed, error: {error}\n"));
            Ok(false)
        }
    }
}

/// What was given, and what a person at the terminal says to the rest.
fn asked(arguments: &Arguments, password: Option<String>, known: Option<&Login>) -> Result<Login> {
    let complete = arguments.username.is_some() && password.is_some();
    if !complete && !io::stdin().is_terminal() {
        let message = "Cannot perform an interactive login from a non TTY device";
        return Err(Failure::with_hint(message, "give -u and --password-stdin"));
    }
    let user = match &arguments.username {
        Some(user) => user.trim().to_owned(),
        None => {
            let default = known.map(|login| login.user.clone()).unwrap_or_default();
            print(&if default.is_empty() {
                "Username: ".to_owned()
            } else {
                format!("Username ({default}): ")
            })?;
            let typed = patiently(line)?;
            if typed.is_empty() { default } else { typed }
        }
    };
    if user.is_empty() {
        return Err(Failure::error("Error: Non-null Username Required"));
    }
    let password = match password {
        Some(password) => password,
        None => {
            print("Password: ")?;
            let typed = hidden()?;
            print("\n")?;
            typed
        }
    };
    if password.is_empty() {
        return Err(Failure::error("Error: Password Required"));
    }
    Ok(Login::new(user, password))
}

fn line() -> Result<String> {
    let mut text = String::new();
    let read = io::stdin().lock().read_line(&mut text);
    read.map_err(|error| cannot_read(&error))?;
    Ok(text.trim().to_owned())
}

/// A line that the terminal does not show. However this ends, it shows the next one.
fn hidden() -> Result<String> {
    struct Shown(Termios);
    impl Drop for Shown {
        fn drop(&mut self) {
            if let Err(error) = tcsetattr(io::stdin(), OptionalActions::Now, &self.0) {
                say(&format!(
                    "Error: failed to restore terminal state to echo input: {error}\n"
                ));
            }
        }
    }
    let before = tcgetattr(io::stdin()).map_err(|error| cannot_read(&error.into()))?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(io::stdin(), OptionalActions::Now, &silent)
        .map_err(|error| cannot_read(&error.into()))?;
    let _shown = Shown(before);
    patiently(line)
}

/// Waits for somebody to type, and minds ^C: signals were taken over when the registry was asked first.
fn patiently(read: fn() -> Result<String>) -> Result<String> {
    let typed = runtime::heavy(async {
        let read = wharf_os::blocking::start(read).await;
        read.unwrap_or_else(|_| Err(Failure::error("nothing could be read")))
    });
    typed.map_err(|failure| match failure {
        // Nothing has come so far that could be kept.
        Failure::Signal { number, .. } => Failure::Signal {
            number,
            message: "",
        },
        other => other,
    })
}

fn password_from_stdin() -> Result<String> {
    let mut text = String::new();
    let read = io::stdin()
        .lock()
        .take(PASSWORD_MAX)
        .read_to_string(&mut text);
    read.map_err(|error| cannot_read(&error))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

fn cannot_read(error: &io::Error) -> Failure {
    Failure::error(format!("cannot read from standard input: {error}"))
}

/// Runs `wharf logout`.
pub(crate) fn logout(context: &Context, arguments: &LogoutArguments) -> Result<()> {
    context.usage.at_most(&arguments.server, 1)?;
    let server = Server::new(arguments.server.first().map(String::as_str));
    let registry = Registry::new(context.settings()?.registry);
    print(&format!("Removing login credentials for {}\n", server.key))?;
    runtime::heavy(async {
        if let Err(failed) = registry.logout(&server).await {
            let mut text = "WARNING: could not erase credentials:\n".to_owned();
            for (key, error) in failed {
                text.push_str(&format!("{key}: {error}\n"));
            }
            say(&text);
        }
        Ok(())
    })
}
