//! `image prune -a` of a large store, of one twice as large, and what a `tag` waits that runs beside it.
//!
//! The stores are made of blobs without rows, which a repair then reads: putting 45,000 blobs in one after the other,
//! each with its syncs, would take longer than everything else here.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use wharf_core::media_type::{OCI_CONFIG, OCI_LAYER, OCI_MANIFEST};
use wharf_core::{Descriptor, Digest, Reference};
use wharf_store::{Store, Writing};

use super::measure::wall;
use super::peers::Ground;
use super::report::{Target, milliseconds};

/// How many names and images the store has that is pruned.
const NAMES: usize = 25_000;
const IMAGES: usize = 15_000;
/// The same for a quick look at whether everything works.
const SMALL: (usize, usize) = (250, 150);
/// How many images stand on the same base layer.
const SHARING: usize = 50;

/// The image that a prune leaves, and the filter that makes it do so: it is newer than the others.
const STAYS: &str = "stays:1";
const STAYS_CREATED: &str = "2023-01-01T00:00:00Z";
const OTHERS_CREATED: &str = "2021-01-01T00:00:00Z";
const OLDER: &str = "until=2022-01-01";

/// What was measured.
pub(crate) struct Section {
    names: usize,
    images: usize,
    once: Duration,
    twice: Duration,
    /// Each `tag` that ran beside a prune.
    tags: Vec<Duration>,
}

/// Prunes three stores.
pub(super) fn run(ground: &Ground, small: bool) -> anyhow::Result<Section> {
    let (names, images) = if small { SMALL } else { (NAMES, IMAGES) };
    let once = prune(ground, names, images)?;
    let twice = prune(ground, 2 * names, 2 * images)?;
    let tags = tag_beside(ground, names, images)?;
    Ok(Section {
        names,
        images,
        once,
        twice,
        tags,
    })
}

fn prune(ground: &Ground, names: usize, images: usize) -> anyhow::Result<Duration> {
    let root = ground.empty("prune")?;
    fill(&root, names, images)?;
    wall(&mut ground.command(&root, &["image", "prune", "--all", "--force"]))
}

/// Sets names, one after the other, as long as a prune runs.
fn tag_beside(ground: &Ground, names: usize, images: usize) -> anyhow::Result<Vec<Duration>> {
    let root = ground.empty("prune")?;
    fill(&root, names, images)?;
    let arguments = ["image", "prune", "--all", "--force", "--filter", OLDER];
    let mut prune = ground.command(&root, &arguments);
    let mut prune = prune
        .stdout(std::process::Stdio::null())
        .spawn()
        .context("cannot run wharf image prune")?;
    let mut tags = Vec::new();
    while prune.try_wait()?.is_none() {
        let name = format!("beside:{}", tags.len());
        tags.push(wall(&mut ground.command(&root, &["tag", STAYS, &name]))?);
    }
    anyhow::ensure!(prune.wait()?.success(), "wharf image prune failed");
    Ok(tags)
}

/// Makes a store with so many names on so many images, each with a layer of its own and one that it shares.
fn fill(root: &Path, names: usize, images: usize) -> anyhow::Result<()> {
    drop(Store::open(root)?);
    let start = Instant::now();
    let mut all = Vec::new();
    for number in 0..images {
        all.push(write_image(root, number, OTHERS_CREATED)?);
    }
    let stays = write_image(root, images, STAYS_CREATED)?;
    // A repair makes rows for all blobs at once. The log goes first: it has every page of the new database.
    fs::remove_file(root.join("wharf.db-wal"))?;
    fs::write(root.join("wharf.db"), "to be made of the blobs")?;
    wharf_store::check(root, true, &|_| {})?;
    let set = |rows: &mut Writing<'_>| {
        let stays_name: Reference = STAYS.parse()?;
        rows.set_name(&stays_name, &stays.0, Some(&stays.1))?;
        for name in 0..names {
            let (manifest, image) = &all[name % images];
            let name = format!(
                "registry.example:5000/team{}/app{}:build-{name}",
                name % 7,
                name % 50
            );
            rows.set_name(&name.parse()?, manifest, Some(image))?;
        }
        anyhow::Ok(())
    };
    Store::open(root)?.write(set)?;
    rustix::fs::syncfs(fs::File::open(root)?).context("cannot sync the disk")?;
    println!(
        "{names} names on {images} images were made in {:.1?}",
        start.elapsed()
    );
    Ok(())
}

/// Writes the blobs of an image; returns its manifest's digest and its ID.
fn write_image(root: &Path, number: usize, created: &str) -> anyhow::Result<(Digest, Digest)> {
    let layers = [
        format!("a base layer, number {}", number / SHARING),
        format!("a layer of its own, number {number}"),
    ];
    let described = layers
        .each_ref()
        .map(|layer| Descriptor::of(OCI_LAYER, layer.as_bytes()));
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "created": created,
        "rootfs": { "type": "layers", "diff_ids": described.each_ref().map(|layer| &layer.digest) },
    });
    let config = config.to_string();
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": Descriptor::of(OCI_CONFIG, config.as_bytes()), "layers": described,
    });
    let manifest = manifest.to_string();
    for bytes in [&config, &manifest].into_iter().chain(&layers) {
        let digest = Digest::of(bytes.as_bytes());
        let folder = root.join("blobs/sha256").join(&digest.hex()[..2]);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(digest.hex()), bytes)?;
    }
    Ok((
        Digest::of(manifest.as_bytes()),
        Digest::of(config.as_bytes()),
    ))
}

impl Section {
    pub(super) fn to_markdown(&self) -> String {
        let Self { names, images, .. } = self;
        let (seconds, slowest) = (self.once.as_secs_f64(), self.longest_wait());
        format!(
            "## Prune\n\nOne run each. The tags are whole commands, one after the other as long as a prune runs.\n\n\
             | work | store | time |\n|---|---|--:|\n\
             | prune -a | {names} names on {images} images | {seconds:.2} s |\n\
             | prune -a | twice the store | {:.2} s |\n\
             | a tag meanwhile, longest wait of {} | {names} names on {images} images | {:.0} ms |\n",
            self.twice.as_secs_f64(),
            self.tags.len(),
            milliseconds(slowest),
        )
    }

    fn longest_wait(&self) -> Duration {
        self.tags.iter().max().copied().unwrap_or_default()
    }

    /// What was promised.
    pub(super) fn targets(&self) -> [Target; 3] {
        let what = format!("prune -a: {} names on {} images", self.names, self.images);
        let ratio = self.twice.as_secs_f64() / self.once.as_secs_f64();
        let wait = milliseconds(self.longest_wait());
        [
            Target::at_most(&what, Some(self.once.as_secs_f64()), 10.0, "s"),
            Target::at_most("prune -a, twice the store", Some(ratio), 2.3, "×"),
            Target::at_most(
                "a tag during a prune, longest wait",
                Some(wait),
                200.0,
                "ms",
            ),
        ]
    }
}
