//! A registry's content in a store on this machine's disk.
//!
//! The repository `team/app` is `wharf.internal/team/app` in the store: its tags are names like any
//! other, so what was pushed is listed, inspected and removed like what was pulled. Links say which
//! content a repository holds; an upload's ID carries a mark of the repository that it is for.
//!
//! A name that was given here, with `wharf tag`, offers an image to the registry's clients: its
//! content is linked when somebody asks for it first.

use std::sync::Arc;

use async_trait::async_trait;
use wharf_core::content::{ContentError, Document};
use wharf_core::digest::Algorithm;
use wharf_core::event::Unwatched;
use wharf_core::manifest::Kind;
use wharf_core::media_type::is_manifest;
use wharf_core::{Descriptor, Digest, Manifest, Reference, Sink as _};
use wharf_store::{
    LinkKind, ManifestKind, Reading, SinkOptions, Store, StoreError, UploadError, Writing,
};

use super::backend::{
    Backend, BackendError, Blob, BodyStream, Content, DOMAIN, NewManifest, Repository,
    StoredManifest, Target, UploadId,
};

/// How deep indexes in indexes are linked when a name is offered.
const DEPTH_MAX: usize = 4;

/// How many hex digits of the repository's digest an upload's ID carries.
const MARK_LEN: usize = 12;

/// A registry's content in a store.
#[derive(Clone)]
pub struct DiskBackend {
    store: Store,
}

impl DiskBackend {
    /// Serves the repositories of this store.
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// The manifest that a name points to, whose content the repository holds from now on.
    fn tagged(&self, repository: &Repository, tag: &str) -> Result<Option<Digest>, BackendError> {
        let (reference, links) = (named(repository, tag)?, links(repository));
        let found = self.store.read(|rows| {
            let Some(name) = rows.name(&reference)? else {
                return Ok(None);
            };
            let linked = rows.is_linked(&links, &name.target, LinkKind::Manifest)?;
            Ok::<_, StoreError>(Some((name.target, linked)))
        })?;
        match found {
            Some((digest, true)) => Ok(Some(digest)),
            Some((digest, false)) => {
                self.store
                    .write(|rows| offer(rows, &links, &digest, DEPTH_MAX))?;
                Ok(Some(digest))
            }
            None => Ok(None),
        }
    }

    /// The bytes of a manifest that the repository holds.
    fn linked(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<StoredManifest>, BackendError> {
        let links = links(repository);
        let row = self.store.read(|rows| {
            match rows.is_linked(&links, digest, LinkKind::Manifest)? {
                true => rows.manifest(digest),
                false => Ok(None),
            }
        })?;
        let Some(row) = row else { return Ok(None) };
        let Some(bytes) = self.store.document(digest)? else {
            return Ok(None);
        };
        let media_type = row.descriptor.media_type;
        Ok(Some(StoredManifest {
            media_type,
            digest: digest.clone(),
            bytes,
        }))
    }
}

#[async_trait]
impl Backend for DiskBackend {
    fn blob(&self, repository: &Repository, digest: &Digest) -> Result<Option<Blob>, BackendError> {
        let links = links(repository);
        if !self
            .store
            .read(|rows| rows.is_linked(&links, digest, LinkKind::Blob))?
        {
            return Ok(None);
        }
        let blob = self.store.blob(digest)?;
        Ok(blob.map(|blob| Blob {
            size: blob.size,
            content: Content::File(blob.file),
        }))
    }

    fn delete_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, BackendError> {
        let links = links(repository);
        Ok(self
            .store
            .write(|rows| rows.unlink(&links, digest, LinkKind::Blob))?
            .0)
    }

    fn mount(
        &self,
        from: &Repository,
        to: &Repository,
        digest: &Digest,
    ) -> Result<bool, BackendError> {
        let (from, to) = (links(from), links(to));
        let mounted = self.store.write(|rows| {
            let there = rows.is_linked(&from, digest, LinkKind::Blob)?;
            if there {
                rows.link(&to, digest, LinkKind::Blob)?;
            }
            Ok::<_, StoreError>(there)
        })?;
        Ok(mounted.0)
    }

    fn manifest(
        &self,
        repository: &Repository,
        target: &Target,
    ) -> Result<Option<StoredManifest>, BackendError> {
        let digest = match target {
            Target::Digest(digest) => Some(digest.clone()),
            Target::Tag(tag) => self.tagged(repository, tag)?,
        };
        digest.map_or(Ok(None), |digest| self.linked(repository, &digest))
    }

