//! What went wrong, for a person, and of which kind it is, for an edge.

use std::error::Error;

/// The kind of an error. An edge turns it into an exit code or an HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request itself is wrong: a bad name, a bad filter.
    Invalid,
    /// What was asked for is not here, or not in the registry.
    NotFound,
    /// Something else stands in the way: another name, a running use.
    Conflict,
    /// The registry wants credentials, or other ones (401).
    Unauthorized,
    /// The registry knows who asks, and says no (403).
    Forbidden,
    /// The registry asks for patience (429).
    RateLimited,
    /// A registry, a host or a disk does not answer as it should; trying again may help.
    Unavailable,
    /// Content is not what its digest or its document says.
    Corrupt,
    /// Everything else.
    Internal,
}

/// An error with a message in Docker's words where Docker has words for it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    /// Its kind.
    pub kind: ErrorKind,
    /// What failed, and why: one line, lower case, no full stop, no secret.
    pub message: String,
    /// What to do next, where that helps.
    pub hint: Option<String>,
    /// What caused it.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl EngineError {
    /// An error of a kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            source: None,
        }
    }

    /// The same with a cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Docker's words for an image that is not here.
    pub fn no_such_image(name: &str) -> Self {
        Self::new(ErrorKind::NotFound, format!("No such image: {name}"))
    }

    /// The message and the causes below it, in one line: `a: b: c`.
    pub fn chain(&self) -> String {
        let cause = self.source.as_deref().map(|error| error as &dyn Error);
        with_causes(self.message.clone(), cause)
    }
}

/// Adds the causes to an error's own words: `a: b: c`. Words that stand at the end already are not said
/// twice.
pub(crate) fn with_causes(mut text: String, mut cause: Option<&dyn Error>) -> String {
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}
