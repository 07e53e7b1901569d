use super::super::notes::made::{Made, layer};
use super::*;

fn entry(name: &str, kind: Kind) -> Made {
    Made {
        name: name.to_owned(),
        kind,
        link: String::new(),
        offset: 0,
    }
}

fn file(name: &str) -> Made {
    entry(name, Kind::File)
}

fn link(name: &str, to: &str, kind: Kind) -> Made {
    Made {
        link: to.to_owned(),
        ..entry(name, kind)
    }
}

fn tree(layers: Vec<Vec<Made>>) -> Result<Tree, TreeError> {
    let mut tree = Tree::default();
    for entries in layers {
        tree.apply(layer(&entries))?;
    }
    Ok(tree)
}

/// Why entries were left out.
fn left_out(layers: Vec<Vec<Made>>) -> Vec<TreeError> {
    let tree = tree(layers).unwrap();
    let odd = tree.odd().first().iter();
    odd.map(|one| one.reason.clone()).collect()
}

fn names(tree: &Tree) -> Vec<String> {
    let all = tree.below(Place::ROOT).into_iter();
    all.map(|(path, _)| shown(&path)).collect()
}

#[test]
fn a_layer_lies_upon_those_before() {
    let base = vec![
        entry("./etc/", Kind::Folder),
        file("etc/a"),
        file("etc/b"),
        file("/opt/x/y"),
    ];
    let top = vec![
        file("etc/.wh.a"),
        file("etc/c"),
        file("opt/.wh..wh..opq"),
        file("opt/new"),
    ];
    let tree = tree(vec![base, top]).unwrap();
    assert_eq!(names(&tree), ["etc", "etc/b", "etc/c", "opt", "opt/new"]);
}

#[test]
fn an_opaque_mark_hides_only_what_is_below_it() {
    // Its place among its layer's entries does not matter.
    let base = vec![file("d/a"), file("d/sub/b")];
    let top = vec![file("d/sub/c"), file("d/.wh..wh..opq")];
    let tree = tree(vec![base, top]).unwrap();
    assert_eq!(names(&tree), ["d", "d/sub", "d/sub/c"]);
}

#[test]
fn a_file_takes_a_folder_s_place_and_the_reverse() {
    let base = vec![file("a/b"), file("c")];
    let top = vec![file("a"), entry("c", Kind::Folder), file("c/d")];
    let tree = tree(vec![base, top]).unwrap();
    assert_eq!(names(&tree), ["a", "c", "c/d"]);
}

#[test]
fn links_in_the_middle_of_a_name_are_followed_within_the_image() {
    let base = vec![
        entry("usr/lib", Kind::Folder),
        link("lib", "usr/lib", Kind::Symlink),
        link("up", "../../../usr", Kind::Symlink),
    ];
    let top = vec![file("lib/x"), file("up/lib/y")];
    let tree = tree(vec![base, top]).unwrap();
    assert!(names(&tree).contains(&"usr/lib/x".to_owned()));
    assert!(names(&tree).contains(&"usr/lib/y".to_owned()));
    let place = tree.find(b"/lib/x").unwrap();
    assert_eq!(tree.path(place), b"usr/lib/x");
    assert_eq!(tree.kind(tree.find_link(b"lib").unwrap()), Kind::Symlink);
}

#[test]
fn a_link_to_nothing_makes_its_folder_within_the_image() {
    let tree = tree(vec![vec![
        link("a", "/x/../../y", Kind::Symlink),
        file("a/b"),
    ]])
    .unwrap();
    assert_eq!(names(&tree), ["a", "y", "y/b"]);
}

