//! How commands run: the light ones on this thread alone, the others on several, until a signal
//! comes.
//!
//! `images`, `tag` and their like read and write rows; for them no thread is started and no signal
//! handler set, so that they are done in a few milliseconds.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{self, Failure, Result, interrupted};

/// The numbers of SIGHUP, SIGINT and SIGTERM.
const SIGHUP: u8 = 1;
const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;

/// Makes a write beyond the limit on a file's size (`ulimit -f`) an error, where the signal would
/// end the program without a word. Programs that wharf starts find the signal as it was.
pub(crate) fn report_file_size_limit() -> Result<()> {
    let flag = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, flag).map_err(cannot_start)?;
    Ok(())
}

/// Runs what needs neither network nor time.
pub(crate) fn light<T>(work: impl Future<Output = T>) -> Result<T> {
    let runtime = Builder::new_current_thread()
        .build()
        .map_err(cannot_start)?;
    Ok(runtime.block_on(work))
}

/// Runs what needs the network, until it is done or a signal ends it.
pub(crate) fn heavy<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = several_threads()?;
    let result = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot_start)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(cannot_start)?;
        let mut hangup = hangup()?;
        tokio::select! {
            result = work => result,
            _ = interrupt.recv() => Err(interrupted(SIGINT)),
            _ = terminate.recv() => Err(interrupted(SIGTERM)),
            () = received(hangup.as_mut()) => Err(interrupted(SIGHUP)),
        }
    });
    // Threads that still write are cut off as by a crash: the store is made for that.
    runtime.shutdown_background();
    result
}

/// Tells when the terminal is closed. Returns `None` if `nohup` asked to ignore that: asking for the signal would
/// end it.
fn hangup() -> Result<Option<Signal>> {
    if !crate::interrupt::heeds(SIGHUP) {
        return Ok(None);
    }
    signal(SignalKind::hangup()).map(Some).map_err(cannot_start)
}

/// Waits for a signal, or for ever.
async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Becomes ready with the first signal that asks the program to end: for servers, which end well. From this call on
/// no signal is missed, whether anybody waits yet or not.
pub(crate) fn told_to_end() -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot_start)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot_start)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Runs a server, which minds signals itself.
pub(crate) fn server<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = several_threads()?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

/// Builds a runtime of several threads. One that runs only some of them is good enough.
fn several_threads() -> Result<Runtime> {
    let probe = wharf_os::thread::spawn("probe", || ()).map_err(cannot_start)?;
    // It does nothing that could fail.
    probe.join().ok();
    let built = exit::without_panic_text(|| Builder::new_multi_thread().enable_all().build());
    // tokio panics where its first thread cannot be started: other processes may have used up what
    // the probe has found.
    let refused = io::Error::new(io::ErrorKind::WouldBlock, "the system refuses a thread");
    built.unwrap_or(Err(refused)).map_err(cannot_start)
}

fn cannot_start(error: std::io::Error) -> Failure {
    Failure::error(format!("cannot start: {error}"))
}
