//! An image made out of the machine's own /usr, as an OCI layout under bench/work.
//!
//! Real files compress and inflate as real images do, which zeros and random bytes do not. It is
//! made once and kept; `index.json` is written last, and says that it is complete.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use anyhow::{Context as _, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use wharf_core::{Descriptor, Digest, Hasher, digest::Algorithm, media_type};

/// Where the files come from.
const SOURCE: &str = "/usr";
/// Each layer's share of the image, in percent: a base, some runtimes, an application, as in real ones.
const SHARES: [u64; 7] = [27, 22, 18, 13, 10, 7, 3];
/// What `docker build` and most other builders use.
const GZIP_LEVEL: u32 = 6;
/// What the image is called in its layout.
pub(crate) const TAG: &str = "1";
/// How much is written to a layer's file at once, in bytes.
const BUFFER: usize = 1024 * 1024;

/// An image on this disk.
pub(crate) struct Image {
    /// Its OCI layout.
    pub(crate) layout: PathBuf,
    /// Its manifest.
    pub(crate) manifest: Descriptor,
    /// The sum of the layers' tars, in bytes.
    pub(crate) unpacked: u64,
    /// The sum of the layers' blobs, in bytes.
    pub(crate) compressed: u64,
    /// How many layers it has.
    pub(crate) layers: usize,
}

impl Image {
    /// Its layers' files, the base first.
    pub(crate) fn layer_files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let blobs = self.layout.join("blobs/sha256");
        let document: Value =
            serde_json::from_slice(&fs::read(blob(&blobs, &self.manifest.digest))?)?;
        let layers: Vec<Descriptor> = serde_json::from_value(document["layers"].clone())?;
        Ok(layers.iter().map(|l| blob(&blobs, &l.digest)).collect())
    }

    /// Another image of the same layout, of some of its layers.
    pub(crate) fn with(&self, config: &Value, mut manifest: Value) -> anyhow::Result<Self> {
        let blobs = self.layout.join("blobs/sha256");
        manifest["config"] = serde_json::to_value(put(&blobs, media_type::OCI_CONFIG, config)?)?;
        let layers = manifest["layers"].as_array().map_or(0, Vec::len);
        Ok(Self {
            layout: self.layout.clone(),
            manifest: put(&blobs, media_type::OCI_MANIFEST, &manifest)?,
            unpacked: self.unpacked,
            compressed: self.compressed,
            layers,
        })
    }
}

/// A layer that was written.
struct Layer {
    descriptor: Descriptor,
    diff_id: Digest,
    unpacked: u64,
}

/// Makes an image of `size` bytes, unpacked, in `layers` layers, or finds the one made before.
pub(crate) fn prepare(layout: &Path, size: u64, layers: usize) -> anyhow::Result<Image> {
    if let Ok(index) = fs::read(layout.join("index.json")) {
        return read(layout, &serde_json::from_slice(&index)?);
    }
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| format!("cannot make {}", blobs.display()))?;
    let plan = plan(Path::new(SOURCE), size, &SHARES[..layers])?;
    let written = write_all(&blobs, &plan)?;
    let config = config(&written);
    let manifest = manifest(&put(&blobs, media_type::OCI_CONFIG, &config)?, &written);
    let mut descriptor = put(&blobs, media_type::OCI_MANIFEST, &manifest)?;
    let unpacked: u64 = written.iter().map(|layer| layer.unpacked).sum();
    descriptor
        .annotations
        .insert("unpacked".into(), unpacked.to_string());
    descriptor
        .annotations
        .insert("org.opencontainers.image.ref.name".into(), TAG.into());
    fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    let index = json!({"schemaVersion": 2, "manifests": [descriptor]});
    fs::write(layout.join("index.json"), index.to_string())?;
    read(layout, &index)
}

fn read(layout: &Path, index: &Value) -> anyhow::Result<Image> {
    let manifest: Descriptor = serde_json::from_value(index["manifests"][0].clone())?;
    let path = blob(&layout.join("blobs/sha256"), &manifest.digest);
    let document: Value = serde_json::from_slice(&fs::read(path)?)?;
    let layers: Vec<Descriptor> = serde_json::from_value(document["layers"].clone())?;
    Ok(Image {
        layout: layout.to_owned(),
        unpacked: manifest
            .annotations
            .get("unpacked")
            .context("no size")?
            .parse()?,
        compressed: layers.iter().map(|layer| layer.size).sum(),
        layers: layers.len(),
        manifest,
    })
}

