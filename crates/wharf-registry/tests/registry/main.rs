//! The client against a registry with faults, and against servers that say what no registry should.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod auth;
mod blobs;
mod canned;
mod common;
mod errors;
mod manifests;
mod mirrors;
mod pushes;
mod tags;
mod tls;
