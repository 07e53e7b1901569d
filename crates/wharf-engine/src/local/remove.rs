//! Removing names and images, by Docker's rules (28.5: ImageDelete).
//!
//! A name goes first. With the last tag of a repository go the repository's digests of that image.
//! What nobody names any more goes too: the image, and the layers that no other image has.

use std::collections::HashSet;

use wharf_core::{Digest, Platform, Reference};
use wharf_store::{Sharers, Writing};

use super::find::{By, find, find_for};
use crate::{EngineError, ErrorKind, RemoveOptions, Removed, Result};

/// What a removal has removed so far.
///
/// Its cost must not grow with what was removed before: a prune removes tens of thousands of names.
#[derive(Default)]
pub(super) struct Removal {
    /// What went, in the order in which Docker prints it.
    pub(super) removed: Vec<Removed>,
    /// How much space the layers took that went, in bytes, unpacked: what Docker shows.
    pub(super) reclaimed: u64,
    /// The names with digests that are among `removed`.
    said: HashSet<Reference>,
    sharers: Sharers,
}

/// Removes what `text` means, in the words that Docker prints.
pub(super) fn remove(
    rows: &mut Writing<'_>,
    text: &str,
    options: &RemoveOptions,
) -> Result<Vec<Removed>> {
    if text.trim().is_empty() {
        let message = "image name cannot be blank";
        return Err(EngineError::new(ErrorKind::Invalid, message));
    }
    let mut removal = Removal::default();
    if options.platforms.is_empty() {
        remove_all(rows, text, options, &mut removal)?;
    }
    for platform in &options.platforms {
        remove_platform(rows, text, platform, options, &mut removal)?;
    }
    Ok(removal.removed)
}

/// Removes one platform. The names that showed it show another one that is here, and go with the last one.
fn remove_platform(
    rows: &mut Writing<'_>,
    text: &str,
    platform: &Platform,
    options: &RemoveOptions,
    removal: &mut Removal,
) -> Result<()> {
    let found = find_for(rows, text, platform)?;
    let id = &found.image.id;
    let left = match &found.target {
        Some(target) => rows.images_below(target)?,
        None => Vec::new(),
    };
    let next = left.iter().find(|other| other.id != *id);
    let (Some(target), Some(next)) = (&found.target, next) else {
        return remove_all(rows, text, options, removal);
    };
    for name in rows.names_of(id)? {
        if name.target == *target {
            rows.set_name(&name.reference, target, Some(&next.id))?;
        }
    }
    for reference in rows.repo_digests_of(id)? {
        if reference.digest() == Some(target) {
            rows.remove_repo_digest(&reference, id)?;
        }
    }
    if !rows.is_referenced(id)? {
        delete(rows, id, removal)?;
    }
    Ok(())
}

/// Removes what `text` means, with every platform that only it names.
fn remove_all(
    rows: &mut Writing<'_>,
    text: &str,
    options: &RemoveOptions,
    removal: &mut Removal,
) -> Result<()> {
    let found = find(rows, text)?;
    let id = found.image.id.clone();
    match found.by {
        By::Name(name) => {
            remove_name(rows, &name, &id, removal)?;
            // An index's digest names each of its platforms that is here.
            if name.digest().is_some() {
                while let Some(other) = rows.repo_digest(&name)? {
                    remove_name(rows, &name, &other, removal)?;
                }
            }
            Ok(())
        }
        By::Id => {
            let all = references(rows, &id)?;
            if !all.is_empty() && !options.force && !is_single(&all) {
                return Err(EngineError::new(
                    ErrorKind::Conflict,
                    format!(
                        "conflict: unable to delete {} (must be forced) - image is referenced in \
                         multiple repositories",
                        id.short()
                    ),
                )
                .hint("-f removes the image with all its names; or remove the names one by one"));
            }
            for reference in all {
                drop_reference(rows, &reference, &id, false, removal)?;
            }
            delete(rows, &id, removal)
        }
    }
}

/// Removes one name of this image, and the image with the last one.
pub(super) fn remove_name(
    rows: &mut Writing<'_>,
    name: &Reference,
    id: &Digest,
    removal: &mut Removal,
) -> Result<()> {
    if let Some(target) = untag(rows, name, id, removal)? {
        drop_siblings(rows, &target, id, removal)?;
    }
    if !rows.is_referenced(id)? {
        delete(rows, id, removal)?;
    }
    Ok(())
}

