//! Notes: made while a layer comes, kept beside its blob, gone with it.

use std::io::{Read as _, Write as _};

use wharf_core::Digest;

use super::{Image, World, noise};
use crate::CollectOptions;

fn notes(world: &World, blob: &Digest) -> Option<String> {
    let mut text = String::new();
    world
        .store
        .notes(blob)
        .unwrap()?
        .read_to_string(&mut text)
        .unwrap();
    Some(text)
}

#[tokio::test]
async fn a_layer_that_comes_leaves_its_notes() {
    let world = World::new();
    let image = Image::new(&[noise(1, 500), noise(2, 700)]);
    world.pull(&image, "a:1").await;
    for layer in &image.layers {
        assert_eq!(
            notes(&world, &layer.digest),
            Some(format!("{} bytes", layer.size))
        );
    }
    assert_eq!(notes(&world, &image.config.digest), None);
    let ingest = world.root().join("ingest");
    let left = std::fs::read_dir(ingest).unwrap().count();
    assert_eq!(left, 0, "nothing is left where the layers came in");
}

#[tokio::test]
async fn notes_go_with_their_layer() {
    let world = World::new();
    let (a, b) = (Image::small(2), Image::small(3));
    world.pull(&a, "a:1").await;
    world.pull(&b, "b:1").await;
    world.store.write(|rows| rows.remove_image(a.id())).unwrap();
    assert!(notes(&world, &a.layers[0].digest).is_some(), "b has it too");
    assert_eq!(notes(&world, &a.layers[1].digest), None);
}

#[tokio::test]
async fn lost_notes_are_made_anew() {
    let world = World::new();
    let image = Image::small(2);
    world.pull(&image, "a:1").await;
    let layer = &image.layers[0].digest;
    std::fs::remove_dir_all(world.root().join("notes")).unwrap();
    assert_eq!(notes(&world, layer), None);

    let mut anew = world.store.new_notes(layer).unwrap();
    anew.write_all(b"half of th").unwrap();
    drop(anew);
    assert_eq!(notes(&world, layer), None, "given up, they leave nothing");

    let mut anew = world.store.new_notes(layer).unwrap();
    anew.write_all(b"all of them").unwrap();
    world.store.collect(CollectOptions::EVERYTHING).unwrap();
    anew.keep().unwrap();
    assert_eq!(notes(&world, layer).as_deref(), Some("all of them"));
}

#[tokio::test]
async fn a_collection_removes_the_notes_of_what_is_gone() {
    let world = World::new();
    let image = Image::small(2);
    world.pull(&image, "a:1").await;
    let strange = Digest::of(b"no layer");
    let mut anew = world.store.new_notes(&strange).unwrap();
    anew.write_all(b"x").unwrap();
    anew.keep().unwrap();
    let killed = world
        .root()
        .join("ingest")
        .join("notes-of-a-killed-process");
    std::fs::write(&killed, b"x").unwrap();
    world.store.collect(CollectOptions::EVERYTHING).unwrap();
    assert_eq!(notes(&world, &strange), None);
    assert!(!killed.exists());
    assert!(notes(&world, &image.layers[0].digest).is_some());
}
