//! Repairs of a database that is damaged: which names come back, and that none comes back wrong.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use proptest::prelude::*;
use wharf_core::Digest;

use super::pruning::put_rows;
use super::{Image, index, noise, reference};
use crate::rows::Name;
use crate::{CheckReport, LinkKind, Store, StoreError, Writing, check};

/// The size of a page, in bytes.
const PAGE: usize = 4096;

/// What names point to.
type Names = BTreeMap<String, (Digest, Option<Digest>)>;

/// A store whose database is damaged, again and again, on copies.
struct Patient {
    _folder: tempfile::TempDir,
    root: PathBuf,
    copies: PathBuf,
    names: Names,
    rows: Vec<Name>,
    /// What names pointed to before the last change.
    before: Names,
}

impl Patient {
    /// A store with so many images and so many names for each of them; the log is folded into the database if `folded`
    /// is set.
    fn new(images: u64, names: usize, folded: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("store");
        let store = Store::open(&root).unwrap();
        let images: Vec<Image> = (0..images)
            .map(|seed| Image::new(&[noise(1, 60), noise(7 + seed, 60)]))
            .collect();
        for image in &images {
            image
                .blobs
                .iter()
                .for_each(|bytes| write_blob(&root, bytes));
        }
        let (what, bytes) = index(&[&images[0], &images[1]]);
        write_blob(&root, &bytes);
        let of_index = Image {
            manifest: what.clone(),
            blobs: vec![bytes],
            config: images[0].config.clone(),
            layers: Vec::new(),
        };
        let put = |rows: &mut Writing<'_>| {
            images.iter().try_for_each(|image| put_rows(rows, image))?;
            super::pruning::put_index(rows, &of_index)?;
            let mut second = 1_700_000_000;
            for (number, image) in images.iter().enumerate() {
                for tag in 0..names {
                    let name = format!("registry.example/team{}/app:{number}-{tag}", tag % 5);
                    second += 1;
                    let time = Timestamp::from_second(second).unwrap();
                    rows.restore_name(&Name {
                        reference: reference(&name),
                        target: image.manifest.digest.clone(),
                        image: Some(image.id().clone()),
                        updated: time,
                        used: time,
                    })?;
                }
                let digest =
                    reference("registry.example/team").with_digest(image.manifest.digest.clone());
                rows.set_repo_digest(&digest, image.id())?;
                rows.link("served/app", &image.manifest.digest, LinkKind::Manifest)?;
            }
            rows.set_name(&reference("multi:1"), &what.digest, Some(images[1].id()))?;
            Ok::<_, StoreError>(())
        };
        store.write(put).unwrap();
        let before = pointers(&names_of(&store));
        change(&store, &images, names);
        if folded {
            store.inner.catalog.fold().unwrap();
        }
        let rows = names_of(&store);
        drop(store);
        Self {
            copies: folder.path().join("copies"),
            _folder: folder,
            root,
            names: pointers(&rows),
            rows,
            before,
        }
    }

    fn database(&self) -> Vec<u8> {
        fs::read(self.root.join("wharf.db")).unwrap()
    }

    /// The pages at which the schema, the tables and the indexes begin, from 1.
    fn roots(&self) -> Vec<usize> {
        let database = rusqlite::Connection::open(self.root.join("wharf.db")).unwrap();
        let mut roots = database
            .prepare("SELECT 1 UNION SELECT rootpage FROM sqlite_schema WHERE rootpage > 0")
            .unwrap();
        let rows = roots.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    /// Damages a copy, and repairs it; returns the names that are there then.
    fn repaired(&self, damage: &dyn Fn(&Path)) -> (Names, CheckReport) {
        let copy = self.copies.join("store");
        drop(fs::remove_dir_all(&self.copies));
        copy_folder(&self.root, &copy);
        damage(&copy);
        let report = check(&copy, true, &|_| {}).unwrap();
        let store = Store::open(&copy).unwrap();
        let after = store.check(false, &|_| {}).unwrap();
        assert_eq!(after.findings, Vec::<String>::new());
        (pointers(&names_of(&store)), report)
    }

    /// The same with a database that has these bytes.
    fn repaired_from(&self, database: &[u8]) -> (Names, CheckReport) {
        self.repaired(&|root| fs::write(root.join("wharf.db"), database).unwrap())
    }

    /// Makes sure that no name points elsewhere than before.
    fn assert_none_is_wrong(&self, names: &Names) {
        for (name, points_to) in names {
            assert_eq!(self.names.get(name), Some(points_to), "{name}");
        }
    }

    /// The names whose rows, and those of what they point to, lie on pages that were not touched.
    fn untouched(&self, before: &[u8], after: &[u8]) -> HashSet<String> {
        let damaged: Vec<&[u8]> = before
            .chunks(PAGE)
            .zip(after.chunks(PAGE).chain(std::iter::repeat(&[][..])))
            .filter(|(before, after)| before != after)
            .map(|(before, _)| before)
            .collect();
        let is_touched = |bytes: &[u8]| {
            let has = |page: &&&[u8]| page.windows(bytes.len()).any(|window| window == bytes);
            damaged.iter().any(|page| has(&page))
        };
        let touched: HashSet<&Digest> = self
            .names
            .values()
            .flat_map(|(target, image)| std::iter::once(target).chain(image))
            .collect::<HashSet<_>>()
            .into_iter()
            .filter(|digest| is_touched(digest.as_str().as_bytes()))
            .collect();
        let whole = self.rows.iter().filter(|name| {
            let key = [name.reference.repository(), name.reference.tag().unwrap()].concat();
            !is_touched(key.as_bytes())
                && !touched.contains(&name.target)
                && !name
                    .image
                    .as_ref()
                    .is_some_and(|image| touched.contains(image))
        });
        whole.map(|name| name.reference.familiar()).collect()
    }
}

