//! A file of any web server, which need not be a registry: what `import URL` reads.
//!
//! Nobody gets credentials but those in the address itself, as with Docker (28.5: remotecontext).

use bytes::Bytes;
use reqwest::Url;

use crate::answer::ERROR_BODY_MAX;
use crate::error::RegistryError;
use crate::exchange::{Incoming, Outgoing, exchange};
use crate::http::Http;
use crate::redact::{self, ShownUrl};

/// A file on its way.
pub struct WebFile {
    incoming: Incoming,
    address: ShownUrl,
}

/// Asks for the file at `address`.
pub(crate) async fn get(http: &Http, address: &str) -> Result<WebFile, RegistryError> {
    let setting = |reason: &str| RegistryError::Setting {
        what: format!("parse {:?}", redact::foreign(&redact::url_text(address))),
        reason: reason.to_owned(),
    };
    let url = Url::parse(address).map_err(|error| setting(&error.to_string()))?;
    if url.host_str().is_none_or(str::is_empty) || !matches!(url.scheme(), "http" | "https") {
        return Err(setting("it is neither http://HOST nor https://HOST"));
    }
    // Passwords and signatures are never shown (security rule 7).
    let address = ShownUrl::new(&url);
    let mut incoming = exchange(http, None, &Outgoing::get(url)).await?;
    let status = incoming.response.status();
    if status.as_u16() >= 400 {
        let body = incoming.body(ERROR_BODY_MAX).await.unwrap_or_default();
        let answer = redact::foreign(&String::from_utf8_lossy(&body));
        return Err(RegistryError::Web {
            address,
            status,
            answer,
        });
    }
    Ok(WebFile { incoming, address })
}

impl WebFile {
    /// Where it comes from.
    pub const fn address(&self) -> &ShownUrl {
        &self.address
    }

    /// The next bytes; `None` at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, RegistryError> {
        self.incoming.chunk().await
    }
}
