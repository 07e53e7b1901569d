//! What refers to a manifest: signatures, attestations, bills of materials (distribution-spec 1.1,
//! "Listing Referrers").

use std::collections::BTreeMap;

use axum::extract::Query;
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use wharf_core::media_type::OCI_INDEX;
use wharf_core::{Descriptor, Digest, Manifest, go_json};

use super::Registry;
use super::backend::Repository;
use super::blobs::header_value;
use super::errors::{Code, Failure};

/// Bounds a page of referrers, in entries: a client may read no more than 4 MiB of an index, and an
/// entry with its annotations has a few KiB.
const PAGE_MAX: usize = 500;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    artifact_type: Option<String>,
    last: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReferrersIndex {
    schema_version: u32,
    media_type: &'static str,
    manifests: Vec<Descriptor>,
}

/// The fields of a manifest that its descriptor among the referrers repeats.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Wire {
    artifact_type: String,
    annotations: BTreeMap<String, String>,
    config: WireConfig,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireConfig {
    media_type: String,
}

pub(super) async fn list(
    registry: &Registry,
    repository: Repository,
    subject: Digest,
    uri: &Uri,
) -> Result<Response, Failure> {
    let Query(parameters): Query<Parameters> = Query::try_from_uri(uri)
        .map_err(|error| Failure::new(Code::Unsupported, error.to_string()))?;
    let (name, wanted) = (repository.clone(), subject.clone());
    let mut all = registry.ask(move |b| b.referrers(&name, &wanted)).await?;
    if let Some(kind) = &parameters.artifact_type {
        all.retain(|descriptor| descriptor.artifact_type.as_ref() == Some(kind));
    }
    if let Some(last) = &parameters.last {
        all.retain(|descriptor| descriptor.digest.as_str() > last.as_str());
    }
    let more = all.len() > PAGE_MAX;
    all.truncate(PAGE_MAX);
    let mut headers = axum::http::HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(OCI_INDEX));
    if parameters.artifact_type.is_some() {
        headers.insert(
            "oci-filters-applied",
            HeaderValue::from_static("artifactType"),
        );
    }
    if let Some(last) = all.last().filter(|_| more) {
        let kind = parameters.artifact_type.as_deref().unwrap_or_default();
        let mut link = format!("</v2/{repository}/referrers/{subject}?last={}", last.digest);
        if !kind.is_empty() {
            link.push_str("&artifactType=");
            percent_encode(kind, &mut link);
        }
        link.push_str(">; rel=\"next\"");
        headers.insert(header::LINK, header_value(&link)?);
    }
    let index = ReferrersIndex {
        schema_version: 2,
        media_type: OCI_INDEX,
        manifests: all,
    };
    let body = serde_json::to_vec(&index).map_err(|error| Failure::internal(&error))?;
    Ok((headers, body).into_response())
}

/// How a manifest is listed among its subject's referrers: its descriptor, with its artifact type and
/// its annotations.
pub fn describe(manifest: &Manifest) -> Descriptor {
    // The manifest was parsed before; fields of another type than the spec's count as absent.
    let wire: Wire = go_json::from_slice(&manifest.raw).unwrap_or_default();
    let mut kinds = [wire.artifact_type, wire.config.media_type].into_iter();
    let mut descriptor = manifest.descriptor.clone();
    descriptor.artifact_type = kinds.find(|kind| !kind.is_empty());
    descriptor.annotations = wire.annotations;
    descriptor
}

fn percent_encode(text: &str, to: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            to.push(char::from(byte));
        } else {
            to.push_str(&format!("%{byte:02X}"));
        }
    }
}
