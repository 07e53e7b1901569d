//! The tree beside the [`rules`](super::rules).

use proptest::prelude::*;

use super::super::notes::made::{Made, layer};
use super::rules::{Item, Odd, Rules, Thing, Words, split};
use super::*;

fn odd(error: &TreeError) -> Odd {
    match error {
        TreeError::Escapes(_) => Odd::Escapes,
        TreeError::HardLink { .. } => Odd::HardLink,
        TreeError::NotAFolder(_) => Odd::NotAFolder,
        TreeError::Loop(_) => Odd::Loop,
        TreeError::Target(_) => Odd::Target,
        TreeError::BelowWhiteout(_) => Odd::BelowWhiteout,
        other => panic!("{other}"),
    }
}

fn items(entries: &[Made]) -> Vec<Item> {
    let items = entries.iter().map(|entry| Item {
        name: entry.name.clone(),
        kind: entry.kind,
        link: entry.link.clone(),
        number: entry.offset,
    });
    items.collect()
}

/// Puts the same layers upon both, which leave out the same entries.
fn apply(tree: &mut Tree, rules: &mut Rules, first: usize, layers: &[Vec<Made>]) {
    for (number, entries) in layers.iter().enumerate() {
        let expected = rules.apply(&items(entries), first + number);
        tree.odd = OddEntries::default();
        tree.apply(layer(entries)).unwrap();
        let found: Vec<Odd> = tree
            .odd
            .first()
            .iter()
            .map(|one| odd(&one.reason))
            .collect();
        assert_eq!(found, expected[..expected.len().min(found.len())]);
        assert_eq!(tree.odd.count(), expected.len() as u64);
    }
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

fn expected(rules: &Rules) -> Vec<(String, Kind, u64, usize)> {
    let all = rules.things.iter();
    let mut all: Vec<_> = all
        .map(|(path, thing)| (path.join("/"), thing.kind, thing.number, thing.from))
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

/// A name with something in it that images have seldom.
fn strange() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => Just(".wh..wh.plnk"),
        1 => Just(".wh..wh.aufs"),
        1 => Just(".wh.a"),
        1 => Just(".."),
    ];
    (word, path()).prop_map(|(word, path)| format!("{word}/{path}"))
}

fn made() -> impl Strategy<Value = Made> {
    let target = prop_oneof![
        3 => path(),
        1 => path().prop_map(|path| format!("/{path}")),
        2 => path().prop_map(|path| format!("../{path}")),
        1 => Just("..".to_owned()),
        1 => Just(String::new()),
        1 => strange(),
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
    let name = prop_oneof![20 => path(), 1 => strange()];
    let parts = (name, mark, kind, target, prop::bool::weighted(0.01));
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
    fn a_tree_is_what_the_rules_say(layers in layers(1..4), asked in path()) {
        let (mut tree, mut rules) = (Tree::default(), Rules::default());
        apply(&mut tree, &mut rules, 0, &layers);
        prop_assert_eq!(things(&tree), expected(&rules));
        let found = tree.find(asked.as_bytes()).map(|place| shown(&tree.path(place)));
        let there = rules.find(&split(&asked)).map(|path| path.join("/"));
        prop_assert_eq!(found.ok(), there);
    }

    #[test]
    fn where_a_layer_s_whiteouts_stand_makes_no_difference(
        layers in layers(1..3), mut last in prop::collection::vec(made(), 0..12), at in any::<prop::sample::Index>(),
    ) {
        for (number, entry) in last.iter_mut().enumerate() {
            entry.offset = 1_000_000 + 512 * number as u64;
        }
        let (marks, others): (Vec<Made>, Vec<Made>) = last.iter().cloned().partition(|entry| {
            split(&entry.name).last().is_some_and(|word| word.starts_with(".wh."))
        });
        let mut results = Vec::new();
        let middle = at.index(others.len() + 1);
        let backwards: Vec<Made> = marks.iter().rev().cloned().collect();
        for order in [
            last,
            [&marks[..], &others[..]].concat(),
            [&others[..], &backwards[..]].concat(),
            [&others[..middle], &backwards[..], &others[middle..]].concat(),
        ] {
            let mut tree = Tree::default();
            for entries in layers.iter().chain([&order]) {
                tree.apply(layer(entries)).unwrap();
            }
            results.push(things(&tree));
        }
        for other in &results[1..] {
            prop_assert_eq!(&results[0], other);
        }
    }

    #[test]
    fn a_comparison_leaves_out_only_what_is_the_same(
        common in layers(0..3), one in layers(0..3), other in layers(0..3),
    ) {
        let (mut a, mut rules_a) = (Tree::default(), Rules::default());
        apply(&mut a, &mut rules_a, 0, &common);
        let (mut b, mut rules_b) = (a.fork(), rules_a.clone());
        apply(&mut a, &mut rules_a, common.len(), &one);
        apply(&mut b, &mut rules_b, common.len(), &other);
        prop_assert_eq!(things(&a), expected(&rules_a));
        prop_assert_eq!(things(&b), expected(&rules_b));
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
        let about = |thing: Option<&Thing>| thing.map(|thing| (thing.kind, thing.number));
        let mut all: Vec<&Words> = rules_a.things.keys().chain(rules_b.things.keys()).collect();
        all.sort_by_key(|path| path.join("/"));
        all.dedup();
        let differing = all.iter().map(|path| {
            let (before, after) = (rules_a.things.get(*path), rules_b.things.get(*path));
            (path.join("/"), (about(before), about(after)))
        });
        let differing: Vec<_> = differing.filter(|(_, pair)| pair.0 != pair.1).collect();
        prop_assert_eq!(found, differing);
    }
}
