//! Whatever layers have, the tree of them is what the rules say, which are written a second time in the most
//! obvious way, and a walk over it agrees with what is found in it.
#![no_main]

use std::io::{Seek as _, Write as _};
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use wharf_archive::LayerInspector;
use wharf_archive::files::{Kind, Layer, Place, Tree};
use wharf_core::Descriptor;
use wharf_core::layer::Inspector as _;
use wharf_core::media_type::OCI_LAYER;

#[path = "../../crates/wharf-archive/src/files/tree/rules.rs"]
#[allow(dead_code, reason = "the property tests use the rest")]
mod rules;

use rules::{Item, Rules};

/// Words of names and of links.
const WORDS: [&str; 12] = [
    "a", "b", "a-", "b0", ".wh.a", ".wh.b", ".wh..wh..opq", ".wh..wh.plnk", "..", "c", ".wh.c", ".wh.",
];

/// Some words of a name, from some bytes.
fn name(bytes: &mut &[u8]) -> String {
    let (&first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    *bytes = rest;
    let mut words = Vec::new();
    for _ in 0..1 + first % 3 {
        let (&byte, rest) = bytes.split_first().unwrap_or((&0, &[]));
        *bytes = rest;
        words.push(WORDS[usize::from(byte) % WORDS.len()]);
    }
    words.join("/")
}

/// The items of a layer, and the notes of it.
fn layer(bytes: &mut &[u8], first: u64) -> (Vec<Item>, Arc<Layer>) {
    let mut items = Vec::new();
    let mut out = tar::Builder::new(Vec::new());
    while items.len() < 8 {
        let Some((&kind, rest)) = bytes.split_first() else {
            break;
        };
        *bytes = rest;
        if kind == 0xff {
            break;
        }
        let (kind, letter) = match kind % 6 {
            0 | 1 => (Kind::File, tar::EntryType::Regular),
            2 | 3 => (Kind::Folder, tar::EntryType::Directory),
            4 => (Kind::Symlink, tar::EntryType::Symlink),
            _ => (Kind::HardLink, tar::EntryType::Link),
        };
        let path = name(bytes);
        let is_link = matches!(kind, Kind::Symlink | Kind::HardLink);
        let link = if is_link { name(bytes) } else { String::new() };
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(letter);
        header.set_size(0);
        let old = header.as_old_mut();
        old.name[..path.len()].copy_from_slice(path.as_bytes());
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        // Every header is one block, and content begins behind it.
        let number = first + 512 * (items.len() as u64 + 1);
        out.append(&header, std::io::empty()).unwrap();
        items.push(Item { name: path, kind, link, number });
    }
    let mut notes = tempfile::tempfile().unwrap();
    let what = Descriptor::of(OCI_LAYER, b"");
    let writer = Box::new(notes.try_clone().unwrap());
    let mut reading = LayerInspector::new().begin(&what, Some(writer)).unwrap();
    reading.write(&out.into_inner().unwrap()).unwrap();
    reading.finish().unwrap();
    notes.flush().unwrap();
    notes.rewind().unwrap();
    (items, Arc::new(Layer::read(&notes).unwrap().unwrap()))
}

fuzz_target!(|bytes: &[u8]| {
    let (mut bytes, mut tree, mut rules) = (bytes, Tree::default(), Rules::default());
    for number in 0..3 {
        let (items, layer) = layer(&mut bytes, 0);
        let odd = rules.apply(&items, number);
        let before = tree.odd().count();
        tree.apply(layer).unwrap();
        assert_eq!(tree.odd().count() - before, odd.len() as u64, "{items:?}");
    }
    let all = tree.below(Place::ROOT);
    let found: Vec<(String, Kind, usize)> = all
        .iter()
        .map(|(path, place)| {
            assert_eq!(tree.path(*place), *path);
            let node = tree.node(*place);
            (String::from_utf8_lossy(path).into_owned(), node.entry.kind, node.layer)
        })
        .collect();
    let mut expected: Vec<(String, Kind, usize)> = rules
        .things
        .iter()
        .map(|(path, thing)| (path.join("/"), thing.kind, thing.from))
        .collect();
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(found, expected);
});
