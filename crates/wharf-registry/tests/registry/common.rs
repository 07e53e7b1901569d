//! What the tests share.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use wharf_core::{
    ContentError, Descriptor, Event, LayerStatus, Reader, Reference, Source as _, Watch,
};
use wharf_registry::{HostSettings, Registry, RetryPolicy, Settings};

/// Pauses so short that nobody notices them.
pub(crate) fn settings() -> Settings {
    Settings {
        retry: RetryPolicy {
            attempts: 4,
            base: Duration::from_millis(1),
            cap: Duration::from_millis(5),
        },
        // A machine that is busy with other tests must not look like a registry that stalls.
        stall_timeout: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(5),
        ..Settings::default()
    }
}

/// A client that soon thinks that a registry stalls.
pub(crate) fn impatient() -> Registry {
    Registry::new(Settings {
        stall_timeout: Duration::from_millis(200),
        ..settings()
    })
}

/// A client that knows nothing of anybody.
pub(crate) fn client() -> Registry {
    Registry::new(settings())
}

/// Settings with mirrors for a registry.
pub(crate) fn mirrored(domain: &str, mirrors: &[String]) -> Settings {
    let host = HostSettings {
        mirrors: mirrors.to_vec(),
        insecure: false,
    };
    Settings {
        registries: [(domain.to_owned(), host)].into(),
        ..settings()
    }
}

/// Remembers what it hears.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<Event>>>);

impl Heard {
    pub(crate) fn arc(&self) -> Arc<dyn Watch> {
        Arc::new(self.clone())
    }

    pub(crate) fn retries(&self) -> usize {
        let retry = |event: &&Event| {
            matches!(
                event,
                Event::Layer {
                    status: LayerStatus::Retrying { .. },
                    ..
                }
            )
        };
        self.0.lock().unwrap().iter().filter(retry).count()
    }

    /// The repositories that blobs were taken over from.
    pub(crate) fn mounts(&self) -> Vec<String> {
        let from = |event: &Event| match event {
            Event::Layer {
                status: LayerStatus::Mounted { from },
                ..
            } => Some(from.clone()),
            _ => None,
        };
        self.0.lock().unwrap().iter().filter_map(from).collect()
    }

    pub(crate) fn notices(&self) -> Vec<String> {
        let text = |event: &Event| match event {
            Event::Notice(text) => Some(text.clone()),
            _ => None,
        };
        self.0.lock().unwrap().iter().filter_map(text).collect()
    }
}

impl Watch for Heard {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// The bytes of a reader, and the error that ended it.
pub(crate) async fn drain(mut reader: Reader) -> (Vec<u8>, Option<ContentError>) {
    let mut all = Vec::new();
    while let Some(chunk) = reader.bytes.next().await {
        match chunk {
            Ok(bytes) => all.extend_from_slice(&bytes),
            Err(error) => return (all, Some(error)),
        }
    }
    (all, None)
}

/// All bytes of a blob.
pub(crate) async fn blob(
    client: &Registry,
    repository: &Reference,
    what: &Descriptor,
) -> Result<Vec<u8>, ContentError> {
    let source = client.source(repository, Heard::default().arc());
    let (bytes, error) = drain(source.open(what, 0..what.size).await?).await;
    error.map_or(Ok(bytes), Err)
}

/// The error of something that must not succeed.
pub(crate) fn refused<T>(result: Result<T, ContentError>) -> ContentError {
    match result {
        Ok(_) => panic!("it should have been refused"),
        Err(error) => error,
    }
}
