//! What can go wrong between this machine and a registry.
//!
//! An error's text says what failed and why, in Docker's words where Docker has words for it;
//! [`RegistryError::hint`] says what to do; [`RegistryError::kind`] is what an edge turns into an
//! exit code or a status. Neither holds a secret: addresses come without user and query.

mod tls;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use wharf_core::manifest::ManifestError;
use wharf_core::{ContentError, Digest};

pub use self::tls::TlsTrouble;
use self::tls::tls_hint;
use crate::redact::{self, ShownUrl};

/// The kind of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistryErrorKind {
    /// What the user set up is wrong: a mirror's address, a certificate's file.
    Invalid,
    /// The registry does not have it.
    NotFound,
    /// The registry wants credentials, or other ones (401).
    Unauthorized,
    /// The registry says no (403).
    Forbidden,
    /// The registry asks for patience (429).
    RateLimited,
    /// The registry, or the way to it, does not work; trying again may help.
    Unavailable,
    /// The registry sent something else than it should.
    Corrupt,
}

/// Why a registry did not give what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It does not have it. Docker's words.
    #[error("{what} not found: {answer}")]
    NotFound {
        /// `manifest for busybox:nope`, `repository busybox`.
        what: String,
        /// What the registry said: `manifest unknown: manifest unknown`.
        answer: String,
    },
    /// It wants credentials, and there are none. Docker's words.
    #[error("{}no basic auth credentials", request.as_ref().map_or(String::new(), |r| format!("{r}: ")))]
    NoCredentials {
        /// `Head "https://registry.corp/v2/app/manifests/1"`; Docker does not name those of a push.
        request: Option<String>,
        /// The registry's name in references.
        place: String,
        /// Why those that are kept for it cannot be used.
        trouble: Option<String>,
    },
    /// It refused the credentials that it was given, or wants some (401).
    #[error("{place} refused {credentials}: {answer}")]
    Unauthorized {
        /// The registry.
        place: String,
        /// Which credentials: `the credentials from /root/.docker/config.json`.
        credentials: String,
        /// Were there any?
        given: bool,
        /// What the registry said.
        answer: String,
    },
    /// It does not take a login. Docker's words.
    #[error("login attempt to {url} failed with status: {status}")]
    LoginRefused {
        /// `https://registry.corp/v2/`.
        url: ShownUrl,
        /// `401 Unauthorized`.
        status: reqwest::StatusCode,
        /// What the registry said.
        answer: String,
    },
    /// It says no (403, or a token for too little). Docker's words.
    #[error(
        "pull access denied for {name}, repository does not exist or may require 'docker login': \
         {answer}"
    )]
    Denied {
        /// The repository, as Docker shows it.
        name: String,
        /// The registry's name in references.
        place: String,
        /// What the registry said.
        answer: String,
    },
    /// It does not take what it is sent (403, or a token for too little). The registry's words, as
    /// Docker prints them.
    #[error("{answer}")]
    PushDenied {
        /// The registry's name in references.
        place: String,
        /// What the registry said.
        answer: String,
    },
    /// It asks for patience (429).
    #[error("{place} limits the rate of requests: {answer}{}", reset_words(.reset))]
    RateLimited {
        /// The registry.
        place: String,
        /// What the registry said.
        answer: String,
        /// When to come back, from now, if it said so.
        reset: Option<Duration>,
    },
    /// It answered with a status that does not help.
    #[error("{request}: {status}{}", colon(.answer))]
    Status {
        /// `Get "https://registry.corp/v2/app/manifests/1"`.
        request: String,
        /// `503 Service Unavailable`.
        status: reqwest::StatusCode,
        /// What the registry said.
        answer: String,
        /// When to come back, from now, if it said so.
        reset: Option<Duration>,
    },
    /// A web server that is no registry answered with an error. Docker's words.
    #[error("failed to GET {address} with status {status}: {answer}")]
    Web {
        /// What was asked for.
        address: ShownUrl,
        /// `404 Not Found`.
        status: reqwest::StatusCode,
        /// What the server said.
        answer: String,
    },
    /// No connection came about. Docker's words.
    #[error("{request}: {reason}")]
    Unreachable {
        /// `Get "https://registry.corp/v2/"`.
        request: String,
        /// `dial tcp 127.0.0.1:5999: connect: connection refused`.
        reason: String,
    },
    /// A connection came about, but no trust.
    #[error("{request}: tls: {trouble}")]
    Tls {
        /// `Get "https://registry.corp/v2/"`.
        request: String,
        /// The host that was talked to, with its port if it isn't 443.
        host: String,
        /// What is wrong.
        trouble: TlsTrouble,
        /// Where a certificate for this host would be looked for.
        folder: Option<PathBuf>,
    },
    /// A connection broke or said nothing for too long.
    #[error("{request}: {reason}")]
    Broken {
        /// `Get "https://registry.corp/v2/app/blobs/sha256:…"`.
        request: String,
        /// `the connection was closed in mid-answer`.
        reason: String,
    },
    /// It sends or takes so little that the transfer would not end.
    #[error("{place} {verb} less than {limit}")]
    TooSlow {
        /// The registry or mirror.
        place: String,
        /// `sends`, `takes`.
        verb: &'static str,
        /// `1024 bytes a second`.
        limit: String,
    },
    /// A blob did not come to its end, after all attempts.
    #[error(
        "download of {what} stopped at {done} of {total} bytes; what is here is kept, and the next \
         pull goes on from there"
    )]
    Interrupted {
        /// The blob.
        what: Digest,
        /// How far it came.
        done: u64,
        /// How many bytes it has.
        total: u64,
        /// What stopped it.
        source: Box<RegistryError>,
    },
    /// The manifest cannot be read.
    #[error("manifest for {name} from {place}")]
    Manifest {
        /// The image, as Docker shows it.
        name: String,
        /// The registry or mirror that sent it.
        place: String,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// The bytes are not those that were asked for, or not those that the registry says they are.
    #[error(
        "{place} sent a wrong manifest for {name}: expected {expected}, its bytes are {actual}"
    )]
    Mismatch {
        /// The image, as Docker shows it.
        name: String,
        /// The digest that it should have.
        expected: Digest,
        /// The digest that it has.
        actual: Digest,
        /// The registry or mirror that sent it.
        place: String,
    },
    /// A blob is longer or shorter than its descriptor says.
    #[error("{what} from {place} has {actual} bytes where its descriptor says {expected}")]
    Length {
        /// The blob.
        what: Digest,
        /// The descriptor's size.
        expected: u64,
        /// How many bytes came, or were announced.
        actual: u64,
        /// The registry or mirror that sent it.
        place: String,
    },
    /// An answer is longer than wharf reads.
    #[error("{request}: the answer is larger than {limit} bytes")]
    TooLarge {
        /// `Get "https://registry.corp/v2/app/manifests/1"`.
        request: String,
        /// How much is read.
        limit: u64,
    },
    /// It does not keep to the rules of its own protocol.
    #[error("{request}: {reason}")]
    Protocol {
        /// `Get "https://registry.corp/v2/app/manifests/1"`.
        request: String,
        /// Which rule.
        reason: String,
    },
    /// It broke off an upload, after all attempts.
    #[error("upload of {what} stopped at {done} of {total} bytes")]
    Unsent {
        /// The blob.
        what: Digest,
        /// How far it came.
        done: u64,
        /// How many bytes it has.
        total: u64,
        /// What stopped it.
        source: Box<RegistryError>,
    },
    /// A file with a certificate or a key cannot be used.
    #[error("cannot use {}: {reason}", .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A setting cannot be used.
    #[error("{what}: {reason}")]
    Setting {
        /// Which: `mirror ftp://x of docker.io`.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl RegistryError {
    /// Its kind.
    pub fn kind(&self) -> RegistryErrorKind {
        use RegistryErrorKind as Kind;
        match self {
            Self::NotFound { .. } => Kind::NotFound,
            Self::NoCredentials { .. } | Self::Unauthorized { .. } => Kind::Unauthorized,
            Self::LoginRefused { status, .. } if status.as_u16() == 401 => Kind::Unauthorized,
            Self::LoginRefused { .. } => Kind::Unavailable,
            Self::Denied { .. } | Self::PushDenied { .. } => Kind::Forbidden,
            Self::RateLimited { .. } => Kind::RateLimited,
            Self::Web { status, .. } => match status.as_u16() {
                400 => Kind::Invalid,
                401 => Kind::Unauthorized,
                403 => Kind::Forbidden,
                404 => Kind::NotFound,
                _ => Kind::Unavailable,
            },
            Self::Status { .. }
            | Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::Broken { .. }
            | Self::TooSlow { .. } => Kind::Unavailable,
            Self::Interrupted { source, .. } | Self::Unsent { source, .. } => source.kind(),
            Self::Manifest { .. }
            | Self::Mismatch { .. }
            | Self::Length { .. }
            | Self::TooLarge { .. }
            | Self::Protocol { .. } => Kind::Corrupt,
            Self::Certificate { .. } | Self::Setting { .. } => Kind::Invalid,
        }
    }

    /// What to do about it, where that is known: one line, as a sentence without its full stop.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoCredentials {
                place,
                trouble: Some(trouble),
                ..
            } => Some(format!(
                "{trouble}; correct it, or log in with `wharf login {place}`"
            )),
            Self::NoCredentials { place, .. }
            | Self::Unauthorized {
                place,
                given: false,
                ..
            } => Some(format!("log in with `wharf login {place}`")),
            Self::Unauthorized { place, .. } => Some(format!(
                "the user name, the password or the token is wrong or has expired; log in again \
                 with `wharf login {place}`"
            )),
            Self::LoginRefused { answer, .. } => Some(format!("the registry says: {answer}")),
            Self::Denied { place, .. } => Some(format!(
                "check the name; if it is right, log in with `wharf login {place}`"
            )),
            Self::PushDenied { place, .. } => Some(format!(
                "log in with `wharf login {place}` as somebody who may push there"
            )),
            Self::RateLimited { place, .. } => Some(format!(
                "wait, log in with `wharf login {place}` for a higher limit, or set a mirror"
            )),
            Self::Tls {
                host,
                trouble,
                folder,
                ..
            } => tls_hint(host, trouble, folder.as_ref()),
            Self::Unreachable { .. } | Self::Broken { .. } => {
                Some("check the name and the network, HTTPS_PROXY and NO_PROXY".to_owned())
            }
            Self::TooSlow { limit, .. } if limit.ends_with("a second") => Some(
                "if the line is that slow, set a smaller min_rate below [pull] in wharf's config.toml"
                    .to_owned(),
            ),
            Self::Interrupted { source, .. } | Self::Unsent { source, .. } => source.hint(),
            _ => None,
        }
    }

    /// The same error, of a request that sends something.
    pub(crate) fn of_push(self) -> Self {
        match self {
            Self::Denied { place, answer, .. } => Self::PushDenied { place, answer },
            error => error,
        }
    }

    /// The same error, with the reason why the credentials that are kept were not shown.
    pub(crate) fn without_credentials(mut self, reason: &str) -> Self {
        match &mut self {
            Self::NoCredentials { trouble, .. } => *trouble = Some(reason.to_owned()),
            Self::Unauthorized {
                given: false,
                answer,
                ..
            }
            | Self::Denied { answer, .. } => *answer = format!("{answer}; {reason}"),
            _ => {}
        }
        self
    }

    /// The registry's error inside a source's error, if that is what it is.
    pub fn within(error: &ContentError) -> Option<&Self> {
        match error {
            ContentError::Place(inner) => inner.downcast_ref(),
            _ => None,
        }
    }

    /// May the same request succeed a moment later? Then with which pause at least.
    pub(crate) fn passing(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { reset, .. } => Some(reset.unwrap_or_default()),
            Self::Status { status, reset, .. } => {
                let code = status.as_u16();
                let passing = code == 408 || (code >= 500 && code != 501 && code != 505);
                passing.then(|| reset.unwrap_or_default())
            }
            Self::Unreachable { .. } | Self::Broken { .. } => Some(Duration::ZERO),
            Self::Tls {
                trouble: TlsTrouble::Other(_),
                ..
            } => Some(Duration::ZERO),
            _ => None,
        }
    }

    /// Is the connection or the registry's load to blame, and not what was asked for?
    pub(crate) fn is_of_the_way(&self) -> bool {
        matches!(self, Self::TooSlow { .. }) || self.passing().is_some()
    }

    /// The error and its causes in one line.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl From<RegistryError> for ContentError {
    fn from(error: RegistryError) -> Self {
        Self::place(error)
    }
}

fn colon(answer: &str) -> String {
    if answer.is_empty() {
        String::new()
    } else {
        format!(": {answer}")
    }
}

fn reset_words(reset: &Option<Duration>) -> String {
    match reset.map(|pause| pause.as_secs()) {
        None => String::new(),
        Some(seconds @ 0..=119) => format!("; it resets in {seconds} s"),
        Some(seconds @ 120..=7199) => format!("; it resets in {} min", seconds.div_ceil(60)),
        Some(seconds) => format!("; it resets in {} h", seconds.div_ceil(3600)),
    }
}

/// How Docker names a request in its errors: `Get "http://127.0.0.1:5999/v2/"`.
pub(crate) fn request_words(method: &reqwest::Method, url: &reqwest::Url) -> String {
    let verb = match method.as_str() {
        "HEAD" => "Head",
        "POST" => "Post",
        "PUT" => "Put",
        "PATCH" => "Patch",
        "DELETE" => "Delete",
        _ => "Get",
    };
    format!("{verb} \"{}\"", redact::url(url))
}
