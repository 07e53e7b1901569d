//! What is in an image's layers, without unpacking it.
//!
//! | module | what it does |
//! |---|---|
//! | [`notes`] | writes down what is in a layer while it passes, and reads that back |
//! | [`tree`] | the files of all layers, one upon the other, whiteouts honoured |
//! | [`contents`] | the bytes of some files of a layer, and the layer's diff ID on the way |

pub mod contents;
pub mod notes;
pub mod tree;

pub use tree::{Node, Tree, TreeError};

/// What something in a layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
    /// Another name for a file of the image.
    HardLink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
}

/// Something in a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, as the archive has it.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permissions, with set-uid, set-gid and the sticky bit.
    pub mode: u32,
    /// The owner's number.
    pub uid: u64,
    /// The group's number.
    pub gid: u64,
    /// When it was changed, in seconds since 1970.
    pub mtime: i64,
    /// And in nanoseconds beside them.
    pub nanos: u32,
    /// How many bytes a file has, holes included.
    pub size: u64,
    /// Where a link points to.
    pub link: Vec<u8>,
    /// A device's numbers.
    pub device: (u32, u32),
    /// Where its content begins in the unpacked archive. No two entries of a layer have one place.
    pub offset: u64,
    /// How many bytes of content the archive has.
    pub stored: u64,
    /// Does the archive leave out its holes?
    pub sparse: bool,
    /// Tells contents apart: a fast hash of what is stored.
    pub hash: u128,
    /// Extended attributes, by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}
