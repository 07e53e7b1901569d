//! A bar per layer that is under way, and a line for all: for terminals.
//!
//! A layer that is done leaves its last line above the bars and gives its room to the next. So
//! there are never more lines that move than the terminal has, whatever the number of layers, and
//! what stays on the screen reads as Docker's output.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use wharf_core::human;
use wharf_core::{Digest, LayerStatus};

use super::rate::Rate;
use crate::arguments::terminal_width;
use crate::print::terminal;
use wharf_engine::words::{self, Way};

/// A bar's text is made anew at most so often: more only flickers, and takes time from the pull.
const REDRAW: Duration = Duration::from_millis(100);
/// Lines of the terminal that bars leave free: the line for all, and the cursor's.
const LINES_FREE: usize = 2;
/// How many lines a terminal has that does not say it.
const LINES_DEFAULT: usize = 24;
/// How wide a bar is at most, and at least; where there is less room there is none.
const BAR_MAX: usize = 40;
const BAR_MIN: usize = 10;
/// How wide the two sizes are: `1.03MB/2.05GB`, `1e+03kB/1e+03kB`. The bars of all layers end in
/// one column, whatever their sizes.
const SIZES_WIDTH: usize = 15;
/// How wide everything is but the bar: `b90dda330915: Downloading [] `, sizes, `  95.1MB/s  1m20s`.
const TEXT_WIDTH: usize = 29 + SIZES_WIDTH + 18;

/// The bars of one pull.
pub(super) struct Bars {
    way: Way,
    screen: MultiProgress,
    total: ProgressBar,
    layers: HashMap<Digest, Layer>,
    all: Rate,
    drawn: Option<Instant>,
}

/// One layer.
struct Layer {
    bar: Option<ProgressBar>,
    done: u64,
    size: Option<u64>,
    complete: bool,
    rate: Rate,
    drawn: Option<Instant>,
}

impl Bars {
    /// Starts with none, for bytes that go this way.
    pub(super) fn new(way: Way) -> Self {
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        let total = screen.add(line());
        Self {
            way,
            screen,
            total,
            layers: HashMap::new(),
            all: Rate::default(),
            drawn: None,
        }
    }

    /// Takes note of a change; the answer is a line that stays.
    pub(super) fn update(&mut self, digest: &Digest, status: &LayerStatus) -> Option<String> {
        let (now, way) = (Instant::now(), self.way);
        let room = room().saturating_sub(self.layers.values().filter(|l| l.bar.is_some()).count());
        let layer = self.layers.entry(digest.clone()).or_insert_with(Layer::new);
        let text = match status {
            LayerStatus::Exists | LayerStatus::Complete | LayerStatus::Mounted { .. } => {
                layer.finish(&self.screen);
                self.draw_total(now, true);
                let change = words::change(way, status)?;
                return Some(format!("{}: {change}\n", digest.short()));
            }
            LayerStatus::Downloading { done, total } | LayerStatus::Uploading { done, total } => {
                layer.note(now, *done, *total);
                if !due(&mut layer.drawn, now, *done == *total) {
                    return None;
                }
                Some(layer.moving(way, now))
            }
            LayerStatus::Waiting { total } => {
                layer.size = Some(*total);
                None
            }
            LayerStatus::Retrying { reason, .. } => {
                layer.rate = Rate::default();
                words::change(way, status).map(|change| format!("{change} ({reason})"))
            }
            other => words::change(way, other),
        };
        if layer.bar.is_none() && room > 0 && !matches!(status, LayerStatus::Waiting { .. }) {
            layer.bar = Some(self.screen.insert_before(&self.total, line()));
        }
        if let (Some(bar), Some(text)) = (&layer.bar, text) {
            // The library draws the line itself: what comes from outside in it is made safe here.
            let text = terminal::safe(&text);
            bar.set_message(format!("{}: {text}", digest.short()));
        }
        self.draw_total(now, false);
        None
    }

