//! Images in lists: the answer to `GET /images/json`, and a part of `GET /system/df`.

use std::collections::BTreeMap;

use serde::Serialize;
use wharf_core::Platform;
use wharf_engine::PlatformBranch;

/// What says that a number is not known.
pub const UNKNOWN: i64 = -1;

/// One image of a list, in the API's order.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageSummary {
    /// How many containers are made of it: wharf has none.
    pub containers: i64,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// Its ID.
    pub id: String,
    /// Its labels; `null` without any.
    pub labels: Option<BTreeMap<String, String>>,
    /// Only images that Docker's old builder made have one.
    pub parent_id: &'static str,
    /// What its name points to; if `manifests` was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<Descriptor>,
    /// Its platforms; likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifests: Option<Vec<ManifestSummary>>,
    /// The names with digests.
    pub repo_digests: Option<Vec<String>>,
    /// The names with tags.
    pub repo_tags: Option<Vec<String>>,
    /// How much of its size other images have too, in bytes.
    pub shared_size: i64,
    /// The files in its layers, in bytes.
    pub size: u64,
    /// The same, before API 1.44.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_size: Option<u64>,
}

impl ImageSummary {
    /// What a list says of an image; names that there are none of are empty lists.
    pub fn of(summary: wharf_engine::ImageSummary) -> Self {
        Self {
            containers: 0,
            created: summary.created.map_or(0, |time| time.as_second()),
            id: summary.id.to_string(),
            labels: (!summary.labels.is_empty()).then_some(summary.labels),
            parent_id: "",
            descriptor: None,
            manifests: None,
            repo_digests: Some(summary.repo_digests),
            repo_tags: Some(summary.repo_tags),
            shared_size: UNKNOWN,
            size: summary.size,
            virtual_size: None,
        }
    }
}

/// A descriptor, as the OCI image-spec has it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The media type.
    pub media_type: String,
    /// The digest.
    pub digest: String,
    /// In bytes.
    pub size: u64,
}

impl Descriptor {
    /// Of what core knows, the part that everything has.
    pub fn of(what: &wharf_core::Descriptor) -> Self {
        Self {
            media_type: what.media_type.clone(),
            digest: what.digest.to_string(),
            size: what.size,
        }
    }
}

/// A platform, as the OCI image-spec has it.
#[derive(Clone, Debug, Serialize)]
pub struct WirePlatform {
    /// The processor.
    pub architecture: String,
    /// The system.
    pub os: String,
    /// Which kind of this processor.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

impl WirePlatform {
    /// The same, in the API's words.
    pub fn of(platform: &Platform) -> Self {
        Self {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            variant: platform.variant.clone(),
        }
    }
}

/// One platform of what a name points to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ManifestSummary {
    /// The manifest's digest.
    #[serde(rename = "ID")]
    pub id: String,
    /// The manifest.
    pub descriptor: Descriptor,
    /// Is it here, with all that it needs?
    pub available: bool,
    /// How much space it takes.
    pub size: ManifestSize,
    /// `image`.
    pub kind: &'static str,
    /// About the image.
    pub image_data: ImageData,
}

/// How much space a manifest and what it needs take, in bytes.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ManifestSize {
    /// As it is stored.
    pub content: u64,
    /// As it is stored, and unpacked.
    pub total: u64,
}

/// About the image of a manifest.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageData {
    /// For which platform it is.
    pub platform: WirePlatform,
    /// Which containers are made of it: none.
    pub containers: [String; 0],
    /// How much space it takes.
    pub size: UnpackedSize,
}

/// How much space an image takes, unpacked, in bytes.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UnpackedSize {
    /// The files in its layers.
    pub unpacked: u64,
}

impl ManifestSummary {
    /// Describes a platform.
    pub fn of(branch: &PlatformBranch) -> Self {
        Self {
            id: branch.manifest.digest.to_string(),
            descriptor: Descriptor::of(&branch.manifest),
            available: branch.here,
            size: ManifestSize {
                content: branch.content,
                // Nothing is unpacked here.
                total: branch.content,
            },
            kind: "image",
            image_data: ImageData {
                platform: WirePlatform::of(&branch.platform),
                containers: [],
                size: UnpackedSize {
                    unpacked: branch.size,
                },
            },
        }
    }
}
