//! The check of a store whose database can be read.

use std::collections::HashSet;
use std::path::Path;

use wharf_core::manifest::Kind;
use wharf_core::{Digest, ImageConfig, Manifest};

use super::{CheckProgress, CheckReport};
use crate::blobs::{Blobs, file_name};
use crate::catalog::{Durability, ManifestArrival, Rehearsal, Writing};
use crate::ingest::DigestLock;
use crate::ingest::follow::Follow;
use crate::rows::{BlobRow, ManifestKind};
use crate::store::Inner;
use crate::{Result, StoreError};

/// One check under way.
pub(super) struct Audit<'a> {
    store: &'a Inner,
    /// Where rows are computed again, if the store can only be read.
    copy: Option<Rehearsal>,
    repair: bool,
    progress: &'a dyn Fn(CheckProgress),
    at: CheckProgress,
    report: CheckReport,
}

/// What a blob's file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Sound,
    Damaged,
    Missing,
}

impl<'a> Audit<'a> {
    pub(super) fn new(
        store: &'a Inner,
        repair: bool,
        progress: &'a dyn Fn(CheckProgress),
    ) -> Result<Self> {
        let copy = store.root.read_only.then(|| store.catalog.rehearse());
        let copy = copy.transpose()?;
        Ok(Self {
            store,
            copy,
            repair,
            progress,
            at: CheckProgress::default(),
            report: CheckReport::default(),
        })
    }

    pub(super) fn run(mut self) -> Result<CheckReport> {
        let rows = self.store.catalog.read(|rows| rows.all_blobs())?;
        let orphans = self.orphans(&rows)?;
        self.at.blobs_total = rows.len() as u64 + orphans.len() as u64;
        self.at.bytes_total = rows.iter().map(|(_, size, _)| size).sum();
        for (digest, _, _) in &rows {
            self.check_row(digest)?;
        }
        for digest in &orphans {
            self.check_orphan(digest)?;
        }
        for (digest, kind) in self.store.catalog.read(|rows| rows.all_manifests())? {
            self.check_computed(&digest, kind)?;
        }
        self.report.blobs = self.at.blobs;
        self.report.bytes = self.at.bytes;
        if self.repair {
            // Nothing to repair may mean that a repair was killed before it had synced its rows.
            self.store.catalog.settle()?;
        }
        Ok(self.report)
    }

    /// The files without a row. A file that is none of ours is a finding at once.
    fn orphans(&mut self, rows: &[(Digest, u64, bool)]) -> Result<Vec<Digest>> {
        let known: HashSet<&Digest> = rows.iter().map(|(digest, _, _)| digest).collect();
        let (mut orphans, mut strangers) = (Vec::new(), Vec::new());
        self.store.blobs.each(&mut |file| {
            match file {
                Ok(digest) if known.contains(&digest) => {}
                Ok(digest) => orphans.push(digest),
                Err(path) => strangers.push(path),
            }
            Ok(())
        })?;
        strangers
            .into_iter()
            .try_for_each(|path| self.check_stranger(&path))?;
        Ok(orphans)
    }

    fn check_stranger(&mut self, path: &Path) -> Result<()> {
        let name = file_name(path).to_owned();
        self.report
            .findings
            .push(format!("{} is not a blob's file", path.display()));
        if self.repair {
            self.store.blobs.set_file_aside(path)?;
            self.report.repaired.push(format!("{name} was set aside"));
        }
        Ok(())
    }

    /// Reads one blob. Its row is asked for again, since others go on working meanwhile.
    fn check_row(&mut self, digest: &Digest) -> Result<()> {
        let Some(row) = self.row(digest)? else {
            return Ok(());
        };
        let mut state = self.read(digest, row.size)?;
        if state != State::Sound {
            // Whoever is just putting or removing it holds its lock, and leaves it in order.
            let Some(_lock) = self.lock(digest)? else {
                return Ok(());
            };
            let Some(row) = self.row(digest)? else {
                return Ok(());
            };
            state = examine(&self.store.blobs, digest, Some(row.size))?;
        }
        match (state, row.here) {
            (State::Sound, true) => Ok(()),
            (State::Sound, false) => self.found_again(digest, &row),
            (State::Damaged, _) => self.found_damaged(digest),
            (State::Missing, here) => self.found_missing(digest, here),
        }
    }

