//! The registry that serves the images: docker-registry where it is in PATH, else the embedded one.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use super::image::Image;
use crate::http;
use crate::process::{Running, free_port, version};

/// A registry on loopback, with images in it, that ends when it is dropped.
pub(crate) struct Registry {
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    /// Its name and version, for the report.
    pub(crate) software: String,
    _running: Running,
}

impl Registry {
    /// Starts an empty one, which keeps its data in `folder`.
    pub(crate) fn start(folder: &Path, wharf: &Path) -> anyhow::Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder).context("cannot empty the registry's folder")?;
        }
        fs::create_dir_all(folder).context("cannot make the registry's folder")?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let found = version("docker-registry", &["--version"]);
        let mut command = match &found {
            Some(_) => docker_registry(folder, &address)?,
            None => embedded(folder, &address, wharf),
        };
        let log = folder.join("log");
        let running = Running::start(&mut command, &log, || http::answers(&address))?;
        let software = found.unwrap_or_else(|| "wharf serve registry".into());
        Ok(Self {
            address,
            software: software.replace("github.com/docker/distribution ", ""),
            _running: running,
        })
    }

    /// Pushes an image, and says what it is called there.
    pub(crate) fn push(&self, image: &Image, name: &str) -> anyhow::Result<String> {
        http::push(&image.layout, &image.manifest, &self.address, name, "1")?;
        Ok(format!("{}/{name}:1", self.address))
    }
}

fn docker_registry(folder: &Path, address: &str) -> anyhow::Result<Command> {
    let settings = format!(
        "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
         storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n",
        folder.join("data").display()
    );
    fs::write(folder.join("config.yml"), settings)?;
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(folder.join("config.yml"));
    Ok(command)
}

fn embedded(folder: &Path, address: &str, wharf: &Path) -> Command {
    let mut command = Command::new(wharf);
    command.arg("--root").arg(folder.join("data"));
    command.args(["serve", "registry", "--listen", address]);
    command
}
