use std::fs::File;
use std::io::Write as _;

use proptest::prelude::*;
use wharf_core::layer::Inspector as _;
use wharf_core::{Descriptor, media_type};

use super::*;
use crate::LayerInspector;
use crate::files::contents::contents;
use crate::files::{Kind, Layer};

/// How a map is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Old,
    Pax00,
    Pax01,
    Pax10,
}

const FORMATS: [Format; 4] = [Format::Old, Format::Pax00, Format::Pax01, Format::Pax10];

/// A file.
struct Sparse {
    /// Where something is in it, and how long that is.
    map: Vec<(u64, u64)>,
    /// All of that.
    stored: Vec<u8>,
    size: u64,
}

impl Sparse {
    /// Holes and content in turn, with so many bytes, and a hole at the end.
    fn new(lengths: &[(u64, u64)]) -> Self {
        let (mut map, mut stored, mut size) = (Vec::new(), Vec::new(), 0);
        for &(hole, length) in lengths {
            map.push((size + hole, length));
            stored.extend((0..length).map(|at| (at % 251) as u8 + 1));
            size += hole + length;
        }
        size += 700;
        // As GNU tar does it: an empty piece is where the last hole ends.
        map.push((size, 0));
        Self { map, stored, size }
    }

    fn content(&self) -> Vec<u8> {
        let (mut content, mut rest) = (Vec::new(), &self.stored[..]);
        for &(place, length) in &self.map {
            let (piece, behind) = rest.split_at(short(length));
            content.resize(short(place), 0);
            content.extend(piece);
            rest = behind;
        }
        content
    }
}

fn short(length: u64) -> usize {
    usize::try_from(length).unwrap()
}

fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn header(kind: u8, name: &str, size: usize, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..108].copy_from_slice(b"0000644\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[148..156].fill(b' ');
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar  \0");
    change(&mut block);
    let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

/// Entries of the old format, in as many bytes.
fn fields(map: &[(u64, u64)], length: usize) -> Vec<u8> {
    let entries = map
        .iter()
        .map(|(place, length)| format!("{place:011o}\0{length:011o}\0"));
    let mut bytes = entries.collect::<String>().into_bytes();
    bytes.resize(length, 0);
    bytes
}

fn records(records: &[(&str, String)]) -> Vec<u8> {
    let record = |(key, value): &(&str, String)| {
        let rest = key.len() + value.len() + 3;
        let digits = (1..).find(|digits| (rest + digits).to_string().len() == *digits);
        format!("{} {key}={value}\n", rest + digits.unwrap())
    };
    let text = records.iter().map(record).collect::<String>().into_bytes();
    [header(b'x', "pax", text.len(), |_| {}), padded(text)].concat()
}

/// The file in an archive.
fn archive(format: Format, file: &Sparse) -> Vec<u8> {
    let (stored, size) = (file.stored.clone(), file.size.to_string());
    let name = ("GNU.sparse.name", "sparse".to_owned());
    let plain = |content: Vec<u8>| {
        let header = header(b'0', "GNUSparseFile.1/sparse", content.len(), |_| {});
        [header, padded(content)].concat()
    };
    match format {
        Format::Old => {
            let (first, more) = file.map.split_at(file.map.len().min(4));
            let mut bytes = header(b'S', "sparse", stored.len(), |block| {
                block[386..482].copy_from_slice(&fields(first, 96));
                block[482] = u8::from(!more.is_empty());
                block[483..495].copy_from_slice(format!("{:011o}\0", file.size).as_bytes());
            });
            let blocks = more.chunks(21).count();
            for (number, entries) in more.chunks(21).enumerate() {
                bytes.extend(fields(entries, 504));
                bytes.extend([u8::from(number + 1 < blocks), 0, 0, 0, 0, 0, 0, 0]);
            }
            [bytes, padded(stored)].concat()
        }
        Format::Pax00 => {
            let mut all = vec![("GNU.sparse.size", size), name];
            for (place, length) in &file.map {
                all.push(("GNU.sparse.offset", place.to_string()));
                all.push(("GNU.sparse.numbytes", length.to_string()));
            }
            [records(&all), plain(stored)].concat()
        }
        Format::Pax01 => {
            let map = file
                .map
                .iter()
                .map(|(place, length)| format!("{place},{length}"));
            let map = map.collect::<Vec<_>>().join(",");
            let all = [("GNU.sparse.size", size), name, ("GNU.sparse.map", map)];
            [records(&all), plain(stored)].concat()
        }
        Format::Pax10 => {
            let all = [
                ("GNU.sparse.major", "1".to_owned()),
                ("GNU.sparse.minor", "0".to_owned()),
                name,
                // GNU tar writes a long name here, too, for those that do not know the one above.
                ("path", "GNUSparseFile.1/sparse".to_owned()),
                ("GNU.sparse.realsize", size),
            ];
            let mut map = format!("{}\n", file.map.len());
            for (place, length) in &file.map {
                map.push_str(&format!("{place}\n{length}\n"));
            }
            let content = [padded(map.into_bytes()), stored].concat();
            [records(&all), plain(content)].concat()
        }
    }
}

/// What the notes say of an archive, and its file.
fn noted(archive: &[u8]) -> (Layer, File) {
    let notes = tempfile::tempfile().unwrap();
    let what = Descriptor::of(media_type::OCI_LAYER, archive);
    let writer = Box::new(notes.try_clone().unwrap());
    let mut reading = LayerInspector::new().begin(&what, Some(writer)).unwrap();
    reading.write(archive).unwrap();
    reading.finish().unwrap();
    let mut blob = tempfile::tempfile().unwrap();
    blob.write_all(archive).unwrap();
    (Layer::read(&notes).unwrap().unwrap(), blob)
}

/// The files of an archive with holes, in pieces of some bytes.
fn expanded(archive: &[u8], piece: usize) -> Result<Vec<Vec<u8>>, ContentsError> {
    let (layer, mut blob) = noted(archive);
    let entries: Vec<Entry<'_>> = layer.all().collect();
    let mut files = vec![Vec::new(); entries.len()];
    let mut expanding = Expanding::new(&entries);
    let mut take = |number: usize, piece: Piece<'_>| {
        let file: &mut Vec<u8> = &mut files[number];
        match piece {
            Piece::Data(bytes) => file.extend_from_slice(bytes),
            Piece::Hole(length) => file.resize(file.len() + short(length), 0),
        }
        Ok(())
    };
    let ranges = expanding.ranges();
    contents(&mut blob, &ranges, None, &mut |at, bytes| {
        let mut pieces = bytes.chunks(piece);
        pieces.try_for_each(|bytes| expanding.write(at, bytes, &mut take))
    })?;
    expanding.finish(&mut take)?;
    Ok(files)
}

