//! bench/RESULTS.md: who was measured on what, the tables, and which targets are met.

use std::fs;
use std::time::Duration;

use super::commands::Timed;
use super::engine::Section;
use super::image::Image;
use super::measure::{Usage, median_time};
use super::prune;

/// What one contender's runs of one kind of work took, round after round.
pub(crate) struct Runs {
    pub(crate) what: &'static str,
    pub(crate) name: &'static str,
    pub(crate) version: String,
    pub(crate) rounds: Vec<Usage>,
    /// Why it did not finish, if it did not.
    pub(crate) failure: Option<String>,
}

impl Runs {
    pub(crate) fn new(what: &'static str, name: &'static str, version: String) -> Self {
        Self {
            what,
            name,
            version,
            rounds: Vec::new(),
            failure: None,
        }
    }

    fn wall(&self) -> Option<Duration> {
        median_time(
            &self
                .rounds
                .iter()
                .map(|round| round.wall)
                .collect::<Vec<_>>(),
        )
    }

    fn cpu(&self) -> Option<Duration> {
        median_time(
            &self
                .rounds
                .iter()
                .map(|round| round.cpu)
                .collect::<Vec<_>>(),
        )
    }

    fn peak(&self) -> Option<u64> {
        self.rounds.iter().map(|round| round.peak).max()
    }
}

/// Everything that was measured.
pub(crate) struct Results {
    pub(crate) image: Image,
    pub(crate) registry: String,
    pub(crate) pulls: Vec<Runs>,
    /// Images in and out, and looks into one.
    pub(crate) transfers: Vec<Runs>,
    pub(crate) missing: Vec<String>,
    pub(crate) commands: Vec<Timed>,
    /// Prunes of large stores.
    pub(crate) prune: Option<prune::Section>,
    /// Servers, asked over sockets; left out where only the rest is of interest.
    pub(crate) engine: Option<Section>,
}

/// A figure that was promised.
pub(super) struct Target {
    what: String,
    limit: f64,
    /// The unit of both figures.
    unit: &'static str,
    measured: Option<f64>,
    /// Is more better?
    at_least: bool,
}

impl Results {
    /// The whole report, as Markdown.
    pub(crate) fn to_markdown(&self) -> String {
        let mut text = String::from("# Measured side by side\n\n");
        text += "Written by `cargo xtask bench`. Absolute times belong to this machine; the ratios roughly carry over.\n\n";
        text += &self.setting();
        text += "\n## Pull\n\n";
        text += &self.pull_table();
        text += "\n## In, out and looking\n\n";
        text += &self.transfer_table();
        text += "\n## Commands\n\n";
        text += &self.command_table();
        if let Some(prune) = &self.prune {
            text += "\n";
            text += &prune.to_markdown();
        }
        text += "\n## Targets\n\n";
        text += &self.target_table();
        if let Some(engine) = &self.engine {
            text += "\n";
            text += &engine.to_markdown();
        }
        text
    }

    fn setting(&self) -> String {
        let (image, mega) = (&self.image, 1_000_000);
        let mut text = format!(
            "| | |\n|---|---|\n| when | {} |\n| machine | {} |\n| image | {} gzip layers out of /usr, {} MB \
             compressed, {} MB unpacked |\n| registry | {}, on loopback |\n",
            jiff::Zoned::now().date(),
            machine(),
            image.layers,
            image.compressed / mega,
            image.unpacked / mega,
            self.registry,
        );
        for missing in &self.missing {
            text += &format!("| not measured | {missing} |\n");
        }
        text
    }

