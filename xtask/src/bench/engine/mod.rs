//! The Engine API, asked over sockets: wharf, and dockerd with each of its two image stores.
//!
//! Two images; the names are of the first, all made through the API. Then everybody is asked in turn, round after
//! round, on connections that stay open: for the list, for the list right after a change, and to give a name to the
//! other image. Each of those moves the name, since dockerd has nothing to do for a name that stays where it is.

mod report;

use std::any::Any;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use tempfile::TempDir;

use super::docker::Docker;
use super::peers::Ground;
use crate::api::Client;
use crate::process::{Running, memory};

/// Who asks at once where several do.
const SEVERAL: usize = 4;
/// On how many connections names are made.
const MAKERS: usize = 8;
/// How long a server may take to get its names. One that is slower is measured with those that it has by then.
const GROW_MAX: Duration = Duration::from_secs(240);
/// How many names each connection makes before the clock is looked at.
const GROW_STEP: usize = 25;
/// How often each one is asked in a round, by one client or by all of them together.
const ASKED: usize = 20;
/// The images that names are moved between, round after round. The first gets all the names that make the list long.
const IMAGES: [&str; 2] = ["bench/base:1", "bench/other:1"];

/// Everything that was measured.
pub(crate) struct Section {
    rows: Vec<Row>,
    memory: Vec<Memory>,
    missing: Vec<String>,
    /// Docker and wharf are compared at this many names.
    compared_at: usize,
}

/// One kind of request to one server.
struct Row {
    what: What,
    who: &'static str,
    names: usize,
    clients: usize,
    /// Requests per second, of each round.
    rates: Vec<f64>,
    /// The time of each request.
    times: Vec<Duration>,
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    List,
    /// The list after a change, which no server can have ready.
    ListChanged,
    /// A name moves from one image to the other, or is new.
    Tag,
}

/// Which names are given, and to which image.
struct Names {
    of: &'static str,
    series: String,
}

/// What a server takes, in bytes.
struct Memory {
    who: &'static str,
    /// After its start and one ping.
    idle: u64,
    /// After lists of this many names.
    listed: u64,
    names: usize,
}

/// A server, and where to ask it.
struct Server {
    who: &'static str,
    socket: PathBuf,
    id: u32,
    idle: u64,
    /// How many names there are.
    names: usize,
    _running: Box<dyn Any + Send + Sync>,
}

/// Measures wharf and whichever dockerd starts here.
pub(super) fn run(ground: &Ground, small: bool, rounds: usize) -> anyhow::Result<Section> {
    let sizes: [usize; 3] = if small {
        [100, 200, 400]
    } else {
        [1_000, 10_000, 100_000]
    };
    let mut wharf = wharf(ground)?;
    let (mut dockers, mut missing) = (Vec::new(), Vec::new());
    for (who, containerd) in [("dockerd, classic", false), ("dockerd, containerd", true)] {
        match docker(ground, who, containerd) {
            Ok(server) => dockers.push(server),
            Err(error) => missing.push(format!("{who}: {error:#}")),
        }
    }
    let mut rows = Vec::new();
    wharf.grow(sizes[0])?;
    rows.extend(measure(&[&wharf], &[(What::Tag, 1)], rounds)?);
    wharf.grow(sizes[1])?;
    for docker in &mut dockers {
        docker.grow(sizes[1])?;
    }
    let everybody: Vec<&Server> = std::iter::once(&wharf).chain(&dockers).collect();
    let work = [
        (What::List, 1),
        (What::List, SEVERAL),
        (What::ListChanged, 1),
        (What::Tag, 1),
        (What::Tag, SEVERAL),
    ];
    rows.extend(measure(&everybody, &work, rounds)?);
    let memory = everybody.iter().map(|server| server.memory());
    let memory = memory.collect::<anyhow::Result<_>>()?;
    drop(dockers);
    wharf.grow(sizes[2])?;
    rows.extend(measure(&[&wharf], &[(What::Tag, 1)], rounds)?);
    Ok(Section {
        rows,
        memory,
        missing,
        compared_at: sizes[1],
    })
}

fn wharf(ground: &Ground) -> anyhow::Result<Server> {
    let store = ground.empty("engine")?;
    let short = tempfile::Builder::new().prefix("bench-").tempdir()?;
    let socket = short.path().join("engine.sock");
    let listen = format!("unix://{}", socket.display());
    let mut command: Command = ground.command(
        &store,
        &["serve", "engine", "--listen", &listen, "--group", ""],
    );
    let running = Running::start(&mut command, &short.path().join("log"), || answers(&socket))?;
    let id = running.id();
    let held: (Running, TempDir) = (running, short);
    Server::new("wharf", socket, id, Box::new(held))
}

fn docker(ground: &Ground, who: &'static str, containerd: bool) -> anyhow::Result<Server> {
    let folder = ground.empty(if containerd { "containerd" } else { "classic" })?;
    let docker = Docker::start_with(&folder, containerd)?;
    let (socket, id) = (docker.socket_path(), docker.id());
    ensure!(answers(&socket), "it does not answer");
    Server::new(who, socket, id, Box::new(docker))
}

fn answers(socket: &Path) -> bool {
    let ping = Client::connect(socket).and_then(|mut client| client.ask("GET", "/_ping", b""));
    ping.is_ok_and(|answer| answer.status == 200)
}

