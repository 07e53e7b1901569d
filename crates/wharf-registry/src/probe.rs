//! Finds out whether a place speaks https or plain http, where both are allowed.
//!
//! Asked once per place, by `GET /v2/` without credentials. Everywhere else https is the only
//! choice, and nothing is asked (security rule 8: no silent fall-back).
//!
//! - Loopback: plain http first, which is what listens there nearly always. A server that speaks
//!   TLS answers that with 400, with a redirect to https, or with bytes that are no HTTP: then
//!   https, and its certificate counts. A host with a folder in `certs.d` speaks https.
//! - Insecure: https first, so that TLS is used where there is any; its certificate does not count.

use reqwest::{StatusCode, Url};

use crate::client::Client;
use crate::error::{RegistryError, TlsTrouble};
use crate::exchange::{Incoming, Outgoing, exchange};
use crate::place::{Place, Schemes};

impl Client {
    /// The place's root, with the scheme that it speaks.
    pub(crate) async fn root<'a>(&self, place: &'a Place) -> Result<&'a Url, RegistryError> {
        place
            .root
            .get_or_try_init(|| async {
                match &place.schemes {
                    Schemes::Only(root) => Ok(root.clone()),
                    Schemes::HttpOrHttps if self.http.has_certificates(&place.host) => {
                        place.with_scheme("https")
                    }
                    Schemes::HttpOrHttps => self.http_or_https(place).await,
                    Schemes::HttpsOrHttp => self.https_or_http(place).await,
                }
            })
            .await
    }

    async fn http_or_https(&self, place: &Place) -> Result<Url, RegistryError> {
        let (http, https) = (place.with_scheme("http")?, place.with_scheme("https")?);
        let doubtful = match self.ping(place, &http).await {
            Ok(incoming) if incoming.response.url().origin() == https.origin() => return Ok(https),
            Ok(incoming) => incoming.response.status() == StatusCode::BAD_REQUEST,
            // Plain http has no TLS troubles: it has redirected to https.
            Err(RegistryError::Tls { .. }) => return Ok(https),
            Err(RegistryError::Broken { .. }) => true,
            Err(error) => return Err(error),
        };
        if !doubtful {
            return Ok(http);
        }
        let speaks_tls = match self.ping(place, &https).await {
            Ok(_) => true,
            // It speaks TLS, and the request itself will tell what is wrong with it.
            Err(RegistryError::Tls { trouble, .. }) => trouble != TlsTrouble::NotTls,
            Err(_) => false,
        };
        Ok(if speaks_tls { https } else { http })
    }

    async fn https_or_http(&self, place: &Place) -> Result<Url, RegistryError> {
        let (http, https) = (place.with_scheme("http")?, place.with_scheme("https")?);
        match self.ping(place, &https).await {
            Ok(_) => return Ok(https),
            Err(RegistryError::Tls { trouble, .. }) if trouble != TlsTrouble::NotTls => {
                return Ok(https);
            }
            Err(RegistryError::Certificate { path, reason }) => {
                return Err(RegistryError::Certificate { path, reason });
            }
            Err(_) => {}
        }
        self.ping(place, &http).await.map(|_| http)
    }

    /// Asks a place for nothing but an answer, without credentials.
    pub(crate) async fn ping(&self, place: &Place, root: &Url) -> Result<Incoming, RegistryError> {
        let mut url = root.clone();
        url.set_path("/v2/");
        exchange(&self.http, Some(place), &Outgoing::get(url)).await
    }
}
