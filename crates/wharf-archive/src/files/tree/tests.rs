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
        let refused = tree(vec![attack.clone()]);
        assert!(
            matches!(refused, Err(TreeError::Escapes(_))),
            "{attack:?}: {refused:?}"
        );
    }
    let nothing = tree(vec![vec![link("a", "etc/passwd", Kind::HardLink)]]);
    assert!(matches!(nothing, Err(TreeError::HardLink { .. })));
    let folder = tree(vec![vec![
        entry("d", Kind::Folder),
        link("a", "d", Kind::HardLink),
    ]]);
    assert!(matches!(folder, Err(TreeError::HardLink { .. })));
    let through = tree(vec![vec![file("a"), file("a/b")]]);
    assert!(matches!(through, Err(TreeError::NotAFolder(_))));
    let round = vec![
        link("a", "b", Kind::Symlink),
        link("b", "a", Kind::Symlink),
        file("a/x"),
    ];
    assert!(matches!(tree(vec![round]), Err(TreeError::Loop(_))));
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
fn a_name_of_many_words_is_no_deep_recursion() {
    let name = "a/".repeat(30_000) + "b";
    let tree = tree(vec![vec![file(&name)], vec![file(".wh.a")]]).unwrap();
    assert!(names(&tree).is_empty());
}
