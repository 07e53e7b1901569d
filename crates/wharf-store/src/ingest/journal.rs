//! The journal of a download: how many bytes of each piece are written.
//!
//! A header of 24 bytes (`WHARFJ1\n`, the blob's size, the size of a piece), then one number for each
//! piece, all numbers little-endian, 8 bytes. A number is written after the bytes that it counts, so a
//! process that is killed never claims too much. A power loss may tear the two apart: what was reused
//! is verified like everything else, and fetched once more if it's wrong.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// The first bytes of a journal, with the version of its format.
const MAGIC: [u8; 8] = *b"WHARFJ1\n";
const HEADER: usize = 24;

/// How the blob is cut: the unit in which connections share the work. Large enough that asking for
/// it costs nothing beside fetching it, small enough that all connections end at about the same time.
pub(super) const PIECE: u64 = 16 * 1024 * 1024;

/// How many pieces a blob of this size has.
pub(super) fn pieces(size: u64) -> usize {
    usize::try_from(size.div_ceil(PIECE)).unwrap_or(usize::MAX)
}

/// The length of a piece, in bytes: the last one is shorter.
pub(super) fn piece_len(size: u64, piece: usize) -> u64 {
    let start = piece as u64 * PIECE;
    PIECE.min(size.saturating_sub(start))
}

/// Starts a journal with nothing written.
pub(super) fn create(file: &File, size: u64) -> io::Result<()> {
    let mut bytes = header(size).to_vec();
    bytes.resize(HEADER + pieces(size) * 8, 0);
    file.write_all_at(&bytes, 0)
}

/// Reads how much of each piece is written; `None` if it's not a journal of a blob of this size.
pub(super) fn read(file: &File, size: u64) -> io::Result<Option<Vec<u64>>> {
    let mut bytes = vec![0; HEADER + pieces(size) * 8];
    if file.metadata()?.len() != bytes.len() as u64 {
        return Ok(None);
    }
    file.read_exact_at(&mut bytes, 0)?;
    Ok(parse(&bytes, size))
}

/// Says how much of one piece is written.
pub(super) fn write(file: &File, piece: usize, done: u64) -> io::Result<()> {
    file.write_all_at(&done.to_le_bytes(), (HEADER + piece * 8) as u64)
}

fn header(size: u64) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..16].copy_from_slice(&size.to_le_bytes());
    bytes[16..].copy_from_slice(&PIECE.to_le_bytes());
    bytes
}

fn parse(bytes: &[u8], size: u64) -> Option<Vec<u64>> {
    let numbers = bytes.strip_prefix(header(size).as_slice())?;
    let (numbers, rest) = numbers.as_chunks::<8>();
    if !rest.is_empty() || numbers.len() != pieces(size) {
        return None;
    }
    let done = numbers.iter().enumerate().map(|(piece, number)| {
        let done = u64::from_le_bytes(*number);
        (done <= piece_len(size, piece)).then_some(done)
    });
    done.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn journal(size: u64, done: &[u64]) -> Vec<u8> {
        let mut bytes = header(size).to_vec();
        done.iter()
            .for_each(|number| bytes.extend(number.to_le_bytes()));
        bytes
    }

    #[test]
    fn reads_what_was_written() {
        let size = 2 * PIECE + 5;
        assert_eq!(
            parse(&journal(size, &[PIECE, 7, 5]), size),
            Some(vec![PIECE, 7, 5])
        );
        let file = tempfile::tempfile().unwrap();
        create(&file, size).unwrap();
        write(&file, 1, 9).unwrap();
        assert_eq!(read(&file, size).unwrap(), Some(vec![0, 9, 0]));
    }

    #[test]
    fn refuses_what_does_not_fit_the_blob() {
        let size = PIECE + 5;
        for done in [vec![0, 6], vec![0], vec![0, 0, 0], vec![PIECE + 1, 0]] {
            assert_eq!(parse(&journal(size, &done), size), None, "{done:?}");
        }
        assert_eq!(parse(&journal(size + 1, &[0, 0]), size), None);
        let mut other = journal(size, &[0, 0]);
        other[6] = b'2';
        assert_eq!(parse(&other, size), None);
    }

    proptest! {
        #[test]
        fn never_claims_more_than_a_piece_has(bytes: Vec<u8>, size in 0..4 * PIECE) {
            let mut all = header(size).to_vec();
            all.extend(&bytes);
            for journal in [&bytes, &all] {
                for (piece, done) in parse(journal, size).unwrap_or_default().iter().enumerate() {
                    prop_assert!(*done <= piece_len(size, piece));
                }
            }
        }
    }
}
