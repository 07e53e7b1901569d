//! Docker's words for what happens during a pull.

use wharf_core::{Digest, LayerStatus, Reference};

/// The first line: `musl: Pulling from library/busybox`.
pub(super) fn heading(reference: &Reference) -> String {
    let what = match reference.digest() {
        // A digest stands in its full name, without a tag.
        Some(_) => reference.without_tag().to_string(),
        None => reference.tag().unwrap_or_default().to_owned(),
    };
    format!("{what}: Pulling from {}\n", reference.path())
}

/// One change of a layer: `b90dda330915: Pull complete`. Bytes that come are none.
pub(super) fn layer(digest: &Digest, status: &LayerStatus) -> Option<String> {
    Some(format!("{}: {}\n", digest.short(), change(status)?))
}

/// What has changed.
pub(super) fn change(status: &LayerStatus) -> Option<String> {
    Some(match status {
        LayerStatus::Exists => "Already exists".to_owned(),
        LayerStatus::Waiting { .. } => "Pulling fs layer".to_owned(),
        LayerStatus::Downloading { .. } | LayerStatus::Uploading { .. } => return None,
        LayerStatus::Mounted { from } => format!("Mounted from {from}"),
        LayerStatus::Verifying => "Verifying Checksum".to_owned(),
        LayerStatus::Retrying { seconds, .. } => {
            let unit = if *seconds == 1 { "second" } else { "seconds" };
            format!("Retrying in {seconds} {unit}")
        }
        LayerStatus::Downloaded => "Download complete".to_owned(),
        LayerStatus::Complete => "Pull complete".to_owned(),
    })
}

/// The digest's line.
pub(super) fn digest(digest: &Digest) -> String {
    format!("Digest: {digest}\n")
}

/// Whether anything was new.
pub(super) fn status(reference: &Reference, newer: bool) -> String {
    let what = if newer {
        "Downloaded newer image for"
    } else {
        "Image is up to date for"
    };
    format!("Status: {what} {}\n", reference.familiar())
}
