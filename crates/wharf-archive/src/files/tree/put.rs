//! Puts the entries of a layer upon what its whiteouts have left of those below.

use std::collections::HashMap;

use super::names::Search;
use super::nodes::{PATH_MAX, ROOT, Removal, Source, View};
use super::whiteouts::{AUFS, WHITEOUT};
use super::{Kind, Layer, Place, Tree, TreeError, shown, start_of, words};
use crate::files::notes::Record;

/// Where the entries that come now are: what stands before the last word of their names, and what that means, as
/// long as nothing changes it.
#[derive(Default)]
struct Above<'a> {
    name: &'a [u8],
    folder: Option<Folder>,
}

/// What the name of a folder means.
enum Folder {
    /// This node.
    Node(u32),
    /// AUFS's own: no file of the image, but hard links may lead there.
    Aufs,
}

/// The files in AUFS's own folders, by their whole names.
type AufsFiles<'a> = HashMap<Vec<&'a [u8]>, (Kind, Source)>;

/// An entry of a layer.
#[derive(Clone, Copy)]
struct Put<'a> {
    kind: Kind,
    name: &'a [u8],
    link: &'a [u8],
    source: Source,
}

impl Tree {
    /// Puts all entries of a layer, whiteouts left out.
    pub(super) fn put_all(&mut self, layer: &Layer, number: u32) -> Result<(), TreeError> {
        let (mut above, mut aufs) = (Above::default(), AufsFiles::new());
        for (place, record) in layer.records() {
            let (kind, name, link) = match record {
                Record::Above(name) => {
                    above = Above { name, folder: None };
                    continue;
                }
                Record::Entry { kind, name, link } => (kind, name, link),
            };
            if name.starts_with(WHITEOUT) {
                continue;
            }
            let put = Put {
                kind,
                name,
                link,
                source: Source {
                    layer: number,
                    place,
                },
            };
            if let Err(error) = self.put(&mut above, &mut aufs, put) {
                self.leave_out(number, error)?;
            }
        }
        Ok(())
    }

    fn put<'a>(
        &mut self,
        above: &mut Above<'a>,
        aufs: &mut AufsFiles<'a>,
        put: Put<'a>,
    ) -> Result<(), TreeError> {
        let layer = put.source.layer;
        if put.name == b".." {
            return Err(TreeError::Escapes(start_of(
                &[above.name, put.name].concat(),
            )));
        }
        if put.name.is_empty() {
            // The root itself: its permissions count.
            if put.kind == Kind::Folder {
                self.nodes.set(ROOT, put.kind, layer, put.source);
            }
            return Ok(());
        }
        let folder = match &above.folder {
            Some(folder) => folder,
            None => above
                .folder
                .insert(self.folder(above.name, put.name, layer)?),
        };
        let Folder::Node(folder) = *folder else {
            let mut whole: Vec<&[u8]> = words(above.name).collect();
            whole.push(put.name);
            if put.kind == Kind::File {
                aufs.insert(whole, (put.kind, put.source));
            }
            return Ok(());
        };
        let (kind, source) = match put.kind {
            Kind::HardLink => self.hard_link(above, aufs, put)?,
            Kind::Symlink if put.link.is_empty() || put.link.len() > usize::from(PATH_MAX) => {
                return Err(TreeError::Target(start_of(
                    &[above.name, put.name].concat(),
                )));
            }
            kind => (kind, put.source),
        };
        let node = self.nodes.make(folder, put.name)?;
        if self.nodes.is_here(node) {
            let was = self.nodes.kind(node);
            if was == Kind::Folder && kind != Kind::Folder {
                // It makes room, with all that is in it.
                self.nodes.remove_below(node, Removal::Replaced);
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

    /// The file that a hard link is another name of: one that is there now, or one of the layers below that this
    /// layer's whiteouts hide.
    fn hard_link(
        &mut self,
        above: &Above<'_>,
        aufs: &AufsFiles<'_>,
        put: Put<'_>,
    ) -> Result<(Kind, Source), TreeError> {
        let mut path: Vec<&[u8]> = words(put.link).collect();
        if path.contains(&&b".."[..]) {
            return Err(TreeError::Escapes(start_of(put.link)));
        }
        if let Some(kept) = aufs.get(&path) {
            return Ok(*kept);
        }
        let missing = || TreeError::HardLink {
            name: start_of(&[above.name, put.name].concat()),
            target: start_of(put.link),
        };
        let base = path.pop().ok_or_else(missing)?;
        let mut steps = 0;
        let mut found = None;
        for view in [View::Now, View::BeforeWhiteoutsOf(put.source.layer)] {
            let search = Search {
                view,
                passes: &mut |_| true,
            };
            let Ok(folder) = self.search(search, ROOT, path.clone()) else {
                continue;
            };
            // A target without links costs no more than its own bytes.
            steps += folder.steps.saturating_sub(path.len() as u64);
            let target = folder
                .there()
                .and_then(|at| self.nodes.child_in(at, base, view));
            found = target.filter(|&node| self.nodes.kind(node) != Kind::Folder);
            if found.is_some() {
                break;
            }
        }
        self.totals.step(steps)?;
        let node = found.ok_or_else(missing)?;
        Ok((self.nodes.kind(node), self.nodes.source(node)))
    }

    /// The folder that a name means, made if it isn't there. `base` is what stands behind the name.
    fn folder(&mut self, path: &[u8], base: &[u8], layer: u32) -> Result<Folder, TreeError> {
        let whole = || start_of(&[path, base].concat());
        if words(path).any(|word| word == b"..") {
            return Err(TreeError::Escapes(whole()));
        }
        if let Some(word) = words(path).find(|word| word.starts_with(WHITEOUT)) {
            let is_aufs = word.starts_with(AUFS);
            return is_aufs
                .then_some(Folder::Aufs)
                .ok_or_else(|| TreeError::BelowWhiteout(whole()));
        }
        let mut at = ROOT;
        for word in words(path) {
            let Some(node) = self.nodes.child(at, word) else {
                at = self.implied(at, word, layer)?;
                continue;
            };
            let found = match self.nodes.kind(node) {
                Kind::Folder => Ok(node),
                Kind::Symlink => self.folder_of_link(node, layer),
                _ => Err(TreeError::NotAFolder(shown(&self.path(Place(node))))),
            };
            at = match found {
                // What a layer below has there makes room for a folder, as it does for an entry.
                Err(error) if !error.is_fatal() && self.nodes.by(node) < layer => {
                    self.implied(at, word, layer)?
                }
                found => found?,
            };
        }
        Ok(Folder::Node(at))
    }

    /// The folder that a link leads to, made if it isn't there.
    fn folder_of_link(&mut self, link: u32, layer: u32) -> Result<u32, TreeError> {
        let found = self.follow(link)?;
        let (mut at, missing, steps) = (found.at, found.missing_owned(), found.steps);
        self.totals.step(steps)?;
        if self.nodes.kind(at) != Kind::Folder {
            return Err(TreeError::NotAFolder(shown(&self.path(Place(link)))));
        }
        for word in missing {
            at = self.implied(at, &word, layer)?;
        }
        Ok(at)
    }

    /// A folder that no layer says anything of.
    fn implied(&mut self, folder: u32, name: &[u8], layer: u32) -> Result<u32, TreeError> {
        self.totals.imply()?;
        let node = self.nodes.make(folder, name)?;
        let source = Source { layer, place: 0 };
        self.nodes.set(node, Kind::Folder, layer, source);
        Ok(node)
    }
}
