//! JSON as Go reads and writes it: Docker and most registries are Go programs.
//!
//! | module | what it does |
//! |---|---|
//! | `read` | reads documents into types: `null` is a zero value, keys match in any case |
//! | `scan` | bounds a document's depth and number of values before it is read |
//! | `write` | writes JSON byte for byte as Docker prints and answers it |

mod error;
mod read;
mod scan;
mod write;

pub use error::ReadError;
pub use read::{from_slice, from_slice_unambiguous, from_slice_within};
pub use scan::{DEPTH_MAX, VALUES_MAX};
pub use write::{Html, compact, indented};

#[cfg(test)]
mod tests;
