//! The journal of a download: which parts of the blob are written, and up to where they are durable.
//!
//! A header of 24 bytes: `WHARFJ2\n`, the blob's size, and a sum of these. Then records of 40 bytes in
//! the order in which things happened: five numbers, the last one a sum of the four before it. Numbers
//! are little-endian with 8 bytes, sums are XXH3 with 64 bits.
//!
//! A *part* says what came: its first byte, its length, the sum of its bytes, and how many bytes are here
//! with it. It is written after the bytes that it counts, so a process that is killed never claims too
//! much. A *mark* has length 0: the bytes of as many records as its first number says were durable before
//! the mark was written. A power loss may keep a part's record and lose its bytes; so a part without a
//! mark behind it is compared with its sum before it is used.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// The first bytes of a journal, with the version of its format. Journals of version 1, which had no sums,
/// count as missing.
const MAGIC: [u8; 8] = *b"WHARFJ2\n";
const HEADER: usize = 24;
const RECORD: usize = 40;
/// How much of a part is read at once to compare it with its sum, in bytes.
const READ: usize = 128 * 1024;

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// Bytes that were written.
    Part {
        start: u64,
        len: u64,
        /// The sum of these bytes.
        sum: u64,
    },
    /// The bytes of so many records are durable.
    Mark { records: u64 },
}

/// Writes records.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) file: File,
    /// How many records there are.
    pub(super) records: u64,
    /// How many bytes of the blob are here.
    total: u64,
}

impl Journal {
    /// Starts with nothing written. The file is empty.
    pub(super) fn create(file: File, size: u64) -> io::Result<Self> {
        file.write_all_at(&header(size), 0)?;
        Ok(Self {
            file,
            records: 0,
            total: 0,
        })
    }

    pub(super) fn append(&mut self, record: Record) -> io::Result<()> {
        let (start, len, sum) = match record {
            Record::Part { start, len, sum } => (start, len, sum),
            Record::Mark { records } => (records, 0, 0),
        };
        let total = self.total.saturating_add(len);
        let bytes = encode([start, len, sum, total]);
        self.file.write_all_at(&bytes, offset(self.records))?;
        self.records += 1;
        self.total = total;
        Ok(())
    }
}

/// How many bytes are here, as the last record says; `None` if this is no journal of a blob of this size,
/// or its last record is just being written.
pub(super) fn total(file: &File, size: u64) -> io::Result<Option<u64>> {
    let len = file.metadata()?.len();
    if !has_header(file, size)? {
        return Ok(None);
    }
    let Some(last) = records_in(len).checked_sub(1) else {
        return Ok(Some(0));
    };
    let mut bytes = [0; RECORD];
    file.read_exact_at(&mut bytes, offset(last))?;
    Ok(decode(&bytes).map(|[.., total]| total))
}

/// Calls `take` with every record, in order, and its number; those that a power loss has damaged are left
/// out. `false` if this is no journal of a blob of this size.
pub(super) fn read(
    file: &File,
    size: u64,
    take: &mut dyn FnMut(u64, Record) -> io::Result<()>,
) -> io::Result<bool> {
    if !has_header(file, size)? {
        return Ok(false);
    }
    let records = records_in(file.metadata()?.len());
    let mut reader = BufReader::new(At {
        file,
        at: offset(0),
    });
    let mut bytes = [0; RECORD];
    for number in 0..records {
        reader.read_exact(&mut bytes)?;
        match decode(&bytes) {
            Some([records, 0, ..]) => take(number, Record::Mark { records })?,
            Some([start, len, sum, _]) => take(number, Record::Part { start, len, sum })?,
            None => {}
        }
    }
    Ok(true)
}

/// Has the file these bytes?
pub(super) fn holds(data: &File, part: Range<u64>, sum: u64) -> io::Result<bool> {
    let (mut hasher, mut at) = (Xxh3::new(), part.start);
    let mut buffer = vec![0; READ];
    while at < part.end {
        let len = usize::try_from(part.end - at).map_or(READ, |left| left.min(READ));
        data.read_exact_at(&mut buffer[..len], at)?;
        hasher.update(&buffer[..len]);
        at += len as u64;
    }
    Ok(hasher.digest() == sum)
}

/// Where a record lies in the file.
const fn offset(record: u64) -> u64 {
    HEADER as u64 + record * RECORD as u64
}

/// How many records a file of this length has.
const fn records_in(len: u64) -> u64 {
    len.saturating_sub(HEADER as u64) / RECORD as u64
}