/// Removes one name of an image, and the repository's digests of it if that was its last tag there.
/// Answers with what the name pointed to.
fn untag(
    rows: &mut Writing<'_>,
    name: &Reference,
    id: &Digest,
    removal: &mut Removal,
) -> Result<Option<Digest>> {
    if name.digest().is_some() {
        drop_reference(rows, &name.without_tag(), id, false, removal)?;
        return Ok(None);
    }
    let target = rows.name(name)?.map(|row| row.target);
    drop_reference(rows, name, id, false, removal)?;
    drop_orphaned_digests(rows, name, id, removal)?;
    Ok(target)
}

/// With the last tag of a repository go its digests.
fn drop_orphaned_digests(
    rows: &mut Writing<'_>,
    name: &Reference,
    id: &Digest,
    removal: &mut Removal,
) -> Result<()> {
    if rows.has_tag_in(id, name)? {
        return Ok(());
    }
    for digest in rows.repo_digests_in(id, name)? {
        drop_reference(rows, &digest, id, true, removal)?;
    }
    Ok(())
}

/// The other platforms that were pulled under a name go with the last name of their index: nothing
/// else would ever name them.
fn drop_siblings(
    rows: &mut Writing<'_>,
    target: &Digest,
    id: &Digest,
    removal: &mut Removal,
) -> Result<()> {
    if rows.is_named(target)? {
        return Ok(());
    }
    for sibling in rows.find_manifest(target)? {
        if sibling == *id {
            continue;
        }
        for reference in rows.repo_digests_of(&sibling)? {
            if reference.digest() == Some(target) {
                drop_reference(rows, &reference, &sibling, true, removal)?;
            }
        }
        if !rows.is_referenced(&sibling)? {
            delete(rows, &sibling, removal)?;
        }
    }
    Ok(())
}

fn drop_reference(
    rows: &mut Writing<'_>,
    reference: &Reference,
    id: &Digest,
    along: bool,
    removal: &mut Removal,
) -> Result<()> {
    if reference.digest().is_some() {
        rows.remove_repo_digest(reference, id)?;
    } else {
        rows.remove_name(reference)?;
    }
    // An index's digest names each of its platforms; it is said once.
    if reference.digest().is_some() && !removal.said.insert(reference.clone()) {
        return Ok(());
    }
    let labels = rows.image(id)?.map(|image| image.labels);
    removal.removed.push(Removed::Untagged {
        name: reference.familiar(),
        image: id.clone(),
        labels: labels.unwrap_or_default(),
        along,
    });
    Ok(())
}

/// Removes the image's row. Its blobs go with the transaction, where nothing else holds them.
pub(super) fn delete(rows: &mut Writing<'_>, id: &Digest, removal: &mut Removal) -> Result<()> {
    let own = rows.own_layers(id, &mut removal.sharers)?;
    rows.remove_image(id)?;
    removal.reclaimed += own.iter().map(|layer| layer.size).sum::<u64>();
    removal.removed.push(Removed::Deleted(id.clone()));
    // The topmost layer first, as Docker does it.
    removal.removed.extend(
        own.into_iter()
            .rev()
            .map(|layer| Removed::DeletedLayers(layer.chain_id)),
    );
    Ok(())
}

/// Every name of an image, with tags and with digests, in Docker's order.
fn references(rows: &Writing<'_>, id: &Digest) -> Result<Vec<Reference>> {
    let mut all: Vec<Reference> = rows
        .names_of(id)?
        .into_iter()
        .map(|name| name.reference)
        .collect();
    all.extend(rows.repo_digests_of(id)?);
    all.sort_unstable();
    Ok(all)
}

/// Is there at most one tag, and are all digests of its repository?
fn is_single(all: &[Reference]) -> bool {
    if all.len() <= 1 {
        return true;
    }
    let mut tags = all.iter().filter(|reference| reference.tag().is_some());
    let first = tags.next().unwrap_or(&all[0]);
    tags.next().is_none()
        && all
            .iter()
            .all(|other| other.repository() == first.repository())
}
