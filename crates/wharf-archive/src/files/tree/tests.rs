use super::*;

fn entry(name: &str, kind: Kind) -> Entry {
    Entry {
        mode: 0o644,
        kind,
        ..implied(name.as_bytes(), 0).entry
    }
}

fn file(name: &str) -> Entry {
    entry(name, Kind::File)
}

fn link(name: &str, to: &str, kind: Kind) -> Entry {
    Entry {
        link: to.into(),
        ..entry(name, kind)
    }
}

fn tree(layers: Vec<Vec<Entry>>) -> Result<Tree, TreeError> {
    let mut tree = Tree::default();
    for (number, layer) in layers.into_iter().enumerate() {
        tree.apply(number, layer)?;
    }
    Ok(tree)
}

fn names(tree: &Tree) -> Vec<String> {
    tree.below(b"").map(|(path, _)| shown(path)).collect()
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
    assert_eq!(tree.find(b"/lib/x").unwrap().0, b"usr/lib/x");
    assert_eq!(
        tree.find_link(b"lib").unwrap().1.unwrap().entry.kind,
        Kind::Symlink
    );
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
    let node = tree.find(b"b").unwrap().1.unwrap();
    assert_eq!(
        (node.layer, node.entry.offset, node.entry.kind),
        (0, 512, Kind::File)
    );
}
