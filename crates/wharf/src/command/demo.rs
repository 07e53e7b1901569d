//! `wharf demo`: pulls an image, gives it a second name, lists both, and proves that it is there
//! once, in a store of its own.
//!
//! The image is busybox:musl from Docker Hub. Where the Hub does not answer, a registry that this
//! program serves to itself on loopback stands in as its mirror, with a small image of that name: the
//! same work, over real HTTP. Every command is run as anybody would run it, in a process of its own.

mod image;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tempfile::TempDir;
use wharf_core::{Digest, Reference, human};
use wharf_engine::{Engine as _, EngineError, LocalEngine};
use wharf_registry::Registry;
use wharf_server::registry::{DiskBackend, Options, router};
use wharf_store::Store;

use super::serve::{address, listen};
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::print;
use crate::runtime;

/// The image on Docker Hub.
const IMAGE: &str = "busybox:musl";
/// The second name.
const SECOND: &str = "busybox:local";
/// How long the Hub has to answer, in seconds.
const HUB_SECONDS_MAX: u64 = 5;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Do not ask Docker Hub
    #[arg(long)]
    offline: bool,
    /// None are taken.
    #[arg(hide = true)]
    rest: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.exactly(&arguments.rest, 0)?;
    let folder = TempDir::with_prefix("wharf-demo-")
        .map_err(|error| Failure::error(format!("cannot make a folder for the demo: {error}")))?;
    let stage = Stage {
        context,
        folder: folder.path(),
    };
    runtime::heavy(async {
        let unusable = if arguments.offline {
            Some("it was not to be asked".to_owned())
        } else {
            stage.hub().await
        };
        match unusable {
            None => {
                print("Docker Hub answers.\n\n")?;
                if stage.tour(context.config.as_deref()).await? {
                    return Ok(());
                }
                stage.at_home("the pull failed").await
            }
            Some(reason) => stage.at_home(&reason).await,
        }
    })
}

/// Where the demo takes place.
struct Stage<'c> {
    context: &'c Context,
    folder: &'c Path,
}

impl Stage<'_> {
    /// The store of the demo.
    fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// Asks Docker Hub for the image. The answer is why it cannot be used, if it cannot.
    async fn hub(&self) -> Option<String> {
        let settings = match self.context.settings() {
            Ok(settings) => settings.registry,
            // The commands will say it in their own words.
            Err(_) => return None,
        };
        let reference: Reference = IMAGE.parse().ok()?;
        let registry = Registry::new(settings);
        let limit = Duration::from_secs(HUB_SECONDS_MAX);
        match tokio::time::timeout(limit, registry.head(&reference)).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("it did not answer within {HUB_SECONDS_MAX} s")),
        }
    }

    /// The tour with a registry of our own.
    async fn at_home(&self, reason: &str) -> Result<()> {
        let failed = |error: EngineError| Failure::from(error);
        let store = Store::open(&self.folder.join("registry")).map_err(EngineError::from);
        let backend = Arc::new(DiskBackend::new(store.map_err(failed)?));
        image::push(backend.as_ref(), IMAGE)
            .await
            .map_err(|error| Failure::error(format!("cannot make an image: {error}")))?;
        let listener = listen("127.0.0.1:0").await?;
        let address = address(&listener)?;
        print(&format!(
            "Docker Hub cannot be reached: {reason}.\nSo wharf serves a small image of that name on \
             {address}, as a mirror of Docker Hub.\n\n"
        ))?;
        let config = self.folder.join("config.toml");
        let mirror = format!("[registry.\"docker.io\"]\nmirrors = [\"http://{address}\"]\n");
        std::fs::write(&config, mirror).map_err(|error| {
            Failure::error(format!("cannot write {}: {error}", config.display()))
        })?;
        let routes = router(
            backend,
            Options {
                push: false,
                delete: false,
            },
        );
        let server = tokio::spawn(wharf_server::serve(
            listener,
            routes,
            std::future::pending(),
        ));
        let done = self.tour(Some(&config)).await;
        server.abort();
        match done {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::error("the demo failed: see above")),
            Err(failure) => Err(failure),
        }
    }

    /// The three commands, and the proof. False if a command failed, and has said why.
    async fn tour(&self, config: Option<&Path>) -> Result<bool> {
        if !self.command(config, &["pull", IMAGE]).await? {
            return Ok(false);
        }
        let before = self.blobs()?;
        for words in [&["tag", IMAGE, SECOND][..], &["images"]] {
            if !self.command(config, words).await? {
                return Ok(false);
            }
        }
        let (first, second) = (self.id(IMAGE).await?, self.id(SECOND).await?);
        let after = self.blobs()?;
        if first != second || before != after {
            return Err(Failure::error(format!(
                "the proof failed: {IMAGE} is {first}, {SECOND} is {second}; {before:?} before the \
                 tag, {after:?} after it"
            )));
        }
        let Blobs { number, bytes } = after;
        print(&format!(
            "\nTwo names, one image: {IMAGE} and {SECOND} are both {}.\nStored once: {number} blobs, \
             {}, before the second name and after it.\n",
            first.short(),
            human::size(bytes)
        ))?;
        Ok(true)
    }

    /// Runs a command of wharf on the demo's store, after printing it. Did it succeed?
    async fn command(&self, config: Option<&Path>, words: &[&str]) -> Result<bool> {
        print(&format!("$ wharf {}\n", words.join(" ")))?;
        let failed = |error: std::io::Error| {
            Failure::error(format!("cannot run wharf {}: {error}", words.join(" ")))
        };
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        let mut arguments = vec![OsString::from("--root"), self.store().into_os_string()];
        if let Some(config) = config {
            arguments.extend([OsString::from("--config"), config.into()]);
        }
        command.args(arguments).args(words);
        let status = wharf_os::blocking::start(move || command.status()).await;
        let status: ExitStatus = status
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(failed)?;
        Ok(status.success())
    }

    async fn id(&self, name: &str) -> Result<Digest> {
        let engine = LocalEngine::open(&self.store(), self.context.settings()?)?;
        Ok(engine.inspect(name, None).await?.summary.id)
    }

    /// What lies in the store, as the file system has it.
    fn blobs(&self) -> Result<Blobs> {
        let mut blobs = Blobs {
            number: 0,
            bytes: 0,
        };
        blobs.count(&self.store().join("blobs")).map_err(|error| {
            Failure::error(format!("cannot count the blobs in the store: {error}"))
        })?;
        Ok(blobs)
    }
}

/// How many files, and how many bytes.
#[derive(Debug, PartialEq, Eq)]
struct Blobs {
    number: u64,
    bytes: u64,
}

impl Blobs {
    fn count(&mut self, folder: &Path) -> std::io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let (entry, metadata) = entry.and_then(|e| e.metadata().map(|m| (e, m)))?;
            if metadata.is_dir() {
                self.count(&entry.path())?;
            } else {
                self.number += 1;
                self.bytes += metadata.len();
            }
        }
        Ok(())
    }
}
