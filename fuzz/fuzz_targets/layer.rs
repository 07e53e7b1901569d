//! No layer makes the inspector panic, and how its bytes are cut does not change what it says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_archive::LayerInspector;
use wharf_core::layer::{Inspector as _, LayerFacts};
use wharf_core::{Descriptor, media_type};

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    for kind in [media_type::OCI_LAYER, media_type::OCI_LAYER_GZIP, media_type::OCI_LAYER_ZSTD] {
        let whole = inspect(kind, bytes, bytes.len().max(1));
        assert_eq!(whole, inspect(kind, bytes, usize::from(piece).max(1)), "{kind}");
    }
});

fn inspect(kind: &str, bytes: &[u8], piece: usize) -> Option<LayerFacts> {
    let mut inspect = LayerInspector::default().begin(&Descriptor::of(kind, bytes), None)?;
    for piece in bytes.chunks(piece) {
        inspect.write(piece).ok()?;
    }
    inspect.finish().ok()
}
