//! Who may pull: what a registry was found to want is remembered, and shown with the next request.
//!
//! The first request goes out bare. A 401 tells what is wanted, and the request is made again; one
//! that is refused with a token that was good a minute ago gets a new one. Nothing is tried
//! endlessly: what was made for this very request, and is refused, is refused for good.
//!
//! A 401 without a challenge says nothing about what is wanted. Then `GET /v2/` is asked, as Docker asks it
//! before everything else, and where that says nothing either, what was wanted before is got anew, once.

pub(crate) mod challenge;
mod grammar;
pub(crate) mod token;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use wharf_core::Watch;

use self::challenge::{Bearer, Challenge, Challenges};
use self::token::{Asking, Token, basic};
use crate::credentials::{Asked, Credential, Credentials, Found};
use crate::error::{RegistryError, request_words};
use crate::http::Http;
use crate::place::Place;
use crate::redact::Secret;

/// How many repositories are remembered. A server that meets more of them starts anew.
const REPOSITORIES_MAX: usize = 1024;

/// Remembers what registries want, and tokens.
pub(crate) struct Auth {
    pub(crate) credentials: Credentials,
    /// By the place's address and the repository: what a token must be good for may differ.
    wanted: Mutex<HashMap<(String, String), Wanted>>,
    /// Each behind a lock of its own, so that several downloads ask for one token once.
    tokens: Mutex<HashMap<TokenKey, Arc<tokio::sync::Mutex<Option<Token>>>>>,
}

/// What a registry was found to want.
#[derive(Clone, Debug)]
enum Wanted {
    /// This header, with every request.
    Header(Secret, Arc<Found>),
    /// A token.
    Token(Bearer),
}

/// Which token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct TokenKey {
    /// Whose credentials it was got with.
    place: String,
    realm: String,
    service: Option<String>,
    scopes: Vec<String>,
}

/// What a request is made with.
#[derive(Clone, Debug)]
pub(crate) struct Authorization {
    pub(crate) header: Secret,
    /// Was it made for this request, or did earlier ones use it?
    fresh: bool,
    found: Option<Arc<Found>>,
}

/// What a request is for.
pub(crate) struct Purpose<'a> {
    pub(crate) place: &'a Place,
    /// The place's root: `https://registry.corp/`.
    pub(crate) root: &'a Url,
    /// The repository's path in its registry.
    pub(crate) path: &'a str,
    /// The repository, as Docker shows it.
    pub(crate) repository: &'a str,
    /// What is to be done there.
    pub(crate) access: &'a Access,
    /// Who hears of credentials that cannot be read.
    pub(crate) watch: &'a dyn Watch,
}

/// What is to be done in a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reading.
    #[default]
    Pull,
    /// Reading and writing.
    Push {
        /// The path of another repository, which a blob is taken over from.
        from: Option<String>,
    },
}

impl Access {
    const fn actions(&self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push { .. } => "pull,push",
        }
    }
}

/// A request that was answered with 401.
pub(crate) struct Refused<'a> {
    pub(crate) headers: &'a HeaderMap,
    /// The request's address.
    pub(crate) url: &'a Url,
    /// What it was made with.
    pub(crate) with: Option<&'a Authorization>,
    /// What the registry said.
    pub(crate) answer: &'a str,
}