/// Removes and moves names: they may not come back as they were.
fn change(store: &Store, images: &[Image], names: usize) {
    let name = |image, tag| {
        reference(&format!(
            "registry.example/team{}/app:{image}-{tag}",
            tag % 5
        ))
    };
    let change = |rows: &mut Writing<'_>| {
        for tag in 0..names {
            rows.remove_name(&name(3, tag))?;
            let (target, image) = (&images[5].manifest.digest, images[5].id());
            rows.set_name(&name(4, tag), target, Some(image))?;
        }
        Ok::<_, StoreError>(())
    };
    store.write(change).unwrap();
}

fn names_of(store: &Store) -> Vec<Name> {
    let read = |rows: &crate::Reading<'_>| {
        let mut all = Vec::new();
        for listed in rows.images()? {
            all.extend(rows.names_of(&listed.image.id)?);
        }
        Ok::<_, StoreError>(all)
    };
    store.read(read).unwrap()
}

fn pointers(rows: &[Name]) -> Names {
    let pointer = |name: &Name| {
        let points_to = (name.target.clone(), name.image.clone());
        (name.reference.familiar(), points_to)
    };
    rows.iter().map(pointer).collect()
}

fn write_blob(root: &Path, bytes: &[u8]) {
    let digest = Digest::of(bytes);
    let folder = root.join("blobs/sha256").join(&digest.hex()[..2]);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(digest.hex()), bytes).unwrap();
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &to);
        } else {
            fs::copy(&path, to).unwrap();
        }
    }
}

