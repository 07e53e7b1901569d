//! Docker's words for what happens during a pull or a push.

use wharf_core::{Digest, LayerStatus, Reference};

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Way {
    /// From a registry.
    #[default]
    Pull,
    /// To one.
    Push,
}

/// A push's first line: `The push refers to repository [docker.io/library/busybox]`.
pub(super) fn push_heading(reference: &Reference) -> String {
    format!(
        "The push refers to repository [{}]\n",
        reference.repository()
    )
}

/// A push's last line: `musl: digest: sha256:… size: 610`.
pub(super) fn pushed(reference: &Reference, digest: &Digest, size: u64) -> String {
    let tag = reference.tag().unwrap_or_default();
    format!("{tag}: digest: {digest} size: {size}\n")
}

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
pub(super) fn layer(way: Way, digest: &Digest, status: &LayerStatus) -> Option<String> {
    Some(format!("{}: {}\n", digest.short(), change(way, status)?))
}

/// What has changed.
pub(super) fn change(way: Way, status: &LayerStatus) -> Option<String> {
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
