//! A place that serves blobs from memory, with faults, and remembers what it was asked for.

use std::collections::HashMap;
use std::io::Write as _;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::sync::Notify;
use wharf_core::{ContentError, Descriptor, Digest, Reader, Source};

/// How bytes travel, in bytes.
const CHUNK: usize = 64 * 1024;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Each answer ends with an error after so many bytes.
    Break(usize),
    /// Each answer stops for good after so many bytes.
    Stall(usize),
    /// One byte of the blob is another one.
    Flip(usize),
    /// Ranges are not known: each answer is the whole blob.
    NoRanges,
    /// Both: the whole blob, and an error after so many bytes.
    NoRangesBreak(usize),
    /// The answer ends early, without an error.
    Short,
    /// More bytes follow the last one.
    Long,
}

pub(crate) struct Place {
    blobs: HashMap<Digest, Bytes>,
    fault: Mutex<Fault>,
    opened: Mutex<Vec<(Digest, Range<u64>)>>,
    /// Every opened digest as a line: for tests with several processes.
    pub(crate) log: Option<PathBuf>,
    /// Rung when an answer stalls.
    pub(crate) stalled: Arc<Notify>,
}

impl Place {
    pub(crate) fn of(blobs: &[Bytes]) -> Arc<Self> {
        Arc::new(Self::with_log(blobs, None))
    }

    pub(crate) fn one(blob: &Bytes) -> Arc<Self> {
        Self::of(std::slice::from_ref(blob))
    }

    pub(crate) fn with_log(blobs: &[Bytes], log: Option<PathBuf>) -> Self {
        Self {
            blobs: blobs
                .iter()
                .map(|blob| (Digest::of(blob), blob.clone()))
                .collect(),
            fault: Mutex::new(Fault::None),
            opened: Mutex::default(),
            log,
            stalled: Arc::default(),
        }
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// Takes what was opened since it was last asked.
    pub(crate) fn opened(&self) -> Vec<(Digest, Range<u64>)> {
        std::mem::take(&mut self.opened.lock().unwrap())
    }

    /// How many bytes were asked for since that.
    pub(crate) fn asked(&self) -> u64 {
        self.opened()
            .iter()
            .map(|(_, range)| range.end - range.start)
            .sum()
    }

    fn note(&self, digest: &Digest, range: &Range<u64>) {
        self.opened
            .lock()
            .unwrap()
            .push((digest.clone(), range.clone()));
        if let Some(log) = &self.log {
            let mut file = std::fs::File::options()
                .append(true)
                .create(true)
                .open(log)
                .unwrap();
            writeln!(file, "{digest}").unwrap();
        }
    }
}

#[async_trait]
impl Source for Place {
    fn place(&self) -> String {
        "the test's registry".into()
    }

    async fn open(&self, what: &Descriptor, range: Range<u64>) -> Result<Reader, ContentError> {
        let fault = *self.fault.lock().unwrap();
        let missing = || ContentError::Missing {
            what: what.digest.clone(),
            place: self.place(),
        };
        let mut blob = self.blobs.get(&what.digest).ok_or_else(missing)?.clone();
        self.note(&what.digest, &range);
        let whole = 0..blob.len() as u64;
        if let Fault::Flip(at) = fault {
            let mut bytes = blob.to_vec();
            bytes[at] ^= 1;
            blob = bytes.into();
        }
        let range = match fault {
            Fault::NoRanges | Fault::NoRangesBreak(_) => whole,
            _ => range.start..range.end.min(whole.end),
        };
        let bounds = [range.start, range.end].map(|at| usize::try_from(at).unwrap());
        let mut bytes = blob[bounds[0]..bounds[1]].to_vec();
        match fault {
            Fault::Short => bytes.truncate(bytes.len() / 2),
            Fault::Long => bytes.extend(b"more"),
            Fault::Break(at) | Fault::NoRangesBreak(at) | Fault::Stall(at) => bytes.truncate(at),
            _ => {}
        }
        let chunks: Vec<_> = bytes
            .chunks(CHUNK)
            .map(|c| Ok(Bytes::copy_from_slice(c)))
            .collect();
        let good = stream::iter(chunks);
        let bytes = match fault {
            Fault::Break(_) | Fault::NoRangesBreak(_) => {
                let error = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                good.chain(stream::iter([Err(ContentError::place(error))]))
                    .boxed()
            }
            Fault::Stall(_) => {
                let stalled = Arc::clone(&self.stalled);
                good.chain(stream::poll_fn(move |_| {
                    stalled.notify_one();
                    std::task::Poll::Pending
                }))
                .boxed()
            }
            _ => good.boxed(),
        };
        Ok(Reader { range, bytes })
    }
}
