//! What the rows of a damaged database prove.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use wharf_core::layer::LayerFacts;
use wharf_core::{Digest, Reference};

use super::cells::{Row, Value};
use super::trees::{Found, Trees};
use super::{Known, Salvage};
use crate::catalog::holds::kind_number;
use crate::rows::{LinkKind, Name};

/// The evidence, and what it is compared with.
pub(super) struct Evidence<'a> {
    trees: &'a Trees,
    known: &'a Known,
    /// Which blob has which number.
    ids: HashMap<i64, Digest>,
    numbers: HashMap<Digest, i64>,
}

/// What stands about one name in its table and in the two indexes over it.
#[derive(Default)]
struct Claims {
    rows: Vec<NameRow>,
    targets: BTreeSet<i64>,
    images: BTreeSet<i64>,
}

#[derive(Clone, Copy)]
struct NameRow {
    target: i64,
    image: Option<i64>,
    updated: i64,
    used: i64,
}

impl<'a> Evidence<'a> {
    pub(super) fn new(trees: &'a Trees, known: &'a Known) -> Self {
        let ids = ids(trees, known);
        let numbers = ids.iter().map(|(&number, digest)| (digest.clone(), number));
        Self {
            trees,
            known,
            numbers: numbers.collect(),
            ids,
        }
    }

    pub(super) fn judge(&self) -> Salvage {
        let mut salvage = Salvage::default();
        self.names(&mut salvage);
        self.repo_digests(&mut salvage);
        self.links(&mut salvage);
        self.facts(&mut salvage);
        self.kept(&mut salvage);
        salvage
    }

    fn is_whole(&self, name: &str) -> bool {
        self.trees.get(name).is_whole
    }

    fn names(&self, salvage: &mut Salvage) {
        for ((repository, tag), claims) in claims(self.trees) {
            let reference = Reference::of_repository(&repository)
                .and_then(|repository| repository.with_tag(&tag));
            // Nothing that wharf wrote.
            let Ok(reference) = reference else { continue };
            let familiar = reference.familiar();
            match self.name(reference, &claims) {
                Some(name) => salvage.names.push(name),
                None => salvage.unclear.push(familiar),
            }
        }
        let indexes = self.is_whole("names_target") && self.is_whole("names_image");
        if !self.is_whole("names") && !indexes {
            salvage.lost.push("names");
        }
    }

    /// Decides what a name pointed to; `None` if that is not sure.
    fn name(&self, reference: Reference, claims: &Claims) -> Option<Name> {
        let row = self.row(claims)?;
        let target = self.ids.get(&row.target)?.clone();
        let image = match row.image {
            Some(image) => Some(self.ids.get(&image)?.clone()),
            None => None,
        };
        if !self.known.fits(&target, image.as_ref()) {
            return None;
        }
        let time = |micros| Timestamp::from_microsecond(micros).ok();
        let updated = time(row.updated)?;
        Some(Name {
            reference,
            target,
            image,
            updated,
            used: time(row.used)?,
        })
    }

    /// Decides which row of the table is right, or what it must have been.
    fn row(&self, claims: &Claims) -> Option<NameRow> {
        let newest =
            |rows: &mut dyn Iterator<Item = &NameRow>| rows.max_by_key(|row| row.updated).copied();
        let confirmed = |row: &&NameRow| claims.targets.contains(&row.target);
        let row = match newest(&mut claims.rows.iter().filter(confirmed)) {
            Some(row) => Some(row),
            // The index would have it.
            None if claims.targets.is_empty() && self.is_whole("names_target") => return None,
            None => newest(&mut claims.rows.iter()),
        };
        let Some(mut row) = row else {
            return self.row_from_indexes(claims);
        };
        let row_is_confirmed = confirmed(&&row);
        if !row_is_confirmed && !claims.targets.is_empty() {
            // The two differ: the blobs say which one is possible.
            let possible = |target| self.is_possible(target, row.image);
            let others: Vec<i64> = claims
                .targets
                .iter()
                .copied()
                .filter(|t| possible(*t))
                .collect();
            match (possible(row.target), others.as_slice()) {
                (true, []) => {}
                (false, [other]) => row.target = *other,
                _ => return None,
            }
        }
        let image_is_wrong = match row.image {
            Some(image) => {
                let index = &claims.images;
                !index.contains(&image) && (!index.is_empty() || self.is_whole("names_image"))
            }
            None => !claims.images.is_empty(),
        };
        if image_is_wrong {
            row.image = Some(only(&claims.images)?);
        }
        Some(row)
    }