    /// Takes the lock of a blob; `None` if another process has it. A store that can only be read is checked without.
    fn lock(&self, digest: &Digest) -> Result<Option<Option<DigestLock>>> {
        if self.store.root.read_only {
            return Ok(Some(None));
        }
        Ok(self.store.ingest.try_lock(digest)?.map(Some))
    }

    fn row(&self, digest: &Digest) -> Result<Option<BlobRow>> {
        self.store.catalog.read(|rows| rows.blob_row(digest))
    }

    fn read(&mut self, digest: &Digest, size: u64) -> Result<State> {
        let state = examine(&self.store.blobs, digest, Some(size))?;
        self.at.blobs += 1;
        self.at.bytes += if state == State::Missing { 0 } else { size };
        (self.progress)(self.at);
        Ok(state)
    }

    fn found_damaged(&mut self, digest: &Digest) -> Result<()> {
        let needed = self.needed_by(digest)?;
        self.report
            .findings
            .push(format!("blob {digest} is damaged{needed}"));
        self.report.damaged.push(digest.clone());
        if self.repair {
            // Rows first: a row that says "here" without a file would be the worse half.
            self.mark_missing(digest)?;
            self.store.blobs.set_aside(digest)?;
            self.report.repaired.push(format!(
                "blob {digest} was set aside; pulling the image again brings it back"
            ));
        }
        Ok(())
    }

    fn found_missing(&mut self, digest: &Digest, here: bool) -> Result<()> {
        let needed = self.needed_by(digest)?;
        self.report
            .findings
            .push(format!("blob {digest} is missing{needed}"));
        self.report.missing.push(digest.clone());
        if self.repair && here {
            self.mark_missing(digest)?;
            self.report.repaired.push(format!(
                "blob {digest} is marked as missing; pulling the image again brings it back"
            ));
        }
        Ok(())
    }

    /// A file that came back by hand: the row learns of it.
    fn found_again(&mut self, digest: &Digest, row: &BlobRow) -> Result<()> {
        self.report
            .findings
            .push(format!("blob {digest} is here and is marked as missing"));
        if self.repair {
            if let Some((file, _)) = self.store.blobs.open(digest)? {
                self.store.blobs.settle(&file, digest)?;
            }
            self.store
                .catalog
                .write(&self.store.leases, Durability::Full, |rows| {
                    rows.arrive(digest, row.size, row.facts.as_ref())
                })?;
            self.report
                .repaired
                .push(format!("blob {digest} is marked as here"));
        }
        Ok(())
    }

    fn mark_missing(&self, digest: &Digest) -> Result<()> {
        let store = self.store;
        store
            .catalog
            .write(&store.leases, Durability::Full, |rows| {
                rows.mark_missing(digest)
            })
            .map(drop)
    }

    fn needed_by(&self, digest: &Digest) -> Result<String> {
        let names = self.store.catalog.read(|rows| rows.names_needing(digest))?;
        Ok(if names.is_empty() {
            String::new()
        } else {
            format!(": {} needs it", names.join(", "))
        })
    }

    /// A file without a row is a leftover of a process that was killed, unless its bytes are wrong: then
    /// somebody changed it.
    fn check_orphan(&mut self, digest: &Digest) -> Result<()> {
        let Some(_lock) = self.lock(digest)? else {
            return Ok(());
        };
        if self.row(digest)?.is_some() {
            return Ok(());
        }
        let state = examine(&self.store.blobs, digest, None)?;
        self.at.blobs += 1;
        (self.progress)(self.at);
        match state {
            State::Damaged => self.found_damaged(digest),
            State::Sound => {
                self.report.leftovers += 1;
                Ok(())
            }
            State::Missing => Ok(()),
        }
    }

