//! Just enough HTTP to push an image to a registry on loopback: a request at a time, a connection each.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use wharf_core::Descriptor;

/// How long a registry on loopback may be silent before something is wrong with it.
const SILENCE_MAX: Duration = Duration::from_secs(120);
/// Bounds an answer's body: these are error messages.
const BODY_MAX: u64 = 64 * 1024;

/// What a registry answered.
struct Answer {
    status: u16,
    location: Option<String>,
    body: String,
}

/// Pushes the image `manifest` of an OCI layout to `http://ADDRESS/NAME:TAG`, byte for byte.
pub(crate) fn push(
    layout: &Path,
    manifest: &Descriptor,
    address: &str,
    name: &str,
    tag: &str,
) -> anyhow::Result<()> {
    let file = |what: &Descriptor| layout.join("blobs/sha256").join(what.digest.hex());
    let document: Value = serde_json::from_reader(File::open(file(manifest))?)?;
    let mut blobs: Vec<Descriptor> = serde_json::from_value(document["layers"].clone())?;
    blobs.push(serde_json::from_value(document["config"].clone())?);
    for what in &blobs {
        push_blob(address, name, what, &file(what))
            .with_context(|| format!("cannot push {what} to {address}"))?;
    }
    let target = format!("/v2/{name}/manifests/{tag}");
    let body = (manifest.size, File::open(file(manifest))?);
    let answer = send(address, "PUT", &target, &manifest.media_type, Some(body))?;
    expect(&answer, 201)
}

fn push_blob(address: &str, name: &str, what: &Descriptor, file: &Path) -> anyhow::Result<()> {
    let target = format!("/v2/{name}/blobs/uploads/");
    let answer = send(address, "POST", &target, "application/octet-stream", None)?;
    expect(&answer, 202)?;
    let location = answer
        .location
        .context("the registry names no place for an upload")?;
    let location = location
        .strip_prefix(&format!("http://{address}"))
        .unwrap_or(&location);
    let separator = if location.contains('?') { '&' } else { '?' };
    let target = format!("{location}{separator}digest={}", what.digest);
    let body = (what.size, File::open(file)?);
    expect(
        &send(
            address,
            "PUT",
            &target,
            "application/octet-stream",
            Some(body),
        )?,
        201,
    )
}

/// Does a registry answer there?
pub(crate) fn answers(address: &str) -> bool {
    send(address, "GET", "/v2/", "", None).is_ok_and(|answer| answer.status == 200)
}

fn expect(answer: &Answer, status: u16) -> anyhow::Result<()> {
    if answer.status != status {
        bail!(
            "the registry answered {}: {}",
            answer.status,
            answer.body.trim()
        );
    }
    Ok(())
}

fn send(
    address: &str,
    method: &str,
    target: &str,
    content_type: &str,
    body: Option<(u64, File)>,
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.set_write_timeout(Some(SILENCE_MAX))?;
    let length = body.as_ref().map_or(0, |(length, _)| *length);
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\
         Content-Type: {content_type}\r\nConnection: close\r\n\r\n"
    )?;
    if let Some((_, mut body)) = body {
        io::copy(&mut body, &mut stream)?;
    }
    stream.flush()?;
    read(BufReader::new(stream))
}

fn read(mut reader: impl BufRead) -> io::Result<Answer> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("not HTTP: {line:?}")))?;
    let mut location = None;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("location") {
            location = Some(value.trim().to_owned());
        }
    }
    let mut body = Vec::new();
    reader.take(BODY_MAX).read_to_end(&mut body)?;
    Ok(Answer {
        status,
        location,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_an_answer() {
        let text = "HTTP/1.1 202 Accepted\r\nLOCATION: /v2/x?a=b\r\nX: y\r\n\r\nbody";
        let answer = read(text.as_bytes()).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (202, "body"));
        assert_eq!(answer.location.as_deref(), Some("/v2/x?a=b"));
    }

    #[test]
    fn refuses_what_is_not_http() {
        assert!(read(&b"SSH-2.0-x\r\n"[..]).is_err());
        assert!(read(&b""[..]).is_err());
    }
}