    fn pull_table(&self) -> String {
        let fastest = self.fastest_copier();
        let mut text = String::from(
            "Each one pulls into an empty place; the rounds are interleaved, back and forth; the time includes a sync of the file \
             system. Nothing that has many files is removed before all is measured: a file system remembers, and \
             would be slow for whoever unpacks next. Medians; the memory is the largest of all rounds. Docker's \
             processor time and memory are its daemon's.\n\n\
             | who | version | rounds | time | spread | processor time | peak memory | ratio |\n\
             |---|---|--:|--:|--:|--:|--:|--:|\n",
        );
        for pulls in &self.pulls {
            if let Some(failure) = &pulls.failure {
                let failure = failure.replace('|', "/");
                text += &format!(
                    "| {} | {} | failed: {failure} | | | | | |\n",
                    pulls.name, pulls.version
                );
                continue;
            }
            let times = pulls.rounds.iter().map(|round| round.wall);
            let (least, most) = (times.clone().min(), times.max());
            let (Some(wall), Some(cpu), Some(peak), Some(least), Some(most)) =
                (pulls.wall(), pulls.cpu(), pulls.peak(), least, most)
            else {
                continue;
            };
            let ratio = fastest.map_or(String::new(), |fastest| {
                format!("{:.2}", ratio(wall, fastest))
            });
            text += &format!(
                "| {} | {} | {} | {:.2} s | {:.2} – {:.2} | {:.2} s | {:.1} MB | {ratio} |\n",
                pulls.name,
                pulls.version,
                pulls.rounds.len(),
                wall.as_secs_f64(),
                least.as_secs_f64(),
                most.as_secs_f64(),
                cpu.as_secs_f64(),
                megabytes(peak),
            );
        }
        text + "\nThe ratio is to the fastest of skopeo, crane and oras, which check no diff IDs and do not sync.\n"
    }

    fn transfer_table(&self) -> String {
        let mut text = String::from(
            "The same image, in and out of a store that has it in full; measured as the pulls are. `load` reads a \
             docker-archive with plain layers; `push` goes to an empty registry; `tar -x` reads the same gzip \
             layers; `cat` prints the last small file of the largest layer.\n\n\
             | work | who | version | rounds | time | spread | processor time | peak memory |\n\
             |---|---|---|--:|--:|--:|--:|--:|\n",
        );
        for runs in &self.transfers {
            let head = format!("| {} | {} | {} ", runs.what, runs.name, runs.version);
            if let Some(failure) = &runs.failure {
                text += &format!("{head}| failed: {} | | | | |\n", failure.replace('|', "/"));
                continue;
            }
            let times = runs.rounds.iter().map(|round| round.wall);
            let (least, most) = (times.clone().min(), times.max());
            let (Some(wall), Some(cpu), Some(peak), Some(least), Some(most)) =
                (runs.wall(), runs.cpu(), runs.peak(), least, most)
            else {
                continue;
            };
            text += &format!(
                "{head}| {} | {:.3} s | {:.3} – {:.3} | {:.3} s | {:.1} MB |\n",
                runs.rounds.len(),
                wall.as_secs_f64(),
                least.as_secs_f64(),
                most.as_secs_f64(),
                cpu.as_secs_f64(),
                megabytes(peak),
            );
        }
        text
    }

    /// What was promised of each kind of work.
    fn transfer_targets(&self) -> Vec<Target> {
        let find = |what, who| {
            self.transfers
                .iter()
                .find(move |runs| runs.what == what && runs.name == who)
        };
        let wall = |what, who| find(what, who).and_then(Runs::wall);
        let over = |what, a, b| Some(ratio(wall(what, a)?, wall(what, b)?));
        let mut targets: Vec<Target> = [
            ("save", "docker", 5.0),
            ("load", "docker", 10.0),
            ("push", "docker", 3.0),
            ("unpack", "umoci", 2.5),
        ]
        .into_iter()
        .map(|(what, who, times)| {
            let measured = over(what, who, "wharf");
            Target::at_least(format!("{what}, faster than {who}"), measured, times, "×")
        })
        .collect();
        for (what, who, times) in [
            ("push", "skopeo", 1.0),
            ("push", "crane", 1.0),
            ("unpack", "tar -x", 1.5),
        ] {
            let measured = over(what, "wharf", who);
            targets.push(Target::at_most(
                format!("{what}, to {who}"),
                measured,
                times,
                "×",
            ));
        }
        for what in ["ls -R", "diff"] {
            let measured = wall(what, "wharf").map(milliseconds);
            targets.push(Target::at_most(what, measured, 50.0, "ms"));
        }
        for what in ["save", "load", "push", "unpack", "ls -R", "diff", "cat"] {
            let measured = find(what, "wharf").and_then(Runs::peak).map(megabytes);
            targets.push(Target::at_most(
                format!("peak memory, {what}"),
                measured,
                64.0,
                "MB",
            ));
        }
        targets
    }

