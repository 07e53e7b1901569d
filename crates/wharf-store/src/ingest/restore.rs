//! What is left of a download whose process has ended: which parts of it can be used.
//!
//! Parts that were made durable are used as they are: the blob's digest is computed over all of it in the
//! end. The others, a few seconds' worth, are read and compared with their sums, since a power loss may
//! have left their records and not their bytes. If the digest turns out to be wrong, every part is
//! compared, and only those are fetched again that are not what they were.
//!
//! The journal is made anew with the parts that are used, and put in the old one's place: from then on
//! nothing in it is in doubt.

use std::fs::File;
use std::io;
use std::path::Path;

use wharf_core::Digest;

use super::Ingest;
use super::extents::Extents;
use super::journal::{self, Journal, Record, holds};
use crate::durable::{rename, sync_data};
use crate::{Result, StoreError, files};

/// Which parts are used without a look at their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Those that were made durable.
    Durable,
    /// None of them.
    Nothing,
}

/// Finds the parts that can be used, and starts a journal with them. `None` if there are none.
pub(super) fn restore(
    ingest: &Ingest,
    digest: &Digest,
    (data, old): (&File, &File),
    size: u64,
    trust: Trust,
) -> Result<Option<(Extents, Journal)>> {
    let (path, new_path) = (
        ingest.path(digest, "journal"),
        ingest.path(digest, NEW_JOURNAL),
    );
    let error = |source| StoreError::io("read", &path, source);
    let Some(durable) = durable_records(old, size, trust).map_err(error)? else {
        return Ok(None);
    };
    let data_len = data.metadata().map_err(error)?.len();
    let mut here = Extents::default();
    let mut used = Used::new(&new_path, size);
    journal::read(old, size, &mut |number, record| {
        let Record::Part { start, len, sum } = record else {
            return Ok(());
        };
        let fits = start
            .checked_add(len)
            .filter(|end| *end <= size.min(data_len));
        let Some(end) = fits else { return Ok(()) };
        // What the disk cannot read is fetched again.
        let right = number < durable || holds(data, start..end, sum).unwrap_or(false);
        if right && here.insert(start..end) {
            used.append(record)?;
        }
        Ok(())
    })
    .map_err(error)?;
    let Some(mut journal) = used.journal else {
        return Ok(None);
    };
    let data_path = ingest.path(digest, "data");
    if let Err(failed) = sync_data(data, &data_path) {
        // The system reports this once, and may have dropped the bytes.
        data.set_len(0)
            .map_err(|source| StoreError::io("empty", &data_path, source))?;
        return Err(failed);
    }
    let records = journal.records;
    let error = |source| StoreError::io("write", &new_path, source);
    journal.append(Record::Mark { records }).map_err(error)?;
    sync_data(&journal.file, &new_path)?;
    rename(&new_path, &path)?;
    Ok(Some((here, journal)))
}

/// The ending of a journal that is not in place yet.
pub(super) const NEW_JOURNAL: &str = "journal-new";

/// How many records have bytes that were made durable, as the last mark says; `None` if this is no journal
/// of the blob.
fn durable_records(old: &File, size: u64, trust: Trust) -> io::Result<Option<u64>> {
    let mut durable = 0;
    let found = journal::read(old, size, &mut |number, record| {
        if let Record::Mark { records } = record
            && trust == Trust::Durable
        {
            // A mark speaks of those before it only.
            durable = durable.max(records.min(number));
        }
        Ok(())
    })?;
    Ok(found.then_some(durable))
}

/// The journal of the parts that are used, made when there is one.
struct Used<'a> {
    path: &'a Path,
    size: u64,
    journal: Option<Journal>,
}

impl<'a> Used<'a> {
    const fn new(path: &'a Path, size: u64) -> Self {
        Self {
            path,
            size,
            journal: None,
        }
    }

    fn append(&mut self, record: Record) -> io::Result<()> {
        if self.journal.is_none() {
            // One that an earlier attempt came no further with.
            match std::fs::remove_file(self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let file = files::create_new(self.path)?;
            self.journal = Some(Journal::create(file, self.size)?);
        }
        self.journal
            .as_mut()
            .map_or(Ok(()), |journal| journal.append(record))
    }
}
