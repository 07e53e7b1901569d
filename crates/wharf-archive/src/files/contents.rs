//! The bytes of some files of a layer, in one pass over it.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, OnceLock};

use wharf_core::digest::Algorithm;
use wharf_core::{Digest, Hasher};
use xxhash_rust::xxh3::xxh3_128;

use super::{Entry, notes};
use crate::layer::fault::Fault;
use crate::layer::gate::Gate;
use crate::layer::unpack::{Packing, Unpack};

/// How much of a blob is read at once, in bytes.
const READ: usize = 128 * 1024;

/// What counts as a small file, in bytes: it is held in memory to be compared with its hash.
const SMALL_MAX: u64 = 4 << 20;

/// Why contents cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// Reading the blob, or writing what was read, failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The layer is damaged.
    #[error("the layer cannot be read: {0}")]
    Layer(String),
    /// The layer is not what the image's config says.
    #[error(
        "the layer does not hold what the image's config says: expected diff ID {expected}, found {actual}"
    )]
    DiffId {
        /// What the config says.
        expected: Digest,
        /// What was computed.
        actual: Digest,
    },
}

/// How many zstd windows, of 8 MiB, all readers of contents hold at once; a window of xz takes all of them.
const WINDOWS_AT_ONCE: usize = 4;

/// Bounds the windows that readers of contents hold.
fn windows() -> Arc<Gate> {
    static WINDOWS: OnceLock<Arc<Gate>> = OnceLock::new();
    Arc::clone(WINDOWS.get_or_init(|| Gate::new(WINDOWS_AT_ONCE)))
}

/// Takes the bytes of the wanted range with this number.
pub type Take<'a> = &'a mut dyn FnMut(usize, &[u8]) -> Result<(), ContentsError>;

/// Reads ranges of a layer's archive, which are sorted and do not overlap, and gives their bytes to
/// `take`. With `diff_id`, all of the layer is read and compared with it.
pub fn contents(
    blob: &mut File,
    wanted: &[Range<u64>],
    diff_id: Option<&Digest>,
    take: Take<'_>,
) -> Result<(), ContentsError> {
    let mut head = [0; 10];
    let known = blob.read_at(&mut head, 0)?;
    let plain = Packing::of(&head[..known]) == Packing::None;
    if plain && diff_id.is_none() {
        return plain_contents(blob, wanted, take);
    }
    blob.rewind()?;
    let mut pass = Pass {
        wanted,
        next: 0,
        position: 0,
        hasher: diff_id.map(|_| Hasher::new(Algorithm::Sha256)),
        failed: None,
    };
    let mut unpack = Unpack::new(windows());
    let mut buffer = vec![0; READ];
    let damaged = |fault: Fault| ContentsError::Layer(fault.to_string());
    loop {
        let length = blob.read(&mut buffer)?;
        let done = if length == 0 {
            unpack.finish(&mut |bytes| pass.write(bytes, take))
        } else {
            unpack.write(&buffer[..length], &mut |bytes| pass.write(bytes, take))
        };
        if let Some(error) = pass.failed.take() {
            return Err(error);
        }
        done.map_err(damaged)?;
        if length == 0 || (pass.hasher.is_none() && pass.next == wanted.len()) {
            break;
        }
    }
    if pass.next < wanted.len() {
        return Err(ContentsError::Layer(
            "it is shorter than its notes say".to_owned(),
        ));
    }
    if let (Some(expected), Some(hasher)) = (diff_id, pass.hasher) {
        let actual = hasher.finish();
        if actual != *expected {
            let expected = expected.clone();
            return Err(ContentsError::DiffId { expected, actual });
        }
    }
    Ok(())
}

/// What the archive stores of one small file, from the notes' point before it: `None` if there is no such
/// point, or if what is found there is not what the notes say.
pub fn small(blob: &File, notes: &File, entry: &Entry<'_>) -> io::Result<Option<Vec<u8>>> {
    if entry.stored > SMALL_MAX {
        return Ok(None);
    }
    let Some(point) = notes::point_before(notes, entry.offset)? else {
        return Ok(None);
    };
    let Some(mut unpacking) = point.resume() else {
        return Ok(None);
    };
    let Some(end) = entry.offset.checked_add(entry.stored) else {
        return Ok(None);
    };
    let (mut position, mut at) = (point.unpacked, point.packed);
    let (mut found, mut input, mut output) = (Vec::new(), vec![0; READ], vec![0; READ]);
    while position < end {
        let length = blob.read_at(&mut input, at)?;
        let mut rest = &input[..length];
        loop {
            let Some((taken, given)) = unpacking.step(rest, &mut output) else {
                return Ok(None);
            };
            if taken + given == 0 {
                break;
            }
            rest = &rest[taken..];
            let (from, to) = (entry.offset.max(position), end.min(position + given as u64));
            if from < to {
                let index = |place: u64| usize::try_from(place - position).unwrap_or(READ);
                found.extend_from_slice(&output[index(from)..index(to)]);
            }
            position += given as u64;
            if position >= end {
                break;
            }
        }
        let taken = (length - rest.len()) as u64;
        if taken == 0 && position < end {
            return Ok(None);
        }
        at += taken;
    }
    Ok((xxh3_128(&found) == entry.hash).then_some(found))
}

/// Of a plain archive, only what is wanted is read.
fn plain_contents(blob: &File, wanted: &[Range<u64>], take: Take<'_>) -> Result<(), ContentsError> {
    let mut buffer = vec![0; READ];
    for (number, range) in wanted.iter().enumerate() {
        let mut at = range.start;
        while at < range.end {
            let most = usize::try_from(range.end - at).unwrap_or(READ).min(READ);
            let length = blob.read_at(&mut buffer[..most], at)?;
            if length == 0 {
                return Err(ContentsError::Layer(
                    "it is shorter than its notes say".to_owned(),
                ));
            }
            take(number, &buffer[..length])?;
            at += length as u64;
        }
    }
    Ok(())
}

