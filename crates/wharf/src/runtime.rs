//! How commands run: the light ones on this thread alone, the others on several, until a signal
//! comes.
//!
//! `images`, `tag` and their like read and write rows; for them no thread is started and no signal
//! handler set, so that they are done in a few milliseconds.

use std::future::Future;
use std::io::{self, Read as _};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use rustix::param::page_size;
use rustix::process::{Resource, getrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{self, Failure, Result, interrupted};

/// The numbers of SIGHUP, SIGINT and SIGTERM.
const SIGHUP: u8 = 1;
const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;

/// How long the threads of a runtime have to begin. It takes them less than a millisecond, unless
/// the machine is overloaded.
const START_MAX: Duration = Duration::from_secs(10);

/// How often the threads of a probe are looked for after their end. Mostly they are gone at the first look.
const LOOKS_MAX: usize = 1000;

/// How much address space must be free at the start, in bytes: stacks of threads, tables of TLS
/// certificates, buffers. Below it any allocation may fail, also one that cannot report it.
const ADDRESS_SPACE_MIN: u64 = 64 * 1024 * 1024;

/// How large the main thread's stack must be able to grow, in bytes: what reads the command line
/// takes some 300 KiB without optimisation.
const STACK_MIN: u64 = 512 * 1024;

/// Refuses to run under a limit on the stack (`ulimit -s`) that would end the program by a signal.
pub(crate) fn check_stack() -> Result<()> {
    match getrlimit(Resource::Stack).current {
        Some(limit) if limit < STACK_MIN => Err(Failure::with_hint(
            format!("the limit on the stack is too low: {} KiB", limit / 1024),
            format!(
                "`ulimit -s {}` is the lowest that wharf runs with",
                STACK_MIN / 1024
            ),
        )),
        _ => Ok(()),
    }
}

/// Refuses to run under a limit on address space (`ulimit -v`) that cannot be kept: a program ends
/// by an abort where an allocation fails.
pub(crate) fn check_address_space() -> Result<()> {
    let Some(limit) = getrlimit(Resource::As).current else {
        return Ok(());
    };
    let mut buffer = [0; 32];
    let read = std::fs::File::open("/proc/self/statm")
        .and_then(|mut file| file.read(&mut buffer))
        .unwrap_or(0);
    // The first number is the address space in use, in pages. Without /proc nothing is known of it.
    let pages = buffer[..read].split(|&b| b == b' ').next();
    let pages = pages.and_then(|text| str::from_utf8(text).ok()?.parse::<u64>().ok());
    let used = pages.unwrap_or(0).saturating_mul(page_size() as u64);
    if limit.saturating_sub(used) >= ADDRESS_SPACE_MIN {
        return Ok(());
    }
    let needed = (used + ADDRESS_SPACE_MIN) / 1024;
    Err(Failure::with_hint(
        format!(
            "the limit on address space is too low: {} KiB",
            limit / 1024
        ),
        format!("`ulimit -v {needed}` is the lowest that wharf runs with; large images need more"),
    ))
}

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

/// Builds a runtime of several threads, all of which run.
fn several_threads() -> Result<Runtime> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    probe(workers).map_err(cannot_start)?;
    let started = Arc::new((Mutex::new(0), Condvar::new()));
    let counting = Arc::clone(&started);
    let runtime = build(move || {
        Builder::new_multi_thread()
            .worker_threads(workers)
            .enable_all()
            .on_thread_start(move || {
                *counting.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                counting.1.notify_all();
            })
            .build()
    })
    .map_err(cannot_start)?;
    let count = started.0.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = started
        .1
        .wait_timeout_while(count, START_MAX, |count| *count < workers);
    // Other processes may have used up what the probe has found: tokio goes on without a later thread.
    if waited.is_ok_and(|(_, timeout)| timeout.timed_out()) {
        runtime.shutdown_background();
        return Err(cannot_start(refused()));
    }
    Ok(runtime)
}

/// Builds a runtime. Where the system refuses a thread or the sockets that pass signals on, tokio
/// panics; this function returns an error.
pub(crate) fn build(builder: impl FnOnce() -> io::Result<Runtime>) -> io::Result<Runtime> {
    exit::without_panic_text(builder).unwrap_or_else(|| Err(refused()))
}

fn refused() -> io::Error {
    io::Error::new(
        io::ErrorKind::WouldBlock,
        "a limit on threads or open files is reached",
    )
}

/// Fails if the system does not start so many threads at once.
fn probe(threads: usize) -> io::Result<()> {
    let before = running_threads();
    let result = start_and_end(threads);
    // A thread that was joined counts for the limit until the system has removed it.
    for _ in 0..LOOKS_MAX {
        if running_threads() <= before {
            break;
        }
        thread::yield_now();
    }
    result
}

/// How many threads this process has; 0 without /proc.
fn running_threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

fn start_and_end(threads: usize) -> io::Result<()> {
    let gate = RwLock::new(());
    thread::scope(|scope| {
        let closed = gate.write();
        let started = (0..threads).try_for_each(|_| {
            wharf_os::thread::spawn_scoped(scope, "probe", || drop(gate.read())).map(drop)
        });
        drop(closed);
        started
    })
}

fn cannot_start(error: std::io::Error) -> Failure {
    Failure::error(format!("cannot start: {error}"))
}
