//! The lists that are being put together: a folder for each, a file for each image in it, beside
//! Docker's `config.json` and in Docker's format, so that either program goes on with the other's.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use wharf_archive::outside::Destination;
use wharf_core::Reference;

use super::form::ListedImage;
use crate::context::Context;
use crate::exit::{Failure, Result};

/// The permissions of an entry: a list may name private images.
const MODE: u32 = 0o600;

/// Bounds one file, in bytes: a manifest, twice, one of them in base64.
const FILE_MAX: u64 = 16 * 1024 * 1024;

/// All lists.
pub(super) struct Lists {
    folder: PathBuf,
}

impl Lists {
    /// The user's.
    pub(super) fn of(context: &Context) -> Result<Self> {
        let config = context.environment.credentials().docker_config;
        let folder = config.and_then(|file| file.parent().map(|folder| folder.join("manifests")));
        let folder = folder.ok_or_else(|| {
            let message = "there is no home folder to keep manifest lists in";
            Failure::with_hint(message, "name a folder with DOCKER_CONFIG")
        })?;
        Ok(Self { folder })
    }

    /// A list's images, by their files' names; `None` if there is no such list.
    pub(super) fn get(&self, list: &Reference) -> Result<Option<Vec<ListedImage>>> {
        let folder = self.folder.join(file_name(list));
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries.map_err(|error| cannot("read", &folder, &error))?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry
                .map_err(|error| cannot("read", &folder, &error))?
                .path();
            // A file that was being written when something failed.
            let hidden = path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
            if !hidden {
                files.push(path);
            }
        }
        files.sort();
        let images: Result<Vec<_>> = files
            .iter()
            .filter_map(|file| read(file).transpose())
            .collect();
        Ok(Some(images?))
    }

    /// An image of a list.
    pub(super) fn image(&self, list: &Reference, image: &Reference) -> Result<Option<ListedImage>> {
        read(&self.folder.join(file_name(list)).join(file_name(image)))
    }

    /// Adds an image to a list, or replaces it.
    pub(super) fn set(
        &self,
        list: &Reference,
        image: &Reference,
        entry: &ListedImage,
    ) -> Result<()> {
        let folder = self.folder.join(file_name(list));
        let path = folder.join(file_name(image));
        let written = fs::create_dir_all(&folder).and_then(|()| {
            let file = Destination::open(&path)?.new_file()?;
            file.file().write_all(&serde_json::to_vec(entry)?)?;
            file.finish_durably(MODE)
        });
        written.map_err(|error| cannot("write", &path, &error))
    }

    /// Removes a list. Was it there?
    pub(super) fn remove(&self, list: &Reference) -> Result<bool> {
        let folder = self.folder.join(file_name(list));
        match fs::remove_dir_all(&folder) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(cannot("remove", &folder, &error)),
        }
    }
}

fn read(path: &Path) -> Result<Option<ListedImage>> {
    let bytes = match wharf_os::file::read(path, FILE_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(|error| cannot("read", path, &error))?,
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        Failure::with_hint(
            format!("{} is not a manifest of a list: {error}", path.display()),
            "`wharf manifest rm` removes the list it belongs to",
        )
    })
}

/// As Docker names them. No name leads out of the folder: `/` becomes `_`, and none begins with a dot.
fn file_name(reference: &Reference) -> String {
    reference.to_string().replace(':', "-").replace('/', "_")
}

fn cannot(verb: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::error(format!("cannot {verb} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_files_as_docker_does() {
        let name = |text: &str| file_name(&text.parse::<Reference>().unwrap());
        assert_eq!(
            name("127.0.0.1:5000/team/app:1"),
            "127.0.0.1-5000_team_app-1"
        );
        assert_eq!(name("busybox:musl"), "docker.io_library_busybox-musl");
    }
}
