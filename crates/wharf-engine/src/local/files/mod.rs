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

use std::io;
use std::path::Path;
use std::sync::Arc;

use wharf_archive::LayerInspector;
use wharf_archive::files::contents::{ContentsError, contents, small};
use wharf_archive::files::{Entry, Kind, Node, Tree, TreeError, notes};
use wharf_core::layer::Inspector as _;
use wharf_core::media_type::OCI_LAYER;
use wharf_core::{Descriptor, Digest, ImageConfig, Platform};
use wharf_store::{ImageRow, Lease, Store};

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

impl LocalEngine {
    /// What is in an image.
    pub fn files(&self, name: &str, platform: Option<&Platform>) -> Result<ImageFiles> {
        let store = &self.store;
        let lease = Arc::new(store.lease()?);
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
        let mut tree = Tree::default();
        let mut layers = Vec::new();
        for (number, row) in rows.into_iter().enumerate() {
            let layer = FileLayer {
                blob: row.blob,
                diff_id: row.diff_id,
                size: row.blob_size,
            };
            tree.apply(number, entries(store, &layer)?)
                .map_err(wrong_tree)?;
            layers.push(layer);
        }
        Ok(ImageFiles {
            id: image.id,
            config,
            tree,
            layers,
            _lease: lease,
        })
    }

    /// Reads files of an image, and gives their bytes to `take`, with each file's place in `wanted`. Each
    /// content is there once: of several names of one file, one.
    pub fn read_files(
        &self,
        files: &ImageFiles,
        wanted: &[&Node],
        take: &mut dyn FnMut(usize, &[u8]) -> io::Result<()>,
    ) -> Result<()> {
        for number in 0..files.layers.len() {
            let mut here: Vec<usize> = (0..wanted.len())
                .filter(|&place| wanted[place].layer == number && wanted[place].entry.stored > 0)
                .collect();
            if here.is_empty() {
                continue;
            }
            here.sort_by_key(|&place| wanted[place].entry.offset);
            if let Some(&sparse) = here.iter().find(|&&place| wanted[place].entry.sparse) {
                let name = String::from_utf8_lossy(&wanted[sparse].entry.name).into_owned();
                let message =
                    format!("{name} is a file with holes, which is read by unpacking only");
                return Err(EngineError::new(ErrorKind::Invalid, message));
            }
            let ranges: Vec<_> = here
                .iter()
                .map(|&place| {
                    let entry = &wanted[place].entry;
                    entry.offset..entry.offset + entry.stored
                })
                .collect();
            let layer = &files.layers[number];
            let mut blob = self
                .store
                .blob(&layer.blob)?
                .ok_or_else(|| gone(&layer.blob))?
                .file;
            if let [only] = here[..]
                && let Some(notes) = self.store.notes(&layer.blob)?
                && let Some(bytes) = small(&blob, &notes, &wanted[only].entry)
                    .map_err(|error| internal("read", layer, error))?
            {
                take(only, &bytes).map_err(|error| unreadable(layer, error.into()))?;
                continue;
            }
            contents(&mut blob, &ranges, None, &mut |at, bytes| {
                take(here[at], bytes)
            })
            .map_err(|error| unreadable(layer, error))?;
        }
        Ok(())
    }

    /// Writes the files of an image, or those below one of its folders, into a folder that does not
    /// exist yet. Answers with what could not be made as it is.
    pub fn extract(&self, files: &ImageFiles, below: &[u8], into: &Path) -> Result<Vec<String>> {
        extract::extract(&self.store, files, below, into)
    }
}

/// What is in a layer: as it was written down, or is now.
fn entries(store: &Store, layer: &FileLayer) -> Result<Vec<Entry>> {
    if let Some(file) = store.notes(&layer.blob)? {
        let read =
            notes::read(file).map_err(|error| internal("read the notes of", layer, error))?;
        if let Some(entries) = read {
            return Ok(entries);
        }
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
    notes_file.keep()?;
    // What is learned by the way is worth keeping; a store that is full has said so already.
    if let Err(error) = store.set_layer_facts(&layer.blob, &facts) {
        return Err(error.into());
    }
    let file = store.notes(&layer.blob)?.ok_or_else(|| gone(&layer.blob))?;
    let read = notes::read(file).map_err(|error| internal("read the notes of", layer, error))?;
    read.ok_or_else(|| {
        let message = format!("what is in layer {} cannot be written down", layer.blob);
        EngineError::new(ErrorKind::Unavailable, message).hint("is the disk full?")
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

fn wrong_tree(error: TreeError) -> EngineError {
    EngineError::new(ErrorKind::Corrupt, error.to_string())
        .hint("no honest image is built like that; nothing was written")
}

/// May its bytes be read?
pub fn is_file(node: &Node) -> bool {
    node.entry.kind == Kind::File
}
