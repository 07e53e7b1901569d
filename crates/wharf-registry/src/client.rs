//! One request to one repository: address, authorization, and the places in turn.
//!
//! [`Client`] is what every [`crate::Registry`] shares: connections, tokens, which place of which
//! registry answered last. Above it are [`crate::manifests`], [`crate::blobs`], [`crate::tags`].

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderValue, RANGE, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode, Url};
use tracing::debug;
use wharf_core::{Event, Reference, Watch};

use crate::answer::{self, Whom};
use crate::auth::{Access, Auth, Authorization, Purpose, Refused};
use crate::credentials::{Credentials, Whose};
use crate::error::RegistryError;
use crate::exchange::{Incoming, Outgoing, exchange};
use crate::http::Http;
use crate::manifests::Cache;
use crate::payload::Payload;
use crate::place::{Place, places};
use crate::retry::Pauses;
use crate::settings::Settings;

/// How often one request is made in all: bare, with what was remembered, with what is new, and
/// once more where a password was changed meanwhile.
const AUTHORIZATIONS_MAX: usize = 4;

/// How often a place that never answered is tried: a resolver or a switch may have hiccuped, but a
/// user who mistyped a name shouldn't wait for it.
const FIRST_CONTACTS: u32 = 2;

/// A pause that a user sees, and wants to know the reason of.
const NOTICED: Duration = Duration::from_secs(2);

/// For how many registries and repositories it is remembered which places they have, and which
/// one answered.
const REMEMBERED_MAX: usize = 1024;

/// What every clone of a registry client shares.
pub(crate) struct Client {
    pub(crate) settings: Arc<Settings>,
    pub(crate) http: Arc<Http>,
    pub(crate) manifests: Cache,
    pub(crate) auth: Auth,
    places: Arc<Mutex<Places>>,
    /// By repository: which place answered for its manifest.
    preferred: Mutex<HashMap<String, Arc<Place>>>,
}

/// By registry: the mirrors, and the registry itself.
type Places = BTreeMap<String, Vec<Arc<Place>>>;

/// A request to a repository.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// What of the repository: `manifests/latest`.
    pub(crate) what: String,
    pub(crate) accept: Option<HeaderValue>,
    /// May the answer be packed for the way? [`Incoming::body`] unpacks it.
    pub(crate) packed: bool,
    /// Which bytes, if not all.
    pub(crate) range: Option<Range<u64>>,
    /// An address that the place itself named, instead of `what`.
    pub(crate) url: Option<Url>,
    /// What the registry must allow.
    pub(crate) access: Access,
    /// What is asked beside the address: `mount`, `from`.
    pub(crate) query: Vec<(&'static str, String)>,
    /// Further headers.
    pub(crate) more: HeaderMap,
    /// What is sent.
    pub(crate) payload: Option<Payload>,
}

/// How long to wait after an error; `None` to give up.
type Decide<'a> = &'a mut (dyn FnMut(&RegistryError) -> Option<Duration> + Send);

impl Call {
    pub(crate) fn get(what: String) -> Self {
        Self {
            method: Method::GET,
            what,
            accept: None,
            packed: false,
            range: None,
            url: None,
            access: Access::Pull,
            query: Vec::new(),
            more: HeaderMap::new(),
            payload: None,
        }
    }

    /// A request for a document, which comes as a whole. As with Go's client, it may be packed by gzip.
    pub(crate) fn document(what: String) -> Self {
        Self {
            packed: true,
            ..Self::get(what)
        }
    }

    /// A request that changes something.
    pub(crate) fn push(method: Method, what: String) -> Self {
        Self {
            method,
            access: Access::Push { from: None },
            ..Self::get(what)
        }
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = self.more.clone();
        if let Some(accept) = &self.accept {
            headers.insert(ACCEPT, accept.clone());
        }
        // A blob's bytes are hashed as they come, and asked for in parts: they must not be packed.
        let encoding = if self.packed { "gzip" } else { "identity" };
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(encoding));
        if let Some(range) = &self.range {
            let text = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(RANGE, value);
            }
        }
        headers
    }
}

impl Client {
    pub(crate) fn new(settings: Settings) -> Self {
        let settings = Arc::new(settings);
        Self {
            http: Arc::new(Http::new(Arc::clone(&settings))),
            auth: Auth::new(Credentials::new(settings.credentials.clone(), Whose::Kept)),
            manifests: Cache::default(),
            places: Arc::default(),
            preferred: Mutex::default(),
            settings,
        }
    }

    /// A client for somebody else: connections are shared, tokens and manifests are not.
    pub(crate) fn on_behalf_of(&self, whose: Whose) -> Self {
        Self {
            http: Arc::clone(&self.http),
            auth: Auth::new(Credentials::new(self.settings.credentials.clone(), whose)),
            manifests: Cache::default(),
            places: Arc::clone(&self.places),
            preferred: Mutex::default(),
            settings: Arc::clone(&self.settings),
        }
    }

