//! Manifests and lists as JSON, laid out as Docker does: what is compared byte by byte with Docker's
//! must find the same fields in the same order.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wharf_core::go_json;
use wharf_core::media_type::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use wharf_core::{Descriptor, Digest, Manifest, Reference};

use crate::exit::{Failure, Result};

/// One image of a list, as Docker keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListedImage {
    #[serde(rename = "Ref")]
    reference: String,
    pub(super) descriptor: DescriptorForm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
    #[serde(
        rename = "SchemaV2Manifest",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    schema2: Option<Box<RawValue>>,
    #[serde(
        rename = "OCIManifest",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    oci: Option<Box<RawValue>>,
}

/// A descriptor, in the image-spec's order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DescriptorForm {
    pub(super) media_type: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) platform: Option<PlatformForm>,
}

/// A platform, in the image-spec's order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct PlatformForm {
    pub(super) architecture: String,
    pub(super) os: String,
    #[serde(rename = "os.version", skip_serializing_if = "String::is_empty")]
    pub(super) os_version: String,
    #[serde(rename = "os.features", skip_serializing_if = "Vec::is_empty")]
    pub(super) os_features: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) variant: String,
}

/// A list, as it is pushed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListForm<'a> {
    schema_version: u32,
    media_type: &'a str,
    manifests: Vec<EntryForm<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EntryForm<'a> {
    media_type: &'a str,
    size: u64,
    digest: &'a Digest,
    platform: PlatformForm,
}

impl ListedImage {
    /// An entry of which only the descriptor is of interest.
    pub(super) fn bare(reference: &Reference, what: &Descriptor) -> Self {
        Self {
            reference: reference.to_string(),
            descriptor: DescriptorForm {
                media_type: what.media_type.clone(),
                digest: what.digest.clone(),
                size: what.size,
                platform: what.platform.clone().map(Into::into),
            },
            raw: None,
            schema2: None,
            oci: None,
        }
    }

    /// Are the manifest's own bytes in it? Old Dockers left them out.
    pub(super) fn is_whole(&self) -> bool {
        self.raw.as_ref().is_some_and(|raw| !raw.is_empty())
    }

    /// Its name.
    pub(super) fn name(&self) -> Result<Reference> {
        self.reference.parse().map_err(|error| {
            Failure::error(format!(
                "{} in the list is no name: {error}",
                self.reference
            ))
        })
    }
}

/// An image of a registry, as a list keeps it.
pub(super) fn listed(
    reference: &Reference,
    manifest: &Manifest,
    platform: PlatformForm,
) -> Result<ListedImage> {
    let text = std::str::from_utf8(&manifest.raw).unwrap_or_default();
    let json = RawValue::from_string(text.to_owned())
        .map_err(|error| Failure::error(format!("the manifest is not JSON: {error}")))?;
    let mut image = ListedImage::bare(reference, &manifest.descriptor);
    image.descriptor.platform = Some(platform);
    image.raw = Some(STANDARD.encode(&manifest.raw));
    match manifest.descriptor.media_type.as_str() {
        DOCKER_MANIFEST => image.schema2 = Some(json),
        _ => image.oci = Some(json),
    }
    Ok(image)
}

/// What an image's config says of its platform.
pub(super) fn platform_of(config: &Bytes) -> Result<PlatformForm> {
    go_json::from_slice(config)
        .map_err(|error| Failure::error(format!("the image's config is not valid: {error}")))
}

/// An image of a list, or its manifest alone.
pub(super) fn image(image: &ListedImage, verbose: bool) -> Result<String> {
    if verbose {
        return Ok(indent(&json(image), "\t") + "\n");
    }
    let manifest = image.schema2.as_ref().or(image.oci.as_ref());
    let manifest =
        manifest.ok_or_else(|| Failure::error(format!("{} has no payload", image.reference)))?;
    Ok(indent(manifest.get(), "\t") + "\n")
}