impl Auth {
    pub(crate) fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            wanted: Mutex::default(),
            tokens: Mutex::default(),
        }
    }

    /// What to make a request with: what the place wanted before.
    pub(crate) async fn authorization(
        &self,
        http: &Http,
        purpose: &Purpose<'_>,
    ) -> Result<Option<Authorization>, RegistryError> {
        let made = self.remembered(http, purpose).await;
        made.map_err(|error| self.explained(error, purpose))
    }

    /// Learns from a 401 what to make the request with the next time. An error is final.
    pub(crate) async fn refused(
        &self,
        http: &Http,
        purpose: &Purpose<'_>,
        refused: &Refused<'_>,
    ) -> Result<Authorization, RegistryError> {
        let met = self.meet(http, purpose, refused).await;
        met.map_err(|error| self.explained(error, purpose))
    }

    /// The same error, with the reason why no credentials were shown, if there is one.
    fn explained(&self, error: RegistryError, purpose: &Purpose<'_>) -> RegistryError {
        match self.credentials.trouble(&purpose.place.name) {
            Some(trouble) => error.without_credentials(&trouble),
            None => error,
        }
    }

    async fn remembered(
        &self,
        http: &Http,
        purpose: &Purpose<'_>,
    ) -> Result<Option<Authorization>, RegistryError> {
        match self.wanted(purpose) {
            None => Ok(None),
            Some(Wanted::Header(header, found)) => Ok(Some(Authorization {
                header,
                fresh: false,
                found: Some(found),
            })),
            Some(Wanted::Token(bearer)) => self.token(http, &bearer, purpose).await.map(Some),
        }
    }

    async fn meet(
        &self,
        http: &Http,
        purpose: &Purpose<'_>,
        refused: &Refused<'_>,
    ) -> Result<Authorization, RegistryError> {
        let mut challenges = challenge::parse(refused.headers);
        if challenges == Challenges::default() {
            challenges.usable.extend(self.wanted_before(purpose));
        }
        let mut last = None;
        for challenge in challenges.usable {
            let met = match challenge {
                Challenge::Basic => self.meet_basic(purpose, refused).await,
                Challenge::Bearer(bearer) => self.meet_bearer(http, bearer, purpose, refused).await,
            };
            match met {
                Ok(authorization) => return Ok(authorization),
                Err(error) => last = last.or(Some(error)),
            }
        }
        if let Some(error) = last {
            return Err(error);
        }
        if let Some(reason) = challenges.problem {
            let request = request_words(&Method::GET, refused.url);
            return Err(RegistryError::Protocol { request, reason });
        }
        let found = refused.with.and_then(|with| with.found.as_deref());
        Err(unauthorized(
            purpose.place,
            found,
            refused.answer.to_owned(),
        ))
    }

    /// What an earlier challenge of this repository wanted.
    fn wanted_before(&self, purpose: &Purpose<'_>) -> Option<Challenge> {
        Some(match self.wanted(purpose)? {
            Wanted::Header(..) => Challenge::Basic,
            Wanted::Token(bearer) => Challenge::Bearer(Bearer {
                error: None,
                ..bearer
            }),
        })
    }

    async fn meet_basic(
        &self,
        purpose: &Purpose<'_>,
        refused: &Refused<'_>,
    ) -> Result<Authorization, RegistryError> {
        let place = purpose.place;
        let found = self.find(purpose).await.map(Arc::new);
        let header = found.as_deref().and_then(|found| header(&found.credential));
        let (Some(found), Some(header)) = (found, header) else {
            // Docker looks at a manifest by HEAD before it gets it.
            let head = refused.url.path().contains("/manifests/");
            let method = if head { Method::HEAD } else { Method::GET };
            let pull = *purpose.access == Access::Pull;
            return Err(RegistryError::NoCredentials {
                request: pull.then(|| request_words(&method, refused.url)),
                place: place.name.clone(),
                trouble: None,
            });
        };
        if refused.with.is_some_and(|with| with.header == header) {
            return Err(unauthorized(place, Some(&found), refused.answer.to_owned()));
        }
        self.remember(purpose, Wanted::Header(header.clone(), Arc::clone(&found)));
        Ok(Authorization {
            header,
            fresh: true,
            found: Some(found),
        })
    }

    async fn meet_bearer(
        &self,
        http: &Http,
        bearer: Bearer,
        purpose: &Purpose<'_>,
        refused: &Refused<'_>,
    ) -> Result<Authorization, RegistryError> {
        if let Some(with) = refused.with {
            if bearer.error.as_deref() == Some("insufficient_scope") && with.fresh {
                return Err(RegistryError::Denied {
                    name: purpose.repository.to_owned(),
                    place: purpose.place.name.clone(),
                    answer: "denied: requested access to the resource is denied".to_owned(),
                });
            }
            if with.fresh {
                let answer = refused.answer.to_owned();
                return Err(unauthorized(purpose.place, with.found.as_deref(), answer));
            }
            self.forget(&with.header).await;
        }
        let authorization = self.token(http, &bearer, purpose).await?;
        self.remember(purpose, Wanted::Token(bearer));
        Ok(authorization)
    }

    /// A token for a purpose: one that is here and still good, or a new one.
    async fn token(
        &self,
        http: &Http,
        bearer: &Bearer,
        purpose: &Purpose<'_>,
    ) -> Result<Authorization, RegistryError> {
        let scopes = scopes(bearer, purpose);
        let key = TokenKey {
            place: purpose.root.to_string(),
            realm: bearer.realm.to_string(),
            service: bearer.service.clone(),
            scopes: scopes.clone(),
        };
        let slot = self.slot(key);
        let mut slot = slot.lock().await;
        if let Some(token) = slot
            .as_ref()
            .filter(|token| token.stale_at > Instant::now())
        {
            let header = token.header.clone();
            return Ok(Authorization {
                header,
                fresh: false,
                found: None,
            });
        }
        let found = self.find(purpose).await.map(Arc::new);
        if let Some(Credential::Registry(token)) = found.as_deref().map(|f| &f.credential) {
            let header = Secret::new(format!("Bearer {}", token.reveal()));
            return Ok(Authorization {
                header,
                fresh: true,
                found,
            });
        }
        let asking = Asking {
            place: purpose.place,
            registry: purpose.root,
            scopes: &scopes,
            found: found.as_deref(),
            repository: purpose.repository,
            offline: false,
        };
        let token = token::fetch(http, bearer, &asking).await?;
        let header = token.header.clone();
        *slot = Some(token);
        Ok(Authorization {
            header,
            fresh: true,
            found,
        })
    }

    fn slot(&self, key: TokenKey) -> Arc<tokio::sync::Mutex<Option<Token>>> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= REPOSITORIES_MAX && !tokens.contains_key(&key) {
            tokens.clear();
        }
        Arc::clone(tokens.entry(key).or_default())
    }

    /// Drops a token that was refused, unless another request has replaced it already.
    async fn forget(&self, header: &Secret) {
        let slots: Vec<_> = {
            let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            tokens.values().map(Arc::clone).collect()
        };
        for slot in slots {
            // A slot that is held is being renewed: what's refused won't come out of it.
            let Ok(mut token) = slot.try_lock() else {
                continue;
            };
            if token.as_ref().is_some_and(|token| token.header == *header) {
                *token = None;
            }
        }
    }

    async fn find(&self, purpose: &Purpose<'_>) -> Option<Found> {
        let repository = purpose.place.repository(purpose.path);
        let asked = Asked {
            registry: &purpose.place.name,
            repository: &repository,
        };
        self.credentials.find(&asked, purpose.watch).await
    }

    fn wanted(&self, purpose: &Purpose<'_>) -> Option<Wanted> {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.get(&purpose.key()).cloned()
    }

    fn remember(&self, purpose: &Purpose<'_>, wanted: Wanted) {
        let mut all = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REPOSITORIES_MAX {
            all.clear();
        }
        all.insert(purpose.key(), wanted);
    }
}

