//! Layers: a tar, packed.

use std::io::Write as _;

use bytes::Bytes;
use wharf_core::Digest;
use wharf_core::media_type::Compression;

use crate::random::Random;

/// How long a name is in a header at most, in bytes.
const NAME_LEN: usize = 100;

/// The time of every file: 2024-01-01, so that the bytes do not depend on the day.
const MTIME: u64 = 1_704_067_200;

/// A layer in the making.
#[derive(Clone)]
pub struct Layer {
    tar: Vec<u8>,
    compression: Compression,
    size: u64,
}

/// A layer's bytes.
#[derive(Clone, Debug)]
pub struct PackedLayer {
    /// As a registry holds them.
    pub blob: Bytes,
    /// The digest of its tar, unpacked.
    pub diff_id: Digest,
    /// How it is packed.
    pub compression: Compression,
    /// The sum of its regular files' and symbolic links' sizes, in bytes: what Docker shows.
    pub size: u64,
}

impl Default for Layer {
    fn default() -> Self {
        Self::new()
    }
}

impl Layer {
    /// An empty layer, to be packed with gzip.
    pub const fn new() -> Self {
        Self {
            tar: Vec::new(),
            compression: Compression::Gzip,
            size: 0,
        }
    }

    /// A layer with one file of `len` bytes that do not compress, among others that do.
    pub fn random(seed: u64, len: usize) -> Self {
        let data = Random::new(seed).bytes(len);
        let name = format!("opt/data-{seed}");
        Self::new()
            .directory("opt")
            .file(&name, &data)
            .file("opt/readme", b"made for a test\n")
            .symlink("opt/latest", &name)
    }

    /// Adds a directory.
    #[must_use]
    pub fn directory(self, path: &str) -> Self {
        self.entry(path, tar::EntryType::Directory, 0o755, None, &[])
    }

    /// Adds a regular file.
    #[must_use]
    pub fn file(mut self, path: &str, data: &[u8]) -> Self {
        self.size += data.len() as u64;
        self.entry(path, tar::EntryType::Regular, 0o644, None, data)
    }

    /// Adds a symbolic link. It counts with the length of its target, as on a disk.
    #[must_use]
    pub fn symlink(mut self, path: &str, target: &str) -> Self {
        self.size += target.len() as u64;
        self.entry(path, tar::EntryType::Symlink, 0o777, Some(target), &[])
    }

    /// Adds a hard link to a file of this layer.
    #[must_use]
    pub fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(path, tar::EntryType::Link, 0o644, Some(target), &[])
    }

    /// Adds an entry of any kind: a device, a fifo.
    #[must_use]
    pub fn entry(
        mut self,
        path: &str,
        kind: tar::EntryType,
        mode: u32,
        link: Option<&str>,
        data: &[u8],
    ) -> Self {
        if path.len() > NAME_LEN {
            // GNU's way to a longer name: an entry of its own in front.
            let long = [path.as_bytes(), &[0]].concat();
            let gnu = tar::EntryType::GNULongName;
            self = self.entry("././@LongLink", gnu, 0, None, &long);
        }
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(MTIME);
        header.set_size(data.len() as u64);
        // Byte for byte: the library refuses the names that attacks are made of.
        let old = header.as_old_mut();
        let start = path.len().min(NAME_LEN);
        old.name[..start].copy_from_slice(&path.as_bytes()[..start]);
        if let Some(target) = link {
            old.linkname[..target.len()].copy_from_slice(target.as_bytes());
        }
        header.set_cksum();
        self.tar.extend_from_slice(header.as_bytes());
        self.tar.extend_from_slice(data);
        self.tar.resize(self.tar.len().next_multiple_of(512), 0);
        self
    }

    /// Packs it another way.
    #[must_use]
    pub const fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Packs it.
    pub fn pack(mut self) -> PackedLayer {
        // A tar ends with two empty blocks.
        self.tar.resize(self.tar.len() + 1024, 0);
        let blob = match self.compression {
            Compression::None => self.tar.clone(),
            Compression::Gzip => gzip(&self.tar),
            Compression::Zstd => zstd::encode_all(self.tar.as_slice(), 3)
                .expect("compressing in memory does not fail"),
        };
        PackedLayer {
            blob: blob.into(),
            diff_id: Digest::of(&self.tar),
            compression: self.compression,
            size: self.size,
        }
    }
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder
        .write_all(data)
        .and_then(|()| encoder.finish())
        .expect("compressing in memory does not fail")
}
