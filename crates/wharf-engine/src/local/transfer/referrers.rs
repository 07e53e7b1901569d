//! What is about an image: signatures, bills of materials, attestations that stand beside it.
//!
//! Most of it says what it is about, and registries list it. cosign, up to its second version, names it by a
//! tag instead: `sha256-<hex>.sig` stands beside the manifest of that digest.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use futures_util::future::join_all;
use wharf_core::copy::{Options, copy};
use wharf_core::event::Unwatched;
use wharf_core::manifest::Kind;
use wharf_core::media_type::OCI_INDEX;
use wharf_core::{Descriptor, Digest, Manifest};
use wharf_registry::{RegistryErrorKind, referrers_tag};

use super::places::{From, To};
use super::{Transfer, read};
use crate::local::translate::{self, Origin};
use crate::{EngineError, ErrorKind, Result};

/// Bounds how many are copied with one image: a registry may list them without end.
const REFERRERS_MAX: usize = 1000;

/// What cosign's tags end with: signatures, attestations, bills of materials.
const COSIGN: [&str; 3] = ["sig", "att", "sbom"];

/// Something that is about an image.
pub(super) struct About {
    pub(super) manifest: Manifest,
    /// The tag that says so, if the manifest itself does not.
    pub(super) tag: Option<String>,
}

/// The document that an index's list is.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    schema_version: u32,
    media_type: &'static str,
    manifests: &'a [Descriptor],
}

impl Transfer<'_> {
    /// Copies what is about `root`, about the images that it lists, and about that in turn.
    pub(super) async fn copy_referrers(
        &self,
        from: &From,
        to: &To,
        root: &Manifest,
        how: &Options,
    ) -> Result<Vec<About>> {
        let mut subjects = VecDeque::from([root.descriptor.digest.clone()]);
        if let Kind::Index(index) = &root.kind {
            subjects.extend(index.manifests.iter().map(|child| child.digest.clone()));
        }
        let (mut all, mut seen) = (Vec::new(), HashSet::new());
        while let Some(subject) = subjects.pop_front() {
            self.copy_tagged(from, to, &subject, how, &mut all).await?;
            // Only registries answer what refers to what.
            let Some(repository) = &from.repository else {
                continue;
            };
            let watch = self.watch.as_ref();
            let found = self.registry.referrers(repository, &subject, watch).await?;
            let new: Vec<Descriptor> = found
                .manifests
                .into_iter()
                .filter(|what| seen.insert(what.digest.clone()))
                .collect();
            for what in &new {
                if all.len() >= REFERRERS_MAX {
                    return Err(too_many());
                }
                let plain =
                    Descriptor::new(what.media_type.clone(), what.digest.clone(), what.size);
                let content = from.content();
                let sink = to.sink();
                copy(Arc::clone(&content), sink, &plain, how, Arc::new(Unwatched))
                    .await
                    .map_err(translate::copy(Origin::Registry))?;
                let manifest = read(from, &plain).await?;
                all.push(About {
                    manifest,
                    tag: None,
                });
                subjects.push_back(what.digest.clone());
            }
            self.list(to, &subject, &new).await?;
        }
        Ok(all)
    }

    /// Copies what cosign's tags name, and names it so.
    async fn copy_tagged(
        &self,
        from: &From,
        to: &To,
        subject: &Digest,
        how: &Options,
        all: &mut Vec<About>,
    ) -> Result<()> {
        for (tag, what) in self.tagged(from, subject).await? {
            if all.len() >= REFERRERS_MAX {
                return Err(too_many());
            }
            copy(from.content(), to.sink(), &what, how, Arc::new(Unwatched))
                .await
                .map_err(translate::copy(from.origin()))?;
            let manifest = read(from, &what).await?;
            if let To::Registry { sink, .. } = to {
                sink.tag(&manifest, &tag).await?;
            }
            all.push(About {
                manifest,
                tag: Some(tag),
            });
        }
        Ok(())
    }

    /// What is there under cosign's tags for `subject`.
    async fn tagged(&self, from: &From, subject: &Digest) -> Result<Vec<(String, Descriptor)>> {
        let tags = COSIGN.map(|kind| format!("{}.{kind}", referrers_tag(subject)));
        let Some(repository) = &from.repository else {
            let known = from.about.iter().filter(|(tag, _)| tags.contains(tag));
            return Ok(known.cloned().collect());
        };
        let watch = self.watch.as_ref();
        let asked = tags.map(async |tag| {
            let Ok(name) = repository.without_tag().with_tag(&tag) else {
                return Ok(None);
            };
            match self.registry.resolve(&name, watch).await {
                Ok(resolved) => Ok(Some((tag, resolved.manifest.descriptor))),
                Err(error) if error.kind() == RegistryErrorKind::NotFound => Ok(None),
                Err(error) => Err(EngineError::from(error)),
            }
        });
        let found: Result<Vec<_>> = join_all(asked).await.into_iter().collect();
        Ok(found?.into_iter().flatten().collect())
    }

    /// Keeps the list for a registry that keeps none by itself.
    async fn list(&self, to: &To, subject: &Digest, new: &[Descriptor]) -> Result<()> {
        let To::Registry { sink, name } = to else {
            return Ok(());
        };
        if new.is_empty() {
            return Ok(());
        }
        let watch = self.watch.as_ref();
        let known = self.registry.referrers(name, subject, watch).await?;
        if known.kept {
            return Ok(());
        }
        let mut manifests = known.manifests;
        for what in new {
            if !manifests.iter().any(|known| known.digest == what.digest) {
                manifests.push(what.clone());
            }
        }
        let list = List {
            schema_version: 2,
            media_type: OCI_INDEX,
            manifests: &manifests,
        };
        let internal = |error: String| EngineError::new(ErrorKind::Internal, error);
        let raw = serde_json::to_vec(&list).map_err(|error| internal(error.to_string()))?;
        let index =
            Manifest::parse(OCI_INDEX, raw.into()).map_err(|error| internal(error.to_string()))?;
        Ok(sink.tag(&index, &referrers_tag(subject)).await?)
    }
}

fn too_many() -> EngineError {
    let message = format!("more than {REFERRERS_MAX} manifests are about the image");
    EngineError::new(ErrorKind::Invalid, message)
        .hint("--no-referrers copies the image without them")
}
