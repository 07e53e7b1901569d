//! What is copied from, and what is copied to.

use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::Arc;

use wharf_archive::archive::{
    ArchiveError, ArchiveSink, ArchiveSource, Saved, is_packed, open_archive, spool,
};
use wharf_archive::layout::Layout;
use wharf_archive::outside::{Destination, NewFile, obstacle};
use wharf_core::{Descriptor, Manifest, Reference, Sink, Source};
use wharf_registry::{Elsewhere, RegistrySink};
use wharf_store::WhileRoom;

use super::referrers::About;
use super::{Transfer, shown};
use crate::local::translate::{self, Origin};
use crate::{EngineError, ErrorKind, Location, Result};

/// By which annotation an index in a layout names what it lists.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// wharf's own annotation: the tag under which a registry had what is about another entry. The image-spec's
/// would make an image of it that one can name.
const ABOUT: &str = "dev.wharf.about";

/// The permissions of a new archive: images may hold secrets.
const ARCHIVE_MODE: u32 = 0o600;

/// An opened place to copy from.
#[derive(Clone)]
pub(super) struct From {
    content: Arc<dyn Source>,
    /// What was named.
    pub(super) root: Descriptor,
    /// The repository, if it is a registry's.
    pub(super) repository: Option<Reference>,
    /// Of a layout, what is about its images, and the tags that say so.
    pub(super) about: Vec<(String, Descriptor)>,
    /// Says what is there, where not all may be.
    has: Arc<dyn Fn(&Descriptor) -> bool + Send + Sync>,
}

impl From {
    pub(super) fn content(&self) -> Arc<dyn Source> {
        Arc::clone(&self.content)
    }

    pub(super) fn has(&self, what: &Descriptor) -> bool {
        (self.has)(what)
    }

    pub(super) const fn origin(&self) -> Origin {
        match self.repository {
            Some(_) => Origin::Registry,
            None => Origin::File,
        }
    }
}

/// A place to copy to.
pub(super) enum To {
    Registry {
        sink: RegistrySink,
        name: Reference,
    },
    Layout {
        layout: Layout,
        name: Option<String>,
    },
    Archive {
        sink: ArchiveSink,
        file: NewFile,
        name: Option<Reference>,
    },
}

impl To {
    pub(super) fn sink(&self) -> Arc<dyn Sink> {
        match self {
            Self::Registry { sink, .. } => Arc::new(sink.clone()),
            Self::Layout { layout, .. } => Arc::new(layout.clone()),
            Self::Archive { sink, .. } => Arc::new(sink.clone()),
        }
    }

    pub(super) const fn is_archive(&self) -> bool {
        matches!(self, Self::Archive { .. })
    }
}

