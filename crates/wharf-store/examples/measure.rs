//! Measures what the store's rows cost a whole process: `cargo run --release -p wharf-store --example
//! measure -- FOLDER`. Each figure is the median of many runs of this program as a child, beside a child
//! that does nothing.

#![expect(
    clippy::print_stdout,
    reason = "a program that prints what it has measured"
)]

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wharf_core::content::Document;
use wharf_core::event::Unwatched;
use wharf_core::media_type::{OCI_CONFIG, OCI_LAYER, OCI_MANIFEST};
use wharf_core::{Descriptor, Digest, Reference, Sink as _};
use wharf_store::{SinkOptions, Store, Writing};

/// How many processes are started for one figure.
const RUNS: usize = 201;
/// How many names are set in one transaction when a store is filled.
const FILL_BATCH: usize = 10_000;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [folder] => measure(Path::new(folder)),
        ["nothing", _] => Ok(()),
        ["open", root] => Store::open(Path::new(root)).map(drop).map_err(Into::into),
        ["tag", root] => tag(Path::new(root)),
        ["list", root] => list(Path::new(root)),
        ["put", root, file] => put_file(Path::new(root), Path::new(file)),
        ["copy", from, to, file] => copy_file(Path::new(from), Path::new(to), Path::new(file)),
        _ => Err("usage: measure FOLDER".into()),
    }
}

fn measure(folder: &Path) -> Result {
    println!(
        "{:>9} names: {:>8} {:>8} {:>8} {:>8}  (ms)",
        "", "nothing", "open", "tag", "list"
    );
    for names in [100, 1_000, 10_000, 100_000] {
        let root = folder.join(names.to_string());
        fill(&root, names)?;
        let figures = ["nothing", "open", "tag", "list"].map(|what| median(what, &root));
        let mut line = format!("{names:>9} names:");
        for figure in figures {
            line += &format!(" {:>8.2}", figure?.as_secs_f64() * 1000.0);
        }
        println!("{line}");
    }
    Ok(())
}

fn median(what: &str, root: &Path) -> Result<Duration> {
    let mut all = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg(what)
            .arg(root)
            .stdout(std::process::Stdio::null());
        let start = Instant::now();
        let status = command.status()?;
        all.push(start.elapsed());
        if !status.success() {
            return Err(format!("{what} failed").into());
        }
    }
    all.sort();
    Ok(all[RUNS / 2])
}

fn fill(root: &Path, names: usize) -> Result {
    let store = Store::open(root)?;
    let (manifest, id) = put_image(&store)?;
    for from in (0..names).step_by(FILL_BATCH) {
        let set = |rows: &mut Writing<'_>| {
            for n in from..names.min(from + FILL_BATCH) {
                rows.set_name(&name(n), &manifest, Some(&id))?;
            }
            Ok::<_, wharf_store::StoreError>(())
        };
        store.write(set)?;
    }
    Ok(())
}

/// Names as a build server makes them: many tags in some repositories.
fn name(n: usize) -> Reference {
    let text = format!(
        "registry.example:5000/team{}/app{}:build-{n}",
        n % 7,
        n % 50
    );
    text.parse().expect("it follows the grammar")
}

fn put_image(store: &Store) -> Result<(Digest, Digest)> {
    let layer = Bytes::from_static(b"no layer to speak of");
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(&layer)] },
    });
    let config = Bytes::from(config.to_string());
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": Descriptor::of(OCI_CONFIG, &config), "layers": [Descriptor::of(OCI_LAYER, &layer)],
    });
    let manifest = Bytes::from(manifest.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let sink = store.sink(Arc::new(store.lease()?), SinkOptions::default());
    for (kind, bytes) in [
        (OCI_LAYER, &layer),
        (OCI_CONFIG, &config),
        (OCI_MANIFEST, &manifest),
    ] {
        let source = Arc::new(Document {
            bytes: bytes.clone(),
            place: "memory".into(),
        });
        runtime.block_on(sink.put(&Descriptor::of(kind, bytes), source, Arc::new(Unwatched)))?;
    }
    Ok((Digest::of(&manifest), Digest::of(&config)))
}

fn tag(root: &Path) -> Result {
    let store = Store::open(root)?;
    let found = store
        .read(|rows| rows.name(&name(42)))?
        .ok_or("no such name")?;
    let number = Instant::now().elapsed().as_nanos() ^ u128::from(std::process::id());
    let target: Reference = format!("busybox:tag{number}").parse()?;
    store.write(|rows| rows.set_name(&target, &found.target, found.image.as_ref()))?;
    Ok(())
}

fn list(root: &Path) -> Result {
    let images = Store::open(root)?.read(|rows| rows.images())?;
    println!(
        "{}",
        images
            .iter()
            .map(|listed| listed.names.len())
            .sum::<usize>()
    );
    Ok(())
}

/// Puts a file, as a blob that comes from memory's speed: what the disk's side costs.
fn put_file(root: &Path, file: &Path) -> Result {
    let store = Store::open(root)?;
    let bytes = Bytes::from(std::fs::read(file)?);
    let what = Descriptor::of("application/octet-stream", &bytes);
    let source = Arc::new(Document {
        bytes,
        place: "memory".into(),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let sink = store.sink(Arc::new(store.lease()?), SinkOptions::default());
    let start = Instant::now();
    runtime.block_on(sink.put(&what, source, Arc::new(Unwatched)))?;
    println!(
        "{} bytes in {:.0} ms",
        what.size,
        start.elapsed().as_secs_f64() * 1000.0
    );
    Ok(())
}

/// Copies the blob that `put` made of a file from one store to another, over ranged streams: what a pull
/// costs without a network.
fn copy_file(from: &Path, to: &Path, file: &Path) -> Result {
    let mut hasher = wharf_core::Hasher::new(wharf_core::digest::Algorithm::Sha256);
    let mut reader = std::fs::File::open(file)?;
    let (mut buffer, mut size) = (vec![0; 1 << 16], 0);
    loop {
        match std::io::Read::read(&mut reader, &mut buffer)? {
            0 => break,
            len => {
                hasher.update(&buffer[..len]);
                size += len as u64;
            }
        }
    }
    let what = Descriptor::new("application/octet-stream", hasher.finish(), size);
    let (from, to) = (Store::open(from)?, Store::open(to)?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let options = SinkOptions {
        connections: 4,
        further_connections: 6,
        ..SinkOptions::default()
    };
    let sink = to.sink(Arc::new(to.lease()?), options);
    let start = Instant::now();
    runtime.block_on(sink.put(&what, Arc::new(from.source()), Arc::new(Unwatched)))?;
    println!(
        "{size} bytes in {:.0} ms",
        start.elapsed().as_secs_f64() * 1000.0
    );
    Ok(())
}
