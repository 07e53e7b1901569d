//! Tokens of a registry's token service.
//!
//! Two ways to ask (distribution's documentation, "Token authentication"): GET, with Basic where
//! there is a password; and POST in OAuth2's manner, for an identity token.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;

use super::challenge::Bearer;
use crate::answer::{self, Topic, Whom};
use crate::credentials::{Credential, Found, json};
use crate::error::{RegistryError, request_words};
use crate::exchange::{Incoming, Outgoing, exchange};
use crate::http::Http;
use crate::place::{Place, is_loopback};
use crate::redact::Secret;

/// Bounds a token service's answer (security rule 4, CVE-2020-1702).
const ANSWER_MAX: u64 = 1024 * 1024;

/// How long a token is good for if the service does not say, and at least: as the specification
/// has it.
const LIFETIME_MIN: Duration = Duration::from_secs(60);

/// How long a token is used at most, whatever the service says: it is refused before, or got anew once a day.
const LIFETIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Bounds a token, in bytes: more than servers take in a header. Some hundred are kept.
const TOKEN_MAX: usize = 32 * 1024;

/// How long before its end a token is not used any more: a request may wait in a queue.
const MARGIN: Duration = Duration::from_secs(10);

/// What wharf is called as an OAuth2 client.
const CLIENT_ID: &str = "wharf";

/// A token, and how long it is good for.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// The whole header: `Bearer …`.
    pub(crate) header: Secret,
    /// From when on it is not used any more.
    pub(crate) stale_at: Instant,
    /// What stands for the password from now on, if the service gave it.
    pub(crate) identity: Option<Secret>,
}

/// Who asks for a token, and for what.
pub(crate) struct Asking<'a> {
    pub(crate) place: &'a Place,
    /// The address that the registry itself was asked at.
    pub(crate) registry: &'a Url,
    pub(crate) scopes: &'a [String],
    pub(crate) found: Option<&'a Found>,
    /// The repository, as Docker shows it.
    pub(crate) repository: &'a str,
    /// Shall there be an identity token, too?
    pub(crate) offline: bool,
}

/// Asks a token service for a token.
pub(crate) async fn fetch(
    http: &Http,
    bearer: &Bearer,
    asking: &Asking<'_>,
) -> Result<Token, RegistryError> {
    check_realm(bearer, asking)?;
    let basic;
    let outgoing = match asking.found.map(|found| &found.credential) {
        Some(Credential::Identity(token)) => post(bearer, asking, token),
        Some(Credential::Password { user, password }) => {
            basic = super::basic(user, password);
            Outgoing {
                authorization: Some(&basic),
                ..get(bearer, asking, Some(user))
            }
        }
        Some(Credential::Registry(_)) | None => get(bearer, asking, None),
    };
    let mut incoming = exchange(http, Some(asking.place), &outgoing).await?;
    match incoming.response.status() {
        StatusCode::OK => {
            let request = incoming.request.clone();
            let body = incoming.body(ANSWER_MAX).await?;
            read(&body, jiff::Timestamp::now()).map_err(|reason| RegistryError::Protocol {
                request,
                reason: reason.to_owned(),
            })
        }
        _ => Err(refusal(&mut incoming, asking).await),
    }
}

/// The realm gets the user's password: https, unless the registry itself does without
/// (security rule 8).
fn check_realm(bearer: &Bearer, asking: &Asking<'_>) -> Result<(), RegistryError> {
    let realm = &bearer.realm;
    let at_home = is_loopback(asking.registry) && is_loopback(realm);
    let plain = asking.place.insecure || asking.registry.scheme() == "http" || at_home;
    match realm.scheme() {
        "https" => Ok(()),
        "http" if plain => Ok(()),
        _ => Err(RegistryError::Protocol {
            request: request_words(&Method::GET, realm),
            reason: format!(
                "{} wants tokens from a service that is not https; nothing was sent there",
                asking.place.name
            ),
        }),
    }
}

