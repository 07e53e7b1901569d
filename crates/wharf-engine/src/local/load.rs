//! Loading images out of an archive: what every program writes, packed or not.
//!
//! What cannot be read here and there goes through a file without a name in the store's folder first.
//! Then each image is copied into the store, which verifies every byte, and only then named. What is listed
//! beside the images, a signature or a chart, is left out, and that is said.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;

use wharf_archive::LayerInspector;
use wharf_archive::archive::{
    ArchiveError, ArchiveImage, ArchiveSource, LeftOut, is_packed, open_archive_beside, spool,
};
use wharf_archive::layer::{HEAD, media_type_of};
use wharf_core::copy::{Choose, Options, copy};
use wharf_core::manifest::Index;
use wharf_core::{Descriptor, Digest, Event, Watch};
use wharf_store::{Lease, SinkOptions, Store, StoreErrorKind, WhileRoom};

use super::translate::{self, Origin};
use crate::{
    EngineError, ErrorKind, LoadInput, LoadOptions, Loaded, LoadedName, Result, Settings, Verify,
};

/// Loads every image of an archive, or those of one platform.
pub(super) async fn load(
    store: &Store,
    settings: &Settings,
    input: LoadInput,
    options: &LoadOptions,
    watch: Arc<dyn Watch>,
) -> Result<Vec<Loaded>> {
    // Held until the names are set: nothing that was just stored, or that the archive left out because it is
    // here, is collected before.
    let lease = Arc::new(store.lease()?);
    let (opening, holding) = (store.clone(), Arc::clone(&lease));
    let opened = wharf_os::blocking::start(move || open(&opening, &holding, input)).await;
    let source = opened.map_err(|e| EngineError::new(ErrorKind::Internal, e.to_string()))??;
    check_for_images(&source)?;
    let held = Arc::clone(&lease);
    let loaded = load_all(store, settings, &source, options, held, Arc::clone(&watch)).await;
    if loaded.is_err() {
        // The archive is still there to be read again: nothing of it is kept. What cannot be removed now is
        // found by the next collection, and the error that counts is the load's.
        store.discard(lease, source.digests()).await.ok();
    }
    for out in source.left_out() {
        watch.event(Event::Notice(format!(
            "left out {}, which is not an image: {}",
            out.digest,
            kind_of(out)
        )));
    }
    loaded
}

/// Copies all images, and names them once all are here.
async fn load_all(
    store: &Store,
    settings: &Settings,
    source: &ArchiveSource,
    options: &LoadOptions,
    lease: Arc<Lease>,
    watch: Arc<dyn Watch>,
) -> Result<Vec<Loaded>> {
    let sink = store.sink(
        lease,
        SinkOptions {
            inspector: (settings.verify == Verify::Full)
                .then(|| Arc::new(LayerInspector::default()) as _),
            ..SinkOptions::default()
        },
    );
    let listing = source.clone();
    let choose: Choose = Arc::new(move |index: &Index| {
        let here = |d: &&Descriptor| listing.has(d);
        index.manifests.iter().filter(here).cloned().collect()
    });
    let how = Options {
        parallel: settings.parallel,
        choose,
    };
    let mut copied = Vec::new();
    for image in source
        .images()
        .iter()
        .filter(|image| is_wanted(image, options))
    {
        let before = known(store, image)?;
        let mut done = HashSet::new();
        for root in image.names.iter().map(|n| &n.root).chain([&image.root]) {
            if done.insert(root.digest.clone()) {
                let (from, to) = (Arc::new(source.clone()), Arc::new(sink.clone()));
                copy(from, to, root, &how, Arc::clone(&watch))
                    .await
                    .map_err(translate::copy(Origin::File))?;
            }
        }
        copied.push((image, image.local && !before));
    }
    copied
        .into_iter()
        .map(|(image, local)| name(store, image, local))
        .collect()
}

/// An archive of nothing but signatures or charts is a mistake; one of nothing at all is not (Docker 28.5).
fn check_for_images(source: &ArchiveSource) -> Result<()> {
    let Some(first) = source.left_out().first() else {
        return Ok(());
    };
    if !source.images().is_empty() {
        return Ok(());
    }
    let message = format!(
        "the archive holds no image: {} is {}",
        first.digest,
        kind_of(first)
    );
    Err(EngineError::new(ErrorKind::Invalid, message))
}

fn kind_of(out: &LeftOut) -> &str {
    match out.artifact_type.as_str() {
        "" => "something else",
        kind => kind,
    }
}

