//! What a tree is made of: one node for each name, all in one list, found by a table.
//!
//! A node never leaves the list. What is removed is marked, and comes back when its name does: so
//! nothing has to be taken out of the table, and a copy of all of it is two or three large copies.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Kind, TreeError};

/// The node of the image's root.
pub(super) const ROOT: u32 = 0;

/// Bounds the nodes, which take some 70 bytes each with their names: the entries that a layer may have, and
/// some folders that no layer has an entry for.
pub(super) const NODES_MAX: u32 = 20_000_000;

/// Bounds the names of all nodes together, in bytes: 1 GiB, as the notes of one layer.
const NAMES_MAX: usize = 1 << 30;

/// Bounds one word of a name, in bytes: Linux's `NAME_MAX`.
const WORD_MAX: usize = 255;

/// Bounds a whole name, in bytes: Linux's `PATH_MAX` counts a zero byte behind it.
pub(super) const PATH_MAX: u16 = 4095;

/// Bounds how many folders a name leads through. Package managers that nest their packages make some 200.
pub(super) const DEPTH_MAX: u16 = 1024;

/// Mixes a folder's number into the seed of its names' hashes: 2⁶⁴ divided by the golden ratio.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// Where something is written down: which layer, and the place in its notes; 0 where no layer has an
/// entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) layer: u32,
    pub(super) place: u32,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    folder: u32,
    /// Its name in `names`.
    name: (u32, u32),
    source: Source,
    /// The layer that put it there: of a hard link not its file's.
    by: u32,
    /// What is in it: the first, and the next one beside it. 0 is none, since the root is in nothing.
    first: u32,
    next: u32,
    /// The layer whose whiteout removed it, plus one; 0 if no whiteout did.
    hidden_by: u32,
    /// The length of its whole name in bytes, and how many words that has.
    length: u16,
    depth: u16,
    kind: Kind,
    here: bool,
    /// It stands in the list that begins with its folder's `first`.
    linked: bool,
    /// Has anything here or below become different since the tree was forked?
    touched: bool,
}

impl Node {
    /// A name that nothing has yet.
    const fn new(folder: u32, name: (u32, u32)) -> Self {
        Self {
            folder,
            name,
            source: Source { layer: 0, place: 0 },
            by: 0,
            first: 0,
            next: 0,
            hidden_by: 0,
            length: 0,
            depth: 0,
            kind: Kind::Folder,
            here: false,
            linked: false,
            touched: false,
        }
    }
}

/// Which names a search finds.
#[derive(Clone, Copy, Debug)]
pub(super) enum View {
    /// Those that are there now.
    Now,
    /// Those too that the whiteouts of this layer have removed.
    BeforeWhiteoutsOf(u32),
}

/// A place in the table: the hash stands here too, so that only the right node is looked at.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    hash: u32,
    /// 0 is none.
    node: u32,
}

/// All nodes of a tree.
#[derive(Clone, Debug)]
pub(super) struct Nodes {
    list: Vec<Node>,
    names: Vec<u8>,
    /// Nodes by their hashes; at most half full. Its length is a power of two.
    table: Vec<Cell>,
    /// Nobody outside knows which names have the same hash.
    seed: u64,
}

