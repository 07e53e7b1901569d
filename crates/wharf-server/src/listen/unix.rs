//! Making a unix socket: nobody reaches it before its mode and its group are right.
//!
//! It is made in a folder that only its owner may enter, and moved to its place once it is what it shall be. A
//! socket that an earlier server has left there is replaced; one that somebody listens on is not.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use nix::unistd::Group;
use tokio::net::UnixListener;

/// The group that may use the socket if nobody names another one: Docker's.
pub const DEFAULT_GROUP: &str = "docker";

/// For the owner alone, and for the group as well.
const MODE_OWNER: u32 = 0o600;
const MODE_GROUP: u32 = 0o660;

/// What the socket's folder is made with.
const MODE_FOLDER: u32 = 0o755;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody listens there already.
    #[error("{0}: another server listens there already")]
    InUse(PathBuf),
    /// Something else is there.
    #[error("{0} is there already, and no socket")]
    NotASocket(PathBuf),
    /// It cannot be made.
    #[error("cannot {verb} {path}: {source}")]
    Io {
        /// What was tried.
        verb: &'static str,
        /// The socket, or its folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// A socket's name, which goes with the server.
#[derive(Debug)]
pub struct Bound {
    path: PathBuf,
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "the socket stays");
        }
    }
}

/// Makes the socket at `path`, for its owner and, where there is such a group, for its members.
pub fn bind(path: &Path, group: &str) -> Result<(UnixListener, Bound), SocketError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    if !folder.is_dir() {
        fs::create_dir(folder).map_err(|e| failed("make the folder", folder, e))?;
        fs::set_permissions(folder, Permissions::from_mode(MODE_FOLDER))
            .map_err(|e| failed("make the folder", folder, e))?;
    }
    clear(path)?;
    let private = tempfile::Builder::new()
        .prefix(".wharf-")
        .tempdir_in(folder)
        .map_err(|e| failed("make a folder in", folder, e))?;
    let made = private.path().join("s");
    let listener = UnixListener::bind(&made).map_err(|e| failed("make", path, e))?;
    let mode = if give_to(&made, group) {
        MODE_GROUP
    } else {
        MODE_OWNER
    };
    fs::set_permissions(&made, Permissions::from_mode(mode))
        .map_err(|e| failed("set the permissions of", path, e))?;
    #[expect(
        clippy::disallowed_methods,
        reason = "a socket holds nothing that a power loss could take"
    )]
    fs::rename(&made, path).map_err(|e| failed("make", path, e))?;
    let path = path.to_owned();
    Ok((listener, Bound { path }))
}

fn failed(verb: &'static str, path: &Path, source: io::Error) -> SocketError {
    SocketError::Io {
        verb,
        path: path.to_owned(),
        source,
    }
}

/// Removes what an earlier server has left.
fn clear(path: &Path) -> Result<(), SocketError> {
    let about = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(|e| failed("look at", path, e))?,
    };
    if !about.file_type().is_socket() {
        return Err(SocketError::NotASocket(path.to_owned()));
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(SocketError::InUse(path.to_owned()));
    }
    fs::remove_file(path).map_err(|e| failed("replace", path, e))
}

/// Gives the socket to a group. False if there is no such group, or it is not ours to give to.
fn give_to(path: &Path, group: &str) -> bool {
    let found = match Group::from_name(group) {
        Ok(Some(found)) => found,
        Ok(None) => {
            tracing::info!(
                group,
                "there is no such group: the socket is its owner's alone"
            );
            return false;
        }
        Err(error) => {
            tracing::warn!(group, %error, "the group cannot be looked up");
            return false;
        }
    };
    match chown(path, None, Some(found.gid.as_raw())) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(group, %error, "the socket cannot be given to the group");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn a_socket_without_a_group_is_its_owner_s_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/wharf.sock");
        let (_listener, bound) = bind(&path, "no such group").unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        drop(bound);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_group_s_socket_is_the_group_s() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wharf.sock");
        let own = Group::from_gid(nix::unistd::getgid()).unwrap().unwrap();
        let (_listener, _bound) = bind(&path, &own.name).unwrap();
        assert_eq!(mode(&path), 0o660);
    }

    #[tokio::test]
    async fn replaces_what_is_dead_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wharf.sock");
        let (listener, bound) = bind(&path, "").unwrap();
        let again = bind(&path, "").unwrap_err();
        assert!(matches!(again, SocketError::InUse(_)), "{again}");
        drop(listener);
        std::mem::forget(bound);
        let (_listener, _bound) = bind(&path, "").unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        let refused = bind(&file, "").unwrap_err();
        assert!(matches!(refused, SocketError::NotASocket(_)), "{refused}");
    }
}
