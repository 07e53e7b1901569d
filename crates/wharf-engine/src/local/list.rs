//! Listing images: rows only, nothing is computed that was known when the image arrived.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use wharf_core::Reference;
use wharf_store::{ImageRow, Listed, Reading};

use super::find::find;
use crate::glob::Glob;
use crate::{EngineError, ErrorKind, Filters, ImageSummary, ListQuery, Result, when};

const LIST_FILTERS: [&str; 6] = ["before", "dangling", "label", "reference", "since", "until"];

/// Lists the images that the query asks for, the newest first.
pub(super) fn list(
    rows: &Reading<'_>,
    query: &ListQuery,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<Vec<ImageSummary>> {
    let wanted = Wanted::new(rows, &query.filters, now, zone)?;
    let mut all: Vec<ImageSummary> = rows
        .images()?
        .into_iter()
        .filter_map(|image| wanted.summary(image))
        .collect();
    all.sort_by(by_age);
    Ok(all)
}

/// Docker's order, the newest first; where it leaves it to chance, ours is by name.
pub(super) fn by_age(a: &ImageSummary, b: &ImageSummary) -> std::cmp::Ordering {
    let second = |s: &ImageSummary| s.created.map_or(0, Timestamp::as_second);
    second(b)
        .cmp(&second(a))
        .then_with(|| names_of(a).cmp(&names_of(b)))
}

fn names_of(summary: &ImageSummary) -> (&[String], &[String]) {
    (&summary.repo_tags, &summary.repo_digests)
}

/// What a list's filters ask for.
struct Wanted {
    dangling: Option<bool>,
    before: Option<Timestamp>,
    since: Option<Timestamp>,
    labels: Vec<Label>,
    patterns: Option<Vec<Glob>>,
}

impl Wanted {
    fn new(rows: &Reading<'_>, filters: &Filters, now: Timestamp, zone: &TimeZone) -> Result<Self> {
        known(filters, &LIST_FILTERS)?;
        let created = |name: &String| Ok(find(rows, name)?.image.created);
        let dates = |name| {
            filters
                .get(name)
                .iter()
                .map(created)
                .collect::<Result<Vec<_>>>()
        };
        let mut before: Vec<Timestamp> = dates("before")?.into_iter().flatten().collect();
        for text in filters.get("until") {
            before.push(until(text, now, zone)?);
        }
        Ok(Self {
            dangling: boolean(filters, "dangling")?,
            before: before.into_iter().min(),
            since: dates("since")?.into_iter().flatten().max(),
            labels: Label::all(filters.get("label")),
            patterns: globs(filters)?,
        })
    }

    /// The image as a list shows it, if it is wanted.
    fn summary(&self, listed: Listed) -> Option<ImageSummary> {
        let Listed {
            image,
            names,
            repo_digests,
        } = listed;
        let in_time = |limit: Option<Timestamp>, fits: fn(Timestamp, Timestamp) -> bool| {
            limit.is_none_or(|limit| image.created.is_some_and(|created| fits(created, limit)))
        };
        let wanted = in_time(self.before, |created, limit| created < limit)
            && in_time(self.since, |created, limit| created > limit)
            && self.labels.iter().all(|label| label.fits(&image.labels));
        if !wanted {
            return None;
        }
        let chosen = |reference: &Reference| self.fits_pattern(reference);
        let repo_tags = familiar_sorted(names.iter().filter(|r| chosen(r)));
        let repo_digests = familiar_sorted(repo_digests.iter().filter(|r| chosen(r)));
        if repo_tags.is_empty() && repo_digests.is_empty() {
            if self.dangling == Some(false) || self.patterns.is_some() {
                return None;
            }
        } else if self.dangling == Some(true) && !repo_tags.is_empty() {
            return None;
        }
        Some(summary(image, repo_tags, repo_digests))
    }

    fn fits_pattern(&self, reference: &Reference) -> bool {
        let patterns = self.patterns.as_deref();
        patterns.is_none_or(|patterns| is_named(patterns, reference))
    }
}

/// One label that a filter asks for: a key, or a key and its value.
pub(super) struct Label {
    key: String,
    value: Option<String>,
}

impl Label {
    pub(super) fn all(texts: &[String]) -> Vec<Self> {
        let split = |text: &String| match text.split_once('=') {
            Some((key, value)) => Self {
                key: key.to_owned(),
                value: Some(value.to_owned()),
            },
            None => Self {
                key: text.clone(),
                value: None,
            },
        };
        texts.iter().map(split).collect()
    }

    pub(super) fn fits(&self, labels: &BTreeMap<String, String>) -> bool {
        labels
            .get(&self.key)
            .is_some_and(|has| self.value.as_ref().is_none_or(|v| v == has))
    }
}

/// Refuses filters that the command does not have.
pub(super) fn known(filters: &Filters, names: &[&str]) -> Result<()> {
    match filters.names().find(|name| !names.contains(name)) {
        None => Ok(()),
        Some(name) => {
            let message = format!("invalid filter '{name}'");
            let hint = format!("the filters here are: {}", names.join(", "));
            Err(EngineError::new(ErrorKind::Invalid, message).hint(hint))
        }
    }
}

/// A filter that is yes or no; Docker takes `1` and `true`, `0` and `false`.
pub(super) fn boolean(filters: &Filters, name: &str) -> Result<Option<bool>> {
    let is = |words: [&str; 2]| {
        filters
            .get(name)
            .iter()
            .any(|v| words.contains(&v.as_str()))
    };
    match (filters.get(name), is(["1", "true"]), is(["0", "false"])) {
        ([], ..) if filters.has(name) => {
            let message = format!("invalid filter '{name}'");
            Err(EngineError::new(ErrorKind::Invalid, message).hint("it takes true or false"))
        }
        ([], ..) => Ok(None),
        (_, true, false) => Ok(Some(true)),
        (_, false, true) => Ok(Some(false)),
        (values, ..) => {
            // Docker leaves their order to chance.
            let mut values = values.to_vec();
            values.sort_unstable();
            let message = format!("invalid filter '{name}=[{}]'", values.join(" "));
            Err(EngineError::new(ErrorKind::Invalid, message).hint("it takes true or false"))
        }
    }
}

/// The patterns of names; `None` if there are none.
pub(super) fn globs(filters: &Filters) -> Result<Option<Vec<Glob>>> {
    let patterns = filters.get("reference").iter().map(|pattern| {
        Glob::new(pattern).map_err(|e| EngineError::new(ErrorKind::Invalid, e.to_string()))
    });
    let patterns = patterns.collect::<Result<Vec<_>>>()?;
    Ok((!patterns.is_empty()).then_some(patterns))
}

/// Does one of the patterns fit the name, with its tag or without?
pub(super) fn is_named(patterns: &[Glob], reference: &Reference) -> bool {
    let (name, repository) = (reference.familiar(), reference.familiar_repository());
    let fits = |pattern: &Glob| pattern.is_match(&name) || pattern.is_match(repository);
    patterns.iter().any(fits)
}

/// A point in time.
pub(super) fn until(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp> {
    when::parse(text, now, zone).ok_or_else(|| {
        let message = format!("failed to parse value as time or duration: {text:?}");
        EngineError::new(ErrorKind::Invalid, message)
            .hint("2024-10-15, 2024-10-15T06:30:00, seconds since 1970, or a duration such as 24h")
    })
}

/// The names as Docker shows and sorts them: by what they are in full.
pub(super) fn familiar_sorted<'r>(references: impl Iterator<Item = &'r Reference>) -> Vec<String> {
    let mut all: Vec<&Reference> = references.collect();
    all.sort_unstable();
    all.into_iter().map(Reference::familiar).collect()
}

/// A row as a list shows it.
pub(super) fn summary(
    image: ImageRow,
    repo_tags: Vec<String>,
    repo_digests: Vec<String>,
) -> ImageSummary {
    ImageSummary {
        id: image.id,
        created: image.created,
        size: image.size,
        repo_tags,
        repo_digests,
        labels: image.labels,
    }
}
