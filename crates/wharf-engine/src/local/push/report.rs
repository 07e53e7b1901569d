//! Layers by their diff IDs: a push is told of them as Docker does, which knows no other names.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use wharf_core::config::ImageConfig;
use wharf_core::manifest::Kind;
use wharf_core::{Digest, Event, LayerStatus, Manifest, Watch};

use super::{Pusher, damaged};
use crate::{EngineError, ErrorKind, Result};

/// Passes a copy's events on.
pub(super) struct Reporter {
    to: Arc<dyn Watch>,
    diff_ids: HashMap<Digest, Digest>,
    /// The layers that were taken over from another repository: more needn't be said of them.
    mounted: Mutex<HashSet<Digest>>,
}

impl Reporter {
    pub(super) fn new(to: Arc<dyn Watch>, diff_ids: HashMap<Digest, Digest>) -> Self {
        Self {
            to,
            diff_ids,
            mounted: Mutex::default(),
        }
    }
}

impl Watch for Reporter {
    fn event(&self, event: Event) {
        let Event::Layer { digest, status } = event else {
            return self.to.event(event);
        };
        let mut mounted = self.mounted.lock().unwrap_or_else(PoisonError::into_inner);
        match status {
            LayerStatus::Mounted { .. } => _ = mounted.insert(digest.clone()),
            LayerStatus::Complete if mounted.contains(&digest) => return,
            _ => {}
        }
        drop(mounted);
        let digest = self.diff_ids.get(&digest).cloned().unwrap_or(digest);
        self.to.event(Event::Layer { digest, status });
    }
}

impl Pusher<'_> {
    /// The diff ID of each layer that a push sends.
    pub(super) fn diff_ids(
        &self,
        root: &Manifest,
        here: &[Digest],
    ) -> Result<HashMap<Digest, Digest>> {
        let mut all = HashMap::new();
        for image in self.images(root, here)? {
            let Kind::Image(parts) = &image.kind else {
                continue;
            };
            let raw = self.store.document(&parts.config.digest)?;
            let raw = raw.ok_or_else(|| damaged(&parts.config.digest))?;
            let config = ImageConfig::parse(raw).map_err(|error| {
                let message = format!("config {} cannot be read", parts.config.digest);
                EngineError::new(ErrorKind::Corrupt, message).because(error)
            })?;
            let layers = parts.layers.iter().map(|layer| layer.digest.clone());
            all.extend(layers.zip(config.fields.rootfs.diff_ids));
        }
        Ok(all)
    }
}
