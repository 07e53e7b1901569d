//! The built program on a socket of its own, and clients of a few lines.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use wharf_testkit::{Image, TestRegistry, Wharf};

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server, which ends with this.
pub(crate) struct Server {
    pub(crate) wharf: Wharf,
    child: Child,
    socket: PathBuf,
    address: String,
}

impl Server {
    /// Starts it, and waits until it says that it serves.
    pub(crate) fn start() -> Self {
        let wharf = Wharf::new(env!("CARGO_BIN_EXE_wharf"));
        let socket = wharf.folder().join("engine.sock");
        let listen = format!("unix://{}", socket.display());
        let arguments = ["engine", "--group", "", "--listen", &listen];
        Self::begin(wharf, &arguments, socket)
    }

    /// Starts a server, the engine or the registry, on a free port: with a place to listen among its arguments.
    pub(crate) fn over_tcp(arguments: &[&str]) -> Self {
        let wharf = Wharf::new(env!("CARGO_BIN_EXE_wharf"));
        Self::begin(wharf, arguments, PathBuf::new())
    }

    fn begin(wharf: Wharf, arguments: &[&str], socket: PathBuf) -> Self {
        let mut command = wharf.command([&["serve"], arguments].concat());
        let command = command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        assert!(line.starts_with("serving "), "{line}");
        let (_, place) = line.trim_end().rsplit_once("://").unwrap();
        let address = place.to_owned();
        Self {
            wharf,
            child,
            socket,
            address,
        }
    }

    /// Where it listens: `127.0.0.1:PORT`, or the socket's path.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Says something over TCP that ends the connection. Returns all that it answers.
    pub(crate) fn told(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_ref()).unwrap();
        rest(stream)
    }

    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a request on a connection of its own. Returns the status and the body.
    pub(crate) fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let mut stream = self.connect();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(b"Connection: close\r\n\r\n").unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        let text = String::from_utf8_lossy(&all);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (status(head), body.to_owned())
    }

    /// Puts an image into its store.
    pub(crate) fn has(&self, name: &str) {
        let (registry, image) = (TestRegistry::start(), Image::random(3, 1, 1000).build());
        registry.push("team/app:1", &image);
        let pulled = registry.name("team/app:1");
        self.wharf.ok(["pull", &pulled]);
        self.wharf.ok(["tag", &pulled, name]);
    }

    /// The server goes on: another client is served.
    pub(crate) fn serves(&self) {
        assert_eq!(self.ask("GET", "/_ping"), (200, "OK".to_owned()));
        assert_eq!(self.ask("GET", "/images/json").0, 200);
    }

    /// The most memory that it ever had, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let text = fs::read_to_string(path).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: u64 = line
            .unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap();
        kib * 1024
    }

    /// What it has open.
    pub(crate) fn open_files(&self) -> Vec<String> {
        let folder = fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        let links = folder.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        links
            .map(|link| link.to_string_lossy().into_owned())
            .collect()
    }

    /// Tells it to end, and says how long that took.
    pub(crate) fn end(mut self) -> Duration {
        let start = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
        start.elapsed()
    }

    /// Asks for pings until it is so: a test waits by having something done.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            assert!(start.elapsed() < PATIENCE, "never: {what}");
            assert_eq!(self.ask("GET", "/_ping").0, 200);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill().and_then(|()| self.child.wait()));
    }
}

/// A status out of an answer's head.
pub(crate) fn status(head: &str) -> u16 {
    let words = head.split(' ').nth(1);
    words.and_then(|word| word.parse().ok()).unwrap_or_default()
}

/// Whatever comes until the server ends the connection; a connection that breaks has ended, too.
pub(crate) fn rest(mut stream: impl Read) -> String {
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => all.extend(&piece[..read]),
            Err(error) => {
                let kind = error.kind();
                assert_ne!(kind, std::io::ErrorKind::WouldBlock, "it was kept waiting");
                break;
            }
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}
