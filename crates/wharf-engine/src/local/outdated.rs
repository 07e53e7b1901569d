//! Which names have moved in their registries: asked by HEAD, several at once, nothing fetched.

use std::slice;

use futures_util::{StreamExt as _, stream};
use wharf_core::{Digest, Reference};
use wharf_registry::{Registry, RegistryError};
use wharf_store::{ManifestKind, ManifestRow, Reading, Store};

use super::list::is_named;
use crate::glob::Glob;
use crate::{EngineError, ErrorKind, Result, Settings, Standing, Watched};

/// Compares every name that fits one of `patterns`, or all, with its registry.
pub(super) async fn outdated(
    store: &Store,
    registry: &Registry,
    settings: &Settings,
    patterns: &[String],
) -> Result<Vec<Watched>> {
    let globs: Vec<Glob> = patterns
        .iter()
        .map(|pattern| Glob::new(pattern))
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| EngineError::new(ErrorKind::Invalid, error.to_string()))?;
    let names = names(store, patterns, &globs)?;
    let asked = stream::iter(names).map(|(reference, mut local, sent)| async move {
        let standing = match registry.head(&reference).await {
            Ok(remote) if remote.digest == local => Standing::Current,
            Ok(remote) if sent.contains(&remote.digest) => {
                local = remote.digest;
                Standing::Current
            }
            Ok(remote) => Standing::Moved(remote.digest),
            Err(RegistryError::NotFound { .. }) => Standing::Gone,
            Err(error) => Standing::Unknown(error.into()),
        };
        Watched {
            reference,
            local,
            standing,
        }
    });
    Ok(asked.buffered(settings.parallel.max(1)).collect().await)
}

/// A name, what it points to here, and what a push may have sent for it instead.
type Here = (Reference, Digest, Vec<Digest>);

/// The names, sorted. What never came from its repository is left out: nobody else has it.
fn names(store: &Store, patterns: &[String], globs: &[Glob]) -> Result<Vec<Here>> {
    store.read(|rows| {
        let mut all = Vec::new();
        let mut found = vec![false; globs.len()];
        for image in rows.images()? {
            for reference in image.names {
                for (glob, found) in globs.iter().zip(&mut found) {
                    *found |= is_named(slice::from_ref(glob), &reference);
                }
                let repository = reference.repository();
                let known = image.repo_digests.iter();
                let known: Vec<&Digest> = known
                    .filter(|digest| digest.repository() == repository)
                    .filter_map(Reference::digest)
                    .collect();
                let wanted = globs.is_empty() || is_named(globs, &reference);
                if known.is_empty() || !wanted {
                    continue;
                }
                if let Some(name) = rows.name(&reference)? {
                    let sent = sent(rows, &name.target, &known)?;
                    all.push((reference, name.target, sent));
                }
            }
        }
        if let Some(at) = found.iter().position(|found| !found) {
            let message = format!("no name here fits {:?}", patterns[at]);
            return Err(EngineError::new(ErrorKind::NotFound, message)
                .hint("`wharf images` lists the names that are here"));
        }
        all.sort_unstable();
        Ok::<_, EngineError>(all)
    })
}

/// What a push may have sent to a repository: plain layers go packed, and of an index that is here in part goes one
/// platform. What was pulled goes as it is.
fn sent(rows: &Reading<'_>, target: &Digest, known: &[&Digest]) -> Result<Vec<Digest>> {
    let is_index = |row: &ManifestRow| row.kind == ManifestKind::Index;
    let row = rows.manifest(target)?;
    if !row.is_some_and(|row| row.local || is_index(&row)) {
        return Ok(Vec::new());
    }
    let mut sent = Vec::new();
    for digest in known {
        if !rows.manifest(digest)?.as_ref().is_some_and(is_index) {
            sent.push((*digest).clone());
        }
    }
    Ok(sent)
}
