//! Makes a new database from the blobs, where the old one is damaged.
//!
//! The new one is made beside the old one and takes its place at the end: whenever this is interrupted,
//! it can be done again. What stands in no blob (names above all) is taken from the old database as
//! far as that can be read; a copy of it stays under `damaged/`.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use wharf_core::content::DOCUMENT_MAX;
use wharf_core::manifest::Kind;
use wharf_core::{Digest, ImageConfig, Manifest};

use super::audit::{State, examine};
use super::{CheckProgress, CheckReport};
use crate::blobs::Blobs;
use crate::catalog::{
    Catalog, DATABASE, Durability, Known, ManifestArrival, Salvage, Shows, Writing, salvage,
};
use crate::durable::{create_directory, remove, rename, sync_directory, sync_file_system};
use crate::root::Root;
use crate::source::BlobFile;
use crate::store::Inner;
use crate::{Result, StoreError};

/// Where the new database is made.
const WORKSHOP: &str = "rebuild";

/// Says what is wrong, without a database to compare with.
pub(super) fn report(
    root: &Path,
    detail: &str,
    progress: &dyn Fn(CheckProgress),
) -> Result<CheckReport> {
    let root = Root::open(root, true)?;
    root.share()?;
    let mut report = CheckReport::default();
    report.findings.push(damaged_database(detail));
    read_blobs(&Blobs::new(&root.path), &mut report, false, progress)?;
    Ok(report)
}

/// Rebuilds the database.
pub(super) fn rebuild(
    root: &Path,
    detail: &str,
    progress: &dyn Fn(CheckProgress),
) -> Result<CheckReport> {
    let root = Root::open(root, false)?;
    if root.read_only {
        return Err(StoreError::ReadOnly { path: root.path });
    }
    root.seize()?;
    let mut report = CheckReport::default();
    report.findings.push(damaged_database(detail));
    let database = root.path.join(DATABASE);
    let workshop = Workshop::open(root)?;
    let blobs = read_blobs(&workshop.store.blobs, &mut report, true, progress)?;
    let manifests = workshop.manifests(&blobs)?;
    let old = salvage(&database, &workshop.known(&blobs, &manifests)?);
    let counts = workshop.fill(&blobs, &manifests, &old)?;
    workshop.install()?;
    report.repaired.push(format!(
        "the database was rebuilt from the blobs: {} images, {} of {} names; the old one is under \
         damaged/",
        counts.images,
        counts.names,
        old.names.len() + old.unclear.len()
    ));
    for name in &old.unclear {
        report.repaired.push(format!(
            "the name {name} is lost: it is not sure what it pointed to; pull it again, or tag it"
        ));
    }
    for lost in &old.lost {
        report
            .repaired
            .push(format!("of the old database, not all {lost} could be read"));
    }
    report.repaired.extend(counts.notes);
    Ok(report)
}

/// Reads every blob, and says which are sound.
fn read_blobs(
    blobs: &Blobs,
    report: &mut CheckReport,
    repair: bool,
    progress: &dyn Fn(CheckProgress),
) -> Result<Vec<(Digest, u64)>> {
    let mut all = Vec::new();
    blobs.each(&mut |file| {
        if let Ok(digest) = file {
            let size = blobs.size(&digest)?.unwrap_or_default();
            all.push((digest, size));
        }
        Ok(())
    })?;
    let mut at = CheckProgress {
        blobs_total: all.len() as u64,
        bytes_total: all.iter().map(|(_, size)| size).sum(),
        ..CheckProgress::default()
    };
    let mut sound = Vec::new();
    for (digest, size) in all {
        match examine(blobs, &digest, None)? {
            State::Sound => sound.push((digest, size)),
            State::Missing => {}
            State::Damaged => {
                report.findings.push(format!("blob {digest} is damaged"));
                if repair {
                    blobs.set_aside(&digest)?;
                    report.repaired.push(format!("blob {digest} was set aside"));
                }
                report.damaged.push(digest);
            }
        }
        at.blobs += 1;
        at.bytes += size;
        progress(at);
    }
    (report.blobs, report.bytes) = (at.blobs, at.bytes);
    Ok(sound)
}

