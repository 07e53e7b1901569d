//! The entries that a tree leaves out, because nothing can have their names or be what they are.

use super::TreeError;

/// How many of them are kept; the others are counted. A few suffice to find the fault.
const KEPT_MAX: usize = 8;

/// An entry that a tree leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OddEntry {
    /// The layer that has it, counted from the base.
    pub layer: usize,
    /// Why it is left out; the text names it.
    pub reason: TreeError,
}

/// The entries that a tree leaves out.
#[derive(Clone, Debug, Default)]
pub struct OddEntries {
    first: Vec<OddEntry>,
    count: u64,
    escaping: Option<OddEntry>,
}

impl OddEntries {
    pub(super) fn add(&mut self, layer: u32, reason: TreeError) {
        self.count += 1;
        let escapes = matches!(reason, TreeError::Escapes(_)) && self.escaping.is_none();
        if self.first.len() == KEPT_MAX && !escapes {
            return;
        }
        let layer = usize::try_from(layer).unwrap_or(usize::MAX);
        let entry = OddEntry { layer, reason };
        if escapes {
            self.escaping = Some(entry.clone());
        }
        if self.first.len() < KEPT_MAX {
            self.first.push(entry);
        }
    }

    /// Returns the first ones, in the order of the layers.
    pub fn first(&self) -> &[OddEntry] {
        &self.first
    }

    /// Returns how many there are.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Returns the first one that leads out of the image.
    pub const fn escaping(&self) -> Option<&OddEntry> {
        self.escaping.as_ref()
    }
}
