//! The built program, with a store, settings and a home of its own.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// Where programs lie, for whatever the program under test starts.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a run may take that has a bound, in seconds. The machine may be busy with other tests.
const BOUND: &str = "60";

/// What `timeout` ends with when it has ended the program.
const TIMEOUT: i32 = 124;

/// The built program, with a store, settings and a home of its own in a folder that goes away with it.
/// It sees nothing of the environment that the test runs in.
pub struct Wharf {
    program: PathBuf,
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// What a run of the program has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
}

/// The program while it runs. It is killed when this is dropped.
pub struct Running(Child);

impl Wharf {
    /// Takes the program from `env!("CARGO_BIN_EXE_wharf")`.
    ///
    /// # Panics
    /// If there is no room for a temporary folder.
    pub fn new(program: impl AsRef<Path>) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("wharf-test-")
            .tempdir()
            .expect("a temporary folder can be made");
        let wharf = Self {
            program: program.as_ref().to_owned(),
            folder,
            environment: Vec::new(),
        };
        fs::create_dir_all(wharf.folder.path().join("home")).expect("a folder can be made");
        wharf.config("");
        wharf
    }

    /// The folder of its own.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its store.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Writes its `config.toml`.
    ///
    /// # Panics
    /// If that cannot be written.
    pub fn config(&self, text: &str) {
        fs::write(self.folder.path().join("config.toml"), text).expect("a file can be written");
    }

    /// Writes its `docker/config.json`.
    ///
    /// # Panics
    /// If that cannot be written.
    pub fn docker_config(&self, json: &str) {
        let folder = self.folder.path().join("docker");
        fs::create_dir_all(&folder).expect("a folder can be made");
        fs::write(folder.join("config.json"), json).expect("a file can be written");
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The command, ready to be changed further.
    pub fn command<I, A>(&self, arguments: I) -> Command
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        let folder = self.folder.path();
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", folder.join("home"))
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env("WHARF_ROOT", self.root())
            .env("WHARF_CONFIG", folder.join("config.toml"))
            .env("DOCKER_CONFIG", folder.join("docker"))
            .env("XDG_DATA_HOME", folder.join("data"))
            .env("XDG_CONFIG_HOME", folder.join("config"))
            .env("XDG_RUNTIME_DIR", folder.join("run"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn run<I, A>(&self, arguments: I) -> Output
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        let output = self.command(arguments).output();
        let output = output.expect("the program under test can be started");
        Output {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code(),
        }
    }

    /// Runs it to its end under limits that the shell sets first (`ulimit -n 16`).
    ///
    /// # Panics
    /// If it cannot be started, if it does not end within a minute, and if a signal ends it.
    pub fn run_limited<I, A>(&self, limits: &str, arguments: I) -> Output
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        let plain = self.command(arguments);
        let script = format!("{limits}\nexec \"$@\"");
        let mut command = Command::new("timeout");
        command
            .args(["-k", "1", BOUND, "sh", "-c", &script, "sh"])
            .arg(plain.get_program())
            .args(plain.get_args())
            .env_clear()
            .envs(
                plain
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .stdin(Stdio::null());
        let output = command.output().expect("timeout can be started");
        let (stdout, stderr) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        let code = output.status.code();
        let about = format!("{limits}: {:?}: {stdout}{stderr}", plain.get_args());
        assert_ne!(code, Some(TIMEOUT), "it does not end: {about}");
        // `timeout` ends with the program's own signal, or with 128 and its number.
        assert!(
            code.is_some_and(|code| code < 128),
            "a signal ended it: {code:?}: {about}"
        );
        Output {
            stdout,
            stderr,
            code,
        }
    }

    /// Runs it to its end and returns what it printed.
    ///
    /// # Panics
    /// If it fails.
    pub fn ok<I, A>(&self, arguments: I) -> String
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        let arguments: Vec<A> = arguments.into_iter().collect();
        let words: Vec<&OsStr> = arguments.iter().map(AsRef::as_ref).collect();
        let output = self.run(&words);
        assert_eq!(
            output.code,
            Some(0),
            "{words:?} failed: {}{}",
            output.stdout,
            output.stderr
        );
        output.stdout
    }

    /// Starts it and does not wait. What it prints is thrown away.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn<I, A>(&self, arguments: I) -> Running
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        let mut command = self.command(arguments);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Running(child.expect("the program under test can be started"))
    }
}

impl Running {
    /// Its process ID.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Kills it, as `kill -9` does, and waits until it is gone.
    ///
    /// # Errors
    /// If the system says so.
    pub fn kill(&mut self) -> io::Result<()> {
        self.0.kill()?;
        self.0.wait().map(drop)
    }

    /// Waits for its end. Returns its exit code, if no signal ended it.
    ///
    /// # Errors
    /// If the system says so.
    pub fn wait(&mut self) -> io::Result<Option<i32>> {
        Ok(self.0.wait()?.code())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended before.
        drop(self.kill());
    }
}
