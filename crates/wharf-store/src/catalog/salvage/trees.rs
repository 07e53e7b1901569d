//! The rows of each table and index, as far as pages of it can be found.
//!
//! A tree is followed from its root. Where its root is, the schema says; if that is destroyed, this program's own
//! schema does, since SQLite gives out pages in order while a database is made. Below a page that is destroyed the
//! tree breaks off: then all pages that belong to no other tree, and are not free, are looked through for rows that
//! have the table's shape.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;

use super::cells::{Node, Row, Value, node};
use super::pages::Pages;
use crate::catalog::schema;

/// The page of the schema.
const SCHEMA: u32 = 1;
/// The tables and indexes that are read.
const READ: &[&str] = &[
    "blobs",
    "sqlite_autoindex_blobs_1",
    "images",
    "names",
    "names_target",
    "names_image",
    "repo_digests",
    "repo_digests_image",
    "repo_digests_digest",
    "links",
    "links_blob",
];
/// Bounds the depth of a tree: one of three levels has millions of rows.
const DEPTH_MAX: usize = 20;

/// What was found of one table or index.
#[derive(Default)]
pub(super) struct Found {
    pub(super) rows: Vec<Row>,
    /// Whether every page of it was found, and every row on it could be read.
    pub(super) is_whole: bool,
}

/// What was found of all tables and indexes.
pub(super) struct Trees {
    by_name: HashMap<String, Found>,
    nothing: Found,
}

impl Trees {
    /// Reads all pages.
    pub(super) fn read(pages: &Pages) -> Self {
        let free = pages.free();
        let mut walk = Walk {
            pages,
            free: &free,
            visited: HashSet::new(),
        };
        let schema = walk.tree(SCHEMA, "sqlite_schema");
        let mut roots = own_roots();
        roots.extend(schema.rows.iter().filter_map(root));
        let mut by_name: HashMap<String, Found> = HashMap::new();
        for name in READ {
            let root = roots.remove(*name);
            let found = root.map(|root| walk.tree(root, name)).unwrap_or_default();
            by_name.insert((*name).to_owned(), found);
        }
        // Of the others only the pages are of interest.
        for (name, root) in schema.rows.iter().filter_map(root) {
            if !by_name.contains_key(&name) {
                walk.tree(root, &name);
            }
        }
        if by_name.values().any(|found| !found.is_whole) {
            walk.orphans(&mut by_name);
        }
        Self {
            by_name,
            nothing: Found::default(),
        }
    }

    pub(super) fn get(&self, name: &str) -> &Found {
        self.by_name.get(name).unwrap_or(&self.nothing)
    }
}

/// Where the trees of a database are that this program has made.
fn own_roots() -> HashMap<String, u32> {
    let roots = || {
        let rows = Connection::open_in_memory()?;
        schema::create(&rows)?;
        let mut statement =
            rows.prepare("SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0")?;
        let roots = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        roots.collect::<rusqlite::Result<_>>()
    };
    roots().unwrap_or_default()
}

/// Reads a row of the schema.
fn root(row: &Row) -> Option<(String, u32)> {
    match row.columns.as_slice() {
        [_, Value::Text(name), _, Value::Integer(root), ..] => {
            Some((name.clone(), u32::try_from(*root).ok()?))
        }
        _ => None,
    }
}

struct Walk<'a> {
    pages: &'a Pages,
    free: &'a HashSet<u32>,
    /// The pages that belong to a tree.
    visited: HashSet<u32>,
}

impl Walk<'_> {
    fn tree(&mut self, root: u32, name: &str) -> Found {
        let mut found = Found {
            rows: Vec::new(),
            is_whole: true,
        };
        let mut open = vec![(root, 0)];
        while let Some((number, depth)) = open.pop() {
            let Some(node) = self.node(number, depth, name) else {
                found.is_whole = false;
                continue;
            };
            self.visited.insert(number);
            found.is_whole &= node.is_whole;
            open.extend(node.children.iter().map(|child| (*child, depth + 1)));
            found.is_whole &= node.rows.iter().all(|row| fits(name, row));
            let rows = node.rows.into_iter().filter(|row| fits(name, row));
            found.rows.extend(rows);
        }
        found
    }

    /// Reads a page if it may belong to this tree.
    fn node(&self, number: u32, depth: usize, name: &str) -> Option<Node> {
        if self.visited.contains(&number) || depth > DEPTH_MAX {
            return None;
        }
        let node = node(number, &self.pages.read(number)?)?;
        let right = node.has_row_numbers == has_row_numbers(name)
            && (node.rows.is_empty() || node.rows.iter().any(|row| fits(name, row)));
        right.then_some(node)
    }

    /// Looks for rows on the pages that belong to no tree.
    fn orphans(&self, by_name: &mut HashMap<String, Found>) {
        for number in SCHEMA + 1..=self.pages.count {
            if self.visited.contains(&number) || self.free.contains(&number) {
                continue;
            }
            let Some(node) = self.pages.read(number).and_then(|page| node(number, &page)) else {
                continue;
            };
            for (name, found) in by_name.iter_mut().filter(|(_, found)| !found.is_whole) {
                if node.has_row_numbers == has_row_numbers(name) {
                    let rows = node.rows.iter().filter(|row| fits(name, row));
                    found.rows.extend(rows.cloned());
                }
            }
        }
    }
}

fn has_row_numbers(name: &str) -> bool {
    matches!(name, "sqlite_schema" | "blobs" | "images" | "manifests")
}

/// Returns whether a row has the shape of those of a table or an index that is read; others are of no interest.
fn fits(name: &str, row: &Row) -> bool {
    use Value::{Integer as I, Null, Text as T};
    let is_digest = |text: &str| text.contains(':');
    match (name, row.columns.as_slice()) {
        ("names", [T(_), T(tag), I(_), I(_) | Null, I(_), I(_)]) => !is_digest(tag),
        ("names_target" | "names_image", [I(_), T(_), T(tag)]) => !is_digest(tag),
        ("repo_digests", [T(_), T(digest), I(_), I(_)])
        | ("repo_digests_image", [I(_), T(_), T(digest)])
        | ("repo_digests_digest", [T(digest), T(_), I(_)])
        | ("blobs", [Null, T(digest), I(_), I(_), T(_) | Null, I(_) | Null])
        | ("sqlite_autoindex_blobs_1", [T(digest), I(_)]) => is_digest(digest),
        ("images", [Null, I(_), I(_), ..]) => row.columns.len() >= 10,
        ("links", [T(_), I(_), I(_), I(_)]) | ("links_blob", [I(_), T(_), I(_)]) => true,
        ("sqlite_schema", [T(_), T(_), T(_), I(_), ..]) => true,
        (name, _) => !READ.contains(&name) && name != "sqlite_schema",
    }
}