    /// The places of a repository: the mirrors, in order, then the registry itself. A mirror that
    /// is down is left alone for a while.
    pub(crate) fn places(&self, repository: &Reference) -> Result<Vec<Arc<Place>>, RegistryError> {
        let mut all = self.registry_places(repository.domain())?;
        all.retain(|place| !(place.is_mirror() && place.is_broken()));
        Ok(all)
    }

    /// The same, with the one in front that answered for the repository's manifest.
    pub(crate) fn preferred_places(
        &self,
        repository: &Reference,
    ) -> Result<Vec<Arc<Place>>, RegistryError> {
        let mut all = self.places(repository)?;
        let preferred = self
            .preferred
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = preferred.get(repository.repository()) {
            all.sort_by_key(|place| !Arc::ptr_eq(place, first));
        }
        Ok(all)
    }

    /// Remembers that `place` has a repository.
    pub(crate) fn prefer(&self, repository: &Reference, place: &Arc<Place>) {
        let mut preferred = self
            .preferred
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if preferred.len() >= REMEMBERED_MAX {
            preferred.clear();
        }
        preferred.insert(repository.repository().to_owned(), Arc::clone(place));
    }

    /// The registry itself: what is sent goes there, and never to a mirror.
    pub(crate) fn registry_place(&self, domain: &str) -> Result<Arc<Place>, RegistryError> {
        let last = self.registry_places(domain)?.pop();
        last.ok_or_else(nowhere)
    }

    fn registry_places(&self, domain: &str) -> Result<Vec<Arc<Place>>, RegistryError> {
        let mut known = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = known.get(domain) {
            return Ok(places.clone());
        }
        let made = places(domain, &self.settings)?;
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(domain.to_owned(), made.clone());
        Ok(made)
    }

    /// Asks one place once, with whatever authorization it takes. The answer has any status but
    /// 401.
    pub(crate) async fn ask(
        &self,
        place: &Place,
        repository: &Reference,
        call: &Call,
        watch: &dyn Watch,
    ) -> Result<Incoming, RegistryError> {
        let root = self.root(place).await?;
        let shown = repository.familiar_repository();
        let path = repository.path();
        let purpose = Purpose {
            place,
            root,
            path,
            repository: shown,
            access: &call.access,
            watch,
        };
        let mut url = call
            .url
            .clone()
            .unwrap_or_else(|| place.address(root, path, &call.what));
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        if url.origin() != root.origin() {
            // A place that the registry named, for an upload: it has no business with credentials.
            return self.send(place, call, &url, None).await;
        }
        let mut authorization = self.auth.authorization(&self.http, &purpose).await?;
        let mut pinged = false;
        for _ in 1..AUTHORIZATIONS_MAX {
            let mut incoming = self.send(place, call, &url, authorization.as_ref()).await?;
            // A 401 of another origin is about its own link, not about our credentials.
            if incoming.response.status() != StatusCode::UNAUTHORIZED || incoming.strayed {
                return Ok(incoming);
            }
            let mut headers = incoming.response.headers().clone();
            if !headers.contains_key(WWW_AUTHENTICATE) && !pinged {
                pinged = true;
                headers = self.challenge_of(place, root).await.unwrap_or(headers);
            }
            let said = answer::said(&mut incoming).await;
            let refused = Refused {
                headers: &headers,
                url: &url,
                with: authorization.as_ref(),
                answer: &said.text,
            };
            authorization = Some(self.auth.refused(&self.http, &purpose, &refused).await?);
        }
        self.send(place, call, &url, authorization.as_ref()).await
    }

    /// The headers of a registry's answer to `GET /v2/`, if that is a challenge: some registries challenge
    /// nowhere else, and Docker asks there first.
    async fn challenge_of(&self, place: &Place, root: &Url) -> Option<HeaderMap> {
        let asked = self.ping(place, root).await.ok()?;
        let refused = asked.response.status() == StatusCode::UNAUTHORIZED && !asked.strayed;
        refused.then(|| asked.response.headers().clone())
    }

    async fn send(
        &self,
        place: &Place,
        call: &Call,
        url: &Url,
        authorization: Option<&Authorization>,
    ) -> Result<Incoming, RegistryError> {
        let outgoing = Outgoing {
            method: call.method.clone(),
            headers: call.headers(),
            authorization: authorization.map(|authorization| &authorization.header),
            payload: call.payload.as_ref(),
            ..Outgoing::get(url.clone())
        };
        exchange(&self.http, Some(place), &outgoing).await
    }

