//! A client for image registries: addresses, TLS, credentials, mirrors, retry, resume.
//!
//! | module | what it does |
//! |---|---|
//! | [`settings`] | what the client must be told: plain data |
//! | [`error`] | what can go wrong, of which kind it is, what to do about it |
//!
//! Why not a ready-made client: none of them resumes a blob where it broke, renews a token in the
//! middle of a pull, and takes mirrors for any registry. What is ready-made is everything below:
//! HTTP, TLS, the parsing of challenges.

pub mod error;
mod redact;
pub mod settings;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use wharf_core::{ContentError, Descriptor, Manifest, Reader, Reference, Source, Watch};

pub use error::{RegistryError, RegistryErrorKind, TlsTrouble};
pub use settings::{CredentialSettings, HostSettings, Proxies, RetryPolicy, Settings};

/// A client for every registry. Cloning is cheap; the clones share connections and tokens.
///
/// Making one opens nothing: HTTP, TLS and certificates wait for the first request.
#[derive(Clone, Debug)]
pub struct Registry {
    settings: Arc<Settings>,
}

/// What a name points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The manifest; its descriptor was computed here.
    pub manifest: Manifest,
    /// The registry or mirror that sent it, for messages.
    pub place: String,
}

/// One repository, as a source of content.
#[derive(Clone, Debug)]
pub struct RegistrySource {
    registry: Registry,
    repository: Reference,
}

impl Registry {
    /// A client that works as `settings` say.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings: Arc::new(settings),
        }
    }

    /// Fetches the manifest that `reference` names, by its digest if it has one, else by its tag.
    ///
    /// `watch` hears of pauses and of credentials that cannot be read.
    pub async fn resolve(
        &self,
        reference: &Reference,
        _watch: &dyn Watch,
    ) -> Result<Resolved, RegistryError> {
        Err(unbuilt(reference))
    }

    /// Asks for the descriptor of the manifest that `reference` names.
    pub async fn head(&self, reference: &Reference) -> Result<Descriptor, RegistryError> {
        Err(unbuilt(reference))
    }

    /// Lists the tags of a repository, in the registry's order.
    pub async fn tags(&self, repository: &Reference) -> Result<Vec<String>, RegistryError> {
        Err(unbuilt(repository))
    }

    /// The content of a repository. `watch` hears of the pauses between attempts.
    pub fn source(&self, repository: &Reference, _watch: Arc<dyn Watch>) -> RegistrySource {
        RegistrySource {
            registry: self.clone(),
            repository: repository.clone(),
        }
    }
}

#[async_trait]
impl Source for RegistrySource {
    fn place(&self) -> String {
        self.repository.domain().to_owned()
    }

    async fn open(&self, _: &Descriptor, _: Range<u64>) -> Result<Reader, ContentError> {
        let _ = &self.registry.settings;
        Err(unbuilt(&self.repository).into())
    }
}

fn unbuilt(reference: &Reference) -> RegistryError {
    RegistryError::Setting {
        what: reference.to_string(),
        reason: "not built yet".to_owned(),
    }
}
