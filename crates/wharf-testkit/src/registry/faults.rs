//! Which request fails, when, and how.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{Method, Uri};
use bytes::Bytes;
use wharf_core::Digest;

use crate::random::Random;

/// How a request fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks after this many bytes of the body.
    Cut(u64),
    /// The connection ends before the answer begins.
    Hangup,
    /// Nothing more comes after this many bytes of the body, and the connection stays open.
    Stall(u64),
    /// The body comes in pieces of `bytes`, one `every` so often.
    Slow {
        /// The length of a piece.
        bytes: usize,
        /// The pause before each piece.
        every: Duration,
    },
    /// The answer is this status, with an error in JSON where it is one.
    Status(u16),
    /// The answer is 429, with `Retry-After` in seconds.
    TooManyRequests {
        /// How long the client shall wait.
        retry_after: u64,
    },
    /// One byte of the body is another one: the one at this place, counted round.
    Flip(u64),
    /// `Content-Length` promises this many bytes more than come.
    Longer(u64),
    /// `Content-Length` and body end this many bytes too early, as if that were all.
    Shorter(u64),
    /// `Range` is ignored: the answer is 200 with everything.
    NoRanges,
    /// The answer to any range is 416.
    RangeNotSatisfiable,
    /// `Content-Range` names another part than the one that comes.
    WrongRange,
    /// `Docker-Content-Digest` is another manifest's.
    WrongDigest,
    /// `Content-Type` is this.
    ContentType(String),
    /// `Content-Encoding` is this, though the body isn't.
    ContentEncoding(String),
    /// The connection ends after this many bytes of what the client sends. They have arrived.
    CutRequest(u64),
    /// Nothing is read of what the client sends, and nothing is answered, for a second.
    Deaf,
    /// The answer has this header, too.
    Header(&'static str, String),
    /// The answer is 307 to the registry's other origin, which gives the same content to anybody.
    Redirect,
    /// The answer is 307 to this place.
    RedirectTo(String),
    /// The client's credentials count as expired: 401 with the challenge, whatever it sent.
    Unauthorized,
    /// The answer is this, with 200.
    Body {
        /// Its `Content-Type`.
        media_type: String,
        /// Its bytes.
        bytes: Bytes,
    },
    /// One of those that a client must survive, by chance: cut, hang up, 500, 502, 503, 429, a flipped
    /// byte, a wrong length, no ranges, an expired token.
    Any,
}

/// Which requests a fault is for.
#[derive(Clone, Debug, Default)]
pub struct On {
    method: Option<Method>,
    path: Vec<String>,
    ranged: Option<bool>,
}

impl On {
    /// All of them.
    pub fn any() -> Self {
        Self::default()
    }

    /// GETs of blobs.
    pub fn blobs() -> Self {
        Self::path("/blobs/").method(Method::GET)
    }

    /// GETs and HEADs of manifests.
    pub fn manifests() -> Self {
        Self::path("/manifests/")
    }

    /// Requests for this content.
    pub fn digest(digest: &Digest) -> Self {
        Self::path(digest.as_str())
    }

    /// Requests to the token service.
    pub fn tokens() -> Self {
        Self::path(crate::TokenService::PATH)
    }

    /// Requests whose path has this text in it.
    pub fn path(text: &str) -> Self {
        Self::default().and_path(text)
    }

    /// Of these, the ones whose path has this text in it, too.
    #[must_use]
    pub fn and_path(mut self, text: &str) -> Self {
        self.path.push(text.to_owned());
        self
    }

    /// Of these, the ones with this method.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Of these, the ones that ask for a range, or those that do not.
    #[must_use]
    pub const fn ranged(mut self, ranged: bool) -> Self {
        self.ranged = Some(ranged);
        self
    }

    fn matches(&self, method: &Method, uri: &Uri, ranged: bool) -> bool {
        // Some clients write a digest's colon as %3A.
        let path = uri.path().replace("%3A", ":");
        self.method.as_ref().is_none_or(|wanted| wanted == method)
            && self.path.iter().all(|text| path.contains(text.as_str()))
            && self.ranged.is_none_or(|wanted| wanted == ranged)
    }
}

/// How often a fault happens.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// Every time.
    Always,
    /// The first `n` times, and then never again.
    Times(u64),
    /// Once, after `n` times without.
    After(u64),
    /// By chance, with this probability.
    Chance(f64),
}

struct Rule {
    on: On,
    when: When,
    fault: Fault,
    seen: u64,
}

/// The rules of a registry. The first one that is for a request and whose turn it is decides.
pub(super) struct Faults {
    state: Mutex<State>,
}

struct State {
    rules: Vec<Rule>,
    random: Random,
    happened: u64,
}

impl Faults {
    pub(super) fn new(seed: u64) -> Self {
        let state = State {
            rules: Vec::new(),
            random: Random::new(seed),
            happened: 0,
        };
        Self {
            state: Mutex::new(state),
        }
    }

    pub(super) fn add(&self, on: On, when: When, fault: Fault) {
        self.lock().rules.push(Rule {
            on,
            when,
            fault,
            seen: 0,
        });
    }

    pub(super) fn clear(&self) {
        self.lock().rules.clear();
    }

    pub(super) fn reseed(&self, seed: u64) {
        self.lock().random = Random::new(seed);
    }

    pub(super) fn happened(&self) -> u64 {
        self.lock().happened
    }

    /// What happens to this request.
    pub(super) fn choose(&self, method: &Method, uri: &Uri, ranged: bool) -> Option<Fault> {
        let mut state = self.lock();
        let State {
            rules,
            random,
            happened,
        } = &mut *state;
        let rule = rules
            .iter_mut()
            .filter(|rule| rule.on.matches(method, uri, ranged))
            .find_map(|rule| rule.turn(random).then_some(&*rule))?;
        *happened += 1;
        Some(match &rule.fault {
            Fault::Any => any(random),
            fault => fault.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rule {
    fn turn(&mut self, random: &mut Random) -> bool {
        self.seen += 1;
        match self.when {
            When::Always => true,
            When::Times(n) => self.seen <= n,
            When::After(n) => self.seen == n + 1,
            When::Chance(probability) => random.chance(probability),
        }
    }
}

fn any(random: &mut Random) -> Fault {
    // Up to a megabyte, small ones as likely as large ones.
    let bits = random.below(21);
    let bytes = random.below(1 << bits);
    match random.below(12) {
        0..=2 => Fault::Cut(bytes),
        3 => Fault::Hangup,
        4 => Fault::Status(500),
        5 => Fault::Status(502),
        6 => Fault::Status(503),
        7 => Fault::TooManyRequests { retry_after: 0 },
        8 => Fault::Flip(bytes),
        9 => Fault::Longer(bytes + 1),
        10 => Fault::NoRanges,
        _ => Fault::Unauthorized,
    }
}
