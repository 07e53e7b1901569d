//! `wharf push`, `wharf image push`: sends images to their registry.

use clap::{Args, ValueEnum};
use wharf_core::platform::PlatformError;
use wharf_core::reference::ReferenceError;
use wharf_core::{Platform, Reference};
use wharf_engine::{Compression, Engine as _, PushOptions};

use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::print;
use crate::progress::{Shown, Style};
use crate::runtime;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Send all tags of the repository
    #[arg(short, long)]
    all_tags: bool,
    /// How plain layers of images that were made here are packed: "gzip" or "zstd"
    #[arg(long, value_name = "string", default_value = "gzip")]
    compression: Packing,
    /// Taken for Docker's sake: wharf has no Notary
    #[arg(
        long, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", default_value = "true"
    )]
    disable_content_trust: bool,
    /// Send only the image for this platform: "linux/arm64"
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// Print only the name that was sent
    #[arg(short, long)]
    quiet: bool,
    /// What to send.
    names: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Packing {
    Gzip,
    Zstd,
}

/// What Docker says first where one platform is asked for (28.5: push).
const ONE_PLATFORM: &str = "
 Info -> Using --platform pushes only the specified platform manifest of a multi-platform image index.
         Other components, like attestations, will not be included.
         To push the complete multi-platform image, remove the --platform flag.

";

fn platform(arguments: &Arguments) -> Result<Option<Platform>> {
    let given = arguments.platform.as_deref();
    given
        .filter(|text| !text.is_empty())
        .map(str::parse)
        .transpose()
        .map_err(|error: PlatformError| Failure::error(format!("invalid platform: {error}")))
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.exactly(&arguments.names, 1)?;
    if !arguments.disable_content_trust {
        return Err(Failure::error("content trust (Notary) is not supported"));
    }
    let style = Style::of(context.environment.output(), arguments.quiet);
    let mut name = String::new();
    name.clone_from(&arguments.names[0]);
    let given: Reference = name.parse().map_err(|error: ReferenceError| {
        Failure::with_hint(error.to_string(), format!("{name:?} is not NAME[:TAG]"))
    })?;
    let platform = platform(arguments)?;
    if platform.is_some() {
        print(ONE_PLATFORM)?;
    }
    if arguments.all_tags && !given.is_name_only() {
        return Err(Failure::error("tag can't be used with --all-tags/-a"));
    }
    let reference = if arguments.all_tags {
        given
    } else {
        if given.is_name_only() && !arguments.quiet {
            print("Using default tag: latest\n")?;
        }
        given.or_latest()
    };
    let options = PushOptions {
        platform,
        compression: match arguments.compression {
            Packing::Gzip => Compression::Gzip,
            Packing::Zstd => Compression::Zstd,
        },
        ..PushOptions::default()
    };
    let engine = context.engine()?;
    if let (Some(platform), Some(_)) = (&options.platform, reference.tag()) {
        // What is not here for this platform is refused before anything is said of the repository.
        runtime::light(engine.inspect(&reference.familiar(), Some(platform)))??;
    }
    runtime::heavy(async {
        let shown = Shown::new(style, String::new());
        let pushed = engine.push(&reference, &options, shown.watch()).await;
        shown.finish()?;
        pushed?;
        if style == Style::Quiet {
            print(&format!("{reference}\n"))?;
        }
        Ok(())
    })
}
