//! Files and threads of the operating system, where they can fail.
//!
//! | module | what it holds |
//! |---|---|
//! | [`file`] | opens a regular file that somebody else may have replaced by something else |
//! | [`thread`] | starts a thread, or says why none can be started |
//! | [`blocking`] | runs work that blocks beside a runtime |
//!
//! This crate knows nothing of images, and imports no other crate of the workspace.

pub mod blocking;
pub mod file;
pub mod thread;
