//! The built program, from outside: what it prints, where, and with which exit code.
//!
//! | module | what it tests |
//! |---|---|
//! | `usage` | help, mistakes on the command line, the name by which it was called |
//! | `surroundings` | settings, the log, closed pipes, odd stores |
//! | `limits` | limits on open files, sizes, memory and processes |
//! | `terminals` | what text from outside may do on a terminal |
//! | `special` | named pipes, sockets, devices and folders in place of files |
//! | `platforms` | one of several platforms of an image |
//! | `pulling` | several references, an interrupt, what a terminal sees |
//! | `logins` | logging in and out |
//! | `looking` | files of images: listed, read, compared, unpacked, attacks refused |
//! | `manifests` | lists of manifests |
//! | `completing` | what a tab finds, and the manual |
//! | `copying` | from place to place, without the store |
//! | `documents` | manifests and configs as other tools write them |
//! | `pushing` | what is sent, which manifest of a name, what a registry refuses |
//! | `archives` | saving and loading |
//! | `hostile` | archives that are damaged, lie, or do harm |
//! | `tampered` | makes such archives |
//! | `importing` | images of archives of files |
//! | `images` | lists, inspections and removals |
//! | `space` | how much space images take, and getting it back |
//! | `remotes` | what is asked of registries without pulling |
//! | `stores` | which folders may be a store, their modes, stores that can only be read |
//! | `secrets` | passwords and signatures: used, and never shown; proxies |
//! | `serving` | the registry, the demo |

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod archives;
mod completing;
mod copying;
mod documents;
mod hostile;
mod images;
mod importing;
mod limits;
mod logins;
mod looking;
mod manifests;
mod platforms;
mod pulling;
mod pushing;
mod remotes;
mod secrets;
mod serving;
mod space;
mod special;
mod stores;
mod surroundings;
mod tampered;
mod terminals;
mod unpacking;
mod usage;

use wharf_testkit::images::samples;
use wharf_testkit::{TestRegistry, Wharf};

/// The program under test, with a store and a home of its own.
fn wharf() -> Wharf {
    Wharf::new(env!("CARGO_BIN_EXE_wharf"))
}

/// A registry that holds one small image.
fn registry() -> TestRegistry {
    let registry = TestRegistry::start();
    registry.push("team/app:1", &samples::small());
    registry
}
