//! Credential helpers: `docker-credential-NAME get`, the registry on stdin, JSON on stdout; `store` and
//! `erase`, what to keep or to forget on stdin.
//!
//! Protocol: github.com/docker/docker-credential-helpers, README. Nothing secret is ever among the
//! arguments.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::config::credential;
use super::{Credential, Trouble};
use crate::redact;

/// What a helper says when it has nothing for a registry.
const NOT_FOUND: &str = "credentials not found";

/// Bounds a helper's answer, in bytes. Tokens of cloud registries have a few KiB.
const ANSWER_MAX: u64 = 1024 * 1024;

/// How long a helper may take: some ask a person for the key to their keychain.
const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// The name of a helper's program.
pub(super) fn program(name: &str) -> String {
    format!("docker-credential-{name}")
}

/// Asks a helper; `None` if it has nothing for this registry.
pub(super) async fn get(
    name: &str,
    registry: &str,
    path: Option<&OsStr>,
) -> Result<Option<Credential>, Trouble> {
    let program = program(name);
    let trouble = |reason: String| Trouble(format!("{}: {reason}", redact::foreign(&program)));
    // It comes from a file, and names a program: it must not become a path to another one.
    if name.contains(['/', '\\', '\0']) {
        return Err(trouble("it is not a helper's name".to_owned()));
    }
    let (ok, stdout) = tokio::time::timeout(TIMEOUT, run(&program, "get", registry, path))
        .await
        .map_err(|_| trouble(format!("it did not answer within {} s", TIMEOUT.as_secs())))?
        .map_err(|error| trouble(error.to_string()))?;
    if !ok {
        // The answer of a helper that failed is a message; what it holds is never a secret by the
        // protocol, but who knows: it's only looked at.
        let none = String::from_utf8_lossy(&stdout).contains(NOT_FOUND);
        return if none {
            Ok(None)
        } else {
            Err(trouble("it failed".to_owned()))
        };
    }
    let answer: Answer = serde_json::from_slice(&stdout)
        .map_err(|_| trouble("its answer is not what a helper answers".to_owned()))?;
    if answer.secret.is_empty() {
        return Ok(None);
    }
    Ok(Some(credential(answer.username, answer.secret)))
}

/// Tells a helper to keep or to forget something.
pub(super) async fn tell(
    name: &str,
    verb: &str,
    input: &str,
    path: Option<&OsStr>,
) -> Result<(), Trouble> {
    let program = program(name);
    let trouble = |reason: String| Trouble(format!("{}: {reason}", redact::foreign(&program)));
    if name.contains(['/', '\\', '\0']) {
        return Err(trouble("it is not a helper's name".to_owned()));
    }
    let (ok, stdout) = tokio::time::timeout(TIMEOUT, run(&program, verb, input, path))
        .await
        .map_err(|_| trouble(format!("it did not answer within {} s", TIMEOUT.as_secs())))?
        .map_err(|error| trouble(error.to_string()))?;
    let said = String::from_utf8_lossy(&stdout);
    if ok || (verb == "erase" && said.contains(NOT_FOUND)) {
        return Ok(());
    }
    Err(trouble("it failed".to_owned()))
}

/// Runs a helper. Says whether it succeeded, and what it wrote.
async fn run(
    program: &str,
    verb: &str,
    input: &str,
    path: Option<&OsStr>,
) -> std::io::Result<(bool, Vec<u8>)> {
    let mut command = Command::new(program);
    if let Some(path) = path {
        // The program is looked for in the child's PATH.
        command.env("PATH", path);
    }
    let mut child = command
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that has read enough may be gone already: its answer counts.
        let written = stdin.write_all(format!("{input}\n").as_bytes()).await;
        drop(written);
    }
    let mut stdout = Vec::new();
    if let Some(out) = child.stdout.take() {
        out.take(ANSWER_MAX).read_to_end(&mut stdout).await?;
    }
    Ok((child.wait().await?.success(), stdout))
}
