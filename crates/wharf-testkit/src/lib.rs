//! What wharf's tests are made with. Nothing here is part of the program.
//!
//! | module | what it holds |
//! |---|---|
//! | [`images`] | images made on the spot, the same from run to run: good ones and bad ones |
//! | [`registry`] | [`TestRegistry`]: a registry on loopback that counts, and fails as it is told |
//! | [`token`] | [`TokenService`]: gives out tokens, to the test registry and to docker-registry |
//! | [`certs`] | [`Authority`]: certificates: good, expired, for another host |
//! | [`proxy`] | [`TlsProxy`]: TLS in front of a registry that has none |
//! | [`memory`] | [`MemoryBackend`]: a registry's content, in memory |
//! | [`fixtures`] | the images of the recorded scenarios |
//! | [`command`] | [`Wharf`]: the built program, with a store and a home of its own |
//! | [`random`] | numbers that are the same for the same seed |
//!
//! A test states what must hold; so things in here panic, with a reason, instead of returning an
//! error that every test would have to unwrap.

pub mod certs;
pub mod command;
pub mod fixtures;
pub mod images;
pub mod memory;
pub mod ports;
pub mod proxy;
pub mod random;
pub mod registry;
pub mod token;

pub use certs::{Authority, Identity};
pub use command::{Output, Wharf};
pub use images::{BuiltImage, BuiltIndex, Image, Index, Layer};
pub use memory::MemoryBackend;
pub use proxy::TlsProxy;
pub use registry::{Auth, Fault, On, TestRegistry, Tls, When};
pub use token::TokenService;
