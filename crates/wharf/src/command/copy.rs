//! `wharf copy`: from registry to registry, layout to archive, without the store between them.

use std::path::PathBuf;

use clap::Args;
use wharf_core::reference::ReferenceError;
use wharf_core::{Platform, Reference};
use wharf_engine::{CopyOptions, Engine as _, Location};

use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::print;
use crate::progress::{Shown, Style, digest_line};
use crate::runtime;

/// What stands before the colon for what isn't a registry.
const TRANSPORTS: [&str; 3] = ["oci", "oci-archive", "docker-archive"];
/// Transports of skopeo's that are left to skopeo.
const FOREIGN: [&str; 5] = [
    "containers-storage",
    "dir",
    "docker-daemon",
    "ostree",
    "sif",
];

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Take plain http, and a certificate that nobody vouches for
    #[arg(long)]
    insecure: bool,
    /// Leave out what is about the image: signatures, bills of materials
    #[arg(long)]
    no_referrers: bool,
    /// Copy only the image for this platform: "linux/arm64"
    #[arg(long, value_name = "string")]
    platform: Option<Platform>,
    /// Print only the name that was copied to
    #[arg(short, long)]
    quiet: bool,
    /// From where, and to where.
    places: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.exactly(&arguments.places, 2)?;
    let [from, to] = &arguments.places[..] else {
        return Ok(());
    };
    let (source, target) = (parse(from)?, parse(to)?);
    let options = CopyOptions {
        platform: arguments.platform.clone(),
        referrers: !arguments.no_referrers,
    };
    let registries: Vec<Reference> = [&source, &target]
        .into_iter()
        .filter_map(|place| match place {
            Location::Registry(name) => Some(name.clone()),
            Location::Layout { .. } | Location::Archive { .. } => None,
        })
        .collect();
    let style = Style::of(context.environment.output(), arguments.quiet);
    let engine = context.engine_for(&registries, arguments.insecure)?;
    runtime::heavy(async {
        let shown = Shown::sending(style);
        let copied = engine.copy(&source, &target, &options, shown.watch()).await;
        shown.finish()?;
        let copied = copied?;
        if style != Style::Quiet {
            if copied.referrers > 0 {
                print(&format!("Referrers: {}\n", copied.referrers))?;
            }
            print(&digest_line(&copied.digest))?;
        }
        let named = match &target {
            Location::Registry(name) => name.to_string(),
            Location::Layout { .. } | Location::Archive { .. } => to.clone(),
        };
        print(&format!("{named}\n"))
    })
}

/// `docker-archive:FILE[:NAME]`, `oci-archive:FILE[:NAME]`, `oci:FOLDER[:NAME]`, or an image's name,
/// which skopeo's users write as `docker://NAME`.
fn parse(text: &str) -> Result<Location> {
    let transport = text
        .split_once(':')
        .filter(|(word, _)| TRANSPORTS.contains(word));
    if let Some((transport, rest)) = transport {
        let (path, name) = match rest.split_once(':') {
            Some((path, name)) if !name.is_empty() => (path, Some(name.to_owned())),
            Some((path, _)) => (path, None),
            None => (rest, None),
        };
        if path.is_empty() {
            return Err(Failure::error(format!("{text:?} names no path")));
        }
        let path = PathBuf::from(path);
        return Ok(match transport {
            "oci" => Location::Layout { folder: path, name },
            _ => Location::Archive { file: path, name },
        });
    }
    if let Some(word) = foreign(text) {
        let message = format!("{word}: is a place that wharf does not read or write");
        let hint = format!(
            "NAME[:TAG|@DIGEST] on a registry, {}; an image that is here is sent by `wharf push` and `wharf save`",
            transports()
        );
        return Err(Failure::with_hint(message, hint));
    }
    let name = text.strip_prefix("docker://").unwrap_or(text);
    let name: Reference = name.parse().map_err(|error: ReferenceError| {
        Failure::with_hint(
            error.to_string(),
            format!(
                "{text:?} is neither NAME[:TAG|@DIGEST] nor {}",
                transports()
            ),
        )
    })?;
    Ok(Location::Registry(name.or_latest()))
}

/// The transport of skopeo's that a place begins with. A host of that name has a port behind it.
fn foreign(text: &str) -> Option<&str> {
    let (word, rest) = text.split_once(':')?;
    let port = rest.split('/').next().unwrap_or_default();
    let is_port = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    (FOREIGN.contains(&word) && !is_port).then_some(word)
}

/// `oci:…, oci-archive:…, docker-archive:…`
fn transports() -> String {
    TRANSPORTS.join(":…, ") + ":…"
}
