//! One request, its redirects followed, and its answer's body, bounded.
//!
//! The redirects are followed here, not by the library, for two rules: credentials stay with the
//! origin that they were given for, and https never becomes http (security rules 7 and 8).

use std::io::Read as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use reqwest::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION,
};
use reqwest::{Method, Response, Url};
use tokio::time::Instant;
use tracing::debug;

use crate::connect;
use crate::error::{RegistryError, request_words};
use crate::http::{Http, host_of};
use crate::payload::{self, Halt, Payload};
use crate::place::Place;
use crate::rate::Progress;
use crate::redact::{self, Secret};

/// How many redirects are followed: as many as Go's client follows. Registries have one or two.
const REDIRECTS_MAX: usize = 10;

/// A request.
pub(crate) struct Outgoing<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    /// The `Authorization` header. It does not follow a redirect to another origin.
    pub(crate) authorization: Option<&'a Secret>,
    /// A form to post.
    pub(crate) form: Option<String>,
    /// What is sent: a manifest, a blob's bytes.
    pub(crate) payload: Option<&'a Payload>,
}

impl Outgoing<'_> {
    pub(crate) fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            authorization: None,
            form: None,
            payload: None,
        }
    }
}

/// An answer, of any status.
pub(crate) struct Incoming {
    pub(crate) response: Response,
    /// The request, as Docker words it.
    pub(crate) request: String,
    /// Did a redirect lead to another origin than the request's?
    pub(crate) strayed: bool,
    /// How long nothing may come, and how little.
    stall: Duration,
    progress: Progress,
}

/// Sends a request. `place` says whom to trust; without one, only what everybody trusts.
pub(crate) async fn exchange(
    http: &Http,
    place: Option<&Place>,
    outgoing: &Outgoing<'_>,
) -> Result<Incoming, RegistryError> {
    let mut url = outgoing.url.clone();
    let mut strayed = false;
    for _ in 0..=REDIRECTS_MAX {
        let request = request_words(&outgoing.method, &url);
        let response = send(http, place, outgoing, &url, strayed).await?;
        debug!(%request, status = response.status().as_u16(), "answer");
        if let Some(place) = place {
            place.set_reached();
        }
        let Some(target) = redirect(&response) else {
            return Ok(Incoming {
                response,
                request,
                strayed,
                stall: http.stall_timeout(),
                progress: Progress::new(http.min_rate()),
            });
        };
        let rewritten = matches!(response.status().as_u16(), 301..=303);
        if outgoing.payload.is_some() && rewritten {
            let reason = "it redirects what is sent in a way that would lose it".to_owned();
            return Err(RegistryError::Protocol { request, reason });
        }
        let downgrade = place.is_some_and(|place| place.insecure);
        let next = follow(&url, target, outgoing, downgrade)
            .map_err(|reason| RegistryError::Protocol { request, reason })?;
        // Once strayed, always strayed: whoever redirects back must not be handed them either.
        strayed |= next.origin() != outgoing.url.origin();
        url = next;
    }
    let request = request_words(&outgoing.method, &outgoing.url);
    let reason = format!("stopped after {REDIRECTS_MAX} redirects");
    Err(RegistryError::Protocol { request, reason })
}

async fn send(
    http: &Http,
    place: Option<&Place>,
    outgoing: &Outgoing<'_>,
    url: &Url,
    strayed: bool,
) -> Result<Response, RegistryError> {
    let client = match (place, outgoing.payload) {
        (Some(place), Some(_)) => http.uploader(place, url)?,
        (Some(place), None) => http.client(place, url)?,
        (None, _) => http.stranger(url)?,
    };
    let mut request = client
        .request(outgoing.method.clone(), url.clone())
        .headers(outgoing.headers.clone());
    if let Some(secret) = outgoing.authorization.filter(|_| !strayed) {
        let mut value =
            HeaderValue::from_str(secret.reveal()).map_err(|_| RegistryError::Protocol {
                request: request_words(&outgoing.method, url),
                reason: "the credentials hold characters that no header can hold".to_owned(),
            })?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    if let Some(form) = &outgoing.form {
        request = request
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.clone());
    }
    let sent = match outgoing.payload {
        None => request.send().await,
        Some(payload) => {
            let request = request.header(CONTENT_LENGTH, payload.length());
            let (body, meter) = payload.begin();
            let stall = http.stall_timeout();
            match payload::watched(request.body(body).send(), &meter, stall, http.min_rate()).await
            {
                Ok(sent) => sent,
                Err(Halt::Stalled) => {
                    return Err(RegistryError::Broken {
                        request: request_words(&outgoing.method, url),
                        reason: "the registry took nothing for too long".to_owned(),
                    });
                }
                Err(Halt::TooSlow(limit)) => {
                    let (place, verb) = (host_of(url), "takes");
                    return Err(RegistryError::TooSlow { place, verb, limit });
                }
            }
        }
    };
    sent.map_err(|error| connect::translate(error, http, &outgoing.method, url))
}

