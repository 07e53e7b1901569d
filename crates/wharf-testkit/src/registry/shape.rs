//! Answers, bent: cut, slowed down, with a wrong byte, with a wrong length.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use wharf_core::Digest;

use super::faults::Fault;
use super::log::Request;

/// How long the connection has to send what it was given before it is cut. Cutting at once would
/// throw away what lies in its buffers, and a client could not tell a cut from a hang-up.
const FLUSH: Duration = Duration::from_millis(5);

type Chunks = BoxStream<'static, io::Result<Bytes>>;

/// Does to an answer what `fault` says.
pub(super) fn bend(mut response: Response, fault: &Fault) -> Response {
    match fault {
        Fault::Cut(after) => limit(response, *after, Some(End::Break)),
        Fault::Stall(after) => limit(response, *after, Some(End::Stall)),
        Fault::Slow { bytes, every } => {
            let (bytes, every) = ((*bytes).max(1), *every);
            response.map(|body| Body::from_stream(slow(chunks(body), bytes, every)))
        }
        Fault::Flip(at) => {
            let at = *at % length(&response).unwrap_or(1).max(1);
            response.map(|body| Body::from_stream(flip(chunks(body), at)))
        }
        Fault::Longer(more) => {
            let length = length(&response).unwrap_or(0);
            set(
                &mut response,
                header::CONTENT_LENGTH,
                &(length + more).to_string(),
            );
            limit(response, length, Some(End::Break))
        }
        Fault::Shorter(less) => {
            let length = length(&response).unwrap_or(0).saturating_sub(*less);
            set(&mut response, header::CONTENT_LENGTH, &length.to_string());
            limit(response, length, None)
        }
        Fault::WrongRange => {
            if response.headers().contains_key(header::CONTENT_RANGE) {
                set(&mut response, header::CONTENT_RANGE, "bytes 1-2/3");
            }
            response
        }
        Fault::WrongDigest => {
            let digest = Digest::of(b"another manifest");
            let name = HeaderName::from_static("docker-content-digest");
            set(&mut response, name, digest.as_str());
            response
        }
        Fault::ContentType(text) => {
            set(&mut response, header::CONTENT_TYPE, text);
            response
        }
        Fault::Header(name, text) => {
            set(&mut response, HeaderName::from_static(name), text);
            response
        }
        Fault::ContentEncoding(text) => {
            set(&mut response, header::CONTENT_ENCODING, text);
            response
        }
        _ => response,
    }
}

/// Counts the body's bytes as the connection takes them.
pub(super) fn count(response: Response, request: Arc<Request>) -> Response {
    response.map(|body| {
        let counted = body.into_data_stream().inspect(move |chunk| {
            if let Ok(chunk) = chunk {
                request.add_sent(chunk.len() as u64);
            }
        });
        Body::from_stream(counted)
    })
}

fn set(response: &mut Response, name: HeaderName, value: &str) {
    let value = HeaderValue::from_str(value).expect("a test's header is valid");
    response.headers_mut().insert(name, value);
}

fn length(response: &Response) -> Option<u64> {
    response
        .headers()
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn chunks(body: Body) -> Chunks {
    body.into_data_stream().map_err(io::Error::other).boxed()
}

/// What happens after the last byte.
#[derive(Clone, Copy)]
enum End {
    Break,
    Stall,
}

/// The first `max` bytes of the body, and then the end; a body that is shorter meets its end where it
/// ends.
fn limit(response: Response, max: u64, end: Option<End>) -> Response {
    response.map(|body| cut(body, max, end))
}

/// The first `after` bytes of what a client sends, and then a break.
pub(super) fn cut_request(body: Body, after: u64) -> Body {
    cut(body, after, Some(End::Break))
}

fn cut(body: Body, max: u64, end: Option<End>) -> Body {
    let first = stream::unfold((chunks(body), max), |(mut chunks, left)| async move {
        if left == 0 {
            return None;
        }
        let item = chunks.next().await?;
        let item = item.map(|mut chunk| {
            chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            chunk
        });
        let left = left
            - item
                .as_ref()
                .map_or(0, |chunk| chunk.len() as u64)
                .min(left);
        Some((item, (chunks, left)))
    });
    let last = stream::once(async move {
        match end {
            Some(End::Break) => tokio::time::sleep(FLUSH).await,
            Some(End::Stall) => std::future::pending().await,
            None => {}
        }
        Err(io::Error::new(
            io::ErrorKind::ConnectionAborted,
            "cut by the test",
        ))
    });
    match end {
        Some(_) => Body::from_stream(first.chain(last)),
        None => Body::from_stream(first),
    }
}

fn slow(
    chunks: Chunks,
    bytes: usize,
    every: Duration,
) -> impl stream::Stream<Item = io::Result<Bytes>> {
    stream::unfold(
        (chunks, Bytes::new()),
        move |(mut chunks, mut rest)| async move {
            while rest.is_empty() {
                match chunks.next().await? {
                    Ok(chunk) => rest = chunk,
                    Err(error) => return Some((Err(error), (chunks, rest))),
                }
            }
            tokio::time::sleep(every).await;
            let piece = rest.split_to(bytes.min(rest.len()));
            Some((Ok(piece), (chunks, rest)))
        },
    )
}

fn flip(chunks: Chunks, at: u64) -> impl stream::Stream<Item = io::Result<Bytes>> {
    chunks.scan(0_u64, move |seen, item| {
        let start = *seen;
        *seen += item.as_ref().map_or(0, |chunk| chunk.len() as u64);
        let here = (start..*seen).contains(&at);
        let item = item.map(|chunk| {
            if !here {
                return chunk;
            }
            let mut copy = chunk.to_vec();
            copy[usize::try_from(at - start).expect("within the chunk")] ^= 1;
            copy.into()
        });
        std::future::ready(Some(item))
    })
}
