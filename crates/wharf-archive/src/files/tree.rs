//! The files of an image: its layers, one upon the other.
//!
//! Nothing touches a disk here, so nothing can lead out of it: a name is a list of words below the
//! image's root. A symbolic link in the middle of a name is followed within the image, as every runtime
//! does it; `..` in a name is refused, `..` in a link's target ends at the root. Every file, link and
//! device has only folders above it: whoever writes the tree into an empty folder meets no link on
//! the way.
//!
//! | module | what it does |
//! |---|---|
//! | [`nodes`] | what the tree is made of: a node for each name, found by its folder and its last word |
//! | [`names`] | finds what a name means, links followed |
//! | [`whiteouts`] | removes what a layer's whiteouts hide |
//! | [`put`] | puts a layer's entries upon what is left |
//! | [`totals`] | bounds what all layers together may ask for |
//! | [`odd`] | keeps the entries that the tree leaves out |
//! | [`walk`] | goes through a tree, or two at once, sorted by name |
//!
//! A layer is applied in two steps, so that the result does not depend on where its whiteouts stand: first
//! all of them, which hide only what lower layers have (OCI image-spec, layer, "Whiteouts"), then all other
//! entries in their order. Of two entries with one name the later one counts.

mod names;
mod nodes;
mod odd;
mod put;
mod totals;
mod walk;
mod whiteouts;

use std::sync::Arc;

use self::nodes::{DEPTH_MAX, NODES_MAX, Nodes, PATH_MAX, ROOT};
use self::totals::{IMPLIED_FREE, NOTES_FREE, STEPS_FREE, Totals};
use super::{Entry, Form, Kind, Layer};
pub use odd::{OddEntries, OddEntry};
pub(in crate::files) use totals::notes_max;
pub use walk::compare;
pub(in crate::files) use whiteouts::WHITEOUT;

/// Permissions of folders that no layer has an entry for.
const IMPLIED_MODE: u32 = 0o755;

/// A place in a tree: of a file, a folder, whatever has a name. It means nothing in another tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place(u32);

impl Place {
    /// The image's root.
    pub const ROOT: Self = Self(ROOT);
}

/// Something in an image.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// What it is, as its layer has it. Of a hard link, this is the file.
    pub entry: Entry<'a>,
    /// Which layer it is from, counted from the base.
    pub layer: usize,
}

/// Why layers make no tree, or a name nothing in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// A name that leads out.
    #[error("{0:?} in a layer leads out of the image")]
    Escapes(String),
    /// A hard link to nothing.
    #[error("{name:?} in a layer is a hard link to {target:?}, which is no file of the image")]
    HardLink {
        /// The link.
        name: String,
        /// Its target.
        target: String,
    },
    /// A file where a folder must be.
    #[error("{0:?}: not a directory")]
    NotAFolder(String),
    /// Links without end.
    #[error("{0:?}: too many levels of symbolic links")]
    Loop(String),
    /// A name that no system takes.
    #[error(
        "{0:?}…: the name is longer than {PATH_MAX} bytes, leads through more than {DEPTH_MAX} folders, \
         or has a word of more than 255 bytes"
    )]
    TooLong(String),
    /// A symbolic link that no system takes.
    #[error(
        "{0:?} in a layer is a symbolic link whose target is empty or longer than {PATH_MAX} bytes"
    )]
    Target(String),
    /// An entry in a folder that is a whiteout.
    #[error("{0:?} in a layer lies below a whiteout")]
    BelowWhiteout(String),
    /// Nothing there.
    #[error("{0:?}: no such file or directory")]
    Missing(String),
    /// More than any honest image has.
    #[error("the image has more than {NODES_MAX} files and folders")]
    TooMany,
    /// Names that lead through many folders.
    #[error(
        "the image's names lead through more than {IMPLIED_FREE} folders that no layer has an entry for"
    )]
    Implied,
    /// Long names, many of them.
    #[error("names, links and attributes in the image's layers have more than {} MiB", NOTES_FREE >> 20)]
    Notes,
    /// Links that lead over many folders, many times.
    #[error("the image's links lead over more than {STEPS_FREE} folders")]
    Steps,
}

