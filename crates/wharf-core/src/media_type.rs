//! The media types of Docker and OCI, and what each one is.

/// Docker image manifest, version 2, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker image manifest, version 2, schema 1: obsolete, refused.
pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
/// The same, signed.
pub const DOCKER_SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
/// Docker image config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker layer, gzip.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Docker layer, plain tar.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// Docker layer that is not to be distributed, gzip.
pub const DOCKER_LAYER_FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image config.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// OCI's empty JSON document, `{}`.
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// OCI layer, plain tar.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// OCI layer, gzip.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// OCI layer, zstd.
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// A layer, bzip2: in no specification; Docker 28.5 reads it.
pub const OCI_LAYER_BZIP2: &str = "application/vnd.oci.image.layer.v1.tar+bzip2";
/// A layer, xz: in no specification; Docker 28.5 reads it.
pub const OCI_LAYER_XZ: &str = "application/vnd.oci.image.layer.v1.tar+xz";

/// What a client that takes images accepts, best first: for `Accept` headers.
pub const MANIFESTS: [&str; 4] = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST];

/// How a layer's tar is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// A plain tar.
    None,
    /// gzip, one member or several.
    Gzip,
    /// zstd, one frame or several.
    Zstd,
}

/// Is it an image manifest's type?
pub fn is_image_manifest(media_type: &str) -> bool {
    matches!(media_type, DOCKER_MANIFEST | OCI_MANIFEST)
}

/// Is it the type of a list of manifests?
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, DOCKER_LIST | OCI_INDEX)
}

/// Is it the type of any manifest that wharf reads?
pub fn is_manifest(media_type: &str) -> bool {
    is_image_manifest(media_type) || is_index(media_type)
}

/// Is it an image config's type?
pub fn is_image_config(media_type: &str) -> bool {
    matches!(media_type, DOCKER_CONFIG | OCI_CONFIG)
}

/// How a layer of this type is packed; `None` if it isn't a layer's type.
pub fn layer_compression(media_type: &str) -> Option<Compression> {
    let media_type = media_type
        .replace("image.layer.nondistributable.v1.", "image.layer.v1.")
        .replace("rootfs.foreign.diff.", "rootfs.diff.");
    match media_type.as_str() {
        DOCKER_LAYER | OCI_LAYER => Some(Compression::None),
        DOCKER_LAYER_GZIP | OCI_LAYER_GZIP => Some(Compression::Gzip),
        OCI_LAYER_ZSTD | "application/vnd.docker.image.rootfs.diff.tar.zstd" => {
            Some(Compression::Zstd)
        }
        _ => None,
    }
}

/// Tells whether it is a layer's type, also of one that is packed as no specification says: Docker 28.5 reads
/// layers of bzip2 and xz, and their tools add `+bzip2` and `+xz`.
pub fn is_layer(media_type: &str) -> bool {
    let stem = ["+bzip2", "+xz", ".bzip2", ".xz"]
        .iter()
        .find_map(|packing| media_type.strip_suffix(packing));
    layer_compression(stem.unwrap_or(media_type)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_how_layers_are_packed() {
        assert_eq!(
            layer_compression(DOCKER_LAYER_GZIP),
            Some(Compression::Gzip)
        );
        assert_eq!(
            layer_compression(DOCKER_LAYER_FOREIGN),
            Some(Compression::Gzip)
        );
        assert_eq!(
            layer_compression("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"),
            Some(Compression::Zstd)
        );
        assert_eq!(layer_compression(OCI_LAYER), Some(Compression::None));
        assert_eq!(layer_compression("application/vnd.in-toto+json"), None);
        for packing in ["", "+gzip", "+zstd", "+bzip2", "+xz"] {
            assert!(is_layer(&format!("{OCI_LAYER}{packing}")), "{packing}");
        }
        assert!(is_layer(&format!("{DOCKER_LAYER}.xz")));
        assert!(!is_layer("application/vnd.in-toto+json"));
        assert!(!is_layer("application/json+xz"));
    }
}