    /// Puts a row together that was destroyed itself. Its times are lost; it counts as used now, so that no prune takes
    /// it for old.
    fn row_from_indexes(&self, claims: &Claims) -> Option<NameRow> {
        let target = only(&claims.targets)?;
        let image = match only(&claims.images) {
            Some(image) => Some(image),
            // What is no image has no entry in the index by images.
            None if claims.images.is_empty() && self.is_artifact(target) => None,
            None if !self.is_whole("names") && !self.is_whole("names_image") => {
                let target = self.ids.get(&target)?;
                let config = self.known.only_image(target)?;
                Some(*self.numbers.get(config)?)
            }
            None => return None,
        };
        let now = Timestamp::now().as_microsecond();
        Some(NameRow {
            target,
            image,
            updated: now,
            used: now,
        })
    }

    fn is_artifact(&self, target: i64) -> bool {
        let target = self.ids.get(&target);
        target.is_some_and(|target| self.known.is_artifact(target))
    }

    fn is_possible(&self, target: i64, image: Option<i64>) -> bool {
        let image = image.map(|image| self.ids.get(&image));
        match (self.ids.get(&target), image) {
            (None, _) | (_, Some(None)) => false,
            (Some(target), image) => {
                self.known.manifests.contains_key(target)
                    && self.known.fits(target, image.flatten())
            }
        }
    }

    fn repo_digests(&self, salvage: &mut Salvage) {
        let tables = [
            ("repo_digests", [0, 1, 2]),
            ("repo_digests_image", [1, 2, 0]),
            ("repo_digests_digest", [1, 0, 2]),
        ];
        let mut votes: BTreeMap<(&str, &str, i64), usize> = BTreeMap::new();
        for (table, places) in tables {
            let keys = self.trees.get(table).rows.iter().filter_map(|row| {
                let [repository, digest, image] = places.map(|place| &row.columns[place]);
                Some((text(repository)?, text(digest)?, integer(image)?))
            });
            for key in keys.collect::<BTreeSet<_>>() {
                *votes.entry(key).or_default() += 1;
            }
        }
        let whole = tables
            .iter()
            .filter(|(table, _)| self.is_whole(table))
            .count();
        for ((repository, digest, image), votes) in votes {
            let repository = Reference::of_repository(repository);
            let (Ok(repository), Ok(digest)) = (repository, digest.parse::<Digest>()) else {
                continue;
            };
            let Some(image) = self.ids.get(&image) else {
                continue;
            };
            let is_known = self.known.manifests.contains_key(&digest);
            let likely = votes > 1 || whole == 0;
            if likely && is_known && self.known.fits(&digest, Some(image)) {
                salvage
                    .repo_digests
                    .push((repository.with_digest(digest), image.clone()));
            }
        }
        if whole == 0 {
            salvage.lost.push("digests of names");
        }
    }

    fn links(&self, salvage: &mut Salvage) {
        let read = |table: &str, places: [usize; 3]| -> BTreeSet<(String, i64, i64)> {
            let rows = self.trees.get(table).rows.iter();
            let key = |row: &Row| {
                let [repository, blob, kind] = places.map(|place| &row.columns[place]);
                Some((text(repository)?.to_owned(), integer(blob)?, integer(kind)?))
            };
            rows.filter_map(key).collect()
        };
        let (table, index) = (read("links", [0, 1, 2]), read("links_blob", [1, 0, 2]));
        let (table_whole, index_whole) = (self.is_whole("links"), self.is_whole("links_blob"));
        for key in table.union(&index) {
            let confirmed = table.contains(key) && index.contains(key);
            let alone = if table.contains(key) {
                !index_whole
            } else {
                !table_whole
            };
            let Some(digest) = self.ids.get(&key.1) else {
                continue;
            };
            let kinds = [LinkKind::Blob, LinkKind::Manifest];
            let kind = kinds.into_iter().find(|kind| kind_number(*kind) == key.2);
            let (true, Some(kind)) = (confirmed || alone, kind) else {
                continue;
            };
            salvage.links.push((key.0.clone(), digest.clone(), kind));
        }
        if !table_whole && !index_whole {
            salvage.lost.push("links of the registry server");
        }
    }

