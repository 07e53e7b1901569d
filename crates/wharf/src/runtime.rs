//! How commands run: the light ones on this thread alone, the others on several, until a signal
//! comes.
//!
//! `images`, `tag` and their like read and write rows; for them no thread is started and no signal
//! handler set, so that they are done in a few milliseconds.

use std::future::Future;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::{Failure, Result, interrupted};

/// SIGINT's and SIGTERM's numbers.
const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;

/// Runs what needs neither network nor time.
pub(crate) fn light<T>(work: impl Future<Output = T>) -> Result<T> {
    let runtime = Builder::new_current_thread()
        .build()
        .map_err(cannot_start)?;
    Ok(runtime.block_on(work))
}

/// Runs what needs the network, until it is done or a signal ends it.
pub(crate) fn heavy<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(cannot_start)?;
    let result = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot_start)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(cannot_start)?;
        tokio::select! {
            result = work => result,
            _ = interrupt.recv() => Err(interrupted(SIGINT)),
            _ = terminate.recv() => Err(interrupted(SIGTERM)),
        }
    });
    // Threads that still write are cut off as by a crash: the store is made for that.
    runtime.shutdown_background();
    result
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
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(cannot_start)?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

fn cannot_start(error: std::io::Error) -> Failure {
    Failure::error(format!("cannot start: {error}"))
}
