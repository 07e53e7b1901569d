//! Folders with many files are set aside during a run, and removed at its end.
//!
//! ext4 gives no inode away again that was freed in the last minutes, and looks at each of them to find that
//! out. Who makes many files after many were removed takes two to four times as long, and that would be everybody
//! who unpacks the image, by however much the one before has left.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;

/// A folder with more files than this is set aside; removing fewer slows nobody down.
const FILES_MAX: usize = 1_000;
/// For how long ext4 may look at an inode that was freed: a minute, and five more until it's written.
const REMEMBERED: Duration = Duration::from_secs(360);
/// Notes when many files were removed last.
const STAMP: &str = "removed";

/// The folder for everything that a run makes, in `bench/work`.
pub(super) const RUN: &str = "run";

/// Makes room where `folder` is. What has many files goes into a folder of the run's.
pub(super) fn clear(folder: &Path, run: &Path) -> anyhow::Result<()> {
    let removed = if has_many_files(folder)? {
        put(folder, &run.join("aside"))
    } else {
        fs::remove_dir_all(folder).map_err(Into::into)
    };
    removed.with_context(|| format!("cannot empty {}", folder.display()))
}

fn put(folder: &Path, aside: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(aside)?;
    let number = fs::read_dir(aside)?.count();
    // Not the store's rename: nothing here has to outlive a crash.
    Ok(rustix::fs::rename(folder, aside.join(number.to_string()))?)
}

fn has_many_files(folder: &Path) -> anyhow::Result<bool> {
    let (mut folders, mut files) = (vec![folder.to_owned()], 0);
    while let Some(folder) = folders.pop() {
        let listed = fs::read_dir(&folder);
        for entry in listed.with_context(|| format!("cannot list {}", folder.display()))? {
            let entry = entry?;
            files += 1;
            if files > FILES_MAX {
                return Ok(true);
            }
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(false)
}

/// Removes what a run before has left, and waits until the file system has forgotten it, unless times don't matter.
pub(super) fn begin(work: &Path, hurry: bool) -> anyhow::Result<()> {
    end(work)?;
    let Ok(noted) = fs::metadata(work.join(STAMP)) else {
        return Ok(());
    };
    let passed = SystemTime::now().duration_since(noted.modified()?);
    let left = REMEMBERED.saturating_sub(passed.unwrap_or_default());
    if !left.is_zero() && !hurry {
        println!(
            "waiting {left:.0?}: many files were removed just now, which would slow others down"
        );
        thread::sleep(left);
    }
    Ok(())
}

/// Removes what a run has made, and notes when.
pub(super) fn end(work: &Path) -> anyhow::Result<()> {
    let run = work.join(RUN);
    if run.exists() {
        fs::remove_dir_all(&run).with_context(|| format!("cannot remove {}", run.display()))?;
        fs::write(work.join(STAMP), "")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_files_are_set_aside_and_few_are_removed() {
        let ground = tempfile::tempdir().unwrap();
        let folder = ground.path().join("out");
        for files in [3, FILES_MAX, 3, FILES_MAX] {
            fs::create_dir_all(folder.join("below")).unwrap();
            for file in 0..files {
                fs::write(folder.join("below").join(file.to_string()), "").unwrap();
            }
            clear(&folder, ground.path()).unwrap();
            assert!(!folder.exists());
        }
        assert_eq!(
            fs::read_dir(ground.path().join("aside")).unwrap().count(),
            2
        );
    }
}
