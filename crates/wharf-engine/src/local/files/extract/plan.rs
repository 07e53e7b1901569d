//! What is written, by kind: the order in which that works.

use std::collections::BTreeMap;

use wharf_archive::files::{Kind, Place, Tree};

/// A name, and what has it.
pub(super) type Named<'a> = (&'a [u8], Place);

/// What is written, by kind.
#[derive(Default)]
pub(super) struct Plan<'a> {
    pub(super) folders: Vec<Named<'a>>,
    /// By layer: files in the order of their contents, each with its place there.
    pub(super) files: BTreeMap<usize, Vec<(u64, Named<'a>)>>,
    /// Links, devices and pipes, by layer and place.
    pub(super) others: Vec<((usize, u64), Named<'a>)>,
    /// Further names: each with the first one of the same file.
    pub(super) links: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(tree: &Tree, names: &'a [(Vec<u8>, Place)]) -> Self {
        let mut plan = Self::default();
        for (path, place) in names {
            let named = (path.as_slice(), *place);
            let kind = tree.kind(*place);
            if kind == Kind::Folder {
                plan.folders.push(named);
                continue;
            }
            let node = tree.node(*place);
            let offset = node.entry.offset;
            if kind == Kind::File {
                let files = plan.files.entry(node.layer).or_default();
                files.push((offset, named));
            } else {
                plan.others.push(((node.layer, offset), named));
            }
        }
        for files in plan.files.values_mut() {
            first_names(files, &mut plan.links);
        }
        first_names(&mut plan.others, &mut plan.links);
        plan
    }
}

/// Sorts by place, and leaves the first name of each. No two entries of a layer have one place: what has the same
/// place is the same file.
fn first_names<'a, P: Ord>(all: &mut Vec<(P, Named<'a>)>, further: &mut Vec<(&'a [u8], &'a [u8])>) {
    // Names come sorted, and names of one place stay so.
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all.dedup_by(|(place, named), (known, first)| {
        let same = place == known;
        if same {
            further.push((named.0, first.0));
        }
        same
    });
}
