//! Packing a plain layer, on all cores.
//!
//! The layer is cut into blocks, each packed on its own: a gzip member or a zstd frame. A file of
//! several members is one file to every reader of either format (RFC 1952, section 2.2; RFC 8878,
//! section 3), and the blocks' borders are places where reading can begin. The same layer gives the
//! same bytes on any machine, whatever the number of its cores: an image that was made here has one
//! digest, however often and from wherever it is pushed.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use flate2::{Compression as Level, GzBuilder};
use wharf_core::digest::Algorithm;
use wharf_core::{Digest, Hasher};
use wharf_os::thread::spawn_scoped;

/// How many bytes are packed on their own. What is lost to the borders is below 0.1 %.
const GZIP_BLOCK: usize = 1024 * 1024;

/// The same for zstd, whose window is larger.
const ZSTD_BLOCK: usize = 4 * 1024 * 1024;

/// Docker's level for layers, and the format's default.
const GZIP_LEVEL: u32 = 6;

/// The format's default.
const ZSTD_LEVEL: i32 = 3;

/// More threads only cost memory: each has up to three blocks.
const THREADS_MAX: usize = 8;

/// How a layer is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

/// A layer that was packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The digest of the packed bytes.
    pub digest: Digest,
    /// How many they are.
    pub size: u64,
}

/// Packs all bytes of `from` into `to`.
pub fn pack(from: &mut dyn Read, to: &mut (dyn Write + Send), how: Packing) -> io::Result<Packed> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    pack_with(from, to, how, threads.clamp(1, THREADS_MAX))
}

/// Blocks go to the threads in turn, and come back in the same turn.
fn pack_with(
    from: &mut dyn Read,
    to: &mut (dyn Write + Send),
    how: Packing,
    threads: usize,
) -> io::Result<Packed> {
    thread::scope(|scope| {
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for _ in 0..threads {
            let (input, blocks) = sync_channel(1);
            let (packed, output) = sync_channel(1);
            // If it fails, the inputs are dropped, and with that the threads before end.
            spawn_scoped(scope, "pack", move || work(&blocks, &packed, how))?;
            inputs.push(input);
            outputs.push(output);
        }
        let writer = spawn_scoped(scope, "write", move || write(&outputs, to))?;
        let read = feed(from, &inputs, how);
        drop(inputs);
        let written = writer
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the packing stopped")));
        read?;
        written
    })
}

fn work(blocks: &Receiver<Vec<u8>>, packed: &SyncSender<io::Result<Vec<u8>>>, how: Packing) {
    for block in blocks {
        let done = match how {
            Packing::Gzip => gzip(&block),
            Packing::Zstd => zstd::bulk::compress(&block, ZSTD_LEVEL),
        };
        // Nobody takes it any more: writing has failed.
        if packed.send(done).is_err() {
            return;
        }
    }
}

fn gzip(block: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Level::new(GZIP_LEVEL));
    encoder.write_all(block)?;
    encoder.finish()
}

/// Cuts what is read into blocks. An empty layer is one empty block.
fn feed(from: &mut dyn Read, to: &[SyncSender<Vec<u8>>], how: Packing) -> io::Result<()> {
    let size = match how {
        Packing::Gzip => GZIP_BLOCK,
        Packing::Zstd => ZSTD_BLOCK,
    };
    for (turn, input) in to.iter().cycle().enumerate() {
        let mut block = Vec::with_capacity(size);
        from.take(size as u64).read_to_end(&mut block)?;
        let last = block.len() < size;
        if block.is_empty() && turn > 0 {
            return Ok(());
        }
        // If nobody takes it, the writer knows why.
        if input.send(block).is_err() || last {
            return Ok(());
        }
    }
    Ok(())
}

fn write(from: &[Receiver<io::Result<Vec<u8>>>], to: &mut dyn Write) -> io::Result<Packed> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut size = 0;
    for output in from.iter().cycle() {
        let Ok(block) = output.recv() else { break };
        let block = block?;
        to.write_all(&block)?;
        hasher.update(&block);
        size += block.len() as u64;
    }
    Ok(Packed {
        digest: hasher.finish(),
        size,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(length: usize) -> Vec<u8> {
        (0..length)
            .map(|at| u8::try_from((at / 7 * at) % 251).unwrap())
            .collect()
    }

    fn packed(bytes: &[u8], how: Packing, threads: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let done = pack_with(&mut &bytes[..], &mut out, how, threads).unwrap();
        assert_eq!(done.digest, Digest::of(&out));
        assert_eq!(done.size, out.len() as u64);
        out
    }

    #[test]
    fn what_was_packed_unpacks_to_the_same() {
        for length in [
            0,
            1,
            GZIP_BLOCK - 1,
            GZIP_BLOCK,
            3 * GZIP_BLOCK + 5,
            ZSTD_BLOCK + 1,
        ] {
            let bytes = bytes(length);
            let gzip = packed(&bytes, Packing::Gzip, 3);
            let mut out = Vec::new();
            flate2::read::MultiGzDecoder::new(&gzip[..])
                .read_to_end(&mut out)
                .unwrap();
            assert!(out == bytes, "gzip of {length} bytes");
            let zstd = packed(&bytes, Packing::Zstd, 3);
            assert!(
                zstd::decode_all(&zstd[..]).unwrap() == bytes,
                "zstd of {length} bytes"
            );
        }
    }

    #[test]
    fn the_number_of_cores_does_not_show() {
        let bytes = bytes(5 * GZIP_BLOCK + 17);
        for how in [Packing::Gzip, Packing::Zstd] {
            let one = packed(&bytes, how, 1);
            assert!((2..6).all(|threads| packed(&bytes, how, threads) == one));
        }
    }

    #[test]
    fn an_error_on_either_side_ends_it() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let bytes = bytes(20 * GZIP_BLOCK);
        let full = pack_with(&mut &bytes[..], &mut Full, Packing::Gzip, 2).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);

        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        let broken = pack_with(&mut Broken, &mut Vec::new(), Packing::Zstd, 2).unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::ConnectionReset);
    }
}
