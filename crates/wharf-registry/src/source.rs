//! One repository, as a source of content.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use wharf_core::content::DOCUMENT_MAX;
use wharf_core::media_type::is_manifest;
use wharf_core::{ContentError, Descriptor, Reader, Reference, Source, Watch};

use crate::blobs;
use crate::client::Client;
use crate::error::RegistryError;

/// The content of one repository. Blobs come from the place that answered for the manifest, and
/// from the others where that one fails.
#[derive(Clone)]
pub struct RegistrySource {
    pub(crate) client: Arc<Client>,
    pub(crate) repository: Reference,
    pub(crate) watch: Arc<dyn Watch>,
}

impl std::fmt::Debug for RegistrySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RegistrySource({})", self.repository.repository())
    }
}

#[async_trait]
impl Source for RegistrySource {
    fn place(&self) -> String {
        self.repository.domain().to_owned()
    }

    async fn open(&self, what: &Descriptor, range: Range<u64>) -> Result<Reader, ContentError> {
        if is_manifest(&what.media_type) {
            return self.manifest(what).await;
        }
        blobs::open(&self.client, &self.repository, what, range, &self.watch).await
    }
}

impl RegistrySource {
    async fn manifest(&self, what: &Descriptor) -> Result<Reader, ContentError> {
        if what.size > DOCUMENT_MAX {
            return Err(ContentError::TooLarge {
                what: what.digest.to_string(),
                size: what.size,
                place: self.place(),
            });
        }
        let watch = self.watch.as_ref();
        let found = self.client.manifest(&self.repository, what, watch).await;
        let bytes = found.map_err(|error| match error {
            RegistryError::NotFound { .. } => ContentError::Missing {
                what: what.digest.clone(),
                place: self.place(),
            },
            RegistryError::Mismatch {
                expected,
                actual,
                place,
                ..
            } => ContentError::Mismatch {
                expected,
                actual,
                place,
            },
            error => error.into(),
        })?;
        let range = 0..bytes.len() as u64;
        Ok(Reader {
            range,
            bytes: stream::once(async move { Ok(bytes) }).boxed(),
        })
    }
}