fn damaged_database(detail: &str) -> String {
    format!("the database {DATABASE} is damaged ({detail})")
}

/// The store with the new database.
struct Workshop {
    folder: PathBuf,
    store: Inner,
}

#[derive(Default)]
struct Counts {
    images: usize,
    names: usize,
    notes: Vec<String>,
}

impl Workshop {
    fn open(root: Root) -> Result<Self> {
        let folder = root.path.join(WORKSHOP);
        clear(&folder)?;
        create_directory(&folder, &root.path)?;
        let catalog = Catalog::open(&folder, false)?;
        Ok(Self {
            folder,
            store: Inner::with_catalog(root, catalog),
        })
    }

    /// Writes all rows, in one transaction.
    fn fill(
        &self,
        blobs: &[(Digest, u64)],
        manifests: &[Manifest],
        old: &Salvage,
    ) -> Result<Counts> {
        let store = &self.store;
        let facts: HashMap<_, _> = old
            .facts
            .iter()
            .map(|(digest, facts)| (digest, facts))
            .collect();
        let (counts, _) = store
            .catalog
            .write(&store.leases, Durability::Full, |rows| {
                for (digest, size) in blobs {
                    rows.arrive(digest, *size, facts.get(digest).copied())?;
                }
                let mut counts = Counts::default();
                let mut images = Vec::new();
                for manifest in manifests {
                    images.extend(self.add_manifest(rows, manifest, &mut counts)?);
                }
                // Without knowing which images somebody kept, none is given up.
                let kept = |image: &&Digest| match &old.kept {
                    Some(kept) => kept.contains(*image),
                    None => true,
                };
                for image in images.iter().filter(kept) {
                    rows.keep_image(image)?;
                    counts.images += 1;
                }
                restore(rows, old, &mut counts)?;
                Ok::<_, StoreError>(counts)
            })?;
        Ok(counts)
    }

    /// The blobs that are manifests; indexes come last, those of indexes behind the others.
    fn manifests(&self, blobs: &[(Digest, u64)]) -> Result<Vec<Manifest>> {
        let mut found = Vec::new();
        for (digest, size) in blobs.iter().filter(|(_, size)| *size <= DOCUMENT_MAX) {
            let Some((file, _)) = self.store.blobs.open(digest)? else {
                continue;
            };
            if !starts_like_json(&file) {
                continue;
            }
            let blob = BlobFile { size: *size, file };
            let raw = self.store.read_document(digest, &blob)?;
            found.extend(
                Manifest::parse("", raw)
                    .ok()
                    .filter(|m| m.descriptor.digest == *digest),
            );
        }
        let indexes: HashSet<Digest> = found
            .iter()
            .filter(|manifest| matches!(manifest.kind, Kind::Index(_)))
            .map(|manifest| manifest.descriptor.digest.clone())
            .collect();
        found.sort_by_key(|manifest| match &manifest.kind {
            Kind::Image(_) | Kind::Artifact(_) => 0,
            Kind::Index(index) => {
                1 + index
                    .manifests
                    .iter()
                    .filter(|child| indexes.contains(&child.digest))
                    .count()
            }
        });
        Ok(found)
    }

    /// Gathers what the blobs say, for a comparison with the old database.
    fn known(&self, blobs: &[(Digest, u64)], manifests: &[Manifest]) -> Result<Known> {
        let mut known = Known {
            blobs: blobs.iter().map(|(digest, _)| digest.clone()).collect(),
            ..Known::default()
        };
        for manifest in manifests {
            let shows = match &manifest.kind {
                Kind::Index(index) => {
                    let children = index.manifests.iter();
                    Shows::Index(children.map(|child| child.digest.clone()).collect())
                }
                Kind::Artifact(_) => Shows::Artifact,
                Kind::Image(parts) => {
                    let config = self.config(&parts.config.digest, parts.layers.len())?;
                    if let Some(config) = config {
                        let layers = parts.layers.iter().map(|layer| layer.digest.clone());
                        let diff_ids = config.fields.rootfs.diff_ids.iter().cloned();
                        known.diff_ids.extend(layers.zip(diff_ids));
                    }
                    Shows::Image(parts.config.digest.clone())
                }
            };
            known
                .manifests
                .insert(manifest.descriptor.digest.clone(), shows);
        }
        Ok(known)
    }

