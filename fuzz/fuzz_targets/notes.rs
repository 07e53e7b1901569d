//! No notes make their reader panic, and what they say is put upon itself or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_archive::files::{Tree, notes};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some(entries)) = notes::read(bytes) {
        let mut tree = Tree::default();
        let _ = tree.apply(0, entries.clone());
        let _ = tree.apply(1, entries);
    }
});
