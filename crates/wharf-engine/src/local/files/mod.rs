//! Looking into images: their files, straight from the layers, without unpacking.
//!
//! | module | what it does |
//! |---|---|
//! | `extract` | writes files of an image into a folder that is new |
//!
//! What is in a layer was written down when it was pulled or loaded; of a layer that nobody has read,
//! it is written down now, once. Everything here works on files and rows: no network, no threads but those
//! that unpack.

pub(super) mod extract;

use std::fs::File;
use std::io;
use std::sync::{Arc, mpsc};
use std::thread;

use wharf_archive::LayerInspector;
use wharf_archive::files::contents::{ContentsError, contents, small};
use wharf_archive::files::holes::{Expanding, Piece};
use wharf_archive::files::tree::OddEntry;
use wharf_archive::files::{Entry, Kind, Layer, Node, Place, Tree, TreeError};
use wharf_archive::outside::Destination;
use wharf_core::layer::Inspector as _;
use wharf_core::media_type::OCI_LAYER;
use wharf_core::{Descriptor, Digest, ImageConfig, Platform};
use wharf_os::thread::spawn_scoped;
use wharf_store::{ImageRow, Lease, Store};

use self::extract::Around;
use super::find::{find, find_for};
use crate::{EngineError, ErrorKind, LocalEngine, Result};

/// How much of a blob is read at once, in bytes.
const READ: usize = 256 * 1024;

/// The files of one image.
pub struct ImageFiles {
    /// The image's ID.
    pub id: Digest,
    /// Its config.
    pub config: ImageConfig,
    /// All its files.
    pub tree: Tree,
    /// Its layers, the base first.
    pub layers: Vec<FileLayer>,
    /// What is read is not removed meanwhile.
    _lease: Arc<Lease>,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLayer {
    /// Its blob.
    pub blob: Digest,
    /// The digest of its archive, unpacked.
    pub diff_id: Digest,
    /// The blob's size, in bytes.
    pub size: u64,
}

impl std::fmt::Debug for ImageFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ImageFiles({})", self.id)
    }
}

impl ImageFiles {
    /// Returns a line for each entry of the layers that has no place among the files; of many, for the first
    /// ones.
    pub fn notices(&self) -> Vec<String> {
        let odd = self.tree.odd();
        let mut lines: Vec<String> = odd.first().iter().map(|one| self.notice(one)).collect();
        let more = odd.count() - odd.first().len() as u64;
        if more > 0 {
            lines.push(format!("{more} more entries are left out"));
        }
        lines
    }

    fn notice(&self, entry: &OddEntry) -> String {
        let blob = self.layers.get(entry.layer).map(|layer| &layer.blob);
        let blob = blob.map(ToString::to_string).unwrap_or_default();
        format!(
            "an entry of layer {} ({blob}) is left out: {}",
            entry.layer + 1,
            entry.reason
        )
    }

    /// Fails if an entry of the layers has no place among the files.
    pub fn check_whole(&self) -> Result<()> {
        let odd = self.tree.odd();
        match odd.escaping().or_else(|| odd.first().first()) {
            Some(entry) => Err(wrong_tree(entry.reason.clone())),
            None => Ok(()),
        }
    }
}

/// What the store says of an image, before any of its layers is looked into.
struct Found {
    id: Digest,
    config: ImageConfig,
    layers: Vec<FileLayer>,
    lease: Arc<Lease>,
}

impl Found {
    fn with(self, tree: Tree) -> ImageFiles {
        ImageFiles {
            id: self.id,
            config: self.config,
            tree,
            layers: self.layers,
            _lease: self.lease,
        }
    }
}

impl LocalEngine {
    /// What is in an image.
    pub fn files(&self, name: &str, platform: Option<&Platform>) -> Result<ImageFiles> {
        let found = self.find_files(name, platform)?;
        let mut tree = Tree::default();
        apply(&self.store, &mut tree, &found.layers)?;
        Ok(found.with(tree))
    }

    /// What is in two images. The layers that both begin with are put together once.
    pub fn files_of_both(
        &self,
        a: &str,
        b: &str,
        platform: Option<&Platform>,
    ) -> Result<(ImageFiles, ImageFiles)> {
        let (a, b) = (self.find_files(a, platform)?, self.find_files(b, platform)?);
        let pairs = a.layers.iter().zip(&b.layers);
        let common = pairs.take_while(|(one, other)| one == other).count();
        let (store, mut tree) = (&self.store, Tree::default());
        apply(store, &mut tree, &a.layers[..common])?;
        let mut other = tree.fork();
        thread::scope(|scope| {
            let applying = spawn_scoped(scope, "tree", || {
                apply(store, &mut other, &b.layers[common..])
            })
            .map_err(no_thread)?;
            apply(store, &mut tree, &a.layers[common..])?;
            applying.join().unwrap_or_else(|_| Err(stopped()))
        })?;
        Ok((a.with(tree), b.with(other)))
    }

