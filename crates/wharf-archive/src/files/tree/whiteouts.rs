//! Whiteouts: what a layer removes of those below it (OCI image-spec, layer, "Whiteouts"; Docker took them over
//! from AUFS).
//!
//! All whiteouts of a layer are found before anything is removed, in the tree as the layers below left it:
//! so none depends on another one, and none hides what its own layer puts there. A whiteout makes no folder.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::names::Search;
use super::nodes::{ROOT, Removal, View};
use super::{Kind, Layer, Tree, TreeError, start_of, words};
use crate::files::notes::Record;

/// Whiteouts begin with this.
pub(in crate::files) const WHITEOUT: &[u8] = b".wh.";

/// Below the folder with this whiteout, nothing of the layers below is left.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What AUFS kept for itself begins with this (`.wh..wh.plnk`, `.wh..wh.aufs`, `.wh..wh.orph`); such
/// an entry neither hides a file nor is one.
pub(super) const AUFS: &[u8] = b".wh..wh.";

/// What a whiteout hides.
enum Hidden {
    /// A name with all that is below it.
    Name(u32),
    /// All that is below a folder.
    Below(u32),
}

impl Tree {
    /// Removes what the whiteouts of a layer hide.
    pub(super) fn hide(&mut self, layer: &Arc<Layer>, number: u32) -> Result<(), TreeError> {
        if !layer.has_whiteouts() {
            return Ok(());
        }
        let mut links = BTreeSet::new();
        let mut hidden = self.hidden(layer, Some(number), &mut |link| {
            links.insert(link);
            true
        })?;
        if !links.is_empty() {
            // A link that this layer replaces leads nowhere any more.
            let replaced = self.replaced(layer, &links);
            if !replaced.is_empty() {
                hidden = self.hidden(layer, None, &mut |link| !replaced.contains(&link))?;
            }
        }
        for hidden in hidden {
            match hidden {
                Hidden::Name(node) => self.nodes.remove(node, Removal::Whiteout(number)),
                Hidden::Below(node) => self.nodes.remove_below(node, Removal::Whiteout(number)),
            }
        }
        Ok(())
    }

    /// Finds what the whiteouts of a layer hide. Those that mean nothing are left out, and kept if
    /// `number` says which layer it is.
    fn hidden(
        &mut self,
        layer: &Layer,
        number: Option<u32>,
        passes: &mut dyn FnMut(u32) -> bool,
    ) -> Result<Vec<Hidden>, TreeError> {
        let (mut all, mut above, mut folder) = (Vec::new(), &b""[..], None);
        for (_, record) in layer.records() {
            let name = match record {
                Record::Above(name) => {
                    (above, folder) = (name, None);
                    continue;
                }
                Record::Entry { name, .. } => name,
            };
            if !name.starts_with(WHITEOUT) {
                continue;
            }
            let meant = &name[WHITEOUT.len()..];
            let is_aufs = name.starts_with(AUFS);
            let leads_out = words(above).any(|word| word == b"..");
            if leads_out || matches!(meant, b"" | b"." | b"..") && !is_aufs {
                if let Some(number) = number {
                    let whole = start_of(&[above, name].concat());
                    self.leave_out(number, TreeError::Escapes(whole))?;
                }
                continue;
            }
            if is_aufs && name != OPAQUE {
                continue;
            }
            let found = match folder {
                Some(found) => found,
                None => *folder.insert(self.lower_folder(above, passes)?),
            };
            let Some(found) = found else { continue };
            if is_aufs {
                all.push(Hidden::Below(found));
            } else if let Some(node) = self.nodes.child(found, meant) {
                all.push(Hidden::Name(node));
            }
        }
        Ok(all)
    }

    /// The folder that a name means, if there is one.
    fn lower_folder(
        &mut self,
        name: &[u8],
        passes: &mut dyn FnMut(u32) -> bool,
    ) -> Result<Option<u32>, TreeError> {
        let mut followed = false;
        let search = Search {
            view: View::Now,
            passes: &mut |link| {
                followed = true;
                passes(link)
            },
        };
        let (found, steps) = match self.search(search, ROOT, words(name).collect()) {
            Ok(found) => (found.there(), found.steps),
            Err(_) => (None, 1),
        };
        if followed {
            self.totals.step(steps)?;
        }
        Ok(found.filter(|&node| self.nodes.kind(node) == Kind::Folder))
    }

    /// Which of some links a layer puts something else in the place of.
    fn replaced(&self, layer: &Layer, links: &BTreeSet<u32>) -> BTreeSet<u32> {
        let (mut replaced, mut above, mut folder) = (BTreeSet::new(), &b""[..], None);
        for (_, record) in layer.records() {
            let (kind, name) = match record {
                Record::Above(name) => {
                    (above, folder) = (name, None);
                    continue;
                }
                Record::Entry { kind, name, .. } => (kind, name),
            };
            if kind == Kind::Symlink || name.starts_with(WHITEOUT) {
                continue;
            }
            let found = folder.get_or_insert_with(|| {
                let found = self.resolve(ROOT, words(above).collect());
                found.ok().and_then(|found| found.there())
            });
            let node = found.and_then(|folder| self.nodes.child(folder, name));
            replaced.extend(node.filter(|node| links.contains(node)));
        }
        replaced
    }
}
