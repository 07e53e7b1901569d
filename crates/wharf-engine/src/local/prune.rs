//! Removing images that nobody needs: by Docker's rules (28.5: ImagesPrune), and by wharf's own.
//!
//! Docker's take an image whole. wharf's are about names: of each repository the newest stay (`keep`),
//! what was used of late stays (`unused_for`), what a pattern does not fit stays (`reference`). All rules
//! must agree before a name goes, and an image goes with its last one.
//!
//! An image that a pull is just bringing is not among those that are looked at: it is listed once its name is
//! set. What another operation reads is held by its lease, and its bytes go when that ends.
//!
//! What may go is found once, and removed in many short transactions, between which others can write. Each one
//! looks at the rows as they are by then: a name that was set, moved or used meanwhile stays, and its image with it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use wharf_core::{Digest, Reference};
use wharf_store::{
    CollectOptions, Collected, Freed, ImageRow, Name, Reading, Rehearsal, Store, Writing,
};

use super::find::kept;
use super::list::{Label, boolean, globs, is_named, known, until};
use super::remove::{Removal, delete, remove_name};
use crate::glob::Glob;
use crate::{EngineError, ErrorKind, PruneOptions, Pruned, Result};

const PRUNE_FILTERS: [&str; 5] = ["dangling", "label", "label!", "reference", "until"];

/// How many names and images one transaction removes. Others who want to write wait as long as it takes: some twenty
/// milliseconds, and a sync. Beside that the pause between two transactions counts for little.
const BATCH: usize = 200;

/// The pause between two transactions, in which another process gets its turn: longer than those pauses in which
/// it looks whether it can write.
const PAUSE: Duration = Duration::from_millis(5);

/// Removes the images that the options ask for, or says which ones it would remove.
pub(super) fn prune(store: &Store, options: &PruneOptions, zone: &TimeZone) -> Result<Pruned> {
    let now = Timestamp::now();
    let mut ground = match options.dry_run {
        true => Ground::Rehearsal(store.rehearse()?),
        false => Ground::Store(store),
    };
    let plan = ground.read(|rows| Plan::new(rows, Rules::new(rows, options, now, zone)?))?;
    let (removal, freed) = plan.run(&mut ground)?;
    let collected = ground.collect(match options.partial {
        true => CollectOptions::EVERYTHING,
        false => CollectOptions::KEEP_PARTIAL,
    })?;
    let left_behind = collected.freed.bytes + collected.partial.bytes;
    Ok(Pruned {
        removed: removal.removed,
        reclaimed: removal.reclaimed + left_behind,
        freed: freed + left_behind,
        partial_kept: collected.kept.bytes,
    })
}

/// Where it happens.
enum Ground<'s> {
    Store(&'s Store),
    /// On a copy of the rows: what is shown is what the removal itself says.
    Rehearsal(Rehearsal),
}