    /// Adds one manifest; says which image it is.
    fn add_manifest(
        &self,
        rows: &mut Writing<'_>,
        manifest: &Manifest,
        counts: &mut Counts,
    ) -> Result<Option<Digest>> {
        let config = match &manifest.kind {
            Kind::Image(parts) => self.config(&parts.config.digest, parts.layers.len())?,
            _ => None,
        };
        let place = self.store.root.path.display().to_string();
        let (config, incomplete) = (config.as_ref(), true);
        let arrival = ManifestArrival {
            manifest,
            config,
            place: &place,
            incomplete,
        };
        match rows.arrive_manifest(&arrival) {
            Ok(()) => {}
            Err(StoreError::Content(error)) => {
                counts
                    .notes
                    .push(format!("{} is left out: {error}", manifest.descriptor));
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        Ok(match &manifest.kind {
            Kind::Image(parts) if config.is_some() => Some(parts.config.digest.clone()),
            _ => None,
        })
    }

    /// An image's config; `None` if it isn't here or doesn't fit: then the manifest is kept as an
    /// artifact, until the image is pulled again.
    fn config(&self, digest: &Digest, layers: usize) -> Result<Option<ImageConfig>> {
        let Some((file, size)) = self.store.blobs.open(digest)? else {
            return Ok(None);
        };
        let Ok(raw) = self.store.read_document(digest, &BlobFile { size, file }) else {
            return Ok(None);
        };
        let config = ImageConfig::parse(raw).ok();
        Ok(config.filter(|config| config.fields.rootfs.diff_ids.len() == layers))
    }

    /// Puts the new database in the old one's place.
    fn install(self) -> Result<()> {
        let root = self.store.root.path.clone();
        self.store.catalog.fold()?;
        // Closed before it's moved.
        let Self { folder, store } = self;
        drop(store);
        keep_copy(&root)?;
        // The copy, and blobs that were put in place by processes which came no further.
        sync_file_system(&root)?;
        // The log belongs to the old database: left there, it would be read into the new one.
        for suffix in ["-wal", "-shm"] {
            remove(&root.join(format!("{DATABASE}{suffix}")))?;
        }
        sync_directory(&root)?;
        rename(&folder.join(DATABASE), &root.join(DATABASE))?;
        clear(&folder)
    }
}

/// Writes what stands in no blob.
fn restore(rows: &mut Writing<'_>, old: &Salvage, counts: &mut Counts) -> Result<()> {
    for name in &old.names {
        match rows.restore_name(name) {
            Ok(()) => counts.names += 1,
            Err(StoreError::Unknown(digest)) => counts.notes.push(format!(
                "the name {} is lost: {digest} is not here; pull it again",
                name.reference.familiar()
            )),
            Err(error) => return Err(error),
        }
    }
    let or_lost = |result| match result {
        Err(StoreError::Unknown(_)) => Ok(()),
        other => other,
    };
    for (reference, image) in &old.repo_digests {
        or_lost(rows.set_repo_digest(reference, image))?;
    }
    for (repository, digest, kind) in &old.links {
        or_lost(rows.link(repository, digest, *kind))?;
    }
    Ok(())
}

/// Copies the old database to `damaged/`, for whoever wants to look at it.
fn keep_copy(root: &Path) -> Result<()> {
    let folder = root.join("damaged");
    create_directory(&folder, root)?;
    for suffix in ["", "-wal"] {
        let (from, to) = (
            format!("{DATABASE}{suffix}"),
            folder.join(format!("{DATABASE}{suffix}")),
        );
        match fs::copy(root.join(&from), &to) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(StoreError::io("copy to", &to, source)),
        }
    }
    sync_directory(&folder)
}

fn clear(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", folder, source))
        }
        _ => Ok(()),
    }
}

fn starts_like_json(file: &fs::File) -> bool {
    let mut start = [0; 1];
    let read = std::os::unix::fs::FileExt::read_exact_at(file, &mut start, 0);
    read.is_ok() && matches!(start[0], b'{' | b' ' | b'\n' | b'\t' | b'\r')
}
