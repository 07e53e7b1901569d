//! Who a client is at a registry: it says so with each request, in `X-Registry-Auth`. What this machine's own user
//! has in files counts for nothing here: it is somebody else's.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};
use wharf_core::{Reference, go_json};
use wharf_engine::{Credential, ErrorKind, Given, Secret, Server, Whose};

use super::answer::{Failure, Result, json};
use super::{Api, body};

/// The header.
const HEADER: &str = "x-registry-auth";

/// Clients write it in the alphabet for addresses, with padding or without; some (bollard 0.21) in the common one.
const ALPHABET: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a client says of itself; Docker's `AuthConfig`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "lowercase")]
struct AuthConfig {
    username: String,
    password: String,
    /// The two above in one: `USER:PASSWORD`, in base64.
    auth: String,
    #[serde(rename = "serveraddress")]
    server_address: String,
    #[serde(rename = "identitytoken")]
    identity_token: String,
    #[serde(rename = "registrytoken")]
    registry_token: String,
}

impl AuthConfig {
    fn credential(self) -> Option<Credential> {
        let secret = |text: String| Secret::new(text);
        if !self.registry_token.is_empty() {
            return Some(Credential::Registry(secret(self.registry_token)));
        }
        if !self.identity_token.is_empty() {
            return Some(Credential::Identity(secret(self.identity_token)));
        }
        let (user, password) = if self.username.is_empty() && !self.auth.is_empty() {
            let decoded = base64::engine::general_purpose::STANDARD
                .decode(self.auth)
                .ok()?;
            let text = String::from_utf8(decoded).ok()?;
            let (user, password) = text.split_once(':')?;
            (user.to_owned(), password.to_owned())
        } else {
            (self.username, self.password)
        };
        (!user.is_empty()).then(|| Credential::Password {
            user,
            password: secret(password),
        })
    }
}

/// Whose credentials a request for a name is made with. What cannot be read is no credential, as in Docker:
/// most images need none.
pub(super) fn whose(headers: &HeaderMap, reference: &Reference) -> Whose {
    whose_at(headers, reference.domain())
}

/// The same for a registry.
pub(super) fn whose_at(headers: &HeaderMap, registry: &str) -> Whose {
    let read = || {
        let text = headers.get(HEADER)?.to_str().ok()?;
        let text = text.replace('+', "-").replace('/', "_");
        let bytes = ALPHABET.decode(text).ok()?;
        let config: AuthConfig = go_json::from_slice(&bytes).ok()?;
        Some(Given {
            registry: registry.to_owned(),
            credential: config.credential()?,
        })
    };
    Whose::Given(read())
}

/// What a login is answered with.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Welcome {
    identity_token: String,
    status: &'static str,
}

/// `POST /auth`
pub(super) async fn post(api: &Api, request: Body) -> Result<Response> {
    let read = body::whole(request).await;
    let bytes = read.ok_or_else(|| Failure::bad("the body is no login"))?;
    // serde's words would quote what was sent, and so a password.
    let config: AuthConfig =
        go_json::from_slice(&bytes).map_err(|_| Failure::bad("the body is no login in JSON"))?;
    let address = Some(config.server_address.clone()).filter(|address| !address.is_empty());
    let server = Server::new(address.as_deref());
    let Some(credential) = config.credential() else {
        return Err(Failure::bad(
            "username and password, or a token, are missing",
        ));
    };
    let token = api
        .engine
        .check_login(&server, &credential)
        .await
        .map_err(|error| {
            let refused = error.kind == ErrorKind::Unauthorized;
            let failure = Failure::from(error);
            // Docker has no status of its own for a password that its registry refuses (28.5: loginV2).
            if refused && failure.message.starts_with("login attempt") {
                Failure::new(StatusCode::INTERNAL_SERVER_ERROR, failure.message)
            } else {
                failure
            }
        })?;
    let welcome = Welcome {
        identity_token: token
            .map(|token| token.reveal().to_owned())
            .unwrap_or_default(),
        status: "Login Succeeded",
    };
    Ok(json(StatusCode::OK, &welcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(config: &str, padded: bool) -> Whose {
        let engine = base64::engine::general_purpose::URL_SAFE;
        let text = engine.encode(config);
        let text = if padded {
            &text
        } else {
            text.trim_end_matches('=')
        };
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, text.parse().unwrap());
        whose(&headers, &"registry.corp/app".parse().unwrap())
    }

    fn password() -> Whose {
        Whose::Given(Some(Given {
            registry: "registry.corp".into(),
            credential: Credential::Password {
                user: "ops".into(),
                password: Secret::new("secret"),
            },
        }))
    }

    #[test]
    fn reads_what_clients_send() {
        let config = r#"{"username":"ops","password":"secret","email":"x"}"#;
        for padded in [true, false] {
            assert_eq!(sent(config, padded), password());
        }
        assert_eq!(sent(r#"{"auth":"b3BzOnNlY3JldA=="}"#, true), password());
        let nulls = r#"{"username":"ops","password":"secret","auth":null,"identitytoken":null}"#;
        assert_eq!(sent(nulls, true), password());
        let Whose::Given(Some(given)) = sent(r#"{"identitytoken":"t"}"#, true) else {
            panic!("no credential");
        };
        assert_eq!(given.credential, Credential::Identity(Secret::new("t")));
    }

    #[test]
    fn reads_both_alphabets() {
        let config = r#"{"username":"ops","password":"secret","email":"???>>>"}"#;
        let text = base64::engine::general_purpose::STANDARD.encode(config);
        assert!(text.contains('/') && text.contains('+'), "{text}");
        let headers = HeaderMap::from_iter([(HEADER.parse().unwrap(), text.parse().unwrap())]);
        assert_eq!(
            whose(&headers, &"registry.corp/app".parse().unwrap()),
            password()
        );
    }

    #[test]
    fn what_cannot_be_read_is_nobody() {
        for nobody in ["{}", "", "[]", r#"{"auth":"x"}"#, r#"{"password":"p"}"#] {
            assert_eq!(sent(nobody, true), Whose::Given(None), "{nobody}");
        }
        let none = whose(&HeaderMap::new(), &"busybox".parse().unwrap());
        assert_eq!(none, Whose::Given(None));
    }
}
