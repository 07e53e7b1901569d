//! Giving an image a further name: one row.

use wharf_core::Reference;
use wharf_store::Writing;

use super::find::{By, find};
use crate::{EngineError, ErrorKind, Identity, Result};

/// Points `target` to the image that `source` means, and to all that came with it: the index of a
/// name, so that the further name can be pushed with every platform that is here. Answers with the image.
pub(super) fn tag(rows: &mut Writing<'_>, source: &str, target: &Reference) -> Result<Identity> {
    if target.digest().is_some() {
        let message = "refusing to create a tag with a digest reference";
        return Err(EngineError::new(ErrorKind::Invalid, message));
    }
    let target = target.clone().or_latest();
    check_name(&target)?;
    let found = find(rows, source)?;
    let content = match &found.by {
        By::Name(name) => match name.digest() {
            Some(digest) => digest.clone(),
            None => rows
                .name(name)?
                .map_or(found.image.manifest.digest.clone(), |n| n.target),
        },
        By::Id => found.image.manifest.digest.clone(),
    };
    rows.set_name(&target, &content, Some(&found.image.id))?;
    Ok(found.identity())
}

/// Refuses a new name that nobody could use: `docker run sha256:…` would mean the digest.
pub(super) fn check_name(name: &Reference) -> Result<()> {
    if name.familiar_repository() == "sha256" {
        let message = "refusing to create an ambiguous tag using digest algorithm as name";
        return Err(EngineError::new(ErrorKind::Invalid, message));
    }
    Ok(())
}
