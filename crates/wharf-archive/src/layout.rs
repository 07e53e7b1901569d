//! An OCI layout in a folder, as a place to copy from and to.
//!
//! `blobs/<algorithm>/<hex>`, `index.json` and `oci-layout`. A blob is written beside its place, verified,
//! synced and then renamed, so that a file under its digest is whole.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use wharf_core::content::{DOCUMENT_MAX, read_document};
use wharf_core::go_json;
use wharf_core::manifest::Kind;
use wharf_core::media_type::is_manifest;
use wharf_core::{
    ContentError, Descriptor, Digest, Event, Hasher, LayerStatus, Manifest, Reader, Sink, Source,
    Watch,
};

use crate::outside::Destination;

/// How much is read at once, in bytes.
const READ: u64 = 256 * 1024;

/// The permissions of its files: images may hold secrets.
const MODE: u32 = 0o600;

/// A layout. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Layout {
    folder: Arc<PathBuf>,
}

impl Layout {
    /// A layout that may be there already.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let folder = Arc::new(folder.into());
        Self { folder }
    }

    /// What `index.json` lists; nothing if it isn't there.
    pub fn manifests(&self) -> io::Result<Vec<Descriptor>> {
        #[derive(Default, serde::Deserialize)]
        #[serde(default)]
        struct Index {
            manifests: Vec<Descriptor>,
        }
        let path = self.folder.join("index.json");
        let text = match wharf_os::file::read(&path, DOCUMENT_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            text => {
                text.map_err(|error| io::Error::new(error.kind(), format!("index.json: {error}")))?
            }
        };
        let index: Index = go_json::from_slice(&text).map_err(io::Error::other)?;
        Ok(index.manifests)
    }

    /// Writes `index.json` and `oci-layout`, once all that `manifests` names was put.
    pub fn set_manifests(&self, manifests: &[Descriptor]) -> io::Result<()> {
        let index = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": wharf_core::media_type::OCI_INDEX,
            "manifests": manifests,
        });
        self.publish("oci-layout", br#"{"imageLayoutVersion": "1.0.0"}"#)?;
        self.publish("index.json", &serde_json::to_vec(&index)?)
    }

    fn publish(&self, name: &str, content: &[u8]) -> io::Result<()> {
        fs::create_dir_all(self.folder.as_path())?;
        let file = Destination::open(&self.folder.join(name))?.new_file()?;
        file.file().write_all(content)?;
        file.finish_durably(MODE)
    }

    /// Is there a blob of this digest and size?
    pub fn holds(&self, what: &Descriptor) -> bool {
        self.has(what)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let algorithm = digest.algorithm().as_str();
        self.folder.join("blobs").join(algorithm).join(digest.hex())
    }

    fn has(&self, what: &Descriptor) -> bool {
        fs::metadata(self.path(&what.digest)).is_ok_and(|d| d.is_file() && d.len() == what.size)
    }
}

#[async_trait]
impl Source for Layout {
    fn place(&self) -> String {
        self.folder.display().to_string()
    }

    async fn open(&self, what: &Descriptor, range: Range<u64>) -> Result<Reader, ContentError> {
        let (what_digest, place) = (what.digest.clone(), Source::place(self));
        let file = match wharf_os::file::open(&self.path(&what.digest)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ContentError::Missing {
                    what: what_digest,
                    place,
                });
            }
            file => file.map_err(ContentError::place)?,
        };
        let (expected, actual) = (
            what.size,
            file.metadata().map_err(ContentError::place)?.len(),
        );
        if expected != actual {
            return Err(ContentError::Size {
                what: what_digest,
                expected,
                actual,
                place,
            });
        }
        let range = range.start.min(actual)..range.end.min(actual);
        let bytes = stream::try_unfold((Arc::new(file), range.clone()), next).boxed();
        Ok(Reader { range, bytes })
    }
}

type Rest = (Arc<File>, Range<u64>);