    /// Prints something above the bars.
    pub(super) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.screen.suspend(print)
    }

    /// Takes all bars away.
    pub(super) fn finish(&mut self) {
        for layer in self.layers.values_mut() {
            layer.finish(&self.screen);
        }
        self.total.finish_and_clear();
    }

    /// `3/7 layers  123MB/414MB  95.1MB/s  3s`.
    fn draw_total(&mut self, now: Instant, force: bool) {
        if !due(&mut self.drawn, now, force) {
            return;
        }
        let layers = self.layers.values();
        let complete = layers.clone().filter(|layer| layer.complete).count();
        let done: u64 = layers.clone().map(|layer| layer.done).sum();
        let total: u64 = layers.clone().filter_map(|layer| layer.size).sum();
        self.all.note(now, done);
        let rate = self.all.describe(now, done, Some(total));
        let text = format!(
            "{complete}/{} layers  {}/{}  {rate}",
            layers.len(),
            human::table_size(done),
            human::table_size(total)
        );
        self.total.set_message(text.trim_end().to_owned());
    }
}

impl Layer {
    fn new() -> Self {
        Self {
            bar: None,
            done: 0,
            size: None,
            complete: false,
            rate: Rate::default(),
            drawn: None,
        }
    }

    fn note(&mut self, now: Instant, done: u64, total: u64) {
        self.done = done;
        self.size = Some(total);
        self.rate.note(now, done);
    }

    fn finish(&mut self, screen: &MultiProgress) {
        self.complete = true;
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
            screen.remove(&bar);
        }
    }

    fn moving(&self, way: Way, now: Instant) -> String {
        let verb = match way {
            Way::Pull => "Downloading",
            Way::Push => "Pushing",
        };
        let total = self.size.unwrap_or(self.done);
        let sizes = format!(
            "{}/{}",
            human::table_size(self.done),
            human::table_size(total)
        );
        let rate = self.rate.describe(now, self.done, Some(total));
        let tail = format!("{sizes:>SIZES_WIDTH$}  {rate}");
        match terminal_width().saturating_sub(TEXT_WIDTH).min(BAR_MAX) {
            0..BAR_MIN => tail.trim().to_owned(),
            width => {
                let bar = bar(self.done, total, width);
                format!("{verb} [{bar}] {}", tail.trim_end())
            }
        }
    }
}

/// Docker's bar: `=====>    `.
fn bar(done: u64, total: u64, width: usize) -> String {
    let part = u128::from(done.min(total)) * width as u128 / u128::from(total.max(1));
    let filled = usize::try_from(part).unwrap_or(width).min(width);
    let head = if filled < width { ">" } else { "" };
    format!(
        "{:=<filled$}{head}{:rest$}",
        "",
        "",
        rest = width - filled - head.len()
    )
}

/// Is it time to draw again?
fn due(drawn: &mut Option<Instant>, now: Instant, force: bool) -> bool {
    let due = force || drawn.is_none_or(|last| now.duration_since(last) >= REDRAW);
    if due {
        *drawn = Some(now);
    }
    due
}

/// A line that shows its message, cut to the terminal's width.
fn line() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_msg}");
    let bar = ProgressBar::new_spinner();
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// How many bars there is room for.
fn room() -> usize {
    let lines = match rustix::termios::tcgetwinsize(rustix::stdio::stdout()) {
        Ok(size) if size.ws_row > 0 => usize::from(size.ws_row),
        _ => LINES_DEFAULT,
    };
    lines.saturating_sub(LINES_FREE).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_the_layer() {
        assert_eq!(bar(0, 100, 10), ">         ");
        assert_eq!(bar(50, 100, 10), "=====>    ");
        assert_eq!(bar(100, 100, 10), "==========");
        assert_eq!(bar(7, 0, 10), ">         ");
        assert_eq!(bar(u64::MAX, u64::MAX, 10), "==========");
    }

    #[test]
    fn a_layer_that_is_done_leaves_its_line() {
        let (mut bars, digest) = (Bars::new(Way::Pull), Digest::of(b"layer"));
        for status in [
            LayerStatus::Waiting { total: 2 },
            LayerStatus::Downloading { done: 1, total: 2 },
            LayerStatus::Retrying {
                seconds: 1,
                reason: "reset".into(),
            },
            LayerStatus::Downloading { done: 2, total: 2 },
            LayerStatus::Verifying,
            LayerStatus::Downloaded,
        ] {
            assert_eq!(bars.update(&digest, &status), None);
        }
        let line = bars.update(&digest, &LayerStatus::Complete);
        assert_eq!(line, Some(format!("{}: Pull complete\n", digest.short())));
        bars.finish();
    }
}