    /// Computes again what the rows say of a manifest.
    fn check_computed(&mut self, digest: &Digest, kind: ManifestKind) -> Result<()> {
        let store = self.store;
        let Some(row) = store.catalog.read(|rows| rows.manifest(digest))? else {
            return Ok(());
        };
        let Ok((manifest, config)) = read_manifest(store, digest, kind, &row.descriptor.media_type)
        else {
            // Its bytes are sound, so it was never a manifest that we read: not a matter of repair.
            self.report
                .findings
                .push(format!("manifest {digest} cannot be read"));
            return Ok(());
        };
        let place = store.root.path.display().to_string();
        let (config, incomplete) = (config.as_ref(), false);
        let arrival = ManifestArrival {
            manifest: &manifest,
            config,
            place: &place,
            incomplete,
        };
        let repair = self.repair;
        let compute = |rows: &mut Writing<'_>| {
            if rows.manifest(digest)?.is_none_or(|row| !row.complete) {
                return Err(Outcome::Same);
            }
            let before = rows.computed(digest)?;
            rows.arrive_manifest(&arrival)?;
            match before == rows.computed(digest)? {
                true => Err(Outcome::Same),
                false if repair => Ok(()),
                false => Err(Outcome::Differs),
            }
        };
        let outcome = match &mut self.copy {
            Some(copy) => copy.write(&store.leases, compute),
            None => store
                .catalog
                .write(&store.leases, Durability::Full, compute),
        };
        let finding = format!("the rows of manifest {digest} are not what it says");
        match outcome {
            Ok(_) => {
                self.report.findings.push(finding);
                self.report
                    .repaired
                    .push(format!("the rows of manifest {digest} were computed again"));
            }
            Err(Outcome::Same) => {}
            Err(Outcome::Differs) => self.report.findings.push(finding),
            Err(Outcome::Failed(StoreError::Content(error))) => {
                self.report.findings.push(format!("{finding}: {error}"));
            }
            Err(Outcome::Failed(StoreError::MissingChild { parent, child })) => {
                self.report.findings.push(format!(
                    "manifest {parent} is not whole: {child} is missing"
                ));
            }
            Err(Outcome::Failed(error)) => return Err(error),
        }
        Ok(())
    }
}

/// How a transaction ended that was only to compare.
enum Outcome {
    Same,
    Differs,
    Failed(StoreError),
}

impl From<StoreError> for Outcome {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// Reads a blob's file, every byte.
pub(super) fn examine(blobs: &Blobs, digest: &Digest, size: Option<u64>) -> Result<State> {
    let (file, len) = match blobs.open(digest) {
        Ok(Some(opened)) => opened,
        Ok(None) => return Ok(State::Missing),
        Err(StoreError::Damaged(_)) => return Ok(State::Damaged),
        Err(error) => return Err(error),
    };
    if size.is_some_and(|size| size != len) {
        return Ok(State::Damaged);
    }
    let path = Path::new(digest.as_str());
    let follow = Follow {
        file: &file,
        path,
        algorithm: digest.algorithm(),
        size: len,
    };
    // A disk that cannot read the file has damaged it, too.
    let sound = follow
        .all(None)
        .is_ok_and(|followed| followed.digest == *digest);
    Ok(if sound { State::Sound } else { State::Damaged })
}

fn read_manifest(
    store: &Inner,
    digest: &Digest,
    kind: ManifestKind,
    media_type: &str,
) -> Result<(Manifest, Option<ImageConfig>)> {
    let document = |digest: &Digest| {
        let blob = store
            .open_blob(digest)?
            .ok_or_else(|| StoreError::Unknown(digest.clone()))?;
        store.read_document(digest, &blob)
    };
    let manifest = Manifest::parse(media_type, document(digest)?)
        .map_err(|_| StoreError::Damaged(digest.clone()))?;
    let config = match &manifest.kind {
        Kind::Image(parts) if kind == ManifestKind::Image => {
            let config = ImageConfig::parse(document(&parts.config.digest)?);
            Some(config.map_err(|_| StoreError::Damaged(parts.config.digest.clone()))?)
        }
        _ => None,
    };
    Ok((manifest, config))
}
