//! Docker's words for what happens during a pull, a push or a load: the command line prints them, and the Engine
//! API sends them. None ends with a line's end.

use wharf_core::{Digest, LayerStatus, Platform, Reference};

use crate::Loaded;

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// From a registry.
    #[default]
    Pull,
    /// To one.
    Push,
}

/// A push's first line: `The push refers to repository [docker.io/library/busybox]`.
pub fn push_heading(reference: &Reference) -> String {
    let repository = reference.repository();
    format!("The push refers to repository [{repository}]")
}

/// A push's last line: `musl: digest: sha256:… size: 610`.
pub fn pushed(reference: &Reference, digest: &Digest, size: u64) -> String {
    let tag = reference.tag().unwrap_or_default();
    format!("{tag}: digest: {digest} size: {size}")
}

/// A pull's first line, as what it is about and what is said of it: `musl`, `Pulling from library/busybox`.
pub fn heading(reference: &Reference) -> (String, String) {
    let what = match reference.digest() {
        // A digest stands in its full name, without a tag.
        Some(_) => reference.without_tag().to_string(),
        None => reference.tag().unwrap_or_default().to_owned(),
    };
    (what, format!("Pulling from {}", reference.path()))
}

/// One change of a layer: `Pull complete`. Bytes that come are none.
pub fn change(way: Way, status: &LayerStatus) -> Option<String> {
    Some(match (status, way) {
        (LayerStatus::Exists, Way::Pull) => "Already exists".to_owned(),
        (LayerStatus::Exists, Way::Push) => "Layer already exists".to_owned(),
        (LayerStatus::Waiting { .. }, Way::Pull) => "Pulling fs layer".to_owned(),
        (LayerStatus::Complete, Way::Pull) => "Pull complete".to_owned(),
        (LayerStatus::Complete, Way::Push) => "Pushed".to_owned(),
        (LayerStatus::Waiting { .. }, Way::Push) => return None,
        (LayerStatus::Downloading { .. } | LayerStatus::Uploading { .. }, _) => return None,
        (LayerStatus::Mounted { from }, _) => format!("Mounted from {from}"),
        (LayerStatus::Verifying, _) => "Verifying Checksum".to_owned(),
        (LayerStatus::Retrying { seconds, .. }, _) => {
            let unit = if *seconds == 1 { "second" } else { "seconds" };
            format!("Retrying in {seconds} {unit}")
        }
        (LayerStatus::Downloaded, _) => "Download complete".to_owned(),
    })
}

/// The digest's line.
pub fn digest(digest: &Digest) -> String {
    format!("Digest: {digest}")
}

/// Whether anything was new.
pub fn status(reference: &Reference, newer: bool) -> String {
    let what = if newer {
        "Downloaded newer image for"
    } else {
        "Image is up to date for"
    };
    format!("Status: {what} {}", reference.familiar())
}

/// What is said below the status of an image for another platform than was asked for.
pub fn other_platform(reference: &Reference, has: &Platform, wanted: &Platform) -> String {
    let name = reference.familiar();
    format!(
        "WARNING: image with reference {name} was found but its platform ({has}) does not match the \
         specified platform ({wanted})"
    )
}

/// A load's lines (28.5: `tarexport/load.go`). The IDs of all images are listed if the last one has no name.
pub fn loaded(loaded: &[Loaded]) -> Vec<String> {
    let mut lines = Vec::new();
    for name in loaded.iter().flat_map(|one| &one.names) {
        let shown = name.reference.familiar();
        if let Some(old) = &name.replaced {
            lines.push(format!(
                "The image {shown} already exists, renaming the old one with ID {old} to empty string"
            ));
        }
        lines.push(format!("Loaded image: {shown}"));
    }
    if loaded.last().is_some_and(|one| one.names.is_empty()) {
        let ids = loaded.iter().map(|one| &one.image);
        lines.extend(ids.map(|id| format!("Loaded image ID: {id}")));
    }
    lines
}