    /// Runs `step` until it succeeds, or `decide` gives up.
    pub(crate) async fn persist<'a, T>(
        &self,
        decide: Decide<'_>,
        mut step: impl FnMut() -> BoxFuture<'a, Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        loop {
            let error = match step().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let Some(pause) = decide(&error) else {
                return Err(error);
            };
            debug!(error = %error.chain(), pause_ms = pause.as_millis(), "trying again");
            tokio::time::sleep(pause).await;
        }
    }

    /// How patiently a step at a place is tried: a mirror has others behind it.
    pub(crate) fn pauses(&self, place: &Place) -> Pauses {
        let policy = self.settings.retry;
        if place.is_mirror() {
            Pauses::limited(policy, 1)
        } else {
            Pauses::new(policy)
        }
    }

    /// Decides as [`Client::decide`] does, and tells the user of a pause that they will notice.
    pub(crate) fn decide_aloud(
        place: &Place,
        pauses: &mut Pauses,
        error: &RegistryError,
        watch: &dyn Watch,
    ) -> Option<Duration> {
        let pause = Self::decide(place, pauses, error)?;
        if pause >= NOTICED {
            let seconds = pause.as_secs();
            watch.event(Event::Notice(format!(
                "{error}; trying again in {seconds} s"
            )));
        }
        Some(pause)
    }

    /// Decides whether an error at a place is worth another attempt, and after which pause.
    pub(crate) fn decide(
        place: &Place,
        pauses: &mut Pauses,
        error: &RegistryError,
    ) -> Option<Duration> {
        let no_contact = matches!(
            error,
            RegistryError::Unreachable { .. } | RegistryError::Tls { .. }
        );
        if no_contact
            && !place.was_reached()
            && (place.is_loopback() || pauses.failures() + 1 >= FIRST_CONTACTS)
        {
            return None;
        }
        pauses.after(error)
    }

    /// Asks the places in turn. A mirror that fails, however, is passed over; what the registry
    /// itself says counts.
    pub(crate) async fn in_turn<'a, T>(
        &self,
        places: &'a [Arc<Place>],
        mut step: impl FnMut(&'a Arc<Place>) -> BoxFuture<'a, Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        let mut told: Option<RegistryError> = None;
        for place in places {
            let error = match step(place).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if place.is_mirror() {
                pass_over(place, &error);
                told = told.or(Some(error));
            } else {
                told = Some(error);
            }
        }
        Err(told.unwrap_or_else(nowhere))
    }
}

fn nowhere() -> RegistryError {
    RegistryError::Setting {
        what: "this registry".to_owned(),
        reason: "there is no place to ask".to_owned(),
    }
}

/// Notes that a mirror failed.
pub(crate) fn pass_over(place: &Place, error: &RegistryError) {
    debug!(mirror = %place.name, error = %error.chain(), "the mirror is passed over");
    let connection = matches!(
        error,
        RegistryError::Unreachable { .. } | RegistryError::Tls { .. }
    );
    if connection && place.is_mirror() {
        place.set_broken();
    }
}

/// Whom a repository is asked from, in messages.
pub(crate) fn whom<'a>(place: &'a Place, repository: &'a str) -> Whom<'a> {
    Whom {
        place: &place.name,
        repository,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::RetryPolicy;

    #[test]
    fn tells_of_pauses_that_are_noticed_and_of_no_others() {
        let place = &places("registry.corp", &Settings::default()).unwrap()[0];
        let heard = Mutex::new(Vec::new());
        let busy = |seconds| RegistryError::RateLimited {
            place: place.name.clone(),
            answer: "toomanyrequests".to_owned(),
            reset: Some(Duration::from_secs(seconds)),
        };
        let watch = |event| heard.lock().unwrap().push(event);
        let policy = RetryPolicy {
            base: Duration::from_millis(1),
            ..RetryPolicy::default()
        };
        for seconds in [0, 7] {
            let mut pauses = Pauses::new(policy);
            Client::decide_aloud(place, &mut pauses, &busy(seconds), &watch).unwrap();
        }
        let heard = heard.lock().unwrap();
        let [Event::Notice(text)] = heard.as_slice() else {
            panic!("{heard:?}")
        };
        assert!(text.ends_with("; trying again in 7 s"), "{text}");
    }

    #[test]
    fn a_name_that_never_answered_is_not_insisted_on() {
        let lost = RegistryError::Unreachable {
            request: String::new(),
            reason: String::new(),
        };
        let tries = |place: &Place| {
            let mut pauses = Pauses::new(RetryPolicy::default());
            std::iter::from_fn(|| Client::decide(place, &mut pauses, &lost)).count() + 1
        };
        let far = &places("registry.corp", &Settings::default()).unwrap()[0];
        assert_eq!(tries(far), 2);
        far.set_reached();
        assert_eq!(tries(far), 6);
        let near = &places("127.0.0.1:5000", &Settings::default()).unwrap()[0];
        assert_eq!(tries(near), 1);
    }
}