impl TreeError {
    /// Tells whether it is about all of the image. Other errors are about one entry, which is left out.
    const fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::TooMany | Self::Implied | Self::Notes | Self::Steps
        )
    }
}

/// The files of an image.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    layers: Vec<Arc<Layer>>,
    nodes: Nodes,
    totals: Totals,
    odd: OddEntries,
    /// What this tree has in common with another one, from before both went on.
    origin: Option<Origin>,
}

/// The tree that two were once.
#[derive(Clone, Debug)]
struct Origin {
    /// Both have the same one.
    tree: Arc<()>,
    /// How many nodes it had: these are the same in both, unless they were touched.
    nodes: u32,
}

/// For messages.
fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// How much of a name an error repeats, in bytes.
const SHOWN_MAX: usize = 200;

/// The beginning of a name that may be very long, for messages.
fn start_of(name: &[u8]) -> String {
    shown(&name[..name.len().min(SHOWN_MAX)])
}

/// The words of a name. Empty ones and single dots say nothing.
pub(crate) fn words(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&b| b == b'/')
        .filter(|word| !word.is_empty() && *word != b".")
}

impl Tree {
    /// Puts the next layer upon those before. An entry that has no place in a tree is left out, and kept
    /// in [`Tree::odd`]; an error means that the image asks for more than any honest one.
    pub fn apply(&mut self, layer: Arc<Layer>) -> Result<(), TreeError> {
        let number = u32::try_from(self.layers.len()).map_err(|_| TreeError::TooMany)?;
        self.totals.add(&layer)?;
        self.layers.push(Arc::clone(&layer));
        self.nodes.reserve(layer.entries());
        self.hide(&layer, number)?;
        self.put_all(&layer, number)
    }

    /// Returns the entries that the tree leaves out.
    pub const fn odd(&self) -> &OddEntries {
        &self.odd
    }

    /// Keeps an error that is about one entry; returns the others.
    fn leave_out(&mut self, layer: u32, error: TreeError) -> Result<(), TreeError> {
        if error.is_fatal() {
            return Err(error);
        }
        self.odd.add(layer, error);
        Ok(())
    }

    /// A second tree that is the same so far. From here on, each remembers what becomes different, so
    /// that [`compare`] looks at nothing else.
    pub fn fork(&mut self) -> Self {
        self.nodes.forget_touches();
        self.origin = Some(Origin {
            tree: Arc::new(()),
            nodes: self.nodes.count(),
        });
        self.clone()
    }

    /// What is at a place.
    pub fn node(&self, place: Place) -> Node<'_> {
        let source = self.nodes.source(place.0);
        let layer = usize::try_from(source.layer).unwrap_or(usize::MAX);
        let noted = self.layers.get(layer).filter(|_| source.place > 0);
        let entry = match noted {
            Some(noted) => noted.entry(source.place),
            None => implied_entry(self.nodes.name(place.0)),
        };
        Node { entry, layer }
    }

    /// What kind it is: cheaper than all of it.
    pub fn kind(&self, place: Place) -> Kind {
        self.nodes.kind(place.0)
    }

    /// The root, if a layer says something of it.
    pub fn root(&self) -> Option<Node<'_>> {
        (self.nodes.source(ROOT).place > 0).then(|| self.node(Place::ROOT))
    }
}

const fn implied_entry(name: &[u8]) -> Entry<'_> {
    Entry {
        name,
        kind: Kind::Folder,
        mode: IMPLIED_MODE,
        uid: 0,
        gid: 0,
        mtime: 0,
        nanos: 0,
        size: 0,
        link: &[],
        device: (0, 0),
        offset: 0,
        stored: 0,
        form: Form::Whole,
        map: &[],
        hash: 0,
        attributes: &[],
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod tests;
