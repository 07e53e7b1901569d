//! No archive of images makes the reader panic, as it is or unpacked first.
#![no_main]

use std::io::{Seek as _, Write as _};

use libfuzzer_sys::fuzz_target;
use wharf_archive::archive::{is_packed, open_archive, spool};

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    if is_packed(&file).unwrap_or(false) {
        let mut plain = tempfile::tempfile().unwrap();
        if spool(bytes, &mut plain).is_ok() {
            let _ = open_archive(plain);
        }
    } else {
        let _ = open_archive(file);
    }
});
