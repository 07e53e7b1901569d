//! Signals while files are written outside of the store: what is not finished goes away before the program
//! ends.
//!
//! A thread waits for SIGINT, SIGTERM and SIGHUP. A signal that was ignored when the program began, as `nohup` and
//! shells without job control ask for, stays ignored.

use std::fs;
use std::io;
use std::thread;

use futures_util::future::select_all;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use wharf_archive::outside;

use crate::exit::{self, Failure, Result};
use crate::runtime;

/// The signals that ask a program to end.
const SIGNALS: [u8; 3] = [SIGHUP, 2, 15];

/// A terminal was closed.
const SIGHUP: u8 = 1;

/// Tells whether a signal is not ignored.
pub(crate) fn heeds(number: u8) -> bool {
    ignored() & (1 << (number - 1)) == 0
}

/// The signals that are ignored, as bits; Linux says it, and no safe call does.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

/// Does something that writes files outside of the store. A signal removes what is not finished, and ends the
/// program.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let ignored = ignored();
    watch(ignored).map_err(|error| Failure::error(format!("cannot start: {error}")))?;
    let result = work();
    if let Err(Failure::Signal { number, .. }) = &result {
        // The work has heard of the signal first. The files that it did not finish go all the same.
        outside::abandon();
        exit::end_by_signal(*number)
    }
    while outside::is_abandoned() {
        // The other thread removes files and ends the program. What failed here failed because of that.
        thread::park();
    }
    result
}

fn watch(ignored: u64) -> io::Result<()> {
    let runtime = runtime::build(|| Builder::new_current_thread().enable_all().build())?;
    let within = runtime.enter();
    let mut all: Vec<(u8, Signal)> = Vec::new();
    for number in SIGNALS {
        if ignored & (1 << (number - 1)) == 0 {
            all.push((number, signal(SignalKind::from_raw(number.into()))?));
        }
    }
    drop(within);
    if all.is_empty() {
        return Ok(());
    }
    let wait = move || {
        let waits = all.iter_mut().map(|(number, signal)| {
            let number = *number;
            Box::pin(async move {
                signal.recv().await;
                number
            })
        });
        let (number, ..) = runtime.block_on(select_all(waits));
        outside::abandon();
        exit::end_by_signal(number)
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(wait)?;
    Ok(())
}
