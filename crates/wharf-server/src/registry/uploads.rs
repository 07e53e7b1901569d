//! Blobs on their way in: in one request, in a stream, in chunks, or mounted from another
//! repository (distribution-spec 1.1, "Push").

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use wharf_core::Digest;

use super::Registry;
use super::backend::{BackendError, BodyStream, Repository, UploadId};
use super::blobs::{digest_header, header_value};
use super::errors::{Code, Failure};
use super::range;

/// How long a client may pause in the middle of a body before the upload's bytes so far are kept and
/// its connection is given up.
const BODY_PAUSE_MAX: Duration = Duration::from_secs(120);

const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

#[derive(Default, Deserialize)]
struct Parameters {
    digest: Option<String>,
    mount: Option<String>,
    from: Option<String>,
}

impl Parameters {
    fn read(uri: &Uri) -> Result<Self, Failure> {
        Query::try_from_uri(uri)
            .map(|Query(parameters)| parameters)
            .map_err(|error| {
                Failure::new(
                    Code::Unsupported,
                    format!("the query cannot be read: {error}"),
                )
            })
    }
}

/// POST: begins an upload, mounts a blob, or takes a blob whole.
pub(super) async fn begin(
    registry: &Registry,
    repository: Repository,
    request: Request,
) -> Result<Response, Failure> {
    let parameters = Parameters::read(request.uri())?;
    if let (Some(digest), Some(from)) = (parameters.mount, parameters.from) {
        let digest: Digest = digest.parse()?;
        let (from, to, wanted): (Repository, _, _) =
            (from.parse()?, repository.clone(), digest.clone());
        if registry.ask(move |b| b.mount(&from, &to, &wanted)).await? {
            return created(&repository, &digest);
        }
        // The spec: a mount that cannot be done becomes an upload.
    }
    let digest: Option<Digest> = parameters.digest.as_deref().map(str::parse).transpose()?;
    let name = repository.clone();
    let id = registry.ask(move |b| b.begin_upload(&name)).await?;
    let Some(digest) = digest else {
        return accepted(StatusCode::ACCEPTED, &repository, &id, 0);
    };
    let headers = request.headers().clone();
    let taken = take(registry, &repository, &id, &headers, request.into_body()).await;
    let result = match taken {
        Ok(_) => {
            registry
                .backend
                .finish_upload(&repository, &id, &digest)
                .await
        }
        Err(failure) => {
            // Nobody knows the upload's ID, so nobody can go on with it.
            let name = repository.clone();
            registry.ask(move |b| b.cancel_upload(&name, &id)).await?;
            return Err(failure);
        }
    };
    result?;
    created(&repository, &digest)
}

/// PATCH: takes the next bytes.
pub(super) async fn append(
    registry: &Registry,
    repository: Repository,
    id: UploadId,
    request: Request,
) -> Result<Response, Failure> {
    let headers = request.headers().clone();
    let len = take(registry, &repository, &id, &headers, request.into_body()).await?;
    accepted(StatusCode::ACCEPTED, &repository, &id, len)
}

/// PUT: takes the last bytes, if there are any, and makes the upload a blob.
pub(super) async fn finish(
    registry: &Registry,
    repository: Repository,
    id: UploadId,
    request: Request,
) -> Result<Response, Failure> {
    let parameters = Parameters::read(request.uri())?;
    let missing = || Failure::new(Code::DigestInvalid, "the parameter digest is missing");
    let digest: Digest = parameters.digest.ok_or_else(missing)?.parse()?;
    let headers = request.headers().clone();
    take(registry, &repository, &id, &headers, request.into_body()).await?;
    registry
        .backend
        .finish_upload(&repository, &id, &digest)
        .await?;
    created(&repository, &digest)
}

/// GET: says how far an upload came.
pub(super) async fn status(
    registry: &Registry,
    repository: Repository,
    id: UploadId,
) -> Result<Response, Failure> {
    let len = length(registry, &repository, &id).await?;
    accepted(StatusCode::NO_CONTENT, &repository, &id, len)
}

