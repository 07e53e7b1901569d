//! Many processes on one store at once: 8 pull the same and overlapping images, 4 tag and untag, 1
//! lists. None of them fails, each blob is fetched once, and the store is in order after it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use anyhow::{Context as _, anyhow, ensure};
use wharf_testkit::images::samples;

use super::ground::{Ground, Here, Named, succeed};

const PULLERS: usize = 8;
const TAGGERS: usize = 4;
/// How often the others do their work at least, also if the pulls are faster.
const TURNS_MIN: u64 = 10;

/// Does it `times` times, and says how much was done.
pub(super) fn run(wharf: &Path, times: u64, seed: u64) -> anyhow::Result<String> {
    let ground = Ground::new(wharf, seed);
    let small = ground.registry.name("team/small:1");
    ground.registry.push("team/small:1", &samples::small());
    let turns = AtomicU64::new(0);
    for time in 1..=times {
        ground.succeed(&["pull", "--quiet", &small])?;
        ground.registry.forget_requests();
        crowd(&ground, &small, &turns).with_context(|| format!("crowd {time}"))?;
        for Named { image, .. } in &ground.images {
            ground.sent_only_what_was_missing(image, &Here::new(), false)?;
            ground.lists(image)?;
        }
        ground.check()?;
        let names = ground.succeed(&["images", "--format", "{{.Repository}}:{{.Tag}}"])?;
        ensure!(
            !names.contains("crowd"),
            "a name that was removed is listed:\n{names}"
        );
        ground.remove_everything()?;
    }
    let turns = turns.load(Ordering::Relaxed);
    Ok(format!(
        "{times} times {PULLERS} pulls at once, {turns} tags, untags and lists beside them"
    ))
}

fn crowd(ground: &Ground, small: &str, turns: &AtomicU64) -> anyhow::Result<()> {
    let pulled = AtomicBool::new(false);
    let beside = |work: &dyn Fn(u64) -> anyhow::Result<()>| -> anyhow::Result<()> {
        let mut turn = 0;
        while turn < TURNS_MIN || !pulled.load(Ordering::Relaxed) {
            work(turn)?;
            turn += 1;
            turns.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    let (beside, wharf, images) = (&beside, &ground.wharf, &ground.images);
    thread::scope(|scope| {
        let pullers: Vec<_> = (0..PULLERS)
            .map(|number| {
                let Named { name, .. } = &images[number % images.len()];
                scope.spawn(move || succeed(wharf, &["pull", name]).map(drop))
            })
            .collect();
        let taggers = (0..TAGGERS).map(|number| {
            scope.spawn(move || {
                beside(&|turn| {
                    let name = format!("crowd-{number}:{turn}");
                    succeed(wharf, &["tag", small, &name])?;
                    succeed(wharf, &["rmi", &name]).map(drop)
                })
            })
        });
        let mut others: Vec<_> = taggers.collect();
        others.push(scope.spawn(move || beside(&|_| succeed(wharf, &["images"]).map(drop))));
        let join = |handle: thread::ScopedJoinHandle<'_, anyhow::Result<()>>| {
            handle.join().map_err(|_| anyhow!("a thread broke"))?
        };
        // Everybody ends before the first error is told.
        let ends: Vec<_> = pullers.into_iter().map(join).collect();
        pulled.store(true, Ordering::Relaxed);
        let ends: Vec<_> = ends
            .into_iter()
            .chain(others.into_iter().map(join))
            .collect();
        ends.into_iter().collect()
    })
}
