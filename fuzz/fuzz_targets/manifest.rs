//! No manifest makes the parser panic, and one that is read keeps its bytes.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use wharf_core::{Manifest, media_type};

fuzz_target!(|raw: &[u8]| {
    for declared in ["", media_type::OCI_MANIFEST, media_type::DOCKER_LIST] {
        if let Ok(manifest) = Manifest::parse(declared, Bytes::copy_from_slice(raw)) {
            assert_eq!(manifest.raw, raw);
        }
    }
});
