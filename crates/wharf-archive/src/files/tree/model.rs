//! The tree beside a model of it: a map from whole names, in which every question is a search.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::notes::made::{Made, layer};
use super::*;

type Path = Vec<String>;

/// What a name has: what it is, where a link leads, the content's place, the layer of that, and the layer
/// that put the name there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Thing {
    kind: Kind,
    link: String,
    offset: u64,
    from: usize,
    by: usize,
}

#[derive(Clone, Debug, Default)]
struct Model(BTreeMap<Path, Thing>);

/// What stops a layer.
#[derive(Debug, PartialEq, Eq)]
enum Stop {
    Escapes,
    HardLink,
    NotAFolder,
    Loop,
    Missing,
}

fn split(name: &str) -> Path {
    let words = name.split('/').filter(|word| !matches!(*word, "" | "."));
    words.map(str::to_owned).collect()
}

impl Model {
    /// Follows every link; what is not there stays as it is.
    fn resolve(&self, path: &[String]) -> Result<Path, Stop> {
        let (mut at, mut left, mut links) = (Path::new(), path.to_vec(), 0);
        while !left.is_empty() {
            let word = left.remove(0);
            if word == ".." {
                at.pop();
                continue;
            }
            at.push(word);
            if let Some(thing) = self.0.get(&at).filter(|thing| thing.kind == Kind::Symlink) {
                links += 1;
                if links > 40 {
                    return Err(Stop::Loop);
                }
                at.pop();
                if thing.link.starts_with('/') {
                    at.clear();
                }
                left.splice(0..0, split(&thing.link));
            }
        }
        Ok(at)
    }

    /// The folder of a name, made with all that is above it.
    fn folder(&mut self, path: &[String], by: usize) -> Result<Path, Stop> {
        let mut done = Path::new();
        for word in path {
            done.push(word.clone());
            let real = self.resolve(&done)?;
            for length in 1..=real.len() {
                let above = real[..length].to_vec();
                let implied = Thing {
                    kind: Kind::Folder,
                    link: String::new(),
                    offset: 0,
                    from: by,
                    by,
                };
                if self.0.entry(above).or_insert(implied).kind != Kind::Folder {
                    return Err(Stop::NotAFolder);
                }
            }
            done = real;
        }
        Ok(done)
    }

    /// Removes what earlier layers have put below a place, and the place too if it is asked for; folders
    /// stay while something is in them.
    fn remove(&mut self, place: &Path, itself: bool, before: usize) {
        let all: Vec<Path> = self.0.keys().rev().cloned().collect();
        for path in all {
            let meant = path.starts_with(place) && (itself || path.len() > place.len());
            let holds = self
                .0
                .keys()
                .any(|other| other.len() > path.len() && other.starts_with(&path));
            if meant && !holds && self.0[&path].by < before {
                self.0.remove(&path);
            }
        }
    }

    fn put(&mut self, entry: &Made, by: usize) -> Result<(), Stop> {
        let mut path = split(&entry.name);
        if path.iter().any(|word| word == "..") {
            return Err(Stop::Escapes);
        }
        let Some(base) = path.pop() else {
            return Ok(());
        };
        let mut place = self.folder(&path, by)?;
        if base == ".wh..wh..opq" {
            self.remove(&place, false, by);
            return Ok(());
        }
        if let Some(hidden) = base.strip_prefix(".wh.") {
            place.push(hidden.to_owned());
            self.remove(&place, true, by);
            return Ok(());
        }
        place.push(base);
        let mut thing = Thing {
            kind: entry.kind,
            link: entry.link.clone(),
            offset: entry.offset,
            from: by,
            by,
        };
        if entry.kind == Kind::HardLink {
            let mut target = split(&entry.link);
            if target.iter().any(|word| word == "..") {
                return Err(Stop::Escapes);
            }
            let base = target.pop().ok_or(Stop::HardLink)?;
            let mut target = self.resolve(&target).map_err(|_| Stop::HardLink)?;
            target.push(base);
            let found = self
                .0
                .get(&target)
                .filter(|found| found.kind != Kind::Folder);
            thing = Thing {
                by,
                ..found.ok_or(Stop::HardLink)?.clone()
            };
        }
        if thing.kind != Kind::Folder {
            self.remove(&place, true, usize::MAX);
        }
        self.0.insert(place, thing);
        Ok(())
    }
}

fn stop(error: &TreeError) -> Stop {
    match error {
        TreeError::Escapes(_) => Stop::Escapes,
        TreeError::HardLink { .. } => Stop::HardLink,
        TreeError::NotAFolder(_) => Stop::NotAFolder,
        TreeError::Loop(_) => Stop::Loop,
        _ => Stop::Missing,
    }
}

/// Puts the same layers upon both; where one stops, the other has to.
fn apply(tree: &mut Tree, model: &mut Model, first: usize, layers: &[Vec<Made>]) -> bool {
    for (number, entries) in layers.iter().enumerate() {
        let expected = entries
            .iter()
            .try_for_each(|entry| model.put(entry, first + number));
        let found = tree.apply(layer(entries));
        assert_eq!(found.map_err(|error| stop(&error)), expected);
        if expected.is_err() {
            return false;
        }
    }
    true
}

