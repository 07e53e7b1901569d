use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::*;

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    (folder, path)
}

#[test]
fn a_file_appears_under_its_name_when_it_is_whole() {
    let (_folder, path) = folder();
    let place = Destination::open(&path.join("file")).unwrap();
    let file = place.new_file().unwrap();
    assert!(names(&path)[0].starts_with(".file.wharf-"));
    std::io::Write::write_all(&mut file.file(), b"content").unwrap();
    file.finish(0o640).unwrap();
    assert_eq!(names(&path), ["file"]);
    let about = fs::metadata(path.join("file")).unwrap();
    assert_eq!(about.permissions().mode() & 0o7777, 0o640);
    // What is dropped goes away, and what was there stays.
    drop(place.new_file().unwrap());
    assert_eq!(names(&path), ["file"]);
    assert_eq!(fs::read(path.join("file")).unwrap(), b"content");
}

#[test]
fn what_is_planted_meanwhile_is_neither_followed_nor_written_to() {
    let (_folder, path) = folder();
    fs::write(path.join("victim"), "before").unwrap();
    fs::create_dir(path.join("elsewhere")).unwrap();
    // A link in the place of the file.
    let place = Destination::open(&path.join("file")).unwrap();
    let file = place.new_file().unwrap();
    symlink(path.join("victim"), path.join("file")).unwrap();
    file.finish(0o600).unwrap();
    assert!(
        !fs::symlink_metadata(path.join("file"))
            .unwrap()
            .is_symlink()
    );
    assert_eq!(fs::read(path.join("victim")).unwrap(), b"before");
    // A link in the place of a folder.
    let place = Destination::open(&path.join("folder")).unwrap();
    let made = place.new_folder().unwrap();
    made.make_file("config.json", 0o644).unwrap();
    symlink(path.join("elsewhere"), path.join("folder")).unwrap();
    assert!(made.finish().is_err());
    assert_eq!(names(&path.join("elsewhere")), [""; 0]);
    assert_eq!(names(&path), ["elsewhere", "file", "folder", "victim"]);
    // Another folder under the name of the one that was opened.
    fs::create_dir(path.join("mine")).unwrap();
    let place = Destination::open(&path.join("mine/file")).unwrap();
    rustix::fs::rename(path.join("mine"), path.join("moved")).unwrap();
    symlink(path.join("elsewhere"), path.join("mine")).unwrap();
    place.new_file().unwrap().finish(0o600).unwrap();
    assert_eq!(names(&path.join("elsewhere")), [""; 0]);
    assert_eq!(names(&path.join("moved")), ["file"]);
    // A link in the place of a file in a folder that is new.
    let made = Destination::open(&path.join("new"))
        .unwrap()
        .new_folder()
        .unwrap();
    let inside = names(&path)
        .into_iter()
        .find(|name| name.starts_with(".new"));
    symlink(
        path.join("victim"),
        path.join(inside.unwrap()).join("config.json"),
    )
    .unwrap();
    assert!(made.make_file("config.json", 0o644).is_err());
    assert_eq!(fs::read(path.join("victim")).unwrap(), b"before");
}

