//! The files of an image: its layers, one upon the other.
//!
//! Nothing touches a disk here, so nothing can lead out of it: a name is a list of words below the
//! image's root. A symbolic link in the middle of a name is followed within the image, as every runtime
//! does it; `..` in a name is refused, `..` in a link's target ends at the root. Every file, link and
//! device has only folders above it: whoever writes the tree into an empty folder meets no link on
//! the way.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::{Entry, Kind};

/// Docker's marks of what a layer deletes begin with this (OCI image-spec, layer, "Whiteouts").
const WHITEOUT: &[u8] = b".wh.";

/// Below the folder with this mark, nothing of the layers below is left.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What an old file system of Docker's left behind begins with this; it names no file.
const LEFTOVER: &[u8] = b".wh..wh.";

/// How many symbolic links one name may lead over: Linux's limit.
const LINKS_MAX: usize = 40;

/// Permissions of folders that no layer has an entry for.
const IMPLIED_MODE: u32 = 0o755;

/// Something in an image.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is, as its layer has it. Of a hard link, this is the file.
    pub entry: Entry,
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
}

/// The files of an image, by their names without a slash in front; the root's is empty.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    nodes: BTreeMap<Vec<u8>, Node>,
    /// The folder of the entry before, as it was written and as it was found: most archives name a
    /// folder's files one after the other.
    last: Option<(Vec<u8>, Vec<u8>)>,
}

/// For messages.
fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// The words of a name. Empty ones and single dots say nothing.
fn words(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&b| b == b'/')
        .filter(|word| !word.is_empty() && *word != b".")
}

fn joined(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() {
        return name.to_vec();
    }
    [folder, b"/", name].concat()
}

impl Tree {
    /// Puts the next layer upon those before.
    pub fn apply(&mut self, layer: usize, entries: Vec<Entry>) -> Result<(), TreeError> {
        for entry in entries {
            self.put(layer, entry)?;
        }
        Ok(())
    }

    fn put(&mut self, layer: usize, mut entry: Entry) -> Result<(), TreeError> {
        if words(&entry.name).any(|word| word == b"..") {
            return Err(TreeError::Escapes(shown(&entry.name)));
        }
        let Some(base) = words(&entry.name).last() else {
            // The root itself: its permissions count.
            if entry.kind == Kind::Folder {
                self.nodes.insert(Vec::new(), Node { entry, layer });
            }
            return Ok(());
        };
        let (base, end) = (base.to_vec(), base.as_ptr_range().start);
        let written = entry.name.as_ptr_range().start;
        let above = &entry.name[..end.addr() - written.addr()];
        let folder = match &self.last {
            Some((known, folder)) if known == above => folder.clone(),
            _ => {
                let above = above.to_vec();
                let folder = self.folder(&above, layer)?;
                self.last = Some((above, folder.clone()));
                folder
            }
        };
        if base == OPAQUE {
            self.remove_below(&folder, layer);
            return Ok(());
        }
        if base.starts_with(LEFTOVER) {
            return Ok(());
        }
        if let Some(name) = base.strip_prefix(WHITEOUT) {
            if name.is_empty() || name == b"." || name == b".." {
                return Err(TreeError::Escapes(shown(&entry.name)));
            }
            self.remove(&joined(&folder, name), layer);
            return Ok(());
        }
        let place = joined(&folder, &base);
        let mut from = layer;
        if entry.kind == Kind::HardLink {
            let target = self.hard_link(&entry)?;
            (from, entry) = (
                target.layer,
                Entry {
                    name: entry.name,
                    ..target.entry
                },
            );
        }
        if entry.kind == Kind::Symlink {
            // What led here may lead elsewhere from now on.
            self.last = None;
        }
        if entry.kind != Kind::Folder {
            // Whatever was there, a folder with all that is in it too, makes room.
            if self.nodes.contains_key(&place) {
                self.remove(&place, usize::MAX);
            }
        } else if self
            .nodes
            .get(&place)
            .is_some_and(|old| old.entry.kind != Kind::Folder)
        {
            self.nodes.remove(&place);
            self.last = None;
        }
        self.nodes.insert(place, Node { entry, layer: from });
        Ok(())
    }

