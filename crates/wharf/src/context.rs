//! What every command is handed: how it was called, and the way to the engine.

use std::path::PathBuf;

use wharf_core::Reference;
use wharf_engine::{LocalEngine, Settings};

use crate::arguments::Usage;
use crate::environment::Environment;
use crate::exit::{Failure, Result};
use crate::settings;

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
        self.root
            .clone()
            .or_else(|| self.environment.root())
            .ok_or_else(|| {
                let message = "there is no home folder to keep images in";
                Failure::with_hint(message, "name a folder with --root or WHARF_ROOT")
            })
    }

    /// Opens the engine.
    pub(crate) fn engine(&self) -> Result<LocalEngine> {
        let settings = self.settings()?;
        Ok(LocalEngine::open(&self.root()?, settings)?)
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
        Ok(LocalEngine::open(&self.root()?, settings)?)
    }
}
