//! From images to rows: one per name, and what each column says.
//!
//! An image with tags has a row per tag; a repository that knows it by digest only has a row
//! without a tag; an image that nobody names has one row of `<none>`. With digests shown, each row
//! stands once per digest of its repository.

use std::collections::BTreeMap;

use std::sync::Arc;

use gotmpl::Value;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use wharf_core::human;
use wharf_engine::ImageSummary;

use crate::print::listing;
use crate::print::table::align;
use crate::print::template::Record;

/// What Docker shows where there is no name.
const NONE: &str = "<none>";

/// The names of the columns, by field.
pub(in crate::command) const HEADERS: [(&str, &str); 11] = [
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Containers", "CONTAINERS"),
    ("VirtualSize", "SIZE"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
];

/// How rows are made.
pub(in crate::command) struct Rows {
    /// Are IDs shown in full?
    pub full_ids: bool,
    /// Is there a row per digest where there is no tag?
    pub digest_rows: bool,
    /// Does a tag's row stand once per digest?
    pub digests: bool,
    /// For ages.
    pub now: Timestamp,
    /// For dates.
    pub zone: TimeZone,
}

/// What all rows of one image share.
struct Shared {
    id: String,
    created: i64,
    size: u64,
    /// How much of it other images have too, if that was asked for.
    shared: Option<u64>,
    now: Timestamp,
    zone: TimeZone,
}

/// One row.
pub(in crate::command) struct Row {
    image: Arc<Shared>,
    repository: String,
    tag: String,
    digest: String,
}

impl Rows {
    /// The rows of all images, in the images' order.
    pub(super) fn of(&self, images: &[ImageSummary]) -> Vec<Row> {
        let mut rows = Vec::with_capacity(images.len());
        for image in images {
            let shared = self.shared(image, None);
            self.expand(image, |repository, tag, digest| {
                rows.push(Row {
                    image: Arc::clone(&shared),
                    repository: repository.to_owned(),
                    tag: tag.to_owned(),
                    digest: digest.to_owned(),
                });
            });
        }
        rows
    }

    fn shared(&self, image: &ImageSummary, shared: Option<u64>) -> Arc<Shared> {
        let id = if self.full_ids {
            image.id.as_str()
        } else {
            image.id.short()
        };
        Arc::new(Shared {
            id: id.to_owned(),
            created: image.created.map_or(0, Timestamp::as_second),
            size: image.size,
            shared,
            now: self.now,
            zone: self.zone.clone(),
        })
    }

    /// One row for an image, by its first tag, that says how much of it others have too.
    pub(in crate::command) fn measured(&self, image: &ImageSummary, shared: u64) -> Row {
        let tag = image.repo_tags.first().and_then(|tag| tag.rsplit_once(':'));
        let (repository, tag) = tag.unwrap_or((NONE, NONE));
        Row {
            image: self.shared(image, Some(shared)),
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            digest: String::new(),
        }
    }

    /// One image's rows: repository, tag, digest.
    fn expand(&self, image: &ImageSummary, mut row: impl FnMut(&str, &str, &str)) {
        if image.repo_tags.is_empty() && image.repo_digests.is_empty() {
            return row(NONE, NONE, NONE);
        }
        let mut digests = by_repository(&image.repo_digests, '@');
        for (repository, tags) in by_repository(&image.repo_tags, ':') {
            // A digest whose repository has a tag is no row of its own.
            let known = digests.remove(repository).unwrap_or_default();
            let shown: &[&str] = if self.digests && !known.is_empty() {
                &known
            } else {
                &[NONE]
            };
            for tag in tags {
                shown.iter().for_each(|digest| row(repository, tag, digest));
            }
        }
        for (repository, known) in digests {
            if self.digest_rows {
                known
                    .iter()
                    .for_each(|digest| row(repository, NONE, digest));
            } else {
                row(repository, NONE, "");
            }
        }
    }
}

/// How many rows an image has without digests.
pub(super) fn count(image: &ImageSummary) -> usize {
    let repository = |name: &str, mark| name.rsplit_once(mark).map(|(name, _)| name.to_owned());
    let tagged = |repository: &String| {
        image.repo_tags.iter().any(|tag| {
            tag.rsplit_once(':')
                .is_some_and(|(name, _)| name == repository.as_str())
        })
    };
    let mut untagged: Vec<String> = image
        .repo_digests
        .iter()
        .filter_map(|digest| repository(digest, '@'))
        .collect();
    untagged.dedup();
    let untagged = untagged.iter().filter(|name| !tagged(name)).count();
    (image.repo_tags.len() + untagged).max(1)
}

/// What stands behind `mark`, by what stands before it.
fn by_repository(names: &[String], mark: char) -> BTreeMap<&str, Vec<&str>> {
    let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (repository, rest) in names.iter().filter_map(|name| name.rsplit_once(mark)) {
        all.entry(repository).or_default().push(rest);
    }
    all
}

/// The table that nobody has given a template for.
pub(super) fn table(rows: &[Row], digests: bool) -> String {
    let mut text = String::from(if digests {
        "REPOSITORY\tTAG\tDIGEST\tIMAGE ID\tCREATED\tSIZE\n"
    } else {
        "REPOSITORY\tTAG\tIMAGE ID\tCREATED\tSIZE\n"
    });
    for row in rows {
        let Row {
            image,
            repository,
            tag,
            digest,
        } = row;
        let (digest, tab) = if digests {
            (digest.as_str(), "\t")
        } else {
            ("", "")
        };
        let age = Some(row.age()).filter(|age| !age.is_empty());
        let age = age.as_deref().unwrap_or("N/A");
        let size = human::table_size(image.size);
        let cells = [
            repository, "\t", tag, "\t", digest, tab, &image.id, "\t", age, "\t", &size,
        ];
        text.extend(cells);
        text.push('\n');
    }
    align(&text)
}

impl Row {
    fn age(&self) -> String {
        human::image_age(self.image.created, self.image.now)
    }

    fn created_at(&self) -> String {
        let time = Timestamp::from_second(self.image.created).unwrap_or_default();
        human::point(time, &self.image.zone)
    }

    fn text(&self, name: &str) -> Option<String> {
        Some(match name {
            "ID" => self.image.id.clone(),
            "Repository" => self.repository.clone(),
            "Tag" => self.tag.clone(),
            "Digest" => self.digest.clone(),
            "CreatedSince" => self.age(),
            "CreatedAt" => self.created_at(),
            "Size" => human::table_size(self.image.size),
            "VirtualSize" => human::size(self.image.size),
            // wharf runs no containers, and computes shared sizes only where they are asked for.
            "Containers" => "0".to_owned(),
            "SharedSize" | "UniqueSize" => match (self.image.shared, name) {
                (None, _) => "N/A".to_owned(),
                (Some(shared), "SharedSize") => human::size(shared),
                (Some(shared), _) => human::size(self.image.size.saturating_sub(shared)),
            },
            _ => return None,
        })
    }
}

impl Record for Row {
    const TYPE: &'static str = "*formatter.imageContext";

    fn field(&self, name: &str) -> Option<Value> {
        self.text(name).map(|text| Value::String(text.into()))
    }

    fn json(&self) -> String {
        listing::row_json(&HEADERS, |name| self.text(name))
    }
}

#[cfg(test)]
mod tests;