    fn command_table(&self) -> String {
        let mut text = String::from(
            "Whole commands, from start to exit, in turn; medians. wharf's tag is durable when it returns.\n\n\
             | command | who | names | runs | median | slowest |\n|---|---|--:|--:|--:|--:|\n",
        );
        for timed in &self.commands {
            let slowest = timed.times.iter().max().copied().unwrap_or_default();
            text += &format!(
                "| `{}` | {} | {} | {} | {:.2} ms | {:.2} ms |\n",
                timed.what,
                timed.who,
                if timed.names == 0 {
                    String::new()
                } else {
                    timed.names.to_string()
                },
                timed.times.len(),
                milliseconds(timed.median()),
                milliseconds(slowest),
            );
        }
        text
    }

    fn target_table(&self) -> String {
        let mut text = String::from("| target | limit | measured | |\n|---|--:|--:|---|\n");
        let prune = self.prune.iter().flat_map(prune::Section::targets);
        let targets = self.targets().into_iter().chain(self.transfer_targets());
        for target in targets.chain(prune) {
            text += &format!("{}\n", target.row());
        }
        text
    }

    fn targets(&self) -> Vec<Target> {
        let wall = |name| self.pulls(name).and_then(Runs::wall);
        let peak = |name| self.pulls(name).and_then(Runs::peak).map(megabytes);
        let over = |a: Option<Duration>, b: Option<Duration>| Some(ratio(a?, b?));
        let (digest, full) = (wall("wharf, verify = digest"), wall("wharf, verify = full"));
        let fastest = self.fastest_copier();
        let command = |what, names| self.command(what, names).map(milliseconds);
        let most_names = |what| self.wharf(what).map(|timed| timed.names).max().unwrap_or(0);
        let least_names = |what| self.wharf(what).map(|timed| timed.names).min().unwrap_or(0);
        let (few, many) = (least_names("tag"), most_names("tag"));
        let flat = over(self.command("tag", many), self.command("tag", few));
        let (short, long) = (least_names("images -q"), most_names("images -q"));
        vec![
            Target::at_most(
                "pull, digest, to the fastest copier",
                over(digest, fastest),
                1.0,
                "×",
            ),
            Target::at_most(
                "pull, full, to the fastest copier",
                over(full, fastest),
                2.0,
                "×",
            ),
            Target::at_least(
                "pull, full, faster than docker pull",
                over(wall("docker"), full),
                10.0,
                "×",
            ),
            Target::at_most(
                "peak memory, digest",
                peak("wharf, verify = digest"),
                64.0,
                "MB",
            ),
            Target::at_most(
                "peak memory, full",
                peak("wharf, verify = full"),
                64.0,
                "MB",
            ),
            Target::at_most(format!("tag, {few} names"), command("tag", few), 8.0, "ms"),
            Target::at_most(
                format!("tag, {many} names"),
                command("tag", many),
                8.0,
                "ms",
            ),
            Target::at_most(format!("tag, {many} to {few} names"), flat, 1.3, "×"),
            Target::at_most(
                format!("images -q, {long} names"),
                command("images -q", long),
                25.0,
                "ms",
            ),
            Target::at_most(
                format!("images -q, {short} names"),
                command("images -q", short),
                6.0,
                "ms",
            ),
            Target::at_most("--version", command("--version", 0), 3.0, "ms"),
        ]
    }

    /// The fastest of those that copy blobs as wharf does.
    fn fastest_copier(&self) -> Option<Duration> {
        ["skopeo", "crane", "oras"]
            .iter()
            .filter_map(|name| self.pulls(name)?.wall())
            .min()
    }

    fn pulls(&self, name: &str) -> Option<&Runs> {
        self.pulls.iter().find(|pulls| pulls.name == name)
    }

