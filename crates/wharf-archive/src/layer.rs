//! Reads layers while they pass.
//!
//! ```text
//! bytes as they come ─▶ unpack (gzip | zstd | xz | bzip2 | plain) ─▶ hash ─▶ diff ID
//!                                                                └──▶ walk ─▶ size
//! ```
//!
//! One thread does all of it, in pieces of 128 KiB that stay in the processor's cache; a layer
//! takes some 250 KiB of memory (zstd and xz also their windows, 8 and 40 MiB at most, bzip2 4 MiB). A pull has several
//! layers under way, which keeps the other processors busy: docs/speed.md has the figures.

mod bzip2;
pub(crate) mod fault;
pub(crate) mod gate;
mod gzip;
pub(crate) mod header;
pub(crate) mod limits;
pub(crate) mod pax;
pub(crate) mod seek;
pub(crate) mod unpack;
mod walk;
mod xz;
mod zstd;

use std::sync::Arc;

use wharf_core::digest::Algorithm;
use wharf_core::layer::{Inspect, Inspector, LayerError, LayerFacts, Notes};
use wharf_core::media_type::{
    OCI_LAYER, OCI_LAYER_BZIP2, OCI_LAYER_GZIP, OCI_LAYER_XZ, OCI_LAYER_ZSTD, is_layer,
};
use wharf_core::{Descriptor, Hasher};

use self::fault::Fault;
use self::gate::Gate;
use self::limits::{Limits, WINDOWS_AT_ONCE};
use self::unpack::Unpack;
use self::walk::Walk;
use crate::files::notes::NotesWriter;

/// How many of a layer's first bytes tell how it is packed.
pub const HEAD: usize = unpack::SNIFF;

/// Tells whether a layer that begins with these bytes is packed.
pub fn is_packed(head: &[u8]) -> bool {
    media_type_of(head) != OCI_LAYER
}

/// Returns the type of a layer that begins with these bytes.
pub fn media_type_of(head: &[u8]) -> &'static str {
    match unpack::Packing::of(head) {
        unpack::Packing::None => OCI_LAYER,
        unpack::Packing::Gzip => OCI_LAYER_GZIP,
        unpack::Packing::Zstd => OCI_LAYER_ZSTD,
        unpack::Packing::Bzip2 => OCI_LAYER_BZIP2,
        unpack::Packing::Xz => OCI_LAYER_XZ,
    }
}

/// How many bytes are unpacked at once: what stays in the second-level cache beside the inflater's
/// tables while it is hashed and walked over.
const OUTPUT: usize = 128 * 1024;

/// Reads layers: their diff IDs and sizes.
///
/// Of zstd and xz layers, whose windows are large, one inspector reads one at a time: the next one waits in
/// `write` until that is finished or given up, so each of several has to be on a thread of its own.
#[derive(Clone, Debug)]
pub struct LayerInspector {
    limits: Limits,
    windows: Arc<Gate>,
}

impl LayerInspector {
    /// Reads layers within the usual limits.
    pub fn new() -> Self {
        Self::within(Limits::USUAL)
    }

    fn within(limits: Limits) -> Self {
        Self {
            limits,
            windows: Gate::new(WINDOWS_AT_ONCE),
        }
    }

    /// Refuses archives with names that lead out of them. Of a layer that others have made that is up to whoever
    /// unpacks it: its bytes are its digest's.
    #[must_use]
    pub fn staying_inside(mut self) -> Self {
        self.limits.inside = true;
        self
    }

    /// Starts on a layer of any media type.
    pub fn start(&self) -> Box<dyn Inspect> {
        Box::new(self.reading())
    }

    fn reading(&self) -> Reading {
        Reading {
            unpack: Unpack::new(Arc::clone(&self.windows)),
            content: Content {
                hasher: Hasher::new(Algorithm::Sha256),
                walk: Walk::new(&self.limits),
                packed: 0,
                unpacked: 0,
                limits: self.limits,
            },
            failed: None,
        }
    }
}

impl Default for LayerInspector {
    fn default() -> Self {
        Self::new()
    }
}

impl Inspector for LayerInspector {
    fn reads(&self, layer: &Descriptor) -> bool {
        // Which of the layers' types it is does not matter: the bytes say how they are packed.
        is_layer(&layer.media_type)
    }

    fn begin(&self, layer: &Descriptor, notes: Option<Notes>) -> Option<Box<dyn Inspect>> {
        self.reads(layer).then(|| {
            let mut reading = self.reading();
            if let Some(notes) = notes {
                reading.unpack.mark();
                reading.content.walk.note(NotesWriter::new(notes));
            }
            Box::new(reading) as _
        })
    }
}

/// A layer that is being read.
struct Reading {
    unpack: Unpack,
    content: Content,
    /// Why it cannot be read: said again to whoever goes on all the same.
    failed: Option<String>,
}

/// What has been learned of a layer so far.
struct Content {
    hasher: Hasher,
    walk: Walk,
    packed: u64,
    unpacked: u64,
    limits: Limits,
}

impl Content {
    /// Takes the next unpacked bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.unpacked += bytes.len() as u64;
        if self.unpacked > self.limits.unpacked {
            return Err(Fault::TooLarge);
        }
        let allowed = self
            .packed
            .saturating_mul(self.limits.ratio)
            .max(self.limits.free);
        if self.unpacked > allowed {
            return Err(Fault::Ratio);
        }
        self.hasher.update(bytes);
        self.walk.write(bytes)
    }
}

impl Reading {
    /// Does the next step, unless one before it failed.
    fn attempt(
        &mut self,
        step: impl FnOnce(&mut Unpack, &mut Content) -> Result<(), Fault>,
    ) -> Result<(), LayerError> {
        if self.failed.is_none() {
            let result = step(&mut self.unpack, &mut self.content);
            self.failed = result.err().map(|fault| fault.to_string());
        }
        match &self.failed {
            Some(reason) => Err(LayerError {
                reason: reason.clone(),
            }),
            None => Ok(()),
        }
    }
}

impl Inspect for Reading {
    fn write(&mut self, bytes: &[u8]) -> Result<(), LayerError> {
        self.attempt(|unpack, content| {
            content.packed += bytes.len() as u64;
            unpack.write(bytes, &mut |bytes| content.write(bytes))
        })
    }

    fn finish(mut self: Box<Self>) -> Result<LayerFacts, LayerError> {
        let mut size = 0;
        self.attempt(|unpack, content| {
            unpack.finish(&mut |bytes| content.write(bytes))?;
            content.walk.points(unpack.points());
            size = content.walk.finish()?;
            Ok(())
        })?;
        Ok(LayerFacts {
            diff_id: self.content.hasher.finish(),
            size,
        })
    }
}

#[cfg(test)]
mod tests;