fn get<'a>(bearer: &Bearer, asking: &Asking<'_>, account: Option<&str>) -> Outgoing<'a> {
    let mut url = bearer.realm.clone();
    {
        let mut query = url.query_pairs_mut();
        if let Some(account) = account {
            query.append_pair("account", account);
        }
        for scope in asking.scopes {
            query.append_pair("scope", scope);
        }
        if let Some(service) = &bearer.service {
            query.append_pair("service", service);
        }
        if asking.offline {
            query.append_pair("offline_token", "true");
            query.append_pair("client_id", CLIENT_ID);
        }
    }
    Outgoing::get(url)
}

fn post<'a>(bearer: &Bearer, asking: &Asking<'_>, token: &Secret) -> Outgoing<'a> {
    // An address' query is written as a form is.
    let mut form = bearer.realm.clone();
    form.set_query(None);
    form.query_pairs_mut()
        .append_pair("grant_type", "refresh_token")
        .append_pair("service", bearer.service.as_deref().unwrap_or_default())
        .append_pair("client_id", CLIENT_ID)
        .append_pair("scope", &asking.scopes.join(" "))
        .append_pair("refresh_token", token.reveal());
    Outgoing {
        method: Method::POST,
        form: form.query().map(str::to_owned),
        ..Outgoing::get(bearer.realm.clone())
    }
}

fn read(body: &[u8], now: jiff::Timestamp) -> Result<Token, &'static str> {
    let parsed = json::object(body).map_err(|_| "the token service's answer is not a token")?;
    let mut answer = parsed.unwrap_or_default();
    // What is not a text is no token; what else is wrong with an answer does not make its token worse.
    let mut given = |key| json::take_text(&mut answer, key).ok().flatten();
    let token = given("token").or_else(|| given("access_token"));
    let (identity, issued_at) = (given("refresh_token"), given("issued_at"));
    let token = token.ok_or("the token service's answer holds no token")?;
    if token.len() > TOKEN_MAX
        || identity
            .as_ref()
            .is_some_and(|token| token.len() > TOKEN_MAX)
    {
        return Err("the token service's token is too long");
    }
    let issued_at: Option<jiff::Timestamp> = issued_at.and_then(|text| text.parse().ok());
    let lifetime = json::take(&mut answer, "expires_in")
        .and_then(|value| seconds(&value))
        .unwrap_or_default()
        .clamp(LIFETIME_MIN, LIFETIME_MAX);
    // Only an age that can be true counts: this machine's clock and theirs may differ by hours.
    let age = issued_at
        .and_then(|issued| Duration::try_from(now.duration_since(issued)).ok())
        .filter(|age| *age + MARGIN < lifetime)
        .unwrap_or_default();
    let left = lifetime.saturating_sub(age).saturating_sub(MARGIN);
    Ok(Token {
        header: Secret::new(format!("Bearer {token}")),
        stale_at: Instant::now() + left,
        identity: identity.map(Secret::new),
    })
}

/// A number of seconds, as services write it: 300, 300.0, "300". More than can be counted is very long.
fn seconds(value: &Value) -> Option<Duration> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    let known = number.is_finite() && number >= 0.0;
    known.then(|| Duration::try_from_secs_f64(number).unwrap_or(Duration::MAX))
}

async fn refusal(incoming: &mut Incoming, asking: &Asking<'_>) -> RegistryError {
    let status = incoming.response.status();
    // OAuth2 says 400 for a refresh token that is not good any more (RFC 6749, section 5.2).
    let refused = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::BAD_REQUEST);
    if refused {
        let said = answer::said(incoming).await;
        return super::unauthorized(asking.place, asking.found, said.text);
    }
    let whom = Whom {
        place: &asking.place.name,
        repository: asking.repository,
    };
    match answer::refusal(incoming, &Topic::Repository, whom).await {
        // A token service that is not there is no missing repository.
        RegistryError::NotFound { answer, .. } => RegistryError::Protocol {
            request: incoming.request.clone(),
            reason: format!("no token service answers there: {answer}"),
        },
        error => error,
    }
}

