//! Manifests: image, index or artifact.
//!
//! A manifest keeps its raw bytes and is never serialised again, so no digest ever changes. What is
//! parsed beside them is a view.

mod made;

use bytes::Bytes;
use serde::Deserialize;

use crate::go_json::{self, ReadError};
use crate::limits::{DOCUMENT_MAX, SizeError};
use crate::media_type::{
    DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED, OCI_INDEX, OCI_MANIFEST, is_image_config,
    is_image_manifest, is_index, is_manifest,
};
use crate::{Descriptor, Digest, Platform};

/// Bounds an index's entries. The largest official images have about 30.
const INDEX_ENTRIES_MAX: usize = 4096;

/// Bounds an image's layers. Docker's own limit is 125.
pub(crate) const LAYERS_MAX: usize = 4096;

/// A manifest, verified or not: whoever made it has checked that `descriptor` fits `raw`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its media type, digest and size.
    pub descriptor: Descriptor,
    /// Its bytes, as they came.
    pub raw: Bytes,
    /// What they say.
    pub kind: Kind,
}

/// What a manifest is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A list of manifests, one per platform.
    Index(Index),
    /// An image: a config and layers.
    Image(Parts),
    /// Something else in an image's clothes: a chart, a signature, an attestation.
    Artifact(Parts),
}

/// What an index lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The manifests.
    pub manifests: Vec<Descriptor>,
    /// What it is about, for a referrer.
    pub subject: Option<Descriptor>,
}

/// What an image or an artifact is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The config.
    pub config: Descriptor,
    /// The layers, the base first.
    pub layers: Vec<Descriptor>,
    /// What it is about, for a referrer.
    pub subject: Option<Descriptor>,
    /// What kind of artifact it is.
    pub artifact_type: Option<String>,
}