#[test]
fn a_file_with_holes_is_put_together_in_every_format() {
    let many: Vec<_> = (1..60).map(|n| (n, 100 + n)).collect();
    for lengths in [&[(0, 5)][..], &[(512, 512), (1, 1)], &[(0, 0)], &[], &many] {
        let (file, empty) = (Sparse::new(lengths), Sparse::new(&[]));
        for format in FORMATS {
            let archive = [archive(format, &file), archive(format, &empty)].concat();
            let (layer, _) = noted(&archive);
            let entry = layer.all().next().unwrap();
            let about = (entry.name, entry.kind, entry.size);
            assert_eq!(about, (&b"sparse"[..], Kind::File, file.size), "{format:?}");
            for piece in [1, 7, 100_000] {
                let found = expanded(&archive, piece).unwrap();
                assert!(found[0] == file.content(), "{format:?}, {lengths:?}");
                assert!(found[1] == empty.content(), "{format:?}, {lengths:?}");
            }
        }
    }
}

#[test]
fn a_map_that_makes_no_sense_is_refused() {
    let wrong: [&[(u64, u64)]; 5] = [
        &[(100, 600), (50, 100)],
        &[(0, 400), (399, 300)],
        &[(0, 701)],
        &[(u64::MAX >> 1, u64::MAX >> 1), (0, 2)],
        &[(0, 300)],
    ];
    for map in wrong {
        for format in FORMATS {
            // The old format's fields have eleven digits.
            if format == Format::Old && map[0].0 > 1 << 33 {
                continue;
            }
            let file = |map: &[(u64, u64)]| Sparse {
                map: map.to_vec(),
                stored: vec![b'x'; 700],
                size: 700,
            };
            let right = archive(format, &file(&[(0, 300), (300, 400)]));
            assert_eq!(expanded(&right, 512).unwrap(), [[b'x'; 700]]);
            let refused = expanded(&archive(format, &file(map)), 512);
            assert!(refused.is_err(), "{format:?}, {map:?}");
        }
    }
}

proptest! {
    #[test]
    fn whatever_a_map_says_nothing_panics(map in "[0-9\n]{0,20}|[0-9a-z,-]{0,20}") {
        let record = [("GNU.sparse.size", "700".to_owned()), ("GNU.sparse.map", map.replace('\n', ","))];
        let within = [("GNU.sparse.major", "1".to_owned()), ("GNU.sparse.realsize", "700".to_owned())];
        let content = padded(map.into_bytes());
        let header = header(b'0', "x", content.len(), |_| {});
        for records in [records(&record), records(&within)] {
            let archive = [records, header.clone(), content.clone()].concat();
            drop(expanded(&archive, 10));
        }
    }
}
