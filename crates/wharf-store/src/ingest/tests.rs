//! What is used of a download whose process has ended, and what a power loss takes of it.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use wharf_core::Digest;

use super::Ingest;
use super::partial::{Claim, PIECE, Partial};
use super::restore::Trust;
use crate::tests::noise;
use crate::tests::power::Disk;

/// What is written at once, in bytes.
const BATCH: u64 = 100_000;

/// A blob that is being fetched into a folder of its own.
struct Download {
    folder: tempfile::TempDir,
    ingest: Ingest,
    bytes: Bytes,
    digest: Digest,
}

impl Download {
    fn of(len: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ingest = Ingest::new(&folder.path().join("store"));
        std::fs::create_dir_all(&ingest.folder).unwrap();
        let bytes = noise(41, len);
        let digest = Digest::of(&bytes);
        Self {
            folder,
            ingest,
            bytes,
            digest,
        }
    }

    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn open(&self, trust: Trust) -> Partial {
        self.open_in(&self.ingest, trust)
    }

    fn open_in(&self, ingest: &Ingest, trust: Trust) -> Partial {
        let lock = Arc::new(ingest.try_lock(&self.digest).unwrap().unwrap());
        Partial::open(ingest, lock, &self.digest, self.size(), trust).unwrap()
    }

    /// Fetches so many batches of one claim.
    fn fetch(&self, partial: &Partial, claim: Claim, batches: u64) {
        for batch in 0..batches {
            let start = claim.next + batch * BATCH;
            let end = (start + BATCH).min(claim.end);
            let range = usize::try_from(start).unwrap()..usize::try_from(end).unwrap();
            partial.write(start, &[self.bytes.slice(range)]).unwrap();
        }
    }

    fn file(&self, kind: &str) -> std::fs::File {
        let path = self.ingest.path(&self.digest, kind);
        std::fs::File::options()
            .read(true)
            .write(true)
            .open(path)
            .unwrap()
    }

    /// What is missing, in order.
    fn missing(partial: &Partial) -> Vec<(u64, u64)> {
        let claims = std::iter::from_fn(|| partial.claim(|_| true));
        claims.map(|claim| (claim.next, claim.end)).collect()
    }

    /// The folder that a power loss leaves.
    fn after(&self, disk: &Disk) -> Ingest {
        let after = self.folder.path().join("after");
        disk.lose_power(&after);
        Ingest::new(&after)
    }

    fn disk(&self) -> Disk {
        Disk::record(self.ingest.folder.parent().unwrap())
    }
}

/// One piece and a half.
const LEN: usize = 24 << 20;
const SIZE: u64 = LEN as u64;

fn any(_: &Claim) -> bool {
    true
}

#[test]
fn a_power_loss_takes_what_came_after_the_last_sync_and_no_more() {
    let download = Download::of(LEN);
    let disk = download.disk();
    let partial = download.open(Trust::Durable);
    let (first, second) = (partial.claim(any).unwrap(), partial.claim(any).unwrap());
    assert_eq!((first.next, first.end), (0, PIECE));
    assert_eq!((second.next, second.end), (PIECE, SIZE));
    download.fetch(&partial, first, 10);
    download.fetch(&partial, second, 5);
    partial.sync().unwrap();
    let more = Claim {
        next: 10 * BATCH,
        ..first
    };
    download.fetch(&partial, more, 7);
    let left = download.open_in(&download.after(&disk), Trust::Durable);
    assert_eq!(
        Download::missing(&left),
        [(10 * BATCH, PIECE), (PIECE + 5 * BATCH, SIZE)]
    );
    // A process that is killed loses nothing of it.
    drop(partial);
    assert_eq!(download.open(Trust::Durable).done(), 22 * BATCH);
}

#[test]
fn what_is_synced_once_is_not_synced_again() {
    let download = Download::of(LEN);
    let partial = download.open(Trust::Durable);
    let claim = partial.claim(any).unwrap();
    download.fetch(&partial, claim, 3);
    partial.sync().unwrap();
    let len = || download.file("journal").metadata().unwrap().len();
    let before = len();
    partial.sync().unwrap();
    assert_eq!(len(), before, "nothing has come since");
    let more = Claim {
        next: 3 * BATCH,
        ..claim
    };
    download.fetch(&partial, more, 1);
    partial.sync().unwrap();
    assert!(len() > before);
}

#[test]
fn a_part_whose_bytes_are_lost_is_fetched_again_and_no_other() {
    let zeros = |download: &Download, at| {
        let data = download.file("data");
        data.write_all_at(&vec![0; 4096], at).unwrap();
    };
    for (what, synced, trust) in [
        ("never synced", false, Trust::Durable),
        (
            "never synced, and nothing is trusted",
            false,
            Trust::Nothing,
        ),
        ("damaged later", true, Trust::Nothing),
    ] {
        let download = Download::of(LEN);
        let partial = download.open(Trust::Durable);
        let claim = partial.claim(any).unwrap();
        download.fetch(&partial, claim, 20);
        if synced {
            partial.sync().unwrap();
        }
        drop(partial);
        zeros(&download, 3 * BATCH + 4096);
        zeros(&download, 9 * BATCH);
        let expected = [
            (3 * BATCH, 4 * BATCH),
            (9 * BATCH, 10 * BATCH),
            (20 * BATCH, PIECE),
            (PIECE, SIZE),
        ];
        let partial = download.open(trust);
        assert_eq!(partial.done(), 18 * BATCH, "{what}");
        assert_eq!(Download::missing(&partial), expected, "{what}");
        drop(partial);
        // What was found is written down: it is not looked for again.
        let again = download.open(Trust::Durable);
        assert_eq!(Download::missing(&again), expected, "{what}");
    }
}

