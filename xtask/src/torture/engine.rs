//! The Engine API server with two hundred clients at once, which list, tag and pull; and the same again, killed
//! in the middle of it, over and over.
//!
//! Under load: no request fails, the server's memory stays within what was promised, and `store check` finds
//! nothing. After each kill: every name that the server has said is set, and has not said is gone, is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use wharf_testkit::random::Random;
use wharf_testkit::{BuiltImage, Image, Layer, TestRegistry, Wharf};

use super::ground::{succeed, verify_blobs};
use crate::api::Client;
use crate::process::{Running, memory};

/// How many clients there are at once.
const CLIENTS: u64 = 200;

/// How much memory the server may take under load, in bytes: 128 MB, as promised.
const MEMORY_MAX: u64 = 128_000_000;

/// The images that are pulled and removed, each of these many layers of 200 KB, of which two are shared by all.
const PULLED: u64 = 4;
const LAYERS: u64 = 4;
const LAYER: usize = 200_000;

/// How many names each client sets and removes, round and round.
const NAMES: u64 = 16;

/// Of a hundred turns of a client, so many are lists, and so many pulls; the others are tags.
const LISTS: u64 = 20;
const PULLS: u64 = 10;

/// When a round's server is killed after its start, in milliseconds, by chance.
const KILL_AFTER: (u64, u64) = (100, 900);

/// A name that is never removed, so that there is always something to tag.
const BASE: &str = "load/base:1";

/// A store, and a server to ask.
struct Stage {
    wharf: Wharf,
    /// A registry with images.
    registry: String,
    base: BuiltImage,
    socket: PathBuf,
    log: PathBuf,
}

/// What the clients came to.
#[derive(Default)]
struct Tally {
    lists: AtomicU64,
    tags: AtomicU64,
    pulls: AtomicU64,
}

/// What a client was told of its names: at any moment, at most one change is on its way.
#[derive(Default)]
struct Known {
    /// These are there.
    set: BTreeSet<String>,
    /// A change of this one was asked for, and nothing was answered.
    open: Option<String>,
}

/// Loads the server for `load`, then kills it `kills` times; says what came of it.
pub(super) fn run(wharf: &Path, load: Duration, kills: u64, seed: u64) -> anyhow::Result<String> {
    let registry = TestRegistry::builder().seed(seed).start();
    let stage = Stage::new(wharf, &registry, seed)?;
    let tally = Tally::default();
    let peak = under_load(&stage, load, seed, &tally).context("under load")?;
    stage.forget_names()?;
    let mut known: Vec<Known> = (0..CLIENTS).map(|_| Known::default()).collect();
    let mut random = Random::new(seed);
    let mut acknowledged = 0;
    for round in 1..=kills {
        acknowledged += killed(&stage, &mut known, &mut random, &tally)
            .with_context(|| format!("kill {round}"))?;
    }
    let Tally { lists, tags, pulls } = &tally;
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Ok(format!(
        "{CLIENTS} clients at once for {load:.0?}, {} MB at most; {kills} kills under the same load, \
         {acknowledged} names looked for after them; {} lists, {} tags, {} pulls",
        peak / 1_000_000,
        count(lists),
        count(tags),
        count(pulls)
    ))
}

impl Stage {
    fn new(wharf: &Path, registry: &TestRegistry, seed: u64) -> anyhow::Result<Self> {
        let mut base = None;
        for number in 0..PULLED {
            let image = (0..LAYERS).fold(Image::builder(), |image, depth| {
                // The same seed for the same layer: the first two are those that all share.
                let own = if depth < 2 { 0 } else { 100 * (number + 1) };
                image.layer(Layer::random(seed + own + depth, LAYER))
            });
            let image = image.build();
            registry.push(&format!("load/image-{number}:1"), &image);
            base.get_or_insert(image);
        }
        let wharf = Wharf::new(wharf);
        succeed(&wharf, &["pull", &registry.name("load/image-0:1")])?;
        succeed(&wharf, &["tag", &registry.name("load/image-0:1"), BASE])?;
        Ok(Self {
            socket: wharf.folder().join("engine.sock"),
            log: wharf.folder().join("engine.log"),
            base: base.context("there is an image")?,
            registry: registry.host(),
            wharf,
        })
    }

