//! Finds what a name means, links followed.

use super::nodes::{ROOT, View};
use super::{Kind, Place, Tree, TreeError, shown, start_of, words};

/// How many symbolic links one name may lead over: Linux's limit.
const LINKS_MAX: usize = 40;

/// Bounds the words that one name leads over, those of its links included: twice what one name may have.
const STEPS_MAX: u64 = 4096;

/// What a name means: something that is there, and the words behind it that nothing has.
pub(super) struct Resolved<'a> {
    pub(super) at: u32,
    missing: Vec<&'a [u8]>,
    /// How many words were looked at.
    pub(super) steps: u64,
}

/// How a name is searched for.
pub(super) struct Search<'s> {
    pub(super) view: View,
    /// Is told of every link on the way; the search ends where it returns false.
    pub(super) passes: &'s mut dyn FnMut(u32) -> bool,
}

impl Resolved<'_> {
    /// What it is, if all of it is there.
    pub(super) fn there(&self) -> Option<u32> {
        self.missing.is_empty().then_some(self.at)
    }

    pub(super) fn missing_owned(&self) -> Vec<Vec<u8>> {
        self.missing.iter().map(|word| word.to_vec()).collect()
    }
}

impl Tree {
    /// What some words behind a place mean: every link is followed, the last one too.
    pub(super) fn resolve<'a>(
        &'a self,
        at: u32,
        left: Vec<&'a [u8]>,
    ) -> Result<Resolved<'a>, TreeError> {
        let search = Search {
            view: View::Now,
            passes: &mut |_| true,
        };
        self.search(search, at, left)
    }

    /// The same, in another view of the tree.
    pub(super) fn search<'a>(
        &'a self,
        search: Search<'_>,
        mut at: u32,
        mut left: Vec<&'a [u8]>,
    ) -> Result<Resolved<'a>, TreeError> {
        let (mut missing, mut links, mut steps) = (Vec::new(), 0, 0);
        left.reverse();
        while let Some(word) = left.pop() {
            steps += 1;
            if steps > STEPS_MAX {
                return Err(TreeError::Loop(start_of(word)));
            }
            if word == b".." {
                if missing.pop().is_none() {
                    at = self.nodes.folder(at);
                }
                continue;
            }
            let next = if missing.is_empty() {
                self.nodes.child_in(at, word, search.view)
            } else {
                None
            };
            let Some(next) = next else {
                missing.push(word);
                continue;
            };
            if self.nodes.kind(next) != Kind::Symlink {
                at = next;
                continue;
            }
            links += 1;
            if links > LINKS_MAX || !(search.passes)(next) {
                return Err(TreeError::Loop(shown(&self.path(Place(next)))));
            }
            let link = self.node(Place(next)).entry.link;
            if link.starts_with(b"/") {
                at = ROOT;
            }
            left.extend(words(link).rev());
        }
        Ok(Resolved { at, missing, steps })
    }

    /// What a link leads to.
    pub(super) fn follow(&self, link: u32) -> Result<Resolved<'_>, TreeError> {
        self.resolve(self.nodes.folder(link), vec![self.nodes.name(link)])
    }

    /// What a name means, links followed.
    pub fn find(&self, path: &[u8]) -> Result<Place, TreeError> {
        let found = self.resolve(ROOT, words(path).collect())?;
        let missing = || TreeError::Missing(shown(path));
        found.there().map(Place).ok_or_else(missing)
    }

    /// What a name means, a link as the last word taken for itself.
    pub fn find_link(&self, path: &[u8]) -> Result<Place, TreeError> {
        let mut folder: Vec<&[u8]> = words(path).collect();
        let Some(base) = folder.pop().filter(|base| *base != b"..") else {
            return self.find(path);
        };
        let folder = self.resolve(ROOT, folder)?;
        let found = folder.there().and_then(|at| self.nodes.child(at, base));
        found
            .map(Place)
            .ok_or_else(|| TreeError::Missing(shown(path)))
    }

    /// The whole name of a place, without a slash in front and without links; the root's is empty.
    pub fn path(&self, place: Place) -> Vec<u8> {
        let (mut words, mut at) = (Vec::new(), place.0);
        while at != ROOT {
            words.push(self.nodes.name(at));
            at = self.nodes.folder(at);
        }
        words.reverse();
        words.join(&b'/')
    }
}