    async fn put_manifest(
        &self,
        repository: &Repository,
        new: &NewManifest,
    ) -> Result<(), BackendError> {
        let what = &new.manifest.descriptor;
        if what.digest.algorithm() != Algorithm::Sha256 {
            return Err(BackendError::Invalid(
                "manifests are named by sha256 here".into(),
            ));
        }
        let (store, links, manifest) =
            (self.store.clone(), links(repository), new.manifest.clone());
        // The lease keeps everything from being collected until the links are there.
        let lease = blocking(move || {
            let lease = Arc::new(store.lease()?);
            for (digest, _) in needs(&manifest) {
                lease.hold(&digest)?;
            }
            let missing = store.read(|rows| missing(rows, &links, &manifest))?;
            if missing.is_empty() {
                Ok(lease)
            } else {
                Err(BackendError::Missing(missing))
            }
        })
        .await?;
        // A registry takes what it is given: layers are not read, odd configs are borne.
        let options = SinkOptions {
            lenient: true,
            ..SinkOptions::default()
        };
        let document = Document {
            bytes: new.manifest.raw.clone(),
            place: "the request".into(),
        };
        let sink = self.store.sink(Arc::clone(&lease), options);
        sink.put(what, Arc::new(document), Arc::new(Unwatched))
            .await
            .map_err(refused)?;
        let (store, repository, digest, tag) = (
            self.store.clone(),
            repository.clone(),
            what.digest.clone(),
            new.tag.clone(),
        );
        blocking(move || {
            let published = store.write(|rows| publish(rows, &repository, &digest, tag.as_deref()));
            drop(lease);
            published.map(drop)
        })
        .await
    }

    fn delete_manifest(
        &self,
        repository: &Repository,
        target: &Target,
    ) -> Result<bool, BackendError> {
        let links = links(repository);
        let digest = match target {
            Target::Tag(tag) => {
                // What it points to stays, and the repository holds it by its digest.
                if self.tagged(repository, tag)?.is_none() {
                    return Ok(false);
                }
                let reference = named(repository, tag)?;
                return Ok(self
                    .store
                    .write(|rows| rows.remove_name(&reference))?
                    .0
                    .is_some());
            }
            Target::Digest(digest) => digest,
        };
        let deleted = self.store.write(|rows| {
            let image = rows.manifest(digest)?.and_then(|row| row.image);
            let tags = rows.untag_all(&links, digest)?;
            let deleted = rows.unlink(&links, digest, LinkKind::Manifest)?;
            // As with `rmi`: an image goes with its last name.
            if let Some(image) = image.filter(|_| !tags.is_empty())
                && rows.names_of(&image)?.is_empty()
                && rows.repo_digests_of(&image)?.is_empty()
            {
                rows.remove_image(&image)?;
            }
            Ok::<_, StoreError>(deleted)
        })?;
        Ok(deleted.0)
    }

