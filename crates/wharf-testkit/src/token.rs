//! A token service, as registries use it (distribution's "Token Authentication Specification").
//!
//! It answers `GET /token` with Basic or nobody's credentials, and `POST /token` as OAuth2 does:
//! `password` and `refresh_token`. Its tokens are JSON Web Tokens, signed with ES256 and with the
//! certificate inside (`x5c`), as docker-registry 2.8 wants them: give it [`TokenService::certificate`]
//! as `rootcertbundle`, [`TokenService::ISSUER`] as `issuer` and [`TokenService::SERVICE`] as `service`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::Router;
use axum::body::Body;
use axum::extract::{Query, Request};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http_body_util::{BodyExt as _, Limited};
use serde_json::json;

use crate::certs::Identity;

/// Bounds a form that a client posts, in bytes.
const FORM_MAX: usize = 64 * 1024;

/// What a token service knows and does.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// Who may have tokens for everything.
    pub user: String,
    /// With which password.
    pub password: String,
    /// May nobody in particular have tokens to pull?
    pub anonymous_pull: bool,
    /// How long a token is valid.
    pub lifetime: Duration,
    /// For how many requests a token is valid; without end if `None`. Only a [`crate::TestRegistry`]
    /// counts them.
    pub uses: Option<u32>,
}

impl TokenSettings {
    /// Gives tokens for everything to one user, and to nobody else.
    pub fn user(user: &str, password: &str) -> Self {
        Self {
            user: user.into(),
            password: password.into(),
            anonymous_pull: false,
            lifetime: Duration::from_secs(300),
            uses: None,
        }
    }

    /// Gives tokens to pull to everybody.
    pub fn anonymous() -> Self {
        Self {
            anonymous_pull: true,
            ..Self::user("user", "password")
        }
    }
}

/// A token service.
pub struct TokenService {
    settings: TokenSettings,
    identity: Identity,
    key: EcdsaKeyPair,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    granted: HashMap<String, Grant>,
    refresh: Vec<String>,
    counts: Counts,
}

/// How often the service was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tokens that were given out.
    pub issued: u64,
    /// Those of them that were given for a refresh token.
    pub refreshed: u64,
    /// Requests that were refused.
    pub refused: u64,
}

struct Grant {
    access: Vec<Access>,
    expires: Instant,
    uses: Option<u32>,
}

/// `repository:team/app:pull,push`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Access {
    kind: String,
    name: String,
    actions: Vec<String>,
}

/// What a client asks for, by GET or by POST.
struct Ask {
    service: String,
    access: Vec<Access>,
    offline: bool,
    who: Who,
}

enum Who {
    Nobody,
    User { user: String, password: String },
    Refresh(String),
}

/// Whether a request's token is good for what it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Good,
    /// There is none, or it has expired.
    Invalid,
    /// It is for something else.
    OtherScope,
}

impl TokenService {
    /// Who gives out the tokens.
    pub const ISSUER: &'static str = "wharf-testkit";
    /// For whom the tokens are.
    pub const SERVICE: &'static str = "registry.test";
    /// The path that answers.
    pub const PATH: &'static str = "/token";

