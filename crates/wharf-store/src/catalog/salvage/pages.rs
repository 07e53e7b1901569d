//! The pages of a database that SQLite may refuse to open: those of its file, and above them those of its log.
//!
//! Nothing here trusts the database's header. Pages have the size that wharf's databases always have, so that page N
//! lies at (N - 1) times that. A frame of the log counts if its checksum is right, which is computed from that of the
//! frame before it; a damaged frame in the middle so costs itself, not those behind it.
//!
//! Formats: "Database File Format", sqlite.org/fileformat2.html.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// The size of a page, in bytes: SQLite's default, which wharf has never changed.
pub(super) const PAGE: usize = 4096;
/// Where the database's header ends, on page 1.
pub(super) const HEADER: usize = 100;

/// The header of the log, and of each frame in it, in bytes.
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The entries of one page of the list of free pages.
const TRUNK_MAX: usize = PAGE / 4 - 2;

/// One page's bytes.
pub(super) type Page = Box<[u8; PAGE]>;

/// The pages of a database.
pub(super) struct Pages {
    database: Option<File>,
    log: Option<File>,
    /// Where the newest version of a page lies in the log; `None` if that version is damaged.
    in_log: HashMap<u32, Option<u64>>,
    /// How many pages there are.
    pub(super) count: u32,
    /// Whether a part of the log is damaged.
    pub(super) log_is_damaged: bool,
}

impl Pages {
    /// Opens a database and its log. What is missing or cannot be opened has no pages.
    pub(super) fn open(path: &Path) -> Self {
        let database = File::open(path).ok();
        let length = |file: &File| file.metadata().map_or(0, |about| about.len());
        let pages = database.as_ref().map_or(0, length).div_ceil(PAGE as u64);
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let log = File::open(log).ok().filter(|log| length(log) > 0);
        let mut all = Self {
            database,
            log,
            in_log: HashMap::new(),
            count: u32::try_from(pages).unwrap_or(u32::MAX),
            log_is_damaged: false,
        };
        if all.read_log().is_err() {
            all.log_is_damaged = true;
        }
        all
    }

    /// Reads the newest version of a page; `None` if it cannot be read. What a file that was cut off lacks is zero.
    pub(super) fn read(&self, number: u32) -> Option<Page> {
        if number == 0 || number > self.count {
            return None;
        }
        let mut page = Box::new([0; PAGE]);
        match self.in_log.get(&number) {
            Some(Some(at)) => self
                .log
                .as_ref()?
                .read_exact_at(page.as_mut_slice(), *at)
                .ok()?,
            Some(None) => return None,
            None => {
                let at = u64::from(number - 1) * PAGE as u64;
                read_to_end(self.database.as_ref()?, page.as_mut_slice(), at).ok()?;
            }
        }
        Some(page)
    }

    /// Finds the pages of the log's transactions that were committed.
    fn read_log(&mut self) -> io::Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        let mut header = [0; LOG_HEADER];
        read_to_end(log, &mut header, 0)?;
        let orders = [u32::from_le_bytes as Order, u32::from_be_bytes];
        let is_sound =
            |order: &Order| checksum(*order, (0, 0), &header[..24]) == sums(&header[24..]);
        let known = orders.iter().position(is_sound);
        self.log_is_damaged = known.is_none();
        let mut salt = known.map(|_| header[16..24].to_vec());
        let length = log.metadata()?.len();
        let frames = length.saturating_sub(LOG_HEADER as u64) / (FRAME_HEADER + PAGE) as u64;
        let mut seed = sums(&header[24..]);
        let mut frame = vec![0; FRAME_HEADER + PAGE];
        let mut open = HashMap::new();
        for number in 0..frames {
            let at = LOG_HEADER as u64 + number * frame.len() as u64;
            log.read_exact_at(&mut frame, at)?;
            let (head, page) = frame.split_at(FRAME_HEADER);
            let salted = salt.as_ref().is_none_or(|salt| salt == &head[8..16]);
            let is_right = |order: Order| {
                let sum = checksum(order, seed, &head[..8]);
                checksum(order, sum, page) == sums(&head[16..24])
            };
            let right = salted
                && match known {
                    Some(known) => is_right(orders[known]),
                    None => orders.into_iter().any(is_right),
                };
            seed = sums(&head[16..24]);
            let (page, size) = (word(head), word(&head[4..]));
            if right {
                salt.get_or_insert_with(|| head[8..16].to_vec());
                open.insert(page, Some(at + FRAME_HEADER as u64));
                if size > 0 {
                    self.in_log.extend(open.drain());
                    self.count = size;
                }
            } else {
                self.log_is_damaged = true;
                // Its header may be right, and its bytes not: then no older version of the page is, either.
                if salted && page > 0 && page <= self.count.saturating_add(1 << 16) {
                    open.insert(page, None);
                }
            }
        }
        Ok(())
    }

    /// Finds the pages that hold nothing, as far as the list of them can be followed. wharf erases what it frees, but a
    /// database that an older version made may have pages in the list with what they held before.
    pub(super) fn free(&self) -> HashSet<u32> {
        let mut free = HashSet::new();
        let is_node = |page: &Page| matches!(page[HEADER], 0x05 | 0x0d);
        let Some(first) = self.read(1).filter(is_node) else {
            return free;
        };
        let mut trunk = word(&first[32..]);
        while let Some(page) = self.read(trunk) {
            let entries = word(&page[4..]) as usize;
            if entries > TRUNK_MAX || !free.insert(trunk) {
                break;
            }
            free.extend(page[8..].chunks_exact(4).take(entries).map(word));
            trunk = word(&page[..4]);
        }
        free
    }
}

/// How four bytes are read as a number.
type Order = fn([u8; 4]) -> u32;

/// Adds bytes to the checksum of a log.
fn checksum(order: Order, seed: (u32, u32), bytes: &[u8]) -> (u32, u32) {
    let (pairs, _) = bytes.as_chunks::<8>();
    pairs.iter().fold(seed, |(first, second), pair| {
        let (words, _) = pair.as_chunks::<4>();
        let first = first.wrapping_add(order(words[0])).wrapping_add(second);
        let second = second.wrapping_add(order(words[1])).wrapping_add(first);
        (first, second)
    })
}

fn sums(bytes: &[u8]) -> (u32, u32) {
    (word(bytes), word(&bytes[4..]))
}

/// The number in the first four bytes.
fn word(bytes: &[u8]) -> u32 {
    bytes
        .first_chunk()
        .map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// Reads as many bytes as there are; the rest of the buffer stays.
fn read_to_end(file: &File, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read_at(buffer, at) {
            Ok(0) => break,
            Ok(length) => {
                buffer = &mut buffer[length..];
                at += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
