//! `wharf serve engine`, asked by clients that mean no good, or go away, or come in crowds.
//!
//! | module | what it does |
//! |---|---|
//! | [`server`] | the built program on a socket of its own, and clients of a few lines |
//! | [`documents`] | images with odd configs, and names that are refused |
//! | [`hostile`] | bad input: it is refused or bounded, and the next client is served |
//! | [`requests`] | requests that are odd in themselves: numbers, filters, names, chunks, many at once |
//! | [`pages`] | web pages and foreign hosts: they do not get in, at the engine and at the registry |
//! | [`lists`] | lists are kept, and true all the same |
//! | [`vanishing`] | clients that stall or go away in the middle of something |

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod documents;
mod hostile;
mod lists;
mod pages;
mod requests;
mod server;
mod vanishing;