/// DELETE: forgets an upload.
pub(super) async fn cancel(
    registry: &Registry,
    repository: Repository,
    id: UploadId,
) -> Result<Response, Failure> {
    registry
        .ask(move |b| b.cancel_upload(&repository, &id))
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn length(
    registry: &Registry,
    repository: &Repository,
    id: &UploadId,
) -> Result<u64, Failure> {
    let (repository, id) = (repository.clone(), id.clone());
    registry.ask(move |b| b.upload_len(&repository, &id)).await
}

/// Appends a request's body to an upload, where the upload stands or where `Content-Range` says, which
/// must be the same.
async fn take(
    registry: &Registry,
    repository: &Repository,
    id: &UploadId,
    headers: &HeaderMap,
    body: Body,
) -> Result<u64, Failure> {
    let at = length(registry, repository, id).await?;
    let mut expected = None;
    if let Some(header) = headers.get(header::CONTENT_RANGE) {
        let chunk = header
            .to_str()
            .ok()
            .and_then(range::parse_chunk)
            .ok_or_else(|| {
                Failure::new(
                    Code::BlobUploadInvalid,
                    "the Content-Range is not FIRST-LAST",
                )
            })?;
        if chunk.start != at {
            return Err(out_of_order(repository, id, at));
        }
        let length = chunk.end - chunk.start;
        if content_length(headers).is_some_and(|given| given != length) {
            let text = "the Content-Length is not that of the Content-Range";
            return Err(Failure::new(Code::SizeInvalid, text));
        }
        expected = Some(length);
    }
    let bytes = body_stream(body, expected);
    match registry.backend.append(repository, id, at, bytes).await {
        Ok(len) => Ok(len),
        // Another request has appended in the meantime.
        Err(BackendError::Offset(at)) => Err(out_of_order(repository, id, at)),
        Err(error) => Err(error.into()),
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// A body as a stream that ends with an error when it pauses for too long, or has not the length
/// that the request's `Content-Range` says.
fn body_stream(body: Body, expected: Option<u64>) -> BodyStream {
    let state = (body.into_data_stream(), 0_u64, false);
    stream::unfold(state, move |(mut body, seen, ended)| async move {
        if ended {
            return None;
        }
        let broken = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
        let item = match tokio::time::timeout(BODY_PAUSE_MAX, body.next()).await {
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "no bytes came for too long",
            )),
            Ok(Some(Ok(bytes))) => Ok(bytes),
            Ok(Some(Err(error))) => Err(io::Error::other(error)),
            Ok(None) if expected.is_some_and(|expected| seen < expected) => {
                Err(broken("the body is shorter than its Content-Range"))
            }
            Ok(None) => return None,
        };
        let seen = seen + item.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let item = match item {
            Ok(_) if expected.is_some_and(|expected| seen > expected) => {
                Err(broken("the body is longer than its Content-Range"))
            }
            item => item,
        };
        let ended = item.is_err();
        Some((item, (body, seen, ended)))
    })
    .boxed()
}

fn out_of_order(repository: &Repository, id: &UploadId, at: u64) -> Failure {
    let mut failure = Failure::from(BackendError::Offset(at));
    let place = upload_headers(repository, id, at).unwrap_or_default();
    for (name, value) in place {
        failure = failure.with_header(name, value);
    }
    failure
}

fn upload_headers(
    repository: &Repository,
    id: &UploadId,
    len: u64,
) -> Result<Vec<(HeaderName, HeaderValue)>, Failure> {
    // Relative, so that it is right behind any proxy.
    let location = format!("/v2/{repository}/blobs/uploads/{id}");
    // The range's end is included; no bytes are written as 0-0, as docker-registry does.
    let range = format!("0-{}", len.saturating_sub(1));
    Ok(vec![
        (header::LOCATION, header_value(&location)?),
        (header::RANGE, header_value(&range)?),
        (UPLOAD_UUID, header_value(id.as_str())?),
    ])
}

fn accepted(
    status: StatusCode,
    repository: &Repository,
    id: &UploadId,
    len: u64,
) -> Result<Response, Failure> {
    let mut response = status.into_response();
    response
        .headers_mut()
        .extend(upload_headers(repository, id, len)?);
    Ok(response)
}

fn created(repository: &Repository, digest: &Digest) -> Result<Response, Failure> {
    let location = header_value(&format!("/v2/{repository}/blobs/{digest}"))?;
    let digest = digest_header(digest)?;
    let mut response = StatusCode::CREATED.into_response();
    response.headers_mut().insert(header::LOCATION, location);
    response
        .headers_mut()
        .insert("docker-content-digest", digest);
    Ok(response)
}