    /// A service with a key of its own.
    pub fn new(settings: TokenSettings) -> Self {
        let identity = Identity::self_signed("a token service for tests");
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, identity.key_der())
            .expect("a key of our own");
        Self {
            settings,
            identity,
            key,
            state: Mutex::default(),
        }
    }

    /// The certificate that a registry needs to verify the tokens, in PEM.
    pub fn certificate(&self) -> &str {
        &self.identity.certificate
    }

    /// How often it was asked, so far.
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Makes a refresh token that is good for everything, as `docker login` would have got it.
    pub fn refresh_token(&self) -> String {
        let mut state = self.state();
        let token = format!("refresh-{}", state.refresh.len());
        state.refresh.push(token.clone());
        token
    }

    /// Makes every token that was given out so far invalid.
    pub fn revoke_all(&self) {
        self.state().granted.clear();
    }

    /// Answers a request to [`TokenService::PATH`].
    pub async fn answer(&self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let ask = match head.method {
            Method::GET => Ask::from_query(&head.uri, &head.headers),
            Method::POST => Ask::from_form(body).await,
            _ => None,
        };
        let Some(ask) = ask else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        match self.decide(&ask) {
            Some(access) => self.grant(&ask, access),
            None => {
                self.state().counts.refused += 1;
                let body = json!({ "details": "incorrect username or password" }).to_string();
                (StatusCode::UNAUTHORIZED, json_type(), body).into_response()
            }
        }
    }

    /// Serves it on a listener of its own, for a registry that is not ours, until the process ends.
    ///
    /// # Panics
    /// If this machine has no threads left.
    pub fn serve(self: Arc<Self>, listener: std::net::TcpListener) -> ! {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        runtime.block_on(async {
            listener
                .set_nonblocking(true)
                .expect("a socket can be made non-blocking");
            let listener = tokio::net::TcpListener::from_std(listener).expect("it is a socket");
            let router = Router::new().fallback(move |request: Request| {
                let service = Arc::clone(&self);
                async move { service.answer(request).await }
            });
            wharf_server::serve(listener, router, std::future::pending()).await;
            unreachable!("it waits for the end of a future that has none")
        })
    }

    /// Is `token` good for `action` on `repository`? Counts as a use.
    pub fn check(&self, token: Option<&str>, repository: &str, action: &str) -> Verdict {
        let mut state = self.state();
        let Some(grant) = token.and_then(|token| state.granted.get_mut(token)) else {
            return Verdict::Invalid;
        };
        if grant.expires <= Instant::now() {
            return Verdict::Invalid;
        }
        match &mut grant.uses {
            Some(0) => return Verdict::Invalid,
            Some(left) => *left -= 1,
            None => {}
        }
        // The question whether this is a registry at all needs no scope.
        let covers = |access: &Access| {
            access.name == repository && access.actions.iter().any(|a| a == action || a == "*")
        };
        if repository.is_empty() || grant.access.iter().any(covers) {
            Verdict::Good
        } else {
            Verdict::OtherScope
        }
    }

    /// What the client may do; `None` if it is not who it says.
    fn decide(&self, ask: &Ask) -> Option<Vec<Access>> {
        match &ask.who {
            Who::User { user, password } => {
                let known = *user == self.settings.user && *password == self.settings.password;
                known.then(|| ask.access.clone())
            }
            Who::Refresh(token) => self
                .state()
                .refresh
                .contains(token)
                .then(|| ask.access.clone()),
            Who::Nobody if !self.settings.anonymous_pull => None,
            Who::Nobody => {
                let mut access = ask.access.clone();
                access
                    .iter_mut()
                    .for_each(|access| access.actions.retain(|a| a == "pull"));
                Some(access)
            }
        }
    }

    fn grant(&self, ask: &Ask, access: Vec<Access>) -> Response {
        let refresh =
            (ask.offline && !matches!(ask.who, Who::Nobody)).then(|| self.refresh_token());
        let mut state = self.state();
        state.counts.issued += 1;
        state.counts.refreshed += u64::from(matches!(ask.who, Who::Refresh(_)));
        let token = self.sign(&ask.service, &access, state.counts.issued);
        let expires = Instant::now() + self.settings.lifetime;
        state.granted.insert(
            token.clone(),
            Grant {
                access,
                expires,
                uses: self.settings.uses,
            },
        );
        drop(state);
        let mut body = json!({
            "token": token,
            "access_token": token,
            "expires_in": self.settings.lifetime.as_secs(),
        });
        if let Some(refresh) = refresh {
            body["refresh_token"] = json!(refresh);
        }
        (json_type(), body.to_string()).into_response()
    }

    /// `header.claims.signature`
    fn sign(&self, service: &str, access: &[Access], number: u64) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let access = access.iter().map(
            |access| json!({ "type": access.kind, "name": access.name, "actions": access.actions }),
        );
        let header = json!({
            "typ": "JWT",
            "alg": "ES256",
            "x5c": [STANDARD.encode(self.identity.certificate_der())],
        });
        let claims = json!({
            "iss": Self::ISSUER,
            "sub": self.settings.user,
            "aud": service,
            "iat": now,
            "nbf": now,
            "exp": now + self.settings.lifetime.as_secs(),
            "jti": number.to_string(),
            "access": access.collect::<Vec<_>>(),
        });
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self
            .key
            .sign(&SystemRandom::new(), signed.as_bytes())
            .expect("a key of our own can sign");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ask {
    fn from_query(uri: &Uri, headers: &HeaderMap) -> Option<Self> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).ok()?;
        let who = match headers.get(header::AUTHORIZATION) {
            None => Who::Nobody,
            Some(value) => {
                let (user, password) = read_basic(value.to_str().ok()?)?;
                Who::User { user, password }
            }
        };
        Some(Self::from_pairs(&pairs, who))
    }

    async fn from_form(body: Body) -> Option<Self> {
        let form = Limited::new(body, FORM_MAX)
            .collect()
            .await
            .ok()?
            .to_bytes();
        let uri: Uri = format!("/?{}", std::str::from_utf8(&form).ok()?)
            .parse()
            .ok()?;
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&uri).ok()?;
        let get = |name| value(&pairs, name).map(str::to_owned);
        let who = match get("grant_type")?.as_str() {
            "password" => Who::User {
                user: get("username")?,
                password: get("password")?,
            },
            "refresh_token" => Who::Refresh(get("refresh_token")?),
            _ => return None,
        };
        Some(Self::from_pairs(&pairs, who))
    }

    fn from_pairs(pairs: &[(String, String)], who: Who) -> Self {
        let scopes = pairs.iter().filter(|(name, _)| name == "scope");
        // A form has one parameter with the scopes in a row, a query one parameter for each.
        let access = scopes
            .flat_map(|(_, text)| text.split(' '))
            .filter_map(Access::parse);
        Self {
            service: value(pairs, "service").unwrap_or_default().to_owned(),
            access: access.collect(),
            offline: value(pairs, "offline_token") == Some("true")
                || value(pairs, "access_type") == Some("offline"),
            who,
        }
    }
}

impl Access {
    /// The name may have colons in it: a port.
    fn parse(scope: &str) -> Option<Self> {
        let (kind, rest) = scope.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        let actions = actions.split(',').map(str::to_owned).collect();
        Some(Self {
            kind: kind.into(),
            name: name.into(),
            actions,
        })
    }
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

/// User and password of an `Authorization` header.
pub(crate) fn read_basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

const fn json_type() -> [(header::HeaderName, &'static str); 1] {
    [(header::CONTENT_TYPE, "application/json")]
}
