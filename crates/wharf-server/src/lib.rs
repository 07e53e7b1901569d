//! What wharf serves over HTTP.
//!
//! | module | what it holds |
//! |---|---|
//! | [`engine`] | the Docker Engine API for images, over an engine |
//! | [`registry`] | an OCI registry, push and pull, over a store of images |
//! | [`listen`] | where clients come in: unix sockets, TCP, TLS |
//! | [`serve`] | connections: their number, their time limits, and how they end |
//!
//! Each server owns its wire types; nothing below this crate knows about HTTP.

pub mod engine;
pub mod listen;
pub mod registry;
pub mod serve;

pub use serve::{Server, serve};
