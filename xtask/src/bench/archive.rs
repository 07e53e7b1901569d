//! The image as a docker-archive with plain layers, as Docker's classic store writes it.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use flate2::bufread::GzDecoder;
use serde_json::{Value, json};

use super::image::Image;

/// How much is read or written at once, in bytes.
const BUFFER: usize = 1024 * 1024;
/// What counts as a small file, in bytes.
const SMALL_FILE: u64 = 16 * 1024;

/// The archive, and the layers in it, as files beside it.
pub(crate) struct Archive {
    /// The docker-archive.
    pub(crate) path: PathBuf,
    /// A small file at the end of the largest layer: its path in the image.
    pub(crate) small_file: String,
}

/// Makes the archive beside the image, or finds the one made before.
pub(crate) fn prepare(image: &Image, name: &str) -> anyhow::Result<Archive> {
    let blob = |digest: &Value| -> anyhow::Result<PathBuf> {
        let hex = digest
            .as_str()
            .and_then(|digest| digest.strip_prefix("sha256:"));
        Ok(image
            .layout
            .join("blobs/sha256")
            .join(hex.context("no digest")?))
    };
    let manifest: Value = serde_json::from_slice(&fs::read(
        image
            .layout
            .join("blobs/sha256")
            .join(image.manifest.digest.hex()),
    )?)?;
    let config = fs::read(blob(&manifest["config"]["digest"])?)?;
    let parsed: Value = serde_json::from_slice(&config)?;
    let layers = manifest["layers"].as_array().context("no layers")?;
    let diff_ids = parsed["rootfs"]["diff_ids"]
        .as_array()
        .context("no diff IDs")?;
    ensure!(
        layers.len() == diff_ids.len(),
        "the image has not been made right"
    );
    let small_file = small_file(&blob(&layers[0]["digest"])?)?;
    let path = image.layout.join("plain.tar");
    if path.exists() {
        return Ok(Archive { path, small_file });
    }
    let partial = image.layout.join("plain.tar.partial");
    let mut tar = tar::Builder::new(BufWriter::with_capacity(BUFFER, File::create(&partial)?));
    let mut names = Vec::new();
    for (layer, diff_id) in layers.iter().zip(diff_ids) {
        let hex = diff_id
            .as_str()
            .unwrap_or_default()
            .trim_start_matches("sha256:");
        let plain = image.layout.join("layer.partial");
        let mut from = gunzip(&blob(&layer["digest"])?)?;
        io::copy(&mut from, &mut File::create(&plain)?)?;
        names.push(format!("{hex}/layer.tar"));
        tar.append_path_with_name(&plain, format!("{hex}/layer.tar"))?;
        fs::remove_file(&plain)?;
    }
    let config_name = format!(
        "{}.json",
        blob(&manifest["config"]["digest"])?
            .file_name()
            .unwrap_or_default()
            .display()
    );
    append(&mut tar, &config_name, &config)?;
    let list = json!([{"Config": config_name, "RepoTags": [name], "Layers": names}]);
    append(&mut tar, "manifest.json", list.to_string().as_bytes())?;
    tar.into_inner()?.into_inner()?.sync_all()?;
    rustix::fs::rename(&partial, &path)?;
    Ok(Archive { path, small_file })
}

fn append(tar: &mut tar::Builder<impl io::Write>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, bytes)
}

fn gunzip(path: &Path) -> anyhow::Result<GzDecoder<BufReader<File>>> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    Ok(GzDecoder::new(BufReader::with_capacity(BUFFER, file)))
}

/// The last small file of a layer: reading it takes longest.
fn small_file(layer: &Path) -> anyhow::Result<String> {
    let mut tar = tar::Archive::new(gunzip(layer)?);
    let mut last = None;
    for entry in tar.entries()? {
        let entry = entry?;
        let small = entry.header().entry_type().is_file() && entry.size() <= SMALL_FILE;
        if small && entry.size() > 0 {
            last = Some(entry.path()?.to_string_lossy().into_owned());
        }
    }
    last.context("the image has no small file")
}
