//! Archives that nobody should trust.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::File;
use std::io::{Read, Write as _};

use tar::EntryType;

use super::{ArchiveError, is_packed, open_archive, spool};

/// A tar of entries: name, type, link target, content. Names are written as they are.
fn archive(entries: &[(&str, EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, kind, link, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn error(bytes: &[u8]) -> ArchiveError {
    open_archive(file(bytes)).err().unwrap()
}

fn with_manifest(json: &str) -> Vec<u8> {
    let config =
        br#"{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}"#;
    archive(&[
        ("c.json", EntryType::Regular, "", config),
        ("manifest.json", EntryType::Regular, "", json.as_bytes()),
    ])
}

#[test]
fn refuses_entries_that_no_archive_needs() {
    for (name, kind, link) in [
        ("../x", EntryType::Regular, ""),
        ("a/../../x", EntryType::Regular, ""),
        ("/etc/passwd", EntryType::Regular, ""),
        ("a/layer.tar", EntryType::Symlink, "../../x"),
        ("a/layer.tar", EntryType::Symlink, "/etc/passwd"),
        ("a/layer.tar", EntryType::Link, "../x"),
        ("dev", EntryType::Block, ""),
        ("dev", EntryType::Char, ""),
        ("pipe", EntryType::Fifo, ""),
        ("holes", EntryType::GNUSparse, ""),
    ] {
        let error = error(&archive(&[(name, kind, link, b"")]));
        assert!(
            matches!(error, ArchiveError::Entry { .. }),
            "{name}: {error}"
        );
    }
}

#[test]
fn links_in_a_circle_lead_nowhere() {
    let circle = archive(&[
        ("manifest.json", EntryType::Symlink, "b", b""),
        ("b", EntryType::Symlink, "manifest.json", b""),
    ]);
    assert!(matches!(error(&circle), ArchiveError::Missing(_)));
}

#[test]
fn of_duplicates_the_last_one_wins() {
    let bytes = archive(&[
        ("manifest.json", EntryType::Regular, "", b"not JSON"),
        ("manifest.json", EntryType::Regular, "", b"[]"),
    ]);
    assert!(open_archive(file(&bytes)).unwrap().images().is_empty());
}

#[test]
fn refuses_a_manifest_that_names_what_is_not_there() {
    let missing = r#"[{"Config":"nosuch.json","RepoTags":null,"Layers":[]}]"#;
    assert_eq!(
        error(&with_manifest(missing)).to_string(),
        "open nosuch.json: no such file or directory"
    );
    let layers = r#"[{"Config":"c.json","RepoTags":null,"Layers":["x/layer.tar"]}]"#;
    assert_eq!(
        error(&with_manifest(layers)).to_string(),
        "invalid manifest, layers length mismatch: expected 1, got 0"
    );
    let tag = r#"[{"Config":"c.json","RepoTags":["NOT A NAME"],"Layers":[]}]"#;
    assert!(matches!(error(&with_manifest(tag)), ArchiveError::Tag(_)));
    let config = r#"[{"Config":"manifest.json","RepoTags":null,"Layers":[]}]"#;
    assert!(matches!(
        error(&with_manifest(config)),
        ArchiveError::Document { .. }
    ));
}

#[test]
fn refuses_a_manifest_of_more_than_4_mib() {
    let long = vec![b' '; 4 * 1024 * 1024 + 1];
    let bytes = archive(&[("manifest.json", EntryType::Regular, "", &long)]);
    assert!(matches!(error(&bytes), ArchiveError::TooLarge { .. }));
}

#[test]
fn refuses_a_size_beyond_the_end() {
    let mut bytes = archive(&[("manifest.json", EntryType::Regular, "", &[b' '; 2048])]);
    bytes.truncate(1024);
    assert!(matches!(error(&bytes), ArchiveError::Truncated));
    assert!(matches!(error(b"hello\n"), ArchiveError::Truncated));
    assert!(matches!(error(&[b'x'; 512]), ArchiveError::Header(_)));
}

#[test]
fn refuses_a_million_tiny_entries() {
    let one = archive(&[("x", EntryType::Regular, "", b"")]);
    let many = one[..512].repeat(70_000);
    assert!(matches!(
        error(&many),
        ArchiveError::TooMany {
            what: "entries",
            ..
        }
    ));
}

/// An archive of Docker before 1.10: its folders, each with a parent, and its `repositories`.
fn ancient(folders: &[(&str, &str)], repositories: &str) -> Vec<u8> {
    let layer = vec![0; 1024];
    let packed = zstd::encode_all(&layer[..], 1).unwrap();
    let mut files = Vec::new();
    for (number, (id, parent)) in folders.iter().enumerate() {
        let json =
            format!(r#"{{"id":"{id}","parent":"{parent}","os":"linux","architecture":"amd64"}}"#);
        files.push((format!("{id}/json"), json.into_bytes()));
        files.push((format!("{id}/VERSION"), b"1.0".to_vec()));
        let layer = if number == 0 { &packed } else { &layer };
        files.push((format!("{id}/layer.tar"), layer.clone()));
    }
    files.push(("repositories".to_owned(), repositories.as_bytes().to_vec()));
    let entries = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), EntryType::Regular, "", &bytes[..]));
    let entries: Vec<_> = entries.collect();
    archive(&entries)
}

#[test]
fn issue_12_images_of_before_docker_1_10_are_found() {
    let folders = [("c", "b"), ("a", ""), ("b", "a"), ("d", "a")];
    let bytes = ancient(
        &folders,
        r#"{"x/y":{"1":"c","base":"a"},"z":{"latest":"c"}}"#,
    );
    let found = open_archive(file(&bytes)).unwrap();
    let images: Vec<(Vec<String>, usize)> = found
        .images()
        .iter()
        .map(|image| {
            let names = image.names.iter().map(|name| name.reference.familiar());
            let config = found.inner_made(&image.image);
            let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
            (
                names.collect(),
                config["rootfs"]["diff_ids"].as_array().unwrap().len(),
            )
        })
        .collect();
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|&name| name.to_owned())
            .collect::<Vec<_>>()
    };
    // The parent `b` has no name, and is left out.
    let expected = [
        (names(&["x/y:base"]), 1),
        (names(&["x/y:1", "z:latest"]), 3),
        (names(&[]), 2),
    ];
    assert_eq!(images, expected);
    assert!(
        open_archive(file(&ancient(&[], "{}")))
            .unwrap()
            .images()
            .is_empty()
    );
}