/// Opens the archive, through a file of its own if need be.
fn open(store: &Store, lease: &Lease, input: LoadInput) -> Result<ArchiveSource> {
    let file = match input {
        LoadInput::File(file) if is_plain_file(&file) => {
            if is_packed(&file).map_err(ArchiveError::from)? {
                unpacked(store, file)?
            } else {
                file
            }
        }
        LoadInput::File(file) => unpacked(store, file)?,
        LoadInput::Stream(stream) => unpacked(store, stream)?,
    };
    let failed = RefCell::new(None);
    let known = |diff_id: &Digest| {
        let found = known_layer(store, lease, diff_id);
        found.unwrap_or_else(|error| {
            *failed.borrow_mut() = Some(error);
            None
        })
    };
    let opened = open_archive_beside(file, &known);
    match failed.take() {
        Some(error) => Err(error),
        None => Ok(opened?),
    }
}

/// A layer that is in the store, and is not collected while the lease lives.
fn known_layer(store: &Store, lease: &Lease, diff_id: &Digest) -> Result<Option<Descriptor>> {
    let blobs = store.read(|rows| Ok::<_, EngineError>(rows.blobs_of_layer(diff_id)?))?;
    for (digest, size) in blobs {
        lease.hold(&digest)?;
        // It may have been collected just before.
        let blob = match store.blob(&digest) {
            Ok(Some(blob)) => blob,
            Ok(None) => continue,
            // Another blob with the same layer may be sound.
            Err(error) if error.kind() == StoreErrorKind::Corrupt => continue,
            Err(error) => return Err(error.into()),
        };
        let mut head = Vec::new();
        let read = (&blob.file).take(HEAD as u64).read_to_end(&mut head);
        read.map_err(|error| EngineError::new(ErrorKind::Internal, error.to_string()))?;
        return Ok(Some(Descriptor::new(media_type_of(&head), digest, size)));
    }
    Ok(None)
}

/// From its beginning: `wharf load < FILE` may be handed one that was read in part.
fn is_plain_file(file: &File) -> bool {
    use std::io::Seek as _;
    let at_start = || (&*file).stream_position().is_ok_and(|at| at == 0);
    file.metadata().is_ok_and(|data| data.is_file()) && at_start()
}

fn unpacked(store: &Store, from: impl std::io::Read) -> Result<File> {
    let mut file = WhileRoom::new(store.spool()?);
    spool(from, &mut file)?;
    Ok(file.into_inner())
}

fn is_wanted(image: &ArchiveImage, options: &LoadOptions) -> bool {
    let wanted = options.platform.as_ref();
    wanted.is_none_or(|wanted| wanted.can_run(&image.platform))
}

/// Was the manifest here before? Then it stays what it is: pulled, or made here.
fn known(store: &Store, image: &ArchiveImage) -> Result<bool> {
    store.read(|rows| Ok(rows.manifest(&image.root.digest)?.is_some()))
}

/// Names an image that is here, whole.
fn name(store: &Store, image: &ArchiveImage, local: bool) -> Result<Loaded> {
    let (names, _) = store.write(|rows| {
        if local {
            rows.set_local(&image.root.digest)?;
        }
        if image.names.is_empty() {
            rows.keep_image(&image.image)?;
        }
        let mut names = Vec::new();
        for name in &image.names {
            let before = rows.set_name(&name.reference, &name.root.digest, Some(&image.image))?;
            let replaced = before
                .and_then(|before| before.image)
                .filter(|old| *old != image.image);
            names.push(LoadedName {
                reference: name.reference.clone(),
                replaced,
            });
        }
        Ok::<_, EngineError>(names)
    })?;
    Ok(Loaded {
        image: image.image.clone(),
        names,
    })
}

impl From<ArchiveError> for EngineError {
    fn from(error: ArchiveError) -> Self {
        let kind = match &error {
            ArchiveError::Io(_) => ErrorKind::Internal,
            _ => ErrorKind::Invalid,
        };
        let hint = match &error {
            ArchiveError::Truncated | ArchiveError::Header(_) => Some(NO_ARCHIVE),
            ArchiveError::Missing(_) => Some(NO_IMAGES),
            _ => None,
        };
        let all = Self::new(kind, error.to_string());
        match hint {
            Some(hint) => all.hint(hint),
            None => all,
        }
    }
}

/// What to do about something that is no archive at all.
const NO_ARCHIVE: &str = "it is no archive of images, or not the whole of one: see that the file has \
                          come completely";
/// What to do about an archive in which no images are.
const NO_IMAGES: &str = "it is no archive of images, as `wharf save` writes them, or a part is missing; \
                         `wharf import` makes an image of an archive of files";
