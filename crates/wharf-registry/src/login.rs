//! Logging in: are a user name and a password good for a registry, and where are they kept.
//!
//! Docker's rules (28.5: login): the registry is asked by `GET /v2/`; a token service may answer with
//! an identity token, which is kept instead of the password.

use std::fmt;

use reqwest::{StatusCode, Url};
use wharf_core::Watch;
use wharf_core::reference::DEFAULT_DOMAIN;

use crate::answer;
use crate::auth::challenge::{self, Challenge};
use crate::auth::token::{self, Asking, basic};
use crate::client::Client;
use crate::credentials::{Asked, Credential, Found, HUB_KEY, keep};
use crate::error::RegistryError;
use crate::exchange::{Incoming, Outgoing, exchange};
use crate::place::Place;
use crate::redact::{self, Secret};

/// The ways in which users write Docker Hub's server.
const HUB_SERVERS: [&str; 4] = [
    "docker.io",
    "index.docker.io",
    "registry-1.docker.io",
    HUB_KEY,
];

/// A registry that somebody logs in to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// How Docker's files and helpers call it: `registry.corp:5000`.
    pub key: String,
    /// How references call it.
    domain: String,
}

/// Who logs in, and with what.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user's name.
    pub user: String,
    password: Secret,
}

/// What was kept after a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The file that holds the password as it is, unencrypted.
    pub plain_in: Option<std::path::PathBuf>,
}

impl Login {
    /// A user name and a password.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            password: Secret::new(password),
        }
    }
}

impl Login {
    pub(crate) const fn password(&self) -> &Secret {
        &self.password
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({})", self.user)
    }
}

impl Server {
    /// The server that a user means; Docker Hub without one. Schemes and paths are left out.
    pub fn new(text: Option<&str>) -> Self {
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        let bare = text.map(|text| {
            let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
            rest.split('/').next().unwrap_or_default()
        });
        match (text, bare) {
            (Some(text), Some(bare))
                if !HUB_SERVERS.contains(&text) && !HUB_SERVERS.contains(&bare) =>
            {
                Self {
                    key: bare.to_owned(),
                    domain: bare.to_owned(),
                }
            }
            _ => Self {
                key: HUB_KEY.to_owned(),
                domain: DEFAULT_DOMAIN.to_owned(),
            },
        }
    }

    /// Is it Docker Hub?
    pub fn is_hub(&self) -> bool {
        self.domain == DEFAULT_DOMAIN
    }
}

/// Under which keys a server's credentials may be kept: Docker wrote several, over the years.
pub(crate) fn keys(server: &Server) -> Vec<String> {
    let key = &server.key;
    if server.is_hub() {
        return vec![key.clone()];
    }
    vec![
        key.clone(),
        format!("http://{key}"),
        format!("https://{key}"),
    ]
}

impl Client {
    /// The user name and password that are kept for a server.
    pub(crate) async fn kept(&self, server: &Server, watch: &dyn Watch) -> Option<Login> {
        let asked = Asked {
            registry: &server.domain,
            repository: "",
        };
        match self.auth.credentials.find(&asked, watch).await?.credential {
            Credential::Password { user, password } => Some(Login { user, password }),
            Credential::Identity(_) | Credential::Registry(_) => None,
        }
    }

    /// Asks the registry whether it takes the login, and keeps it.
    pub(crate) async fn login(
        &self,
        server: &Server,
        login: &Login,
    ) -> Result<Kept, RegistryError> {
        let credential = Credential::Password {
            user: login.user.clone(),
            password: login.password.clone(),
        };
        let identity = self.check_login(server, &credential).await?;
        let settings = &self.settings.credentials;
        let plain_in = keep::store(settings, &server.key, login, identity.as_ref()).await?;
        Ok(Kept { plain_in })
    }

    /// Answers with an identity token if there is one.
    pub(crate) async fn check_login(
        &self,
        server: &Server,
        credential: &Credential,
    ) -> Result<Option<Secret>, RegistryError> {
        let place = self.registry_place(&server.domain)?;
        let root = self.root(&place).await?;
        let mut url = root.clone();
        url.set_path("/v2/");
        let incoming = self.ping_with(&place, &url, None).await?;
        if incoming.response.status() != StatusCode::UNAUTHORIZED {
            return accepted(incoming, &url).await.map(|()| None);
        }
        let mut last = None;
        let challenges = challenge::parse(incoming.response.headers());
        if challenges.usable.is_empty()
            && let Some(reason) = challenges.problem
        {
            let request = incoming.request;
            return Err(RegistryError::Protocol { request, reason });
        }
        for challenge in challenges.usable {
            let (header, identity) = match challenge {
                Challenge::Basic => match credential {
                    Credential::Password { user, password } => (basic(user, password), None),
                    // This registry has no tokens.
                    Credential::Identity(_) | Credential::Registry(_) => continue,
                },
                Challenge::Bearer(bearer) => {
                    let from = match credential {
                        Credential::Password { user, .. } => {
                            format!("{}'s password", redact::foreign(user))
                        }
                        Credential::Identity(_) | Credential::Registry(_) => "a token".to_owned(),
                    };
                    let found = Found {
                        credential: credential.clone(),
                        from,
                    };
                    let asking = Asking {
                        place: &place,
                        registry: root,
                        scopes: &[],
                        found: Some(&found),
                        repository: &server.key,
                        offline: true,
                    };
                    let token = token::fetch(&self.http, &bearer, &asking).await?;
                    (token.header, token.identity)
                }
            };
            let incoming = self.ping_with(&place, &url, Some(&header)).await?;
            match accepted(incoming, &url).await {
                Ok(()) => return Ok(identity),
                Err(error) => last = last.or(Some(error)),
            }
        }
        match last {
            Some(error) => Err(error),
            None => accepted(incoming, &url).await.map(|()| None),
        }
    }

    async fn ping_with(
        &self,
        place: &Place,
        url: &Url,
        header: Option<&Secret>,
    ) -> Result<Incoming, RegistryError> {
        let outgoing = Outgoing {
            authorization: header,
            ..Outgoing::get(url.clone())
        };
        exchange(&self.http, Some(place), &outgoing).await
    }
}

/// Docker's words for a registry that does not take a login.
async fn accepted(mut incoming: Incoming, url: &Url) -> Result<(), RegistryError> {
    let status = incoming.response.status();
    if status.is_success() {
        return Ok(());
    }
    let said = answer::said(&mut incoming).await;
    Err(RegistryError::LoginRefused {
        url: redact::url(url),
        status,
        answer: said.text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_called_as_docker_calls_it() {
        let key = |text| Server::new(Some(text)).key;
        assert_eq!(Server::new(None).key, HUB_KEY);
        for hub in [
            "docker.io",
            "index.docker.io",
            "https://index.docker.io/v1/",
            " ",
        ] {
            assert_eq!(key(hub), HUB_KEY, "{hub}");
        }
        assert_eq!(key("registry.corp:5000"), "registry.corp:5000");
        assert_eq!(key("https://registry.corp/v2/"), "registry.corp");
        assert_eq!(key("registry.corp/team"), "registry.corp");
    }

    #[test]
    fn a_login_shows_no_password() {
        let shown = format!("{:?}", Login::new("ops", "secret"));
        assert_eq!(shown, "Login(ops)");
    }
}
