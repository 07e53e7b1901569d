//! Content that arrives.

use std::sync::Arc;

use async_trait::async_trait;
use wharf_core::layer::Inspector;
use wharf_core::{ContentError, Descriptor, Sink, Source, Watch};

/// How content is stored.
#[derive(Clone)]
pub struct SinkOptions {
    /// Reads the layers on their way in: `verify = "full"`. Without one only blob digests are
    /// verified.
    pub inspector: Option<Arc<dyn Inspector>>,
    /// How many ranged connections fetch one large blob.
    pub connections: usize,
}

impl Default for SinkOptions {
    fn default() -> Self {
        Self { inspector: None, connections: 1 }
    }
}

/// The store as a place to copy to.
#[derive(Clone)]
pub struct DiskSink {}

#[async_trait]
#[expect(unused_variables, reason = "signatures first")]
impl Sink for DiskSink {
    fn place(&self) -> String {
        todo!()
    }
    async fn contains(&self, what: &Descriptor) -> Result<bool, ContentError> {
        todo!()
    }
    async fn put(
        &self,
        what: &Descriptor,
        source: Arc<dyn Source>,
        watch: Arc<dyn Watch>,
    ) -> Result<(), ContentError> {
        todo!()
    }
}
