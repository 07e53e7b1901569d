//! No `Link` makes its reader panic, and a next page beside one is followed or refused, never left out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_registry::parsers::next_page;

const HERE: &str = "https://registry.corp/v2/app/tags/list";

fuzz_target!(|header: &[u8]| {
    let _ = next_page([header].into_iter(), HERE);
    for headers in [
        [header, b"<?last=a>; rel=\"next\"".as_slice()],
        [b"<?last=a>; title=\"x, y\"; rel=\"last next\"".as_slice(), header],
    ] {
        assert_ne!(next_page(headers.into_iter(), HERE), Ok(None));
    }
});
