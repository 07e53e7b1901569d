//! Saving images: into one archive, the stored bytes as they are.
//!
//! Names are found before a byte is written. A repository without a tag means all its tags, and is an
//! image's ID only if there are none (Docker 28.5: `image/tarexport`, `parseNames`).

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;

use wharf_archive::archive::{ArchiveSink, Saved};
use wharf_core::copy::{Choose, Options, copy};
use wharf_core::event::Unwatched;
use wharf_core::manifest::{Index, Kind};
use wharf_core::media_type::is_index;
use wharf_core::{Descriptor, Digest, Manifest, Reference, reference};
use wharf_store::{ImageRow, Reading, Store};

use super::find::{find, platform_of};
use super::translate::{self, Origin};
use crate::{EngineError, ErrorKind, Result, SaveOptions};

/// Writes the archive of `names` to `out`.
pub(super) async fn save(
    store: &Store,
    names: &[String],
    options: &SaveOptions,
    out: Box<dyn Write + Send>,
) -> Result<()> {
    // Nothing that is about to be written is collected meanwhile.
    let lease = store.read_lease()?;
    let wanted = store.read(|rows| resolve(rows, names))?;
    let mut all = Vec::new();
    let mut present = HashSet::new();
    for one in wanted {
        lease.hold(&one.target)?;
        lease.hold(&one.image.manifest.digest)?;
        all.push(plan(store, one, options, &mut present)?);
    }
    let sink = ArchiveSink::new(out);
    let choose: Choose = Arc::new(move |index: &Index| {
        let here = |d: &&Descriptor| present.contains(&d.digest);
        index.manifests.iter().filter(here).cloned().collect()
    });
    let how = Options {
        parallel: 1,
        choose,
    };
    for saved in &all {
        let (from, to) = (Arc::new(store.source()), Arc::new(sink.clone()));
        copy(from, to, &saved.root, &how, Arc::new(Unwatched))
            .await
            .map_err(translate::copy(Origin::Store))?;
    }
    sink.finish(all)
        .await
        .map_err(translate::content(Origin::Store))
}

/// One image to save.
struct Wanted {
    image: ImageRow,
    /// What its names point to.
    target: Digest,
    names: Vec<Reference>,
}

fn resolve(rows: &Reading<'_>, names: &[String]) -> Result<Vec<Wanted>> {
    let mut all = Vec::new();
    for text in names {
        for (image, target, name) in resolve_one(rows, text)? {
            add(&mut all, image, target, name);
        }
    }
    Ok(all)
}

fn add(all: &mut Vec<Wanted>, image: ImageRow, target: Digest, name: Option<Reference>) {
    let same =
        |one: &&mut Wanted| one.image.id == image.id && (one.target == target || name.is_none());
    match all.iter_mut().find(same) {
        Some(one) => {
            let new = name.filter(|name| !one.names.contains(name));
            one.names.extend(new);
        }
        None => all.push(Wanted {
            image,
            target,
            names: name.into_iter().collect(),
        }),
    }
}

type Found = (ImageRow, Digest, Option<Reference>);

fn resolve_one(rows: &Reading<'_>, text: &str) -> Result<Vec<Found>> {
    let by_id = |text: &str| {
        let image = find(rows, text)?.image;
        let target = image.manifest.digest.clone();
        Ok::<_, EngineError>(vec![(image, target, None)])
    };
    if reference::is_identifier(text) || text.parse::<Digest>().is_ok() {
        return by_id(text);
    }
    let name: Reference = text.parse().map_err(|error: reference::ReferenceError| {
        EngineError::new(ErrorKind::Invalid, error.to_string())
    })?;
    if name.familiar_repository() == "sha256" {
        return by_id(text);
    }
    if name.is_name_only() {
        let tags = tags_of(rows, &name)?;
        let found: Vec<Found> = tags
            .into_iter()
            .filter_map(|tag| named(rows, tag).transpose())
            .collect::<Result<_>>()?;
        return if found.is_empty() {
            by_id(text).map_err(|_| EngineError::no_such_image(text))
        } else {
            Ok(found)
        };
    }
    match named(rows, name)? {
        Some(found) => Ok(vec![found]),
        // Docker's words for a name that isn't here (28.5: reference store).
        None => Err(EngineError::new(
            ErrorKind::NotFound,
            "reference does not exist",
        )),
    }
}

