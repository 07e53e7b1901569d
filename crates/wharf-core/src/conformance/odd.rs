//! Sources that do not do what a source should.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::sync::Notify;

use crate::content::{ContentError, Reader, Source};
use crate::{Descriptor, memory};

/// What is odd about an [`Odd`] source.
#[derive(Clone, Debug)]
pub(super) enum How {
    /// Nothing: it sends the range that it was asked for.
    Right,
    /// It always sends everything, from the start.
    NoRanges,
    /// It breaks off with an error after so many bytes of the whole.
    BreaksAt(usize),
    /// It stops without an error after so many bytes of the whole.
    EndsAt(usize),
    /// It sends these bytes behind the right ones.
    AndMore(Bytes),
    /// It tells, and then never sends a byte again, after so many bytes of the whole.
    HangsAt(usize, Arc<Notify>),
    /// It does not open.
    Closed,
}

/// A source of one blob that is odd in some way.
pub(super) struct Odd {
    bytes: Bytes,
    how: How,
    opened: AtomicUsize,
}

impl Odd {
    pub(super) fn new(bytes: impl Into<Bytes>, how: How) -> Arc<Self> {
        Arc::new(Self {
            bytes: bytes.into(),
            how,
            opened: AtomicUsize::new(0),
        })
    }

    /// How many times somebody has opened it.
    pub(super) fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Source for Odd {
    fn place(&self) -> String {
        "an odd source".into()
    }

    async fn open(&self, _: &Descriptor, range: Range<u64>) -> Result<Reader, ContentError> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let whole = self.bytes.len();
        let place = |at: u64| usize::try_from(at).map_or(whole, |at| at.min(whole));
        let (start, end) = match self.how {
            How::NoRanges | How::AndMore(_) => (0, whole),
            _ => (place(range.start), place(range.end)),
        };
        let start = start.min(end);
        let until = |stop: usize| memory::chunks(self.bytes.slice(start..stop.clamp(start, end)));
        let bytes = match &self.how {
            How::Closed => return Err(ContentError::place("the source is closed")),
            How::Right | How::NoRanges => until(end),
            How::EndsAt(stop) => until(*stop),
            How::AndMore(more) => until(end).chain(memory::chunks(more.clone())).boxed(),
            How::BreaksAt(stop) => {
                let error = async { Err(ContentError::place("the connection broke")) };
                until(*stop).chain(stream::once(error)).boxed()
            }
            How::HangsAt(stop, hung) => {
                let hung = Arc::clone(hung);
                let hang = stream::once(async move {
                    hung.notify_one();
                    std::future::pending().await
                });
                until(*stop).chain(hang).boxed()
            }
        };
        Ok(Reader {
            range: start as u64..end as u64,
            bytes,
        })
    }
}
