//! Points at which a test kills the process. Nothing of it is in the program that users run.

/// Ends the process at once, without any of its destructors, if the test asked for this point.
#[cfg(test)]
pub(crate) fn point(name: &str) {
    if KILL_AT.get().is_some_and(|wanted| wanted == name) {
        let this = rustix::process::getpid();
        let killed = rustix::process::kill_process(this, rustix::process::Signal::KILL);
        unreachable!("still alive after SIGKILL: {killed:?}");
    }
}

/// Which point kills this process.
#[cfg(test)]
pub(crate) static KILL_AT: std::sync::OnceLock<String> = std::sync::OnceLock::new();

#[cfg(not(test))]
pub(crate) fn point(_: &str) {}

/// Fails if a test has filled the disk that holds a file.
#[cfg(test)]
pub(crate) fn disk(path: &std::path::Path) -> std::io::Result<()> {
    let full = FULL
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if full.iter().any(|full| full == path) {
        return Err(std::io::ErrorKind::StorageFull.into());
    }
    Ok(())
}

/// The files that are on a full disk.
#[cfg(test)]
pub(crate) static FULL: std::sync::Mutex<Vec<std::path::PathBuf>> =
    std::sync::Mutex::new(Vec::new());

#[cfg(not(test))]
pub(crate) const fn disk(_: &std::path::Path) -> std::io::Result<()> {
    Ok(())
}
