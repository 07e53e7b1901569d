//! Keeping credentials: in the helper that Docker's `config.json` names, else in the file itself.
//!
//! Only `auths` is rewritten, and of it only the one entry: everything else keeps its bytes and its
//! order. The new file replaces the old one whole, with the old one's mode, or 0600; where the name
//! is a link, what it points to is replaced.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::config::{FILE_MAX, TOKEN_USER};
use super::helper;
use super::json::unmarked;
use crate::error::RegistryError;
use crate::login::Login;
use crate::redact::Secret;
use crate::settings::CredentialSettings;

/// What a new file is open to: its owner.
const MODE: u32 = 0o600;

/// The same for its folder.
const FOLDER_MODE: u32 = 0o700;

/// A JSON object whose values keep their bytes, and whose fields their order.
#[derive(Default)]
struct Fields(Vec<(String, Box<RawValue>)>);

/// An entry of `auths`, as Docker writes it.
#[derive(Serialize)]
struct Entry {
    #[serde(skip_serializing_if = "String::is_empty")]
    auth: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    identitytoken: String,
}

/// Keeps a login under `key`. Answers with the file that holds a password as it is, if one does.
pub(crate) async fn store(
    settings: &CredentialSettings,
    key: &str,
    login: &Login,
    identity: Option<&Secret>,
) -> Result<Option<PathBuf>, RegistryError> {
    let path = file(settings)?;
    let mut fields = read(path)?;
    if let Some(name) = fields.helper(key).map_err(|reason| cannot(path, &reason))? {
        let (user, secret) = match identity {
            Some(token) => (TOKEN_USER, token),
            None => (login.user.as_str(), login.password()),
        };
        let search = settings.helper_path.as_deref();
        tell(&name, "store", &given(key, user, secret), search).await?;
        // Who is logged in, not with what.
        let empty = Entry {
            auth: String::new(),
            identitytoken: String::new(),
        };
        fields.set_entry(key, &empty)?;
        write(path, &fields)?;
        return Ok(None);
    }
    // With an identity token, only the name is kept of the password's pair (docker/cli: encodeAuth).
    let password = if identity.is_some() {
        ""
    } else {
        login.password().reveal()
    };
    let entry = Entry {
        auth: STANDARD.encode(format!("{}:{password}", login.user)),
        identitytoken: identity
            .map(|token| token.reveal().to_owned())
            .unwrap_or_default(),
    };
    let changed = fields.set_entry(key, &entry)?;
    if changed {
        write(path, &fields)?;
    }
    Ok((changed && identity.is_none()).then(|| path.to_owned()))
}

/// Forgets what is kept under any of these keys. Fails if it could be forgotten under none.
pub(crate) async fn erase(
    settings: &CredentialSettings,
    keys: &[String],
) -> Result<(), Vec<(String, RegistryError)>> {
    let mut failed = Vec::new();
    for key in keys {
        if let Err(error) = erase_one(settings, key).await {
            failed.push((key.clone(), error));
        }
    }
    if failed.len() == keys.len() {
        Err(failed)
    } else {
        Ok(())
    }
}

async fn erase_one(settings: &CredentialSettings, key: &str) -> Result<(), RegistryError> {
    let path = file(settings)?;
    let mut fields = read(path)?;
    if let Some(name) = fields.helper(key).map_err(|reason| cannot(path, &reason))? {
        tell(&name, "erase", key, settings.helper_path.as_deref()).await?;
    }
    if fields.remove_entry(key)? {
        write(path, &fields)?;
    }
    Ok(())
}

fn file(settings: &CredentialSettings) -> Result<&Path, RegistryError> {
    settings
        .docker_config
        .as_deref()
        .ok_or_else(|| RegistryError::Setting {
            what: "there is no home folder to keep credentials in".to_owned(),
            reason: "name a folder with DOCKER_CONFIG".to_owned(),
        })
}

fn given(key: &str, user: &str, secret: &Secret) -> String {
    serde_json::json!({ "ServerURL": key, "Username": user, "Secret": secret.reveal() }).to_string()
}

async fn tell(
    name: &str,
    verb: &str,
    input: &str,
    search: Option<&OsStr>,
) -> Result<(), RegistryError> {
    helper::tell(name, verb, input, search)
        .await
        .map_err(|trouble| RegistryError::Setting {
            what: match verb {
                "store" => "error storing credentials".to_owned(),
                _ => "error erasing credentials".to_owned(),
            },
            reason: trouble.to_string(),
        })
}

fn read(path: &Path) -> Result<Fields, RegistryError> {
    let text = match wharf_os::file::read(path, FILE_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Fields::default()),
        text => text.map_err(|error| cannot(path, &error.to_string()))?,
    };
    let text = unmarked(&text).map_err(|reason| cannot(path, reason))?;
    if matches!(text.trim_ascii(), b"" | b"null") {
        return Ok(Fields::default());
    }
    // The library's message may quote a value, and a value may be a password: only where it is.
    serde_json::from_slice(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        cannot(
            path,
            &format!("it is not valid (line {line}, column {column})"),
        )
    })
}

fn write(path: &Path, fields: &Fields) -> Result<(), RegistryError> {
    replace(path, fields.to_string().as_bytes()).map_err(|error| cannot(path, &error.to_string()))
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let target = target(path);
    let folder = target.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let mode = match fs::metadata(&target) {
        Ok(old) => {
            // Called through sudo, the file stays its owner's. Who may not change that need not.
            let kept = std::os::unix::fs::fchown(file.as_file(), Some(old.uid()), Some(old.gid()));
            tracing::debug!(?kept, "the owner of the file");
            old.permissions().mode() & 0o777
        }
        Err(_) => MODE,
    };
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(&target)?;
    File::open(folder)?.sync_all()
}

