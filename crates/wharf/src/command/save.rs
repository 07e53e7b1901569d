//! `wharf save`, `wharf image save`: writes images into an archive.
//!
//! A file appears under its name only when it is whole, with mode 0600.

use std::io::{self, IsTerminal as _, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use wharf_archive::outside::{Destination, NewFile, obstacle};
use wharf_core::Platform;
use wharf_core::platform::PlatformError;
use wharf_engine::{Engine as _, SaveOptions};

use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::interrupt;
use crate::runtime;

/// The permissions of an archive: images may hold secrets.
const MODE: u32 = 0o600;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "string")]
    output: Option<String>,
    /// Save only the given platform variant: "linux/amd64"
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// What to save.
    images: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.at_least(&arguments.images, 1)?;
    let options = SaveOptions {
        platform: platform(arguments.platform.as_deref())?,
    };
    let Some(path) = arguments.output.as_deref().filter(|path| !path.is_empty()) else {
        if io::stdout().is_terminal() {
            let message = "cowardly refusing to save to a terminal. Use the -o flag or redirect";
            return Err(Failure::error(message));
        }
        let broken = Arc::new(AtomicBool::new(false));
        let out = Stdout(Arc::clone(&broken));
        return to(context, arguments, &options, Box::new(out)).map_err(|failure| {
            // Whoever closed the pipe knows.
            if broken.load(Ordering::Relaxed) {
                Failure::output(io::ErrorKind::BrokenPipe.into())
            } else {
                failure
            }
        });
    };
    interrupt::guarded(|| {
        let file = begin(Path::new(path))?;
        let writer = file.file().try_clone();
        let writer = writer.map_err(|error| cannot_save(&error))?;
        let out = Box::new(io::BufWriter::new(writer));
        to(context, arguments, &options, out)?;
        file.finish_durably(MODE)
            .map_err(|error| cannot_save(&error))
    })
}

fn to(
    context: &Context,
    arguments: &Arguments,
    options: &SaveOptions,
    out: Box<dyn Write + Send>,
) -> Result<()> {
    let engine = context.engine()?;
    runtime::heavy(async { Ok(engine.save(&arguments.images, options, out).await?) })
}

/// Standard output, which notes that nobody reads it any more.
struct Stdout(Arc<AtomicBool>);

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.noted(io::stdout().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.noted(io::stdout().flush())
    }
}

impl Stdout {
    fn noted<T>(&self, written: io::Result<T>) -> io::Result<T> {
        written.inspect_err(|error| {
            if error.kind() == io::ErrorKind::BrokenPipe {
                self.0.store(true, Ordering::Relaxed);
            }
        })
    }
}

/// A file beside `path`, mode 0600, which goes away unless it is finished (Docker 28.5: atomicwriter).
fn begin(path: &Path) -> Result<NewFile> {
    let destination = match Destination::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(Path::new("."));
            return Err(Failure::error(format!(
                "failed to save image: invalid output path: stat {}: no such file or directory",
                folder.display()
            )));
        }
        destination => destination.map_err(|error| cannot_save(&error))?,
    };
    if let Some(obstacle) = obstacle(&destination) {
        return Err(Failure::error(format!("failed to save image: {obstacle}")));
    }
    destination.new_file().map_err(|error| cannot_save(&error))
}

fn cannot_save(error: &io::Error) -> Failure {
    Failure::error(format!("failed to save image: {error}"))
}

/// `--platform`, in Docker's words if it is none.
pub(super) fn platform(text: Option<&str>) -> Result<Option<Platform>> {
    text.filter(|text| !text.is_empty())
        .map(str::parse)
        .transpose()
        .map_err(|error: PlatformError| Failure::error(format!("invalid platform: {error}")))
}