    fn serve(&self) -> anyhow::Result<Running> {
        let listen = format!("unix://{}", self.socket.display());
        let arguments = ["serve", "engine", "--listen", &listen];
        let mut command: Command = self.wharf.command(arguments);
        Running::start(&mut command, &self.log, || {
            let ping = Client::connect(&self.socket).and_then(|mut c| c.ask("GET", "/_ping", b""));
            ping.is_ok_and(|answer| answer.status == 200)
        })
    }

    /// The store is in order, by its own words and by ours.
    fn check(&self) -> anyhow::Result<()> {
        succeed(&self.wharf, &["store", "check"])?;
        verify_blobs(&self.wharf.root())
    }

    /// Every name that is here.
    fn names(&self) -> anyhow::Result<BTreeSet<String>> {
        let format = "{{.Repository}}:{{.Tag}}";
        let listed = succeed(&self.wharf, &["images", "--format", format])?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    /// Removes the clients' names.
    fn forget_names(&self) -> anyhow::Result<()> {
        let names = self.names()?;
        let clients: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| name.starts_with("load/client-"))
            .collect();
        if !clients.is_empty() {
            succeed(&self.wharf, &[&["rmi"], clients.as_slice()].concat())?;
        }
        Ok(())
    }
}

/// Everybody does what he likes for a while. Returns the largest memory that the server had, in bytes.
fn under_load(stage: &Stage, load: Duration, seed: u64, tally: &Tally) -> anyhow::Result<u64> {
    let server = stage.serve()?;
    let end = Instant::now() + load;
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                scope.spawn(move || {
                    let mut client = Client::connect(&stage.socket)?;
                    let mut random = Random::new(seed + number);
                    let mut known = Known::default();
                    while Instant::now() < end {
                        turn(stage, &mut client, number, &mut random, &mut known, tally)?;
                    }
                    anyhow::Ok(known)
                })
            })
            .collect();
        let ends = clients.into_iter().enumerate().map(|(number, client)| {
            let known = client.join().map_err(|_| anyhow!("a thread broke"))?;
            known.with_context(|| format!("client {number}"))
        });
        // Everybody ends before the first error is told.
        let ends: Vec<_> = ends.collect();
        let mut all = BTreeSet::new();
        for known in ends {
            all.extend(known?.set);
        }
        let here = stage.names()?;
        let lost: Vec<&String> = all.difference(&here).take(3).collect();
        ensure!(lost.is_empty(), "names are lost: {lost:?}");
        anyhow::Ok(())
    })?;
    let peak = memory(server.id(), "VmHWM")?;
    drop(server);
    stage.check()?;
    ensure!(
        peak <= MEMORY_MAX,
        "the server took {peak} bytes, and {MEMORY_MAX} were promised"
    );
    Ok(peak)
}

/// One round: the server is killed while everybody asks it, and what it had said is compared with what is there.
/// Returns how many names were looked for.
fn killed(
    stage: &Stage,
    known: &mut [Known],
    random: &mut Random,
    tally: &Tally,
) -> anyhow::Result<usize> {
    let server = stage.serve()?;
    let id = Pid::from_raw(i32::try_from(server.id())?).context("a process has an ID")?;
    let dead = AtomicBool::new(false);
    let seed = random.next();
    thread::scope(|scope| {
        let clients: Vec<_> = known
            .iter_mut()
            .zip(0..)
            .map(|(known, number)| {
                let dead = &dead;
                scope.spawn(move || {
                    let mut random = Random::new(seed ^ number);
                    let mut client = match Client::connect(&stage.socket) {
                        Ok(client) => client,
                        Err(_) if dead.load(Ordering::SeqCst) => return Ok(()),
                        Err(error) => return Err(error.into()),
                    };
                    loop {
                        match turn(stage, &mut client, number, &mut random, known, tally) {
                            Ok(()) => {}
                            Err(_) if dead.load(Ordering::SeqCst) => return Ok(()),
                            Err(error) => return Err(error.context(format!("client {number}"))),
                        }
                    }
                })
            })
            .collect();
        let (least, most) = KILL_AFTER;
        sleep(Duration::from_millis(least + random.below(most - least)));
        dead.store(true, Ordering::SeqCst);
        let killed = kill_process(id, Signal::KILL).context("cannot kill the server");
        let ends: Vec<anyhow::Result<()>> = clients
            .into_iter()
            .map(|client| client.join().map_err(|_| anyhow!("a thread broke"))?)
            .collect();
        killed.and(ends.into_iter().collect::<anyhow::Result<()>>())
    })?;
    drop(server);
    let here = stage.names()?;
    ensure!(here.contains(BASE), "{BASE} is lost");
    for known in known.iter_mut() {
        // What was not answered may have happened or not.
        if let Some(open) = known.open.take() {
            if here.contains(&open) {
                known.set.insert(open);
            } else {
                known.set.remove(&open);
            }
        }
        let lost: Vec<&String> = known.set.difference(&here).take(3).collect();
        ensure!(lost.is_empty(), "names are lost: {lost:?}");
    }
    let of_clients = here.iter().filter(|name| name.starts_with("load/client-"));
    let expected: usize = known.iter().map(|known| known.set.len()).sum();
    ensure!(
        of_clients.count() == expected,
        "names are there that were removed"
    );
    stage.check()?;
    Ok(expected)
}

