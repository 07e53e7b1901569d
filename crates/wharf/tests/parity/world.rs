//! Where a scenario runs: an empty store, an empty Docker configuration, wharf as `docker`, and
//! the registry with the fixtures.

use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use tempfile::TempDir;
use wharf_testkit::TestRegistry;

use crate::{jq, scenario};

/// Where the recordings' registry is, which is Docker Hub's mirror as well.
const RECORDED_REGISTRY: &str = "127.0.0.1:5000";
/// Where the recordings' registry wants a password: user `ops`, password `secret`.
const RECORDED_PROTECTED: &str = "127.0.0.1:5001";
/// Where the recordings expect that nobody listens.
const RECORDED_CLOSED: &str = "127.0.0.1:5999";

/// The address of the one registry for all scenarios, which runs until this process ends.
static REGISTRY: LazyLock<String> = LazyLock::new(|| {
    let registry = TestRegistry::with_fixtures();
    let address = registry.host();
    std::mem::forget(registry);
    address
});
/// A registry that wants a password.
static PROTECTED: LazyLock<String> = LazyLock::new(|| {
    let auth = wharf_testkit::Auth::basic("ops", "secret");
    let registry = TestRegistry::builder().four_digit_port().auth(auth).start();
    let address = registry.host();
    std::mem::forget(registry);
    address
});
/// A port that refuses connections, for as long as this process lives.
static CLOSED: LazyLock<ClosedPort> = LazyLock::new(ClosedPort::new);

/// One scenario's surroundings. They vanish with it.
pub(crate) struct World {
    scratch: TempDir,
    name: String,
}

impl World {
    /// Starts with an empty store.
    pub(crate) fn new(name: &str) -> Self {
        let world = Self {
            scratch: tempfile::tempdir().unwrap(),
            name: name.replace('_', "-"),
        };
        for folder in ["bin", "work", "config"] {
            fs::create_dir(world.path(folder)).unwrap();
        }
        let mirror = format!(
            "[registry.\"docker.io\"]\nmirrors = [\"http://{}\"]\n",
            *REGISTRY
        );
        fs::write(world.path("config.toml"), mirror).unwrap();
        // By its name as `docker` it reads a few flags otherwise.
        symlink(env!("CARGO_BIN_EXE_wharf"), world.path("bin/docker")).unwrap();
        world
    }

    /// What a command prints, in the recordings' form.
    pub(crate) fn run(&self, command: &str) -> Vec<String> {
        let command = command
            .replace(RECORDED_REGISTRY, &REGISTRY)
            .replace(RECORDED_PROTECTED, &PROTECTED)
            .replace(RECORDED_CLOSED, &CLOSED.address());
        let (stdout, stderr, status) = match jq::split(&command) {
            // As in a pipe of the shell, the status of what stands in front is lost.
            Some((before, arguments)) => {
                let (stdout, stderr, _) = self.bash(before);
                (jq::apply(arguments, &stdout).unwrap_or_default(), stderr, 0)
            }
            None => self.bash(&command),
        };
        let mut lines = scenario::even(&as_recorded(&stdout));
        lines.extend(
            scenario::even(&as_recorded(&stderr))
                .iter()
                .map(|line| format!("! {line}")),
        );
        if status != 0 {
            lines.push(format!("[{status}]"));
        }
        lines
    }

    fn bash(&self, command: &str) -> (String, String, i32) {
        let output = Command::new("bash")
            .args(["-c", command])
            .current_dir(self.path("work"))
            .env_clear()
            .env(
                "PATH",
                format!(
                    "{}:/usr/local/bin:/usr/bin:/bin",
                    self.path("bin").display()
                ),
            )
            .env("HOME", self.scratch.path())
            .env("SCRATCH", self.scratch.path())
            .env("DOCKER_CONFIG", self.path("config"))
            .env("WHARF_ROOT", self.path("store"))
            .env("WHARF_CONFIG", self.path("config.toml"))
            .env("S", &self.name)
            .envs([("LC_ALL", "C.UTF-8"), ("TZ", "UTC")])
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("cannot run bash, which the scenarios need: {error}"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            text(&output.stdout),
            text(&output.stderr),
            output.status.code().unwrap_or(-1),
        )
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }
}

fn as_recorded(text: &str) -> String {
    text.replace(REGISTRY.as_str(), RECORDED_REGISTRY)
        .replace(PROTECTED.as_str(), RECORDED_PROTECTED)
        .replace(&CLOSED.address(), RECORDED_CLOSED)
}

/// A port that is taken, so that nobody else gets it, and not listened on.
struct ClosedPort {
    port: u16,
    _socket: OwnedFd,
}

impl ClosedPort {
    /// Takes one of four digits, as in the recordings.
    fn new() -> Self {
        use rustix::net::{AddressFamily, SocketAddrV4, SocketType, bind, socket};
        for port in (6000..=9999).rev() {
            let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
            if bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Self {
                    port,
                    _socket: socket,
                };
            }
        }
        panic!("no free port between 6000 and 9999");
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}
