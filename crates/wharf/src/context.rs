//! What every command is handed: how it was called, and the way to the engine.

use std::path::PathBuf;

use wharf_core::Reference;
use wharf_engine::{ErrorKind, LocalEngine, Settings};
use wharf_store::Store;

use crate::arguments::Usage;
use crate::environment::Environment;
use crate::exit::{Failure, Result};
use crate::settings;

/// What to do where the store's folder cannot be made or opened.
const OTHER_ROOT: &str = "run as a user who may write there, or name another folder with --root or \
                          WHARF_ROOT";

/// What a command is handed.
pub(crate) struct Context {
    /// The environment.
    pub environment: Environment,
    /// How the command is used.
    pub usage: Usage,
    /// The settings file that the command line names.
    pub config: Option<PathBuf>,
    /// The store's folder that the command line names.
    pub root: Option<PathBuf>,
}

impl Context {
    /// Reads the settings.
    pub(crate) fn settings(&self) -> Result<Settings> {
        settings::read(&self.environment, self.config.as_deref())
    }

    /// The store's folder.
    pub(crate) fn root(&self) -> Result<PathBuf> {
        let root = self.root.clone().or_else(|| self.environment.root());
        let root = root.ok_or_else(|| {
            let message = "there is no home folder to keep images in";
            Failure::with_hint(message, "name a folder with --root or WHARF_ROOT")
        })?;
        // A home is not a store's, even if it is empty today, unless a service has its store there.
        if self.environment.is_home(&root) && !Store::is_in(&root) {
            let message = format!(
                "the folder {} is a home folder, not a store",
                root.display()
            );
            let other = root.join("wharf");
            let hint = format!(
                "name a folder in it with --root or WHARF_ROOT, for instance {}",
                other.display()
            );
            return Err(Failure::with_hint(message, hint));
        }
        Ok(root)
    }

    /// Opens the engine.
    pub(crate) fn engine(&self) -> Result<LocalEngine> {
        let settings = self.settings()?;
        self.open(settings)
    }

    fn open(&self, settings: Settings) -> Result<LocalEngine> {
        let opened = LocalEngine::open(&self.root()?, settings);
        Ok(opened.map_err(|error| match (error.kind, &error.hint) {
            (ErrorKind::Internal, None) => error.hint(OTHER_ROOT),
            _ => error,
        })?)
    }

    /// The same, where the registries of `names` may do without TLS or a good certificate.
    pub(crate) fn engine_for(&self, names: &[Reference], insecure: bool) -> Result<LocalEngine> {
        let mut settings = self.settings()?;
        for name in names.iter().filter(|_| insecure) {
            let registries = &mut settings.registry.registries;
            registries
                .entry(name.domain().to_owned())
                .or_default()
                .insecure = true;
        }
        self.open(settings)
    }
}
