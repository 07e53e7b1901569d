//! Starts threads, or says why none can be started.
//!
//! `std::thread::spawn` and `Scope::spawn` panic where the system refuses a thread: at a limit on
//! processes (`ulimit -u`, a container's `pids.max`) or on memory (`ulimit -v`). `clippy.toml`
//! forbids them, so that every start goes through this module.

use std::io;
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};

/// Starts a thread. Where it fails, `work` is dropped, and with it its ends of all channels.
pub fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let thread = Builder::new().name(name.to_owned()).spawn(work);
    thread.map_err(refused)
}

/// Starts a thread of a scope. Where it fails, `work` is dropped, and with it its ends of all
/// channels.
pub fn spawn_scoped<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, T>> {
    let thread = Builder::new()
        .name(name.to_owned())
        .spawn_scoped(scope, work);
    thread.map_err(refused)
}

fn refused(error: io::Error) -> io::Error {
    let reason =
        format!("cannot start a thread, which a limit on processes or memory may cause: {error}");
    io::Error::new(error.kind(), reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_s_result_comes_back() {
        assert_eq!(spawn("seven", || 7).unwrap().join().unwrap(), 7);
        let number = 8;
        let result = std::thread::scope(|scope| {
            let thread = spawn_scoped(scope, "eight", || number).unwrap();
            thread.join().unwrap()
        });
        assert_eq!(result, 8);
    }

    #[test]
    fn a_refusal_says_what_to_look_at() {
        let error = refused(io::ErrorKind::WouldBlock.into());
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(error.to_string().contains("a limit on processes or memory"));
    }
}