impl Ground<'_> {
    fn read<T>(&self, read: impl FnOnce(&Reading<'_>) -> Result<T>) -> Result<T> {
        match self {
            Self::Store(store) => store.read(read),
            Self::Rehearsal(rehearsal) => rehearsal.read(read),
        }
    }

    fn write<T>(
        &mut self,
        write: impl FnOnce(&mut Writing<'_>) -> Result<T>,
    ) -> Result<(T, Freed)> {
        match self {
            Self::Store(store) => store.write(write),
            Self::Rehearsal(rehearsal) => rehearsal.write(write),
        }
    }

    fn collect(self, options: CollectOptions) -> Result<Collected> {
        Ok(match self {
            Self::Store(store) => store.collect(options)?,
            Self::Rehearsal(rehearsal) => rehearsal.collect(options)?,
        })
    }

    /// Lets others write.
    fn pause(&self) {
        if matches!(self, Self::Store(_)) {
            std::thread::sleep(PAUSE);
        }
    }
}

/// What is asked for, and what that means for the names that are here.
struct Rules {
    /// Images with names too?
    named: bool,
    before: Option<Timestamp>,
    labels: Vec<Label>,
    unwanted: Vec<Label>,
    patterns: Option<Vec<Glob>>,
    /// What was used since stays.
    used_since: Option<Timestamp>,
    /// The names that stay as the newest of their repositories, by repository.
    newest: HashMap<String, HashSet<Reference>>,
}

impl Rules {
    fn new(
        rows: &Reading<'_>,
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
                None => HashMap::new(),
                Some(number) => newest(rows, number)?,
            },
        })
    }

    /// Returns whether the rules for images fit.
    fn fits(&self, image: &ImageRow, is_named: bool) -> bool {
        let all = |labels: &[Label]| labels.iter().all(|label| label.fits(&image.labels));
        (self.named || !is_named)
            && self
                .before
                .is_none_or(|limit| image.created.is_some_and(|created| created <= limit))
            && all(&self.labels)
            && (self.unwanted.is_empty() || !all(&self.unwanted))
    }

    fn may_go(&self, name: &Name) -> bool {
        !self.is_newest(&name.reference)
            && !self.is_used(Some(name.used.max(name.updated)))
            && self.fits_pattern(&name.reference)
    }

    fn is_newest(&self, name: &Reference) -> bool {
        let newest = self.newest.get(name.repository());
        newest.is_some_and(|newest| newest.contains(name))
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
fn newest(rows: &Reading<'_>, number: usize) -> Result<HashMap<String, HashSet<Reference>>> {
    let mut repositories: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for entry in rows.images()? {
        for name in rows.names_of(&entry.image.id)? {
            let age = std::cmp::Reverse((entry.image.created, name.updated));
            let repository = name.reference.repository().to_owned();
            let names = repositories.entry(repository).or_default();
            names.push((age, name.reference.familiar(), name.reference));
        }
    }
    let newest = repositories.into_iter().map(|(repository, mut names)| {
        names.sort_by(|(a, x, _), (b, y, _)| (a, x).cmp(&(b, y)));
        let names = names.into_iter().take(number).map(|(.., name)| name);
        (repository, names.collect())
    });
    Ok(newest.collect())
}

/// The images that may go, with what their names were when that was found out.
struct Plan {
    rules: Rules,
    /// The newest last: they are taken from the end.
    images: Vec<Going>,
    /// When each name was set that an image had then.
    names: HashMap<Reference, Timestamp>,
    /// The same of names with digests, which several images may have.
    digests: HashMap<(Reference, Digest), Timestamp>,
}

/// An image that goes, or of which names go.
struct Going {
    image: ImageRow,
    /// Whether it had no name with a tag.
    untagged: bool,
    /// Names that are still to be removed, the last one first.
    names: Vec<Reference>,
    /// Whether the image goes with its last name, or because it never had one.
    whole: bool,
}

impl Plan {
    fn new(rows: &Reading<'_>, rules: Rules) -> Result<Self> {
        let mut plan = Self {
            rules,
            images: Vec::new(),
            names: HashMap::new(),
            digests: HashMap::new(),
        };
        let mut listed = rows.images()?;
        listed.sort_by_key(|entry| std::cmp::Reverse(entry.image.created));
        for entry in listed {
            plan.add(rows, entry.image)?;
        }
        plan.images.reverse();
        Ok(plan)
    }

    /// Notes which names of an image may go.
    fn add(&mut self, rows: &Reading<'_>, image: ImageRow) -> Result<()> {
        let (id, rules) = (&image.id, &self.rules);
        let names = rows.names_of(id)?;
        let untagged = names.is_empty();
        if !rules.fits(&image, !untagged) {
            return Ok(());
        }
        let digests = rows.dated_repo_digests_of(id)?;
        if untagged && digests.is_empty() && rules.patterns.is_some() {
            // It has no name that a pattern could fit.
            return Ok(());
        }
        let whole = names.iter().all(|name| rules.may_go(name))
            && digests.iter().all(|(digest, _)| rules.fits_pattern(digest));
        let tags = names.into_iter().filter(|name| rules.may_go(name));
        let tags: Vec<_> = tags.map(|name| (name.reference, name.updated)).collect();
        if tags.is_empty() && !untagged {
            return Ok(());
        }
        let digests = digests.into_iter();
        let digests = digests.filter(|(digest, _)| rules.fits_pattern(digest));
        let digests: Vec<_> = digests.collect();
        let names = tags.iter().chain(&digests).map(|(name, _)| name.clone());
        let mut names: Vec<Reference> = names.collect();
        if whole {
            names.sort_unstable();
        }
        names.reverse();
        let keyed = digests.into_iter();
        let keyed = keyed.map(|(digest, updated)| ((digest, id.clone()), updated));
        self.digests.extend(keyed);
        self.names.extend(tags);
        self.images.push(Going {
            image,
            untagged,
            names,
            whole,
        });
        Ok(())
    }

    /// Removes it all, some at a time; returns also how many bytes came free on the disk.
    fn run(mut self, ground: &mut Ground<'_>) -> Result<(Removal, u64)> {
        let (mut removal, mut freed, mut going) = (Removal::default(), 0, None);
        while going.is_some() || !self.images.is_empty() {
            let batch = ground.write(|rows| self.batch(rows, &mut going, &mut removal));
            let (_, gone) = batch.map_err(|error| match removal.removed.len() {
                0 => error,
                removed => error.hint(format!(
                    "up to {removed} names, images and layers were removed before that"
                )),
            })?;
            freed += gone.bytes;
            ground.pause();
        }
        Ok((removal, freed))
    }

    /// Removes as much as fits into one transaction.
    fn batch(
        &mut self,
        rows: &mut Writing<'_>,
        going: &mut Option<Going>,
        removal: &mut Removal,
    ) -> Result<()> {
        let (end, mut seen) = (removal.removed.len() + BATCH, 0);
        // Of which repositories the newest names are still here.
        let mut complete = HashMap::new();
        while seen < BATCH && removal.removed.len() < end {
            seen += 1;
            let mut image = match going.take() {
                Some(image) => image,
                None => match self.images.pop() {
                    Some(image) if self.is_still_there(rows, &image)? => image,
                    Some(_) => continue,
                    None => break,
                },
            };
            if self.step(rows, &mut image, &mut complete, removal)? {
                *going = Some(image);
            }
        }
        Ok(())
    }

    /// Returns whether an image is as it was when that was planned, apart from its names.
    fn is_still_there(&self, rows: &Writing<'_>, going: &Going) -> Result<bool> {
        let id = &going.image.id;
        // Removing one platform may have removed the others, and another process may have removed it.
        if kept(rows, id)?.is_none() {
            return Ok(false);
        }
        if !going.untagged {
            return Ok(true);
        }
        let is_used = || {
            let used_at = rows.used_at(id)?.or(going.image.created);
            Ok::<_, EngineError>(self.rules.is_used(used_at))
        };
        Ok(!rows.has_tag(id)? && !is_used()?)
    }

    /// Removes the next name of an image, and the image with the last one; returns whether there is more to do.
    fn step(
        &self,
        rows: &mut Writing<'_>,
        going: &mut Going,
        complete: &mut HashMap<String, bool>,
        removal: &mut Removal,
    ) -> Result<bool> {
        let id = &going.image.id;
        let Some(name) = going.names.pop() else {
            if going.whole && !rows.is_referenced(id)? && kept(rows, id)?.is_some() {
                delete(rows, id, removal)?;
            }
            return Ok(false);
        };
        if self.still_goes(rows, &name, going, complete)? {
            remove_name(rows, &name, id, removal)?;
        }
        Ok(true)
    }

    /// Returns whether a name is still the one that was to be removed. Names before it, and other processes, may
    /// have removed or changed it.
    fn still_goes(
        &self,
        rows: &Writing<'_>,
        name: &Reference,
        going: &Going,
        complete: &mut HashMap<String, bool>,
    ) -> Result<bool> {
        let id = &going.image.id;
        if name.digest().is_some() {
            let updated = rows.repo_digest_set_at(name, id)?;
            return Ok(
                updated.is_some_and(|updated| self.has_digest(name, id, updated))
                    && (going.whole || !rows.has_tag(id)?),
            );
        }
        let Some(row) = rows
            .name(name)?
            .filter(|row| row.image.as_ref() == Some(id))
        else {
            return Ok(false);
        };
        Ok(self.may_go(&row) && self.newest_are_here(rows, name, complete)?)
    }

    /// Returns whether a name may go, and is as it was when that was planned.
    fn may_go(&self, name: &Name) -> bool {
        self.names.get(&name.reference) == Some(&name.updated) && self.rules.may_go(name)
    }

    fn has_digest(&self, digest: &Reference, image: &Digest, updated: Timestamp) -> bool {
        let key = (digest.clone(), image.clone());
        self.digests.get(&key) == Some(&updated)
    }

    /// Returns whether the names are still here that stay as the newest of a repository. If another process has
    /// removed one, older ones would have to stay for it: then the whole repository does.
    fn newest_are_here(
        &self,
        rows: &Writing<'_>,
        name: &Reference,
        complete: &mut HashMap<String, bool>,
    ) -> Result<bool> {
        let repository = name.repository();
        let Some(newest) = self.rules.newest.get(repository) else {
            return Ok(true);
        };
        if let Some(&known) = complete.get(repository) {
            return Ok(known);
        }
        let mut all = true;
        for name in newest {
            all = all && rows.name(name)?.is_some();
        }
        complete.insert(repository.to_owned(), all);
        Ok(all)
    }
}

#[cfg(test)]
mod tests;