#[test]
fn claims_end_where_the_file_ends() {
    for (len, left) in [
        (20 * BATCH, 20),
        (20 * BATCH - 1, 19),
        (7 * BATCH + 5, 7),
        (BATCH - 1, 0),
        (0, 0),
    ] {
        for synced in [true, false] {
            let download = Download::of(LEN);
            let partial = download.open(Trust::Durable);
            let claim = partial.claim(any).unwrap();
            download.fetch(&partial, claim, 20);
            if synced {
                partial.sync().unwrap();
            }
            drop(partial);
            download.file("data").set_len(len).unwrap();
            let partial = download.open(Trust::Durable);
            assert_eq!(partial.done(), left * BATCH, "{len} bytes");
        }
    }
}

#[test]
fn a_journal_that_says_strange_things_is_believed_where_the_bytes_are_right() {
    use super::journal::{Journal, Record};
    let download = Download::of(LEN);
    let partial = download.open(Trust::Durable);
    let claim = partial.claim(any).unwrap();
    download.fetch(&partial, claim, 2);
    drop(partial);
    let part = |start, len| Record::Part { start, len, sum: 5 };
    let right = |start: u64, len: u64| {
        let range = usize::try_from(start).unwrap()..usize::try_from(start + len).unwrap();
        let sum = xxhash_rust::xxh3::xxh3_64(&download.bytes[range]);
        Record::Part { start, len, sum }
    };
    let journal = download.file("journal");
    journal.set_len(0).unwrap();
    let mut journal = Journal::create(journal, SIZE).unwrap();
    for record in [
        part(u64::MAX, 2),
        part(SIZE, 1),
        part(1 << 62, 1 << 62),
        right(0, 10),
        right(5, 20),
        right(0, 10),
        right(100, 1000),
        part(2000, 10),
    ] {
        journal.append(record).unwrap();
    }
    let partial = download.open(Trust::Durable);
    let missing = Download::missing(&partial);
    assert_eq!(missing[..2], [(10, 100), (1100, PIECE)]);
}

#[test]
fn a_mark_speaks_of_no_part_behind_it() {
    use super::journal::{Journal, Record};
    let download = Download::of(LEN);
    let partial = download.open(Trust::Durable);
    let claim = partial.claim(any).unwrap();
    download.fetch(&partial, claim, 2);
    drop(partial);
    let journal = download.file("journal");
    journal.set_len(0).unwrap();
    let mut journal = Journal::create(journal, SIZE).unwrap();
    for record in [
        Record::Mark { records: u64::MAX },
        Record::Part {
            start: 0,
            len: 10,
            sum: 5,
        },
    ] {
        journal.append(record).unwrap();
    }
    assert_eq!(download.open(Trust::Durable).done(), 0);
}

#[test]
fn what_is_missing_begins_anew() {
    for (what, spoil) in [("no journal", "journal"), ("no bytes", "data")] {
        let download = Download::of(LEN);
        let partial = download.open(Trust::Durable);
        let claim = partial.claim(any).unwrap();
        download.fetch(&partial, claim, 2);
        partial.sync().unwrap();
        drop(partial);
        std::fs::remove_file(download.ingest.path(&download.digest, spoil)).unwrap();
        let partial = download.open(Trust::Durable);
        assert_eq!(partial.done(), 0, "{what}");
        let claim = partial.claim(any).unwrap();
        download.fetch(&partial, claim, 1);
        drop(partial);
        assert_eq!(download.open(Trust::Durable).done(), BATCH, "{what}");
        let free = download.ingest.discard(&download.digest).unwrap();
        assert!(free > 0);
        let left: Vec<_> = std::fs::read_dir(&download.ingest.folder)
            .unwrap()
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_size_that_somebody_announces_takes_neither_memory_nor_disk() {
    for size in [1 << 40, 1 << 48, 1 << 53, 1 << 62, u64::MAX] {
        let download = Download::of(10);
        let (digest, ingest) = (&download.digest, &download.ingest);
        let lock = || Arc::new(ingest.try_lock(digest).unwrap().unwrap());
        let partial = Partial::open(ingest, lock(), digest, size, Trust::Durable).unwrap();
        assert_eq!(partial.unclaimed(7), 7);
        let claim = partial.claim(any).unwrap();
        assert_eq!((claim.next, claim.end), (0, PIECE));
        partial
            .write(0, std::slice::from_ref(&download.bytes))
            .unwrap();
        drop(partial);
        let partial = Partial::open(ingest, lock(), digest, size, Trust::Durable).unwrap();
        assert_eq!(partial.done(), 10);
        assert_eq!(ingest.glance(digest, size), Some(10));
        for (kind, most) in [("data", 10), ("journal", 200)] {
            let len = download.file(kind).metadata().unwrap().len();
            assert!(len <= most, "{len} bytes of {kind} for a size of {size}");
        }
    }
}
