//! Bounds on what the layers of an image ask for together.
//!
//! Each limit is a part that every image may have, and a part for each entry: what a tree holds in memory
//! follows the entries that have arrived. Without it a few bytes could ask for gigabytes: one name of 4,096
//! bytes means 2,048 folders, and a thousand such names pack into a few kilobytes.

use super::{Layer, TreeError};

/// How many folders may be implied by names, and how many more for each entry: builders that write no folders
/// have one or two for a file. A folder takes some 100 bytes.
pub(super) const IMPLIED_FREE: u64 = 65_536;
const IMPLIED_PER_ENTRY: u64 = 4;

/// How many bytes the notes of all layers may have, and how many more for each entry: an entry has 88 bytes and
/// its name, some 150 together; extended attributes and maps of holes may add to that.
pub(super) const NOTES_FREE: u64 = 8 << 20;
const NOTES_PER_ENTRY: u64 = 512;

/// How many words the targets of links may lead over, and how many more for each entry: a name that leads through
/// a link to `usr/lib` takes two or three.
pub(super) const STEPS_FREE: u64 = 8 << 20;
const STEPS_PER_ENTRY: u64 = 64;

/// What the layers of a tree ask for so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    entries: u64,
    notes: u64,
    implied: u64,
    steps: u64,
}

/// Returns how many bytes of notes so many entries may have.
pub(in crate::files) const fn notes_max(entries: u64) -> u64 {
    NOTES_FREE.saturating_add(NOTES_PER_ENTRY.saturating_mul(entries))
}

impl Totals {
    /// Counts a layer.
    pub(super) fn add(&mut self, layer: &Layer) -> Result<(), TreeError> {
        self.entries += layer.entries() as u64;
        self.notes += layer.length() as u64;
        if self.notes > notes_max(self.entries) {
            return Err(TreeError::Notes);
        }
        Ok(())
    }

    /// Counts a folder that no layer has an entry for.
    pub(super) const fn imply(&mut self) -> Result<(), TreeError> {
        self.implied += 1;
        if self.implied > IMPLIED_FREE + IMPLIED_PER_ENTRY * self.entries {
            return Err(TreeError::Implied);
        }
        Ok(())
    }

    /// Counts words that links lead over.
    pub(super) const fn step(&mut self, steps: u64) -> Result<(), TreeError> {
        self.steps += steps;
        if self.steps > STEPS_FREE + STEPS_PER_ENTRY * self.entries {
            return Err(TreeError::Steps);
        }
        Ok(())
    }
}
