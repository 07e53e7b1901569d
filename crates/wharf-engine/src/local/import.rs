//! Making an image of an archive of files (Docker 28.5: `ImportImage`).
//!
//! The archive is unpacked into a file without a name in the store's folder, and read on its way: a layer
//! is stored as the plain tar, under its diff ID, and what is no archive is refused before anything is
//! stored. Then the store takes it as any other layer; the config and the manifest follow, the name last.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc;
use wharf_archive::LayerInspector;
use wharf_archive::archive::{ArchiveError, spool};
use wharf_archive::layer::{HEAD, is_packed};
use wharf_core::content::Document;
use wharf_core::event::Unwatched;
use wharf_core::layer::{Inspect, LayerError};
use wharf_core::media_type::{OCI_CONFIG, OCI_LAYER, OCI_MANIFEST};
use wharf_core::{Descriptor, Digest, Event, Manifest, Platform, Sink as _, Source, Watch};
use wharf_registry::{RegistryError, WebFile};
use wharf_store::{FileSource, SinkOptions, Store, WhileRoom};

use super::LocalEngine;
use super::tag;
use super::translate::{self, Origin};
use crate::dockerfile::{self, RunConfig};
use crate::{EngineError, ErrorKind, ImportInput, ImportOptions, Result};

/// How many pieces of a download wait for the disk, some 16 KiB each.
const PIECES: usize = 16;

/// Makes an image, and names it.
pub(super) async fn import(
    engine: &LocalEngine,
    input: ImportInput,
    options: &ImportOptions,
    watch: Arc<dyn Watch>,
) -> Result<Digest> {
    if let Some(name) = &options.reference {
        tag::check_name(name)?;
    }
    engine.store().check_writable()?;
    let platform = options
        .platform
        .clone()
        .unwrap_or_else(Platform::of_this_machine);
    let (source, from) = match input {
        ImportInput::Stream(stream) => (Input::Stream(stream), "-".to_owned()),
        ImportInput::Url(url) => {
            let file = engine.registry().web_file(&url).await?;
            let from = file.address().to_string();
            watch.event(Event::Notice(format!("Downloading from {from}")));
            (Input::Web(Box::new(file)), from)
        }
    };
    if platform.os != "linux" {
        let message = "operating system is not supported";
        return Err(EngineError::new(ErrorKind::Invalid, message)
            .hint("wharf imports file systems of Linux images"));
    }
    let run = dockerfile::apply(&options.changes)
        .map_err(|mistake| EngineError::new(ErrorKind::Invalid, mistake.to_string()))?;
    let comment = match options.message.as_str() {
        "" => format!("Imported from {from}"),
        message => message.to_owned(),
    };
    let spooled = spooled(engine.store(), source).await?;
    let layer = Descriptor::new(OCI_LAYER, spooled.digest, spooled.size);
    let config = config(&platform, &comment, &run, &layer.digest)?;
    let file = FileSource::new(spooled.file, "the archive").map_err(ArchiveError::from)?;
    store_image(engine.store(), file, layer, config, options).await
}

/// Where the archive comes from.
enum Input {
    Stream(Box<dyn Read + Send>),
    Web(Box<WebFile>),
}

/// An unpacked archive.
struct Spooled {
    file: File,
    digest: Digest,
    size: u64,
}

async fn spooled(store: &Store, input: Input) -> Result<Spooled> {
    let file = store.spool()?;
    match input {
        Input::Stream(stream) => joined(blocking(file, stream)).await,
        Input::Web(mut web) => {
            let (pieces, received) = mpsc::channel(PIECES);
            let writing = blocking(file, Download::new(received));
            loop {
                let piece = web.chunk().await.transpose();
                let last = !matches!(piece, Some(Ok(_)));
                // Nobody takes it any more: the writer says why.
                let taken = match piece {
                    Some(piece) => pieces.send(piece).await.is_ok(),
                    None => false,
                };
                if last || !taken {
                    break;
                }
            }
            drop(pieces);
            joined(writing).await
        }
    }
}

type Writing = wharf_os::blocking::Blocking<Result<Spooled>>;

/// Unpacks and hashes on a thread that may block.
fn blocking(file: File, from: impl Read + Send + 'static) -> Writing {
    wharf_os::blocking::start(move || {
        let mut into = Inspected {
            file: WhileRoom::new(file),
            inspect: LayerInspector::new().staying_inside().start(),
            size: 0,
            head: Vec::new(),
        };
        spool(from, &mut into).map_err(failed)?;
        let facts = into.inspect.finish().map_err(|error| no_archive(&error))?;
        Ok(Spooled {
            file: into.file.into_inner(),
            digest: facts.diff_id,
            size: into.size,
        })
    })
}

async fn joined(writing: Writing) -> Result<Spooled> {
    writing
        .await
        .map_err(|error| EngineError::new(ErrorKind::Internal, error.to_string()))?
}

