//! What a registry's refusal means.
//!
//! The body of an error is `{"errors":[{"code","message","detail"}]}` (OCI distribution-spec,
//! "Error codes"). Token services and proxies have other forms; some have none.

use std::time::SystemTime;

use reqwest::StatusCode;
use serde::Deserialize;
use wharf_core::{Digest, go_json};

use crate::error::RegistryError;
use crate::exchange::Incoming;
use crate::redact;
use crate::retry::reset;

/// Bounds an error's body (security rule 4, CVE-2020-1702). The longest useful one is a few KiB.
pub(crate) const ERROR_BODY_MAX: u64 = 64 * 1024;

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) enum Topic {
    /// A manifest, by the image's name as Docker shows it.
    Manifest(String),
    /// A blob.
    Blob(Digest),
    /// Something of a whole repository.
    Repository,
}

/// Whom it was asked from, in messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whom<'a> {
    /// The registry or mirror.
    pub(crate) place: &'a str,
    /// The repository, as Docker shows it.
    pub(crate) repository: &'a str,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    errors: Vec<WireError>,
    // Token services: distribution's, Docker Hub's, OAuth2's (RFC 6749, section 5.2).
    code: serde_json::Value,
    message: Option<String>,
    details: Option<String>,
    error: serde_json::Value,
    error_description: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireError {
    code: String,
    message: Option<String>,
}

/// What a 401 without a body says, as the answer to a HEAD is (Docker 28.5: push).
const UNAUTHORIZED: &str = "unauthorized: authentication required";

/// What an error's body says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// The first error's code: `MANIFEST_UNKNOWN`. Empty if there is none.
    pub(crate) code: String,
    /// For a person: `manifest unknown: manifest unknown`.
    pub(crate) text: String,
}

/// Reads what an answer that is an error says. A body that cannot be read says nothing.
pub(crate) async fn said(incoming: &mut Incoming) -> Said {
    let status = incoming.response.status();
    let body = incoming.body(ERROR_BODY_MAX).await.unwrap_or_default();
    let mut said = parse(&body);
    if said.text.is_empty() {
        said.text = if status == StatusCode::UNAUTHORIZED {
            UNAUTHORIZED.to_owned()
        } else {
            let reason = status.canonical_reason().unwrap_or("unknown status");
            format!("{} {reason}", status.as_u16())
        };
    }
    said
}

fn parse(body: &[u8]) -> Said {
    let Ok(wire) = go_json::from_slice::<Wire>(body) else {
        return Said::default();
    };
    if let Some(first) = wire.errors.first() {
        let code = first.code.clone();
        let words = code.to_lowercase().replace('_', " ");
        let text = match first
            .message
            .as_deref()
            .filter(|message| !message.is_empty())
        {
            Some(message) => format!("{words}: {message}"),
            None => words,
        };
        return Said {
            code: redact::foreign(&code),
            text: redact::foreign(&text),
        };
    }
    let word = |value: serde_json::Value| value.as_str().map(str::to_owned);
    let code = word(wire.code)
        .or_else(|| word(wire.error))
        .unwrap_or_default();
    let text = wire
        .error_description
        .or(wire.details)
        .or(wire.message)
        .unwrap_or_default();
    let text = if text.is_empty() { code.clone() } else { text };
    Said {
        code: redact::foreign(&code),
        text: redact::foreign(&text),
    }
}

/// Turns an answer that is an error into ours. A 401 is [`crate::auth`]'s business first.
pub(crate) async fn refusal(
    incoming: &mut Incoming,
    topic: &Topic,
    whom: Whom<'_>,
) -> RegistryError {
    let said = said(incoming).await;
    let status = incoming.response.status();
    let (place, answer) = (whom.place.to_owned(), said.text);
    let reset = reset(incoming.response.headers(), SystemTime::now());
    let denied = || RegistryError::Denied {
        name: whom.repository.to_owned(),
        place: whom.place.to_owned(),
        answer: answer.clone(),
    };
    match (status, said.code.as_str()) {
        (StatusCode::TOO_MANY_REQUESTS, _) => RegistryError::RateLimited {
            place,
            answer,
            reset,
        },
        (StatusCode::UNAUTHORIZED, _) => RegistryError::Unauthorized {
            place,
            credentials: "an anonymous request".to_owned(),
            given: false,
            answer,
        },
        (StatusCode::FORBIDDEN, _) | (_, "DENIED") => denied(),
        (StatusCode::NOT_FOUND, "NAME_UNKNOWN") => RegistryError::NotFound {
            what: format!("repository {}", whom.repository),
            answer,
        },
        (StatusCode::NOT_FOUND | StatusCode::GONE, _) => RegistryError::NotFound {
            what: topic.words(whom),
            answer,
        },
        _ => {
            let request = incoming.request.clone();
            // The status is in the message already.
            let answer = if said.code.is_empty() {
                String::new()
            } else {
                answer
            };
            RegistryError::Status {
                request,
                status,
                answer,
                reset,
            }
        }
    }
}

impl Topic {
    fn words(&self, whom: Whom<'_>) -> String {
        match self {
            Self::Manifest(name) => format!("manifest for {name}"),
            Self::Blob(digest) => format!("blob {digest} of {}", whom.repository),
            Self::Repository => format!("repository {}", whom.repository),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(body: &str) -> String {
        parse(body.as_bytes()).text
    }

    #[test]
    fn reads_the_specs_errors_in_dockers_words() {
        let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown",
            "detail":{"Tag":"nope"}},{"code":"X"}]}"#;
        assert_eq!(text(body), "manifest unknown: manifest unknown");
        assert_eq!(parse(body.as_bytes()).code, "MANIFEST_UNKNOWN");
        assert_eq!(text(r#"{"errors":[{"code":"DENIED"}]}"#), "denied");
    }

    #[test]
    fn reads_what_token_services_say() {
        assert_eq!(
            text(r#"{"details":"incorrect username or password"}"#),
            "incorrect username or password"
        );
        assert_eq!(
            text(r#"{"error":"invalid_grant","error_description":"expired"}"#),
            "expired"
        );
        assert_eq!(text(r#"{"error":"invalid_grant"}"#), "invalid_grant");
        assert_eq!(text(r#"{"code":401,"message":"no"}"#), "no");
    }

    #[test]
    fn is_not_impressed_by_anything_else() {
        for body in [
            "",
            "<html>",
            "[]",
            "{}",
            r#"{"errors":[]}"#,
            r#"{"errors":7}"#,
        ] {
            assert_eq!(parse(body.as_bytes()), Said::default(), "{body}");
        }
        let coloured = r#"{"errors":[{"code":"A","message":"\u001b[2Jgone"}]}"#;
        assert_eq!(text(coloured), "a: [2Jgone");
    }

    proptest! {
        #[test]
        fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&body);
        }
    }
}