/// Reads the next bytes.
async fn next((file, rest): Rest) -> Result<Option<(Bytes, Rest)>, ContentError> {
    if rest.is_empty() {
        return Ok(None);
    }
    let len = READ.min(rest.end - rest.start);
    let (reader, start) = (Arc::clone(&file), rest.start);
    let read = wharf_os::blocking::start(move || {
        let mut buffer = vec![0; usize::try_from(len).unwrap_or_default()];
        reader
            .read_exact_at(&mut buffer, start)
            .map(|()| Bytes::from(buffer))
    });
    let bytes = read
        .await
        .map_err(ContentError::place)?
        .map_err(ContentError::place)?;
    Ok(Some((bytes, (file, rest.start + len..rest.end))))
}

#[async_trait]
impl Sink for Layout {
    fn place(&self) -> String {
        self.folder.display().to_string()
    }

    async fn contains(&self, what: &Descriptor) -> Result<bool, ContentError> {
        if !self.has(what) || !is_manifest(&what.media_type) {
            return Ok(self.has(what));
        }
        // An image's manifest is put after its parts; of an index any may be missing.
        let raw = read_document(self, what).await?;
        let manifest = Manifest::parse(&what.media_type, raw).map_err(ContentError::place)?;
        Ok(manifest.children().into_iter().all(|child| self.has(child)))
    }

    async fn put(
        &self,
        what: &Descriptor,
        source: Arc<dyn Source>,
        watch: Arc<dyn Watch>,
    ) -> Result<(), ContentError> {
        if self.has(what) {
            return Ok(());
        }
        let path = self.path(&what.digest);
        let folder = path.parent().unwrap_or(&self.folder).to_owned();
        fs::create_dir_all(&folder).map_err(ContentError::place)?;
        let begun = Destination::open(&path).and_then(|place| place.new_file());
        let begun = begun.map_err(ContentError::place)?;
        if is_manifest(&what.media_type) {
            let raw = read_document(source.as_ref(), what).await?;
            let document = |error| ContentError::Document {
                what: what.digest.clone(),
                place: source.place(),
                source: Box::new(error),
            };
            let manifest = Manifest::parse(&what.media_type, raw.clone()).map_err(document)?;
            // Of an index, any part may be here.
            let whole = !matches!(manifest.kind, Kind::Index(_));
            let missing = |d: &&&Descriptor| whole && !self.has(d);
            if let Some(child) = manifest.children().iter().find(missing) {
                let (what, place) = (child.digest.clone(), Sink::place(self));
                return Err(ContentError::Missing { what, place });
            }
            let written = begun.file().write_all(&raw);
            let finished = written.and_then(|()| begun.finish_durably(MODE));
            return finished.map_err(ContentError::place);
        }
        let mut reader = source.open(what, 0..what.size).await?;
        let (mut hasher, mut done) = (Hasher::new(what.digest.algorithm()), 0);
        while let Some(bytes) = reader.bytes.next().await {
            let bytes = bytes?;
            done += bytes.len() as u64;
            if done > what.size {
                break;
            }
            hasher.update(&bytes);
            let written = begun.file().write_all(&bytes);
            written.map_err(ContentError::place)?;
            let (digest, total) = (what.digest.clone(), what.size);
            let status = LayerStatus::Downloading { done, total };
            watch.event(Event::Layer { digest, status });
        }
        let (expected, place) = (what.digest.clone(), source.place());
        if done != what.size {
            let (what, expected, actual) = (expected, what.size, done);
            return Err(ContentError::Size {
                what,
                expected,
                actual,
                place,
            });
        }
        let actual = hasher.finish();
        if actual != expected {
            return Err(ContentError::Mismatch {
                expected,
                actual,
                place,
            });
        }
        begun.finish_durably(MODE).map_err(ContentError::place)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use wharf_core::conformance::{self, Place};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn does_what_every_sink_must() {
        conformance::run(async || {
            let folder = tempfile::tempdir().unwrap();
            let layout = Layout::new(folder.path());
            Place::new(Arc::new(layout.clone()), Arc::new(layout)).keeping(folder)
        })
        .await;
    }
}
