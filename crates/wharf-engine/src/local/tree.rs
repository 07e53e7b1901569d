//! Images with their platforms below them: what a name points to, and which parts of it are here.
//!
//! Names that point to one index are one image here, whichever of its platforms they show.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use wharf_core::manifest::Kind;
use wharf_core::media_type::is_index;
use wharf_core::{Descriptor, Digest, Manifest, Platform};
use wharf_store::{Reading, Store};

use super::find::platform_of;
use super::list::list;
use crate::{EngineError, ErrorKind, ImageSummary, ImageTree, ListQuery, PlatformBranch, Result};

/// Lists images with their platforms, the newest first.
pub(super) fn tree(store: &Store, query: &ListQuery, zone: &TimeZone) -> Result<Vec<ImageTree>> {
    let roots = store.read(|rows| {
        let mut listed = list(rows, query, Timestamp::now(), zone)?;
        // Docker shows what nobody names only where everything is asked for.
        let is_named = |i: &ImageSummary| !(i.repo_tags.is_empty() && i.repo_digests.is_empty());
        listed.retain(|image| query.all || is_named(image));
        roots(rows, listed)
    })?;
    roots.into_iter().map(|root| grow(store, root)).collect()
}

/// What names point to, before its platforms are looked at.
struct Root {
    target: Digest,
    names: Vec<String>,
    shown: ImageSummary,
}

fn roots(rows: &Reading<'_>, listed: Vec<ImageSummary>) -> Result<Vec<Root>> {
    let mut roots: Vec<Root> = Vec::new();
    let mut places = HashMap::new();
    let mut untagged = Vec::new();
    for image in listed {
        let chosen: HashSet<&String> = image.repo_tags.iter().collect();
        let mut names = rows.names_of(&image.id)?;
        names.retain(|name| chosen.contains(&name.reference.familiar()));
        if names.is_empty() {
            untagged.push(image);
            continue;
        }
        for name in names {
            let place = *places.entry(name.target.clone()).or_insert_with(|| {
                roots.push(Root {
                    target: name.target.clone(),
                    names: Vec::new(),
                    shown: image.clone(),
                });
                roots.len() - 1
            });
            roots[place].names.push(name.reference.familiar());
        }
    }
    for image in untagged {
        let digests = rows.repo_digests_of(&image.id)?;
        let mut targets = digests.iter().filter_map(|digest| digest.digest());
        // A further platform of what is listed already.
        if targets.clone().any(|target| places.contains_key(target)) {
            continue;
        }
        let row = rows.image(&image.id)?;
        let own = row.map(|row| row.manifest.digest);
        let Some(target) = targets.next().cloned().or(own) else {
            continue;
        };
        places.insert(target.clone(), roots.len());
        roots.push(Root {
            target,
            names: Vec::new(),
            shown: image,
        });
    }
    roots.sort_by_key(|root| std::cmp::Reverse(root.shown.created));
    Ok(roots)
}

/// Looks at the platforms of a root.
fn grow(store: &Store, root: Root) -> Result<ImageTree> {
    let missing = || {
        let message = format!("image {} went while it was listed", root.shown.id.short());
        EngineError::new(ErrorKind::NotFound, message)
    };
    let row = store.read(|rows| Ok::<_, EngineError>(rows.manifest(&root.target)?))?;
    let target = row.as_ref().map(|row| row.descriptor.clone());
    let target = target.ok_or_else(missing)?;
    let index = match row.filter(|row| is_index(&row.descriptor.media_type)) {
        Some(row) => store
            .document(&root.target)?
            .and_then(|raw| Manifest::parse(&row.descriptor.media_type, raw).ok()),
        None => None,
    };
    let platforms = match index.map(|manifest| manifest.kind) {
        Some(Kind::Index(index)) => {
            let branches = index.images().map(|entry| {
                let platform = entry.platform.clone().unwrap_or_default();
                let found = store.read(|rows| branch(rows, &entry.digest))?;
                Ok(found.map_or_else(
                    || PlatformBranch::missing(platform.clone(), entry.clone()),
                    |mut found| {
                        found.platform = platform.clone();
                        found
                    },
                ))
            });
            branches.collect::<Result<Vec<_>>>()?
        }
        _ => {
            let manifest = store.read(|rows| match rows.image(&root.shown.id)? {
                Some(image) => branch(rows, &image.manifest.digest),
                None => Ok(None),
            })?;
            vec![manifest.ok_or_else(missing)?]
        }
    };
    Ok(ImageTree {
        target,
        id: root.shown.id,
        names: root.names,
        platforms,
    })
}

/// An image by its manifest; `None` if it isn't here.
fn branch(rows: &Reading<'_>, manifest: &Digest) -> Result<Option<PlatformBranch>> {
    let Some(row) = rows.manifest(manifest)?.filter(|row| row.complete) else {
        return Ok(None);
    };
    let Some(id) = &row.image else {
        return Ok(None);
    };
    let parts: u64 = row.children.iter().map(|child| child.size).sum();
    Ok(rows.image(id)?.map(|image| PlatformBranch {
        platform: platform_of(&image),
        manifest: row.descriptor.clone(),
        id: image.id,
        here: true,
        size: image.size,
        content: row.descriptor.size + parts,
    }))
}

impl PlatformBranch {
    fn missing(platform: Platform, manifest: Descriptor) -> Self {
        Self {
            platform,
            id: manifest.digest.clone(),
            manifest,
            here: false,
            size: 0,
            content: 0,
        }
    }
}