/// What stopped a spool: the archive, its source, or the disk.
fn failed(error: ArchiveError) -> EngineError {
    let error = match error {
        ArchiveError::Io(error) => error,
        error => return error.into(),
    };
    let error = match error.downcast::<RegistryError>() {
        Ok(error) => return error.into(),
        Err(error) => error,
    };
    if error.kind() == io::ErrorKind::StorageFull {
        return EngineError::new(ErrorKind::Internal, error.to_string());
    }
    match error.downcast::<LayerError>() {
        Ok(error) => no_archive(&error),
        Err(error) => {
            let message = format!("the archive cannot be read: {error}");
            EngineError::new(ErrorKind::Invalid, message)
        }
    }
}

/// Says of bytes that are no archive what is wrong with them.
fn no_archive(error: &LayerError) -> EngineError {
    let message = format!("archive/tar: invalid tar header: {}", error.reason);
    EngineError::new(ErrorKind::Invalid, message)
        .hint("an archive of files is a tar, plain or packed by gzip, bzip2, xz or zstd")
}

/// Writes, and reads what is written as a layer.
struct Inspected {
    file: WhileRoom<File>,
    inspect: Box<dyn Inspect>,
    size: u64,
    /// The first bytes, as many as tell that a layer is packed.
    head: Vec<u8>,
}

impl Write for Inspected {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let missing = HEAD - self.head.len();
        self.head.extend(bytes.iter().take(missing));
        // The layer's reader would unpack it, and its diff ID would not be that of the stored bytes.
        if is_packed(&self.head) {
            let reason = "it is packed twice".into();
            return Err(io::Error::other(LayerError { reason }));
        }
        let written = self.file.write(bytes)?;
        self.inspect
            .write(&bytes[..written])
            .map_err(io::Error::other)?;
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

type Piece = std::result::Result<Bytes, RegistryError>;

/// A download's pieces, for a thread that reads.
struct Download {
    pieces: mpsc::Receiver<Piece>,
    current: Bytes,
}

impl Download {
    fn new(pieces: mpsc::Receiver<Piece>) -> Self {
        Self {
            pieces,
            current: Bytes::new(),
        }
    }
}

impl Read for Download {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(Ok(piece)) => self.current = piece,
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => return Ok(0),
            }
        }
        let length = into.len().min(self.current.len());
        self.current.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}

/// An image's config as Docker writes it: the keys at the top sorted.
#[derive(Serialize)]
struct Config<'a> {
    architecture: &'a str,
    comment: &'a str,
    config: &'a RunConfig,
    created: &'a str,
    history: [History<'a>; 1],
    os: &'a str,
    rootfs: RootFs<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    variant: &'a str,
}

#[derive(Serialize)]
struct History<'a> {
    created: &'a str,
    comment: &'a str,
}

#[derive(Serialize)]
struct RootFs<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    diff_ids: [&'a Digest; 1],
}

fn config(
    platform: &Platform,
    comment: &str,
    run: &RunConfig,
    diff_id: &Digest,
) -> Result<Vec<u8>> {
    let created = Timestamp::now().to_string();
    let config = Config {
        architecture: &platform.architecture,
        comment,
        config: run,
        created: &created,
        history: [History {
            created: &created,
            comment,
        }],
        os: &platform.os,
        rootfs: RootFs {
            kind: "layers",
            diff_ids: [diff_id],
        },
        variant: &platform.variant,
    };
    serde_json::to_vec(&config).map_err(internal)
}

fn internal(error: impl std::error::Error) -> EngineError {
    EngineError::new(ErrorKind::Internal, error.to_string())
}

/// Puts the layer, the config and the manifest into the store, and names the image.
async fn store_image(
    store: &Store,
    file: FileSource,
    layer: Descriptor,
    config: Vec<u8>,
    options: &ImportOptions,
) -> Result<Digest> {
    // Held until the name is set: nothing that was just stored is collected before.
    let lease = Arc::new(store.lease()?);
    let sink = store.sink(
        Arc::clone(&lease),
        SinkOptions {
            // Whatever the settings say: nobody has read these bytes before.
            inspector: Some(Arc::new(LayerInspector::default())),
            ..SinkOptions::default()
        },
    );
    let config_bytes = Bytes::from(config);
    let config = Descriptor::of(OCI_CONFIG, &config_bytes);
    let none = BTreeMap::new();
    let manifest = Manifest::of_image(OCI_MANIFEST, config.clone(), vec![layer.clone()], &none)
        .map_err(internal)?;
    let put = async |what: &Descriptor, from: Arc<dyn Source>| {
        let done = sink.put(what, from, Arc::new(Unwatched)).await;
        done.map_err(translate::content(Origin::File))
    };
    put(&layer, Arc::new(file)).await?;
    put(&config, document(config_bytes)).await?;
    put(&manifest.descriptor, document(manifest.raw)).await?;
    let (image, target) = (&config.digest, &manifest.descriptor.digest);
    store.write(|rows| {
        rows.set_local(target)?;
        match &options.reference {
            Some(name) => rows.set_name(name, target, Some(image)).map(drop),
            None => rows.keep_image(image),
        }
    })?;
    drop(lease);
    Ok(config.digest)
}

fn document(bytes: Bytes) -> Arc<dyn Source> {
    Arc::new(Document {
        bytes,
        place: "the import".into(),
    })
}