#[test]
fn issue_12_a_database_without_its_beginning_keeps_every_name() {
    let patient = Patient::new(20, 12, true);
    let sound = patient.database();
    assert!(sound.len() > 30 * PAGE, "{}", sound.len());
    let zeros = |length: usize| {
        let mut bytes = sound.clone();
        bytes[..length].fill(0);
        bytes
    };
    let mut schema = sound.clone();
    schema[100..PAGE].fill(b'x');
    let mut version = sound.clone();
    version[60..64].fill(0xff);
    let mut free = sound.clone();
    free[32..40].fill(7);
    let mut noisy = sound.clone();
    noisy[..PAGE].copy_from_slice(&noise(1, PAGE));
    let mut words = sound.clone();
    words[..16].copy_from_slice(b"not a database!!");
    for (what, damaged) in [
        ("16 bytes", zeros(16)),
        ("words", words),
        ("the header", zeros(100)),
        ("a page", zeros(PAGE)),
        ("noise", noisy),
        ("the schema", schema),
        ("the version", version),
        ("the free pages", free),
    ] {
        let (names, report) = patient.repaired_from(&damaged);
        patient.assert_none_is_wrong(&names);
        assert_eq!(names, patient.names, "{what}: {:?}", report.repaired);
        let all = format!("{0} of {0} names", patient.names.len());
        assert!(
            report.repaired.iter().any(|line| line.contains(&all)),
            "{what}: {report:?}"
        );
    }
}

#[test]
fn the_roots_of_all_tables_may_be_destroyed() {
    // So many images that no table with digests is one page, its root.
    let patient = Patient::new(100, 10, true);
    let sound = patient.database();
    let mut damaged = sound.clone();
    for root in patient.roots() {
        damaged[(root - 1) * PAGE..][..PAGE].fill(0);
    }
    let (names, report) = patient.repaired_from(&damaged);
    patient.assert_none_is_wrong(&names);
    let kept = patient.untouched(&sound, &damaged);
    assert!(kept.len() > patient.names.len() / 4, "{}", kept.len());
    for name in kept {
        assert!(names.contains_key(&name), "{name}: {report:?}");
    }
}

#[test]
fn any_one_page_may_be_destroyed() {
    let patient = Patient::new(12, 12, true);
    let sound = patient.database();
    for page in 0..sound.len() / PAGE {
        for with in [0, 0xff] {
            let mut damaged = sound.clone();
            damaged[page * PAGE..][..PAGE].fill(with);
            let (names, report) = patient.repaired_from(&damaged);
            assert_eq!(names, patient.names, "page {}: {report:?}", page + 1);
        }
    }
}

#[test]
fn what_a_shorter_file_has_is_read() {
    let patient = Patient::new(20, 12, true);
    let sound = patient.database();
    for length in [
        sound.len() - PAGE,
        sound.len() / 2,
        sound.len() / 2 + 77,
        5 * PAGE,
    ] {
        let (names, _) = patient.repaired_from(&sound[..length]);
        patient.assert_none_is_wrong(&names);
        for name in patient.untouched(&sound, &sound[..length]) {
            assert!(names.contains_key(&name), "{length}: {name}");
        }
    }
}

#[test]
fn an_emptied_database_is_not_taken_for_a_new_one() {
    let folded = Patient::new(8, 2, true);
    let logged = Patient::new(8, 2, false);
    for (patient, kept) in [(&folded, 0), (&logged, logged.names.len())] {
        for remove in [false, true] {
            let damage = |root: &Path| {
                let database = root.join("wharf.db");
                match remove {
                    true => fs::remove_file(&database).unwrap(),
                    false => fs::write(&database, "").unwrap(),
                }
                let error = Store::open(root).map(drop).unwrap_err();
                assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
                let found = check(root, false, &|_| {}).unwrap();
                assert!(found.findings[0].contains("is damaged (it is empty or missing"));
            };
            let (names, _) = patient.repaired(&damage);
            patient.assert_none_is_wrong(&names);
            assert_eq!(names.len(), kept);
        }
    }
}