/// Why bytes are not a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Too long to read.
    #[error("the manifest has {0} bytes; at most {DOCUMENT_MAX} are read")]
    TooLarge(u64),
    /// Not JSON, or a field is missing or not what it must be.
    #[error("the manifest is malformed")]
    Json(#[source] ReadError),
    /// The media type is one that wharf does not read.
    #[error("unsupported media type {0}")]
    MediaType(String),
    /// Schema 1, which nobody writes any more.
    #[error(
        "the image has a manifest of schema version 1, which is obsolete and cannot be verified; \
         push the image again with a current tool"
    )]
    Schema1,
    /// The content says another type than the one it came with (CVE-2021-41190).
    #[error("the manifest came as {declared} and says that it is {inside}")]
    TypeConflict {
        /// The Content-Type or the descriptor's type.
        declared: String,
        /// The mediaType field.
        inside: String,
    },
    /// It has the fields of two kinds (CVE-2021-41190), or of none.
    #[error("the manifest is ambiguous or empty: {0}")]
    Shape(&'static str),
    /// A descriptor declares a size that is not possible.
    #[error("the manifest is not valid")]
    DeclaredSize(#[from] SizeError),
    /// A config or a layer is declared with no bytes, and its digest is that of other content.
    #[error("the manifest says that {role} {digest} has 0 bytes, and its digest says otherwise")]
    DeclaredEmpty {
        /// `config` or `layer`.
        role: &'static str,
        /// The content.
        digest: Digest,
    },
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Wire {
    schema_version: Option<u32>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    #[serde(rename = "fsLayers")]
    fs_layers: Option<serde::de::IgnoredAny>,
}

impl Manifest {
    /// Reads a manifest that came as `declared` (a Content-Type or a descriptor's media type;
    /// empty or a generic JSON type when the place does not know).
    pub fn parse(declared: &str, raw: Bytes) -> Result<Self, ManifestError> {
        if raw.len() as u64 > DOCUMENT_MAX {
            return Err(ManifestError::TooLarge(raw.len() as u64));
        }
        let declared = declared.split(';').next().unwrap_or_default().trim();
        if matches!(declared, DOCKER_SCHEMA1 | DOCKER_SCHEMA1_SIGNED) {
            return Err(ManifestError::Schema1);
        }
        let wire: Wire = go_json::from_slice_unambiguous(&raw).map_err(ManifestError::Json)?;
        let media_type = wire.media_type(declared)?;
        let kind = wire.into_kind(&media_type)?;
        kind.check_sizes()?;
        kind.check_empty()?;
        Ok(Self {
            descriptor: Descriptor::of(media_type, &raw),
            raw,
            kind,
        })
    }

    /// What it refers to and needs: children come before parents.
    pub fn children(&self) -> Vec<&Descriptor> {
        match &self.kind {
            Kind::Index(index) => index.manifests.iter().collect(),
            Kind::Image(parts) | Kind::Artifact(parts) => std::iter::once(&parts.config)
                .chain(&parts.layers)
                .collect(),
        }
    }
}

impl Kind {
    /// Checks every size that the manifest declares, so that no later step depends on a number that
    /// nothing bounds.
    fn check_sizes(&self) -> Result<(), SizeError> {
        match self {
            Self::Index(index) => {
                for entry in &index.manifests {
                    if is_manifest(&entry.media_type) {
                        entry.check_document_size("manifest")?;
                    } else {
                        entry.check_blob_size("blob")?;
                    }
                }
                check_subject(index.subject.as_ref())
            }
            Self::Image(parts) => {
                parts.config.check_document_size("config")?;
                parts.check_layer_sizes()
            }
            // An artifact's config is a blob of any kind: it is copied and not read.
            Self::Artifact(parts) => {
                parts.config.check_blob_size("config")?;
                parts.check_layer_sizes()
            }
        }
    }
}

impl Kind {
    /// Checks that an image declares its sizes. Docker ignores them; wharf asks for as many bytes as
    /// are declared, and bounds memory and disk space by that number.
    fn check_empty(&self) -> Result<(), ManifestError> {
        let Self::Image(parts) = self else {
            return Ok(());
        };
        let config = std::iter::once(("config", &parts.config));
        let layers = parts.layers.iter().map(|layer| ("layer", layer));
        for (role, descriptor) in config.chain(layers) {
            if descriptor.size == 0 && !descriptor.digest.is_of_no_bytes() {
                return Err(ManifestError::DeclaredEmpty {
                    role,
                    digest: descriptor.digest.clone(),
                });
            }
        }
        Ok(())
    }
}

impl Parts {
    fn check_layer_sizes(&self) -> Result<(), SizeError> {
        for layer in &self.layers {
            layer.check_blob_size("layer")?;
        }
        check_subject(self.subject.as_ref())
    }
}

fn check_subject(subject: Option<&Descriptor>) -> Result<(), SizeError> {
    subject.map_or(Ok(()), |subject| subject.check_document_size("subject"))
}

impl Wire {
    /// Agrees on one media type between what was declared and what the content says.
    fn media_type(&self, declared: &str) -> Result<String, ManifestError> {
        if self.schema_version == Some(1) || self.fs_layers.is_some() {
            return Err(ManifestError::Schema1);
        }
        let generic = matches!(
            declared,
            "" | "application/json" | "application/octet-stream" | "text/plain"
        );
        match self
            .media_type
            .as_deref()
            .filter(|inside| !inside.is_empty())
        {
            Some(inside) if generic || inside == declared => Ok(inside.to_owned()),
            Some(inside) => Err(ManifestError::TypeConflict {
                declared: declared.to_owned(),
                inside: inside.to_owned(),
            }),
            None if !generic => Ok(declared.to_owned()),
            None if self.manifests.is_some() => Ok(OCI_INDEX.to_owned()),
            None => Ok(OCI_MANIFEST.to_owned()),
        }
    }

    fn into_kind(self, media_type: &str) -> Result<Kind, ManifestError> {
        if !is_manifest(media_type) {
            return Err(ManifestError::MediaType(media_type.to_owned()));
        }
        match (self.manifests, self.config, self.layers) {
            (Some(manifests), None, None) if is_index(media_type) => {
                if manifests.len() > INDEX_ENTRIES_MAX {
                    return Err(ManifestError::Shape("it lists more than 4096 manifests"));
                }
                Ok(Kind::Index(Index {
                    manifests,
                    subject: self.subject,
                }))
            }
            (None, Some(config), layers) if is_image_manifest(media_type) => {
                let layers = layers.unwrap_or_default();
                if layers.len() > LAYERS_MAX {
                    return Err(ManifestError::Shape("it has more than 4096 layers"));
                }
                // An image may have an artifact type: only the config's type tells (Docker 28.5: pull).
                let image = names_an_image_config(&config.media_type);
                let parts = Parts {
                    config,
                    layers,
                    subject: self.subject,
                    artifact_type: self.artifact_type.filter(|kind| !kind.is_empty()),
                };
                Ok(if image {
                    Kind::Image(parts)
                } else {
                    Kind::Artifact(parts)
                })
            }
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => Err(ManifestError::Shape(
                "a list of manifests and an image at the same time",
            )),
            (Some(_), None, None) => Err(ManifestError::Shape(
                "it lists manifests and says that it is an image",
            )),
            (None, Some(_), _) => Err(ManifestError::Shape(
                "it has a config and says that it is a list of manifests",
            )),
            (None, None, _) => Err(ManifestError::Shape(
                "neither a config nor a list of manifests",
            )),
        }
    }
}

/// Is a config of this type an image's? Old registries and tools wrote all kinds of types, or
/// none, and Docker takes them for images (moby#22378, moby#30083).
fn names_an_image_config(media_type: &str) -> bool {
    is_image_config(media_type)
        || matches!(
            media_type,
            "" | "application/octet-stream" | "application/json" | "text/html"
        )
}

impl Index {
    /// The manifest for `wanted`: the first entry of the best platform that runs there, or else
    /// the first one that says nothing of platforms (Docker 28.5: `filterManifests`).
    pub fn choose(&self, wanted: &Platform) -> Option<&Descriptor> {
        let for_platform = |platform: &Platform| {
            self.images()
                .find(|d| d.platform.as_ref().is_some_and(|p| p.is(platform)))
        };
        let says_nothing = |d: &&Descriptor| d.platform.as_ref().is_none_or(is_blank);
        wanted
            .runs()
            .iter()
            .find_map(for_platform)
            .or_else(|| self.candidates().find(says_nothing))
    }

    /// The entries that are images for some platform. An attestation, for `unknown/unknown`, is
    /// nobody's image.
    pub fn images(&self) -> impl Iterator<Item = &Descriptor> {
        self.candidates().filter(|d| {
            d.platform
                .as_ref()
                .is_some_and(|p| !is_blank(p) && p.os != "unknown" && p.architecture != "unknown")
        })
    }

    /// The entries that may be images. Types that wharf does not know are skipped, as the
    /// image-spec wants it.
    fn candidates(&self) -> impl Iterator<Item = &Descriptor> {
        self.manifests.iter().filter(|d| {
            is_manifest(&d.media_type) && !d.annotations.contains_key("vnd.docker.reference.type")
        })
    }
}

/// Is nothing said? Docker's tools write a platform of empty fields for none.
fn is_blank(platform: &Platform) -> bool {
    *platform == Platform::default()
}

#[cfg(test)]
mod tests;
