//! Bounds how many layers hold a large window in memory at once.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A number of places.
#[derive(Debug)]
pub(crate) struct Gate {
    places: usize,
    free: Mutex<usize>,
    left: Condvar,
}

/// Some of the places, until it is dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Arc<Gate>,
    places: usize,
}

impl Gate {
    pub(crate) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self {
            places,
            free: Mutex::new(places),
            left: Condvar::new(),
        })
    }

    /// Waits for a place. Whoever has one must go on without waiting for others that wait here.
    pub(crate) fn enter(self: &Arc<Self>) -> Pass {
        self.enter_with(1)
    }

    /// Waits for all places: for a window that is as large as those of all others.
    pub(crate) fn enter_alone(self: &Arc<Self>) -> Pass {
        self.enter_with(self.places)
    }

    fn enter_with(self: &Arc<Self>, places: usize) -> Pass {
        // The number is right after a panic too: it changes in one step.
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.left.wait_while(free, |free| *free < places);
        *waited.unwrap_or_else(PoisonError::into_inner) -= places;
        Pass {
            gate: Arc::clone(self),
            places,
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let free = self.gate.free.lock();
        *free.unwrap_or_else(PoisonError::into_inner) += self.places;
        self.gate.left.notify_all();
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

    #[test]
    fn what_needs_all_places_is_alone() {
        let (gate, inside) = (Gate::new(3), AtomicUsize::new(0));
        thread::scope(|scope| {
            for number in 0..8 {
                let (gate, inside) = (&gate, &inside);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let places = if number % 2 == 0 { 3 } else { 1 };
                        let _pass = gate.enter_with(places);
                        assert!(inside.fetch_add(places, Ordering::SeqCst) + places <= 3);
                        thread::yield_now();
                        inside.fetch_sub(places, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(*gate.free.lock().unwrap(), 3);
    }
}