#[test]
fn what_leads_out_is_refused() {
    for attack in [
        vec![file("../x")],
        vec![file("a/../../x")],
        vec![file("a/.wh...")],
        vec![file(".wh.")],
        vec![link("a", "../../etc/passwd", Kind::HardLink)],
    ] {
        let refused = left_out(vec![attack.clone()]);
        assert!(
            matches!(refused[..], [TreeError::Escapes(_)]),
            "{attack:?}: {refused:?}"
        );
    }
    let nothing = left_out(vec![vec![link("a", "etc/passwd", Kind::HardLink)]]);
    assert!(matches!(nothing[..], [TreeError::HardLink { .. }]));
    let folder = left_out(vec![vec![
        entry("d", Kind::Folder),
        link("a", "d", Kind::HardLink),
    ]]);
    assert!(matches!(folder[..], [TreeError::HardLink { .. }]));
    let through = left_out(vec![vec![file("a"), file("a/b")]]);
    assert!(matches!(through[..], [TreeError::NotAFolder(_)]));
    let round = vec![
        link("a", "b", Kind::Symlink),
        link("b", "a", Kind::Symlink),
        file("a/x"),
    ];
    assert!(matches!(left_out(vec![round])[..], [TreeError::Loop(_)]));
}

#[test]
fn a_hard_link_is_the_file_that_it_names() {
    let mut first = file("a");
    first.offset = 512;
    let tree = tree(vec![vec![first], vec![link("b", "./a", Kind::HardLink)]]).unwrap();
    let node = tree.node(tree.find(b"b").unwrap());
    assert_eq!(
        (node.layer, node.entry.offset, node.entry.kind),
        (0, 512, Kind::File)
    );
}

#[test]
fn what_a_layer_puts_there_its_own_marks_do_not_hide() {
    let mut below = file("d/a");
    below.offset = 512;
    let base = vec![below, file("d/sub/b")];
    let top = vec![
        link("d/x", "d/a", Kind::HardLink),
        file("d/sub/c"),
        file("d/.wh..wh..opq"),
        file(".wh.d"),
    ];
    let tree = tree(vec![base, top]).unwrap();
    assert_eq!(names(&tree), ["d", "d/sub", "d/sub/c", "d/x"]);
    assert_eq!(tree.node(tree.find(b"d/x").unwrap()).entry.offset, 512);
}

#[test]
fn names_are_sorted_byte_for_byte() {
    let tree = tree(vec![vec![
        file("a/b"),
        file("a.b"),
        file("ab"),
        file("a-long-name/1"),
        file("a-long-name-2/1"),
        file("a0"),
    ]])
    .unwrap();
    let found = names(&tree);
    let mut sorted = found.clone();
    sorted.sort();
    assert_eq!(found, sorted);
    assert_eq!(found.len(), 9);
    let children = tree.children(tree.find(b"a").unwrap());
    assert_eq!(children.len(), 1);
    assert_eq!(children[0].0, b"b");
}

#[test]
fn a_name_of_many_words_is_left_out_and_takes_no_memory() {
    for name in [
        "a/".repeat(30_000) + "b",
        "a/".repeat(1024) + "b",
        "abc".repeat(86),
        "d/".to_owned() + &"abc".repeat(86),
        (0..40)
            .map(|n| format!("{n}").repeat(110) + "/")
            .collect::<String>()
            + "b",
    ] {
        let good = vec![file("etc/issue"), file(&name), file("etc/motd")];
        let tree = tree(vec![good]).unwrap();
        assert!(names(&tree).contains(&"etc/motd".to_owned()));
        let odd = tree.odd();
        assert!(
            matches!(odd.first()[0].reason, TreeError::TooLong(_)),
            "{}",
            name.len()
        );
        assert!(odd.first()[0].reason.to_string().len() < 500);
        assert!(tree.nodes.count() < 1100);
    }
    let deep = "a/".repeat(1023) + "b";
    let tree = tree(vec![vec![file(&deep)], vec![file(".wh.a")]]).unwrap();
    assert_eq!((names(&tree).len(), tree.odd().count()), (0, 0));
}

#[test]
fn links_make_no_name_longer_than_a_name_may_be() {
    let half = format!("{}/", "x".repeat(250)).repeat(12);
    let layer = vec![
        entry(&format!("{half}x"), Kind::Folder),
        link("a", &half, Kind::Symlink),
        file(&format!("a/{half}y")),
        file("a/z"),
    ];
    let tree = tree(vec![layer]).unwrap();
    assert!(matches!(
        tree.odd().first()[0].reason,
        TreeError::TooLong(_)
    ));
    assert!(tree.find(format!("{half}z").as_bytes()).is_ok());
}

