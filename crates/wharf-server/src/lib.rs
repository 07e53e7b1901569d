//! What wharf serves over HTTP.
//!
//! | module | what it holds |
//! |---|---|
//! | [`registry`] | an OCI registry, push and pull, over a store of images |
//! | [`serve`] | connections: their number, their time limits, and how they end |
//!
//! Each server owns its wire types; nothing below this crate knows about HTTP.

pub mod registry;
pub mod serve;

pub use serve::serve;