    /// The file that a hard link is another name of.
    fn hard_link(&self, entry: &Entry) -> Result<Node, TreeError> {
        let broken = || TreeError::HardLink {
            name: shown(&entry.name),
            target: shown(&entry.link),
        };
        let mut path: Vec<&[u8]> = words(&entry.link).collect();
        if path.contains(&&b".."[..]) {
            return Err(TreeError::Escapes(shown(&entry.link)));
        }
        let base = path.pop().ok_or_else(broken)?;
        let folder = self.resolve(&path.join(&b'/')).map_err(|_| broken())?;
        let node = self.nodes.get(&joined(&folder, base));
        node.filter(|node| node.entry.kind != Kind::Folder)
            .cloned()
            .ok_or_else(broken)
    }

    /// The folder that a name means, made if it isn't there.
    fn folder(&mut self, path: &[u8], layer: usize) -> Result<Vec<u8>, TreeError> {
        let mut at = Vec::new();
        for word in words(path) {
            let next = joined(&at, word);
            match self.nodes.get(&next).map(|node| node.entry.kind) {
                Some(Kind::Folder) => at = next,
                Some(Kind::Symlink) => {
                    let real = self.target(&next)?;
                    if self.is_folder(&real) {
                        at = real;
                    } else if self.nodes.contains_key(&real) {
                        return Err(TreeError::NotAFolder(shown(path)));
                    } else {
                        at = self.folder_plain(&real, layer)?;
                    }
                }
                Some(_) => return Err(TreeError::NotAFolder(shown(&next))),
                None => {
                    self.nodes.insert(next.clone(), implied(&next, layer));
                    at = next;
                }
            }
        }
        Ok(at)
    }

    /// A folder whose name has no links in it any more.
    fn folder_plain(&mut self, path: &[u8], layer: usize) -> Result<Vec<u8>, TreeError> {
        let mut at = Vec::new();
        for word in words(path) {
            at = joined(&at, word);
            match self.nodes.get(&at).map(|node| node.entry.kind) {
                Some(Kind::Folder) => {}
                Some(_) => return Err(TreeError::NotAFolder(shown(&at))),
                None => {
                    self.nodes.insert(at.clone(), implied(&at, layer));
                }
            }
        }
        Ok(at)
    }

    fn is_folder(&self, path: &[u8]) -> bool {
        path.is_empty()
            || self
                .nodes
                .get(path)
                .is_some_and(|n| n.entry.kind == Kind::Folder)
    }

    /// The name without links that `path` means: every link in it is followed, the last one too. What
    /// is not there stays as it is.
    pub fn resolve(&self, path: &[u8]) -> Result<Vec<u8>, TreeError> {
        let mut at: Vec<u8> = Vec::new();
        let mut left: Vec<Vec<u8>> = words(path).map(<[u8]>::to_vec).collect();
        left.reverse();
        let mut links = 0;
        while let Some(word) = left.pop() {
            if word == b".." {
                let end = at.iter().rposition(|&b| b == b'/').unwrap_or(0);
                at.truncate(end);
                continue;
            }
            let next = joined(&at, &word);
            let link = self
                .nodes
                .get(&next)
                .filter(|n| n.entry.kind == Kind::Symlink);
            let Some(link) = link else {
                at = next;
                continue;
            };
            links += 1;
            if links > LINKS_MAX {
                return Err(TreeError::Loop(shown(path)));
            }
            if link.entry.link.starts_with(b"/") {
                at.clear();
            }
            left.extend(
                words(&link.entry.link)
                    .map(<[u8]>::to_vec)
                    .collect::<Vec<_>>()
                    .into_iter()
                    .rev(),
            );
        }
        Ok(at)
    }

