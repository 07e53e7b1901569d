//! Which names have moved in their registries: asked by HEAD, several at once, nothing fetched.

use std::slice;

use futures_util::{StreamExt as _, stream};
use wharf_core::{Digest, Reference};
use wharf_registry::{Registry, RegistryError};
use wharf_store::Store;

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
    let asked = stream::iter(names).map(|(reference, local)| async {
        let standing = match registry.head(&reference).await {
            Ok(remote) if remote.digest == local => Standing::Current,
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

/// The names, sorted, each with what it points to here. What never came from its repository is left
/// out: nobody else has it.
fn names(store: &Store, patterns: &[String], globs: &[Glob]) -> Result<Vec<(Reference, Digest)>> {
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
                let from_there = known
                    .clone()
                    .any(|digest| digest.repository() == repository);
                let wanted = globs.is_empty() || is_named(globs, &reference);
                if !from_there || !wanted {
                    continue;
                }
                let name = rows.name(&reference)?;
                all.extend(name.map(|name| (reference, name.target)));
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
