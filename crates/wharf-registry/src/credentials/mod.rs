//! Credentials: who the user is at a registry.
//!
//! Docker's `config.json` is asked first, then the other files, in order. In each one: the helper
//! program for this registry, the helper for all, and what the file itself holds. Nothing is kept
//! here: a file that is changed while a server runs counts at the next token.
//!
//! A file or a helper that does not work is no failure of a pull, as with Docker: many images need
//! no credentials. The user is told once.

mod config;
mod helper;
pub(crate) mod keep;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use wharf_core::reference::DEFAULT_DOMAIN;
use wharf_core::{Event, Watch};

use crate::redact::Secret;
use crate::settings::CredentialSettings;

/// What Docker calls Docker Hub in its files, and asks its helpers for.
pub(crate) const HUB_KEY: &str = "https://index.docker.io/v1/";

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

/// Why credentials could not be read.
#[derive(Debug)]
struct Trouble(String);

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
        let settings = &self.settings;
        for path in settings.docker_config.iter().chain(&settings.others) {
            let file = match config::read(path) {
                Ok(Some(file)) => file,
                Ok(None) => continue,
                Err(trouble) => {
                    self.tell(&trouble, watch);
                    continue;
                }
            };
            for name in file.helpers(asked) {
                match helper::get(&name, asked.key(), settings.helper_path.as_deref()).await {
                    Ok(Some(credential)) => {
                        return Some(Found {
                            credential,
                            from: helper::program(&name),
                        });
                    }
                    Ok(None) => {}
                    Err(trouble) => self.tell(&trouble, watch),
                }
            }
            match file.stored(asked) {
                Ok(Some(credential)) => {
                    return Some(Found {
                        credential,
                        from: path.display().to_string(),
                    });
                }
                Ok(None) => {}
                Err(reason) => {
                    self.tell(&Trouble(format!("{}: {reason}", path.display())), watch);
                }
            }
        }
        None
    }

    /// Tells the user, once, and goes on.
    fn tell(&self, trouble: &Trouble, watch: &dyn Watch) {
        let text = format!("no credentials are used from {trouble}");
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(text.clone()) {
            watch.event(Event::Notice(text));
        }
    }
}

#[cfg(test)]
mod tests;