impl Default for Nodes {
    fn default() -> Self {
        let mut root = Node::new(ROOT, (0, 0));
        root.here = true;
        Self {
            list: vec![root],
            names: Vec::new(),
            table: vec![Cell::default(); 64],
            seed: RandomState::new().build_hasher().finish(),
        }
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Nodes {
    fn node(&self, number: u32) -> &Node {
        &self.list[index(number)]
    }

    fn node_mut(&mut self, number: u32) -> &mut Node {
        &mut self.list[index(number)]
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.list.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn kind(&self, node: u32) -> Kind {
        self.node(node).kind
    }

    /// Is it there, or has it only been?
    pub(super) fn is_here(&self, node: u32) -> bool {
        self.node(node).here
    }

    pub(super) fn source(&self, node: u32) -> Source {
        self.node(node).source
    }

    /// The layer that put it there.
    pub(super) fn by(&self, node: u32) -> u32 {
        self.node(node).by
    }

    pub(super) fn folder(&self, node: u32) -> u32 {
        self.node(node).folder
    }

    pub(super) fn is_touched(&self, node: u32) -> bool {
        self.node(node).touched
    }

    /// The last word of its name.
    pub(super) fn name(&self, node: u32) -> &[u8] {
        let (at, length) = self.node(node).name;
        &self.names[index(at)..index(at) + index(length)]
    }

    /// What is in a folder, in no order.
    pub(super) fn children(&self, folder: u32) -> impl Iterator<Item = u32> {
        let mut next = self.node(folder).first;
        std::iter::from_fn(move || {
            while next != 0 {
                let node = self.node(next);
                let number = std::mem::replace(&mut next, node.next);
                if node.here {
                    return Some(number);
                }
            }
            None
        })
    }

    /// What has this name in a folder.
    pub(super) fn child(&self, folder: u32, name: &[u8]) -> Option<u32> {
        self.child_in(folder, name, View::Now)
    }

    /// What has this name in a folder, or had it before a layer's whiteouts.
    pub(super) fn child_in(&self, folder: u32, name: &[u8], view: View) -> Option<u32> {
        let hash = self.hash(folder, name);
        let number = self.table[self.slot(hash, folder, name)].node;
        if number == 0 {
            return None;
        }
        let node = self.node(number);
        let hidden = match view {
            View::Now => false,
            View::BeforeWhiteoutsOf(layer) => node.hidden_by == layer + 1,
        };
        (node.here || hidden).then_some(number)
    }

    fn hash(&self, folder: u32, name: &[u8]) -> u32 {
        let seed = self.seed.wrapping_add(u64::from(folder).wrapping_mul(MIX));
        let hash = xxh3_64_with_seed(name, seed);
        u32::try_from(hash >> 32).unwrap_or(0)
    }

    /// Where a name is in the table, or would be.
    fn slot(&self, hash: u32, folder: u32, name: &[u8]) -> usize {
        let mask = self.table.len() - 1;
        let mut slot = index(hash) & mask;
        loop {
            let cell = self.table[slot];
            if cell.node == 0 {
                return slot;
            }
            if cell.hash == hash
                && self.node(cell.node).folder == folder
                && self.name(cell.node) == name
            {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    /// Makes room for so many more.
    pub(super) fn reserve(&mut self, more: usize) {
        let more = more.min(index(NODES_MAX).saturating_sub(self.list.len()));
        self.list.reserve(more);
        self.grow(2 * (self.list.len() + more));
    }

    fn grow(&mut self, slots: usize) {
        let slots = slots.next_power_of_two();
        if slots <= self.table.len() {
            return;
        }
        let old = std::mem::replace(&mut self.table, vec![Cell::default(); slots]);
        for cell in old.into_iter().filter(|cell| cell.node != 0) {
            let mut slot = index(cell.hash) & (slots - 1);
            while self.table[slot].node != 0 {
                slot = (slot + 1) & (slots - 1);
            }
            self.table[slot] = cell;
        }
    }

    /// The node of a name, made if there never was one. The caller says next what it is.
    pub(super) fn make(&mut self, folder: u32, name: &[u8]) -> Result<u32, TreeError> {
        let hash = self.hash(folder, name);
        let slot = self.slot(hash, folder, name);
        let known = self.table[slot].node;
        if known != 0 {
            self.link(known);
            return Ok(known);
        }
        let (length, depth) = self.extent(folder, name)?;
        let (number, at) = (self.count(), self.names.len());
        if number >= NODES_MAX || at + name.len() > NAMES_MAX {
            return Err(TreeError::TooMany);
        }
        let short = |length: usize| u32::try_from(length).map_err(|_| TreeError::TooMany);
        let mut node = Node::new(folder, (short(at)?, short(name.len())?));
        (node.length, node.depth) = (length, depth);
        self.names.extend_from_slice(name);
        self.list.push(node);
        self.link(number);
        self.table[slot] = Cell { hash, node: number };
        if 2 * self.list.len() > self.table.len() {
            self.grow(2 * self.table.len());
        }
        Ok(number)
    }

    /// The length and the depth of a name in a folder, unless one of them is beyond its limit.
    fn extent(&self, folder: u32, name: &[u8]) -> Result<(u16, u16), TreeError> {
        let above = self.node(folder);
        let depth = above.depth + 1;
        let length = above.length + u16::from(folder != ROOT);
        let length = u16::try_from(name.len())
            .ok()
            .and_then(|own| length.checked_add(own));
        match length.filter(|length| *length <= PATH_MAX) {
            Some(length) if name.len() <= WORD_MAX && depth <= DEPTH_MAX => Ok((length, depth)),
            _ => Err(TreeError::TooLong(super::start_of(name))),
        }
    }

    /// Puts a node into its folder's list, unless it stands there.
    fn link(&mut self, number: u32) {
        let node = self.node(number);
        if node.linked {
            return;
        }
        let folder = node.folder;
        let next = std::mem::replace(&mut self.node_mut(folder).first, number);
        let node = self.node_mut(number);
        (node.next, node.linked) = (next, true);
    }

    /// Says what something is.
    pub(super) fn set(&mut self, number: u32, kind: Kind, by: u32, source: Source) {
        let node = self.node_mut(number);
        (node.kind, node.by, node.source, node.here) = (kind, by, source, true);
        self.touch(number);
    }

    /// Everything here is as it was from now on.
    pub(super) fn forget_touches(&mut self) {
        self.list.iter_mut().for_each(|node| node.touched = false);
    }

    fn touch(&mut self, mut number: u32) {
        while !std::mem::replace(&mut self.node_mut(number).touched, true) {
            number = self.folder(number);
        }
    }

    /// Removes something and all that is below it.
    pub(super) fn remove(&mut self, number: u32, why: Removal) {
        self.remove_below(number, why);
        let node = self.node_mut(number);
        if node.here {
            node.here = false;
            node.hidden_by = why.hidden_by();
            self.touch(number);
        }
    }

    /// Removes all that is below a folder. What is removed leaves the folder's list, so that removing it once
    /// more takes no time.
    pub(super) fn remove_below(&mut self, folder: u32, why: Removal) {
        if self.node(folder).first == 0 {
            return;
        }
        self.touch(folder);
        let mut left = vec![folder];
        while let Some(above) = left.pop() {
            let mut next = std::mem::take(&mut self.node_mut(above).first);
            while next != 0 {
                let number = next;
                let node = self.node_mut(number);
                next = std::mem::take(&mut node.next);
                node.linked = false;
                if std::mem::take(&mut node.here) {
                    node.hidden_by = why.hidden_by();
                }
                if node.first != 0 {
                    left.push(number);
                }
            }
        }
    }
}

/// Why something is removed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Removal {
    /// A whiteout of this layer hides it.
    Whiteout(u32),
    /// Something else takes its name.
    Replaced,
}

impl Removal {
    const fn hidden_by(self) -> u32 {
        match self {
            Self::Whiteout(layer) => layer + 1,
            Self::Replaced => 0,
        }
    }
}
