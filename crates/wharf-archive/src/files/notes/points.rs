//! The places of notes from which a layer can be unpacked: their windows, and behind them a table, so
//! that whoever wants one reads the table and one window.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use xxhash_rust::xxh3::xxh3_64;

use super::array;
use super::read::trailer;
use crate::layer::seek::{POINTS_MAX, Point};

/// The length of a point in the table, in bytes.
const POINT_LEN: usize = 40;

/// Bounds the table, in bytes.
const TABLE_MAX: u64 = (POINTS_MAX * POINT_LEN) as u64;

/// Bounds a packed window, in bytes: 32 KiB, and what deflate adds to what it cannot pack.
const WINDOW_MAX: u32 = 40 * 1024;

/// The table, as it is put together.
pub(super) struct Points {
    /// Where the next window is.
    window: u64,
    table: Vec<u8>,
}

impl Points {
    pub(super) const fn new(window: u64) -> Self {
        Self {
            window,
            table: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, point: &Point) {
        let length = u32::try_from(point.window.len()).unwrap_or(u32::MAX);
        self.table.extend(point.packed.to_le_bytes());
        self.table.extend(point.unpacked.to_le_bytes());
        self.table.extend(self.window.to_le_bytes());
        self.table.extend(xxh3_64(&point.window).to_le_bytes());
        self.table.extend(length.to_le_bytes());
        let rest = [point.bits, point.byte, u8::from(point.zstd), 0];
        self.table.extend(rest);
        self.window += u64::from(length);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.table
    }

    pub(super) fn sum(&self) -> u64 {
        xxh3_64(&self.table)
    }
}

/// The last point before a place of the unpacked archive; `None` if there is none, or it is damaged.
pub(in crate::files) fn point_before(notes: &File, place: u64) -> io::Result<Option<Point>> {
    let table = table(notes)?;
    let unpacked = |point: &[u8]| u64::from_le_bytes(array(point, 8));
    let mut before = table
        .chunks_exact(POINT_LEN)
        .take_while(|point| unpacked(point) <= place);
    let Some(point) = before.by_ref().last() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(array(point, 32));
    let [bits, byte, zstd, _] = array(point, 36);
    if length > WINDOW_MAX || bits > 7 {
        return Ok(None);
    }
    let mut window = vec![0; usize::try_from(length).unwrap_or_default()];
    if let Err(error) = notes.read_exact_at(&mut window, u64::from_le_bytes(array(point, 16))) {
        return none_if_short(error).map(|()| None);
    }
    let whole = xxh3_64(&window) == u64::from_le_bytes(array(point, 24));
    Ok(whole.then_some(Point {
        packed: u64::from_le_bytes(array(point, 0)),
        unpacked: unpacked(point),
        zstd: zstd != 0,
        bits,
        byte,
        window,
    }))
}

/// The points' table; nothing if it is damaged.
fn table(notes: &File) -> io::Result<Vec<u8>> {
    let Some(trailer) = trailer(notes)? else {
        return Ok(Vec::new());
    };
    let end = notes
        .metadata()?
        .len()
        .saturating_sub(super::TRAILER_LEN as u64);
    let length = end.saturating_sub(trailer.points);
    if length > TABLE_MAX {
        return Ok(Vec::new());
    }
    let mut table = vec![0; usize::try_from(length).unwrap_or_default()];
    if let Err(error) = notes.read_exact_at(&mut table, trailer.points) {
        return none_if_short(error).map(|()| Vec::new());
    }
    if xxh3_64(&table) != trailer.points_sum {
        table.clear();
    }
    Ok(table)
}

/// What is cut off is not there; anything else is an error.
fn none_if_short(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Ok(()),
        _ => Err(error),
    }
}

/// How many points there are, and where the first one is in the unpacked archive.
#[cfg(test)]
pub(in crate::files) fn count(notes: &File) -> (usize, Option<u64>) {
    let table = table(notes).unwrap();
    let first = table.chunks_exact(POINT_LEN).next();
    let first = first.map(|point| u64::from_le_bytes(array(point, 8)));
    (table.len() / POINT_LEN, first)
}
