//! Rows as parity/03, 09, 10 and 14 show them.

use wharf_core::Digest;

use super::*;

fn image(tags: &[&str], digests: &[&str]) -> ImageSummary {
    ImageSummary {
        id: Digest::of(b"config"),
        created: Some("2024-09-26T21:31:42Z".parse().unwrap()),
        size: 1_982_425,
        repo_tags: tags.iter().map(ToString::to_string).collect(),
        repo_digests: digests.iter().map(ToString::to_string).collect(),
        labels: BTreeMap::new(),
    }
}

fn rows(image: &ImageSummary, digest_rows: bool, digests: bool) -> Vec<[String; 3]> {
    let rows = Rows {
        full_ids: false,
        digest_rows,
        digests,
        now: "2026-09-27T00:00:00Z".parse().unwrap(),
        zone: TimeZone::UTC,
    };
    let rows = rows.of(std::slice::from_ref(image));
    if !digests {
        assert_eq!(rows.len(), count(image));
    }
    rows.into_iter()
        .map(|row| [row.repository, row.tag, row.digest])
        .collect()
}

#[test]
fn each_tag_has_a_row() {
    let image = image(&["a:1", "b:2", "b:3"], &["b@sha256:x"]);
    let expected = [
        ["a", "1", "<none>"],
        ["b", "2", "<none>"],
        ["b", "3", "<none>"],
    ];
    assert_eq!(rows(&image, false, false), expected);
}

#[test]
fn with_digests_each_tag_stands_once_per_digest() {
    let image = image(&["a:1", "b:2"], &["b@sha256:x", "b@sha256:y", "c@sha256:z"]);
    let expected = [
        ["a", "1", "<none>"],
        ["b", "2", "sha256:x"],
        ["b", "2", "sha256:y"],
        ["c", "<none>", "sha256:z"],
    ];
    assert_eq!(rows(&image, true, true), expected);
}

#[test]
fn a_repository_without_a_tag_has_a_row() {
    let image = image(&[], &["b@sha256:x", "b@sha256:y"]);
    assert_eq!(rows(&image, false, false), [["b", "<none>", ""]]);
}

#[test]
fn an_image_without_a_name_has_a_row() {
    assert_eq!(
        rows(&image(&[], &[]), true, true),
        [["<none>", "<none>", "<none>"]]
    );
}

#[test]
fn ports_and_addresses_are_part_of_the_repository() {
    let image = image(&["127.0.0.1:5000/x:1", "[::1]:80/x:1"], &[]);
    let expected = [
        ["127.0.0.1:5000/x", "1", "<none>"],
        ["[::1]:80/x", "1", "<none>"],
    ];
    assert_eq!(rows(&image, false, false), expected);
}

#[test]
fn prints_docker_s_table_and_json() {
    let rows = Rows {
        full_ids: false,
        digest_rows: false,
        digests: false,
        now: "2026-09-27T00:00:00Z".parse().unwrap(),
        zone: TimeZone::UTC,
    };
    let rows = rows.of(&[image(&["busybox:musl"], &[])]);
    assert_eq!(
        table(&rows, false),
        "REPOSITORY   TAG       IMAGE ID       CREATED       SIZE\n\
         busybox      musl      b79606fb3afe   2 years ago   1.98MB\n"
    );
    assert_eq!(
        rows[0].json(),
        r#"{"Containers":"0","CreatedAt":"2024-09-26 21:31:42 +0000 UTC","CreatedSince":"2 years ago","Digest":"\u003cnone\u003e","ID":"b79606fb3afe","Repository":"busybox","SharedSize":"N/A","Size":"1.98MB","Tag":"musl","UniqueSize":"N/A","VirtualSize":"1.982MB"}"#
    );
}