#[test]
fn folders_that_names_imply_are_bounded_for_all_layers_together() {
    let names = |from: usize, count: usize| -> Vec<Made> {
        let names = (from..from + count).map(|n| format!("{n}/{}x", "a/".repeat(1000)));
        names.map(|name| file(&name)).collect()
    };
    assert!(tree(vec![names(0, 60)]).is_ok());
    assert_eq!(tree(vec![names(0, 70)]).unwrap_err(), TreeError::Implied);
    let layers = vec![names(0, 35), names(35, 35)];
    assert_eq!(tree(layers).unwrap_err(), TreeError::Implied);
    // Folders for many files are not many folders.
    let files = (0..100_000).map(|n| file(&format!("{}/x/y/{n}/f", n % 7)));
    assert!(tree(vec![files.collect()]).is_ok());
}

#[test]
fn links_lead_over_so_many_folders_and_no_more() {
    let far = "d/".repeat(1000);
    let mut layer = vec![
        entry(&far, Kind::Folder),
        link("a", &far, Kind::Symlink),
        link("b", &far, Kind::Symlink),
    ];
    layer.extend((0..20_000).map(|n| file(&format!("{}/{n}", if n % 2 == 0 { "a" } else { "b" }))));
    assert_eq!(tree(vec![layer]).unwrap_err(), TreeError::Steps);
}

#[test]
fn what_the_names_of_all_layers_have_is_bounded() {
    // Two long folders by turns: each entry has the whole name in its notes.
    let long = |n: usize| format!("{}/", n % 2).repeat(900);
    let layer = |count: usize| {
        (0..count)
            .map(|n| file(&format!("{}{n}", long(n))))
            .collect()
    };
    assert!(tree(vec![layer(1000)]).is_ok());
    let layers = (0..8).map(|_| layer(1000)).collect();
    assert_eq!(tree(layers).unwrap_err(), TreeError::Notes);
}

#[test]
fn many_whiteouts_take_no_more_time_for_many_names() {
    let mut layers = vec![
        (0..20_000)
            .map(|n| file(&format!("d/{n}")))
            .collect::<Vec<_>>(),
    ];
    for _ in 0..200 {
        let marks = (0..100).map(|n| file(&format!("d{}/.wh..wh..opq", "/.".repeat(n))));
        layers.push(marks.chain([file("d/new")]).collect());
    }
    assert_eq!(names(&tree(layers).unwrap()), ["d", "d/new"]);
}

/// What `layers` show, for each order of the entries of the last one.
fn in_any_order(layers: &[Vec<Made>]) -> Vec<String> {
    let (last, below) = layers.split_last().unwrap();
    let mut shown = None;
    for turn in 0..last.len() {
        for backwards in [false, true] {
            let mut last = last.clone();
            last.rotate_left(turn);
            if backwards {
                last.reverse();
            }
            let tree = tree(below.iter().cloned().chain([last]).collect()).unwrap();
            assert_eq!(tree.odd().count(), 0, "{:?}", tree.odd());
            let found = names(&tree);
            let shown = shown.get_or_insert_with(|| found.clone());
            assert_eq!(&found, shown);
        }
    }
    shown.unwrap()
}