#[test]
fn links_of_this_user_are_followed_to_their_end() {
    let (_folder, path) = folder();
    fs::create_dir(path.join("d")).unwrap();
    fs::write(path.join("d/file"), "before").unwrap();
    symlink("d/file", path.join("one")).unwrap();
    symlink(path.join("one"), path.join("two")).unwrap();
    symlink("nothing", path.join("dangling")).unwrap();
    symlink("none/nothing", path.join("far")).unwrap();
    symlink("circle", path.join("circle")).unwrap();
    symlink("..", path.join("d/up")).unwrap();
    let place = Destination::follow(&path.join("two")).unwrap();
    place.new_file().unwrap().finish(0o600).unwrap();
    assert_eq!(fs::read(path.join("d/file")).unwrap(), b"");
    assert!(fs::symlink_metadata(path.join("one")).unwrap().is_symlink());
    let place = Destination::follow(&path.join("far")).unwrap();
    assert_eq!(
        obstacle(&place),
        Some("cannot write to a symbolic link directly")
    );
    assert!(Destination::follow(&path.join("circle")).is_err());
    let up = Destination::follow(&path.join("d/up")).unwrap();
    assert!(up.is_folder());
    drop(up);
    Destination::in_folder(&path.join("d/up"), "x".as_ref())
        .unwrap()
        .new_file()
        .unwrap()
        .finish(0o600)
        .unwrap();
    assert!(path.join("x").exists());
    for folder in [
        path.join("d/.."),
        path.join("d/."),
        path.clone(),
        path.join("d/up/d/.."),
    ] {
        let place = Destination::in_folder(&folder, "y".as_ref()).unwrap();
        place.new_file().unwrap().finish(0o600).unwrap();
        assert!(
            path.join("y").exists() || path.join("d/y").exists(),
            "{}",
            folder.display()
        );
        assert_eq!(place.path(), folder.join("y"));
    }
    assert!(Destination::in_folder(&path.join("d/file"), "x".as_ref()).is_err());
    assert!(Destination::in_folder(&path, "..".as_ref()).is_err());
}

#[test]
fn a_folder_goes_away_with_all_that_is_in_it() {
    let (_folder, path) = folder();
    let place = Destination::open(&path.join("rootfs")).unwrap();
    let made = place.new_folder().unwrap();
    let inside = path.join(names(&path).remove(0));
    fs::write(path.join("kept"), "x").unwrap();
    symlink(&path, inside.join("link")).unwrap();
    let mut deep = inside.clone();
    for number in 0..300 {
        deep.push("d");
        fs::create_dir(&deep).unwrap();
        fs::write(deep.join("file"), "x").unwrap();
        fs::create_dir(deep.join(format!("{number}"))).unwrap();
    }
    for mode in [0o000, 0o500, 0o300] {
        let closed = inside.join(format!("{mode:o}"));
        fs::create_dir_all(closed.join("below/x")).unwrap();
        fs::write(closed.join("file"), "x").unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(mode)).unwrap();
    }
    drop(made);
    assert_eq!(names(&path), ["kept"]);
}

#[test]
fn what_another_process_left_is_named() {
    let (_folder, path) = folder();
    let place = Destination::open(&path.join("rootfs")).unwrap();
    fs::create_dir(path.join(".rootfs.wharf-0123456789ab")).unwrap();
    fs::create_dir(path.join(".other.wharf-0123456789ab")).unwrap();
    let left = [path.join(".rootfs.wharf-0123456789ab")];
    assert_eq!(place.left_over().unwrap(), left);
}

#[test]
fn names_that_are_long_or_none() {
    let (_folder, path) = folder();
    let long = "x".repeat(255);
    let place = Destination::open(&path.join(&long)).unwrap();
    place.new_file().unwrap().finish(0o600).unwrap();
    assert_eq!(names(&path), [long]);
    for none in ["/", "..", "a/.."] {
        assert!(Destination::open(Path::new(none)).is_err(), "{none}");
    }
    assert!(Destination::open(&path.join("none/file")).is_err());
    assert!(Destination::open(&path.join("x".repeat(255)).join("file")).is_err());
}

#[test]
fn only_files_are_written_over() {
    let (_folder, path) = folder();
    fs::write(path.join("file"), "x").unwrap();
    symlink("file", path.join("link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path.join("s")).unwrap();
    let there = |path: &Path| obstacle(&Destination::open(path).unwrap()).unwrap_or_default();
    assert_eq!(there(&path.join("none")), "");
    assert_eq!(there(&path.join("file")), "");
    let link = "cannot write to a symbolic link directly";
    assert_eq!(there(&path.join("link")), link);
    assert_eq!(there(&path.join("link/")), link);
    assert_eq!(there(&path), "cannot write to a directory");
    assert_eq!(there(&path.join("s")), "cannot write to a socket");
    let null = Path::new("/dev/null");
    assert_eq!(there(null), "cannot write to a character device file");
}