impl Transfer<'_> {
    pub(super) async fn open(&self, from: &Location) -> Result<From> {
        match from {
            Location::Registry(name) => {
                let watch = Arc::clone(&self.watch);
                let resolved = self.registry.resolve(name, watch.as_ref()).await?;
                Ok(From {
                    content: Arc::new(self.registry.source(name, watch)),
                    root: resolved.manifest.descriptor,
                    repository: Some(name.clone()),
                    about: Vec::new(),
                    has: Arc::new(|_| true),
                })
            }
            Location::Layout { folder, name } => open_layout(folder, name.as_deref()),
            Location::Archive { file, name } => self.open_archive(file, name.as_deref()),
        }
    }

    fn open_archive(&self, path: &Path, name: Option<&str>) -> Result<From> {
        let file = wharf_os::file::open(path).map_err(|error| cannot("open", path, &error))?;
        let file = if is_packed(&file).map_err(ArchiveError::from)? {
            let mut unpacked = WhileRoom::new(self.store.spool()?);
            spool(file, &mut unpacked)?;
            unpacked.into_inner()
        } else {
            file
        };
        let archive = open_archive(file)?;
        let root = in_archive(&archive, name, path)?;
        let listing = archive.clone();
        Ok(From {
            content: Arc::new(archive),
            root,
            repository: None,
            about: Vec::new(),
            has: Arc::new(move |what| listing.has(what)),
        })
    }

    pub(super) fn target(&self, to: &Location, from: &From) -> Result<To> {
        match to {
            Location::Registry(name) => {
                let source = from.repository.clone();
                // Both in one registry: it takes its own blobs over.
                let elsewhere: Elsewhere = Arc::new(move |_| source.iter().cloned().collect());
                let sink = self
                    .registry
                    .sink(name, elsewhere, Arc::clone(&self.watch))?;
                let name = name.clone();
                Ok(To::Registry { sink, name })
            }
            Location::Layout { folder, name } => {
                // The folder may not exist yet; a link that another user made is not followed.
                match Destination::open(folder).and_then(Destination::followed) {
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                        return Err(cannot("write", folder, &error));
                    }
                    _ => {}
                }
                Ok(To::Layout {
                    layout: Layout::new(folder),
                    name: name.clone(),
                })
            }
            Location::Archive { file: path, name } => {
                let name = name.as_deref().map(str::parse::<Reference>).transpose();
                let name =
                    name.map_err(|error| EngineError::new(ErrorKind::Invalid, error.to_string()))?;
                let failed = |error| cannot("write", path, &error);
                let destination = Destination::open(path).map_err(failed)?;
                if let Some(obstacle) = obstacle(&destination) {
                    let message = format!("{}: {obstacle}", path.display());
                    return Err(EngineError::new(ErrorKind::Invalid, message));
                }
                let file = destination.new_file().map_err(failed)?;
                let out = file.file().try_clone().map_err(failed)?;
                Ok(To::Archive {
                    sink: ArchiveSink::new(Box::new(BufWriter::new(out))),
                    file,
                    name: name.map(Reference::or_latest),
                })
            }
        }
    }

    /// Names what was copied. Until then, nobody sees it.
    pub(super) async fn finish(
        &self,
        to: To,
        from: &From,
        root: &Manifest,
        about: Vec<About>,
    ) -> Result<()> {
        match to {
            To::Registry { sink, name } => match (name.tag(), name.digest()) {
                (_, Some(digest)) if *digest != root.descriptor.digest => {
                    let message = format!(
                        "{} cannot be put under the digest {digest}",
                        root.descriptor.digest
                    );
                    Err(EngineError::new(ErrorKind::Invalid, message))
                }
                (Some(tag), _) => Ok(sink.tag(root, tag).await?),
                (None, _) => Ok(()),
            },
            To::Layout { layout, name } => {
                // A few small files: a moment's wait is nobody's loss.
                list(&layout, name, &entries(root, &about))
                    .map_err(|error| EngineError::new(ErrorKind::Internal, error.to_string()))
            }
            To::Archive { sink, file, name } => {
                let mut all = vec![Saved {
                    root: root.descriptor.clone(),
                    image: shown(root, from).map(|image| image.digest),
                    names: name.into_iter().collect(),
                    local: false,
                }];
                all.extend(about.into_iter().map(|about| Saved {
                    root: about.manifest.descriptor,
                    image: None,
                    names: Vec::new(),
                    local: false,
                }));
                sink.finish(all)
                    .await
                    .map_err(translate::content(from.origin()))?;
                let path = file.destination().path().to_owned();
                file.finish_durably(ARCHIVE_MODE)
                    .map_err(|error| cannot("write", &path, &error))
            }
        }
    }
}

fn entries(root: &Manifest, about: &[About]) -> Vec<Descriptor> {
    let others = about.iter().map(|about| {
        let mut entry = plain(&about.manifest.descriptor);
        if let Some(tag) = &about.tag {
            entry.annotations.insert(ABOUT.to_owned(), tag.clone());
        }
        entry
    });
    std::iter::once(plain(&root.descriptor))
        .chain(others)
        .collect()
}

/// Without annotations.
fn plain(what: &Descriptor) -> Descriptor {
    Descriptor::new(what.media_type.clone(), what.digest.clone(), what.size)
}

