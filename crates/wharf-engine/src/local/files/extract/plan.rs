//! What is written, by kind: the order in which that works.

use std::collections::{BTreeMap, HashMap};

use wharf_archive::files::{Kind, Place, Tree};

/// A name, and what has it.
pub(super) type Named<'a> = (&'a [u8], Place);

/// What is written, by kind.
#[derive(Default)]
pub(super) struct Plan<'a> {
    pub(super) folders: Vec<Named<'a>>,
    /// By layer: files in the order of their contents.
    pub(super) files: BTreeMap<usize, Vec<(u64, Named<'a>)>>,
    pub(super) others: Vec<Named<'a>>,
    /// Further names: each with the first one of the same file.
    pub(super) links: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(tree: &Tree, names: &'a [(Vec<u8>, Place)]) -> Self {
        let mut plan = Self::default();
        // No two entries of a layer have one place: what has the same place is the same file.
        let mut first: HashMap<(usize, u64), &[u8]> = HashMap::new();
        for (path, place) in names {
            let named = (path.as_slice(), *place);
            if tree.kind(*place) == Kind::Folder {
                plan.folders.push(named);
                continue;
            }
            let node = tree.node(*place);
            let offset = node.entry.offset;
            if let Some(known) = first.get(&(node.layer, offset)) {
                plan.links.push((path, known));
                continue;
            }
            first.insert((node.layer, offset), path);
            match node.entry.kind {
                Kind::File => {
                    let files = plan.files.entry(node.layer).or_default();
                    files.push((offset, named));
                }
                _ => plan.others.push(named),
            }
        }
        for files in plan.files.values_mut() {
            files.sort_by_key(|(offset, _)| *offset);
        }
        plan
    }
}
