//! Files and folders outside of the store: archives that are saved, files that are copied, images that are
//! unpacked (security rule 17).
//!
//! ```text
//! Destination: the folder that a path is in, opened once, and the last word of the path
//!   └─▶ NewFile, NewFolder: `.NAME.wharf-…` in that folder, only for this user, until it is whole
//!         └─▶ finish: renamed to NAME in the same opened folder
//! ```
//!
//! The folders in a path are the user's choice, and links among them are followed, once, when the place is opened,
//! as `cp` and `tar` do. From then on no path is resolved: everything is made with `O_EXCL | O_NOFOLLOW` or
//! renamed below the opened folder, so nothing that another user puts there meanwhile is followed or
//! overwritten. A link as the last word is followed only by [`Destination::followed`], and only if this user or root made
//! it: every user can make one in a folder like `/tmp`.
//!
//! | module | what it does |
//! |---|---|
//! | [`destination`] | opens destinations |
//! | [`unfinished`] | new files and folders; removes them if they are not finished, also after a signal |
//! | [`remove`] | removes a folder with all that is in it |

mod destination;
mod remove;
mod unfinished;

pub use destination::{Destination, obstacle};
pub use unfinished::{NewFile, NewFolder, abandon, is_abandoned};

#[cfg(test)]
mod tests;
