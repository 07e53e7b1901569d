//! Pulls from a registry that fails at random, each killed at a random moment.
//!
//! After each kill: nothing wrong lies under a digest; the next pull, from a registry that behaves
//! again, succeeds; the registry sends no byte that was on the disk; `store check` finds nothing.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use wharf_testkit::random::Random;
use wharf_testkit::{Fault, On, When};

use super::ground::{Ground, Named, verify_blobs};

/// How often the round's number is printed.
const TELL_EVERY: u64 = 25;
/// How many rounds of a hundred start without anything: after `rmi` and `prune`, and with a new
/// store. In the others, layers that images share are here already.
const REMOVED: u64 = 35;
/// The end of the second range.
const AFRESH: u64 = REMOVED + 35;
/// The longest time before a kill, against that of a pull that nothing disturbs, in percent. Some
/// pulls thus end before they are killed.
const MOMENT_MAX: u64 = 130;

/// How fast a slow registry is, in bytes per millisecond and connection.
const SLOW: usize = 96 * 1024;

/// What the rounds came to.
#[derive(Default)]
struct Tally {
    killed: u64,
    finished: u64,
    failed: u64,
    resumed: u64,
}

/// Does `rounds` rounds, and says what they came to.
pub(super) fn run(wharf: &Path, rounds: u64, seed: u64) -> anyhow::Result<String> {
    let ground = Ground::new(wharf, seed);
    let mut random = Random::new(seed);
    let undisturbed = undisturbed(&ground)?;
    println!("a pull that nothing disturbs takes {undisturbed:.0?}");
    let mut tally = Tally::default();
    for number in 1..=rounds {
        round(&ground, &mut random, undisturbed, &mut tally)
            .with_context(|| format!("round {number}"))?;
        if number % TELL_EVERY == 0 {
            println!("{number} of {rounds} rounds");
        }
    }
    ground.remove_everything()?;
    let Tally {
        killed,
        finished,
        failed,
        resumed,
    } = tally;
    let faults = ground.registry.faults_happened();
    Ok(format!(
        "{rounds} rounds, {killed} pulls killed ({finished} were done before that, {failed} had given \
         up), {faults} requests disturbed, {resumed} downloads gone on with"
    ))
}

/// How long a pull takes when nothing disturbs it: the median of three.
fn undisturbed(ground: &Ground) -> anyhow::Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..3 {
        let start = Instant::now();
        ground.succeed(&["pull", "--quiet", &ground.images[0].name])?;
        times.push(start.elapsed());
        ground.remove_everything()?;
    }
    times.sort();
    Ok(times[1])
}

fn round(
    ground: &Ground,
    random: &mut Random,
    undisturbed: Duration,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    match random.below(100) {
        0..REMOVED => ground.remove_everything()?,
        REMOVED..AFRESH => match fs::remove_dir_all(ground.wharf.root()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).context("cannot remove the store");
            }
            _ => {}
        },
        _ => {}
    }
    let verify = if random.chance(0.5) { "full" } else { "digest" };
    ground
        .wharf
        .config(&format!("[pull]\nverify = \"{verify}\"\n"));
    let count = ground.images.len() as u64;
    let Named { name, image } =
        &ground.images[usize::try_from(random.below(count)).unwrap_or_default()];

    let poisoned = misbehave(ground, random);
    let percent = u32::try_from(random.below(MOMENT_MAX)).unwrap_or_default();
    let mut pull = ground.wharf.spawn(["pull", name]);
    sleep(undisturbed * percent / 100);
    pull.kill().context("cannot kill the pull")?;
    match pull.wait()? {
        None => tally.killed += 1,
        Some(0) => tally.finished += 1,
        Some(_) => tally.failed += 1,
    }

    ground.registry.behave();
    verify_blobs(&ground.wharf.root())?;
    let before = ground.here(image)?;
    let part = |size, here: &u64| (1..size).contains(here);
    let parts = image
        .blobs
        .iter()
        .filter(|(what, _)| part(what.size, &before[&what.digest]));
    tally.resumed += parts.count() as u64;
    ground.registry.forget_requests();
    ground.succeed(&["pull", name])?;
    ground.sent_only_what_was_missing(image, &before, poisoned)?;
    ground.lists(image)?;
    ground.check()
}

/// Makes the registry fail by chance. Says whether it may have sent bytes that are wrong: then what
/// is on the disk may have to be fetched once more.
fn misbehave(ground: &Ground, random: &mut Random) -> bool {
    let (registry, poison) = (&ground.registry, random.chance(0.25));
    for _ in 0..random.below(4) {
        let chance = When::Chance([0.05, 0.2, 0.5][usize::try_from(random.below(3)).unwrap_or(0)]);
        let fault = fault(random, poison);
        registry.fault(On::any(), chance, fault);
    }
    // On loopback a download is over before a kill can meet it.
    if random.chance(0.7) {
        let every = Duration::from_millis(1);
        registry.fault(
            On::blobs(),
            When::Always,
            Fault::Slow { bytes: SLOW, every },
        );
    }
    if random.chance(0.1) {
        registry.reset_connections(random.below(4));
    }
    poison
}

fn fault(random: &mut Random, poison: bool) -> Fault {
    // Up to sixteen megabytes, small ones as likely as large ones.
    let bits = random.below(24);
    let bytes = random.below(1 << bits);
    if poison && random.chance(0.5) {
        return match random.below(4) {
            0 => Fault::Longer(bytes + 1),
            1 => Fault::Shorter(bytes + 1),
            2 => Fault::WrongRange,
            _ => Fault::Flip(bytes),
        };
    }
    match random.below(8) {
        0 | 1 => Fault::Cut(bytes),
        2 => Fault::Hangup,
        3 => Fault::Status(500),
        4 => Fault::Status(503),
        5 => Fault::TooManyRequests { retry_after: 0 },
        6 => Fault::NoRanges,
        _ => Fault::Unauthorized,
    }
}
