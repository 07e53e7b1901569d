//! Opens regular files at paths from settings, the environment, arguments and shared folders.
//!
//! A named pipe, a device, a socket or a folder can stand at such a path. To open a named pipe
//! waits for a writer, and to open some devices has effects. So the type is checked before the
//! open, the open does not wait, and the type is checked again on the open file.

use std::fs::{File, FileType, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// The numbers of `/dev/null`: the device that stands for an empty file.
const NULL_DEVICE: (u32, u32) = (1, 3);

/// Opens a regular file for reading, and follows links.
///
/// Fails with [`io::ErrorKind::IsADirectory`] for a folder, and with
/// [`io::ErrorKind::InvalidInput`] for anything else that is not a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    check(&std::fs::metadata(path)?)?;
    open_checked(path)
}

/// Reads a whole file of at most `max` bytes. `/dev/null` is an empty file.
///
/// Fails as [`open`] does, and with [`io::ErrorKind::FileTooLarge`] for a longer file.
pub fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let about = std::fs::metadata(path)?;
    if is_null_device(&about) {
        return Ok(Vec::new());
    }
    check(&about)?;
    let mut bytes = Vec::new();
    open_checked(path)?.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        let reason = format!("it has more than {max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(bytes)
}

/// Reads a whole text file of at most `max` bytes. Fails as [`read`] does, and for bytes that are
/// not UTF-8.
pub fn read_text(path: &Path, max: u64) -> io::Result<String> {
    String::from_utf8(read(path, max)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

fn open_checked(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    // The path may lead to something else by now.
    check(&file.metadata()?)?;
    Ok(file)
}

fn check(about: &Metadata) -> io::Result<()> {
    if about.is_file() {
        return Ok(());
    }
    let kind = if about.is_dir() {
        io::ErrorKind::IsADirectory
    } else {
        io::ErrorKind::InvalidInput
    };
    let reason = format!("it is {}, not a regular file", name(about.file_type()));
    Err(io::Error::new(kind, reason))
}

fn name(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_block_device() || kind.is_char_device() => "a device",
        _ => "a special file",
    }
}

fn is_null_device(about: &Metadata) -> bool {
    let number = about.rdev();
    about.file_type().is_char_device()
        && (rustix::fs::major(number), rustix::fs::minor(number)) == NULL_DEVICE
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, FileType as Kind, mknodat};

    use super::*;

    #[test]
    fn reads_a_regular_file_up_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&path, "12345").unwrap();
        symlink(&path, &link).unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert_eq!(read_text(&link, 5).unwrap(), "12345");
        let error = read(&path, 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "it has more than 4 bytes");
        std::fs::write(&path, b"\xff").unwrap();
        assert_eq!(
            read_text(&path, 5).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }

    #[test]
    fn refuses_everything_that_is_not_a_regular_file_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        mknodat(CWD, at("pipe"), Kind::Fifo, Mode::RUSR, 0).unwrap();
        symlink(at("pipe"), at("link")).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        for (path, kind) in [
            (at("pipe"), "a named pipe"),
            (at("link"), "a named pipe"),
            (at("socket"), "a socket"),
            (at(""), "a directory"),
            ("/dev/zero".into(), "a device"),
        ] {
            let expected = format!("it is {kind}, not a regular file");
            assert_eq!(open(&path).unwrap_err().to_string(), expected);
            assert_eq!(read(&path, 9).unwrap_err().to_string(), expected);
        }
        // What the check on the path alone would let pass after an exchange.
        let exchanged = open_checked(&at("pipe")).unwrap_err();
        assert_eq!(exchanged.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn the_null_device_is_an_empty_file() {
        assert_eq!(read(Path::new("/dev/null"), 9).unwrap(), b"");
        assert!(open(Path::new("/dev/null")).is_err());
    }

    #[test]
    fn what_is_absent_is_said_to_be_absent() {
        let folder = tempfile::tempdir().unwrap();
        let error = open(&folder.path().join("x")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        symlink("loop", folder.path().join("loop")).unwrap();
        assert!(open(&folder.path().join("loop")).is_err());
    }
}
