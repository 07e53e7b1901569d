use std::io::Write as _;

use flate2::{Compression, GzBuilder};
use proptest::prelude::*;
use wharf_core::Digest;

use super::limits::WINDOW_LOG_MAX;
use super::*;

/// An archive of one file, larger than the pieces that it is unpacked in.
fn archive() -> Vec<u8> {
    let content: Vec<u8> = (0..3 * OUTPUT)
        .map(|n| (n * n / 7 % 251).to_be_bytes()[7])
        .collect();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    archive
        .append_data(&mut header, "file", &content[..])
        .unwrap();
    archive.into_inner().unwrap()
}

fn facts(archive: &[u8]) -> LayerFacts {
    LayerFacts {
        diff_id: Digest::of(archive),
        size: 3 * OUTPUT as u64,
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    gzip_with(GzBuilder::new(), content)
}

fn gzip_with(builder: GzBuilder, content: &[u8]) -> Vec<u8> {
    let mut gzip = builder.write(Vec::new(), Compression::default());
    gzip.write_all(content).unwrap();
    gzip.finish().unwrap()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(content, 3).unwrap()
}

fn bzip2(content: &[u8]) -> Vec<u8> {
    let mut bzip2 = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
    bzip2.write_all(content).unwrap();
    bzip2.finish().unwrap()
}

/// xz without compression (the .xz file format, 1.2.1), which no library here writes. `dictionary` is the property
/// that says how much memory it takes.
fn xz(content: &[u8], dictionary: u8) -> Vec<u8> {
    let crc = |bytes: &[u8]| crc32fast::hash(bytes).to_le_bytes();
    let number = |mut value: u64| {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        bytes.push(value.to_le_bytes()[0]);
        bytes
    };
    let padded = |mut bytes: Vec<u8>| {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let flags = [0, 1];
    let mut header = vec![2, 0, 0x21, 1, dictionary, 0, 0, 0];
    header.extend(crc(&header));
    let mut block = header;
    for (place, chunk) in content.chunks(1 << 16).enumerate() {
        block.push(if place == 0 { 1 } else { 2 });
        block.extend(u16::try_from(chunk.len() - 1).unwrap().to_be_bytes());
        block.extend(chunk);
    }
    block.push(0);
    let unpadded = block.len() as u64 + 4;
    let mut block = padded(block);
    block.extend(crc(content));
    let sizes = [number(unpadded), number(content.len() as u64)].concat();
    let mut index = padded([&[0, 1][..], &sizes].concat());
    index.extend(crc(&index));
    let backward = u32::try_from(index.len() / 4 - 1).unwrap().to_le_bytes();
    let footer = [&backward[..], &flags].concat();
    let parts: [&[u8]; 8] = [
        b"\xfd7zXZ\0",
        &flags,
        &crc(&flags),
        &block,
        &index,
        &crc(&footer),
        &footer,
        b"YZ",
    ];
    parts.concat()
}

fn read(bytes: &[u8]) -> Result<LayerFacts, String> {
    read_within(bytes, Limits::USUAL, bytes.len().max(1))
}

fn read_within(bytes: &[u8], limits: Limits, piece: usize) -> Result<LayerFacts, String> {
    let mut reading = LayerInspector::within(limits).start();
    for piece in bytes.chunks(piece) {
        reading.write(piece).map_err(|error| error.reason)?;
    }
    reading.finish().map_err(|error| error.reason)
}

fn refused(bytes: &[u8]) -> String {
    read(bytes).expect_err("it was accepted")
}

/// Every way to pack `archive` that is read.
fn packed(archive: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let (one, two) = archive.split_at(archive.len() / 3);
    let skipped = |number: u8| [&[number, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"any"].concat();
    let full = GzBuilder::new()
        .extra(vec![1; 300])
        .filename("a name")
        .comment("a comment")
        .mtime(7);
    vec![
        ("plain", archive.to_vec()),
        ("gzip", gzip(archive)),
        ("gzip, stored", {
            let mut gzip = GzBuilder::new().write(Vec::new(), Compression::none());
            gzip.write_all(archive).unwrap();
            gzip.finish().unwrap()
        }),
        ("gzip, every field", gzip_with(full, archive)),
        (
            "gzip, members",
            [gzip(one), gzip(b""), gzip(two), gzip(b"")].concat(),
        ),
        ("bzip2", bzip2(archive)),
        (
            "bzip2, streams",
            [bzip2(one), bzip2(b""), bzip2(two)].concat(),
        ),
        ("xz", xz(archive, 16)),
        (
            "xz, streams",
            [xz(one, 16), vec![0; 8], xz(two, 22)].concat(),
        ),
        ("zstd", zstd(archive)),
        ("zstd, level 19", ::zstd::encode_all(archive, 19).unwrap()),
        ("zstd, frames", [zstd(one), zstd(b""), zstd(two)].concat()),
        (
            "zstd, skipped",
            [
                skipped(0x50),
                zstd(one),
                skipped(0x5f),
                zstd(two),
                skipped(0x51),
            ]
            .concat(),
        ),
    ]
}

#[test]
fn reads_layers_however_they_are_packed() {
    let archive = archive();
    for (how, bytes) in packed(&archive) {
        for piece in [bytes.len(), OUTPUT, 1000, 1] {
            let found = read_within(&bytes, Limits::USUAL, piece);
            assert_eq!(found, Ok(facts(&archive)), "{how} in pieces of {piece}");
        }
    }
}

#[test]
fn begins_on_layers_only_and_whatever_their_type_says() {
    use wharf_core::media_type::{DOCKER_LAYER_GZIP, OCI_CONFIG, OCI_LAYER, OCI_LAYER_ZSTD};
    let archive = archive();
    for media_type in [OCI_LAYER, OCI_LAYER_ZSTD, DOCKER_LAYER_GZIP] {
        for (how, bytes) in packed(&archive) {
            let layer = Descriptor::of(media_type, &bytes);
            let mut reading = LayerInspector::new()
                .begin(&layer, None)
                .expect("it is a layer");
            reading.write(&bytes).unwrap();
            assert_eq!(
                reading.finish().unwrap(),
                facts(&archive),
                "{how} as {media_type}"
            );
        }
    }
    for media_type in [OCI_CONFIG, "application/vnd.in-toto+json", ""] {
        assert!(
            LayerInspector::new()
                .begin(&Descriptor::of(media_type, b""), None)
                .is_none()
        );
    }
}

#[test]
fn nothing_at_all_is_an_empty_layer() {
    for bytes in [
        vec![],
        gzip(b""),
        zstd(b""),
        bzip2(b""),
        xz(&[0; 1024], 0),
        vec![0; 1024],
        gzip(&[0; 1024]),
    ] {
        assert_eq!(read(&bytes).unwrap().size, 0);
    }
    assert_eq!(read(b"").unwrap().diff_id, Digest::of(b""));
    // What is behind the archive's end belongs to the diff ID all the same.
    let trailing = [vec![0; 1024], b"more".to_vec()].concat();
    assert_eq!(
        read(&gzip(&trailing)).unwrap().diff_id,
        Digest::of(&trailing)
    );
}

/// Security rule 3.
#[test]
fn refuses_what_follows_the_packed_data() {
    let archive = archive();
    for (how, bytes) in packed(&archive) {
        let Some(how) = how.split(',').next().filter(|how| *how != "plain") else {
            continue;
        };
        let reason = format!("something that is not {how} follows the {how} data");
        for junk in [
            &b"junkjunkjunk"[..],
            b"j",
            &[0, 0, 1],
            &[[0; 512].to_vec(), gzip(b"")].concat(),
            &[vec![0; 4 * OUTPUT], b"j".to_vec()].concat(),
        ] {
            let bytes = [&bytes[..], junk].concat();
            for piece in [bytes.len(), OUTPUT, 7] {
                let refusal = read_within(&bytes, Limits::USUAL, piece).unwrap_err();
                let library = how == "zstd" && refusal.contains("zstd data is damaged");
                let another = how == "xz" && junk.len() == 512;
                assert!(refusal == reason || library || another, "{how}: {refusal}");
            }
        }
    }
    // What begins like gzip and is not, and what is gzip and cut off.
    for junk in [&[0x1f, 0x8b, 0x07][..], &[0x1f, 0x00], &zstd(b"")] {
        let refusal = refused(&[gzip(&archive), junk.to_vec()].concat());
        assert_eq!(refusal, "something that is not gzip follows the gzip data");
    }
    for cut in [&[0x1f][..], &[0x1f, 0x8b, 0x08], &gzip(b"")[..9]] {
        let refusal = refused(&[gzip(&archive), cut.to_vec()].concat());
        assert_eq!(refusal, "it ends in the middle of its gzip data");
    }
    assert!(refused(&[zstd(&archive), vec![0x28]].concat()).contains("zstd data"));
}

#[test]
fn issue_12_zeros_behind_the_packed_data_are_padding() {
    let archive = archive();
    for (how, bytes) in packed(&archive) {
        for zeros in [1, 4, 9, 10, 512, 3 * OUTPUT] {
            let padded = [&bytes[..], &vec![0; zeros]].concat();
            for piece in [padded.len(), OUTPUT, 700] {
                let found = read_within(&padded, Limits::USUAL, piece);
                let expected = if how == "plain" {
                    facts(&padded)
                } else {
                    facts(&archive)
                };
                assert_eq!(
                    found,
                    Ok(expected),
                    "{how}, {zeros} zeros, pieces of {piece}"
                );
            }
        }
    }
    // In front of it they are something else.
    assert!(read(&[&[0; 512][..], &gzip(&archive)].concat()).is_err());
}

#[test]
fn refuses_packed_data_that_is_cut_off() {
    let archive = archive();
    for (how, bytes) in packed(&archive)
        .into_iter()
        .filter(|(how, _)| !how.contains(", "))
    {
        let last = if how == "plain" {
            archive.len() - 1024
        } else {
            bytes.len()
        };
        for len in [
            1,
            2,
            5,
            9,
            10,
            17,
            18,
            600,
            last / 2,
            last - 9,
            last - 8,
            last - 4,
            last - 1,
        ] {
            assert!(read(&bytes[..len]).is_err(), "{how} cut off at {len}");
        }
    }
    let two = [gzip(&archive), gzip(b"")].concat();
    assert!(refused(&two[..two.len() - 1]).contains("ends in the middle of its gzip data"));
}

#[test]
fn refuses_gzip_that_is_damaged() {
    let archive = archive();
    let right = gzip(&archive);
    let damaged = |at: usize| {
        let mut bytes = right.clone();
        bytes[at] ^= 0x80;
        refused(&bytes)
    };
    assert!(damaged(3).contains("unknown flags"));
    assert!(damaged(right.len() - 8).contains("the checksum of its content is wrong"));
    assert!(damaged(right.len() - 4).contains("the length of its content is wrong"));
    assert!(damaged(right.len() / 2).contains("gzip data is damaged"));
    // The header's own checksum, and that of the content after a member before it.
    let mut header = right[..10].to_vec();
    header[3] = 2;
    let crc = crc32fast::hash(&header).to_le_bytes();
    let checked = |crc: &[u8]| [&header[..], crc, &right[10..]].concat();
    assert_eq!(read(&checked(&crc[..2])), Ok(facts(&archive)));
    let twice = [gzip(b""), checked(&crc[..2])].concat();
    assert_eq!(read_within(&twice, Limits::USUAL, 1), Ok(facts(&archive)));
    let wrong = checked(&[crc[0] ^ 1, crc[1]]);
    assert!(refused(&wrong).contains("a header's checksum is wrong"));
}

#[test]
fn names_what_is_damaged() {
    assert!(refused(b"BZh91AY&SY\0\0\0\0").contains("bzip2"));
    assert!(refused(b"\xfd7zXZ\0\0\0\0\0\0").contains("xz"));
    let archive = archive();
    for (packed, name) in [(bzip2(&archive), "bzip2"), (xz(&archive, 16), "xz")] {
        for at in [packed.len() / 2, packed.len() - 5, 20] {
            let mut bytes = packed.clone();
            bytes[at] ^= 0x10;
            assert!(
                refused(&bytes).contains(name),
                "{name}, {at}: {}",
                refused(&bytes)
            );
        }
    }
    // A file may well have a name that begins like bzip2.
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    let mut archive = tar::Builder::new(Vec::new());
    archive
        .append_data(&mut header, "BZh9 the movie", &b""[..])
        .unwrap();
    assert!(read(&archive.into_inner().unwrap()).is_ok());
}

#[test]
fn refuses_xz_that_would_not_fit() {
    // Each step of the dictionary's size is half a power of two: 26 is 32 MiB, 28 is 64 MiB.
    let archive = archive();
    assert_eq!(read(&xz(&archive, 26)), Ok(facts(&archive)));
    for large in [28, 30, 40] {
        let refusal = refused(&xz(&archive, large));
        assert!(refusal.contains("more than 40 MiB of memory"), "{refusal}");
    }
}

/// Only the library's words tell that a window is too large: see that they still do.
#[test]
fn refuses_a_window_that_would_not_fit() {
    let window = |log: u32| {
        let mut encoder = ::zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(log).unwrap();
        encoder.write_all(&[0; 1024]).unwrap();
        encoder.finish().unwrap()
    };
    assert_eq!(read(&window(WINDOW_LOG_MAX)).unwrap().size, 0);
    let refusal = refused(&window(WINDOW_LOG_MAX + 1));
    assert!(
        refusal.contains("larger than 8 MiB") && refusal.contains("verify"),
        "{refusal}"
    );
}

#[test]
fn refuses_ten_gigabytes_of_zeros_in_ten_megabytes() {
    // A gzip file may have any number of members.
    let member = gzip(&vec![0; 64 << 20]);
    assert!(member.len() * 160 < 11_000_000);
    let mut reading = LayerInspector::new().start();
    let refusal = (0..160).find_map(|_| reading.write(&member).err());
    let refusal = refusal.expect("a bomb has gone through").to_string();
    assert!(refusal.contains("times its size"), "{refusal}");
}

#[test]
fn refuses_what_grows_without_end() {
    let zeros = vec![0; 8 << 20];
    let limits = Limits {
        free: 1 << 20,
        ratio: 1200,
        ..Limits::USUAL
    };
    // deflate cannot make more than 1032 of one.
    assert!(read_within(&gzip(&zeros), limits, 4096).is_ok());
    assert!(
        read_within(&zstd(&zeros), limits, 4096)
            .unwrap_err()
            .contains("times its size")
    );
    let limits = Limits {
        free: 8 << 20,
        ..limits
    };
    assert!(read_within(&zstd(&zeros), limits, 4096).is_ok());
    let limits = Limits {
        unpacked: (8 << 20) - 1,
        ..Limits::USUAL
    };
    for bytes in [zeros.clone(), gzip(&zeros), zstd(&zeros)] {
        let refusal = read_within(&bytes, limits, 4096).unwrap_err();
        assert!(refusal.contains("unpacks to more than"), "{refusal}");
    }
    let files = tar_of_empty_files(3);
    assert!(
        read_within(
            &files,
            Limits {
                entries: 3,
                ..Limits::USUAL
            },
            512
        )
        .is_ok()
    );
    let refusal = read_within(
        &files,
        Limits {
            entries: 2,
            ..Limits::USUAL
        },
        512,
    )
    .unwrap_err();
    assert!(refusal.contains("entries"), "{refusal}");
}

fn tar_of_empty_files(count: usize) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for n in 0..count {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        archive
            .append_data(&mut header, n.to_string(), &b""[..])
            .unwrap();
    }
    archive.into_inner().unwrap()
}

#[test]
fn what_failed_once_stays_failed() {
    let archive = archive();
    let mut reading = LayerInspector::new().start();
    let first = reading.write(&[b'x'; 600]).unwrap_err();
    let second = reading.write(&archive).unwrap_err();
    assert_eq!(first.to_string(), second.to_string());
    assert_eq!(reading.finish().unwrap_err().to_string(), first.to_string());
    assert!(
        first
            .to_string()
            .starts_with("the layer cannot be read: its archive is damaged")
    );
}

#[test]
fn errors_name_no_type() {
    let archive = archive();
    let refusals = [
        refused(&[&zstd(&archive)[..200], b"junk"].concat()),
        refused(b"hello"),
        refused(
            &[
                &::zstd::encode_all(&archive[..], 3).unwrap()[..],
                b"junkjunk",
            ]
            .concat(),
        ),
    ];
    for refusal in refusals {
        assert!(
            !refusal.contains("::") && !refusal.contains("Error"),
            "{refusal}"
        );
        assert!(refusal.starts_with("it"), "{refusal}");
    }
}

/// How the formats begin.
const MAGICS: &[&[u8]] = &[
    &[0x1f, 0x8b, 8],
    &[0x28, 0xb5, 0x2f, 0xfd],
    &[0x5a, 0x2a, 0x4d, 0x18],
    &[],
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn does_not_care_for_pieces(how in 0..9_usize, piece in 1..5000_usize) {
        let (name, bytes) = packed(&tar_of_empty_files(20)).swap_remove(how);
        let whole = read(&bytes);
        prop_assert!(whole.is_ok(), "{}: {:?}", name, whole);
        prop_assert_eq!(read_within(&bytes, Limits::USUAL, piece), whole);
    }

    /// How damage shows may depend on the pieces: an inflater or the walk behind it may be the first to meet it,
    /// and libzstd takes some damaged frames byte by byte that it refuses whole. What must never be is one blob
    /// that is two layers. (Whatever is read here counts only if the blob's digest and the diff ID are right.)
    #[test]
    fn never_panics_and_never_reads_damage_in_two_ways(
        how in 0..9_usize,
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), 1..=u8::MAX), 1..3),
        piece in 1..5000_usize,
    ) {
        let (name, mut bytes) = packed(&tar_of_empty_files(20)).swap_remove(how);
        for (at, flip) in flips {
            *at.get_mut(&mut bytes) ^= flip;
        }
        let (whole, pieces) = (read(&bytes), read_within(&bytes, Limits::USUAL, piece));
        if name == "plain" {
            prop_assert_eq!(&pieces, &whole);
        } else if !name.contains("zstd") {
            prop_assert_eq!(pieces.is_ok(), whole.is_ok(), "{}: {:?} {:?}", name, pieces, whole);
        }
        if let (Ok(pieces), Ok(whole)) = (pieces, whole) {
            prop_assert_eq!(pieces, whole);
        }
    }

    #[test]
    fn never_panics_on_junk(
        magic in proptest::sample::select(MAGICS),
        junk in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let bytes = [magic, &junk].concat();
        let whole = read(&bytes);
        prop_assert_eq!(read_within(&bytes, Limits::USUAL, 1).is_ok(), whole.is_ok());
    }
}
