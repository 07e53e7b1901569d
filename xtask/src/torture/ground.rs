//! The images, the registry, the store, and what is looked at after each step.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use wharf_core::{Digest, Hasher};
use wharf_testkit::command::Output;
use wharf_testkit::{BuiltImage, Image, Layer, TestRegistry, Wharf};

/// What every image here is built on, and what each has on top, in bytes of random content. The
/// first layer has several pieces, so it comes over several connections.
const BASE: [usize; 2] = [36_000_000, 300_000];
const TOPS: [&[usize]; 3] = [
    &[6_000_000, 2_000],
    &[3_000_000],
    &[500_000, 500_000, 500_000],
];

/// A registry with images that share layers, and a wharf with a store of its own.
pub(crate) struct Ground {
    pub(crate) registry: TestRegistry,
    pub(crate) wharf: Wharf,
    pub(crate) images: Vec<Named>,
}

/// An image and the name that the registry gives it.
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) image: BuiltImage,
}

/// What a store has of each blob before a pull, in bytes: all of it, or what its journal says.
pub(crate) type Here = BTreeMap<Digest, u64>;

impl Ground {
    /// Builds the images and starts the registry.
    pub(crate) fn new(wharf: &Path, seed: u64) -> Self {
        let registry = TestRegistry::builder().seed(seed).start();
        let images = TOPS.iter().enumerate().map(|(number, tops)| {
            let sizes = BASE.iter().chain(*tops);
            let image = sizes
                .enumerate()
                .fold(Image::builder(), |image, (depth, size)| {
                    // The same seed for the same layer: the first ones are those that all share.
                    let own = if depth < BASE.len() {
                        0
                    } else {
                        100 * (number + 1)
                    };
                    image.layer(Layer::random(seed + (own + depth) as u64, *size))
                });
            let (short, image) = (format!("team/image-{number}:1"), image.build());
            registry.push(&short, &image);
            Named {
                name: registry.name(&short),
                image,
            }
        });
        let images = images.collect();
        Self {
            registry,
            wharf: Wharf::new(wharf),
            images,
        }
    }

    /// Runs wharf, which must succeed.
    pub(crate) fn succeed<A: AsRef<OsStr>>(&self, arguments: &[A]) -> anyhow::Result<String> {
        succeed(&self.wharf, arguments)
    }

    /// The store is in order, by its own words and by ours.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        self.succeed(&["store", "check"])?;
        verify_blobs(&self.wharf.root())
    }

    /// The list has this image.
    pub(crate) fn lists(&self, image: &BuiltImage) -> anyhow::Result<()> {
        let listed = self.succeed(&["images", "-q", "--no-trunc"])?;
        let id = image.config.digest.as_str();
        ensure!(
            listed.lines().any(|line| line == id),
            "the image {id} is not listed:\n{listed}"
        );
        Ok(())
    }

    /// Removes all names and images; their blobs must be gone from the disk with them, and after
    /// a prune also what was left in the middle of a download.
    pub(crate) fn remove_everything(&self) -> anyhow::Result<()> {
        let listed = self.succeed(&["images", "-q", "--no-trunc"])?;
        let mut remove: Vec<&str> = listed.lines().collect();
        remove.sort_unstable();
        remove.dedup();
        if !remove.is_empty() {
            self.succeed(&[&["rmi", "--force"], remove.as_slice()].concat())?;
        }
        self.succeed(&["image", "prune", "--partial", "--force"])?;
        let root = self.wharf.root();
        for folder in ["blobs", "ingest"] {
            let left = files(&root.join(folder))?;
            ensure!(
                left.is_empty(),
                "left behind after everything was removed: {left:?}"
            );
        }
        Ok(())
    }

    /// What the store has of an image's blobs.
    pub(crate) fn here(&self, image: &BuiltImage) -> anyhow::Result<Here> {
        let root = self.wharf.root();
        let sizes = image.blobs.iter().map(|(what, _)| {
            let whole = blob(&root, &what.digest).exists();
            let here = if whole {
                what.size
            } else {
                journaled(&root, &what.digest)?
            };
            Ok((what.digest.clone(), here))
        });
        sizes.collect()
    }

    /// No byte was sent that was here `before`; with `again`, one blob may have come once more.
    pub(crate) fn sent_only_what_was_missing(
        &self,
        image: &BuiltImage,
        before: &Here,
        again: bool,
    ) -> anyhow::Result<()> {
        for (what, _) in &image.blobs {
            let here = before.get(&what.digest).copied().unwrap_or(0);
            let most = what.size - here + if again { what.size } else { 0 };
            let sent = self.registry.bytes_served(&what.digest);
            if sent > most {
                bail!(
                    "{what} has {} bytes, {here} of them were here, and {sent} were sent\n{}",
                    what.size,
                    self.registry.story()
                );
            }
        }
        Ok(())
    }
}

