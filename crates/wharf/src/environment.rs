//! The environment: the one file that reads it. Everything else is handed what it needs.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use wharf_registry::Secret;
use wharf_registry::settings::{CredentialSettings, Proxies};

/// Where the machine's administrator puts settings.
const SYSTEM_CONFIG: &str = "/etc/wharf/config.toml";
/// Where certificates of registries are: Docker's folder, and wharf's.
const CERTIFICATE_FOLDERS: [&str; 2] = ["/etc/docker/certs.d", "/etc/wharf/certs.d"];
/// The store of root.
const SYSTEM_ROOT: &str = "/var/lib/wharf";

/// By which name the program was called, and so whose words it uses of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// By its own.
    Wharf,
    /// As `docker`, by a link.
    Docker,
}

impl Program {
    /// The name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Wharf => "wharf",
            Self::Docker => "docker",
        }
    }
}

/// What the program reads of its environment.
#[derive(Debug)]
pub(crate) struct Environment {
    /// By which name it was called.
    pub program: Program,
    /// Docker's folder, where the command line names it.
    pub docker_config: Option<PathBuf>,
}

/// What standard output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// A terminal that can move its cursor.
    Terminal,
    /// A file, a pipe, or a terminal that only prints.
    Lines,
}

impl Environment {
    /// Takes the program's name and its arguments apart.
    pub(crate) fn read() -> (Self, Vec<OsString>) {
        let mut arguments = std::env::args_os();
        let called = arguments.next().unwrap_or_default();
        let docker = Path::new(&called)
            .file_stem()
            .is_some_and(|name| name == "docker");
        let program = if docker {
            Program::Docker
        } else {
            Program::Wharf
        };
        let environment = Self {
            program,
            docker_config: None,
        };
        (environment, arguments.collect())
    }

    /// The store's folder, unless the command line names one.
    pub(crate) fn root(&self) -> Option<PathBuf> {
        if let Some(root) = self.path("WHARF_ROOT") {
            return Some(root);
        }
        if rustix::process::geteuid().is_root() {
            return Some(PathBuf::from(SYSTEM_ROOT));
        }
        let data = self
            .path("XDG_DATA_HOME")
            .or_else(|| Some(self.home()?.join(".local/share")));
        Some(data?.join("wharf"))
    }

    /// The one settings file that counts, if the environment names it.
    pub(crate) fn config(&self) -> Option<PathBuf> {
        self.path("WHARF_CONFIG")
    }

    /// The settings files that count otherwise, the later one over the earlier.
    pub(crate) fn config_files(&self) -> Vec<PathBuf> {
        let own = self
            .path("XDG_CONFIG_HOME")
            .or_else(|| Some(self.home()?.join(".config")));
        let system = PathBuf::from(SYSTEM_CONFIG);
        std::iter::once(system)
            .chain(own.map(|folder| folder.join("wharf/config.toml")))
            .collect()
    }

    /// Where credentials are.
    pub(crate) fn credentials(&self) -> CredentialSettings {
        let docker = self
            .docker_config
            .clone()
            .or_else(|| self.path("DOCKER_CONFIG"))
            .or_else(|| Some(self.home()?.join(".docker")));
        let podman = self
            .path("XDG_RUNTIME_DIR")
            .map(|dir| dir.join("containers/auth.json"));
        CredentialSettings {
            docker_auth_config: self.text("DOCKER_AUTH_CONFIG").map(Secret::new),
            docker_config: docker.map(|folder| folder.join("config.json")),
            others: self
                .path("REGISTRY_AUTH_FILE")
                .into_iter()
                .chain(podman)
                .collect(),
            helper_path: value("PATH"),
        }
    }

    /// Which proxies to go through. As with Go's programs, either spelling counts, the upper case first.
    pub(crate) fn proxies(&self) -> Proxies {
        let either = |name: &str| self.text(name).or_else(|| self.text(&name.to_lowercase()));
        Proxies {
            cgi: self.text("REQUEST_METHOD").is_some(),
            http: either("HTTP_PROXY"),
            https: either("HTTPS_PROXY"),
            no_proxy: either("NO_PROXY"),
        }
    }

    /// Where certificates of registries are.
    pub(crate) fn certificate_folders(&self) -> Vec<PathBuf> {
        CERTIFICATE_FOLDERS.map(PathBuf::from).to_vec()
    }

    /// The platform that is pulled where the command line names none.
    pub(crate) fn platform(&self) -> Option<String> {
        self.text("DOCKER_DEFAULT_PLATFORM")
    }

    /// The file of authorities that the TLS library reads, unlike those of registries, by itself.
    pub(crate) fn authorities(&self) -> Option<PathBuf> {
        self.path("SSL_CERT_FILE")
    }

    /// The zone that dates are shown in.
    pub(crate) fn zone(&self) -> TimeZone {
        // The library reads what `TZ` names whole, whatever it is.
        let special = self.text("TZ").is_some_and(|zone| {
            let path = Path::new(zone.strip_prefix(':').unwrap_or(&zone));
            std::fs::metadata(path).is_ok_and(|about| !about.is_file() && !about.is_dir())
        });
        if special {
            TimeZone::UTC
        } else {
            TimeZone::system()
        }
    }

    /// What to log, in tracing's words: `wharf_registry=debug`.
    pub(crate) fn log(&self) -> Option<String> {
        self.text("WHARF_LOG")
    }

    /// May output be coloured?
    pub(crate) fn colour(&self) -> bool {
        self.text("NO_COLOR").is_none() && self.text("TERM").is_none_or(|term| term != "dumb")
    }

    /// What standard output is.
    pub(crate) fn output(&self) -> Output {
        let dumb = self.text("TERM").is_some_and(|term| term == "dumb");
        if std::io::stdout().is_terminal() && !dumb {
            Output::Terminal
        } else {
            Output::Lines
        }
    }

    /// A path; unset and empty are the same.
    fn path(&self, name: &str) -> Option<PathBuf> {
        value(name).map(PathBuf::from)
    }

    /// Returns whether a path leads to the user's home.
    pub(crate) fn is_home(&self, path: &Path) -> bool {
        let file = |path: &Path| {
            let about = std::fs::metadata(path).ok()?;
            Some((about.dev(), about.ino()))
        };
        let home = self.home().and_then(|home| file(&home));
        home.is_some() && home == file(path)
    }

    fn home(&self) -> Option<PathBuf> {
        std::env::home_dir().filter(|home| !home.as_os_str().is_empty())
    }

    /// A text; unset, empty and not UTF-8 are the same.
    fn text(&self, name: &str) -> Option<String> {
        value(name).and_then(|value| value.into_string().ok())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the file that reads the environment"
)]
fn value(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_s_settings_come_after_the_system_s() {
        let files = Environment {
            program: Program::Wharf,
            docker_config: None,
        }
        .config_files();
        assert_eq!(files[0], Path::new(SYSTEM_CONFIG));
        assert!(files.len() < 2 || files[1].ends_with("wharf/config.toml"));
    }
}
