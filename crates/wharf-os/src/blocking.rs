//! Runs work that blocks beside a runtime.
//!
//! tokio's `spawn_blocking` panics where the system refuses its first thread, and where it refuses
//! a later one it puts the work behind work that is under way. wharf's works wait for each other
//! (one writes a file, another reads it), so that the second case ends in a deadlock. Here work
//! has a thread to itself at once, or fails. Beyond [`THREADS_MAX`] threads, work that waits for no other work
//! waits for a thread.
//!
//! Threads are kept for the next work, as tokio does it.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::thread;

/// Bounds the threads, as tokio does it: a server's clients can ask for more at once. Work beyond
/// it waits for a thread.
const THREADS_MAX: usize = 512;

/// How long a thread waits for further work before it ends: tokio's time.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// Why work has no result.
#[derive(Debug, thiserror::Error)]
pub enum BlockingError {
    /// No thread could be started for it.
    #[error(transparent)]
    NotStarted(io::Error),
    /// It panicked.
    #[error("an internal error stopped the work")]
    Panicked,
}

impl From<BlockingError> for io::Error {
    fn from(error: BlockingError) -> Self {
        match error {
            BlockingError::NotStarted(error) => error,
            BlockingError::Panicked => Self::other(error),
        }
    }
}

/// Work that was started; as a future, its result. To drop it does not stop the work.
#[derive(Debug)]
#[must_use = "the work goes on, but its result is lost"]
pub struct Blocking<T>(State<T>);

#[derive(Debug)]
enum State<T> {
    Running(oneshot::Receiver<T>),
    /// `None` once it was told.
    Refused(Option<io::Error>),
}

impl<T> Future for Blocking<T> {
    type Output = Result<T, BlockingError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Running(result) => Pin::new(result)
                .poll(context)
                .map_err(|_| BlockingError::Panicked),
            State::Refused(error) => {
                let error = error.take().unwrap_or(io::ErrorKind::WouldBlock.into());
                Poll::Ready(Err(BlockingError::NotStarted(error)))
            }
        }
    }
}

/// Starts `work` on a thread that may block, inside the runtime that this is called from, if any.
pub fn start<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Blocking<T> {
    let (sender, result) = oneshot::channel();
    let runtime = Handle::try_current().ok();
    let started = POOL.run(Box::new(move || {
        let _inside = runtime.as_ref().map(Handle::enter);
        // Without a receiver the result is not wanted any more.
        sender.send(work()).ok();
    }));
    Blocking(match started {
        Ok(()) => State::Running(result),
        Err(error) => State::Refused(Some(error)),
    })
}

/// Starts work that waits for other work. It has a thread of its own and does not count for the bound on threads:
/// otherwise such works could take all of them, and wait for work that has none.
pub fn start_apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Blocking<T> {
    let (sender, result) = oneshot::channel();
    let started = thread::spawn("waiting", move || {
        // Without a receiver the result is not wanted any more.
        sender.send(work()).ok();
    });
    Blocking(match started {
        Ok(_) => State::Running(result),
        Err(error) => State::Refused(Some(error)),
    })
}

type Work = Box<dyn FnOnce() + Send>;

static POOL: Pool = Pool {
    inner: Mutex::new(Inner {
        waiting: VecDeque::new(),
        idle: 0,
        threads: 0,
    }),
    more: Condvar::new(),
};

struct Pool {
    inner: Mutex<Inner>,
    more: Condvar,
}

struct Inner {
    /// Work for idle threads, and at [`THREADS_MAX`] for the next one that is idle.
    waiting: VecDeque<Work>,
    idle: usize,
    threads: usize,
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No work runs under the lock, and each change is one step.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&'static self, work: Work) -> io::Result<()> {
        let mut inner = self.lock();
        if inner.idle > inner.waiting.len() || inner.threads >= THREADS_MAX {
            inner.waiting.push_back(work);
            drop(inner);
            self.more.notify_one();
            return Ok(());
        }
        inner.threads += 1;
        drop(inner);
        let started = thread::spawn("blocking", move || self.work_on(work));
        if started.is_err() {
            self.lock().threads -= 1;
        }
        started.map(drop)
    }

    fn work_on(&self, first: Work) {
        let mut next = Some(first);
        while let Some(work) = next {
            // The panic hook has told of it, and the sender that it drops tells the receiver.
            catch_unwind(AssertUnwindSafe(work)).ok();
            next = self.next();
        }
    }

    /// Waits for further work; `None` ends the thread, which then no longer counts.
    fn next(&self) -> Option<Work> {
        let mut inner = self.lock();
        inner.idle += 1;
        let waited = self
            .more
            .wait_timeout_while(inner, IDLE_MAX, |inner| inner.waiting.is_empty());
        inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        inner.idle -= 1;
        let next = inner.waiting.pop_front();
        if next.is_none() {
            inner.threads -= 1;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn the_result_comes_back() {
        assert_eq!(start(|| 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn works_that_wait_for_each_other_all_have_a_thread() {
        let mut works = Vec::new();
        let (first, mut last) = mpsc::channel();
        for _ in 0..64 {
            let (sender, receiver) = mpsc::channel::<usize>();
            let from = std::mem::replace(&mut last, receiver);
            works.push(start(move || {
                sender.send(from.recv().unwrap() + 1).unwrap()
            }));
        }
        first.send(0).unwrap();
        for work in works {
            work.await.unwrap();
        }
        assert_eq!(last.recv().unwrap(), 64);
    }

    #[tokio::test]
    async fn works_that_wait_leave_the_threads_to_others() {
        let (go, gate) = mpsc::channel::<()>();
        let gate = std::sync::Arc::new(Mutex::new(gate));
        let waiting: Vec<_> = (0..THREADS_MAX + 8)
            .map(|_| {
                let gate = std::sync::Arc::clone(&gate);
                start_apart(move || gate.lock().unwrap().recv().is_ok())
            })
            .collect();
        start(move || (0..THREADS_MAX + 8).for_each(|_| go.send(()).unwrap()))
            .await
            .unwrap();
        for work in waiting {
            assert!(work.await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_next_work_runs() {
        let error = start(|| panic!("a test's own")).await.unwrap_err();
        assert!(matches!(error, BlockingError::Panicked));
        assert_eq!(start(|| 8).await.unwrap(), 8);
    }

    #[tokio::test]
    async fn work_is_inside_the_runtime_that_asked() {
        let inside = start(|| Handle::current().block_on(async { 9 }));
        assert_eq!(inside.await.unwrap(), 9);
    }

    #[tokio::test]
    async fn a_refused_thread_is_an_error() {
        let refused = Blocking::<()>(State::Refused(Some(io::ErrorKind::WouldBlock.into())));
        let error = io::Error::from(refused.await.unwrap_err());
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
