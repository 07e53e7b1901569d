//! Pushing: find what the name points to, pack what was made here, copy what the registry lacks,
//! put the manifest under its tag.

use std::sync::Arc;

use wharf_core::{Event, Reference, Watch};
use wharf_registry::Registry;
use wharf_store::Store;

use crate::{EngineError, ErrorKind, PushOptions, Pushed, Result, Settings};

/// Sends what `reference` names; without a tag, every tag of its repository.
pub(super) async fn push(
    _store: &Store,
    _registry: &Registry,
    _settings: &Settings,
    reference: &Reference,
    _options: &PushOptions,
    watch: Arc<dyn Watch>,
) -> Result<Vec<Pushed>> {
    watch.event(Event::Pushing {
        reference: reference.clone(),
    });
    let message = format!("{} cannot be sent yet", reference.familiar());
    Err(EngineError::new(ErrorKind::Invalid, message))
}
