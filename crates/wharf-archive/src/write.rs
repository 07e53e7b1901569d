//! Writes a small layer: the same bytes every time, for the same content.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use wharf_core::digest::Algorithm;
use wharf_core::layer::LayerFacts;
use wharf_core::{Digest, Hasher};

/// Something in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A folder that everybody may read.
    Folder(&'a str),
    /// A file that everybody may read.
    File(&'a str, &'a [u8]),
    /// A file that everybody may run.
    Program(&'a str, &'a [u8]),
    /// A symbolic link: its path, and where it points to.
    Symlink(&'a str, &'a str),
    /// The mark that a layer below has nothing at this path any more.
    Whiteout(&'a str),
}

/// A layer, packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its bytes, gzip.
    pub packed: Vec<u8>,
    /// What a reader will learn of it.
    pub facts: LayerFacts,
}

/// Writes a layer of `entries`, in their order. Times and owners are all zero, so that the same
/// entries give the same digest, whenever and by whomever it is written.
///
/// The layer is made in memory: this is for the small ones that are made on the spot.
pub fn layer(entries: &[Entry<'_>]) -> io::Result<Layer> {
    let gzip = GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM);
    let gzip = gzip.write(Vec::new(), Compression::default());
    let mut archive = tar::Builder::new(Tee {
        gzip,
        hasher: Hasher::new(Algorithm::Sha256),
    });
    let mut size = 0;
    for entry in entries {
        size += append(&mut archive, entry)?;
    }
    let Tee { gzip, hasher } = archive.into_inner()?;
    let facts = LayerFacts {
        diff_id: hasher.finish(),
        size,
    };
    Ok(Layer {
        packed: gzip.finish()?,
        facts,
    })
}

/// gzip's number for a system that does not matter.
const UNKNOWN_SYSTEM: u8 = 255;

/// Packs what is written, and hashes it as it is.
struct Tee {
    gzip: flate2::write::GzEncoder<Vec<u8>>,
    hasher: Hasher,
}

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.gzip.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.gzip.flush()
    }
}

/// Appends `entry`; gives what it adds to the layer's size.
fn append(archive: &mut tar::Builder<impl Write>, entry: &Entry<'_>) -> io::Result<u64> {
    let mut header = tar::Header::new_gnu();
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    let (kind, mode, path, content): (_, _, _, &[u8]) = match *entry {
        Entry::Folder(path) => (tar::EntryType::Directory, 0o755, path, &[]),
        Entry::File(path, content) => (tar::EntryType::Regular, 0o644, path, content),
        Entry::Program(path, content) => (tar::EntryType::Regular, 0o755, path, content),
        Entry::Symlink(path, target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            archive.append_link(&mut header, path, target)?;
            return Ok(target.len() as u64);
        }
        Entry::Whiteout(path) => {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            let separator = if parent.is_empty() { "" } else { "/" };
            return append(
                archive,
                &Entry::File(&format!("{parent}{separator}.wh.{name}"), &[]),
            );
        }
    };
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, path, content)?;
    Ok(content.len() as u64)
}

impl Layer {
    /// The packed bytes' own digest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.packed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LayerInspector;

    const ENTRIES: [Entry<'_>; 6] = [
        Entry::Folder("bin/"),
        Entry::Program("bin/hello", b"#!/bin/sh\necho hello\n"),
        Entry::Symlink("bin/hi", "hello"),
        Entry::File("etc/hello.conf", b"x=1\n"),
        Entry::Whiteout("etc/old"),
        Entry::Whiteout("old"),
    ];

    #[test]
    fn a_reader_learns_what_the_writer_says() {
        let layer = layer(&ENTRIES).unwrap();
        let mut reading = LayerInspector::new().start();
        reading.write(&layer.packed).unwrap();
        assert_eq!(reading.finish().unwrap(), layer.facts);
        assert_eq!(layer.facts.size, 21 + 5 + 4);
    }

    #[test]
    fn the_same_content_gives_the_same_bytes() {
        let layer = layer(&ENTRIES).unwrap();
        assert_eq!(layer, super::layer(&ENTRIES).unwrap());
        // On every machine, and with every version that promises it: the archive's own digest.
        assert_eq!(layer.facts.diff_id.as_str(), DIFF_ID);
    }

    const DIFF_ID: &str = "sha256:9158bd8aa0f22c635ab875f83ccc6263cbc2cfb836380cfea09b7ab2e6777fd5";

    #[test]
    fn others_can_read_it() {
        let layer = layer(&ENTRIES).unwrap();
        let archive = flate2::read::GzDecoder::new(&layer.packed[..]);
        let mut archive = tar::Archive::new(archive);
        let paths: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        let expected = [
            "bin/",
            "bin/hello",
            "bin/hi",
            "etc/hello.conf",
            "etc/.wh.old",
            ".wh.old",
        ];
        assert_eq!(paths, expected);
    }
}