#[test]
fn refuses_archives_of_before_docker_1_10_that_are_not_whole() {
    let bytes = archive(&[
        ("abc/", EntryType::Directory, "", b""),
        ("abc/json", EntryType::Regular, "", b"{}"),
        ("repositories", EntryType::Regular, "", b"{}"),
    ]);
    let said = |bytes: &[u8]| error(bytes).to_string();
    assert_eq!(
        said(&bytes),
        "open abc/layer.tar: no such file or directory"
    );
    assert_eq!(said(&bytes[..1024]), "unexpected EOF");
    let no_names = archive(&[("abc/json", EntryType::Regular, "", b"{}")]);
    assert_eq!(
        said(&no_names),
        "open repositories: no such file or directory"
    );
    let none = archive(&[("abc/other", EntryType::Regular, "", b"{}")]);
    assert_eq!(said(&none), "open abc/json: no such file or directory");
    for (folders, repositories, words) in [
        (
            &[("a", "b")][..],
            "{}",
            "open b/json: no such file or directory",
        ),
        (&[("a", "b"), ("b", "a")], r#"{"x":{"1":"a"}}"#, "never end"),
        (&[("a", "a")], r#"{"x":{"1":"a"}}"#, "never end"),
        (&[("a", "")], r#"{"x":{"1":"b"}}"#, "invalid target ID: b"),
        (&[("a", "")], r#"{"X":{"1":"a"}}"#, "invalid tag"),
        (
            &[("a", "")],
            r#"{"x":{"1":7}}"#,
            "repositories in the archive is malformed",
        ),
        (
            &[("a", "")],
            "[",
            "repositories in the archive is malformed",
        ),
    ] {
        let refused = said(&ancient(folders, repositories));
        assert!(refused.contains(words), "{words}: {refused}");
    }
}

#[test]
fn unpacks_what_is_packed_as_a_whole() {
    let plain = with_manifest("[]");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&plain).unwrap();
    let zstd = zstd::stream::encode_all(&plain[..], 1).unwrap();
    let (gzip, bzip2) = (gzip.finish().unwrap(), bzip2.finish().unwrap());
    for packed in [&gzip, &bzip2, &zstd] {
        assert!(is_packed(&file(packed)).unwrap());
        let mut out = tempfile::tempfile().unwrap();
        spool(&packed[..], &mut out).unwrap();
        assert_eq!(out.metadata().unwrap().len(), plain.len() as u64);
        assert!(open_archive(out).is_ok());
        let mut out = tempfile::tempfile().unwrap();
        assert!(spool(&packed[..packed.len() / 2], &mut out).is_err());
    }
    assert!(!is_packed(&file(&plain)).unwrap());
}

#[test]
fn refuses_a_bomb_of_zeros() {
    let zeros = std::io::repeat(0).take(2 << 30);
    let bomb = zstd::stream::encode_all(zeros, 1).unwrap();
    let mut out = tempfile::tempfile().unwrap();
    let error = spool(&bomb[..], &mut out).err().unwrap();
    assert!(matches!(error, ArchiveError::Ratio(_)), "{error}");
}

proptest::proptest! {
    /// Whatever is changed in an archive, it is read or refused, and what is read is within it.
    #[test]
    fn no_change_to_an_archive_makes_the_reader_panic(
        changes in proptest::collection::vec((0_usize..8192, 0_u8..=255), 0..12),
        cut in 0_usize..8192,
    ) {
        let manifest = r#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":[]}]"#;
        let mut bytes = with_manifest(manifest);
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len().saturating_sub(cut / 4));
        if let Ok(archive) = open_archive(file(&bytes)) {
            for image in archive.images() {
                proptest::prop_assert!(archive.has(&image.root));
            }
        }
    }
}
