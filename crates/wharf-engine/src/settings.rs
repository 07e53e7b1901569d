//! How the engine works, as the edge has read it from files and the environment.

use jiff::tz::TimeZone;

/// How layers are verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// Blob digests, and each layer is inflated on the way in: diff IDs, sizes.
    #[default]
    Full,
    /// Blob digests only. SIZE is the blobs' until some command has read the layers.
    Digest,
}

/// Downloads at once, where the settings don't say: more than Docker's three, since a blob's
/// connections are often bound by the registry's latency rather than by the line.
pub const PARALLEL_DEFAULT: usize = 6;

/// Ranged connections for one large blob. Beyond four, registries and their object stores answer
/// no faster, and begin to count it as abuse.
pub const CONNECTIONS_PER_BLOB: usize = 4;

/// Of these, how many there may be in all beside the first one of each blob: a single large blob gets
/// all of them, several share them. Each takes up to two megabytes of memory.
pub const FURTHER_CONNECTIONS: usize = 3;

/// The settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How to talk to registries.
    pub registry: wharf_registry::Settings,
    /// Downloads at once.
    pub parallel: usize,
    /// How layers are verified.
    pub verify: Verify,
    /// The zone of dates in filters that don't say theirs.
    pub zone: TimeZone,
}
