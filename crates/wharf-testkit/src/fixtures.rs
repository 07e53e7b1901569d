//! OCI layouts, and the one with the images of the recorded scenarios.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::Deserialize;
use wharf_core::manifest::Kind;
use wharf_core::media_type::is_manifest;
use wharf_core::{Descriptor, Digest, Manifest};

use crate::registry::TestRegistry;

/// The annotation that names an image in a layout.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// An OCI image layout, in memory.
pub struct Layout {
    index: Vec<Descriptor>,
    blobs: HashMap<Digest, Bytes>,
}

#[derive(Deserialize)]
struct IndexFile {
    manifests: Vec<Descriptor>,
}

impl Layout {
    /// The images of the recorded scenarios.
    ///
    /// # Panics
    /// If they are not where the project keeps them.
    pub fn of_the_scenarios() -> Self {
        let path = scenarios().join("fixtures/fixtures.tar.zst");
        match Self::read_archive(&path) {
            Ok(layout) => layout,
            Err(error) => panic!("cannot read {}: {error}", path.display()),
        }
    }

    /// Reads a layout from a folder.
    ///
    /// # Errors
    /// If it isn't one.
    pub fn read_folder(folder: &Path) -> io::Result<Self> {
        let mut blobs = HashMap::new();
        for algorithm in fs::read_dir(folder.join("blobs"))? {
            let algorithm = algorithm?;
            for file in fs::read_dir(algorithm.path())? {
                let file = file?;
                let name = [algorithm.file_name(), file.file_name()].map(|n| n.into_string());
                if let [Ok(algorithm), Ok(hex)] = name {
                    add(&mut blobs, &algorithm, &hex, fs::read(file.path())?);
                }
            }
        }
        Self::new(&fs::read(folder.join("index.json"))?, blobs)
    }

    /// Reads a layout from a tar that is packed with zstd.
    ///
    /// # Errors
    /// If it isn't one.
    pub fn read_archive(path: &Path) -> io::Result<Self> {
        let mut archive = tar::Archive::new(zstd::Decoder::new(fs::File::open(path)?)?);
        let (mut index, mut blobs) = (Vec::new(), HashMap::new());
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = entry.path()?.to_string_lossy().into_owned();
            // The layout may lie in a folder of its own within the archive.
            let parts: Vec<&str> = path.split('/').collect();
            let mut bytes = Vec::new();
            match parts[..] {
                [.., "index.json"] => drop(entry.read_to_end(&mut index)?),
                [.., "blobs", algorithm, hex] if !hex.is_empty() => {
                    entry.read_to_end(&mut bytes)?;
                    add(&mut blobs, algorithm, hex, bytes);
                }
                _ => {}
            }
        }
        Self::new(&index, blobs)
    }

    fn new(index: &[u8], blobs: HashMap<Digest, Bytes>) -> io::Result<Self> {
        let index: IndexFile = serde_json::from_slice(index)?;
        Ok(Self {
            index: index.manifests,
            blobs,
        })
    }

    /// The names in it, with what they point to.
    pub fn names(&self) -> impl Iterator<Item = (&str, &Descriptor)> {
        self.index
            .iter()
            .filter_map(|entry| Some((entry.annotations.get(REF_NAME)?.as_str(), entry)))
    }

    /// A blob's bytes.
    pub fn blob(&self, digest: &Digest) -> Option<&Bytes> {
        self.blobs.get(digest)
    }

    /// Puts all images into a registry, under their names.
    ///
    /// # Panics
    /// If one is incomplete.
    pub fn push_all(&self, registry: &TestRegistry) {
        for (name, root) in self.names() {
            let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
            self.push(registry, repository, Some(tag), root);
        }
    }

    fn push(
        &self,
        registry: &TestRegistry,
        repository: &str,
        tag: Option<&str>,
        what: &Descriptor,
    ) {
        let bytes = self.get(&what.digest);
        let manifest =
            Manifest::parse(&what.media_type, bytes.clone()).expect("a fixture's manifest");
        let index = matches!(manifest.kind, Kind::Index(_));
        for child in manifest.children() {
            if index && is_manifest(&child.media_type) {
                self.push(registry, repository, None, child);
            } else {
                registry.push_blob(repository, &child.digest, self.get(&child.digest));
            }
        }
        registry.push_manifest(repository, tag, what, bytes);
    }

    fn get(&self, digest: &Digest) -> Bytes {
        match self.blobs.get(digest) {
            Some(bytes) => bytes.clone(),
            None => panic!("{digest} is not in the layout"),
        }
    }
}

/// The folder of the recorded scenarios.
pub fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/parity")
}

fn add(blobs: &mut HashMap<Digest, Bytes>, algorithm: &str, hex: &str, bytes: Vec<u8>) {
    // Anything else in the folder is no blob.
    if let Ok(digest) = format!("{algorithm}:{hex}").parse() {
        blobs.insert(digest, bytes.into());
    }
}
