//! What can be wrong with a layer.

use super::limits::{Limits, NAME_MAX, PAX_MAX, WINDOW_LOG_MAX, XATTRS_MAX, XZ_MEMORY_KIB};

/// Why a layer cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("it ends in the middle of {0}")]
    Truncated(&'static str),
    #[error("its gzip data is damaged: {0}")]
    Gzip(&'static str),
    #[error("its zstd data is damaged: {0}")]
    Zstd(String),
    #[error(
        "its zstd window is larger than {} MiB, as `zstd --ultra` and `--long` make it; build the \
         image again without them, or pull it with verify = \"digest\"",
        (1_u64 << WINDOW_LOG_MAX) >> 20
    )]
    Window,
    #[error("its bzip2 data is damaged: {0}")]
    Bzip2(&'static str),
    #[error("its xz data is damaged: {0}")]
    Xz(String),
    #[error(
        "its xz data asks for more than {} MiB of memory, as `xz -9` makes it; build the image again with \
         `xz -6`, or pull it with verify = \"digest\"",
        XZ_MEMORY_KIB >> 10
    )]
    XzMemory,
    #[error("something that is not {0} follows the {0} data")]
    Behind(&'static str),
    #[error("its archive is damaged: {problem}, at byte {offset}")]
    Tar { problem: TarProblem, offset: u64 },
    #[error("it unpacks to more than {} GiB", Limits::USUAL.unpacked >> 30)]
    TooLarge,
    #[error(
        "it unpacks to more than {} times its size, which only serves to tie up whoever reads it",
        Limits::USUAL.ratio
    )]
    Ratio,
}

/// What is wrong with an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TarProblem {
    #[error("a header's checksum is wrong")]
    Checksum,
    #[error("a block of zeros has a header behind it")]
    LoneZeroBlock,
    #[error("a size is not a number")]
    Number,
    #[error("the files' sizes add up to more than a number holds")]
    Sum,
    #[error("a PAX header is malformed")]
    Pax,
    #[error("a PAX header sets a size for all files, which readers understand in different ways")]
    GlobalSize,
    #[error("a file has more than {XATTRS_MAX} extended attributes")]
    Attributes,
    #[error("a PAX header is longer than {PAX_MAX} bytes")]
    PaxTooLong,
    #[error("a name is longer than {NAME_MAX} bytes")]
    NameTooLong,
    #[error("a name leads out of it")]
    Outside,
    #[error("it has more than {} entries", Limits::USUAL.entries)]
    Entries,
}
