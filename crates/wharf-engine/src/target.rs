//! What a finished file may be put in the place of: nothing, or an ordinary file.
//!
//! Files are written beside their place and renamed to it when they are whole. What is renamed over a device, a pipe
//! or a link takes its place, and as root that would be `/dev/null`'s.

use std::fs::FileType;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

/// Why a file cannot be written there; `None` if it can, or if that will be seen when it is tried. In Docker's words
/// (28.5: atomicwriter).
pub fn obstacle(path: &Path) -> Option<&'static str> {
    let there = std::fs::symlink_metadata(path).ok()?;
    words(there.file_type())
}

/// The folder that a file is in, or will be.
pub fn folder_of(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

fn words(kind: FileType) -> Option<&'static str> {
    Some(if kind.is_file() {
        return None;
    } else if kind.is_dir() {
        "cannot write to a directory"
    } else if kind.is_symlink() {
        "cannot write to a symbolic link directly"
    } else if kind.is_fifo() {
        "cannot write to a named pipe (FIFO)"
    } else if kind.is_socket() {
        "cannot write to a socket"
    } else if kind.is_char_device() {
        "cannot write to a character device file"
    } else {
        "cannot write to a block device file"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        assert_eq!(obstacle(&file), None);
        std::fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("s")).unwrap();
        let there = |path: &Path| obstacle(path).unwrap_or_default().to_owned();
        assert_eq!(there(&file), "");
        assert_eq!(there(&link), "cannot write to a symbolic link directly");
        assert_eq!(there(folder.path()), "cannot write to a directory");
        assert_eq!(there(&folder.path().join("s")), "cannot write to a socket");
        let null = Path::new("/dev/null");
        assert_eq!(there(null), "cannot write to a character device file");
    }
}