#[test]
fn names_that_are_only_in_the_log_come_back() {
    let patient = Patient::new(8, 2, false);
    let log = fs::read(patient.root.join("wharf.db-wal")).unwrap();
    assert!(log.len() > 20 * PAGE, "{}", log.len());
    let damage_header = |root: &Path| {
        let mut database = fs::read(root.join("wharf.db")).unwrap();
        database[..16].fill(0);
        fs::write(root.join("wharf.db"), database).unwrap();
        drop(fs::remove_file(root.join("wharf.db-shm")));
    };
    let (names, report) = patient.repaired(&damage_header);
    // The log has a sound first page, so that there may be nothing to repair.
    assert_eq!(names, patient.names, "{report:?}");
    type Damage<'a> = (&'static str, &'a dyn Fn(&mut Vec<u8>));
    let cases: [Damage<'_>; 3] = [
        ("the log's header", &|log| log[..16].fill(0)),
        ("a frame's page", &|log| {
            log[32 + 4120 * 6 + 500..][..300].fill(1)
        }),
        ("the end", &|log| log.truncate(log.len() - 100)),
    ];
    for (what, damage_log) in cases {
        let damage = |root: &Path| {
            let mut log = log.clone();
            damage_log(&mut log);
            fs::write(root.join("wharf.db-wal"), log).unwrap();
            fs::write(root.join("wharf.db"), "").unwrap();
        };
        let (names, report) = patient.repaired(&damage);
        match what {
            // The last transaction has no end, as if it had not been committed.
            "the end" => assert_eq!(names, patient.before, "{report:?}"),
            "the log's header" => assert_eq!(names, patient.names, "{report:?}"),
            _ => patient.assert_none_is_wrong(&names),
        }
        if what != "the end" {
            let said = "not all changes in the log could be read";
            assert!(
                report.repaired.iter().any(|line| line.contains(said)),
                "{what}: {report:?}"
            );
        }
    }
}

#[test]
fn a_row_that_was_changed_is_not_believed() {
    let patient = Patient::new(12, 12, true);
    let sound = patient.database();
    // The bytes of a name, in its table and in the two indexes over it.
    let key = b"registry.example/team1/app7-6";
    let places: Vec<usize> = (0..sound.len() - key.len())
        .filter(|at| &sound[*at..][..key.len()] == key)
        .collect();
    assert!(places.len() >= 3, "{places:?}");
    for place in places {
        for (at, with) in [
            (place + key.len() - 1, b'9'),
            (place + key.len(), 1),
            (place + key.len(), 77),
            (place + key.len() + 1, 3),
            (place + 3, b'X'),
            (place - 1, 1),
            (place - 2, 2),
        ] {
            let mut damaged = sound.clone();
            damaged[at] = with;
            if damaged == sound {
                continue;
            }
            let (names, _) = patient.repaired_from(&damaged);
            patient.assert_none_is_wrong(&names);
            assert!(names.len() + 1 >= patient.names.len(), "{at}");
        }
    }
}

/// How many places of a file are tried.
const PLACES: usize = 10_000;

/// A range of a file and what it is overwritten with.
fn overwritten() -> impl Strategy<Value = (usize, usize, u8)> {
    let length = prop_oneof![1..20_usize, 20..500_usize, 500..9000_usize];
    (0..PLACES, length, any::<u8>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn names_on_pages_that_were_not_touched_come_back(
        ranges in proptest::collection::vec(overwritten(), 1..5),
        noisy: bool,
    ) {
        let patient = Patient::new(12, 12, true);
        let sound = patient.database();
        let mut damaged = sound.clone();
        for (place, length, with) in ranges {
            let place = place * sound.len() / PLACES;
            let length = length.min(sound.len() - place);
            let range = &mut damaged[place..][..length];
            match noisy {
                true => range.copy_from_slice(&noise(u64::from(with), length)),
                false => range.fill(with),
            }
        }
        let (names, report) = patient.repaired_from(&damaged);
        patient.assert_none_is_wrong(&names);
        for name in patient.untouched(&sound, &damaged) {
            prop_assert!(names.contains_key(&name), "{name}: {report:?}");
        }
    }
}