/// A manifest as it came, laid out.
pub(super) fn raw(bytes: &Bytes) -> Result<String> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| Failure::error("the manifest is not text"))?;
    Ok(indent(text, "\t") + "\n")
}

/// A list: all that is known of its images, or the list as it would be pushed.
pub(super) fn list(images: &[ListedImage], verbose: bool) -> Result<String> {
    if verbose {
        return Ok(indent(&json(images), "\t") + "\n");
    }
    Ok(index(images).1 + "\n")
}

/// The list as it is pushed: its media type and its bytes. A list whose first image is OCI's is OCI's.
pub(super) fn index(images: &[ListedImage]) -> (&'static str, String) {
    let first = images
        .first()
        .map(|image| image.descriptor.media_type.as_str());
    let media_type = if first == Some(OCI_MANIFEST) {
        OCI_INDEX
    } else {
        DOCKER_LIST
    };
    let manifests = images.iter().map(|image| EntryForm {
        media_type: &image.descriptor.media_type,
        size: image.descriptor.size,
        digest: &image.descriptor.digest,
        platform: image.descriptor.platform.clone().unwrap_or_default(),
    });
    let list = ListForm {
        schema_version: 2,
        media_type,
        manifests: manifests.collect(),
    };
    (media_type, indent(&json(&list), "   "))
}

fn json<T: Serialize + ?Sized>(value: &T) -> String {
    // The values have texts for keys, and a text takes every one of them.
    serde_json::to_string(value).unwrap_or_default()
}

/// Lays out JSON, token by token: numbers, texts and the order of fields stay as they are.
fn indent(json: &str, unit: &str) -> String {
    let (mut out, mut depth) = (String::with_capacity(json.len() * 2), 0_usize);
    let mut rest = json.chars().filter(not_space()).peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&unit.repeat(depth));
    };
    let mut quoted = Quoted::default();
    while let Some(c) = rest.next() {
        if quoted.goes_on(c) {
            out.push(c);
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                if matches!(rest.peek(), Some('}' | ']')) {
                    out.extend(rest.next());
                    continue;
                }
                depth += 1;
                line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => out.push(c),
        }
    }
    out
}

/// Lets everything through but the space between tokens.
fn not_space() -> impl FnMut(&char) -> bool {
    let mut quoted = Quoted::default();
    move |c| quoted.goes_on(*c) || !c.is_ascii_whitespace()
}

/// Whether a text is being read.
#[derive(Default)]
struct Quoted {
    inside: bool,
    escaped: bool,
}

impl Quoted {
    /// Takes the next character. Does it belong to a text, its quotes included?
    fn goes_on(&mut self, c: char) -> bool {
        if !self.inside {
            self.inside = c == '"';
            return self.inside;
        }
        if self.escaped {
            self.escaped = false;
        } else if c == '\\' {
            self.escaped = true;
        } else if c == '"' {
            self.inside = false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lays_out_as_go_does_and_changes_nothing() {
        let json = "{ \"a\":[1, 2.50e3,{}],\n\"b\\\"{\": \"x, y:\\\\\",\"c\":[ ],\"d\":null}";
        assert_eq!(
            indent(json, "  "),
            "{\n  \"a\": [\n    1,\n    2.50e3,\n    {}\n  ],\n  \"b\\\"{\": \"x, y:\\\\\",\n  \
             \"c\": [],\n  \"d\": null\n}"
        );
    }

    proptest! {
        #[test]
        fn what_is_laid_out_means_the_same(text in ".{0,40}", number in any::<i64>()) {
            let value = serde_json::json!({ "a": [text.clone(), { "b": number }], &text: [] });
            let laid_out = indent(&value.to_string(), "\t");
            let read: serde_json::Value = serde_json::from_str(&laid_out).unwrap();
            prop_assert_eq!(read, value);
        }

        #[test]
        fn never_panics(text in ".{0,60}") {
            indent(&text, " ");
        }
    }
}
