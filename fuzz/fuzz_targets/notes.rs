//! No notes make their reader panic, and what they say is put upon itself or refused.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use wharf_archive::files::tree::compare;
use wharf_archive::files::{Layer, Place, Tree};

fuzz_target!(|bytes: &[u8]| {
    let Some(layer) = Layer::over(bytes.to_vec()).map(Arc::new) else {
        return;
    };
    let mut tree = Tree::default();
    if tree.apply(Arc::clone(&layer)).is_ok() {
        let mut other = tree.fork();
        let _ = other.apply(layer);
        for (path, place) in tree.below(Place::ROOT) {
            assert_eq!(tree.path(place), path);
            let _ = tree.node(place).entry.xattrs().count();
        }
        let _ = compare(&tree, &other, &mut |_, _, _| Ok::<_, ()>(()));
    }
});
