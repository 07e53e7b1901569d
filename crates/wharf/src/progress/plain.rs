//! A line per change, for pipes and files.

use std::collections::HashMap;

use wharf_core::{Digest, LayerStatus};

use wharf_engine::words::{self, Way};

/// What was said last of each layer.
#[derive(Default)]
pub(super) struct Plain {
    way: Way,
    said: HashMap<Digest, String>,
}

impl Plain {
    /// For bytes that go this way.
    pub(super) fn new(way: Way) -> Self {
        Self {
            way,
            said: HashMap::new(),
        }
    }

    /// The line for a change; `None` if it was said already, or needs no line.
    pub(super) fn line(&mut self, digest: &Digest, status: &LayerStatus) -> Option<String> {
        let change = words::change(self.way, status)?;
        let line = format!("{}: {change}\n", digest.short());
        if self.said.get(digest) == Some(&line) {
            return None;
        }
        self.said.insert(digest.clone(), line.clone());
        // A file is read later, by somebody who wants to know why it took so long.
        Some(match status {
            LayerStatus::Retrying { reason, .. } => format!("{} ({reason})\n", line.trim_end()),
            _ => line,
        })
    }
}