    fn facts(&self, salvage: &mut Salvage) {
        for row in &self.trees.get("blobs").rows {
            let [
                _,
                Value::Text(digest),
                _,
                _,
                Value::Text(diff_id),
                Value::Integer(size),
            ] = row.columns.as_slice()
            else {
                continue;
            };
            let (Ok(digest), Ok(diff_id)) = (digest.parse::<Digest>(), diff_id.parse::<Digest>())
            else {
                continue;
            };
            let expected = self.known.diff_ids.get(&digest);
            let right = self.ids.get(&row.number) == Some(&digest)
                && expected.is_none_or(|expected| *expected == diff_id);
            if let (true, Ok(size)) = (right, u64::try_from(*size)) {
                salvage.facts.push((digest, LayerFacts { diff_id, size }));
            }
        }
        if !self.is_whole("blobs") {
            salvage.lost.push("facts about layers");
        }
    }

    fn kept(&self, salvage: &mut Salvage) {
        let images = self.trees.get("images");
        let mut known = images.is_whole;
        let mut kept = HashSet::new();
        for row in &images.rows {
            match (row.columns.get(2), self.ids.get(&row.number)) {
                (Some(Value::Integer(1)), Some(digest)) => {
                    kept.insert(digest.clone());
                }
                (Some(Value::Integer(0)), _) => {}
                _ => known = false,
            }
        }
        if known {
            salvage.kept = Some(kept);
        } else {
            salvage.lost.push("marks of kept images");
        }
    }
}

/// Gathers what stands about each name.
fn claims(trees: &Trees) -> BTreeMap<(String, String), Claims> {
    let mut all: BTreeMap<(String, String), Claims> = BTreeMap::new();
    let mut of = |repository: &Value, tag: &Value, add: &mut dyn FnMut(&mut Claims)| {
        if let (Some(repository), Some(tag)) = (text(repository), text(tag)) {
            add(all
                .entry((repository.to_owned(), tag.to_owned()))
                .or_default());
        }
    };
    for row in &trees.get("names").rows {
        let [
            repository,
            tag,
            Value::Integer(target),
            image,
            Value::Integer(updated),
            Value::Integer(used),
        ] = row.columns.as_slice()
        else {
            continue;
        };
        let row = NameRow {
            target: *target,
            image: integer(image),
            updated: *updated,
            used: *used,
        };
        of(repository, tag, &mut |claims| claims.rows.push(row));
    }
    let indexed = |found: &Found| -> Vec<(i64, Row)> {
        let rows = found.rows.iter();
        rows.filter_map(|row| Some((integer(&row.columns[0])?, row.clone())))
            .collect()
    };
    for (target, row) in indexed(trees.get("names_target")) {
        of(&row.columns[1], &row.columns[2], &mut |claims| {
            claims.targets.insert(target);
        });
    }
    for (image, row) in indexed(trees.get("names_image")) {
        of(&row.columns[1], &row.columns[2], &mut |claims| {
            claims.images.insert(image);
        });
    }
    all
}

/// Finds out which blob has which number: from the table, and from the index that its digests are unique by.
fn ids(trees: &Trees, known: &Known) -> HashMap<i64, Digest> {
    let pairs = |found: &Found, number: &dyn Fn(&Row) -> Option<i64>, place: usize| {
        let pair = |row: &Row| {
            let digest = text(row.columns.get(place)?)?.parse::<Digest>().ok()?;
            Some((number(row)?, digest)).filter(|(_, digest)| known.blobs.contains(digest))
        };
        found.rows.iter().filter_map(pair).collect::<HashSet<_>>()
    };
    let table = pairs(trees.get("blobs"), &|row| Some(row.number), 1);
    let index = trees.get("sqlite_autoindex_blobs_1");
    let index = pairs(index, &|row| integer(&row.columns[1]), 0);
    let mut ids: HashMap<i64, Digest> = table.intersection(&index).cloned().collect();
    let sure: HashSet<Digest> = ids.values().cloned().collect();
    let mut others: HashMap<i64, Vec<Digest>> = HashMap::new();
    for (id, digest) in table.symmetric_difference(&index) {
        if !ids.contains_key(id) && !sure.contains(digest) {
            others.entry(*id).or_default().push(digest.clone());
        }
    }
    for (id, mut digests) in others {
        if let (Some(digest), true) = (digests.pop(), digests.is_empty()) {
            ids.insert(id, digest);
        }
    }
    ids
}

/// The only one of several.
fn only(all: &BTreeSet<i64>) -> Option<i64> {
    all.first().copied().filter(|_| all.len() == 1)
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        _ => None,
    }
}
