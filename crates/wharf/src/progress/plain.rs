//! A line per change, for pipes and files.

use std::collections::HashMap;

use wharf_core::{Digest, LayerStatus};

use super::words;

/// What was said last of each layer.
#[derive(Default)]
pub(super) struct Plain(HashMap<Digest, String>);

impl Plain {
    /// The line for a change; `None` if it was said already, or needs no line.
    pub(super) fn line(&mut self, digest: &Digest, status: &LayerStatus) -> Option<String> {
        let line = words::layer(digest, status)?;
        if self.0.get(digest) == Some(&line) {
            return None;
        }
        self.0.insert(digest.clone(), line.clone());
        // A file is read later, by somebody who wants to know why it took so long.
        Some(match status {
            LayerStatus::Retrying { reason, .. } => format!("{} ({reason})\n", line.trim_end()),
            _ => line,
        })
    }
}
