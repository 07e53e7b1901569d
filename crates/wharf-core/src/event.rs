//! What a long operation reports while it runs. Printing it, as bars, plain lines or JSON, is the
//! edge's business.

use crate::{Digest, Reference};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A name was resolved in its registry and its content is about to come.
    Pulling {
        /// The name that was asked for.
        reference: Reference,
    },
    /// A layer's turn.
    Layer {
        /// The layer's blob.
        digest: Digest,
        /// What happens to it.
        status: LayerStatus,
    },
    /// All content of a name is here and verified.
    Pulled {
        /// The name that was asked for.
        reference: Reference,
        /// The digest of what the name points to.
        digest: Digest,
        /// Did the name change, or is it new?
        newer: bool,
    },
    /// An image is about to be sent to its registry.
    Pushing {
        /// The name that it is sent under.
        reference: Reference,
    },
    /// All content of a name is in its registry, and the name points to it.
    Pushed {
        /// The name that was sent.
        reference: Reference,
        /// The digest of what the name points to there.
        digest: Digest,
        /// How many bytes that manifest has.
        size: u64,
    },
    /// Something that the user should know, and that isn't an error.
    Notice(String),
}

/// Where a layer stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerStatus {
    /// It is here already.
    Exists,
    /// It will be fetched.
    Waiting {
        /// How many bytes it has.
        total: u64,
    },
    /// Bytes are coming.
    Downloading {
        /// How many are here, those of an earlier attempt included.
        done: u64,
        /// How many it has.
        total: u64,
    },
    /// Bytes are going.
    Uploading {
        /// How many have gone, those of an earlier attempt included.
        done: u64,
        /// How many it has.
        total: u64,
    },
    /// The registry has it in another repository, and lets this one have it too.
    Mounted {
        /// The other repository.
        from: String,
    },
    /// All bytes are here; their digest is computed to the end.
    Verifying,
    /// The connection broke or the registry is busy; it goes on after a pause.
    Retrying {
        /// How long the pause is, in seconds.
        seconds: u64,
        /// Why.
        reason: String,
    },
    /// All bytes are here and right.
    Downloaded,
    /// It is verified, durable and done.
    Complete,
}

/// Takes events. Called from any thread, often, and must not block.
pub trait Watch: Send + Sync {
    /// Takes one event.
    fn event(&self, event: Event);
}

/// A watcher that does not care.
#[derive(Clone, Copy, Debug)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn event(&self, _: Event) {}
}

impl<F: Fn(Event) + Send + Sync> Watch for F {
    fn event(&self, event: Event) {
        self(event);
    }
}
