//! Bounds how many layers hold a large window in memory at once.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A number of places.
#[derive(Debug)]
pub(crate) struct Gate {
    free: Mutex<usize>,
    left: Condvar,
}

/// One of the places, until it is dropped.
#[derive(Debug)]
pub(crate) struct Pass(Arc<Gate>);

impl Gate {
    pub(crate) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Mutex::new(places),
            left: Condvar::new(),
        })
    }

    /// Waits for a place. Whoever has one must go on without waiting for whoever waits here.
    pub(crate) fn enter(self: &Arc<Self>) -> Pass {
        // The number is right after a panic too: it changes in one step.
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.left.wait_while(free, |free| *free == 0);
        *waited.unwrap_or_else(PoisonError::into_inner) -= 1;
        Pass(Arc::clone(self))
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn lets_in_no_more_than_there_are_places() {
        let (gate, inside) = (Gate::new(2), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let _pass = gate.enter();
                        assert!(inside.fetch_add(1, Ordering::SeqCst) < 2);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(*gate.free.lock().unwrap(), 2);
    }
}