fn things(tree: &Tree) -> Vec<(String, Kind, u64, usize)> {
    let all = tree.below(Place::ROOT).into_iter();
    all.map(|(path, place)| {
        let node = tree.node(place);
        assert_eq!(
            (tree.path(place), tree.kind(place)),
            (path.clone(), node.entry.kind)
        );
        (shown(&path), node.entry.kind, node.entry.offset, node.layer)
    })
    .collect()
}

fn expected(model: &Model) -> Vec<(String, Kind, u64, usize)> {
    let all = model.0.iter();
    let mut all: Vec<_> = all
        .map(|(path, thing)| (path.join("/"), thing.kind, thing.offset, thing.from))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn word() -> impl Strategy<Value = String> {
    // Those with a dash come between a folder and what is in it.
    prop_oneof![6 => "[ab]", 1 => "a-", 1 => "[ab]0"]
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(word(), 1..4).prop_map(|words| words.join("/"))
}

fn made() -> impl Strategy<Value = Made> {
    let target = prop_oneof![
        3 => path(),
        1 => path().prop_map(|path| format!("/{path}")),
        2 => path().prop_map(|path| format!("../{path}")),
        1 => Just("..".to_owned()),
    ];
    let mark = prop_oneof![
        12 => Just(""),
        2 => Just(".wh."),
        1 => Just(".wh..wh..opq"),
    ];
    let kind = prop_oneof![
        4 => Just(Kind::File),
        4 => Just(Kind::Folder),
        2 => Just(Kind::Symlink),
        1 => Just(Kind::HardLink),
        1 => Just(Kind::Fifo),
    ];
    let parts = (path(), mark, kind, target, prop::bool::weighted(0.01));
    parts.prop_map(|(path, mark, kind, target, escapes)| {
        let (above, base) = path.split_at(path.rfind('/').map_or(0, |at| at + 1));
        let name = match mark {
            ".wh..wh..opq" => format!("{above}{mark}"),
            _ if escapes => format!("{above}../{base}"),
            _ => format!("{above}{mark}{base}"),
        };
        let is_link = mark.is_empty() && matches!(kind, Kind::Symlink | Kind::HardLink);
        Made {
            name,
            kind: if mark.is_empty() { kind } else { Kind::File },
            link: if is_link { target } else { String::new() },
            offset: 0,
        }
    })
}

/// Some layers, in which every entry has a place of its own.
fn layers(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Vec<Made>>> {
    let layers = prop::collection::vec(prop::collection::vec(made(), 0..12), count);
    layers.prop_map(|mut layers| {
        let entries = layers.iter_mut().flatten();
        for (number, entry) in (1..).zip(entries) {
            entry.offset = number * 512;
        }
        layers
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_tree_is_what_the_model_says(layers in layers(1..4), asked in path()) {
        let (mut tree, mut model) = (Tree::default(), Model::default());
        if apply(&mut tree, &mut model, 0, &layers) {
            prop_assert_eq!(things(&tree), expected(&model));
            let found = tree.find(asked.as_bytes()).map(|place| shown(&tree.path(place)));
            let there = model.resolve(&split(&asked)).ok().filter(|path| model.0.contains_key(path) || path.is_empty());
            prop_assert_eq!(found.ok(), there.map(|path| path.join("/")));
        }
    }

    #[test]
    fn a_comparison_leaves_out_only_what_is_the_same(
        common in layers(0..3), one in layers(0..3), other in layers(0..3),
    ) {
        let (mut a, mut model_a) = (Tree::default(), Model::default());
        if !apply(&mut a, &mut model_a, 0, &common) {
            return Ok(());
        }
        let (mut b, mut model_b) = (a.fork(), model_a.clone());
        if !apply(&mut a, &mut model_a, common.len(), &one)
            || !apply(&mut b, &mut model_b, common.len(), &other)
        {
            return Ok(());
        }
        prop_assert_eq!(things(&a), expected(&model_a));
        prop_assert_eq!(things(&b), expected(&model_b));
        let mut found = Vec::new();
        let compared: Result<(), ()> = compare(&a, &b, &mut |path, before, after| {
            let about = |tree: &Tree, place: Place| {
                let node = tree.node(place);
                (node.entry.kind, node.entry.offset)
            };
            let pair = (before.map(|place| about(&a, place)), after.map(|place| about(&b, place)));
            if pair.0 != pair.1 {
                found.push((shown(path), pair));
            }
            Ok(())
        });
        prop_assert_eq!(compared, Ok(()));
        let about = |model: &Model, path: &Path| {
            model.0.get(path).map(|thing| (thing.kind, thing.offset))
        };
        let mut all: Vec<Path> = model_a.0.keys().chain(model_b.0.keys()).cloned().collect();
        all.sort_by_key(|path| path.join("/"));
        all.dedup();
        let differing = all.iter().map(|path| {
            (path.join("/"), (about(&model_a, path), about(&model_b, path)))
        });
        let differing: Vec<_> = differing.filter(|(_, pair)| pair.0 != pair.1).collect();
        prop_assert_eq!(found, differing);
    }
}