/// Adds to a layout's list. What had the name loses it; what is there twice is listed once.
fn list(layout: &Layout, name: Option<String>, new: &[Descriptor]) -> io::Result<()> {
    let mut all = layout.manifests()?;
    all.retain(|known| {
        let named = known.annotations.get(REF_NAME);
        let renamed = name.is_some() && named == name.as_ref();
        let again = named.is_none() && new.iter().any(|one| one.digest == known.digest);
        !renamed && !again
    });
    for (place, descriptor) in new.iter().enumerate() {
        let mut descriptor = descriptor.clone();
        if let Some(name) = name.as_ref().filter(|_| place == 0) {
            descriptor
                .annotations
                .insert(REF_NAME.to_owned(), name.clone());
        }
        all.push(descriptor);
    }
    layout.set_manifests(&all)
}

fn open_layout(folder: &Path, name: Option<&str>) -> Result<From> {
    let layout = Layout::new(folder);
    let listed = layout
        .manifests()
        .map_err(|error| cannot("read", folder, &error))?;
    let (about, listed): (Vec<_>, Vec<_>) = listed
        .into_iter()
        .partition(|descriptor| descriptor.annotations.contains_key(ABOUT));
    let named = |descriptor: &Descriptor| descriptor.annotations.get(REF_NAME).cloned();
    let names: Vec<String> = listed.iter().filter_map(named).collect();
    let fits: Vec<&Descriptor> = match name {
        Some(name) => listed
            .iter()
            .filter(|d| named(d).as_deref() == Some(name))
            .collect(),
        // What has no name beside one that has is about it: a signature.
        None if !names.is_empty() => listed.iter().filter(|d| named(d).is_some()).collect(),
        None => listed.iter().collect(),
    };
    let root = only(&fits, name, folder, &names)?;
    let content = layout.clone();
    Ok(From {
        content: Arc::new(content),
        root: plain(root),
        repository: None,
        about: about
            .iter()
            .map(|what| (what.annotations[ABOUT].clone(), plain(what)))
            .collect(),
        has: Arc::new(move |what| layout.holds(what)),
    })
}

fn in_archive(archive: &ArchiveSource, name: Option<&str>, path: &Path) -> Result<Descriptor> {
    let images = archive.images();
    let all = || images.iter().flat_map(|image| &image.names);
    let names: Vec<String> = all().map(|name| name.reference.familiar()).collect();
    let mut fits: Vec<&Descriptor> = match name {
        Some(name) => {
            let wanted = name.parse::<Reference>().map(Reference::or_latest).ok();
            let is = |reference: &Reference| {
                Some(reference) == wanted.as_ref() || reference.tag() == Some(name)
            };
            all()
                .filter(|name| is(&name.reference))
                .map(|name| &name.root)
                .collect()
        }
        None => {
            let named = images
                .iter()
                .flat_map(|image| image.names.iter().map(|n| &n.root));
            let unnamed = images.iter().filter(|image| image.names.is_empty());
            named.chain(unnamed.map(|image| &image.root)).collect()
        }
    };
    fits.dedup_by(|a, b| a.digest == b.digest);
    only(&fits, name, path, &names).cloned()
}

/// The one that was meant.
fn only<'a>(
    fits: &[&'a Descriptor],
    name: Option<&str>,
    path: &Path,
    names: &[String],
) -> Result<&'a Descriptor> {
    let place = path.display();
    match (fits, name) {
        ([one], _) => Ok(one),
        ([], None) => {
            let message = format!("there is no image in {place}");
            Err(EngineError::new(ErrorKind::NotFound, message))
        }
        ([], Some(name)) => {
            let message = format!("there is no image {name} in {place}");
            let error = EngineError::new(ErrorKind::NotFound, message);
            Err(error.hint(format!("there are: {}", names.join(", "))))
        }
        ([..], _) => {
            let message = format!("{place} holds several images");
            let error = EngineError::new(ErrorKind::Invalid, message);
            Err(error.hint(format!("name one behind a colon: {}", names.join(", "))))
        }
    }
}

fn cannot(verb: &str, path: &Path, error: &io::Error) -> EngineError {
    let kind = if error.kind() == io::ErrorKind::NotFound {
        ErrorKind::NotFound
    } else {
        ErrorKind::Internal
    };
    EngineError::new(kind, format!("cannot {verb} {}: {error}", path.display()))
}