/// Which files go into which layer: as many as the size asks for, evenly from all of the source, so
/// that the image compresses as the source does and not as the folder that comes first by name.
fn plan(source: &Path, size: u64, shares: &[u64]) -> anyhow::Result<Vec<Vec<PathBuf>>> {
    let all = files(source);
    let whole: u64 = all.iter().map(|(_, length)| length).sum();
    ensure!(
        whole >= size,
        "{} has less than {} MB of files; an image of that size cannot be made of it",
        source.display(),
        size / 1_000_000
    );
    let mut layers = vec![Vec::new(); shares.len()];
    let (mut passed, mut taken) = (0, 0);
    for (path, length) in all {
        passed += length;
        // What should have been taken by now, rounded to whole files.
        if taken + length / 2 <= part(passed, size, whole) {
            layers[layer_at(taken, size, shares)].push(path);
            taken += length;
        }
    }
    Ok(layers)
}

/// Regular files and symbolic links below a folder, in order of names, with their lengths in bytes.
fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let (mut found, mut left) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(path) = left.pop() {
        match path.symlink_metadata() {
            Ok(about) if about.is_dir() => left.extend(inside_last_first(&path)),
            Ok(about) if about.is_file() => found.push((path, about.len())),
            Ok(about) if about.is_symlink() => found.push((path, 0)),
            // What cannot be read, or is a device or a socket, stays out.
            _ => {}
        }
    }
    found
}

/// What is in a folder, the last name first; nothing if it cannot be read.
fn inside_last_first(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort_by(|a, b| b.cmp(a));
    paths
}

/// The layer that the byte at this place of the image is in.
fn layer_at(place: u64, size: u64, shares: &[u64]) -> usize {
    let whole: u64 = shares.iter().sum();
    let ends = shares.iter().scan(0, |end, share| {
        *end += share;
        Some(part(*end, size, whole))
    });
    ends.take_while(|end| *end <= place)
        .count()
        .min(shares.len() - 1)
}

/// `size` × `numerator` / `denominator`, without an overflow in between.
fn part(numerator: u64, size: u64, denominator: u64) -> u64 {
    let product = u128::from(size) * u128::from(numerator) / u128::from(denominator.max(1));
    u64::try_from(product).unwrap_or(u64::MAX)
}

/// Writes the layers on all cores: the largest first, since they come first.
fn write_all(blobs: &Path, plan: &[Vec<PathBuf>]) -> anyhow::Result<Vec<Layer>> {
    let next = Mutex::new(plan.iter().enumerate());
    let done = Mutex::new(Vec::new());
    let worker = || -> anyhow::Result<()> {
        loop {
            let taken = next.lock().map(|mut next| next.next());
            let Ok(Some((number, paths))) = taken else {
                return Ok(());
            };
            let layer = write_layer(blobs, number, paths)
                .with_context(|| format!("cannot write layer {number}"))?;
            if let Ok(mut done) = done.lock() {
                done.push((number, layer));
            }
        }
    };
    thread::scope(|scope| -> anyhow::Result<()> {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        running
            .into_iter()
            .try_for_each(|r| r.join().map_err(|_| anyhow::anyhow!("a thread broke"))?)
    })?;
    let mut layers = done.into_inner().unwrap_or_default();
    layers.sort_by_key(|(number, _)| *number);
    Ok(layers.into_iter().map(|(_, layer)| layer).collect())
}

fn write_layer(blobs: &Path, number: usize, paths: &[PathBuf]) -> anyhow::Result<Layer> {
    let partial = blobs.join(format!("layer-{number}.partial"));
    let file = BufWriter::with_capacity(BUFFER, File::create(&partial)?);
    let gzip = GzEncoder::new(Hashing::new(file), Compression::new(GZIP_LEVEL));
    let mut tar = tar::Builder::new(Hashing::new(gzip));
    let mut parents = HashSet::new();
    for path in paths {
        append(&mut tar, path, &mut parents)
            .with_context(|| format!("cannot pack {}", path.display()))?;
    }
    let (gzip, diff_id, unpacked) = tar.into_inner()?.finish();
    let (file, digest, size) = gzip.finish()?.finish();
    file.into_inner()?;
    rustix::fs::rename(&partial, blob(blobs, &digest))?;
    let descriptor = Descriptor::new(media_type::OCI_LAYER_GZIP, digest, size);
    Ok(Layer {
        descriptor,
        diff_id,
        unpacked,
    })
}

