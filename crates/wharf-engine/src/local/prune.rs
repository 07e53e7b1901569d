//! Removing images that nobody needs: by Docker's rules (28.5: ImagesPrune), and by wharf's own.
//!
//! Docker's take an image whole. wharf's are about names: of each repository the newest stay (`keep`),
//! what was used of late stays (`unused_for`), what a pattern does not fit stays (`reference`). All rules
//! must agree before a name goes, and an image goes with its last one.
//!
//! An image that a pull is just bringing is not among those that are looked at: it is listed once its name is
//! set. What another operation reads is held by its lease, and its bytes go when that ends.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use wharf_core::{Digest, Reference};
use wharf_store::{ImageRow, Listed, Name, Store, StoreError, Writing};

use super::find::kept;
use super::list::{Label, boolean, globs, is_named, known, until};
use super::remove::{delete, references, remove_name};
use crate::glob::Glob;
use crate::{EngineError, ErrorKind, PruneOptions, Pruned, Removed, Result};

const PRUNE_FILTERS: [&str; 5] = ["dangling", "label", "label!", "reference", "until"];

/// Removes the images that the options ask for, or says which ones it would remove.
pub(super) fn prune(store: &Store, options: &PruneOptions, zone: &TimeZone) -> Result<Pruned> {
    let now = Timestamp::now();
    let done = store.write(|rows| {
        let pruned = Pruning::new(rows, options, now, zone)?.run(rows)?;
        if options.dry_run {
            // An error takes everything back: what is shown is what the removal itself says.
            return Err(Stop::DryRun(pruned));
        }
        Ok(pruned)
    });
    let (mut pruned, freed) = match done {
        Ok(done) => done,
        Err(Stop::DryRun(pruned)) => return Ok(pruned),
        Err(Stop::Failed(error)) => return Err(error),
    };
    let collected = store.collect()?;
    pruned.freed = freed.bytes + collected.freed.bytes + collected.partial.bytes;
    Ok(pruned)
}

