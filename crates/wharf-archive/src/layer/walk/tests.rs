use proptest::prelude::*;

use super::*;

/// A header's block with a right checksum.
fn header(kind: u8, name: &str, size: u64) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..108].copy_from_slice(b"0000644\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    seal(block)
}

/// Sets a block's checksum.
fn seal(mut block: Vec<u8>) -> Vec<u8> {
    block[148..156].fill(b' ');
    let sum: u32 = block[..BLOCK].iter().map(|&b| u32::from(b)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

/// A header with a field changed.
fn with(mut block: Vec<u8>, at: usize, field: &[u8]) -> Vec<u8> {
    block[at..at + field.len()].copy_from_slice(field);
    seal(block)
}

fn padded(content: &[u8]) -> Vec<u8> {
    let mut content = content.to_vec();
    content.resize(content.len().next_multiple_of(BLOCK), 0);
    content
}

fn entry(kind: u8, name: &str, content: &[u8]) -> Vec<u8> {
    [header(kind, name, content.len() as u64), padded(content)].concat()
}

fn symlink(name: &str, target: &str) -> Vec<u8> {
    with(header(b'2', name, 0), 157, target.as_bytes())
}

/// A PAX header of these records.
fn pax(kind: u8, records: &[(&str, &str)]) -> Vec<u8> {
    let record = |(key, value): &(&str, &str)| {
        let rest = key.len() + value.len() + 3;
        let len = (1..)
            .find(|digits| (rest + digits).to_string().len() == *digits)
            .unwrap()
            + rest;
        format!("{len} {key}={value}\n")
    };
    entry(
        kind,
        "pax",
        records.iter().map(record).collect::<String>().as_bytes(),
    )
}

fn end() -> Vec<u8> {
    vec![0; 2 * BLOCK]
}

fn walk(archive: &[u8]) -> Result<u64, Fault> {
    let mut walk = Walk::new(&Limits::USUAL);
    walk.write(archive)?;
    walk.finish()
}

/// The size of an archive of these parts, whatever pieces it comes in.
fn size(parts: &[Vec<u8>]) -> u64 {
    let archive = parts.concat();
    let size = walk(&archive).unwrap();
    for piece in [1, 511, 513] {
        let mut walk = Walk::new(&Limits::USUAL);
        archive
            .chunks(piece)
            .for_each(|piece| walk.write(piece).unwrap());
        assert_eq!(walk.finish().unwrap(), size, "in pieces of {piece}");
    }
    size
}

fn problem(parts: &[Vec<u8>]) -> TarProblem {
    match walk(&parts.concat()) {
        Err(Fault::Tar { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn counts_what_docker_counts() {
    // The layers of parity scenario 25, team/files:1, of which Docker 28.5 says 1029.
    let folder = |name| header(b'5', name, 0);
    let everything = [
        folder("d/"),
        entry(b'0', "d/file", &[b'x'; 1000]),
        with(header(b'1', "d/hard", 0), 157, b"d/file"),
        symlink("d/sym", "../d/file"),
        symlink("d/dangling", "/nowhere"),
        entry(b'0', "d/suid", b"s"),
        header(b'6', "d/fifo", 0),
        header(b'3', "d/null", 0),
        pax(b'x', &[("path", &"n".repeat(180))]),
        folder("n"),
        pax(b'x', &[("path", &"m".repeat(300))]),
        entry(b'0', "m", b"long"),
        entry(b'0', "d/unicod\u{e9}-\u{65e5}\u{672c}", "\u{fc}".as_bytes()),
        pax(b'x', &[("SCHILY.xattr.user.colour", "blue")]),
        entry(b'0', "d/xattr", b"x"),
        entry(b'0', "d/sub/a", b"a"),
        entry(b'0', "d/sub/b", b"b"),
        pax(b'x', &[("mtime", "1700000000.123456789")]),
        entry(b'0', "d/frac", b"f"),
        end(),
    ];
    let whiteouts = [
        folder("d/sub/"),
        entry(b'0', "d/sub/.wh..wh..opq", b""),
        entry(b'0', "d/sub/c", b"c"),
        entry(b'0', "d/.wh.file", b"whatever is in it"),
        end(),
    ];
    assert_eq!(size(&everything) + size(&whiteouts), 1029);
}

#[test]
fn the_pax_size_wins() {
    // What the header's size says would make the second entry a part of the first one's content, or
    // the first one's content an entry (CVE-2025-62518).
    let hidden = entry(b'0', "hidden", b"");
    let first = |says: u64, content: &[u8]| {
        let len = content.len().to_string();
        [
            pax(b'x', &[("size", &len)]),
            header(b'0', "first", says),
            padded(content),
        ]
        .concat()
    };
    for says in [0, 7, 512, 5000] {
        assert_eq!(
            size(&[first(says, &hidden), entry(b'0', "second", b"22"), end()]),
            512 + 2
        );
    }
    // An empty value takes it back; the last one wins.
    let none = pax(b'x', &[("size", "9"), ("size", "")]);
    assert_eq!(size(&[none, entry(b'0', "first", b"1"), end()]), 1);
    let last = pax(b'x', &[("size", "9"), ("size", "1")]);
    assert_eq!(
        size(&[last, header(b'0', "first", 9), padded(b"1"), end()]),
        1
    );
    // The second header replaces the first one whole, as with Go.
    let two = [pax(b'x', &[("size", "512")]), pax(b'x', &[("mtime", "1")])].concat();
    assert_eq!(size(&[two, entry(b'0', "first", b"1"), end()]), 1);
}

#[test]
fn pax_headers_belong_to_the_file_and_not_to_what_is_between() {
    for (kind, between) in [(b'L', "a long name"), (b'K', "a long target")] {
        let ahead = [
            pax(b'x', &[("size", "3")]),
            entry(kind, "././@LongLink", between.as_bytes()),
        ];
        let archive = [
            ahead.concat(),
            header(b'0', "f", 512),
            padded(b"abc"),
            end(),
        ];
        assert_eq!(size(&archive), 3, "{between}");
    }
    // And only to the next one.
    let one = [
        pax(b'x', &[("size", "3")]),
        header(b'0', "f", 0),
        padded(b"abc"),
    ]
    .concat();
    assert_eq!(size(&[one, entry(b'0', "g", b"1"), end()]), 4);
}

#[test]
fn refuses_malformed_pax_headers() {
    for text in [
        "x",
        "9",
        "1 ",
        "0 a=b\n",
        "6 a=b\n7",
        "5 a=b\n",
        "7 a=b\n",
        "99 a=b\n",
        " 6 a=b\n",
        "+6 a=b\n",
        "-6 a=b\n",
        "6\ta=b\n",
        "6 a=bX",
        "6 abc\n",
        "5 =b\n",
        "06 a=b\n\0",
        "99999999999999999999 a=b\n",
        "9 size=-1\n",
        "9 size=x\n",
        "11 size=1.5\n",
        "10 size= 1\n",
        "28 size=9223372036854775808\n",
        "10 path=\0\n",
        "14 linkpath=\0\n",
        "25 GNU.sparse.realsize=x\n",
    ] {
        for kind in *b"xg" {
            let archive = [entry(kind, "pax", text.as_bytes()), entry(b'0', "f", b"")];
            assert_eq!(problem(&archive), TarProblem::Pax, "{text:?}");
        }
    }
    for text in [
        "6 a=b\n",
        "008 a=b\n",
        "5 a=\n",
        "8 a=b=c\n",
        "7 a=\n\0\n",
        "6 a=b\n6 a=c\n",
    ] {
        assert_eq!(
            size(&[
                entry(b'x', "pax", text.as_bytes()),
                entry(b'0', "f", b""),
                end()
            ]),
            0
        );
    }
}

#[test]
fn a_size_for_all_files_is_refused() {
    for key in ["size", "GNU.sparse.size", "GNU.sparse.realsize"] {
        let archive = [pax(b'g', &[(key, "1")]), entry(b'0', "f", b"1")];
        assert_eq!(problem(&archive), TarProblem::GlobalSize);
    }
    // What `git archive` writes.
    let comment = pax(b'g', &[("comment", "0123456789abcdef")]);
    assert_eq!(size(&[comment, entry(b'0', "f", b"1"), end()]), 1);
}

#[test]
fn counts_files_with_holes_with_their_holes() {
    // GNU tar's old format: 21 more blocks of the map, here one and two.
    let sparse = |real: u64, content: &[u8], map: &[u8]| {
        let block = header(b'S', "sparse", content.len() as u64);
        let block = with(block, 483, format!("{real:011o}\0").as_bytes());
        let mut parts = vec![with(block, 482, &[u8::from(!map.is_empty())])];
        for more in map {
            let mut block = vec![0xaa; BLOCK];
            block[504] = *more;
            parts.push(block);
        }
        [parts.concat(), padded(content)].concat()
    };
    for map in [&[][..], &[0], &[1, 0]] {
        let archive = [
            sparse(1 << 30, b"content", map),
            entry(b'0', "f", b"1"),
            end(),
        ];
        assert_eq!(size(&archive), (1 << 30) + 1, "{map:?}");
    }
    for key in ["GNU.sparse.size", "GNU.sparse.realsize"] {
        let ahead = pax(
            b'x',
            &[
                ("GNU.sparse.name", "sparse"),
                (key, "1000000"),
                ("size", "3"),
            ],
        );
        assert_eq!(
            size(&[ahead, header(b'0', "f", 3), padded(b"abc"), end()]),
            1_000_000,
            "{key}"
        );
    }
}

#[test]
fn reads_numbers_in_all_their_forms() {
    for (field, expected) in [
        (&b"00000000003\0"[..], Some(3)),
        (b"          3 ", Some(3)),
        (b"3\0\0\0\0\0\0\0\0\0\0\0", Some(3)),
        (b"000000000003", Some(3)),
        (b"\0\0\0\0\0\0\0\0\0\0\0\0", Some(0)),
        (b"            ", Some(0)),
        (b"\x80\0\0\0\0\0\0\0\0\0\0\x03", Some(3)),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfd", None),
        (b"\xc0\0\0\0\0\0\0\0\0\0\0\x03", None),
        (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
        (b"\xbf\0\0\0\0\0\0\0\0\0\0\x03", None),
        (b"00000000008\0", None),
        (b"0000000000-3", None),
        (b"0x000000003\0", None),
        (b"1 2        \0", None),
    ] {
        let archive = [
            with(header(b'0', "f", 0), 124, field),
            padded(b"abc"),
            end(),
        ];
        match expected {
            Some(3) => assert_eq!(size(&archive), 3, "{field:?}"),
            Some(_) => assert_eq!(size(&[archive[0].clone(), end()]), 0, "{field:?}"),
            None => assert_eq!(problem(&archive), TarProblem::Number, "{field:?}"),
        }
    }
}

#[test]
fn only_files_have_content() {
    for kind in *b"123456" {
        let archive = [header(kind, "f", 512), entry(b'0', "g", b"1"), end()];
        assert_eq!(size(&archive), 1, "{}", char::from(kind));
    }
    for kind in *b"0\x007ZA" {
        assert_eq!(
            size(&[entry(kind, "f", b"abc"), end()]),
            3,
            "{}",
            char::from(kind)
        );
    }
    for kind in *b"VDMN" {
        assert_eq!(
            size(&[entry(kind, "f", b"abc"), end()]),
            0,
            "{}",
            char::from(kind)
        );
    }
    // The old format's folders.
    assert_eq!(size(&[header(0, "f/", 512), entry(0, "f", b"1"), end()]), 1);
    let long = entry(b'L', "././@LongLink", b"f/\0");
    assert_eq!(
        size(&[long, header(0, "f", 512), entry(0, "f", b"1"), end()]),
        1
    );
}

#[test]
fn long_names_count_where_they_matter() {
    let target = "t".repeat(300);
    let long = entry(b'K', "././@LongLink", format!("{target}\0").as_bytes());
    assert_eq!(size(&[long, symlink("s", &target[..100]), end()]), 300);
    let long = pax(b'x', &[("linkpath", &target)]);
    assert_eq!(size(&[long, symlink("s", ""), end()]), 300);
    assert_eq!(size(&[symlink("s", &target[..100]), end()]), 100);
    let whiteout = format!("{}/.wh.x", "d".repeat(200));
    let long = entry(b'L', "././@LongLink", format!("{whiteout}\0").as_bytes());
    assert_eq!(size(&[long, entry(b'0', "d", b"abc"), end()]), 0);
    let long = pax(b'x', &[("path", &whiteout)]);
    assert_eq!(size(&[long, entry(b'0', "d", b"abc"), end()]), 0);
    assert_eq!(
        size(&[
            entry(b'0', ".wh", b"abc"),
            entry(b'0', "a.wh.b", b"abc"),
            end()
        ]),
        6
    );
}

#[test]
fn an_archive_may_end_in_many_ways() {
    let file = entry(b'0', "f", b"abc");
    for ending in [
        vec![],
        vec![0; BLOCK],
        end(),
        vec![0; 20 * BLOCK],
        vec![0; 2 * BLOCK + 1],
    ] {
        assert_eq!(size(&[file.clone(), ending]), 3);
    }
    assert_eq!(
        size(&[file.clone(), end(), b"whatever comes now".to_vec()]),
        3
    );
    assert_eq!(size(&[file.clone(), end(), file.clone()]), 3);
    assert_eq!(size(&[]), 0);
    // The last padding may be missing.
    assert_eq!(size(&[header(b'0', "f", 3), b"abc".to_vec()]), 3);
    assert_eq!(problem(&[vec![0; BLOCK], file]), TarProblem::LoneZeroBlock);
}

#[test]
fn refuses_an_archive_that_is_cut_off() {
    let archive = [
        pax(b'x', &[("mtime", "1")]),
        entry(b'0', "f", &[1; 700]),
        with(header(b'S', "s", 0), 482, &[1]),
        vec![0; BLOCK],
    ];
    let archive = archive.concat();
    let ends = [0, 512, 1024, 1024 + 512 + 700, 2560, 3072, 3584];
    for len in 0..archive.len() {
        let at_an_end = ends.contains(&len)
            // Within padding.
            || (1024 + 512 + 700..2560).contains(&len)
            || (512 + 11..1024).contains(&len);
        let at_an_end = at_an_end && len != 512 && len != 3072;
        assert_eq!(walk(&archive[..len]).is_ok(), at_an_end, "{len}");
    }
    assert!(walk(&archive).is_ok());
}

#[test]
fn refuses_what_is_not_an_archive() {
    assert_eq!(problem(&[vec![b'x'; BLOCK]]), TarProblem::Checksum);
    let mut block = header(b'0', "f", 0);
    block[0] ^= 1;
    assert_eq!(problem(&[block]), TarProblem::Checksum);
    assert!(matches!(walk(b"hello"), Err(Fault::Truncated(_))));
    let error = walk(&[entry(b'0', "f", b"abc"), vec![b'x'; BLOCK]].concat()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "its archive is damaged: a header's checksum is wrong, at byte 1536"
    );
    // Old tars took bytes for signed ones.
    let mut block = header(b'0', "f\u{e9}", 0);
    let signed: i64 = block
        .iter()
        .enumerate()
        .map(|(at, &b)| match at {
            148..156 => i64::from(b' '),
            _ => i64::from(b.cast_signed()),
        })
        .sum();
    block[148..155].copy_from_slice(format!("{signed:06o}\0").as_bytes());
    assert_eq!(size(&[block, end()]), 0);
}

#[test]
fn refuses_what_is_too_much() {
    let limits = Limits {
        entries: 2,
        ..Limits::USUAL
    };
    let file = entry(b'0', "f", b"");
    for (count, ok) in [(2, true), (3, false)] {
        assert_eq!(Walk::new(&limits).write(&file.repeat(count)).is_ok(), ok);
    }
    for (kind, max, expected) in [
        (b'x', PAX_MAX, TarProblem::PaxTooLong),
        (b'g', PAX_MAX, TarProblem::PaxTooLong),
        (b'L', NAME_MAX, TarProblem::NameTooLong),
        (b'K', NAME_MAX, TarProblem::NameTooLong),
    ] {
        // Refused by its header: nothing of it is waited for.
        assert_eq!(problem(&[header(kind, "x", max + 1)]), expected);
        assert!(Walk::new(&limits).write(&header(kind, "x", max)).is_ok());
    }
    let name = "n".repeat(usize::try_from(NAME_MAX).unwrap() + 1);
    let archive = [pax(b'x', &[("path", &name)]), entry(b'0', "f", b"")];
    assert_eq!(problem(&archive), TarProblem::NameTooLong);
    let huge = i64::MAX.to_string();
    let huge = [
        pax(b'x', &[("GNU.sparse.realsize", &huge)]),
        entry(b'0', "f", b""),
    ]
    .concat();
    assert_eq!(
        problem(&[huge.clone(), huge.clone(), huge]),
        TarProblem::Sum
    );
}

/// Archives of right and wrong parts.
fn archives() -> impl Strategy<Value = Vec<u8>> {
    let size = prop_oneof![0..2000_u64, any::<u64>()];
    let part = prop_oneof![
        4 => ("[a-z/.]{0,20}", proptest::collection::vec(any::<u8>(), 0..1500))
            .prop_map(|(name, content)| entry(b'0', &name, &content)),
        2 => (any::<u8>(), "[a-z/]{0,9}", size).prop_map(|(kind, name, size)| {
            header(kind, &name, size % (1 << 33))
        }),
        2 => proptest::collection::vec(("(size|path|GNU.sparse.size|x)", "[0-9a-z]{0,5}"), 0..4)
            .prop_map(|records| {
                let records: Vec<_> = records.iter().map(|(k, v)| (&**k, &**v)).collect();
                pax(b'x', &records)
            }),
        1 => Just(vec![0; BLOCK]),
        1 => proptest::collection::vec(any::<u8>(), 0..600),
    ];
    proptest::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn never_panics_and_does_not_care_for_pieces(
        archive in archives(),
        flip in proptest::option::of((any::<proptest::sample::Index>(), any::<u8>())),
        cuts in proptest::collection::vec(1..900_usize, 1..20),
    ) {
        let mut archive = archive;
        if let Some((at, with)) = flip.filter(|_| !archive.is_empty()) {
            *at.get_mut(&mut archive) ^= with;
        }
        let whole = walk(&archive);
        let mut walk = Walk::new(&Limits::USUAL);
        let mut rest = &archive[..];
        let mut result = Ok(());
        for cut in cuts.iter().cycle() {
            let (piece, behind) = rest.split_at(rest.len().min(*cut));
            result = result.and_then(|()| walk.write(piece));
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(result.and_then(|()| walk.finish()), whole);
    }

    /// A second reader agrees: the tar crate.
    #[test]
    fn agrees_with_another_reader(
        files in proptest::collection::vec(("[a-z]{1,150}", 0..2000_usize), 0..12),
    ) {
        let mut archive = tar::Builder::new(Vec::new());
        let mut expected = 0;
        for (name, len) in &files {
            let mut header = tar::Header::new_gnu();
            header.set_size(*len as u64);
            archive.append_data(&mut header, name, &vec![7; *len][..]).unwrap();
            header.set_entry_type(tar::EntryType::Link);
            header.set_size(0);
            archive.append_link(&mut header, format!("l{name}"), name).unwrap();
            expected += *len as u64;
        }
        let archive = archive.into_inner().unwrap();
        let found: u64 = tar::Archive::new(&archive[..])
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().size())
            .sum();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(walk(&archive).unwrap(), expected);
    }
}

#[test]
fn names_that_lead_outside_are_known() {
    for inside in ["", "a", "a/../b", "./a", "a/..", "..a/b", "a//../b", "/a"] {
        assert!(!leads_outside(inside.as_bytes()), "{inside}");
    }
    for outside in ["..", "../a", "a/../..", "./../a", "a/../../a/b", "/../a"] {
        assert!(leads_outside(outside.as_bytes()), "{outside}");
    }
}
