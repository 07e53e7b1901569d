//! Ready ones, for the cases that many tests need.

use bytes::Bytes;
use serde_json::json;
use wharf_core::content::DOCUMENT_MAX;
use wharf_core::media_type::{Compression, OCI_INDEX, OCI_MANIFEST};
use wharf_core::{Descriptor, Digest, Platform};

use super::image::to_bytes;
use super::{BuiltImage, BuiltIndex, Flavor, Image, Index, Layer};

/// A small image of two layers with Docker's media types.
pub fn small() -> BuiltImage {
    Image::builder()
        .flavor(Flavor::Docker)
        .label("org.example.for", "tests")
        .layer(
            Layer::new()
                .directory("bin")
                .file("bin/busybox", &[7; 4096])
                .hard_link("bin/cat", "bin/busybox")
                .symlink("bin/sh", "busybox"),
        )
        .layer(
            Layer::new()
                .directory("etc")
                .file("etc/hostname", b"small\n"),
        )
        .build()
}

/// One image whose layers are packed in every way that there is.
pub fn every_compression() -> BuiltImage {
    let layer = |n: u64, compression| Layer::random(n, 5000).compression(compression);
    Image::builder()
        .layer(layer(1, Compression::Gzip))
        .layer(layer(2, Compression::Zstd))
        .layer(layer(3, Compression::None))
        .build()
}

/// An image of `count` small layers: Docker's own limit is 125.
pub fn many_layers(count: u64) -> BuiltImage {
    let layer = |n: u64| Layer::new().file(&format!("file-{n}"), format!("{n}\n").as_bytes());
    (0..count)
        .fold(Image::builder(), |image, n| image.layer(layer(n)))
        .build()
}

/// An image whose config says of its second layer what isn't true.
pub fn wrong_diff_id() -> BuiltImage {
    Image::random(40, 2, 3000).wrong_diff_id(1).build()
}

/// An image for each of these platforms, with an attestation of the first.
pub fn platforms(platforms: &[&str]) -> BuiltIndex {
    let mut index = Index::builder();
    let mut first = None;
    for (n, text) in platforms.iter().enumerate() {
        let platform: Platform = text.parse().expect("a platform");
        let image = Image::random(50 + n as u64, 2, 2000)
            .platform(platform)
            .build();
        first.get_or_insert_with(|| image.clone());
        index = index.image(image);
    }
    if let Some(first) = first {
        let note = Layer::new().file("statement.json", b"{}");
        let attestation = Image::builder()
            .platform(Platform::new("unknown", "unknown", ""))
            .layer(note)
            .build();
        index = index.attestation(&first, attestation);
    }
    index.build()
}

/// An artifact that refers to `subject`: a signature, a bill of materials.
pub fn artifact(artifact_type: &str, subject: &Descriptor) -> BuiltImage {
    Image::builder()
        .artifact_type(artifact_type)
        .subject(subject)
        .annotation("org.example.about", "a test")
        .layer(Layer::new().file("statement", artifact_type.as_bytes()))
        .build()
}

/// The manifest of an image that has 5 MB: more than anybody reads.
pub fn huge_manifest() -> (Descriptor, Bytes) {
    let padding = "x".repeat(usize::try_from(DOCUMENT_MAX).expect("4 MiB") + 1024 * 1024);
    let config = Descriptor::of(wharf_core::media_type::OCI_CONFIG, b"{}");
    let raw = to_bytes(&json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config,
        "layers": [],
        "annotations": { "padding": padding },
    }));
    (Descriptor::of(OCI_MANIFEST, &raw), raw)
}

/// `depth` indexes, each one within the next; a small image in the innermost.
pub fn nested(depth: usize) -> BuiltIndex {
    let innermost = Index::builder().image(small()).build();
    (1..depth).fold(innermost, |inner, _| Index::builder().index(inner).build())
}

/// An index that a lying registry serves under the digest of its own entry, so that it seems to
/// list itself without end. Returns the entry's digest and the index's bytes.
pub fn index_of_itself() -> (Digest, Descriptor, Bytes) {
    let pretended = Digest::of(b"an index cannot hold its own digest");
    let machine = Platform::of_this_machine();
    // The length does not depend on the length's own digits: all sizes here have three.
    let with_size = |size: u64| {
        let mut entry = Descriptor::new(OCI_INDEX, pretended.clone(), size);
        entry.platform = Some(machine.clone());
        Index::builder().entry(entry).build()
    };
    let size = with_size(999).raw.len() as u64;
    let index = with_size(size);
    (pretended, index.index, index.raw)
}
