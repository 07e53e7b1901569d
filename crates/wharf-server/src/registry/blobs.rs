//! Blobs: whole, in ranges, deleted.
//!
//! A file is read in pieces on blocking threads, one piece ahead of the connection: a slow client holds two
//! pieces in memory, whatever the blob's size, and no thread. Large pieces are for as many clients as there is memory
//! set aside for; the others get small ones.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wharf_core::Digest;

use super::Registry;
use super::backend::{Blob, Content, Repository};
use super::errors::{Code, Failure};
use super::range::{self, Asked};

/// How many bytes are read from disk at once. Less costs more switches between threads, more costs
/// memory per connection and was not faster.
const PIECE: u64 = 256 * 1024;

/// Bounds the large pieces in memory, in number: 8 MiB for all clients together, also for those that take nothing.
pub(super) const LARGE_PIECES_MAX: usize = 32;

/// How many bytes are read at once for a client for which no large piece is left.
const SMALL_PIECE: u64 = 8 * 1024;

/// Content never changes under its digest; a cache may keep it for as long as caches keep
/// anything: a year, in seconds.
const CACHE_CONTROL: &str = "max-age=31536000";

pub(super) async fn get(
    registry: &Registry,
    repository: Repository,
    digest: Digest,
    head: bool,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let wanted = digest.clone();
    let blob = registry
        .ask(move |backend| backend.blob(&repository, &wanted))
        .await?;
    let Some(blob) = blob else {
        return Err(unknown());
    };
    let etag = etag(&digest)?;
    if matches_etag(headers, header::IF_NONE_MATCH, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let size = blob.size;
    let (status, range) = match asked(headers, &etag, size) {
        Asked::Whole => (StatusCode::OK, 0..size),
        Asked::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Asked::Outside => return Err(outside(size)),
    };
    let body = if head {
        Body::empty()
    } else {
        body(blob, range.clone(), &registry.large_pieces)
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_LENGTH,
        HeaderValue::from(range.end - range.start),
    );
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(CACHE_CONTROL),
    );
    headers.insert(header::ETAG, etag);
    headers.insert("docker-content-digest", digest_header(&digest)?);
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        headers.insert(header::CONTENT_RANGE, header_value(&text)?);
    }
    Ok(response)
}

pub(super) async fn delete(
    registry: &Registry,
    repository: Repository,
    digest: Digest,
) -> Result<Response, Failure> {
    let was_there = registry
        .ask(move |b| b.delete_blob(&repository, &digest))
        .await?;
    if was_there {
        Ok(StatusCode::ACCEPTED.into_response())
    } else {
        Err(unknown())
    }
}

fn asked(headers: &HeaderMap, etag: &HeaderValue, size: u64) -> Asked {
    // If-Range: the part only if the client has the same content (RFC 9110, section 13.1.5).
    if headers
        .get(header::IF_RANGE)
        .is_some_and(|have| have != etag)
    {
        return Asked::Whole;
    }
    range::parse(
        headers
            .get(header::RANGE)
            .and_then(|value| value.to_str().ok()),
        size,
    )
}

fn unknown() -> Failure {
    Failure::new(Code::BlobUnknown, "the repository holds no such blob")
}

fn outside(size: u64) -> Failure {
    let text = format!("the blob has {size} bytes; the range lies outside of it");
    let failure =
        Failure::new(Code::SizeInvalid, text).with_status(StatusCode::RANGE_NOT_SATISFIABLE);
    match header_value(&format!("bytes */{size}")) {
        Ok(value) => failure.with_header(header::CONTENT_RANGE, value),
        Err(_) => failure,
    }
}

/// The content's digest as an entity tag.
pub(super) fn etag(digest: &Digest) -> Result<HeaderValue, Failure> {
    header_value(&format!("\"{digest}\""))
}

/// Does the client's header name this content?
pub(super) fn matches_etag(
    headers: &HeaderMap,
    name: header::HeaderName,
    etag: &HeaderValue,
) -> bool {
    let Ok(etag) = etag.to_str() else {
        return false;
    };
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| {
            value
                .split(',')
                .map(str::trim)
                .any(|one| one == "*" || one.trim_start_matches("W/") == etag)
        })
}

pub(super) fn digest_header(digest: &Digest) -> Result<HeaderValue, Failure> {
    header_value(digest.as_str())
}