/// A Basic header.
pub(crate) fn basic(user: &str, password: &Secret) -> Secret {
    let pair = format!("{user}:{}", password.reveal());
    Secret::new(format!("Basic {}", STANDARD.encode(pair)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In whole seconds.
    fn left(body: &str) -> u64 {
        let now: jiff::Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let token = read(body.as_bytes(), now).unwrap();
        let left = token.stale_at.saturating_duration_since(Instant::now());
        (left + Duration::from_millis(500)).as_secs()
    }

    #[test]
    fn knows_how_long_a_token_is_good() {
        assert_eq!(left(r#"{"token":"t"}"#), 50);
        assert_eq!(left(r#"{"token":"t","expires_in":5}"#), 50);
        assert_eq!(left(r#"{"token":"t","expires_in":300}"#), 290);
        let issued = r#"{"token":"t","expires_in":300,"issued_at":"2026-01-01T11:59:00Z"}"#;
        assert_eq!(left(issued), 230);
    }

    #[test]
    fn trusts_no_clock_but_its_own() {
        for issued in ["2026-01-01T09:00:00Z", "2026-01-01T15:00:00Z"] {
            let body = format!(r#"{{"token":"t","expires_in":300,"issued_at":"{issued}"}}"#);
            assert_eq!(left(&body), 290, "{issued}");
        }
    }

    #[test]
    fn takes_either_name_of_a_token_and_nothing_else() {
        let now = jiff::Timestamp::UNIX_EPOCH;
        let token = read(br#"{"access_token":"abc"}"#, now).unwrap();
        assert_eq!(token.header.reveal(), "Bearer abc");
        for bad in ["", "{}", r#"{"token":""}"#, r#"{"token":7}"#, "[]"] {
            assert!(read(bad.as_bytes(), now).is_err(), "{bad}");
        }
    }

    #[test]
    fn survives_a_token_for_ever() {
        let body = format!(r#"{{"token":"t","expires_in":{}}}"#, u64::MAX);
        assert!(read(body.as_bytes(), jiff::Timestamp::UNIX_EPOCH).is_ok());
    }

    #[test]
    fn an_odd_time_does_not_spoil_a_token() {
        let day = LIFETIME_MAX.as_secs() - 10;
        for (expires, expected) in [
            ("null", 50),
            ("-1", 50),
            ("[300]", 50),
            ("\"soon\"", 50),
            ("\"NaN\"", 50),
            ("\"300\"", 290),
            ("300.0", 290),
            ("18446744073709551616", day),
            ("1e300", day),
            ("\"1e999\"", 50),
        ] {
            let body = format!(r#"{{"token":"t","expires_in":{expires},"issued_at":"never"}}"#);
            assert_eq!(left(&body), expected, "{expires}");
        }
    }

    #[test]
    fn reads_an_answer_as_go_does() {
        let now = jiff::Timestamp::UNIX_EPOCH;
        for body in [
            r#"{"Token":"abc"}"#,
            r#"{"token":"x","token":"abc"}"#,
            r#"{"token":null,"access_token":"abc","refresh_token":null}"#,
            r#"{"token":7,"access_token":"abc"}"#,
            "\u{feff}{\"token\":\"abc\"}",
        ] {
            let token = read(body.as_bytes(), now).unwrap();
            assert_eq!(token.header.reveal(), "Bearer abc", "{body}");
        }
    }

    #[test]
    fn a_token_that_no_server_takes_is_refused() {
        let long = "x".repeat(TOKEN_MAX + 1);
        for key in ["token", "access_token", "refresh_token"] {
            let body = format!(r#"{{"token":"t","{key}":"{long}"}}"#);
            let read = read(body.as_bytes(), jiff::Timestamp::UNIX_EPOCH);
            assert_eq!(read.is_err(), key != "access_token", "{key}");
        }
    }
}
