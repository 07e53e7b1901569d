//! No `NO_PROXY` makes its reader panic, blanks and case do not count, and an entry covers what it names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_registry::parsers::is_direct;

const ADDRESSES: [&str; 5] = [
    "https://a.registry.corp",
    "https://registry.corp:5000/v2/",
    "http://10.1.2.3:5000",
    "https://[2001:db8::1]",
    "http://localhost",
];

fuzz_target!(|list: &str| {
    for address in ADDRESSES {
        let direct = is_direct(list, address);
        let spaced = list.replace(',', " ,\t").to_uppercase();
        if list.is_ascii() {
            assert_eq!(direct, is_direct(&spaced, address), "{address}");
        }
        assert_eq!(is_direct(&format!("{list},*"), address), Some(true));
    }
    assert_eq!(is_direct(&format!("{list},registry.corp"), ADDRESSES[0]), Some(true));
    assert_eq!(is_direct(&format!("10.0.0.0/8,{list}"), ADDRESSES[2]), Some(true));
    assert_eq!(is_direct(list, ADDRESSES[4]), Some(true));
});
