//! Finding the image that a user means: by name, by ID, by part of an ID, by a manifest's digest.
//!
//! The order is Docker's (28.5: GetImage): a full digest is an ID; then a name; then part of an ID.
//! Beyond Docker, the digest of a manifest or an index finds its image too.

use wharf_core::{Digest, Platform, Reference, reference};
use wharf_store::{ImageRow, Reading};

use crate::{EngineError, ErrorKind, Identity, Result};

/// An image that was found, and how.
pub(super) struct Found {
    /// The image.
    pub(super) image: ImageRow,
    /// What it was found by.
    pub(super) by: By,
}

impl Found {
    /// Which image it is.
    pub(super) fn identity(self) -> Identity {
        Identity {
            id: self.image.id,
            labels: self.image.labels,
        }
    }
}

/// How an image was found.
pub(super) enum By {
    /// By this name: it has a tag or a digest.
    Name(Reference),
    /// By an ID, whole or in part, or by a manifest's digest.
    Id,
}

/// Finds the image that `text` means.
pub(super) fn find(rows: &Reading<'_>, text: &str) -> Result<Found> {
    if let Some(digest) = as_digest(text) {
        return by_digest(rows, &digest)?
            .ok_or_else(|| EngineError::no_such_image(digest.as_str()));
    }
    let reference = text
        .parse::<Reference>()
        .map_err(|error| EngineError::new(ErrorKind::Invalid, error.to_string()))?
        .or_latest();
    if let Some(image) = by_name(rows, &reference)? {
        return Ok(Found {
            image,
            by: By::Name(reference),
        });
    }
    if let Some(found) = by_prefix(rows, text)? {
        return Ok(found);
    }
    Err(EngineError::no_such_image(&reference.familiar()))
}

/// The image of a platform, and through which index it was found.
pub(super) struct FoundPlatform {
    /// The image.
    pub(super) image: ImageRow,
    /// What the name or the digest points to; `None` if it was found by its ID.
    pub(super) target: Option<Digest>,
}

/// Finds the image that `text` means, for a platform: the one that is shown, or another one of its index
/// that is here (Docker 28.5: GetImage).
pub(super) fn find_for(rows: &Reading<'_>, text: &str, wanted: &Platform) -> Result<FoundPlatform> {
    let found = find(rows, text)?;
    let target = target(rows, text, &found)?;
    let mut here = vec![found.image];
    if let Some(target) = &target {
        here.extend(rows.images_below(target)?);
    }
    match best(&here, wanted) {
        Some(image) => Ok(FoundPlatform {
            image: image.clone(),
            target,
        }),
        None => Err(other_platform(text, &here[0], wanted)),
    }
}

/// What the name, or the manifest's digest, points to; nothing for an image's ID.
fn target(rows: &Reading<'_>, text: &str, found: &Found) -> Result<Option<Digest>> {
    match &found.by {
        By::Id => Ok(as_digest(text)),
        By::Name(name) => match name.digest() {
            Some(digest) => Ok(Some(digest.clone())),
            None => Ok(rows.name(name)?.map(|name| name.target)),
        },
    }
}

/// The best image for a platform. One that does not say its variant is for any.
fn best<'i>(images: &'i [ImageRow], wanted: &Platform) -> Option<&'i ImageRow> {
    let fits = wanted
        .runs()
        .into_iter()
        .find_map(|platform| images.iter().find(|image| platform.is(&platform_of(image))));
    fits.or_else(|| {
        let wanted = wanted.normalized();
        images.iter().find(|image| {
            let has = platform_of(image).normalized();
            image.variant.is_empty()
                && (&has.os, &has.architecture) == (&wanted.os, &wanted.architecture)
        })
    })
}

/// For which platform an image is.
pub(super) fn platform_of(image: &ImageRow) -> Platform {
    Platform::new(&image.os, &image.architecture, &image.variant)
}

fn other_platform(text: &str, image: &ImageRow, wanted: &Platform) -> EngineError {
    // Docker shortens a name that is written in full, and no other.
    let name = match text.parse::<Reference>() {
        Ok(reference) if reference.to_string() == text => reference.familiar(),
        _ => text.to_owned(),
    };
    let has = platform_of(image);
    let message = format!(
        "image with reference {name} was found but its platform ({has}) does not match the specified \
         platform ({wanted})"
    );
    EngineError::new(ErrorKind::NotFound, message)
        .hint("a pull with --platform fetches the image for another platform, if there is one")
}

/// The image that a name points to.
pub(super) fn by_name(rows: &Reading<'_>, reference: &Reference) -> Result<Option<ImageRow>> {
    let image = match reference.digest() {
        // With both, the digest counts: tags move.
        Some(_) => rows.repo_digest(&reference.without_tag())?,
        None => rows.name(reference)?.and_then(|name| name.image),
    };
    match image {
        Some(id) => Ok(rows.image(&id)?),
        None => Ok(None),
    }
}

fn by_digest(rows: &Reading<'_>, digest: &Digest) -> Result<Option<Found>> {
    if let Some(image) = kept(rows, digest)? {
        return Ok(Some(Found { image, by: By::Id }));
    }
    let Some(id) = rows.shown_by(digest)? else {
        return Ok(None);
    };
    Ok(rows.image(&id)?.map(|image| Found { image, by: By::Id }))
}

/// An ID's first digits, with or without `sha256:`. Those of two images find neither.
fn by_prefix(rows: &Reading<'_>, text: &str) -> Result<Option<Found>> {
    let prefix = text.strip_prefix("sha256:").unwrap_or(text);
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if prefix.is_empty() || prefix.len() > 64 || !prefix.bytes().all(hex) {
        return Ok(None);
    }
    let ids = rows.find_images(prefix)?;
    match ids.as_slice() {
        [] => Ok(None),
        [id] => Ok(rows.image(id)?.map(|image| Found { image, by: By::Id })),
        several => {
            let ids: Vec<&str> = several.iter().map(Digest::short).collect();
            let message = format!("No such image: {text}");
            Err(EngineError::new(ErrorKind::NotFound, message).hint(format!(
                "several images' IDs start with it: {}, …",
                ids.join(", ")
            )))
        }
    }
}

/// An image that nobody has removed.
pub(super) fn kept(rows: &Reading<'_>, id: &Digest) -> Result<Option<ImageRow>> {
    Ok(rows.image(id)?.filter(|image| image.kept))
}

fn as_digest(text: &str) -> Option<Digest> {
    if reference::is_identifier(text) {
        return format!("sha256:{text}").parse().ok();
    }
    text.parse().ok()
}
