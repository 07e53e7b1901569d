//! Writing an archive, from front to back.
//!
//! Blobs come in the order in which they are copied; the documents that name them come last, as in
//! Docker's archives. Times and owners are zero: the same images give the same bytes.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use tokio::sync::{Mutex, OwnedMutexGuard};
use wharf_core::content::read_document;
use wharf_core::manifest::{Kind, Parts};
use wharf_core::media_type::{OCI_INDEX, is_manifest};
use wharf_core::{
    ContentError, Descriptor, Digest, Event, Hasher, LayerStatus, Manifest, Reference, Sink,
    Source, Watch,
};

use super::wire;

/// tar's unit, in bytes; an archive ends with two of them, of zeros.
const BLOCK: usize = 512;

/// A tar that is written: an OCI layout and a docker-archive at once.
///
/// Copy into it with one blob at a time (`Options::parallel` = 1; more only wait), then
/// [`finish`](Self::finish) it. Bytes are hashed on their way: what is wrong has been written by then,
/// so after an error nothing else goes in, and the file is to be thrown away.
#[derive(Clone)]
pub struct ArchiveSink {
    state: Arc<Mutex<State>>,
}

struct State {
    out: Box<dyn Write + Send>,
    /// What is in it already.
    here: HashMap<Digest, u64>,
    /// The images in it, by manifest.
    images: HashMap<Digest, Parts>,
    /// The algorithms whose folders are made.
    folders: Vec<&'static str>,
    /// Something failed in the middle.
    broken: bool,
}

/// What an archive names when it is finished.
#[derive(Clone, Debug)]
pub struct Saved {
    /// A manifest or an index that was copied into it.
    pub root: Descriptor,
    /// The manifest of the image that the names show: `root` itself, or one that `root` lists.
    pub image: Option<Digest>,
    /// The names, with tags; none for what is saved by its ID.
    pub names: Vec<Reference>,
    /// Was it made here, out of plain archives?
    pub local: bool,
}

