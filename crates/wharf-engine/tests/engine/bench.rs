//! An engine with a store of its own, and what it reported.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::tz::TimeZone;
use tempfile::TempDir;
use wharf_core::{Event, Reference, Watch};
use wharf_engine::{
    Engine as _, EngineError, ListQuery, LocalEngine, PullOptions, Pulled, Removed, Settings,
    Verify,
};
use wharf_registry::RetryPolicy;

/// An engine over a new store.
pub(crate) struct Bench {
    pub(crate) engine: LocalEngine,
    pub(crate) folder: TempDir,
}

/// Remembers every event.
#[derive(Default)]
pub(crate) struct Heard(Mutex<Vec<Event>>);

impl Watch for Heard {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Heard {
    pub(crate) fn all(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::verifying(Verify::Full)
    }

    pub(crate) fn verifying(verify: Verify) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(&folder, verify);
        Self { engine, folder }
    }

    pub(crate) async fn pull(&self, reference: &Reference) -> Result<Pulled, EngineError> {
        self.pull_for(reference, None).await
    }

    pub(crate) async fn pull_for(
        &self,
        reference: &Reference,
        platform: Option<&str>,
    ) -> Result<Pulled, EngineError> {
        let options = PullOptions {
            platform: platform.map(|text| text.parse().unwrap()),
            ..PullOptions::default()
        };
        self.engine
            .pull(reference, &options, Arc::new(Heard::default()))
            .await
    }

    pub(crate) async fn heard(&self, reference: &Reference) -> Vec<Event> {
        let heard = Arc::new(Heard::default());
        let watch: Arc<dyn Watch> = heard.clone();
        self.engine
            .pull(reference, &PullOptions::default(), watch)
            .await
            .unwrap();
        heard.all()
    }

    /// The listing: `name,name id`, a line per image.
    pub(crate) async fn listing(&self) -> Vec<String> {
        let all = self.engine.images(&ListQuery::default()).await.unwrap();
        let line = |image: &wharf_engine::ImageSummary| {
            format!("{} {}", image.repo_tags.join(","), image.id.short())
        };
        all.iter().map(line).collect()
    }
}

pub(crate) fn open(folder: &TempDir, verify: Verify) -> LocalEngine {
    let retry = RetryPolicy {
        attempts: 3,
        base: Duration::from_millis(1),
        cap: Duration::from_millis(5),
    };
    let registry = wharf_registry::Settings {
        retry,
        ..wharf_registry::Settings::default()
    };
    let settings = Settings {
        registry,
        parallel: 4,
        verify,
        zone: TimeZone::UTC,
    };
    LocalEngine::open(&folder.path().join("store"), settings).unwrap()
}

/// The lines that `rmi` prints, IDs shortened.
pub(crate) fn words(removed: &[Removed]) -> Vec<String> {
    let word = |one: &Removed| match one {
        Removed::Untagged { name, .. } => format!("Untagged: {name}"),
        Removed::Deleted(digest) | Removed::DeletedLayers(digest) => {
            format!("Deleted: {}", digest.short())
        }
    };
    removed.iter().map(word).collect()
}
