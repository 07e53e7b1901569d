//! What a layer may be at most. Whatever a stranger sends, these bound the time and memory that it
//! costs (security rules 2, 3 and 14).

/// The limits on one layer. Other than the usual ones are for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// How many bytes it may have unpacked.
    pub(crate) unpacked: u64,
    /// How many bytes it may have unpacked whatever its ratio.
    pub(crate) free: u64,
    /// How many bytes, beyond that, one packed byte may become.
    pub(crate) ratio: u64,
    /// How many entries its archive may have.
    pub(crate) entries: u64,
    /// Must names stay inside of it?
    pub(crate) inside: bool,
}

/// Bounds a layer's archive, in bytes: 1 TiB. The largest real ones, machine learning models, have
/// about a tenth of that; it takes ten minutes to hash.
const UNPACKED_MAX: u64 = 1 << 40;

/// An archive of this many bytes, 1 GiB, is read whatever its ratio: a file of zeros is legitimate,
/// and reading it takes a second (CVE-2017-14992 took memory, which nothing here does).
const RATIO_FREE: u64 = 1 << 30;

/// Bounds the ratio beyond that. What people put into images becomes 2 to 20 times as large, logs and
/// databases of mostly zeros 100 times; a bomb of gzip 1,000 times, and one of zstd 32,000 times.
const RATIO_MAX: u64 = 200;

/// Bounds the entries of an archive. The largest real ones have some 2 million; each costs its 512
/// bytes and a fraction of a microsecond.
const ENTRIES_MAX: u64 = 16_000_000;

/// Bounds a PAX header, in bytes: 1 MiB, as with Go's archive/tar, which Docker reads with. It holds a
/// file's extended attributes, of which ext4 takes 64 KiB.
pub(crate) const PAX_MAX: u64 = 1 << 20;

/// Bounds a file's name and a link's target, in bytes: Linux's `PATH_MAX`. What is longer, no system unpacks. A name
/// of 64 KiB would mean 32,000 folders.
pub(crate) const NAME_MAX: u64 = 4096;

/// Bounds the extended attributes of a file. ext4 and XFS hold 64 KiB of them, which is some thousand small ones.
pub(crate) const XATTRS_MAX: usize = 4096;

/// Bounds zstd's window, as a power of two: 8 MiB, what RFC 8878 wants every decoder to take and what
/// zstd up to level 19 and the Go encoder at any level use. The decoder holds a window in memory;
/// `zstd --ultra` and `--long` ask for up to 2 GiB.
pub(crate) const WINDOW_LOG_MAX: u32 = 23;

/// Bounds the memory of the xz decoder, in KiB: 40 MiB. `xz -6`, the default, asks for 9 MiB, -8 for 33, -9 for
/// 65, which is more than a pull may take.
pub(crate) const XZ_MEMORY_KIB: u32 = 40 * 1024;

/// How many zstd and xz layers are read at once by one inspector: one window fits what a pull may
/// take, 64 MB, with room to spare, and two do not always. The others wait, on the disk; zstd unpacks
/// on one core about as fast as gzip on two.
pub(crate) const WINDOWS_AT_ONCE: usize = 1;

impl Limits {
    /// The limits that hold outside tests.
    pub(crate) const USUAL: Self = Self {
        unpacked: UNPACKED_MAX,
        free: RATIO_FREE,
        ratio: RATIO_MAX,
        entries: ENTRIES_MAX,
        inside: false,
    };
}