impl ArchiveSink {
    /// Starts an archive.
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        let state = State {
            out,
            here: HashMap::new(),
            images: HashMap::new(),
            folders: Vec::new(),
            broken: false,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Writes what is in it, and its end; `all` in the order in which a load shall name them.
    pub async fn finish(&self, all: Vec<Saved>) -> Result<(), ContentError> {
        let mut state = Arc::clone(&self.state).lock_owned().await;
        blocking(move || state.finish(&all)).await
    }

    async fn write(
        &self,
        what: &Descriptor,
        source: &dyn Source,
        watch: &dyn Watch,
    ) -> Result<(), ContentError> {
        let mut state = Arc::clone(&self.state).lock_owned().await;
        if state.here.contains_key(&what.digest) {
            return Ok(());
        }
        if state.broken {
            let error = "an archive that failed in the middle cannot go on";
            return Err(ContentError::place(error));
        }
        let mut reader = source.open(what, 0..what.size).await?;
        state.broken = true;
        let (digest, size) = (what.digest.clone(), what.size);
        state = step(state, move |state| state.begin(&digest, size)).await?;
        let (mut hasher, mut done) = (Hasher::new(what.digest.algorithm()), 0);
        while let Some(bytes) = reader.bytes.next().await {
            let bytes = bytes?;
            done += bytes.len() as u64;
            if done > what.size {
                break;
            }
            let (next, hashed) = blocking(move || {
                hasher.update(&bytes);
                state.out.write_all(&bytes)?;
                Ok((state, hasher))
            })
            .await?;
            (state, hasher) = (next, hashed);
            watch.event(Event::Layer {
                digest: what.digest.clone(),
                status: LayerStatus::Downloading { done, total: size },
            });
        }
        let (expected, place) = (what.digest.clone(), source.place());
        if done != size {
            let what = expected;
            return Err(ContentError::Size {
                what,
                expected: size,
                actual: done,
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
        step(state, move |state| {
            state.pad(size)?;
            state.here.insert(expected, size);
            state.broken = false;
            Ok(())
        })
        .await
        .map(drop)
    }
}

#[async_trait]
impl Sink for ArchiveSink {
    fn place(&self) -> String {
        "the archive".to_owned()
    }

    async fn contains(&self, what: &Descriptor) -> Result<bool, ContentError> {
        Ok(self.state.lock().await.here.get(&what.digest) == Some(&what.size))
    }

    async fn put(
        &self,
        what: &Descriptor,
        source: Arc<dyn Source>,
        watch: Arc<dyn Watch>,
    ) -> Result<(), ContentError> {
        if is_manifest(&what.media_type) {
            let raw = read_document(source.as_ref(), what).await?;
            let document = |error| ContentError::Document {
                what: what.digest.clone(),
                place: source.place(),
                source: Box::new(error),
            };
            let manifest = Manifest::parse(&what.media_type, raw).map_err(document)?;
            let is_image = matches!(manifest.kind, Kind::Image(_));
            let mut state = self.state.lock().await;
            if let Kind::Image(parts) | Kind::Artifact(parts) = manifest.kind {
                let children = std::iter::once(&parts.config).chain(&parts.layers);
                for child in children {
                    if !state.here.contains_key(&child.digest) {
                        let (what, place) = (child.digest.clone(), self.place());
                        return Err(ContentError::Missing { what, place });
                    }
                }
                // manifest.json is about images: a signature is in index.json alone.
                if is_image {
                    state.images.insert(what.digest.clone(), parts);
                }
            }
        }
        self.write(what, source.as_ref(), watch.as_ref()).await
    }
}

impl State {
    /// Writes a blob's header, and its folders' if it is the first.
    fn begin(&mut self, digest: &Digest, size: u64) -> io::Result<()> {
        let algorithm = digest.algorithm().as_str();
        if self.folders.is_empty() {
            self.header("blobs/", tar::EntryType::Directory, 0)?;
        }
        if !self.folders.contains(&algorithm) {
            self.folders.push(algorithm);
            let folder = format!("blobs/{algorithm}/");
            self.header(&folder, tar::EntryType::Directory, 0)?;
        }
        self.header(&path(digest), tar::EntryType::Regular, size)
    }

    fn header(&mut self, name: &str, kind: tar::EntryType, size: u64) -> io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_path(name)?;
        header.set_entry_type(kind);
        header.set_mode(if kind == tar::EntryType::Directory {
            0o755
        } else {
            0o644
        });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size);
        header.set_cksum();
        self.out.write_all(header.as_bytes())
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let padding = usize::try_from(size.wrapping_neg() % BLOCK as u64).unwrap_or_default();
        self.out.write_all(&[0; BLOCK][..padding])
    }

    fn file(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let size = content.len() as u64;
        self.header(name, tar::EntryType::Regular, size)?;
        self.out.write_all(content)?;
        self.pad(size)
    }

    fn finish(&mut self, all: &[Saved]) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other(
                "an archive that failed in the middle has no end",
            ));
        }
        let index = wire::WrittenIndex {
            schema_version: 2,
            media_type: OCI_INDEX,
            manifests: all.iter().flat_map(descriptors).collect(),
        };
        self.file(wire::INDEX, &serde_json::to_vec(&index)?)?;
        let (items, repositories) = self.items(all);
        if !items.is_empty() {
            self.file(wire::MANIFEST, &line(serde_json::to_vec(&items)?))?;
        }
        self.file(wire::LAYOUT, wire::LAYOUT_CONTENT)?;
        if !repositories.is_empty() {
            self.file(
                wire::REPOSITORIES,
                &line(serde_json::to_vec(&repositories)?),
            )?;
        }
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.flush()
    }

    /// manifest.json and repositories: one item for each image, with all its names.
    fn items(&self, all: &[Saved]) -> (Vec<wire::Item>, wire::Repositories) {
        let (mut items, mut repositories) = (Vec::<wire::Item>::new(), BTreeMap::new());
        for saved in all {
            let manifest = saved.image.as_ref().unwrap_or(&saved.root.digest);
            let Some(parts) = self.images.get(manifest) else {
                continue;
            };
            let config = path(&parts.config.digest);
            let names: Vec<String> = saved.names.iter().map(Reference::familiar).collect();
            let top = parts.layers.last().map_or("", |layer| layer.digest.hex());
            for name in &saved.names {
                let repository = name.familiar_repository().to_owned();
                let tags: &mut BTreeMap<_, _> = repositories.entry(repository).or_default();
                tags.insert(name.tag().unwrap_or_default().to_owned(), top.to_owned());
            }
            match items.iter_mut().find(|item| item.config == config) {
                Some(item) => item.repo_tags.get_or_insert_default().extend(names),
                None => items.push(wire::Item {
                    config,
                    repo_tags: (!names.is_empty()).then_some(names),
                    layers: Some(parts.layers.iter().map(|l| path(&l.digest)).collect()),
                }),
            }
        }
        (items, repositories)
    }
}

/// index.json's entries: one for each name (Docker 28.5: save).
fn descriptors(saved: &Saved) -> Vec<Descriptor> {
    let mut plain = saved.root.clone();
    plain.annotations = BTreeMap::from([(wire::LOCAL.to_owned(), saved.local.to_string())]);
    let named = saved.names.iter().map(|name| {
        let mut named = plain.clone();
        let tag = name.tag().unwrap_or_default().to_owned();
        named
            .annotations
            .insert(wire::IMAGE_NAME.to_owned(), name.to_string());
        named.annotations.insert(wire::REF_NAME.to_owned(), tag);
        named
    });
    let named: Vec<Descriptor> = named.collect();
    if named.is_empty() { vec![plain] } else { named }
}

fn path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}

fn line(mut json: Vec<u8>) -> Vec<u8> {
    json.push(b'\n');
    json
}

async fn step(
    mut state: OwnedMutexGuard<State>,
    work: impl FnOnce(&mut State) -> io::Result<()> + Send + 'static,
) -> Result<OwnedMutexGuard<State>, ContentError> {
    blocking(move || work(&mut state).map(|()| state)).await
}

/// Works on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ContentError> {
    let joined = wharf_os::blocking::start(work).await;
    joined
        .map_err(ContentError::place)?
        .map_err(ContentError::place)
}
