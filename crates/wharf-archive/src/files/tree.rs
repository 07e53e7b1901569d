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
//! | [`walk`] | goes through a tree, or two at once, sorted by name |

mod names;
mod nodes;
mod walk;

use std::sync::Arc;

use self::nodes::{NODES_MAX, Nodes, ROOT, Source};
use super::notes::Record;
use super::{Entry, Form, Kind, Layer};
pub use walk::compare;

/// Docker's marks of what a layer deletes begin with this (OCI image-spec, layer, "Whiteouts").
const WHITEOUT: &[u8] = b".wh.";

/// Below the folder with this mark, nothing of the layers below is left.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What an old file system of Docker's left behind begins with this; it names no file.
const LEFTOVER: &[u8] = b".wh..wh.";

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
    /// Nothing there.
    #[error("{0:?}: no such file or directory")]
    Missing(String),
    /// More than any honest image has.
    #[error("the image has more than {NODES_MAX} files and folders")]
    TooMany,
}

/// The files of an image.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    layers: Vec<Arc<Layer>>,
    nodes: Nodes,
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

/// Where the entries that come now are: what stands before the last word of their names, and the folder that
/// it means, as long as nothing changes that.
#[derive(Default)]
struct Above<'a> {
    name: &'a [u8],
    folder: Option<u32>,
}

/// For messages.
fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// The words of a name. Empty ones and single dots say nothing.
pub(crate) fn words(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&b| b == b'/')
        .filter(|word| !word.is_empty() && *word != b".")
}

impl Tree {
    /// Puts the next layer upon those before.
    pub fn apply(&mut self, layer: Arc<Layer>) -> Result<(), TreeError> {
        let number = u32::try_from(self.layers.len()).map_err(|_| TreeError::TooMany)?;
        self.layers.push(Arc::clone(&layer));
        self.nodes.reserve(layer.entries());
        let mut above = Above::default();
        for (place, record) in layer.records() {
            match record {
                Record::Above(name) => above = Above { name, folder: None },
                Record::Entry { kind, name, link } => {
                    let source = Source {
                        layer: number,
                        place,
                    };
                    self.put(&mut above, number, (kind, name, link), source)?;
                }
            }
        }
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

    fn put<'a>(
        &mut self,
        above: &mut Above<'a>,
        layer: u32,
        (mut kind, name, link): (Kind, &'a [u8], &'a [u8]),
        mut source: Source,
    ) -> Result<(), TreeError> {
        let whole = |above: &Above<'_>| shown(&[above.name, name].concat());
        if name == b".." {
            return Err(TreeError::Escapes(whole(above)));
        }
        if name.is_empty() {
            // The root itself: its permissions count.
            if kind == Kind::Folder {
                self.nodes.set(ROOT, kind, layer, source);
            }
            return Ok(());
        }
        let folder = match above.folder {
            Some(folder) => folder,
            None => *above.folder.insert(self.folder(above.name, name, layer)?),
        };
        if name.starts_with(WHITEOUT) {
            if name == OPAQUE {
                self.nodes.remove_below(folder, layer);
                above.folder = None;
            } else if !name.starts_with(LEFTOVER) {
                let hidden = &name[WHITEOUT.len()..];
                if matches!(hidden, b"" | b"." | b"..") {
                    return Err(TreeError::Escapes(whole(above)));
                }
                if let Some(node) = self.nodes.child(folder, hidden) {
                    self.nodes.remove(node, layer);
                    above.folder = None;
                }
            }
            return Ok(());
        }
        if kind == Kind::HardLink {
            let target = self.hard_link(link).map_err(|error| match error {
                TreeError::Missing(_) => TreeError::HardLink {
                    name: whole(above),
                    target: shown(link),
                },
                other => other,
            })?;
            (kind, source) = (self.nodes.kind(target), self.nodes.source(target));
        }
        let node = self.nodes.make(folder, name)?;
        if self.nodes.is_here(node) {
            let was = self.nodes.kind(node);
            if was == Kind::Folder && kind != Kind::Folder {
                // It makes room, with all that is in it.
                self.nodes.remove(node, u32::MAX);
            }
            if was != kind && (was == Kind::Folder || was == Kind::Symlink) {
                above.folder = None;
            }
        }
        if kind == Kind::Symlink {
            // What led here may lead elsewhere from now on.
            above.folder = None;
        }
        self.nodes.set(node, kind, layer, source);
        Ok(())
    }

    /// The file that a hard link is another name of. What is no file is missing.
    fn hard_link(&self, link: &[u8]) -> Result<u32, TreeError> {
        if words(link).any(|word| word == b"..") {
            return Err(TreeError::Escapes(shown(link)));
        }
        let missing = || TreeError::Missing(shown(link));
        let mut path: Vec<&[u8]> = words(link).collect();
        let base = path.pop().ok_or_else(missing)?;
        let folder = self.resolve(ROOT, path).map_err(|_| missing())?;
        let found = folder.there().and_then(|at| self.nodes.child(at, base));
        found
            .filter(|&node| self.nodes.kind(node) != Kind::Folder)
            .ok_or_else(missing)
    }

    /// The folder that a name means, made if it isn't there. `base` is what stands behind the name.
    fn folder(&mut self, path: &[u8], base: &[u8], layer: u32) -> Result<u32, TreeError> {
        if words(path).any(|word| word == b"..") {
            return Err(TreeError::Escapes(shown(&[path, base].concat())));
        }
        let mut at = ROOT;
        for word in words(path) {
            let Some(node) = self.nodes.child(at, word) else {
                at = self.implied(at, word, layer)?;
                continue;
            };
            at = match self.nodes.kind(node) {
                Kind::Folder => node,
                Kind::Symlink => self.folder_of_link(node, path, layer)?,
                _ => return Err(TreeError::NotAFolder(shown(&self.path(Place(node))))),
            };
        }
        Ok(at)
    }

    /// The folder that a link leads to, made if it isn't there.
    fn folder_of_link(&mut self, link: u32, path: &[u8], layer: u32) -> Result<u32, TreeError> {
        let found = self.follow(link)?;
        let (mut at, missing) = (found.at, found.missing_owned());
        if self.nodes.kind(at) != Kind::Folder {
            return Err(TreeError::NotAFolder(shown(path)));
        }
        for word in missing {
            at = self.implied(at, &word, layer)?;
        }
        Ok(at)
    }

    /// A folder that no layer says anything of.
    fn implied(&mut self, folder: u32, name: &[u8], layer: u32) -> Result<u32, TreeError> {
        let node = self.nodes.make(folder, name)?;
        let source = Source { layer, place: 0 };
        self.nodes.set(node, Kind::Folder, layer, source);
        Ok(node)
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
mod tests;
