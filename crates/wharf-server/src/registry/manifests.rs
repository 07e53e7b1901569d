//! Manifests by tag and by digest.
//!
//! A manifest is served as it was pushed, byte for byte, whatever the client says it accepts: to
//! convert it would change its digest.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use wharf_core::content::{DOCUMENT_MAX, digest_like};
use wharf_core::manifest::Kind;
use wharf_core::{Digest, Manifest};

use super::Registry;
use super::backend::{NewManifest, Repository, Target};
use super::blobs::{digest_header, etag, header_value, matches_etag};
use super::errors::{Code, Failure};
use super::referrers;
use super::route::Reference;

/// How much of a manifest that is too long is read and thrown away, in bytes. Nobody's mistake is
/// larger than this; whoever sends more is cut off.
const THROWN_AWAY_MAX: u64 = 64 * 1024 * 1024;

pub(super) async fn get(
    registry: &Registry,
    repository: Repository,
    reference: &Reference,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let Reference::Target(target) = reference else {
        return Err(unknown());
    };
    let target = target.clone();
    let manifest = registry
        .ask(move |b| b.manifest(&repository, &target))
        .await?;
    let manifest = manifest.ok_or_else(unknown)?;
    let etag = etag(&manifest.digest)?;
    if matches_etag(headers, header::IF_NONE_MATCH, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let length = HeaderValue::from(manifest.bytes.len());
    // For HEAD too: the server leaves the body out and the length in.
    let mut response = Body::from(manifest.bytes).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length);
    headers.insert(header::CONTENT_TYPE, header_value(&manifest.media_type)?);
    headers.insert(header::ETAG, etag);
    headers.insert("docker-content-digest", digest_header(&manifest.digest)?);
    Ok(response)
}

pub(super) async fn put(
    registry: &Registry,
    repository: Repository,
    reference: &Reference,
    request: Request,
) -> Result<Response, Failure> {
    let Reference::Target(target) = reference else {
        return Err(Failure::new(Code::TagInvalid, "invalid tag"));
    };
    let declared = request
        .headers()
        .get(header::CONTENT_TYPE)
        .map(HeaderValue::to_str);
    let declared = match declared.transpose() {
        Ok(declared) => declared.unwrap_or_default().to_owned(),
        Err(_) => return Err(Failure::new(Code::ManifestInvalid, "invalid Content-Type")),
    };
    let raw = read(request.into_body()).await?;
    let mut manifest = Manifest::parse(&declared, raw)
        .map_err(|error| Failure::new(Code::ManifestInvalid, error.to_string()))?;
    let tag = match target {
        Target::Tag(tag) => Some(tag.clone()),
        Target::Digest(digest) => {
            let actual = digest_like(digest, &manifest.raw);
            if actual != *digest {
                let text = format!("the manifest's digest is {actual}, not {digest}");
                return Err(Failure::new(Code::DigestInvalid, text));
            }
            manifest.descriptor.digest = actual;
            None
        }
    };
    let digest = manifest.descriptor.digest.clone();
    let subject = subject(&manifest).cloned();
    let referrer = subject
        .clone()
        .map(|subject| (subject, referrers::describe(&manifest)));
    let new = NewManifest {
        manifest,
        tag,
        referrer,
    };
    registry.backend.put_manifest(&repository, &new).await?;
    let location = header_value(&format!("/v2/{repository}/manifests/{digest}"))?;
    let mut response = StatusCode::CREATED.into_response();
    response.headers_mut().insert(header::LOCATION, location);
    response
        .headers_mut()
        .insert("docker-content-digest", digest_header(&digest)?);
    if let Some(subject) = subject {
        response
            .headers_mut()
            .insert("oci-subject", digest_header(&subject)?);
    }
    Ok(response)
}

pub(super) async fn delete(
    registry: &Registry,
    repository: Repository,
    reference: &Reference,
) -> Result<Response, Failure> {
    let Reference::Target(target) = reference else {
        return Err(unknown());
    };
    let target = target.clone();
    let was_there = registry
        .ask(move |b| b.delete_manifest(&repository, &target))
        .await?;
    if was_there {
        Ok(StatusCode::ACCEPTED.into_response())
    } else {
        Err(unknown())
    }
}

/// Reads a body whole, if it is short enough for a manifest. Of one that is not, the rest is read and
/// thrown away, so that the client is done sending and sees the answer.
async fn read(body: Body) -> Result<Bytes, Failure> {
    let mut body = body.into_data_stream();
    let (mut all, mut seen) = (BytesMut::new(), 0);
    while let Some(chunk) = body.next().await {
        let broken = |_| Failure::new(Code::ManifestInvalid, "the request's body broke off");
        let chunk = chunk.map_err(broken)?;
        seen += chunk.len() as u64;
        if seen <= DOCUMENT_MAX {
            all.extend_from_slice(&chunk);
        } else if seen > DOCUMENT_MAX + THROWN_AWAY_MAX {
            break;
        }
    }
    if seen > DOCUMENT_MAX {
        let text = format!("a manifest may have {DOCUMENT_MAX} bytes");
        let failure = Failure::new(Code::SizeInvalid, text);
        return Err(failure.with_status(StatusCode::PAYLOAD_TOO_LARGE));
    }
    Ok(all.freeze())
}

fn subject(manifest: &Manifest) -> Option<&Digest> {
    let subject = match &manifest.kind {
        Kind::Index(index) => &index.subject,
        Kind::Image(parts) | Kind::Artifact(parts) => &parts.subject,
    };
    subject.as_ref().map(|descriptor| &descriptor.digest)
}

fn unknown() -> Failure {
    Failure::new(Code::ManifestUnknown, "manifest unknown")
}