impl Server {
    /// Takes over a server that has just started, and gives it the images.
    fn new(
        who: &'static str,
        socket: PathBuf,
        id: u32,
        running: Box<dyn Any + Send + Sync>,
    ) -> anyhow::Result<Self> {
        let idle = memory(id, "VmRSS")?;
        for image in IMAGES {
            let (repository, tag) = image.split_once(':').context("a name has a tag")?;
            let path = format!("/images/create?fromSrc=-&repo={repository}&tag={tag}");
            let answer = Client::connect(&socket)?.ask("POST", &path, &archive(image)?)?;
            ensure!(
                answer.status == 200,
                "{who} imports nothing: {}",
                answer.words()
            );
        }
        Ok(Self {
            who,
            socket,
            id,
            idle,
            names: IMAGES.len(),
            _running: running,
        })
    }

    /// Makes names until there are so many.
    fn grow(&mut self, names: usize) -> anyhow::Result<()> {
        let start = Instant::now();
        while self.names < names && start.elapsed() < GROW_MAX {
            let each = GROW_STEP.min((names - self.names).div_ceil(MAKERS));
            let further = Names {
                of: IMAGES[0],
                series: "name".to_owned(),
            };
            self.ask(What::Tag, MAKERS, each, &further, self.names)?;
            self.names += each * MAKERS;
        }
        println!(
            "{}: {} names in {:.0?}",
            self.who,
            self.names,
            start.elapsed()
        );
        Ok(())
    }

    /// Lets `clients` ask `each` times, at once. Names are counted from `from`.
    fn ask(
        &self,
        what: What,
        clients: usize,
        each: usize,
        names: &Names,
        from: usize,
    ) -> anyhow::Result<(Duration, Vec<Duration>)> {
        let start = Instant::now();
        let times = thread::scope(|scope| {
            let all: Vec<_> = (0..clients)
                .map(|client| {
                    let first = from + client * each;
                    scope.spawn(move || self.client(what, each, names, first))
                })
                .collect();
            let ends = all
                .into_iter()
                .map(|client| client.join().map_err(|_| anyhow!("a thread broke"))?);
            ends.collect::<anyhow::Result<Vec<_>>>()
        })?;
        Ok((start.elapsed(), times.concat()))
    }

    fn client(
        &self,
        what: What,
        each: usize,
        names: &Names,
        first: usize,
    ) -> anyhow::Result<Vec<Duration>> {
        let mut client = Client::connect(&self.socket)?;
        let mut ask = |method, path: &str, status| {
            let start = Instant::now();
            let answer = client.ask(method, path, b"")?;
            let time = start.elapsed();
            let who = self.who;
            ensure!(answer.status == status, "{who}, {path}: {}", answer.words());
            Ok(time)
        };
        let mut times = Vec::new();
        let Names { of, series } = names;
        for number in first..first + each {
            let tag = format!("/images/{of}/tag?repo=bench/{series}-{number}&tag=1");
            times.push(match what {
                What::Tag => ask("POST", &tag, 201)?,
                What::List => ask("GET", "/images/json", 200)?,
                What::ListChanged => {
                    ask("POST", &tag, 201)?;
                    ask("GET", "/images/json", 200)?
                }
            });
        }
        Ok(times)
    }

    fn memory(&self) -> anyhow::Result<Memory> {
        Ok(Memory {
            who: self.who,
            idle: self.idle,
            listed: memory(self.id, "VmRSS")?,
            names: self.names,
        })
    }
}

/// Asks everybody for everything, in turn, round after round; one round more, to warm up.
fn measure(servers: &[&Server], work: &[(What, usize)], rounds: usize) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for server in servers {
        for &(what, clients) in work {
            rows.push(Row {
                what,
                who: server.who,
                names: server.names,
                clients,
                rates: Vec::new(),
                times: Vec::new(),
            });
        }
    }
    for round in 0..=rounds {
        for row in &mut rows {
            let server = servers.iter().find(|server| server.who == row.who);
            let server = server.context("a row is of a server")?;
            let each = ASKED.div_ceil(row.clients);
            // The same names in each round, of the other image: the store does not grow while it is measured.
            let names = Names {
                of: IMAGES[round % IMAGES.len()],
                series: format!("run-{}-{}", row.what as u8, row.clients),
            };
            let (wall, times) = server.ask(row.what, row.clients, each, &names, 0)?;
            // Of a list after a change only the list's own time counts.
            let wall = if row.what == What::ListChanged {
                times.iter().sum()
            } else {
                wall
            };
            if round > 0 {
                let asked = u32::try_from(times.len()).unwrap_or(u32::MAX);
                row.rates.push(f64::from(asked) / wall.as_secs_f64());
                row.times.extend(times);
            }
        }
    }
    Ok(rows)
}

/// The archive of one small file, another one for each content.
fn archive(content: &str) -> anyhow::Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, "bench", content.as_bytes())?;
    Ok(archive.into_inner()?)
}

/// Writes the section into a report, in the place of an earlier one.
pub(super) fn replace(section: &Section, report: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(report).unwrap_or_default();
    let before = text.split(report::HEADING).next().unwrap_or_default();
    fs::write(
        report,
        format!("{}\n\n{}", before.trim_end(), section.to_markdown()),
    )
    .with_context(|| format!("cannot write {}", report.display()))
}