#[test]
fn issue_12_whiteouts_hide_what_is_below_their_layer_in_any_order() {
    let file_or_folder = |name: &str| match name.strip_suffix('/') {
        Some(folder) => entry(folder, Kind::Folder),
        None => match name.split_once(" -> ") {
            Some((name, target)) => link(name, target, Kind::Symlink),
            None => match name.split_once(" = ") {
                Some((name, target)) => link(name, target, Kind::HardLink),
                None => file(name),
            },
        },
    };
    let cases: [(&[&str], &[&str], &[&str]); 16] = [
        (&["test/", "test/test"], &[".wh.test", "test/.wh.test"], &[]),
        (
            &["test/test/test"],
            &[".wh.test", "test/.wh.test", "test/test/.wh.test"],
            &[],
        ),
        (
            &["keep"],
            &["none/.wh.x", "none/.wh..wh..opq", "keep/.wh.x"],
            &["keep"],
        ),
        (
            &["d/", "d/a", "d/b"],
            &[".wh.d", "d/", "d/c"],
            &["d", "d/c"],
        ),
        (&["d/a"], &[".wh.d", "d/c"], &["d", "d/c"]),
        (
            &["d/a", "d/s/b"],
            &["d/.wh..wh..opq", "d/s/c", "d/.wh.a"],
            &["d", "d/s", "d/s/c"],
        ),
        (&["d/a"], &["d/.wh..wh..opq", ".wh.d"], &[]),
        (&["f"], &[".wh.f", "f/x"], &["f", "f/x"]),
        (&["f"], &["f/x", "f/y"], &["f", "f/x", "f/y"]),
        (&["f"], &["f/x/y/z"], &["f", "f/x", "f/x/y", "f/x/y/z"]),
        (
            &["d/a"],
            &["d/.wh.a", "b = d/a", "c = d/a"],
            &["b", "c", "d"],
        ),
        (&["d/a"], &[".wh.d", "b = d/a"], &["b"]),
        (
            &["l -> d", "d/a"],
            &[".wh.l", "l/x"],
            &["d", "d/a", "l", "l/x"],
        ),
        (&["l -> d", "d/a"], &["l/.wh.a", "l/"], &["d", "d/a", "l"]),
        (&["l -> d", "d/a"], &["l/.wh.a"], &["d", "l"]),
        (
            &["a"],
            &[".wh..wh.plnk/1.2", ".wh..wh.aufs", ".wh..wh.orph/"],
            &["a"],
        ),
    ];
    for (below, above, expected) in cases {
        let layer = |names: &[&str]| names.iter().map(|name| file_or_folder(name)).collect();
        let found = in_any_order(&[layer(below), layer(above)]);
        assert_eq!(found, expected, "{below:?}, {above:?}");
    }
}

#[test]
fn issue_12_a_folder_takes_the_place_of_whatever_is_below_it() {
    for kind in [Kind::File, Kind::Fifo, Kind::CharDevice, Kind::BlockDevice] {
        let layers = vec![
            vec![entry("d", kind)],
            vec![file("d/f")],
            vec![entry("d", kind)],
        ];
        assert_eq!(names(&tree(layers.clone()).unwrap()), ["d"]);
        let two = tree(layers[..2].to_vec()).unwrap();
        assert_eq!(
            (names(&two), two.odd().count()),
            (vec!["d".to_owned(), "d/f".to_owned()], 0)
        );
    }
    // So do links that lead to no folder.
    for target in ["file", "d", "loop", "file/x"] {
        let below = vec![
            file("file"),
            link("d", target, Kind::Symlink),
            link("loop", "loop", Kind::Symlink),
        ];
        let tree = tree(vec![below, vec![file("d/f")]]).unwrap();
        assert_eq!(names(&tree), ["d", "d/f", "file", "loop"], "{target}");
    }
}

#[test]
fn issue_12_an_odd_entry_leaves_the_others_as_they_are() {
    for odd in [
        file("../x"),
        file("a/../../x"),
        file(".wh."),
        file(".wh..."),
        file("etc/issue/x"),
        file(".wh.x/y"),
        link("x", "none", Kind::HardLink),
        link("x", "etc", Kind::HardLink),
        link("x", "../etc/issue", Kind::HardLink),
        link("x", "", Kind::Symlink),
        link("x", &"y/".repeat(3000), Kind::Symlink),
        file(&"x".repeat(300)),
    ] {
        let layer = vec![file("etc/issue"), odd.clone(), file("etc/motd")];
        let tree = tree(vec![vec![file("bin/sh")], layer, vec![file("bin/ls")]]).unwrap();
        let found = names(&tree);
        let expected = ["bin", "bin/ls", "bin/sh", "etc", "etc/issue", "etc/motd"];
        assert_eq!(found, expected, "{odd:?}");
        assert_eq!(
            (tree.odd().count(), tree.odd().first()[0].layer),
            (1, 1),
            "{odd:?}"
        );
    }
}

#[test]
fn files_that_aufs_kept_are_found_by_hard_links() {
    let mut kept = file(".wh..wh.plnk/17.4");
    kept.offset = 512;
    let tree = tree(vec![vec![
        kept,
        link("b", "/.wh..wh.plnk/17.4", Kind::HardLink),
    ]])
    .unwrap();
    assert_eq!(names(&tree), ["b"]);
    assert_eq!(tree.node(tree.find(b"b").unwrap()).entry.offset, 512);
}