/// Adds a file or a symbolic link, and before it the folders above it that this layer lacks.
fn append(
    tar: &mut tar::Builder<impl Write>,
    path: &Path,
    parents: &mut HashSet<PathBuf>,
) -> io::Result<()> {
    let above: Vec<&Path> = path
        .ancestors()
        .skip(1)
        .filter(|p| p.parent().is_some())
        .collect();
    for folder in above.into_iter().rev() {
        if parents.insert(folder.to_owned()) {
            let mut header = header(folder)?;
            header.set_size(0);
            tar.append_data(&mut header, inside(folder), io::empty())?;
        }
    }
    let mut header = header(path)?;
    if header.entry_type().is_symlink() {
        return tar.append_link(&mut header, inside(path), fs::read_link(path)?);
    }
    // A file that shrinks under our hands must not shift what comes after it.
    let size = header.size()?;
    let bytes = File::open(path)?.chain(io::repeat(0)).take(size);
    tar.append_data(&mut header, inside(path), bytes)
}

fn header(path: &Path) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_gnu();
    header.set_metadata(&path.symlink_metadata()?);
    Ok(header)
}

fn inside(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

fn config(layers: &[Layer]) -> Value {
    let diff_ids: Vec<&Digest> = layers.iter().map(|layer| &layer.diff_id).collect();
    let architecture = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    json!({
        "architecture": architecture,
        "os": "linux",
        "created": "2025-01-01T00:00:00Z",
        "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
}

fn manifest(config: &Descriptor, layers: &[Layer]) -> Value {
    let layers: Vec<&Descriptor> = layers.iter().map(|layer| &layer.descriptor).collect();
    json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": config,
        "layers": layers,
    })
}

fn put(blobs: &Path, media_type: &str, document: &Value) -> io::Result<Descriptor> {
    let bytes = document.to_string().into_bytes();
    let descriptor = Descriptor::of(media_type, &bytes);
    fs::write(blob(blobs, &descriptor.digest), bytes)?;
    Ok(descriptor)
}

/// Where a layout keeps a blob.
pub(crate) fn blob(blobs: &Path, digest: &Digest) -> PathBuf {
    blobs.join(digest.hex())
}

/// Computes the digest and the length of what passes.
struct Hashing<W> {
    to: W,
    hasher: Hasher,
    length: u64,
}

impl<W: Write> Hashing<W> {
    fn new(to: W) -> Self {
        Self {
            to,
            hasher: Hasher::new(Algorithm::Sha256),
            length: 0,
        }
    }

    fn finish(self) -> (W, Digest, u64) {
        (self.to, self.hasher.finish(), self.length)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_taken_evenly_and_layers_get_their_shares() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..200 {
            fs::write(folder.path().join(format!("{number:03}")), [0; 500]).unwrap();
        }
        let layers = plan(folder.path(), 50_000, &[60, 40]).unwrap();
        let lengths: Vec<usize> = layers.iter().map(Vec::len).collect();
        assert_eq!(lengths, [60, 40]);
        let all: HashSet<_> = layers.iter().flatten().collect();
        assert_eq!(all.len(), 100);
        assert!(plan(folder.path(), 200_000, &[1]).is_err());
    }

    #[test]
    fn an_image_is_found_again_and_what_it_says_is_true() {
        let folder = tempfile::tempdir().unwrap();
        let layout = folder.path().join("layout");
        let made = prepare(&layout, 200_000, 2).unwrap();
        let found = prepare(&layout, 200_000, 2).unwrap();
        assert_eq!((made.layers, made.unpacked), (2, found.unpacked));
        assert_eq!(made.manifest, found.manifest);
        let blobs = layout.join("blobs/sha256");
        let read = |digest: &Digest| fs::read(blob(&blobs, digest)).unwrap();
        let manifest = read(&made.manifest.digest);
        assert_eq!(Digest::of(&manifest), made.manifest.digest);
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let layer: Descriptor = serde_json::from_value(manifest["layers"][1].clone()).unwrap();
        assert_eq!(Digest::of(&read(&layer.digest)), layer.digest);
    }
}
