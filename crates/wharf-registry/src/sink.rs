//! One repository, as a place for content.
//!
//! What is sent goes to the registry itself, never to a mirror. A blob is asked for by HEAD, taken
//! over from another repository where one has it, or else uploaded ([`crate::uploads`]). Manifests
//! are put under their digests; [`RegistrySink::tag`] gives one of them its name at the end. Where it is known
//! before which one that will be ([`RegistrySink::naming`]), it is put once, under its name.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use reqwest::{Method, StatusCode};
use wharf_core::content::read_document;
use wharf_core::digest::Algorithm;
use wharf_core::media_type::is_manifest;
use wharf_core::{ContentError, Descriptor, Digest, Manifest, Reference, Sink, Source, Watch};

use crate::answer::{Topic, refusal};
use crate::client::{Call, Client, whom};
use crate::error::RegistryError;
use crate::place::Place;
use crate::uploads::Upload;

/// Knows in which other repositories of the same registry a blob may be, the likeliest first.
pub type Elsewhere = Arc<dyn Fn(&Digest) -> Vec<Reference> + Send + Sync>;

/// A repository that content is put into.
#[derive(Clone)]
pub struct RegistrySink {
    pub(crate) client: Arc<Client>,
    pub(crate) place: Arc<Place>,
    pub(crate) repository: Reference,
    pub(crate) elsewhere: Elsewhere,
    pub(crate) watch: Arc<dyn Watch>,
    /// What is to have which tag.
    naming: Option<(Digest, String)>,
    known: Arc<Mutex<Known>>,
}

/// What was found out about the repository, so that nothing is asked twice.
#[derive(Default)]
struct Known {
    there: HashSet<Digest>,
    missing: HashSet<Digest>,
    /// Which manifests were put under which tags.
    named: HashSet<(Digest, String)>,
}

impl std::fmt::Debug for RegistrySink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RegistrySink({})", self.repository.repository())
    }
}

impl RegistrySink {
    pub(crate) fn new(
        client: Arc<Client>,
        repository: &Reference,
        elsewhere: Elsewhere,
        watch: Arc<dyn Watch>,
    ) -> Result<Self, RegistryError> {
        Ok(Self {
            place: client.registry_place(repository.domain())?,
            client,
            repository: repository.clone(),
            elsewhere,
            watch,
            naming: None,
            known: Arc::default(),
        })
    }

    /// The same place, which puts this manifest under this tag at once.
    #[must_use]
    pub fn naming(&self, manifest: &Digest, tag: &str) -> Self {
        Self {
            // A registry names what comes under a tag by the algorithm that all of them have.
            naming: (manifest.algorithm() == Algorithm::Sha256)
                .then(|| (manifest.clone(), tag.to_owned())),
            ..self.clone()
        }
    }

    /// Puts a manifest under a tag. All that it refers to must be there.
    pub async fn tag(&self, manifest: &Manifest, tag: &str) -> Result<(), RegistryError> {
        let name = (manifest.descriptor.digest.clone(), tag.to_owned());
        if self.known().named.contains(&name) {
            return Ok(());
        }
        let (repository, watch) = (&self.repository, self.watch.as_ref());
        self.client
            .put_manifest(repository, Some(tag), manifest, watch)
            .await?;
        self.known().named.insert(name);
        Ok(())
    }

    /// Has the repository this manifest? Mirrors are not asked.
    pub async fn has_manifest(&self, digest: &Digest) -> Result<bool, RegistryError> {
        let watch = self.watch.as_ref();
        self.client
            .has_manifest(&self.repository, digest, watch)
            .await
    }

    async fn has_blob(&self, what: &Descriptor) -> Result<bool, RegistryError> {
        let (client, place, watch) = (&self.client, &self.place, self.watch.as_ref());
        let mut pauses = client.pauses(place);
        let mut decide = |error: &_| Client::decide_aloud(place, &mut pauses, error, watch);
        client
            .persist(&mut decide, || self.head_blob(what).boxed())
            .await
    }

    async fn head_blob(&self, what: &Descriptor) -> Result<bool, RegistryError> {
        let call = Call::push(Method::HEAD, format!("blobs/{}", what.digest));
        let watch = self.watch.as_ref();
        let asked = self
            .client
            .ask(&self.place, &self.repository, &call, watch)
            .await;
        let mut incoming = asked.map_err(RegistryError::of_push)?;
        match incoming.response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => {
                let topic = Topic::Blob(what.digest.clone());
                let shown = self.repository.familiar_repository();
                let whom = whom(&self.place, shown);
                Err(refusal(&mut incoming, &topic, whom).await.of_push())
            }
        }
    }

    async fn put_manifest(
        &self,
        what: &Descriptor,
        source: &dyn Source,
    ) -> Result<(), ContentError> {
        let raw = read_document(source, what).await?;
        let manifest =
            Manifest::parse(&what.media_type, raw).map_err(|error| ContentError::Document {
                what: what.digest.clone(),
                place: source.place(),
                source: Box::new(error),
            })?;
        match &self.naming {
            Some((named, tag)) if *named == what.digest => self.tag(&manifest, tag).await?,
            _ => {
                let (repository, watch) = (&self.repository, self.watch.as_ref());
                self.client
                    .put_manifest(repository, None, &manifest, watch)
                    .await?;
            }
        }
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every change is one insert: after a panic the sets are whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sink for RegistrySink {
    fn place(&self) -> String {
        self.repository.domain().to_owned()
    }

    /// A manifest counts only if it was put through this sink: another one's children may be gone
    /// from the registry. A blob that is not to be distributed counts as there: it is fetched from
    /// elsewhere, by whoever pulls.
    async fn contains(&self, what: &Descriptor) -> Result<bool, ContentError> {
        if self.known().there.contains(&what.digest) || is_foreign(what) {
            return Ok(true);
        }
        if is_manifest(&what.media_type) {
            return Ok(false);
        }
        let there = self.has_blob(what).await?;
        let mut known = self.known();
        if there {
            known.there.insert(what.digest.clone());
        } else {
            known.missing.insert(what.digest.clone());
        }
        Ok(there)
    }

    async fn put(
        &self,
        what: &Descriptor,
        source: Arc<dyn Source>,
        watch: Arc<dyn Watch>,
    ) -> Result<(), ContentError> {
        if self.known().there.contains(&what.digest) {
            return Ok(());
        }
        if is_manifest(&what.media_type) {
            self.put_manifest(what, source.as_ref()).await?;
        } else {
            let asked = self.known().missing.remove(&what.digest);
            if !asked && self.contains(what).await? {
                return Ok(());
            }
            Upload::new(self, what, source, watch).run().await?;
        }
        let mut known = self.known();
        known.missing.remove(&what.digest);
        known.there.insert(what.digest.clone());
        Ok(())
    }
}

/// A layer that is not to be distributed, and says where it can be had (Windows' base layers).
fn is_foreign(what: &Descriptor) -> bool {
    let kind = what.media_type.as_str();
    (kind.contains(".foreign.") || kind.contains(".nondistributable.")) && !what.urls.is_empty()
}
