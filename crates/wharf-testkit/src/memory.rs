//! A registry's content, in memory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use wharf_core::content::digest_like;
use wharf_core::manifest::Kind;
use wharf_core::media_type::is_manifest;
use wharf_core::{Descriptor, Digest};
use wharf_server::registry::backend::{
    Blob, BodyStream, Content, NewManifest, Repository, StoredManifest, Target, UploadId,
};
use wharf_server::registry::{Backend, BackendError};

/// A registry's content, in memory.
#[derive(Default)]
pub struct MemoryBackend {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    blobs: HashMap<Digest, Bytes>,
    repositories: BTreeMap<String, Held>,
    uploads: HashMap<UploadId, Upload>,
    uploads_begun: u64,
}

/// What a repository holds.
#[derive(Default)]
struct Held {
    blobs: HashSet<Digest>,
    manifests: BTreeMap<Digest, StoredManifest>,
    tags: BTreeMap<String, Digest>,
    referrers: BTreeMap<Digest, BTreeMap<Digest, Descriptor>>,
}

struct Upload {
    repository: Repository,
    bytes: Vec<u8>,
}

impl MemoryBackend {
    /// Holds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn held(&self, repository: &Repository) -> Option<&Held> {
        self.repositories.get(repository.name())
    }

    fn held_mut(&mut self, repository: &Repository) -> &mut Held {
        self.repositories
            .entry(repository.name().to_owned())
            .or_default()
    }

    fn upload(
        &mut self,
        repository: &Repository,
        id: &UploadId,
    ) -> Result<&mut Upload, BackendError> {
        let upload = self
            .uploads
            .get_mut(id)
            .filter(|upload| upload.repository == *repository);
        upload.ok_or(BackendError::UploadUnknown)
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    fn blob(&self, repository: &Repository, digest: &Digest) -> Result<Option<Blob>, BackendError> {
        let state = self.state();
        let here = state
            .held(repository)
            .is_some_and(|held| held.blobs.contains(digest));
        let bytes = state.blobs.get(digest).filter(|_| here).cloned();
        Ok(bytes.map(|b| Blob {
            size: b.len() as u64,
            content: Content::Memory(b),
        }))
    }

    fn delete_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, BackendError> {
        Ok(self.state().held_mut(repository).blobs.remove(digest))
    }

    fn mount(
        &self,
        from: &Repository,
        to: &Repository,
        digest: &Digest,
    ) -> Result<bool, BackendError> {
        let mut state = self.state();
        let there = state
            .held(from)
            .is_some_and(|held| held.blobs.contains(digest));
        if there {
            state.held_mut(to).blobs.insert(digest.clone());
        }
        Ok(there)
    }

    fn manifest(
        &self,
        repository: &Repository,
        target: &Target,
    ) -> Result<Option<StoredManifest>, BackendError> {
        let state = self.state();
        let Some(held) = state.held(repository) else {
            return Ok(None);
        };
        let digest = match target {
            Target::Tag(tag) => held.tags.get(tag),
            Target::Digest(digest) => Some(digest),
        };
        Ok(digest
            .and_then(|digest| held.manifests.get(digest))
            .cloned())
    }

    async fn put_manifest(
        &self,
        repository: &Repository,
        new: &NewManifest,
    ) -> Result<(), BackendError> {
        let mut state = self.state();
        let held = state.held_mut(repository);
        let missing: Vec<Digest> = children(new)
            .into_iter()
            .filter(|child| match is_manifest(&child.media_type) {
                true => !held.manifests.contains_key(&child.digest),
                false => !held.blobs.contains(&child.digest),
            })
            .map(|child| child.digest)
            .collect();
        if !missing.is_empty() {
            return Err(BackendError::Missing(missing));
        }
        let stored = StoredManifest {
            media_type: new.manifest.descriptor.media_type.clone(),
            digest: new.manifest.descriptor.digest.clone(),
            bytes: new.manifest.raw.clone(),
        };
        if let Some((subject, descriptor)) = &new.referrer {
            let list = held.referrers.entry(subject.clone()).or_default();
            list.insert(descriptor.digest.clone(), descriptor.clone());
        }
        if let Some(tag) = &new.tag {
            held.tags.insert(tag.clone(), stored.digest.clone());
        }
        held.manifests.insert(stored.digest.clone(), stored);
        Ok(())
    }

    fn delete_manifest(
        &self,
        repository: &Repository,
        target: &Target,
    ) -> Result<bool, BackendError> {
        let mut state = self.state();
        let held = state.held_mut(repository);
        Ok(match target {
            Target::Tag(tag) => held.tags.remove(tag).is_some(),
            Target::Digest(digest) => {
                held.tags.retain(|_, target| target != digest);
                held.referrers
                    .values_mut()
                    .for_each(|list| drop(list.remove(digest)));
                held.manifests.remove(digest).is_some()
            }
        })
    }

    fn tags(
        &self,
        repository: &Repository,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<Vec<String>>, BackendError> {
        let state = self.state();
        Ok(state.held(repository).map(|held| {
            let behind = held
                .tags
                .keys()
                .filter(|tag| after.is_none_or(|a| tag.as_str() > a));
            behind.take(limit).cloned().collect()
        }))
    }

    fn repositories(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, BackendError> {
        let state = self.state();
        let names = state
            .repositories
            .iter()
            .filter(|(_, held)| !held.manifests.is_empty());
        let behind = names
            .map(|(name, _)| name)
            .filter(|n| after.is_none_or(|a| n.as_str() > a));
        Ok(behind.take(limit).cloned().collect())
    }

    fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, BackendError> {
        let state = self.state();
        let list = state
            .held(repository)
            .and_then(|held| held.referrers.get(subject));
        Ok(list
            .map(|list| list.values().cloned().collect())
            .unwrap_or_default())
    }

    fn begin_upload(&self, repository: &Repository) -> Result<UploadId, BackendError> {
        let mut state = self.state();
        state.uploads_begun += 1;
        // Not a secret: this registry is for tests.
        let id: UploadId = format!("upload-{}", state.uploads_begun).parse()?;
        let upload = Upload {
            repository: repository.clone(),
            bytes: Vec::new(),
        };
        state.uploads.insert(id.clone(), upload);
        Ok(id)
    }

    fn upload_len(&self, repository: &Repository, id: &UploadId) -> Result<u64, BackendError> {
        Ok(self.state().upload(repository, id)?.bytes.len() as u64)
    }

    fn cancel_upload(&self, repository: &Repository, id: &UploadId) -> Result<(), BackendError> {
        let mut state = self.state();
        state.upload(repository, id)?;
        state.uploads.remove(id);
        Ok(())
    }

    async fn append(
        &self,
        repository: &Repository,
        id: &UploadId,
        offset: u64,
        mut bytes: BodyStream,
    ) -> Result<u64, BackendError> {
        let mut len = offset;
        loop {
            let next = bytes.next().await.transpose().map_err(BackendError::Body)?;
            let mut state = self.state();
            let upload = state.upload(repository, id)?;
            if upload.bytes.len() as u64 != len {
                return Err(BackendError::Offset(upload.bytes.len() as u64));
            }
            let Some(chunk) = next else { return Ok(len) };
            upload.bytes.extend_from_slice(&chunk);
            len = upload.bytes.len() as u64;
        }
    }

    async fn finish_upload(
        &self,
        repository: &Repository,
        id: &UploadId,
        digest: &Digest,
    ) -> Result<(), BackendError> {
        let mut state = self.state();
        state.upload(repository, id)?;
        let bytes = state
            .uploads
            .remove(id)
            .map(|upload| upload.bytes)
            .unwrap_or_default();
        let actual = digest_like(digest, &bytes);
        if actual != *digest {
            return Err(BackendError::Mismatch {
                expected: digest.clone(),
                actual,
            });
        }
        state.blobs.insert(digest.clone(), bytes.into());
        state.held_mut(repository).blobs.insert(digest.clone());
        Ok(())
    }
}

/// What a manifest needs in its repository. Foreign layers are elsewhere.
fn children(new: &NewManifest) -> Vec<Descriptor> {
    let all = match &new.manifest.kind {
        Kind::Index(index) => index.manifests.clone(),
        Kind::Image(_) | Kind::Artifact(_) => {
            new.manifest.children().into_iter().cloned().collect()
        }
    };
    all.into_iter()
        .filter(|child| child.urls.is_empty())
        .collect()
}
