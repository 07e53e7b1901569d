//! Docker's `config.json`, and `auth.json`, which has the same form.
//!
//! A key of `auths` is a registry (`registry.corp:5000`), an address of former times
//! (`https://index.docker.io/v1/`), or a part of a registry (`quay.io/team`). The longest one that
//! fits counts.

use std::io::ErrorKind;
use std::path::Path;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};
use wharf_core::reference::DEFAULT_DOMAIN;

use super::json::{object, take_object, take_text};
use super::{Asked, Credential, Trouble};
use crate::redact::{self, Secret};

/// Bounds the file, in bytes. Real ones have a few KiB.
pub(super) const FILE_MAX: u64 = 4 * 1024 * 1024;

/// Base64 with or without its padding: both are found.
const PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// Docker writes the standard alphabet; some programs that write the file for it use the other one.
const BASE64: [GeneralPurpose; 2] = [
    GeneralPurpose::new(&STANDARD, PADDING),
    GeneralPurpose::new(&URL_SAFE, PADDING),
];

/// The user name that says that the password is an identity token.
pub(super) const TOKEN_USER: &str = "<token>";

/// The variable's keys, as Docker 28.5 reads them: any other one makes the variable count for nothing.
const VARIABLE_KEY: &str = "auths";
const VARIABLE_ENTRY_KEY: &str = "auth";

/// What a file says about credentials. Values are read when their registry is asked for: what is wrong with
/// one registry's entry is nothing to another one.
#[derive(Default)]
pub(super) struct ConfigFile {
    auths: Map<String, Value>,
    cred_helpers: Map<String, Value>,
    creds_store: Option<String>,
    /// What is wrong with keys that are for every registry.
    pub(super) troubles: Vec<Trouble>,
}

/// Reads a file; `None` if it is not there.
pub(super) fn read(path: &Path) -> Result<Option<ConfigFile>, Trouble> {
    let text = match wharf_os::file::read(path, FILE_MAX) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Trouble(error.to_string())),
    };
    Ok(object(&text)?.map(ConfigFile::new))
}

/// Reads `DOCKER_AUTH_CONFIG`. It holds `auths` with an `auth` each, and nothing else.
pub(super) fn variable(text: &str) -> Result<Option<ConfigFile>, Trouble> {
    let Some(fields) = object(text.as_bytes())? else {
        return Ok(None);
    };
    if let Some(other) = unknown(&fields, VARIABLE_KEY) {
        return Err(other);
    }
    Ok(Some(ConfigFile::new(fields)))
}

/// Says of an object that it has another key than this one.
fn unknown(fields: &Map<String, Value>, known: &str) -> Option<Trouble> {
    let other = fields.keys().find(|key| !key.eq_ignore_ascii_case(known))?;
    let other = redact::foreign(other);
    Some(Trouble(format!(
        "the key {other:?} is not known there; only {known} is"
    )))
}

impl ConfigFile {
    fn new(mut fields: Map<String, Value>) -> Self {
        let mut file = Self::default();
        let mut kept = |read: Result<Map<String, Value>, Trouble>| {
            read.unwrap_or_else(|trouble| {
                file.troubles.push(trouble);
                Map::new()
            })
        };
        file.auths = kept(take_object(&mut fields, "auths"));
        file.cred_helpers = kept(take_object(&mut fields, "credHelpers"));
        match take_text(&mut fields, "credsStore") {
            Ok(name) => file.creds_store = name,
            Err(trouble) => file.troubles.push(trouble),
        }
        file
    }

    /// The helpers to ask, in order: the one for this registry, the one for all.
    pub(super) fn helpers(&self, asked: &Asked<'_>) -> Result<Vec<String>, Trouble> {
        let named = self.cred_helpers.iter().filter(|(_, name)| !name.is_null());
        let own = match best(named, asked) {
            None => None,
            Some((_, Value::String(name))) => Some(name.clone()),
            Some((key, _)) => return Err(of_key("credHelpers", key, "is not a text")),
        };
        let mut helpers: Vec<String> = [own, self.creds_store.clone()]
            .into_iter()
            .flatten()
            .filter(|name| !name.is_empty())
            .collect();
        helpers.dedup();
        Ok(helpers)
    }