/// One thing that a client does, and what must come of it.
fn turn(
    stage: &Stage,
    client: &mut Client,
    number: u64,
    random: &mut Random,
    known: &mut Known,
    tally: &Tally,
) -> anyhow::Result<()> {
    match random.below(100) {
        0..LISTS => {
            let listed = ask(client, "GET", "/images/json", &[200])?;
            ensure!(listed.is_array(), "the list is none: {listed}");
            tally.lists.fetch_add(1, Ordering::Relaxed);
        }
        choice if choice < LISTS + PULLS => {
            pull(stage, client, random)?;
            tally.pulls.fetch_add(1, Ordering::Relaxed);
        }
        _ => {
            tag(stage, client, number, random, known)?;
            tally.tags.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Sets a name and reads it back, or removes it if it is there.
fn tag(
    stage: &Stage,
    client: &mut Client,
    number: u64,
    random: &mut Random,
    known: &mut Known,
) -> anyhow::Result<()> {
    let tag = random.below(NAMES);
    let name = format!("load/client-{number}:{tag}");
    known.open = Some(name.clone());
    if known.set.contains(&name) {
        ask(client, "DELETE", &format!("/images/{name}"), &[200])?;
        known.set.remove(&name);
        known.open = None;
        return Ok(());
    }
    let path = format!("/images/{BASE}/tag?repo=load/client-{number}&tag={tag}");
    ask(client, "POST", &path, &[201])?;
    known.set.insert(name.clone());
    known.open = None;
    let found = ask(client, "GET", &format!("/images/{name}/json"), &[200])?;
    let id = stage.base.config.digest.as_str();
    ensure!(
        found["Id"] == id,
        "{name} is another image: {}",
        found["Id"]
    );
    Ok(())
}

/// Pulls an image that others pull and remove, too; and sometimes removes it.
fn pull(stage: &Stage, client: &mut Client, random: &mut Random) -> anyhow::Result<()> {
    let image = random.below(PULLED);
    let name = format!("{}/load/image-{image}", stage.registry);
    let path = format!("/images/create?fromImage={name}&tag=1");
    let answer = client.ask("POST", &path, b"")?;
    ensure!(answer.status == 200, "{path}: {}", answer.words());
    let text = String::from_utf8_lossy(&answer.body);
    let last = text.lines().last().unwrap_or_default();
    ensure!(
        last.contains("Status: ") && !text.contains("errorDetail"),
        "{path}: {text}"
    );
    if random.chance(0.5) {
        // Somebody else may have done so already.
        ask(client, "DELETE", &format!("/images/{name}:1"), &[200, 404])?;
    }
    Ok(())
}

/// Asks, and refuses any other status than these.
fn ask(client: &mut Client, method: &str, path: &str, statuses: &[u16]) -> anyhow::Result<Value> {
    let answer = client
        .ask(method, path, b"")
        .with_context(|| format!("{method} {path}"))?;
    if !statuses.contains(&answer.status) {
        bail!("{method} {path}: {}", answer.words());
    }
    Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
}
