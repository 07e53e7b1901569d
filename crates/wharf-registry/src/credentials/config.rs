//! Docker's `config.json`, and `auth.json`, which has the same form.
//!
//! A key of `auths` is a registry (`registry.corp:5000`), an address of former times
//! (`https://index.docker.io/v1/`), or a part of a registry (`quay.io/team`). The longest one that
//! fits counts.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use wharf_core::reference::DEFAULT_DOMAIN;

use super::{Asked, Credential, Trouble};
use crate::redact::Secret;

/// Bounds the file, in bytes. Real ones have a few KiB.
pub(super) const FILE_MAX: u64 = 4 * 1024 * 1024;

/// Base64 with or without its padding: both are found.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The user name that says that the password is an identity token.
pub(super) const TOKEN_USER: &str = "<token>";

/// What a file says. Everything else in it is none of ours.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ConfigFile {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// Reads a file; `None` if it is not there.
pub(super) fn read(path: &Path) -> Result<Option<ConfigFile>, Trouble> {
    let trouble = |reason: &str| Trouble(format!("{}: {reason}", path.display()));
    let text = match wharf_os::file::read(path, FILE_MAX) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(trouble(&error.to_string())),
    };
    if text.trim_ascii().is_empty() {
        return Ok(None);
    }
    // The library's message may quote a value, and a value may be a password: only where it is.
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        trouble(&format!("it is not valid (line {line}, column {column})"))
    })
}

impl ConfigFile {
    /// The helpers to ask, in order: the one for this registry, the one for all.
    pub(super) fn helpers(&self, asked: &Asked<'_>) -> Vec<String> {
        let own = self
            .best(self.cred_helpers.iter(), asked)
            .map(|(_, helper)| helper.clone());
        let store = self.creds_store.clone();
        let mut helpers: Vec<String> = [own, store]
            .into_iter()
            .flatten()
            .filter(|name| !name.is_empty())
            .collect();
        helpers.dedup();
        helpers
    }

    /// What the file itself holds for a registry.
    pub(super) fn stored(&self, asked: &Asked<'_>) -> Result<Option<Credential>, String> {
        // Helpers leave empty entries behind: who is logged in, not with what.
        let filled = self.auths.iter().filter(|(_, entry)| !entry.is_empty());
        match self.best(filled, asked) {
            Some((key, entry)) => entry.credential().map_err(|reason| {
                format!("the entry for {} {reason}", crate::redact::foreign(key))
            }),
            None => Ok(None),
        }
    }

    fn best<'a, T>(
        &self,
        entries: impl Iterator<Item = (&'a String, T)>,
        asked: &Asked<'_>,
    ) -> Option<(&'a String, T)> {
        entries
            .filter_map(|(key, value)| Some((fit(key, asked)?, (key, value))))
            .max_by_key(|(fit, _)| *fit)
            .map(|(_, entry)| entry)
    }
}

/// How well a key fits: by the length of its path, and the plain form before the old one.
fn fit(key: &str, asked: &Asked<'_>) -> Option<(usize, bool)> {
    let (bare, plain) = match key.split_once("://") {
        Some((_, rest)) => (rest, false),
        None => (key, true),
    };
    let bare = bare.trim_end_matches('/');
    let bare = bare
        .strip_suffix("/v1")
        .or_else(|| bare.strip_suffix("/v2"))
        .unwrap_or(bare);
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    let host = match host {
        "index.docker.io" | "registry-1.docker.io" => DEFAULT_DOMAIN,
        host => host,
    };
    let inside = path.is_empty()
        || asked
            .repository
            .strip_prefix(path)
            .is_some_and(|r| r.is_empty() || r.starts_with('/'));
    (host == asked.registry && inside).then_some((path.len(), plain))
}

impl Entry {
    fn is_empty(&self) -> bool {
        let Self {
            auth,
            username,
            password,
            identitytoken,
            registrytoken,
        } = self;
        [auth, username, password, identitytoken, registrytoken]
            .iter()
            .all(|field| field.as_deref().is_none_or(str::is_empty))
    }

    fn credential(&self) -> Result<Option<Credential>, &'static str> {
        let given = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
        if let Some(token) = given(&self.registrytoken) {
            return Ok(Some(Credential::Registry(Secret::new(token))));
        }
        if let Some(token) = given(&self.identitytoken) {
            return Ok(Some(Credential::Identity(Secret::new(token))));
        }
        if let Some(auth) = given(&self.auth) {
            return decode(&auth).map(Some);
        }
        match (given(&self.username), given(&self.password)) {
            (Some(user), Some(password)) => Ok(Some(credential(user, password))),
            _ => Ok(None),
        }
    }
}

/// A user name and a password, or the identity token that they stand for.
pub(super) fn credential(user: String, password: String) -> Credential {
    let password = Secret::new(password);
    if user == TOKEN_USER {
        return Credential::Identity(password);
    }
    Credential::Password { user, password }
}

fn decode(auth: &str) -> Result<Credential, &'static str> {
    let bytes = BASE64.decode(auth.trim()).map_err(|_| "is not base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8")?;
    let (user, password) = text.split_once(':').ok_or("is not user:password")?;
    // Docker pads with NUL (docker/cli: decodeAuth).
    Ok(credential(
        user.to_owned(),
        password.trim_matches('\0').to_owned(),
    ))
}