    /// What the file itself holds for a registry.
    pub(super) fn stored(&self, asked: &Asked<'_>) -> Result<Option<Credential>, Trouble> {
        // Helpers leave empty entries behind: who is logged in, not with what.
        let filled = self.auths.iter().filter(|(_, entry)| !is_empty(entry));
        match best(filled, asked) {
            Some((key, entry)) => entry_credential(entry)
                .map_err(|trouble| of_key("auths", key, &trouble.to_string())),
            None => Ok(None),
        }
    }

    /// The same of `DOCKER_AUTH_CONFIG`, whose entries have nothing but `auth`.
    pub(super) fn given(&self, asked: &Asked<'_>) -> Result<Option<Credential>, Trouble> {
        let Some((key, entry)) = best(self.auths.iter(), asked) else {
            return Ok(None);
        };
        if let Some(other) = entry
            .as_object()
            .and_then(|fields| unknown(fields, VARIABLE_ENTRY_KEY))
        {
            return Err(of_key("auths", key, &format!("cannot be read: {other}")));
        }
        match self.stored(asked)? {
            Some(credential) => Ok(Some(credential)),
            None => Err(of_key("auths", key, "has no auth")),
        }
    }
}

/// Names an entry, and never its value.
fn of_key(field: &str, key: &str, problem: &str) -> Trouble {
    Trouble(format!(
        "{field}.{:?} {problem}",
        redact::foreign(&redact::url_text(key))
    ))
}

fn best<'a>(
    entries: impl Iterator<Item = (&'a String, &'a Value)>,
    asked: &Asked<'_>,
) -> Option<(&'a String, &'a Value)> {
    entries
        .filter_map(|(key, value)| Some((fit(key, asked)?, (key, value))))
        .max_by_key(|(fit, _)| *fit)
        .map(|(_, entry)| entry)
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

/// Does an entry hold nothing?
fn is_empty(entry: &Value) -> bool {
    let nothing = |value: &Value| value.is_null() || value.as_str().is_some_and(str::is_empty);
    match entry {
        Value::Null => true,
        Value::Object(fields) => ENTRY_KEYS.iter().all(|known| {
            let mut given = fields
                .iter()
                .filter(|(key, _)| key.eq_ignore_ascii_case(known));
            given.all(|(_, value)| nothing(value))
        }),
        _ => false,
    }
}

/// The keys of an entry that say something about credentials.
const ENTRY_KEYS: [&str; 5] = [
    "auth",
    "username",
    "password",
    "identitytoken",
    "registrytoken",
];

fn entry_credential(entry: &Value) -> Result<Option<Credential>, Trouble> {
    let Value::Object(fields) = entry else {
        return Err(Trouble::new("is not an object"));
    };
    let mut fields = fields.clone();
    let mut text = |key| {
        let taken = take_text(&mut fields, key);
        taken.map_err(|trouble| Trouble(format!("cannot be read: {trouble}")))
    };
    if let Some(token) = text("registrytoken")? {
        return Ok(Some(Credential::Registry(Secret::new(token))));
    }
    if let Some(token) = text("identitytoken")? {
        return Ok(Some(Credential::Identity(Secret::new(token))));
    }
    if let Some(auth) = text("auth")? {
        let decoded = decode(&auth).map(Some);
        return decoded.map_err(|problem| Trouble(format!("has an auth that {problem}")));
    }
    match (text("username")?, text("password")?) {
        (Some(user), Some(password)) => Ok(Some(credential(user, password))),
        _ => Ok(None),
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
    // Line breaks are what programs wrap long texts with; Go passes over them too.
    let packed: String = auth.chars().filter(|c| !c.is_whitespace()).collect();
    let decoded = BASE64.iter().find_map(|base64| base64.decode(&packed).ok());
    let bytes = decoded.ok_or("is not base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8 in base64")?;
    let (user, password) = text
        .split_once(':')
        .ok_or("is not user:password in base64")?;
    // Docker pads with NUL (docker/cli: decodeAuth).
    Ok(credential(
        user.to_owned(),
        password.trim_matches('\0').to_owned(),
    ))
}