    fn target(&self, path: &[u8]) -> Result<Vec<u8>, TreeError> {
        self.resolve(path)
    }

    /// What a name means, links followed.
    pub fn find(&self, path: &[u8]) -> Result<(Vec<u8>, Option<&Node>), TreeError> {
        let real = self.resolve(path)?;
        match self.nodes.get(&real) {
            Some(node) => Ok((real, Some(node))),
            None if real.is_empty() => Ok((real, None)),
            None => Err(TreeError::Missing(shown(path))),
        }
    }

    /// What a name means, a link as the last word taken for itself.
    pub fn find_link(&self, path: &[u8]) -> Result<(Vec<u8>, Option<&Node>), TreeError> {
        let mut folder: Vec<&[u8]> = words(path).collect();
        let Some(base) = folder.pop().filter(|base| *base != b"..") else {
            return self.find(path);
        };
        let place = joined(&self.resolve(&folder.join(&b'/'))?, base);
        match self.nodes.get(&place) {
            Some(node) => Ok((place, Some(node))),
            None => Err(TreeError::Missing(shown(path))),
        }
    }

    /// What is directly in a folder, sorted by name.
    pub fn children<'a>(&'a self, folder: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a Node)> {
        self.below(folder).filter(move |(path, _)| {
            let start = if folder.is_empty() {
                0
            } else {
                folder.len() + 1
            };
            !path[start..].contains(&b'/')
        })
    }

    /// Everything below a folder, sorted: a folder before what is in it.
    pub fn below<'a>(
        &'a self,
        folder: &[u8],
    ) -> impl Iterator<Item = (&'a [u8], &'a Node)> + use<'a> {
        let (start, end) = bounds(folder);
        self.nodes
            .range::<[u8], _>((as_bound(&start), as_bound(&end)))
            .map(|(path, node)| (path.as_slice(), node))
    }

    /// The root, if a layer says something of it.
    pub fn root(&self) -> Option<&Node> {
        self.nodes.get(&b""[..])
    }

    /// Removes what is at a place, and below it, as far as it is from layers before `layer`.
    fn remove(&mut self, path: &[u8], layer: usize) {
        if self.nodes.get(path).is_some_and(|node| node.layer < layer) {
            self.nodes.remove(path);
            self.last = None;
        }
        self.remove_below(path, layer);
    }

    fn remove_below(&mut self, folder: &[u8], layer: usize) {
        let gone = self.below(folder).filter(|(_, node)| node.layer < layer);
        let gone: Vec<Vec<u8>> = gone.map(|(path, _)| path.to_vec()).collect();
        for path in gone {
            // A folder of an earlier layer stays while something of this one is in it.
            let holds = self.below(&path).any(|(_, node)| node.layer >= layer);
            if !holds {
                self.nodes.remove(&path);
                self.last = None;
            }
        }
    }
}

fn implied(path: &[u8], layer: usize) -> Node {
    let entry = Entry {
        name: path.to_vec(),
        kind: Kind::Folder,
        mode: IMPLIED_MODE,
        uid: 0,
        gid: 0,
        mtime: 0,
        nanos: 0,
        size: 0,
        link: Vec::new(),
        device: (0, 0),
        offset: 0,
        stored: 0,
        sparse: false,
        hash: 0,
        xattrs: Vec::new(),
    };
    Node { entry, layer }
}

/// What lies below a folder: `etc/` to `etc0`, since `0` comes behind the slash.
fn bounds(folder: &[u8]) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    if folder.is_empty() {
        return (Bound::Excluded(Vec::new()), Bound::Unbounded);
    }
    let with = |byte| [folder, &[byte]].concat();
    (Bound::Excluded(with(b'/')), Bound::Excluded(with(b'/' + 1)))
}

fn as_bound(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key.as_slice()),
        Bound::Excluded(key) => Bound::Excluded(key.as_slice()),
        Bound::Unbounded => Bound::Unbounded,
    }
}

#[cfg(test)]
mod tests;