/// Where an answer redirects to, in its own words.
fn redirect(response: &Response) -> Option<&[u8]> {
    let moved = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    response
        .headers()
        .get(LOCATION)
        .filter(|_| moved)
        .map(HeaderValue::as_bytes)
}

/// The address to go on with, if it is one that may be gone on with. `downgrade` allows http after
/// https: for registries that are insecure by setting.
fn follow(
    from: &Url,
    target: &[u8],
    outgoing: &Outgoing<'_>,
    downgrade: bool,
) -> Result<Url, String> {
    let target = std::str::from_utf8(target)
        .ok()
        .and_then(|text| from.join(text).ok());
    let Some(mut next) = target else {
        return Err("it redirects to something that is not an address".to_owned());
    };
    let shown = redact::url(&next);
    if outgoing.form.is_some() {
        return Err(format!(
            "it redirects what was posted to {shown}, which is not followed"
        ));
    }
    match (from.scheme(), next.scheme()) {
        ("https", "http") if !downgrade => {
            return Err(format!(
                "it redirects from https to {shown}, which is not followed"
            ));
        }
        (_, "http" | "https") => {}
        _ => {
            return Err(format!(
                "it redirects to {shown}, which is neither http nor https"
            ));
        }
    }
    // What a stranger puts in front of the host is not ours to send.
    let cleared = next.set_username("").is_ok() && next.set_password(None).is_ok();
    if cleared {
        Ok(next)
    } else {
        Err(format!("it redirects to {shown}, which has no host"))
    }
}

impl Incoming {
    /// The next bytes of the body; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, RegistryError> {
        let began = Instant::now();
        let chunk = match tokio::time::timeout(self.stall, self.response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| connect::translate_body(error, &self.request))?,
            Err(_) => {
                return Err(RegistryError::Broken {
                    request: self.request.clone(),
                    reason: connect::STALLED.to_owned(),
                });
            }
        };
        if let Some(bytes) = &chunk {
            let noted = self.progress.note(began.elapsed(), bytes.len() as u64);
            noted.map_err(|limit| RegistryError::TooSlow {
                place: host_of(self.response.url()),
                verb: "sends",
                limit,
            })?;
        }
        Ok(chunk)
    }

    /// The whole body, if it has at most `limit` bytes: unpacked, where it was packed by gzip for the way,
    /// as Go's client does.
    pub(crate) async fn body(&mut self, limit: u64) -> Result<Bytes, RegistryError> {
        let gzip = self.is_gzip();
        if !gzip {
            self.check_encoding()?;
        }
        let announced = self.response.content_length();
        if announced.is_some_and(|length| length > limit) {
            return Err(self.too_large(limit));
        }
        let mut all = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if (all.len() + chunk.len()) as u64 > limit {
                return Err(self.too_large(limit));
            }
            all.extend_from_slice(&chunk);
        }
        if !gzip || all.is_empty() {
            return Ok(all.freeze());
        }
        let mut plain = Vec::new();
        let unpacked = MultiGzDecoder::new(&all[..])
            .take(limit + 1)
            .read_to_end(&mut plain);
        if unpacked.is_err() {
            return Err(RegistryError::Protocol {
                request: self.request.clone(),
                reason: "the answer says that it is packed by gzip, and cannot be unpacked"
                    .to_owned(),
            });
        }
        if plain.len() as u64 > limit {
            return Err(self.too_large(limit));
        }
        Ok(plain.into())
    }

    fn too_large(&self, limit: u64) -> RegistryError {
        RegistryError::TooLarge {
            request: self.request.clone(),
            limit,
        }
    }

    /// Is the body packed by gzip? That is the only packing that is asked for.
    pub(crate) fn is_gzip(&self) -> bool {
        self.header("content-encoding")
            .is_some_and(|encoding| encoding.eq_ignore_ascii_case("gzip"))
    }

    /// Refuses a body that was packed for the way: its bytes are not those that were asked for.
    pub(crate) fn check_encoding(&self) -> Result<(), RegistryError> {
        match self.header("content-encoding") {
            None | Some("") => Ok(()),
            Some(encoding) if encoding.eq_ignore_ascii_case("identity") => Ok(()),
            Some(encoding) => Err(RegistryError::Protocol {
                request: self.request.clone(),
                reason: format!(
                    "the answer is packed ({}), which was not asked for",
                    redact::foreign(encoding)
                ),
            }),
        }
    }

    /// A header's text, if it is there and is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response
            .headers()
            .get(name)?
            .to_str()
            .ok()
            .map(str::trim)
    }
}
