//! What a pull or a push shows while it runs.
//!
//! | module | what it holds |
//! |---|---|
//! | `plain` | a line per change: for pipes and files |
//! | `bars` | a bar per layer and one for all: for terminals |
//! | `rate` | how fast bytes come |
//!
//! It prints the same lines in the end, whichever way it goes: Docker's.

mod bars;
mod plain;
mod rate;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wharf_core::{Digest, Event, LayerStatus, Reference, Watch};
use wharf_engine::words::{self, Way};

use crate::environment::Output;
use crate::exit::{Failure, Result, say};
use crate::print::print;

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Nothing.
    Quiet,
    /// A line per change.
    Plain,
    /// Bars.
    Bars,
}

impl Style {
    /// The style for an output.
    pub(crate) const fn of(output: Output, quiet: bool) -> Self {
        match (quiet, output) {
            (true, _) => Self::Quiet,
            (false, Output::Terminal) => Self::Bars,
            (false, Output::Lines) => Self::Plain,
        }
    }
}

/// Takes the events of one reference's pull.
struct Progress {
    style: Style,
    state: Mutex<State>,
}

struct State {
    /// What is printed once the registry has answered.
    held: String,
    layers: Layers,
    /// The first failure to print. What comes after it is not printed.
    failed: Option<Failure>,
}

enum Layers {
    None,
    Plain(plain::Plain),
    Bars(bars::Bars),
    /// The pull has ended; what its last threads still report is nobody's business.
    Ended,
}

impl Layers {
    /// The same kind, with nothing said yet.
    fn anew(&mut self, way: Way) -> Self {
        match self {
            Self::None => Self::None,
            Self::Plain(_) => Self::Plain(plain::Plain::new(way)),
            Self::Bars(bars) => {
                bars.finish();
                Self::Bars(bars::Bars::new(way))
            }
            Self::Ended => Self::Ended,
        }
    }
}

/// A pull that is shown. However it ends, an interrupt included, nothing is left moving on the
/// screen.
pub(crate) struct Shown(Arc<Progress>);

impl Shown {
    /// Starts; `held` is printed once the registry has answered, and not at all if it never does.
    pub(crate) fn new(style: Style, held: String) -> Self {
        Self(Progress::new(style, held))
    }

    /// Starts on something that is sent.
    pub(crate) fn sending(style: Style) -> Self {
        let progress = Progress::new(style, String::new());
        let mut state = progress.state();
        state.layers = state.layers.anew(Way::Push);
        drop(state);
        Self(progress)
    }

    /// What takes the pull's events.
    pub(crate) fn watch(&self) -> Arc<dyn Watch> {
        Arc::clone(&self.0) as _
    }

    /// Ends, and says whether everything could be printed.
    pub(crate) fn finish(self) -> Result<()> {
        self.0.finish()
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        // Whoever wants to know calls `finish`.
        drop(self.0.finish());
    }
}

impl Progress {
    fn new(style: Style, held: String) -> Arc<Self> {
        let layers = match style {
            Style::Quiet => Layers::None,
            Style::Plain => Layers::Plain(plain::Plain::default()),
            Style::Bars => Layers::Bars(bars::Bars::new(Way::Pull)),
        };
        Arc::new(Self {
            style,
            state: Mutex::new(State {
                held,
                layers,
                failed: None,
            }),
        })
    }

    /// Ends: nothing moves any more, and nothing is printed from here on. Fails if something could
    /// not be printed.
    fn finish(&self) -> Result<()> {
        let mut state = self.state();
        state.held.clear();
        if let Layers::Bars(mut bars) = std::mem::replace(&mut state.layers, Layers::Ended) {
            bars.finish();
        }
        state.failed.take().map_or(Ok(()), Err)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic in another thread leaves nothing half done here that matters.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Progress {
    fn event(&self, event: Event) {
        let mut state = self.state();
        if matches!(state.layers, Layers::Ended) {
            return;
        }
        match event {
            Event::Notice(text) => {
                let line = format!("WARNING: {text}\n");
                match &state.layers {
                    Layers::Bars(bars) => bars.suspend(|| say(&line)),
                    _ => say(&line),
                }
            }
            Event::Pulling { reference } if self.style != Style::Quiet => {
                let (what, heading) = words::heading(&reference);
                let text = format!("{}{what}: {heading}\n", std::mem::take(&mut state.held));
                state.line(&text);
            }
            Event::Layer { digest, status } => state.layer(&digest, &status),
            Event::Pushing { reference } => {
                state.layers = state.layers.anew(Way::Push);
                if self.style != Style::Quiet {
                    state.line(&(words::push_heading(&reference) + "\n"));
                }
            }
            Event::Pushed {
                reference,
                digest,
                size,
            } => {
                // The next name's layers are told of from the beginning, as Docker does.
                state.layers = state.layers.anew(Way::Push);
                if self.style != Style::Quiet {
                    state.line(&(words::pushed(&reference, &digest, size) + "\n"));
                }
            }
            Event::Pulling { .. } | Event::Pulled { .. } => {}
        }
    }
}

impl State {
    fn line(&mut self, text: &str) {
        let done = match &self.layers {
            Layers::Bars(bars) => bars.suspend(|| print(text)),
            _ => print(text),
        };
        self.keep(done);
    }

    fn layer(&mut self, digest: &Digest, status: &LayerStatus) {
        let line = match &mut self.layers {
            Layers::None | Layers::Ended => None,
            Layers::Plain(plain) => plain.line(digest, status),
            Layers::Bars(bars) => bars.update(digest, status),
        };
        if let Some(line) = line {
            self.line(&line);
        }
    }

    /// Whoever closed the pipe does not want the rest; the pull itself goes on.
    fn keep(&mut self, done: Result<()>) {
        if let Err(failure) = done {
            self.failed.get_or_insert(failure);
            self.layers = Layers::None;
        }
    }
}

/// What is said once everything of a reference is here.
pub(crate) fn summary(reference: &Reference, digest: &Digest, newer: bool) -> String {
    digest_line(digest) + &status(reference, newer)
}

/// Only its first line.
pub(crate) fn digest_line(digest: &Digest) -> String {
    words::digest(digest) + "\n"
}

/// Only its last line.
pub(crate) fn status(reference: &Reference, newer: bool) -> String {
    words::status(reference, newer) + "\n"
}

#[cfg(test)]
mod tests;