/// Runs wharf, which must succeed, and returns what it printed.
pub(crate) fn succeed<A: AsRef<OsStr>>(wharf: &Wharf, arguments: &[A]) -> anyhow::Result<String> {
    let Output {
        stdout,
        stderr,
        code,
    } = wharf.run(arguments);
    let words: Vec<_> = arguments
        .iter()
        .map(|a| a.as_ref().to_string_lossy())
        .collect();
    ensure!(
        code == Some(0),
        "`wharf {}` ended with {code:?}: {stdout}{stderr}",
        words.join(" ")
    );
    Ok(stdout)
}

/// Every file under `blobs/` has the content that its name says.
pub(crate) fn verify_blobs(root: &Path) -> anyhow::Result<()> {
    for path in files(&root.join("blobs"))? {
        let mut parts = path.iter().rev().filter_map(OsStr::to_str);
        let (hex, algorithm) = (parts.next(), parts.nth(1));
        let name = format!("{}:{}", algorithm.unwrap_or(""), hex.unwrap_or(""));
        let expected: Digest = name
            .parse()
            .with_context(|| format!("{} is no blob", path.display()))?;
        let mut hasher = Hasher::new(expected.algorithm());
        let mut file = File::open(&path)?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                length => hasher.update(&buffer[..length]),
            }
        }
        let actual = hasher.finish();
        ensure!(
            actual == expected,
            "wrong bytes under {expected}: they are {actual}"
        );
    }
    Ok(())
}

/// Where the store keeps a whole blob (docs/disk-format.md).
fn blob(root: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    root.join("blobs")
        .join(digest.algorithm().as_str())
        .join(&hex[..2])
        .join(hex)
}

/// Returns how much of a download in progress its journal counts (docs/disk-format.md): behind a header
/// of 24 bytes, records of 40 bytes. The fourth number of each is how many bytes of the blob are here.
fn journaled(root: &Path, digest: &Digest) -> anyhow::Result<u64> {
    let name = format!("{}-{}.journal", digest.algorithm().as_str(), digest.hex());
    let bytes = match fs::read(root.join("ingest").join(name)) {
        // A process may die between making a journal and writing into it.
        Ok(bytes) if bytes.is_empty() => return Ok(0),
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error).context("cannot read a journal"),
    };
    ensure!(
        bytes.starts_with(b"WHARFJ2\n"),
        "a journal of an unknown format"
    );
    let (numbers, _) = bytes.get(24..).unwrap_or_default().as_chunks::<8>();
    // A process may die in the middle of a record.
    let (records, _) = numbers.as_chunks::<5>();
    Ok(records
        .last()
        .map_or(0, |record| u64::from_le_bytes(record[3])))
}

/// All files below a folder.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot list {}", folder.display()));
        }
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(files(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(name: &str, bytes: &[u8]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        root
    }

    #[test]
    fn finds_a_wrong_byte() {
        let digest = Digest::of(b"right");
        let path = blob(Path::new(""), &digest);
        let path = path.to_str().unwrap();
        verify_blobs(store(path, b"right").path()).unwrap();
        let error = verify_blobs(store(path, b"wrong").path()).unwrap_err();
        assert!(error.to_string().contains("wrong bytes under"), "{error}");
    }

    #[test]
    fn reads_what_a_journal_counts() {
        let digest = Digest::of(b"x");
        let mut journal = b"WHARFJ2\n".to_vec();
        journal.resize(24, 0);
        let records = [[0u64, 5, 1, 5, 2], [20, 7, 3, 12, 4]];
        let last_one_cut_off = [30u64, 9, 5, 21];
        let numbers = records.as_flattened().iter().chain(&last_one_cut_off);
        journal.extend(numbers.flat_map(|number| number.to_le_bytes()));
        let name = format!("ingest/sha256-{}.journal", digest.hex());
        assert_eq!(
            journaled(store(&name, &journal).path(), &digest).unwrap(),
            12
        );
        assert!(journaled(store(&name, b"WHARFJ9\n").path(), &digest).is_err());
        assert_eq!(
            journaled(store("ingest/other", b"").path(), &digest).unwrap(),
            0
        );
    }
}
