//! The client against a registry with faults, and against servers that say what no registry should.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod auth;
mod blobs;
mod canned;
mod challenges;
mod common;
mod errors;
mod manifests;
mod mirrors;
mod packed;
mod pages;
mod proxies;
mod pushes;
mod secrets;
mod slow;
mod tags;
mod tls;
