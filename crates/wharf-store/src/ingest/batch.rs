//! Bytes that are gathered before they are written.
//!
//! A piece of a connection's buffer keeps the whole buffer in memory, however short it is: 256 KiB gathered
//! from a registry that answers every request with one byte would hold a gigabyte. So short pieces are
//! copied, and only long ones are kept as they came.

use bytes::{Bytes, BytesMut};

/// A piece this long is kept as it came, in bytes: copying it costs more than the rest of its buffer.
const KEPT: usize = 8 * 1024;

/// Bytes that follow each other.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pieces: Vec<Bytes>,
    /// What was copied, and comes after the pieces.
    copied: BytesMut,
    len: usize,
}

impl Batch {
    /// Adds the bytes that come next.
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.len += bytes.len();
        if bytes.len() < KEPT {
            self.copied.extend_from_slice(&bytes);
        } else {
            self.flush();
            self.pieces.push(bytes);
        }
    }

    /// How many bytes there are.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Takes them all, in order.
    pub(super) fn take(&mut self) -> Vec<Bytes> {
        self.flush();
        self.len = 0;
        std::mem::take(&mut self.pieces)
    }

    fn flush(&mut self) {
        if !self.copied.is_empty() {
            self.pieces.push(self.copied.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_order_and_no_buffer_of_a_short_piece() {
        let mut batch = Batch::default();
        let mut expected = Vec::new();
        for length in [1, 2, KEPT, 3, KEPT - 1, KEPT + 5, 7] {
            let bytes = vec![u8::try_from(length % 251).unwrap(); length];
            expected.extend_from_slice(&bytes);
            batch.push(bytes.into());
        }
        assert_eq!(batch.len(), expected.len());
        let pieces = batch.take();
        assert_eq!(pieces.concat(), expected);
        assert_eq!(pieces.len(), 5);
        assert_eq!((batch.len(), batch.take().len()), (0, 0));

        let buffer = Bytes::from(vec![0; 1024 * 1024]);
        for at in 0..1000 {
            batch.push(buffer.slice(at..=at));
        }
        let taken = batch.take();
        assert!(
            buffer.is_unique(),
            "the buffer is held by what was taken of it"
        );
        assert_eq!(taken.concat().len(), 1000);
    }

    #[test]
    fn many_short_pieces_are_one_long_one() {
        let mut batch = Batch::default();
        for _ in 0..100_000 {
            batch.push(Bytes::from_static(b"x"));
        }
        assert_eq!(batch.take().len(), 1);
    }
}