    fn find_files(&self, name: &str, platform: Option<&Platform>) -> Result<Found> {
        let store = &self.store;
        let lease = Arc::new(store.read_lease()?);
        let image: ImageRow = store.read(|rows| match platform {
            Some(platform) => Ok::<_, EngineError>(find_for(rows, name, platform)?.image),
            None => Ok(find(rows, name)?.image),
        })?;
        lease.hold(&image.manifest.digest)?;
        let rows = store.read(|rows| Ok::<_, EngineError>(rows.layers(&image.id)?))?;
        let raw = store.document(&image.id)?.ok_or_else(|| gone(&image.id))?;
        let config = ImageConfig::parse(raw).map_err(|error| {
            let message = format!("config {} cannot be read", image.id);
            EngineError::new(ErrorKind::Corrupt, message).because(error)
        })?;
        let layers = rows.into_iter().map(|row| FileLayer {
            blob: row.blob,
            diff_id: row.diff_id,
            size: row.blob_size,
        });
        Ok(Found {
            id: image.id,
            config,
            layers: layers.collect(),
            lease,
        })
    }

    /// Reads files of an image, and gives their bytes to `take`, with each file's place in `wanted`; holes are
    /// zeros. Each content is there once: of several names of one file, one.
    pub fn read_files(
        &self,
        files: &ImageFiles,
        wanted: &[Place],
        take: &mut dyn FnMut(usize, &[u8]) -> io::Result<()>,
    ) -> Result<()> {
        let nodes: Vec<Node<'_>> = wanted.iter().map(|place| files.tree.node(*place)).collect();
        for (number, layer) in files.layers.iter().enumerate() {
            let mut here: Vec<usize> = (0..nodes.len())
                .filter(|&at| nodes[at].layer == number && is_file(&nodes[at]))
                .collect();
            here.sort_by_key(|&at| nodes[at].entry.offset);
            let entries: Vec<Entry<'_>> = here.iter().map(|&at| nodes[at].entry).collect();
            read_layer(&self.store, layer, &entries, &mut |at, piece| match piece {
                Piece::Data(bytes) => take(here[at], bytes),
                Piece::Hole(length) => zeros(length, |bytes| take(here[at], bytes)),
            })?;
        }
        Ok(())
    }

    /// Writes the files of an image, or those below one of its folders, into a folder that does not
    /// exist yet, or is empty. Returns notices: what could not be made as it is.
    pub fn extract(
        &self,
        files: &ImageFiles,
        below: Place,
        into: &Destination,
    ) -> Result<Vec<String>> {
        extract::extract(&self.store, files, below, into, &Around::Nothing)
    }

    /// Writes an OCI runtime bundle: the files of an image in the folder `rootfs`, and `config` beside it.
    pub fn extract_bundle(
        &self,
        files: &ImageFiles,
        into: &Destination,
        config: &[u8],
    ) -> Result<Vec<String>> {
        let around = Around::Bundle(config);
        extract::extract(&self.store, files, Place::ROOT, into, &around)
    }
}

/// Puts layers upon a tree: while one is put there, the next one is read.
fn apply(store: &Store, tree: &mut Tree, layers: &[FileLayer]) -> Result<()> {
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(1);
        spawn_scoped(scope, "notes", move || {
            for layer in layers {
                let noted = noted(store, layer);
                let last = noted.is_err();
                // Nobody waits for it if a layer before was refused.
                if sender.send(noted).is_err() || last {
                    break;
                }
            }
        })
        .map_err(no_thread)?;
        for _ in layers {
            let noted = receiver.recv().map_err(|_| stopped())??;
            tree.apply(Arc::new(noted)).map_err(wrong_tree)?;
        }
        Ok(())
    })
}