    fn wharf(&self, what: &str) -> impl Iterator<Item = &Timed> {
        self.commands
            .iter()
            .filter(move |timed| timed.who == "wharf" && timed.what == what)
    }

    fn command(&self, what: &str, names: usize) -> Option<Duration> {
        self.wharf(what)
            .find(|timed| timed.names == names)
            .map(Timed::median)
    }
}

impl Target {
    pub(super) fn at_most(
        what: impl Into<String>,
        measured: Option<f64>,
        limit: f64,
        unit: &'static str,
    ) -> Self {
        Self {
            what: what.into(),
            limit,
            unit,
            measured,
            at_least: false,
        }
    }

    pub(super) fn at_least(
        what: impl Into<String>,
        measured: Option<f64>,
        limit: f64,
        unit: &'static str,
    ) -> Self {
        Self {
            at_least: true,
            ..Self::at_most(what, measured, limit, unit)
        }
    }

    pub(super) fn row(&self) -> String {
        let Self {
            what,
            limit,
            unit,
            measured,
            at_least,
        } = self;
        let sign = if *at_least { '≥' } else { '≤' };
        let Some(measured) = measured else {
            return format!("| {what} | {sign} {limit} {unit} | | not measured |");
        };
        let off = (measured / limit - 1.0) * 100.0;
        let verdict = match (if *at_least { -off } else { off }) > 0.0 {
            true => format!("**missed** by {:.0} %", off.abs()),
            false => "met".to_owned(),
        };
        format!("| {what} | {sign} {limit} {unit} | {measured:.2} {unit} | {verdict} |")
    }
}

/// Cores, processor and kernel; nothing that names the machine.
fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{cores} cores, {}, Linux {kernel}",
        model.map_or("unknown processor", |(_, model)| model)
    )
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "a figure of three digits")]
pub(super) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_by_how_much_a_target_is_missed() {
        let row = |target: Target| target.row();
        assert!(row(Target::at_most("a", Some(1.5), 1.0, "×")).ends_with("**missed** by 50 % |"));
        assert!(row(Target::at_least("a", Some(8.0), 10.0, "×")).ends_with("**missed** by 20 % |"));
        assert!(row(Target::at_most("a", Some(1.0), 1.0, "×")).ends_with("| met |"));
        assert!(row(Target::at_least("a", Some(11.0), 10.0, "×")).ends_with("| met |"));
        assert!(row(Target::at_least("a", None, 10.0, "×")).ends_with("| not measured |"));
    }

    #[test]
    fn compares_with_the_fastest_copier() {
        let usage = |seconds| Usage {
            wall: Duration::from_secs(seconds),
            cpu: Duration::ZERO,
            peak: 1,
        };
        let pulls = |name, seconds| Runs {
            rounds: vec![usage(seconds)],
            ..Runs::new("pull", name, "1".into())
        };
        let layout = std::path::PathBuf::new();
        let manifest = wharf_core::Descriptor::of("x", b"");
        let results = Results {
            image: Image {
                layout,
                manifest,
                unpacked: 0,
                compressed: 0,
                layers: 7,
            },
            registry: "registry".into(),
            pulls: vec![
                pulls("wharf, verify = digest", 3),
                pulls("crane", 2),
                pulls("oras", 4),
                pulls("docker", 1),
            ],
            transfers: vec![
                Runs {
                    rounds: vec![usage(2)],
                    ..Runs::new("save", "wharf", "1".into())
                },
                Runs {
                    rounds: vec![usage(8)],
                    ..Runs::new("save", "docker", "1".into())
                },
            ],
            missing: vec!["podman: not in PATH".into()],
            commands: Vec::new(),
            prune: None,
            engine: None,
        };
        let text = results.to_markdown();
        assert!(
            text.contains(
                "| pull, digest, to the fastest copier | ≤ 1 × | 1.50 × | **missed** by 50 % |"
            ),
            "{text}"
        );
        assert!(
            text.contains("| save, faster than docker | ≥ 5 × | 4.00 × | **missed** by 20 % |"),
            "{text}"
        );
        assert!(
            text.contains("| not measured | podman: not in PATH |"),
            "{text}"
        );
    }
}
