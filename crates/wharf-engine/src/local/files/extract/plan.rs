//! What is written, by kind: the order in which that works.
//!
//! Only places are kept. The names of a million files that lie deep would take gigabytes; each is put together when
//! it is needed.

use std::collections::BTreeMap;
use std::convert::Infallible;

use wharf_archive::files::{Kind, Place, Tree};

/// What is written, by kind.
#[derive(Default)]
pub(super) struct Plan {
    /// Each one before those in it.
    pub(super) folders: Vec<Place>,
    /// By layer: files in the order of their contents, each with its place there.
    pub(super) files: BTreeMap<usize, Vec<(u64, Place)>>,
    /// Links, devices and pipes, by layer and place.
    pub(super) others: Vec<((usize, u64), Place)>,
    /// Further names: each with the first one of the same file.
    pub(super) links: Vec<(Place, Place)>,
}

/// The names of what is below a folder, as they are below it.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    tree: &'a Tree,
    strip: usize,
}

impl<'a> Names<'a> {
    pub(super) fn below(tree: &'a Tree, folder: Place) -> Self {
        let strip = match tree.path(folder).len() {
            0 => 0,
            length => length + 1,
        };
        Self { tree, strip }
    }

    pub(super) fn of(&self, place: Place) -> Vec<u8> {
        self.tree.path(place).split_off(self.strip)
    }
}

impl Plan {
    pub(super) fn new(tree: &Tree, below: Place) -> Self {
        let mut plan = Self::default();
        let walked: Result<(), Infallible> = tree.walk(below, &mut |_, place| {
            plan.add(tree, place);
            Ok(())
        });
        match walked {
            Ok(()) => {}
            Err(never) => match never {},
        }
        for files in plan.files.values_mut() {
            first_names(files, &mut plan.links);
        }
        first_names(&mut plan.others, &mut plan.links);
        plan
    }

    fn add(&mut self, tree: &Tree, place: Place) {
        let kind = tree.kind(place);
        if kind == Kind::Folder {
            self.folders.push(place);
            return;
        }
        let node = tree.node(place);
        let offset = node.entry.offset;
        if kind == Kind::File {
            let files = self.files.entry(node.layer).or_default();
            files.push((offset, place));
        } else {
            self.others.push(((node.layer, offset), place));
        }
    }
}

/// Sorts by place in the layer, and leaves the first name of each. No two entries of a layer have one place: what
/// has the same place is the same file.
fn first_names<P: Ord>(all: &mut Vec<(P, Place)>, further: &mut Vec<(Place, Place)>) {
    // Names come sorted, and names of one place stay so.
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all.dedup_by(|(at, place), (known, first)| {
        let same = at == known;
        if same {
            further.push((*place, *first));
        }
        same
    });
}
