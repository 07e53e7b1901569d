//! Room on the store's disk: what comes without a length, and perhaps without an end, may not take the last of it.

use std::fs::File;
use std::io::{self, ErrorKind, Write};

/// Of a disk, this part is left to everybody else, and to what wharf has to write in order to go on.
const RESERVE_PART: u64 = 20;

/// Bounds that, in bytes: 1 GiB is enough for databases and logs until somebody has made room.
const RESERVE_MAX: u64 = 1 << 30;

/// After so many bytes the disk is looked at again, in bytes: a look takes a microsecond, and what is smaller
/// than this fits into any reserve that is worth having.
const LOOK_EVERY: u64 = 16 * 1024 * 1024;

/// Writes to a file as long as the disk below it has room.
#[derive(Debug)]
pub struct WhileRoom<F> {
    file: F,
    /// How many bytes there are until the next look.
    unlooked: u64,
    disk: fn(&F) -> io::Result<Disk>,
}

/// A disk, in bytes.
#[derive(Clone, Copy, Debug)]
struct Disk {
    size: u64,
    free: u64,
}

impl Disk {
    /// The disk that a file is on.
    fn of(file: &File) -> io::Result<Self> {
        let about = rustix::fs::fstatvfs(file)?;
        Ok(Self {
            size: about.f_blocks.saturating_mul(about.f_frsize),
            free: about.f_bavail.saturating_mul(about.f_frsize),
        })
    }

    fn has_room(self) -> io::Result<()> {
        let reserve = (self.size / RESERVE_PART).min(RESERVE_MAX);
        if self.free > reserve {
            return Ok(());
        }
        let message = format!(
            "the store's disk has {} MB left, and an archive whose length nobody knows may not take these: free \
             some space, for instance by `wharf image prune`",
            self.free / 1_000_000
        );
        Err(io::Error::new(ErrorKind::StorageFull, message))
    }
}

impl WhileRoom<File> {
    /// Writes to `file`.
    pub const fn new(file: File) -> Self {
        Self {
            file,
            unlooked: LOOK_EVERY,
            disk: Disk::of,
        }
    }

    /// The file.
    pub fn into_inner(self) -> File {
        self.file
    }
}

impl<F: Write> Write for WhileRoom<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.unlooked = self.unlooked.saturating_sub(written as u64);
        if self.unlooked == 0 {
            (self.disk)(&self.file)?.has_room()?;
            self.unlooked = LOOK_EVERY;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes everything, on a disk of 200 MiB.
    #[derive(Default)]
    struct Taken(u64);

    impl Write for Taken {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn small_disk(taken: &Taken) -> io::Result<Disk> {
        let size = 200 * 1024 * 1024;
        let free = size - taken.0;
        Ok(Disk { size, free })
    }

    #[test]
    fn what_never_ends_does_not_fill_the_disk() {
        let mut file = WhileRoom {
            file: Taken::default(),
            unlooked: LOOK_EVERY,
            disk: small_disk,
        };
        let piece = [0; 128 * 1024];
        let error = loop {
            if let Err(error) = file.write_all(&piece) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(error.to_string().contains("MB left"), "{error}");
        let left = small_disk(&file.file).unwrap().free;
        assert!(left > 0 && left <= 200 * 1024 * 1024 / RESERVE_PART);
    }

    #[test]
    fn large_disks_are_not_asked_for_a_twentieth() {
        let free = RESERVE_MAX + 1;
        let size = 1 << 44;
        assert!(Disk { size, free }.has_room().is_ok());
        let free = RESERVE_MAX;
        assert!(Disk { size, free }.has_room().is_err());
    }

    #[test]
    fn looks_at_the_disk_that_the_file_is_on() {
        let file = tempfile::tempfile().unwrap();
        let disk = Disk::of(&file).unwrap();
        assert!(disk.size >= disk.free && disk.size > 0);
    }
}
