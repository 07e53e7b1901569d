//! Who may: nobody asked, a password, a token.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use crate::token::{TokenService, TokenSettings, Verdict, read_basic};

/// How a registry knows its clients.
#[derive(Clone, Debug, Default)]
pub enum Auth {
    /// It does not care.
    #[default]
    None,
    /// By a password with each request.
    Basic {
        /// The only user.
        user: String,
        /// Their password.
        password: String,
    },
    /// By tokens of its own token service, at the same address.
    Token(TokenSettings),
}

impl Auth {
    /// Basic authentication for one user.
    pub fn basic(user: &str, password: &str) -> Self {
        Self::Basic {
            user: user.into(),
            password: password.into(),
        }
    }
}

/// The door of a running registry.
pub(super) enum Door {
    Open,
    Basic { user: String, password: String },
    Token(Arc<TokenService>),
}

impl Door {
    pub(super) fn new(auth: Auth) -> Self {
        match auth {
            Auth::None => Self::Open,
            Auth::Basic { user, password } => Self::Basic { user, password },
            Auth::Token(settings) => Self::Token(Arc::new(TokenService::new(settings))),
        }
    }

    pub(super) const fn token_service(&self) -> Option<&Arc<TokenService>> {
        match self {
            Self::Token(service) => Some(service),
            _ => None,
        }
    }

    /// Lets a request in, or answers it. `base` is the registry's own address.
    pub(super) fn check(
        &self,
        base: &str,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Option<Response> {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        match self {
            Self::Open => None,
            Self::Basic { user, password } => {
                let right = given
                    .and_then(read_basic)
                    .is_some_and(|(u, p)| u == *user && p == *password);
                if right {
                    None
                } else {
                    Some(self.challenge(base, method, path, Verdict::Invalid))
                }
            }
            Self::Token(service) => {
                let token = given.and_then(|value| value.strip_prefix("Bearer "));
                match service.check(token, repository(path), action(method)) {
                    Verdict::Good => None,
                    verdict => Some(self.challenge(base, method, path, verdict)),
                }
            }
        }
    }

    /// 401, with how to do better.
    pub(super) fn challenge(
        &self,
        base: &str,
        method: &Method,
        path: &str,
        verdict: Verdict,
    ) -> Response {
        let text = match self {
            Self::Open => "Basic realm=\"open\"".to_owned(),
            Self::Basic { .. } => "Basic realm=\"a registry for tests\"".to_owned(),
            Self::Token(_) => {
                let (token, service) = (TokenService::PATH, TokenService::SERVICE);
                let mut text = format!("Bearer realm=\"{base}{token}\",service=\"{service}\"");
                let repository = repository(path);
                if !repository.is_empty() {
                    // Docker's own registry asks for both where a push is tried.
                    let actions = match action(method) {
                        "push" => "pull,push",
                        one => one,
                    };
                    text.push_str(&format!(",scope=\"repository:{repository}:{actions}\""));
                }
                if verdict == Verdict::OtherScope {
                    text.push_str(",error=\"insufficient_scope\"");
                }
                text
            }
        };
        let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
        let mut response = (
            StatusCode::UNAUTHORIZED,
            [(header::CONTENT_TYPE, "application/json")],
            body,
        )
            .into_response();
        let value = HeaderValue::from_str(&text).expect("a challenge is a valid header");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, value);
        response
    }
}

/// The repository that a path is about; empty if it is about none.
fn repository(path: &str) -> &str {
    let rest = path
        .strip_prefix("/v2/")
        .filter(|&rest| rest != "_catalog")
        .unwrap_or_default();
    let rest = rest.strip_suffix("/tags/list").unwrap_or(rest);
    let words = ["/manifests/", "/blobs/uploads", "/blobs/", "/referrers/"];
    let end = words.iter().filter_map(|word| rest.rfind(word)).min();
    &rest[..end.unwrap_or(rest.len())]
}

fn action(method: &Method) -> &'static str {
    match *method {
        Method::GET | Method::HEAD => "pull",
        Method::DELETE => "delete",
        _ => "push",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_a_path_is_about() {
        for (path, expected) in [
            ("/v2/", ""),
            ("/v2/a/b/manifests/x", "a/b"),
            ("/v2/a/tags/list", "a"),
            ("/v2/a/blobs/uploads/", "a"),
            ("/v2/a/blobs/uploads/1-2", "a"),
            ("/v2/a/blobs/sha256:00", "a"),
        ] {
            assert_eq!(repository(path), expected, "{path}");
        }
    }
}
