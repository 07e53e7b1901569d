//! Credentials: who the user is at a registry.
//!
//! `DOCKER_AUTH_CONFIG` comes first, as with Docker 28.5, then Docker's `config.json`, then the other files, in
//! order. In each file: the helper program for this registry, the helper for all, and what the file itself
//! holds. Nothing is kept here: a file that is changed while a server runs counts at the next token.
//!
//! A file, an entry or a helper that does not work does not fail a pull, as with Docker: many images need no
//! credentials. The user is told once; and where the registry then refuses an anonymous request, its
//! error says why no credentials were shown. What is wrong with the entry of one registry concerns no
//! other one.

mod config;
mod helper;
pub(crate) mod json;
pub(crate) mod keep;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use wharf_core::reference::DEFAULT_DOMAIN;
use wharf_core::{Event, Watch};

use self::config::ConfigFile;
use crate::redact::Secret;
use crate::settings::CredentialSettings;

/// What Docker calls Docker Hub in its files, and asks its helpers for.
pub(crate) const HUB_KEY: &str = "https://index.docker.io/v1/";

/// The variable that comes before every file.
const AUTH_VARIABLE: &str = "DOCKER_AUTH_CONFIG";

/// Bounds what is remembered of credentials that cannot be read: a server may meet many registries.
const TROUBLES_MAX: usize = 1024;

/// What a registry may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A user name and a password.
    Password {
        /// The user's name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// An OAuth2 refresh token, good for tokens: `identitytoken`.
    Identity(Secret),
    /// A token, good as it is: `registrytoken`.
    Registry(Secret),
}

/// Whose credentials a registry is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Whose {
    /// Those of this machine's user: what Docker's files and helpers hold.
    #[default]
    Kept,
    /// What a caller has handed in, for one registry and no other; `None` is anonymous. What is kept on
    /// this machine belongs to somebody else.
    Given(Option<Given>),
}

/// A credential that a caller has handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The registry that it is for, as references call it. Mirrors are not shown it.
    pub registry: String,
    /// What it is shown.
    pub credential: Credential,
}

/// A credential, and where it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) credential: Credential,
    /// For messages: `/root/.docker/config.json`, `docker-credential-pass`.
    pub(crate) from: String,
}

/// Finds credentials.
pub(crate) struct Credentials {
    settings: CredentialSettings,
    whose: Whose,
    told: Mutex<HashSet<String>>,
    /// By registry: why nothing could be shown to it.
    troubles: Mutex<HashMap<String, String>>,
}

/// Whom to ask about, in the files' words.
pub(crate) struct Asked<'a> {
    /// The registry's name in references, or a mirror's host.
    pub(crate) registry: &'a str,
    /// The repository within it.
    pub(crate) repository: &'a str,
}

impl Asked<'_> {
    /// How Docker's files and helpers call the registry.
    fn key(&self) -> &str {
        if self.registry == DEFAULT_DOMAIN {
            HUB_KEY
        } else {
            self.registry
        }
    }
}

/// Why credentials could not be read. It names keys, and never values.
#[derive(Debug)]
pub(crate) struct Trouble(String);

impl Trouble {
    fn new(reason: &str) -> Self {
        Self(reason.to_owned())
    }

    /// The same, with the file or the program in front.
    fn of(self, place: impl fmt::Display) -> Self {
        Self(format!("{place}: {self}"))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Credentials {
    pub(crate) fn new(settings: CredentialSettings, whose: Whose) -> Self {
        Self {
            settings,
            whose,
            told: Mutex::default(),
            troubles: Mutex::default(),
        }
    }

    /// Finds what to show to a registry; `None` is anonymous.
    pub(crate) async fn find(&self, asked: &Asked<'_>, watch: &dyn Watch) -> Option<Found> {
        if let Whose::Given(given) = &self.whose {
            let given = given.as_ref()?;
            return (given.registry == asked.registry).then(|| Found {
                credential: given.credential.clone(),
                from: "the request".to_owned(),
            });
        }
        let mut troubles = Vec::new();
        let found = self.search(asked, &mut troubles).await;
        let texts: Vec<String> = troubles
            .iter()
            .map(|trouble| format!("no credentials are used from {trouble}"))
            .collect();
        for text in &texts {
            self.tell(text, watch);
        }
        let mut known = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= TROUBLES_MAX {
            known.clear();
        }
        match texts.into_iter().next().filter(|_| found.is_none()) {
            Some(text) => known.insert(asked.registry.to_owned(), text),
            None => known.remove(asked.registry),
        };
        found
    }

    /// Why nothing was found for a registry the last time, if it was for a reason.
    pub(crate) fn trouble(&self, registry: &str) -> Option<String> {
        let known = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(registry).cloned()
    }

    async fn search(&self, asked: &Asked<'_>, troubles: &mut Vec<Trouble>) -> Option<Found> {
        let settings = &self.settings;
        if let Some(text) = &settings.docker_auth_config {
            let given = config::variable(text.reveal())
                .and_then(|file| file.map_or(Ok(None), |file| file.given(asked)));
            match given {
                Ok(None) => {}
                Ok(Some(credential)) => return Some(found(credential, AUTH_VARIABLE)),
                Err(trouble) => troubles.push(trouble.of(AUTH_VARIABLE)),
            }
        }
        for path in settings.docker_config.iter().chain(&settings.others) {
            let file = match config::read(path) {
                Ok(Some(file)) => file,
                Ok(None) => continue,
                Err(trouble) => {
                    troubles.push(trouble.of(path.display()));
                    continue;
                }
            };
            if let Some(found) = self.search_file(path, file, asked, troubles).await {
                return Some(found);
            }
        }
        None
    }

    async fn search_file(
        &self,
        path: &Path,
        mut file: ConfigFile,
        asked: &Asked<'_>,
        troubles: &mut Vec<Trouble>,
    ) -> Option<Found> {
        let here = path.display();
        let general = file.troubles.drain(..).map(|trouble| trouble.of(&here));
        troubles.extend(general);
        let helpers = file.helpers(asked).unwrap_or_else(|trouble| {
            troubles.push(trouble.of(&here));
            Vec::new()
        });
        for name in helpers {
            let path = self.settings.helper_path.as_deref();
            match helper::get(&name, asked.key(), path).await {
                Ok(Some(credential)) => return Some(found(credential, &helper::program(&name))),
                Ok(None) => {}
                Err(trouble) => troubles.push(trouble),
            }
        }
        match file.stored(asked) {
            Ok(stored) => stored.map(|credential| found(credential, &here.to_string())),
            Err(trouble) => {
                troubles.push(trouble.of(&here));
                None
            }
        }
    }

    /// Tells the user, once.
    fn tell(&self, text: &str, watch: &dyn Watch) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < TROUBLES_MAX && told.insert(text.to_owned()) {
            watch.event(Event::Notice(text.to_owned()));
        }
    }
}

fn found(credential: Credential, from: &str) -> Found {
    Found {
        credential,
        from: from.to_owned(),
    }
}

#[cfg(test)]
mod tests;