/// Why nothing is written.
enum Stop {
    Failed(EngineError),
    DryRun(Pruned),
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// What is asked for, and what that means for the names that are here.
struct Pruning {
    /// Images with names too?
    named: bool,
    before: Option<Timestamp>,
    labels: Vec<Label>,
    unwanted: Vec<Label>,
    patterns: Option<Vec<Glob>>,
    /// What was used since stays.
    used_since: Option<Timestamp>,
    /// The names that stay as the newest of their repositories.
    newest: HashSet<Reference>,
}

impl Pruning {
    fn new(
        rows: &Writing<'_>,
        options: &PruneOptions,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Result<Self> {
        let filters = &options.filters;
        known(filters, &PRUNE_FILTERS)?;
        let before = match filters.get("until") {
            [] => None,
            [one] => Some(until(one, now, zone)?),
            _ => {
                let message = "more than one until filter specified";
                return Err(EngineError::new(ErrorKind::Invalid, message));
            }
        };
        let ago = |time| now.checked_sub(time).unwrap_or(Timestamp::MIN);
        let used_since = options.unused_for.map(ago);
        let dangling = boolean(filters, "dangling")?;
        Ok(Self {
            named: options.all
                || dangling == Some(false)
                || options.keep.is_some()
                || used_since.is_some(),
            before,
            labels: Label::all(filters.get("label")),
            unwanted: Label::all(filters.get("label!")),
            patterns: globs(filters)?,
            used_since,
            newest: match options.keep {
                None => HashSet::new(),
                Some(number) => newest(rows, number)?,
            },
        })
    }

    fn run(&self, rows: &mut Writing<'_>) -> Result<Pruned> {
        let mut listed = rows.images()?;
        let mut sizes = HashMap::new();
        for entry in &listed {
            let layers = rows.layers(&entry.image.id)?;
            sizes.extend(layers.into_iter().map(|layer| (layer.chain_id, layer.size)));
        }
        listed.sort_by_key(|entry| std::cmp::Reverse(entry.image.created));
        let mut pruned = Pruned::default();
        for entry in listed {
            // Removing one platform may have removed the others.
            if self.fits(&entry) && kept(rows, &entry.image.id)?.is_some() {
                self.remove(rows, &entry.image, &mut pruned.removed)?;
            }
        }
        pruned.reclaimed = reclaimed(&sizes, &pruned.removed);
        Ok(pruned)
    }

    /// Do the rules for images fit?
    fn fits(&self, entry: &Listed) -> bool {
        let image = &entry.image;
        let all = |labels: &[Label]| labels.iter().all(|label| label.fits(&image.labels));
        (self.named || entry.names.is_empty())
            && self
                .before
                .is_none_or(|limit| image.created.is_some_and(|created| created <= limit))
            && all(&self.labels)
            && (self.unwanted.is_empty() || !all(&self.unwanted))
    }

    /// Removes those of an image's names that may go, and the image with the last of them.
    fn remove(
        &self,
        rows: &mut Writing<'_>,
        image: &ImageRow,
        removed: &mut Vec<Removed>,
    ) -> Result<()> {
        let id = &image.id;
        let names = rows.names_of(id)?;
        let untagged = names.is_empty();
        if untagged && self.is_used(rows.used_at(id)?.or(image.created)) {
            return Ok(());
        }
        let digests = rows.repo_digests_of(id)?;
        if untagged && digests.is_empty() && self.patterns.is_some() {
            // It has no name that a pattern could fit.
            return Ok(());
        }
        let all = names.iter().all(|name| self.may_go(name))
            && digests.iter().all(|digest| self.fits_pattern(digest));
        if all {
            return remove_whole(rows, id, removed);
        }
        for name in names.iter().filter(|name| self.may_go(name)) {
            remove_name(rows, &name.reference, id, removed)?;
        }
        if !rows.names_of(id)?.is_empty() {
            return Ok(());
        }
        for digest in rows.repo_digests_of(id)? {
            if self.fits_pattern(&digest) {
                remove_name(rows, &digest, id, removed)?;
            }
        }
        Ok(())
    }

    fn may_go(&self, name: &Name) -> bool {
        !self.newest.contains(&name.reference)
            && !self.is_used(Some(name.used.max(name.updated)))
            && self.fits_pattern(&name.reference)
    }

    fn is_used(&self, last: Option<Timestamp>) -> bool {
        self.used_since
            .is_some_and(|since| last.is_some_and(|last| last > since))
    }

    fn fits_pattern(&self, reference: &Reference) -> bool {
        let patterns = self.patterns.as_deref();
        patterns.is_none_or(|patterns| is_named(patterns, reference))
    }
}

/// The newest names of each repository: by their images' dates, then by when they were set.
fn newest(rows: &Writing<'_>, number: usize) -> Result<HashSet<Reference>> {
    let mut repositories: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for entry in rows.images()? {
        for name in rows.names_of(&entry.image.id)? {
            let age = std::cmp::Reverse((entry.image.created, name.updated));
            let repository = name.reference.repository().to_owned();
            let names = repositories.entry(repository).or_default();
            names.push((age, name.reference.familiar(), name.reference));
        }
    }
    let mut newest = HashSet::new();
    for (_, mut names) in repositories {
        names.sort_by(|(a, x, _), (b, y, _)| (a, x).cmp(&(b, y)));
        newest.extend(names.into_iter().take(number).map(|(.., name)| name));
    }
    Ok(newest)
}

/// The size of the layers that went, unpacked: what Docker shows.
fn reclaimed(sizes: &HashMap<Digest, u64>, removed: &[Removed]) -> u64 {
    let size = |one: &Removed| match one {
        Removed::DeletedLayers(chain) => sizes.get(chain).copied(),
        Removed::Untagged { .. } | Removed::Deleted(_) => None,
    };
    removed.iter().filter_map(size).sum()
}

/// Removes an image name by name, so that what is printed is what `rmi` would have printed.
fn remove_whole(rows: &mut Writing<'_>, id: &Digest, removed: &mut Vec<Removed>) -> Result<()> {
    while let Some(reference) = references(rows, id)?.first() {
        remove_name(rows, reference, id, removed)?;
    }
    if kept(rows, id)?.is_some() {
        delete(rows, id, removed)?;
    }
    Ok(())
}
