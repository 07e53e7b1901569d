//! The engine, from outside: a use case, and what came of it, with a registry of the testkit.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod bench;
mod names;
mod pull;