struct Pass<'a> {
    wanted: &'a [Range<u64>],
    /// The range that is read, or comes next.
    next: usize,
    position: u64,
    hasher: Option<Hasher>,
    failed: Option<ContentsError>,
}

impl Pass<'_> {
    /// Takes the next bytes of the archive.
    fn write(&mut self, bytes: &[u8], take: Take<'_>) -> Result<(), Fault> {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        let start = self.position;
        self.position += bytes.len() as u64;
        while let Some(range) = self.wanted.get(self.next) {
            let from = range.start.max(start);
            let to = range.end.min(self.position);
            if from < to && self.failed.is_none() {
                let index = |at: u64| usize::try_from(at - start).unwrap_or(bytes.len());
                self.failed = take(self.next, &bytes[index(from)..index(to)]).err();
            }
            if range.end > self.position {
                break;
            }
            self.next += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use wharf_core::layer::Inspector as _;
    use wharf_core::{Descriptor, media_type};

    use super::*;
    use crate::LayerInspector;
    use crate::files::Layer;

    /// How many files, of how many bytes.
    const FILES: usize = 300;
    const FILE_SIZE: usize = 70_001;

    /// Words, none of them where the last file had it.
    fn content(number: usize) -> Vec<u8> {
        let (mut state, mut text) = (number as u64 + 1, Vec::new());
        while text.len() < FILE_SIZE {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            write!(text, "{} ", state >> 50).unwrap();
        }
        text.truncate(FILE_SIZE);
        text
    }

    fn layer(level: u32) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::new(level)));
        for number in 0..FILES {
            let mut header = tar::Header::new_gnu();
            header.set_size(FILE_SIZE as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, format!("{number}"), &content(number)[..])
                .unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    /// The same in frames of a megabyte, each on its own.
    fn framed() -> Vec<u8> {
        let mut plain = Vec::new();
        let mut gzip = &layer(1)[..];
        flate2::read::GzDecoder::new(&mut gzip)
            .read_to_end(&mut plain)
            .unwrap();
        let frames = plain.chunks(1 << 20);
        let frames = frames.map(|frame| zstd::encode_all(frame, 3).unwrap());
        frames.collect::<Vec<_>>().concat()
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    /// Reads a layer, and gives its notes.
    fn noted(bytes: &[u8]) -> File {
        let notes = tempfile::tempfile().unwrap();
        let what = Descriptor::of(media_type::OCI_LAYER_GZIP, bytes);
        let writer = Box::new(notes.try_clone().unwrap());
        let mut reading = LayerInspector::new().begin(&what, Some(writer)).unwrap();
        for piece in bytes.chunks(100_000) {
            reading.write(piece).unwrap();
        }
        reading.finish().unwrap();
        notes
    }

    /// Files behind the first point are found there, others are not; gives the number of points.
    fn check(name: &str, bytes: &[u8]) -> usize {
        let (notes, blob) = (noted(bytes), file(bytes));
        let layer = Layer::read(&notes).unwrap().unwrap();
        let entries: Vec<Entry<'_>> = layer.all().collect();
        let (points, first) = notes::points_count(&notes);
        let first = first.unwrap_or(u64::MAX);
        for (number, entry) in entries.iter().enumerate().step_by(7) {
            let found = small(&blob, &notes, entry).unwrap();
            assert_eq!(found.is_some(), entry.offset >= first, "{name}, {number}");
            assert!(found.is_none_or(|found| found == content(number)));
        }
        if points > 0 {
            // Of damaged points and of another blob, nothing is read.
            let last = entries.last().unwrap();
            let half = file(&bytes[..bytes.len() / 2]);
            assert_eq!(small(&half, &notes, last).unwrap(), None);
            let length = notes.metadata().unwrap().len();
            notes.write_all_at(&[0xff; 30], length - 80).unwrap();
            assert_eq!(small(&blob, &notes, last).unwrap(), None);
        }
        points
    }

    #[test]
    fn small_files_are_read_from_the_point_before_them() {
        for level in [0, 1, 6, 9] {
            let points = check(&format!("level {level}"), &layer(level));
            // Stored data says too little about its bits, and level 1 makes few blocks or one.
            assert!(level < 6 || points == 2, "{level}: {points}");
        }
    }

    #[test]
    fn the_beginnings_of_zstd_frames_are_points() {
        let bytes = framed();
        assert_eq!(check("frames", &bytes), 20);
        // One frame has none; what is to be skipped is not in the way.
        let plain = zstd::decode_all(&bytes[..]).unwrap();
        assert_eq!(check("one", &zstd::encode_all(&plain[..], 1).unwrap()), 0);
        let skipped = [&b"\x50\x2a\x4d\x18\x03\0\0\0abc"[..], &bytes].concat();
        assert_eq!(check("skipped", &skipped), 20);
    }

    #[test]
    fn notes_that_are_damaged_or_cut_off_are_none() {
        let bytes = layer(6);
        let notes = noted(&bytes);
        let mut whole = vec![0; usize::try_from(notes.metadata().unwrap().len()).unwrap()];
        notes.read_exact_at(&mut whole, 0).unwrap();
        assert!(Layer::read(&file(&whole)).unwrap().is_some());
        for length in [0, 7, 47, 48, 1000, whole.len() - 1] {
            assert!(Layer::read(&file(&whole[..length])).unwrap().is_none());
        }
        for at in [0, 6, 8, 20, 5000, whole.len() - 1, whole.len() - 48] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert!(Layer::read(&file(&damaged)).unwrap().is_none(), "{at}");
        }
    }
}