impl Purpose<'_> {
    fn key(&self) -> (String, String) {
        (self.root.to_string(), self.path.to_owned())
    }
}

/// What a token is asked for: what is to be done, and what the registry said itself. Not all say the
/// same: ECR's public registry wants the scope `aws`.
fn scopes(bearer: &Bearer, purpose: &Purpose<'_>) -> Vec<String> {
    let scope = |path: &str, actions: &str| {
        let path = purpose.place.repository(path);
        format!("repository:{path}:{actions}")
    };
    let mut all = vec![scope(purpose.path, purpose.access.actions())];
    if let Access::Push { from: Some(from) } = purpose.access {
        all.push(scope(from, "pull"));
    }
    let theirs = bearer.scope.as_deref().unwrap_or_default();
    for scope in theirs.split_ascii_whitespace() {
        if !all.iter().any(|ours| covers(ours, scope)) {
            all.push(scope.to_owned());
        }
    }
    all
}

/// Does one scope allow all that another one does?
fn covers(one: &str, other: &str) -> bool {
    let (Some((mine, may)), Some((theirs, wanted))) =
        (one.rsplit_once(':'), other.rsplit_once(':'))
    else {
        return one == other;
    };
    mine == theirs
        && wanted
            .split(',')
            .all(|action| may.split(',').any(|mine| mine == action))
}

/// The header that a credential makes without a token service.
fn header(credential: &Credential) -> Option<Secret> {
    match credential {
        Credential::Password { user, password } => Some(basic(user, password)),
        Credential::Registry(token) => Some(Secret::new(format!("Bearer {}", token.reveal()))),
        Credential::Identity(_) => None,
    }
}

/// The error for credentials that were refused, or that were missing.
fn unauthorized(place: &Place, found: Option<&Found>, answer: String) -> RegistryError {
    let credentials = match found {
        Some(found) => format!("the credentials from {}", found.from),
        None => "an anonymous request".to_owned(),
    };
    RegistryError::Unauthorized {
        place: place.name.clone(),
        credentials,
        given: found.is_some(),
        answer,
    }
}
