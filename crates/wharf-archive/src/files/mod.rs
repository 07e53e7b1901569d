//! What is in an image's layers, without unpacking it.
//!
//! | module | what it does |
//! |---|---|
//! | [`notes`] | writes down what is in a layer while it passes, and reads that back |
//! | [`tree`] | the files of all layers, one upon the other, whiteouts honoured |
//! | [`contents`] | the bytes of some files of a layer, and the layer's diff ID on the way |
//! | [`holes`] | files whose archive leaves out their holes, put together again |

pub mod contents;
pub mod holes;
pub mod notes;
pub mod tree;

pub use notes::Layer;
pub use tree::{Node, Place, Tree, TreeError};

use std::ops::Range;

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

/// How an archive stores a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// As it is.
    Whole,
    /// Without its holes; its entry says where they are.
    Mapped,
    /// Without its holes; the content begins with where they are (GNU tar, PAX format 1.0).
    MappedWithin,
    /// Without its holes, and where they are cannot be told.
    Unknown,
}

/// Something in a layer: a view of its notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The last word of its name; empty for the root.
    pub name: &'a [u8],
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
    pub link: &'a [u8],
    /// A device's numbers.
    pub device: (u32, u32),
    /// Where its content begins in the unpacked archive. No two entries of a layer have one place.
    pub offset: u64,
    /// How many bytes of content the archive has.
    pub stored: u64,
    /// How it has them.
    pub form: Form,
    /// Where the content lies between the holes: pairs of place and length, with
    /// [`holes::pairs`].
    pub map: &'a [u8],
    /// Tells contents apart: a fast hash of what is stored.
    pub hash: u128,
    /// Extended attributes, as the notes have them: [`Entry::xattrs`] tells them apart.
    pub attributes: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Where its content is in the unpacked archive.
    pub fn content(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.stored)
    }

    /// Extended attributes, by name.
    pub fn xattrs(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.attributes;
        std::iter::from_fn(move || Some((notes::string(&mut rest)?, notes::string(&mut rest)?)))
    }
}
