//! What the steps check with, and what they send.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Debug;

use bollard::auth::DockerCredentials;
use bytes::Bytes;

/// Of a step, or of the program.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// Of a request.
pub(crate) type Answer<T> = Result<T, bollard::errors::Error>;

/// Fails unless what came is what was expected.
pub(crate) fn same<T: PartialEq + Debug>(what: &str, got: &T, expected: &T) -> Outcome<()> {
    check(
        what,
        got == expected,
        &format!("expected {expected:?}, got {got:?}"),
    )
}

/// Fails unless it is true.
pub(crate) fn check(what: &str, truth: bool, got: &dyn Debug) -> Outcome<()> {
    if truth {
        Ok(())
    } else {
        Err(format!("{what}: {got:?}").into())
    }
}

/// Fails unless the call fails with a status and with words.
pub(crate) fn refused<T: Debug>(status: u16, words: &str, got: Answer<T>) -> Outcome<()> {
    match got {
        Err(bollard::errors::Error::DockerResponseServerError {
            status_code,
            message,
        }) if status_code == status && message.contains(words) => Ok(()),
        other => Err(format!("no status {status} with {words:?}, but {other:?}").into()),
    }
}

/// Fails unless the stream has an error with words in it.
pub(crate) fn broke<T: Debug>(words: &str, got: Answer<T>) -> Outcome<()> {
    match got {
        Err(bollard::errors::Error::DockerStreamError { error }) if error.contains(words) => Ok(()),
        other => Err(format!("no error with {words:?} in the stream, but {other:?}").into()),
    }
}

/// Those of the user that the locked registry knows.
pub(crate) fn credentials(password: &str) -> Option<DockerCredentials> {
    Some(DockerCredentials {
        username: Some("ops".to_owned()),
        password: Some(password.to_owned()),
        ..DockerCredentials::default()
    })
}

/// One filter.
pub(crate) fn filters(name: &'static str, value: &str) -> HashMap<&'static str, Vec<String>> {
    HashMap::from([(name, vec![value.to_owned()])])
}

/// An archive with one file.
pub(crate) fn tar_of(name: &str, content: &[u8]) -> Outcome<Bytes> {
    let mut header = tar::Header::new_gnu();
    header.set_size(u64::try_from(content.len())?);
    header.set_mode(0o644);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, name, content)?;
    Ok(archive.into_inner()?.into())
}

/// Names in an order that they can be compared in.
pub(crate) fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}
