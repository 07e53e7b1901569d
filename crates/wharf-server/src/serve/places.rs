//! The places of a server: which connections idle, which wait for their clients, and which of them ends when
//! somebody else needs its place.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// All connections that could end.
#[derive(Default)]
pub(super) struct Places {
    lists: Mutex<Lists>,
}

/// Each by the moment since when it is so; the number tells those of one moment apart.
type ByAge = BTreeMap<(Instant, u64), Arc<Notify>>;

#[derive(Default)]
struct Lists {
    next: u64,
    idle: ByAge,
    stalled: ByAge,
}

/// One connection among them. It leaves the lists with this.
pub(super) struct Seat {
    places: Arc<Places>,
    number: u64,
    /// Tells the connection to end.
    end: Arc<Notify>,
    doing: Mutex<Doing>,
}

/// What a connection does.
struct Doing {
    /// Is a request being answered?
    busy: bool,
    /// Since when the client takes nothing of what is to be sent.
    sending: Option<Instant>,
    /// Since when the client does not send the rest of its request.
    receiving: Option<Instant>,
    /// Since when there was nothing to do.
    idle: Instant,
    listed: Listed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    Nowhere,
    Idle(Instant),
    Stalled(Instant),
}

impl Doing {
    fn belongs(&self) -> Listed {
        match (self.sending.or(self.receiving), self.busy) {
            (Some(since), _) => Listed::Stalled(since),
            (None, true) => Listed::Nowhere,
            (None, false) => Listed::Idle(self.idle),
        }
    }
}

/// Every change is whole before a lock is let go of.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Places {
    /// Takes a place for a connection that has not said anything yet.
    pub(super) fn sit(self: &Arc<Self>) -> Arc<Seat> {
        let mut lists = locked(&self.lists);
        let (number, now) = (lists.next, Instant::now());
        lists.next += 1;
        let end = Arc::new(Notify::new());
        lists.idle.insert((now, number), Arc::clone(&end));
        Arc::new(Seat {
            places: Arc::clone(self),
            number,
            end,
            doing: Mutex::new(Doing {
                busy: false,
                sending: None,
                receiving: None,
                idle: now,
                listed: Listed::Idle(now),
            }),
        })
    }

    /// Ends the connection that has idled longest; where none does, the one that has waited longest for its client, if
    /// that is longer than `patience`.
    pub(super) fn make_room(&self, patience: Duration) {
        let mut lists = locked(&self.lists);
        if let Some((_, end)) = lists.idle.pop_first() {
            end.notify_one();
        } else if let Some(longest) = lists.stalled.first_entry()
            && longest.key().0.elapsed() >= patience
        {
            longest.remove().notify_one();
        }
    }
}

impl Seat {
    /// A request is answered from now on, or no more.
    pub(super) fn is_busy(&self, busy: bool) {
        self.change(|doing| {
            doing.busy = busy;
            doing.idle = Instant::now();
        });
    }

    /// The client takes nothing from now on, or takes something again.
    pub(super) fn is_sending(&self, waits: bool) {
        self.change(|doing| doing.sending = waits.then(Instant::now));
    }

    /// The client sends nothing of its request from now on, or sends something again.
    pub(super) fn is_receiving(&self, waits: bool) {
        self.change(|doing| doing.receiving = waits.then(Instant::now));
    }

    fn change(&self, change: impl FnOnce(&mut Doing)) {
        let mut doing = locked(&self.doing);
        change(&mut doing);
        let (before, now) = (doing.listed, doing.belongs());
        if before == now {
            return;
        }
        doing.listed = now;
        let mut lists = locked(&self.places.lists);
        match before {
            Listed::Idle(since) => drop(lists.idle.remove(&(since, self.number))),
            Listed::Stalled(since) => drop(lists.stalled.remove(&(since, self.number))),
            Listed::Nowhere => {}
        }
        let end = Arc::clone(&self.end);
        match now {
            Listed::Idle(since) => drop(lists.idle.insert((since, self.number), end)),
            Listed::Stalled(since) => drop(lists.stalled.insert((since, self.number), end)),
            Listed::Nowhere => {}
        }
    }

    /// Waits until somebody else needs the place, and the connection may still end.
    pub(super) async fn is_needed(&self) {
        loop {
            self.end.notified().await;
            // A request may have come at that moment, or the client has gone on.
            if locked(&self.doing).listed != Listed::Nowhere {
                return;
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let listed = locked(&self.doing).listed;
        let mut lists = locked(&self.places.lists);
        match listed {
            Listed::Idle(since) => drop(lists.idle.remove(&(since, self.number))),
            Listed::Stalled(since) => drop(lists.stalled.remove(&(since, self.number))),
            Listed::Nowhere => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn ends(seat: &Seat) -> bool {
        let mut needed = std::pin::pin!(seat.is_needed());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        needed.as_mut().poll(&mut context).is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_ends_first() {
        let places = Arc::new(Places::default());
        let [first, second, third] = [(); 3].map(|()| places.sit());
        first.is_busy(true);
        places.make_room(PATIENCE);
        assert!(!ends(&first) && ends(&second) && !ends(&third));
        tokio::time::advance(Duration::from_millis(1)).await;
        first.is_busy(false);
        places.make_room(PATIENCE);
        assert!(!ends(&first) && ends(&third));
        places.make_room(PATIENCE);
        assert!(ends(&first));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_its_client_ends_after_a_while() {
        for stall in [Seat::is_sending, Seat::is_receiving] {
            let places = Arc::new(Places::default());
            let (stalled, working) = (places.sit(), places.sit());
            stalled.is_busy(true);
            working.is_busy(true);
            stall(&stalled, true);
            tokio::time::advance(PATIENCE - Duration::from_millis(1)).await;
            places.make_room(PATIENCE);
            assert!(!ends(&stalled));
            tokio::time::advance(Duration::from_millis(1)).await;
            places.make_room(PATIENCE);
            assert!(ends(&stalled) && !ends(&working));
            // One whose client goes on is at work again.
            let again = places.sit();
            again.is_busy(true);
            stall(&again, true);
            stall(&again, false);
            tokio::time::advance(2 * PATIENCE).await;
            places.make_room(PATIENCE);
            assert!(!ends(&again));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_taken_is_no_idling() {
        let places = Arc::new(Places::default());
        let seat = places.sit();
        seat.is_busy(true);
        seat.is_sending(true);
        seat.is_busy(false);
        places.make_room(PATIENCE);
        assert!(!ends(&seat));
        tokio::time::advance(PATIENCE).await;
        places.make_room(PATIENCE);
        assert!(ends(&seat));
        drop(seat);
        let lists = locked(&places.lists);
        assert!(lists.idle.is_empty() && lists.stalled.is_empty());
    }
}
