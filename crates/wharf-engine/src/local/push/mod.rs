//! Pushing: find what the name points to, pack what was made here, copy what the registry lacks,
//! put the manifest under its tag.
//!
//! | module | what it does |
//! |---|---|
//! | `choose` | which manifest of a name is sent |
//! | `pack` | plain layers of images that were made here |
//! | `report` | layers by their diff IDs, as Docker names them |

mod choose;
mod pack;
mod report;

use std::sync::Arc;

use wharf_core::copy::{Choose, Options, copy};
use wharf_core::manifest::{Index, Kind};
use wharf_core::{Digest, Event, Manifest, Reference, Watch};
use wharf_registry::{Elsewhere, Registry, RegistrySink};
use wharf_store::{Lease, ManifestRow, Name, Store};

use self::report::Reporter;
use super::translate::{self, Origin};
use crate::{EngineError, ErrorKind, PushOptions, Pushed, Result, Settings};

/// Bounds how many tags of one repository are sent at once: all that anybody has.
const TAGS_MAX: usize = 100_000;

/// Sends what `reference` names; without a tag, every tag of its repository.
pub(super) async fn push(
    store: &Store,
    registry: &Registry,
    settings: &Settings,
    reference: &Reference,
    options: &PushOptions,
    watch: Arc<dyn Watch>,
) -> Result<Vec<Pushed>> {
    if reference.digest().is_some() {
        let message = "cannot push a digest reference";
        return Err(EngineError::new(ErrorKind::Invalid, message));
    }
    watch.event(Event::Pushing {
        reference: reference.clone(),
    });
    let names = names(store, reference)?;
    let sink = registry.sink(reference, elsewhere(store), Arc::clone(&watch))?;
    let pusher = Pusher {
        store,
        settings,
        options,
        sink,
        // Nothing that is about to be sent is collected meanwhile.
        lease: Arc::new(store.read_lease()?),
        watch,
    };
    let mut all = Vec::new();
    for name in names {
        all.push(pusher.push(&name).await?);
    }
    Ok(all)
}

/// The names to send, in Docker's words where there are none (28.5: distribution push).
fn names(store: &Store, reference: &Reference) -> Result<Vec<Name>> {
    let repository = reference.without_tag();
    let none = |message: String| Err(EngineError::new(ErrorKind::NotFound, message));
    store.read(|rows| {
        let tags = rows.tags(repository.repository(), None, TAGS_MAX)?;
        if tags.is_empty() {
            let name = repository.familiar();
            return none(format!(
                "An image does not exist locally with the tag: {name}"
            ));
        }
        if reference.tag().is_some() {
            return match rows.name(reference)? {
                Some(name) => Ok(vec![name]),
                None => none(format!("tag does not exist: {}", reference.familiar())),
            };
        }
        let mut all = Vec::new();
        for tag in tags {
            let name = repository.with_tag(&tag).map_err(|error| {
                EngineError::new(ErrorKind::Corrupt, format!("tag {tag}")).because(error)
            })?;
            all.extend(rows.name(&name)?);
        }
        Ok(all)
    })
}

/// Where else in a registry a blob may be: where an image that has it was pulled from or pushed to.
fn elsewhere(store: &Store) -> Elsewhere {
    let store = store.clone();
    Arc::new(move |blob| {
        let found = store.read(|rows| rows.repositories_with(blob));
        // It is a short cut: without it the blob is sent.
        found.unwrap_or_default()
    })
}

struct Pusher<'a> {
    store: &'a Store,
    settings: &'a Settings,
    options: &'a PushOptions,
    sink: RegistrySink,
    lease: Arc<Lease>,
    watch: Arc<dyn Watch>,
}

/// What is sent for a name.
struct Plan {
    root: Manifest,
    /// Of an index, what is here.
    here: Vec<Digest>,
}

impl Pusher<'_> {
    async fn push(&self, name: &Name) -> Result<Pushed> {
        self.lease.hold(&name.target)?;
        let row = self.row(&name.target)?;
        let mut plan = self.choose(name, &row).await?;
        // A store that can only be read has no place for packed layers: they are sent as they are.
        if row.local
            && !self.store.is_read_only()
            && let Some(packed) = self.pack(&plan.root).await?
        {
            plan.root = packed;
        }
        let Plan { root, here } = plan;
        let watch = Reporter::new(Arc::clone(&self.watch), self.diff_ids(&root, &here)?);
        let choose: Choose = Arc::new(move |index: &Index| {
            let listed = index.manifests.iter();
            listed
                .filter(|child| here.contains(&child.digest))
                .cloned()
                .collect()
        });
        let how = Options {
            parallel: self.settings.parallel,
            choose,
        };
        let tag = name.reference.tag().unwrap_or_default();
        let (from, to) = (
            self.store.source(),
            self.sink.naming(&root.descriptor.digest, tag),
        );
        copy(
            Arc::new(from),
            Arc::new(to),
            &root.descriptor,
            &how,
            Arc::new(watch),
        )
        .await
        .map_err(translate::copy(Origin::Store))?;
        // Another name may have brought it there before.
        self.sink.tag(&root, tag).await?;
        self.remember(name, &root)?;
        let pushed = Pushed {
            reference: name.reference.clone(),
            digest: root.descriptor.digest,
            size: root.descriptor.size,
        };
        self.watch.event(Event::Pushed {
            reference: pushed.reference.clone(),
            digest: pushed.digest.clone(),
            size: pushed.size,
        });
        Ok(pushed)
    }

    /// The registry has the image under this digest from now on; a packed manifest is kept by it.
    fn remember(&self, name: &Name, root: &Manifest) -> Result<()> {
        if self.store.is_read_only() {
            return Ok(());
        }
        let digest = name.reference.with_digest(root.descriptor.digest.clone());
        self.store.write(|rows| {
            if let Some(image) = &name.image {
                rows.set_repo_digest(&digest.without_tag(), image)?;
            }
            rows.mark_used(&name.reference)?;
            Ok::<_, EngineError>(())
        })?;
        Ok(())
    }

    fn row(&self, digest: &Digest) -> Result<ManifestRow> {
        let row = self
            .store
            .read(|rows| Ok::<_, EngineError>(rows.manifest(digest)?))?;
        row.ok_or_else(|| damaged(digest))
    }

    fn manifest(&self, row: &ManifestRow) -> Result<Manifest> {
        let digest = &row.descriptor.digest;
        let raw = self.store.document(digest)?;
        let raw = raw.ok_or_else(|| damaged(digest))?;
        Manifest::parse(&row.descriptor.media_type, raw).map_err(|error| {
            let message = format!("manifest {digest} cannot be read");
            EngineError::new(ErrorKind::Corrupt, message).because(error)
        })
    }

    /// The manifests of images that a push sends.
    fn images(&self, root: &Manifest, here: &[Digest]) -> Result<Vec<Manifest>> {
        let Kind::Index(index) = &root.kind else {
            return Ok(vec![root.clone()]);
        };
        let children = index.images().filter(|child| here.contains(&child.digest));
        children
            .map(|child| self.manifest(&self.row(&child.digest)?))
            .collect()
    }
}

fn damaged(digest: &Digest) -> EngineError {
    let message = format!("{digest} is missing from the store");
    EngineError::new(ErrorKind::Corrupt, message)
        .hint("`wharf store check` says what is damaged; pulling the image again makes it whole")
}