fn has_header(file: &File, size: u64) -> io::Result<bool> {
    let mut found = [0; HEADER];
    match file.read_exact_at(&mut found, 0) {
        Ok(()) => Ok(found == header(size)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn header(size: u64) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..16].copy_from_slice(&size.to_le_bytes());
    let sum = xxh3_64(&bytes[..16]);
    bytes[16..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn encode(numbers: [u64; 4]) -> [u8; RECORD] {
    let mut bytes = [0; RECORD];
    let (places, _) = bytes.as_chunks_mut::<8>();
    for (place, number) in places.iter_mut().zip(numbers) {
        *place = number.to_le_bytes();
    }
    let sum = xxh3_64(&bytes[..32]);
    bytes[32..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8; RECORD]) -> Option<[u64; 4]> {
    let mut numbers = [0; 5];
    let (places, _) = bytes.as_chunks::<8>();
    for (number, place) in numbers.iter_mut().zip(places) {
        *number = u64::from_le_bytes(*place);
    }
    let [start, len, sum, total, check] = numbers;
    (xxh3_64(&bytes[..32]) == check).then_some([start, len, sum, total])
}

/// A file from a place on, which leaves its own place alone.
struct At<'a> {
    file: &'a File,
    at: u64,
}

impl io::Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read_at(buffer, self.at)?;
        self.at += len as u64;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: u64 = 1 << 45;

    fn part(start: u64, len: u64) -> Record {
        let sum = start ^ 77;
        Record::Part { start, len, sum }
    }

    fn written(records: &[Record]) -> File {
        let mut journal = Journal::create(tempfile::tempfile().unwrap(), SIZE).unwrap();
        records
            .iter()
            .for_each(|record| journal.append(*record).unwrap());
        journal.file
    }

    fn all(file: &File, size: u64) -> Option<Vec<Record>> {
        let mut all = Vec::new();
        let found = read(file, size, &mut |_, record| {
            all.push(record);
            Ok(())
        });
        found.unwrap().then_some(all)
    }

    #[test]
    fn reads_what_was_written() {
        let records = [part(5, 10), Record::Mark { records: 1 }, part(1 << 40, 1)];
        let file = written(&records);
        assert_eq!(all(&file, SIZE).unwrap(), records);
        assert_eq!(total(&file, SIZE).unwrap(), Some(11));
        assert_eq!(file.metadata().unwrap().len(), offset(3));
    }

    #[test]
    fn is_as_long_as_what_was_written_whatever_size_was_announced() {
        for size in [0, 1 << 48, 1 << 62, u64::MAX] {
            let journal = Journal::create(tempfile::tempfile().unwrap(), size).unwrap();
            assert_eq!(journal.file.metadata().unwrap().len(), offset(0));
            assert_eq!(total(&journal.file, size).unwrap(), Some(0));
            assert_eq!(all(&journal.file, size), Some(Vec::new()));
        }
    }

    #[test]
    fn another_blobs_journal_is_none() {
        let file = written(&[part(0, 1)]);
        assert_eq!(all(&file, SIZE + 1), None);
        assert_eq!(total(&file, SIZE + 1).unwrap(), None);
        // One of version 1: the size of a piece, and how much of each is written.
        let old = tempfile::tempfile().unwrap();
        let numbers = [SIZE, 16 << 20, 16 << 20, 500];
        let numbers = numbers.iter().flat_map(|number| number.to_le_bytes());
        let bytes: Vec<u8> = b"WHARFJ1\n".iter().copied().chain(numbers).collect();
        old.write_all_at(&bytes, 0).unwrap();
        assert_eq!(all(&old, SIZE), None);
    }

    #[test]
    fn a_damaged_record_is_left_out_and_the_others_count() {
        let records = [part(0, 10), part(10, 10), part(20, 10)];
        for byte in offset(1)..offset(2) {
            let file = written(&records);
            let mut one = [0];
            file.read_exact_at(&mut one, byte).unwrap();
            file.write_all_at(&[one[0] ^ 0x10], byte).unwrap();
            assert_eq!(all(&file, SIZE).unwrap(), [records[0], records[2]]);
        }
        let torn = written(&records);
        torn.set_len(offset(2) + 11).unwrap();
        assert_eq!(all(&torn, SIZE).unwrap(), records[..2]);
        // A block that was never written is zeros.
        torn.set_len(offset(1)).unwrap();
        torn.set_len(offset(100)).unwrap();
        assert_eq!(all(&torn, SIZE).unwrap(), records[..1]);
    }

    proptest! {
        #[test]
        fn strange_bytes_are_no_records(bytes: Vec<u8>) {
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(&bytes, 0).unwrap();
            prop_assert_eq!(all(&file, SIZE), None);
            let file = written(&[]);
            file.write_all_at(&bytes, offset(0)).unwrap();
            prop_assert_eq!(all(&file, SIZE), Some(Vec::new()));
        }
    }
}