pub(super) fn header_value(text: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(text).map_err(|error| Failure::internal(&error))
}

fn body(blob: Blob, range: Range<u64>, large: &Arc<Semaphore>) -> Body {
    match blob.content {
        Content::Memory(bytes) => {
            let index = |n| usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len());
            Body::from(bytes.slice(index(range.start)..index(range.end)))
        }
        Content::File(file) => Body::from_stream(pieces(file, range, Arc::clone(large))),
    }
}

/// A file on its way out.
struct Reading {
    file: File,
    left: u64,
    /// How many more large pieces there may be.
    large: Arc<Semaphore>,
}

type Piece = io::Result<(Bytes, Reading)>;

/// The file's bytes in `range`, piece by piece.
fn pieces(
    file: File,
    range: Range<u64>,
    large: Arc<Semaphore>,
) -> impl stream::Stream<Item = io::Result<Bytes>> + Send {
    let start = range.start;
    let left = range.end - start;
    let first = wharf_os::blocking::start(move || {
        let mut file = file;
        file.seek(SeekFrom::Start(start))?;
        next_piece(Reading { file, left, large })
    });
    stream::unfold(Some(first), |ahead| async {
        let piece: Piece = match ahead?.await {
            Ok(piece) => piece,
            Err(error) => Err(io::Error::other(error)),
        };
        match piece {
            Ok((bytes, reading)) => {
                let ahead = (reading.left > 0)
                    .then(|| wharf_os::blocking::start(move || next_piece(reading)));
                Some((Ok(bytes), ahead))
            }
            Err(error) => {
                tracing::error!(%error, "a blob cannot be read");
                Some((Err(error), None))
            }
        }
    })
}

/// A piece that counts among the large ones until the connection has sent it.
struct Large {
    bytes: Vec<u8>,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Large {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn next_piece(mut reading: Reading) -> Piece {
    // A short rest needs no place among the large pieces.
    let place = (reading.left > SMALL_PIECE)
        .then(|| Arc::clone(&reading.large).try_acquire_owned().ok())
        .flatten();
    let most = if place.is_some() { PIECE } else { SMALL_PIECE };
    let want = reading.left.min(most);
    let mut bytes = Vec::with_capacity(usize::try_from(want).unwrap_or(0));
    let got = (&mut reading.file).take(want).read_to_end(&mut bytes)? as u64;
    if got < want {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the blob's file is too short",
        ));
    }
    reading.left -= got;
    let bytes = match place {
        Some(_place) => Bytes::from_owner(Large { bytes, _place }),
        None => bytes.into(),
    };
    Ok((bytes, reading))
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    /// A blob's bytes, none of which is like those around it.
    fn content(length: u64) -> Vec<u8> {
        (0..length)
            .map(|at| u8::try_from(at % 251).unwrap())
            .collect()
    }

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, content).unwrap();
        file
    }

    #[tokio::test]
    async fn who_takes_nothing_leaves_large_pieces_to_others_and_nobody_starves() {
        const CLIENTS: usize = 20;
        let content = content(4 * PIECE + 7);
        let large = Arc::new(Semaphore::new(8));
        let mut stalled = Vec::new();
        for _ in 0..CLIENTS {
            let mut stream = Box::pin(pieces(file(&content), 0..4 * PIECE + 7, Arc::clone(&large)));
            let first = stream.next().await.unwrap().unwrap();
            stalled.push((stream, first));
        }
        let sizes: Vec<u64> = stalled
            .iter()
            .map(|(_, first)| first.len() as u64)
            .collect();
        assert!(
            sizes.contains(&PIECE) && sizes.contains(&SMALL_PIECE),
            "{sizes:?}"
        );
        let held: u64 = sizes.iter().sum();
        assert!(held <= 8 * PIECE + CLIENTS as u64 * SMALL_PIECE, "{held}");
        // One more gets all of it, and those that go give their places back.
        for _ in 0..2 {
            let stream = pieces(file(&content), 3..4 * PIECE, Arc::clone(&large));
            let all: Vec<Bytes> = stream.map(Result::unwrap).collect().await;
            assert_eq!(all.concat(), content[3..4 * 256 * 1024]);
            stalled.clear();
        }
    }
}