    fn tags(
        &self,
        repository: &Repository,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<Vec<String>>, BackendError> {
        let links = links(repository);
        Ok(self.store.read(|rows| {
            let tags = rows.tags(&links, after, limit)?;
            let known = !tags.is_empty() || is_known(rows, &links)?;
            Ok::<_, StoreError>(known.then_some(tags))
        })?)
    }

    fn repositories(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, BackendError> {
        let prefix = format!("{DOMAIN}/");
        let after = format!("{prefix}{}", after.unwrap_or_default());
        let all = self
            .store
            .read(|rows| rows.repositories(Some(&after), limit))?;
        // In order, so those of other registries come behind all of ours.
        Ok(all
            .iter()
            .map_while(|name| name.strip_prefix(&prefix))
            .map(str::to_owned)
            .collect())
    }

    fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, BackendError> {
        let links = links(repository);
        let mut all = self.store.read(|rows| rows.referrers(&links, subject))?;
        all.sort_by(|a, b| a.digest.as_str().cmp(b.digest.as_str()));
        Ok(all)
    }

    fn begin_upload(&self, repository: &Repository) -> Result<UploadId, BackendError> {
        let id = self.store.uploads().begin()?;
        format!("{id}-{}", mark(repository)).parse()
    }

    fn upload_len(&self, repository: &Repository, id: &UploadId) -> Result<u64, BackendError> {
        Ok(self.store.uploads().len(known(repository, id)?)?)
    }

    fn cancel_upload(&self, repository: &Repository, id: &UploadId) -> Result<(), BackendError> {
        Ok(self.store.uploads().cancel(known(repository, id)?)?)
    }

    async fn append(
        &self,
        repository: &Repository,
        id: &UploadId,
        offset: u64,
        bytes: BodyStream,
    ) -> Result<u64, BackendError> {
        Ok(self
            .store
            .uploads()
            .append(known(repository, id)?, Some(offset), bytes)
            .await?)
    }

    async fn finish_upload(
        &self,
        repository: &Repository,
        id: &UploadId,
        digest: &Digest,
    ) -> Result<(), BackendError> {
        let id = known(repository, id)?;
        let store = self.store.clone();
        let lease = blocking(move || Ok(store.lease()?)).await?;
        self.store.uploads().finish(id, digest, &lease).await?;
        let (store, links, digest) = (self.store.clone(), links(repository), digest.clone());
        blocking(move || {
            store.write(|rows| rows.link(&links, &digest, LinkKind::Blob))?;
            drop(lease);
            Ok(())
        })
        .await
    }
}

/// Under which name a repository links its content.
fn links(repository: &Repository) -> String {
    repository.reference().repository().to_owned()
}

fn named(repository: &Repository, tag: &str) -> Result<Reference, BackendError> {
    repository
        .reference()
        .with_tag(tag)
        .map_err(BackendError::failed)
}

/// What a manifest needs in its repository.
fn needs(manifest: &Manifest) -> Vec<(Digest, LinkKind)> {
    let index = matches!(manifest.kind, Kind::Index(_));
    let kind = |child: &Descriptor| match index && is_manifest(&child.media_type) {
        true => LinkKind::Manifest,
        false => LinkKind::Blob,
    };
    manifest
        .children()
        .into_iter()
        .map(|child| (child.digest.clone(), kind(child)))
        .collect()
}

fn missing(
    rows: &Reading<'_>,
    links: &str,
    manifest: &Manifest,
) -> Result<Vec<Digest>, StoreError> {
    let mut missing = Vec::new();
    for (digest, kind) in needs(manifest) {
        if !rows.is_linked(links, &digest, kind)? {
            missing.push(digest);
        }
    }
    Ok(missing)
}

/// A manifest is here: the repository holds it, and a tag points to it.
fn publish(
    rows: &mut Writing<'_>,
    repository: &Repository,
    digest: &Digest,
    tag: Option<&str>,
) -> Result<(), BackendError> {
    rows.link(&links(repository), digest, LinkKind::Manifest)?;
    if let Some(tag) = tag {
        let image = rows.manifest(digest)?.and_then(|row| row.image);
        rows.set_name(&named(repository, tag)?, digest, image.as_ref())?;
    }
    Ok(())
}

/// Links a manifest that was named here, and all that it needs and that is here.
fn offer(
    rows: &mut Writing<'_>,
    links: &str,
    digest: &Digest,
    depth: usize,
) -> Result<(), StoreError> {
    let Some(row) = rows.manifest(digest)? else {
        return Ok(());
    };
    rows.link(links, digest, LinkKind::Manifest)?;
    for child in row.children.iter().filter(|child| child.here) {
        if row.kind != ManifestKind::Index || rows.manifest(&child.digest)?.is_none() {
            rows.link(links, &child.digest, LinkKind::Blob)?;
        } else if depth > 0 {
            offer(rows, links, &child.digest, depth - 1)?;
        }
    }
    Ok(())
}

/// Is there a repository of this name? The store lists the names behind a given text, so the text is the
/// last one before this name: no character of a name is behind `~`.
fn is_known(rows: &Reading<'_>, links: &str) -> Result<bool, StoreError> {
    let Some((last, first)) = links.as_bytes().split_last() else {
        return Ok(false);
    };
    let mut before = String::from_utf8_lossy(first).into_owned();
    before.push(char::from(last.saturating_sub(1)));
    before.push('~');
    Ok(rows
        .repositories(Some(&before), 1)?
        .first()
        .is_some_and(|name| name == links))
}

fn mark(repository: &Repository) -> String {
    Digest::of(repository.name().as_bytes()).hex()[..MARK_LEN].to_owned()
}

/// The store's ID of an upload, if the upload is for this repository.
fn known<'a>(repository: &Repository, id: &'a UploadId) -> Result<&'a str, BackendError> {
    let (id, marked) = id
        .as_str()
        .split_once('-')
        .ok_or(BackendError::UploadUnknown)?;
    if marked == mark(repository) {
        Ok(id)
    } else {
        Err(BackendError::UploadUnknown)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackendError> + Send + 'static,
) -> Result<T, BackendError> {
    wharf_os::blocking::start(work)
        .await
        .map_err(BackendError::failed)?
}

/// Why the store does not take a manifest.
fn refused(error: ContentError) -> BackendError {
    match error {
        ContentError::Place(error) => match error.downcast::<StoreError>() {
            Ok(error) => (*error).into(),
            Err(error) => BackendError::Failed(error),
        },
        ContentError::Document { source, .. } => BackendError::Invalid(source.to_string()),
        ContentError::DiffId { .. } => BackendError::Invalid(error.to_string()),
        other => BackendError::failed(other),
    }
}

impl From<StoreError> for BackendError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::MissingChild { child, .. } => Self::Missing(vec![child]),
            other => Self::failed(other),
        }
    }
}

impl From<UploadError> for BackendError {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Unknown(_) => Self::UploadUnknown,
            UploadError::Offset { length, .. } => Self::Offset(length),
            UploadError::Busy(_) => Self::Busy,
            UploadError::Interrupted(source) => Self::Body(std::io::Error::other(source)),
            UploadError::Digest { expected, actual } => Self::Mismatch { expected, actual },
            UploadError::Store(error) => error.into(),
        }
    }
}