/// Reads files of one layer, which are sorted by place, from a point before them or from its beginning.
fn read_layer(
    store: &Store,
    layer: &FileLayer,
    wanted: &[Entry<'_>],
    take: &mut dyn FnMut(usize, Piece<'_>) -> io::Result<()>,
) -> Result<()> {
    let failed = |error| unreadable(layer, error);
    let mut expanding = Expanding::new(wanted);
    let ranges = expanding.ranges();
    if !ranges.is_empty() {
        let mut blob = store.blob(&layer.blob)?.ok_or_else(|| gone(&layer.blob))?;
        let read = if ranges.len() == 1 {
            from_point(store, layer, &blob.file, expanding.file(0))?
        } else {
            None
        };
        match read {
            Some(bytes) => expanding.write(0, &bytes, take),
            None => contents(&mut blob.file, &ranges, None, &mut |at, bytes| {
                expanding.write(at, bytes, take)
            }),
        }
        .map_err(failed)?;
    }
    expanding.finish(take).map_err(failed)
}

/// What is stored of one file, if it is small and the notes have a point before it.
fn from_point(
    store: &Store,
    layer: &FileLayer,
    blob: &File,
    wanted: &Entry<'_>,
) -> Result<Option<Vec<u8>>> {
    match store.notes(&layer.blob)? {
        Some(notes) => small(blob, &notes, wanted).map_err(|error| internal("read", layer, error)),
        None => Ok(None),
    }
}

/// Gives so many zeros.
fn zeros(mut length: u64, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    const ZEROS: [u8; 16 * 1024] = [0; 16 * 1024];
    while length > 0 {
        let now = usize::try_from(length).map_or(ZEROS.len(), |length| length.min(ZEROS.len()));
        take(&ZEROS[..now])?;
        length -= now as u64;
    }
    Ok(())
}

/// What is in a layer: as it was written down, or is now.
fn noted(store: &Store, layer: &FileLayer) -> Result<Layer> {
    let unread = |error| internal("read the notes of", layer, error);
    if let Some(file) = store.notes(&layer.blob)?
        && let Some(noted) = Layer::read(&file).map_err(unread)?
    {
        return Ok(noted);
    }
    let notes_file = store.new_notes(&layer.blob)?;
    let mut blob = store.blob(&layer.blob)?.ok_or_else(|| gone(&layer.blob))?;
    // Any layer's type will do: the bytes say how it is packed.
    let what = Descriptor::new(OCI_LAYER, layer.blob.clone(), blob.size);
    let writer = notes_file.writer()?;
    let mut reading = LayerInspector::default()
        .begin(&what, Some(Box::new(writer)))
        .ok_or_else(|| gone(&layer.blob))?;
    let mut buffer = vec![0; READ];
    let damaged = |error: wharf_core::layer::LayerError| {
        let message = format!("layer {}", layer.blob);
        EngineError::new(ErrorKind::Corrupt, message).because(error)
    };
    loop {
        let length = io::Read::read(&mut blob.file, &mut buffer)
            .map_err(|error| internal("read", layer, error))?;
        if length == 0 {
            break;
        }
        reading.write(&buffer[..length]).map_err(damaged)?;
    }
    let facts = reading.finish().map_err(damaged)?;
    let file = notes_file.keep()?;
    // What is learned by the way is worth keeping; a store that is full has said so already.
    if let Err(error) = store.set_layer_facts(&layer.blob, &facts) {
        return Err(error.into());
    }
    Layer::read(&file).map_err(unread)?.ok_or_else(|| {
        let message = format!("what is in layer {} cannot be written down", layer.blob);
        EngineError::new(ErrorKind::Unavailable, message)
            .hint(
                "the disk is full, the layer has ten million files, or its names and attributes are longer \
                 than those of any honest layer",
            )
    })
}

fn gone(what: &Digest) -> EngineError {
    EngineError::new(
        ErrorKind::Corrupt,
        format!("{what} is missing from the store"),
    )
    .hint("`wharf store check` says what is damaged; pulling the image again makes it whole")
}

fn internal(verb: &str, layer: &FileLayer, error: io::Error) -> EngineError {
    let message = format!("cannot {verb} layer {}", layer.blob);
    EngineError::new(ErrorKind::Internal, message).because(error)
}

fn unreadable(layer: &FileLayer, error: ContentsError) -> EngineError {
    match error {
        ContentsError::Io(error) => {
            let kind = if error.kind() == io::ErrorKind::BrokenPipe {
                ErrorKind::Unavailable
            } else {
                ErrorKind::Internal
            };
            EngineError::new(kind, error.to_string())
        }
        error => {
            let message = format!("layer {}", layer.blob);
            EngineError::new(ErrorKind::Corrupt, message).because(error)
        }
    }
}

fn no_thread(error: io::Error) -> EngineError {
    EngineError::new(ErrorKind::Unavailable, "cannot read the layers").because(error)
}

fn stopped() -> EngineError {
    EngineError::new(ErrorKind::Internal, "the reading stopped")
}

fn wrong_tree(error: TreeError) -> EngineError {
    EngineError::new(ErrorKind::Corrupt, error.to_string())
        .hint("no honest image is built like that; nothing was written")
}

/// May its bytes be read?
pub fn is_file(node: &Node<'_>) -> bool {
    node.entry.kind == Kind::File
}