/// The file behind a link, there or not.
fn target(path: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    match fs::read_link(path) {
        Ok(link) => path.parent().unwrap_or(Path::new(".")).join(link),
        Err(_) => path.to_owned(),
    }
}

fn cannot(path: &Path, reason: &str) -> RegistryError {
    RegistryError::Setting {
        what: format!("credentials cannot be kept in {}", path.display()),
        reason: reason.to_owned(),
    }
}

impl Fields {
    /// Where a key is: the last one counts, in any case if it is not there in its own, as with Go.
    fn place(&self, name: &str) -> Option<usize> {
        let last = |same: &dyn Fn(&str) -> bool| self.0.iter().rposition(|(key, _)| same(key));
        last(&|key| key == name).or_else(|| last(&|key| key.eq_ignore_ascii_case(name)))
    }

    /// A key's value; `None` if it is not there, or is `null`.
    fn get(&self, name: &str) -> Option<&RawValue> {
        let value = self.0.get(self.place(name)?)?.1.as_ref();
        (value.get() != "null").then_some(value)
    }

    fn set(&mut self, name: &str, value: Box<RawValue>) {
        match self.place(name) {
            Some(place) => self.0[place].1 = value,
            None if name == "auths" => self.0.insert(0, (name.to_owned(), value)),
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// The helper that keeps a registry's credentials: its own, or the one for all. What cannot be read is an
    /// error: the password must not end up in the file where a helper was meant to have it.
    fn helper(&self, key: &str) -> Result<Option<String>, String> {
        let text = |field: &str, raw: Option<&RawValue>| match raw {
            None => Ok(None),
            Some(raw) => serde_json::from_str::<String>(raw.get())
                .map(Some)
                .map_err(|_| format!("{field} is not a text")),
        };
        let own = match self.get("credHelpers") {
            None => None,
            Some(raw) => {
                let helpers: Self = serde_json::from_str(raw.get())
                    .map_err(|_| "credHelpers is not an object".to_owned())?;
                let own = helpers.0.iter().rev().find(|(known, _)| known == key);
                let own = own.map(|(_, raw)| raw.as_ref());
                let own = own.filter(|raw| raw.get() != "null");
                text(&format!("credHelpers.{key:?}"), own)?
            }
        };
        let name = match own {
            Some(name) => Some(name),
            None => text("credsStore", self.get("credsStore"))?,
        };
        Ok(name.filter(|name| !name.is_empty()))
    }

    fn auths(&self) -> Result<Self, RegistryError> {
        match self.get("auths").map(RawValue::get) {
            None => Ok(Self::default()),
            Some(text) => serde_json::from_str(text).map_err(|_| RegistryError::Setting {
                what: "credentials cannot be kept".to_owned(),
                reason: "auths in config.json is not an object".to_owned(),
            }),
        }
    }

    /// Sets an entry of `auths`. Was it another one?
    fn set_entry(&mut self, key: &str, entry: &Entry) -> Result<bool, RegistryError> {
        let mut auths = self.auths()?;
        let json = serde_json::value::to_raw_value(entry).map_err(|_| unwritable())?;
        let mut entries = auths.0.iter().rev();
        let same = entries
            .find(|(known, _)| known == key)
            .is_some_and(|(_, old)| squeezed(old.get()) == json.get());
        auths.0.retain(|(known, _)| known != key);
        auths.0.push((key.to_owned(), json));
        auths.0.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.put_auths(&auths)?;
        Ok(!same)
    }

    /// Removes an entry of `auths`. Was it there?
    fn remove_entry(&mut self, key: &str) -> Result<bool, RegistryError> {
        let mut auths = self.auths()?;
        let before = auths.0.len();
        auths.0.retain(|(known, _)| known != key);
        self.put_auths(&auths)?;
        Ok(auths.0.len() < before)
    }

    fn put_auths(&mut self, auths: &Self) -> Result<(), RegistryError> {
        let raw = RawValue::from_string(auths.to_json(1)).map_err(|_| unwritable())?;
        self.set("auths", raw);
        Ok(())
    }

    /// Docker's layout: a tab for each level. Values that were read keep theirs.
    fn to_json(&self, depth: usize) -> String {
        if self.0.is_empty() {
            return "{}".to_owned();
        }
        let (inner, outer) = ("\t".repeat(depth + 1), "\t".repeat(depth));
        let lines = self.0.iter().map(|(key, value)| {
            let value = laid_out(value.get(), depth + 1);
            format!("{inner}{}: {value}", serde_json::Value::from(key.as_str()))
        });
        format!("{{\n{}\n{outer}}}", lines.collect::<Vec<_>>().join(",\n"))
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json(0))
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut all = Fields::default();
                while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    all.0.push((key, value));
                }
                Ok(all)
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// An object that was just made, on lines of its own; what was read before stays as it is.
fn laid_out(json: &str, depth: usize) -> String {
    if json.contains('\n') || !json.starts_with('{') || json == "{}" {
        return json.to_owned();
    }
    match serde_json::from_str::<Fields>(json) {
        Ok(fields) => fields.to_json(depth),
        Err(_) => json.to_owned(),
    }
}

/// Without the space between tokens, to compare.
fn squeezed(json: &str) -> String {
    let value: Result<serde_json::Value, _> = serde_json::from_str(json);
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn unwritable() -> RegistryError {
    RegistryError::Setting {
        what: "credentials cannot be kept".to_owned(),
        reason: "they cannot be written as JSON".to_owned(),
    }
}

#[cfg(test)]
mod tests;
