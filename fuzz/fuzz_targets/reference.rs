//! What is read as a name is printed so that it is read as the same name again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_core::Reference;

fuzz_target!(|text: &str| {
    let Ok(reference) = text.parse::<Reference>() else { return };
    for printed in [reference.to_string(), reference.familiar()] {
        assert_eq!(printed.parse::<Reference>().as_ref(), Ok(&reference), "{printed}");
    }
});
