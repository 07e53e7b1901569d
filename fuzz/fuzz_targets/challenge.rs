//! No challenge makes its reader panic, and a Basic challenge in front of anything is found.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_registry::parsers::challenges;

fuzz_target!(|header: &[u8]| {
    challenges([header].into_iter());
    challenges(header.split(|byte| *byte == b'\n'));
    let before = [b"Basic realm=\"x\", ".as_slice(), header].concat();
    if before.len() <= 8 * 1024 {
        let (found, _) = challenges([before.as_slice()].into_iter());
        assert!(found.iter().any(|scheme| scheme == "Basic"));
    }
});