/// The names with tags of a repository.
fn tags_of(rows: &Reading<'_>, repository: &Reference) -> Result<Vec<Reference>> {
    let wanted = repository.repository();
    let all = rows.images()?.into_iter().flat_map(|listed| listed.names);
    Ok(all.filter(|name| name.repository() == wanted).collect())
}

fn named(rows: &Reading<'_>, name: Reference) -> Result<Option<Found>> {
    if name.digest().is_some() {
        let Some(id) = rows.repo_digest(&name.without_tag())? else {
            return Ok(None);
        };
        let target = name.digest().cloned();
        return Ok(rows.image(&id)?.map(|image| {
            let target = target.unwrap_or(image.manifest.digest.clone());
            (image, target, None)
        }));
    }
    let Some(row) = rows.name(&name)? else {
        return Ok(None);
    };
    let image = row.image.map(|id| rows.image(&id)).transpose()?.flatten();
    Ok(image.map(|image| (image, row.target, Some(name))))
}

/// Decides what of an image is written.
fn plan(
    store: &Store,
    one: Wanted,
    options: &SaveOptions,
    present: &mut HashSet<Digest>,
) -> Result<Saved> {
    let row = store.read(|rows| Ok::<_, EngineError>(rows.manifest(&one.target)?))?;
    let row = row.ok_or_else(|| EngineError::no_such_image(one.image.id.as_str()))?;
    let mut children = Vec::new();
    if is_index(&row.descriptor.media_type) {
        children = listed(store, &row.descriptor)?;
    }
    for child in &children {
        present.insert(child.digest.clone());
    }
    let image = &one.image;
    let Some(wanted) = &options.platform else {
        let shown = children.iter().find(|d| is_of(store, d, &image.id));
        return Ok(Saved {
            image: Some(shown.map_or(image.manifest.digest.clone(), |d| d.digest.clone())),
            root: row.descriptor,
            names: one.names,
            local: row.local,
        });
    };
    let chosen = children
        .iter()
        .find(|d| d.platform.as_ref().is_some_and(|has| wanted.can_run(has)))
        .cloned();
    let root = match chosen {
        Some(child) => Descriptor::new(child.media_type, child.digest, child.size),
        None if wanted.can_run(&platform_of(image)) => image.manifest.clone(),
        None => {
            let message = format!("no suitable export target found for platform {wanted}");
            return Err(EngineError::new(ErrorKind::NotFound, message));
        }
    };
    Ok(Saved {
        image: Some(root.digest.clone()),
        root,
        names: one.names,
        local: row.local,
    })
}

fn is_of(store: &Store, manifest: &Descriptor, image: &Digest) -> bool {
    let row = store.read(|rows| Ok::<_, EngineError>(rows.manifest(&manifest.digest)?));
    row.ok().flatten().and_then(|row| row.image).as_ref() == Some(image)
}

/// What an index lists and what is here of it.
fn listed(store: &Store, index: &Descriptor) -> Result<Vec<Descriptor>> {
    let gone = || EngineError::no_such_image(index.digest.as_str());
    let raw = store.document(&index.digest)?.ok_or_else(gone)?;
    let manifest = Manifest::parse(&index.media_type, raw)
        .map_err(|error| EngineError::new(ErrorKind::Corrupt, error.to_string()))?;
    let Kind::Index(index) = manifest.kind else {
        return Ok(Vec::new());
    };
    let here = |d: &Descriptor| {
        let row = store.read(|rows| Ok::<_, EngineError>(rows.manifest(&d.digest)?))?;
        Ok::<_, EngineError>(row.is_some_and(|row| row.complete))
    };
    let mut all = Vec::new();
    for child in index.manifests {
        if here(&child)? {
            all.push(child);
        }
    }
    Ok(all)
}
