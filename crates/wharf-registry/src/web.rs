//! A file of any web server, which need not be a registry: what `import URL` reads.
//!
//! Nobody gets credentials but those in the address itself, as with Docker (28.5: remotecontext).

use bytes::Bytes;
use reqwest::Url;

use crate::answer::ERROR_BODY_MAX;
use crate::error::RegistryError;
use crate::exchange::{Incoming, Outgoing, exchange};
use crate::http::Http;
use crate::redact;

/// A file on its way.
pub struct WebFile {
    incoming: Incoming,
    address: String,
}

/// Asks for the file at `address`.
pub(crate) async fn get(http: &Http, address: &str) -> Result<WebFile, RegistryError> {
    let setting = |reason: &str| RegistryError::Setting {
        what: format!("parse {address:?}"),
        reason: reason.to_owned(),
    };
    let url = Url::parse(address).map_err(|error| setting(&error.to_string()))?;
    if url.host_str().is_none_or(str::is_empty) || !matches!(url.scheme(), "http" | "https") {
        return Err(setting("it is neither http://HOST nor https://HOST"));
    }
    let mut shown = url.clone();
    // Passwords are never shown (security rule 7). Where there is a host, this does not fail.
    if shown.set_username("").is_err() || shown.set_password(None).is_err() {
        return Err(setting("its user cannot be left out of messages"));
    }
    let mut incoming = exchange(http, None, &Outgoing::get(url)).await?;
    let status = incoming.response.status();
    if status.as_u16() >= 400 {
        let body = incoming.body(ERROR_BODY_MAX).await.unwrap_or_default();
        let answer = redact::foreign(&String::from_utf8_lossy(&body));
        return Err(RegistryError::Web {
            address: shown.into(),
            status,
            answer,
        });
    }
    Ok(WebFile {
        incoming,
        address: shown.into(),
    })
}

impl WebFile {
    /// Where it comes from, without a password.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The next bytes; `None` at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, RegistryError> {
        self.incoming.chunk().await
    }
}
