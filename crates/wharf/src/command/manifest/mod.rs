//! `wharf manifest`: manifests and lists of manifests, in registries.
//!
//! | module | what it does |
//! |---|---|
//! | `lists` | the lists that are being put together: files beside Docker's `config.json`, in its format |
//! | `form` | manifests and lists as JSON, laid out as Docker does |

mod form;
mod lists;

use std::sync::Arc;

use clap::{Args, Subcommand};
use wharf_core::event::Unwatched;
use wharf_core::manifest::Kind;
use wharf_core::reference::ReferenceError;
use wharf_core::{Descriptor, Digest, Manifest, Platform, Reference};
use wharf_engine::{Engine, EngineError, ErrorKind, RemoteManifest, Whose};

use self::form::ListedImage;
use self::lists::Lists;
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::print;
use crate::runtime;

/// What an image's platform may be: Go's list, which Docker checks against.
const PLATFORMS: &[&str] = &[
    "darwin/386",
    "darwin/amd64",
    "darwin/arm",
    "darwin/arm64",
    "dragonfly/amd64",
    "freebsd/386",
    "freebsd/amd64",
    "freebsd/arm",
    "linux/386",
    "linux/amd64",
    "linux/arm",
    "linux/arm64",
    "linux/ppc64le",
    "linux/mips64",
    "linux/mips64le",
    "linux/riscv64",
    "linux/s390x",
    "netbsd/386",
    "netbsd/amd64",
    "netbsd/arm",
    "openbsd/386",
    "openbsd/amd64",
    "openbsd/arm",
    "plan9/386",
    "plan9/amd64",
    "solaris/amd64",
    "windows/386",
    "windows/amd64",
];

/// What to do with manifests.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say more about an image in a list that is being put together
    #[command(override_usage = "[OPTIONS] MANIFEST_LIST MANIFEST")]
    Annotate(AnnotateArguments),
    /// Begin a list of manifests, to annotate and push
    #[command(override_usage = "MANIFEST_LIST MANIFEST [MANIFEST...]")]
    Create(CreateArguments),
    /// Show a manifest, or a list of manifests
    #[command(override_usage = "[OPTIONS] [MANIFEST_LIST] MANIFEST")]
    Inspect(InspectArguments),
    /// Send a list to its repository
    #[command(override_usage = "[OPTIONS] MANIFEST_LIST")]
    Push(PushArguments),
    /// Remove lists that are being put together
    #[command(override_usage = "MANIFEST_LIST [MANIFEST_LIST...]")]
    Rm(RmArguments),
}

/// The arguments of `wharf manifest annotate`.
#[derive(Debug, Args)]
pub(crate) struct AnnotateArguments {
    /// Set the architecture
    #[arg(long, value_name = "string")]
    arch: Option<String>,
    /// Set the operating system
    #[arg(long, value_name = "string")]
    os: Option<String>,
    /// Add features of the operating system
    #[arg(long, value_name = "strings", value_delimiter = ',')]
    os_features: Vec<String>,
    /// Set the operating system's version
    #[arg(long, value_name = "string")]
    os_version: Option<String>,
    /// Set the architecture's variant
    #[arg(long, value_name = "string")]
    variant: Option<String>,
    /// The list, and the image in it.
    names: Vec<String>,
}

/// The arguments of `wharf manifest create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArguments {
    /// Add to a list that is there
    #[arg(short, long)]
    amend: bool,
    /// Take plain http, and a certificate that nobody vouches for
    #[arg(long)]
    insecure: bool,
    /// The list, and its images.
    names: Vec<String>,
}

/// The arguments of `wharf manifest inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// Take plain http, and a certificate that nobody vouches for
    #[arg(long)]
    insecure: bool,
    /// Show the layers and the platform too
    #[arg(short, long)]
    verbose: bool,
    /// A list that is being put together, and what to show.
    names: Vec<String>,
}

/// The arguments of `wharf manifest push`.
#[derive(Debug, Args)]
pub(crate) struct PushArguments {
    /// Take plain http, and a certificate that nobody vouches for
    #[arg(long)]
    insecure: bool,
    /// Remove the list here once it is there
    #[arg(short, long)]
    purge: bool,
    /// The list.
    names: Vec<String>,
}

/// The arguments of `wharf manifest rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArguments {
    /// The lists.
    names: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, command: &Command) -> Result<()> {
    match command {
        Command::Annotate(arguments) => annotate(context, arguments),
        Command::Create(arguments) => create(context, arguments),
        Command::Inspect(arguments) => inspect(context, arguments),
        Command::Push(arguments) => push(context, arguments),
        Command::Rm(arguments) => remove(context, arguments),
    }
}

fn create(context: &Context, arguments: &CreateArguments) -> Result<()> {
    context.usage.at_least(&arguments.names, 2)?;
    let target = parse(&arguments.names[0]).map_err(|error| {
        let name = &arguments.names[0];
        Failure::error(format!(
            "error parsing name for manifest list {name}: {error}"
        ))
    })?;
    let lists = Lists::of(context)?;
    if !arguments.amend && lists.get(&target)?.is_some() {
        let message = "refusing to amend an existing manifest list with no --amend flag";
        return Err(Failure::error(message));
    }
    let images = references(&arguments.names[1..])?;
    let engine = context.engine_for(&images, arguments.insecure)?;
    runtime::heavy(async {
        for reference in &images {
            let known = lists.image(&target, reference)?;
            let image = match known.filter(ListedImage::is_whole) {
                Some(image) => image,
                None => fetch(&engine, reference).await?,
            };
            lists.set(&target, reference, &image)?;
        }
        print(&format!("Created manifest list {target}\n"))
    })
}

/// An image of a registry, for a list.
async fn fetch(engine: &dyn Engine, reference: &Reference) -> Result<ListedImage> {
    let RemoteManifest { manifest, config } = remote(engine, reference).await?;
    if matches!(manifest.kind, Kind::Index(_)) {
        return Err(Failure::error(format!("{reference} is a manifest list")));
    }
    let platform = config
        .map(|config| form::platform_of(&config))
        .transpose()?;
    form::listed(reference, &manifest, platform.unwrap_or_default())
}

/// In Docker's words where there is nothing.
async fn remote(engine: &dyn Engine, reference: &Reference) -> Result<RemoteManifest> {
    let found = engine
        .remote_manifest(reference, &Whose::Kept, Arc::new(Unwatched))
        .await;
    found.map_err(|error| match error.kind {
        ErrorKind::NotFound | ErrorKind::Unauthorized => {
            let message = format!("no such manifest: {reference}");
            let mut plain = EngineError::new(error.kind, message);
            plain.hint = error.hint;
            plain.into()
        }
        _ => error.into(),
    })
}

fn annotate(context: &Context, arguments: &AnnotateArguments) -> Result<()> {
    context.usage.exactly(&arguments.names, 2)?;
    let [list, name] = &arguments.names[..] else {
        return Ok(());
    };
    let named = |what: &str, text: &str| {
        parse(text).map_err(|error| {
            Failure::error(format!(
                "annotate: error parsing name for {what} {text}: {error}"
            ))
        })
    };
    let (target, reference) = (named("manifest list", list)?, named("manifest", name)?);
    let lists = Lists::of(context)?;
    let Some(mut image) = lists.image(&target, &reference)? else {
        return Err(Failure::error(format!(
            "manifest for image {name} does not exist in {list}"
        )));
    };
    let platform = image
        .descriptor
        .platform
        .get_or_insert_with(Default::default);
    let set = |field: &mut String, value: &Option<String>| {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            field.clone_from(value);
        }
    };
    set(&mut platform.os, &arguments.os);
    set(&mut platform.architecture, &arguments.arch);
    set(&mut platform.variant, &arguments.variant);
    set(&mut platform.os_version, &arguments.os_version);
    for feature in &arguments.os_features {
        if !platform.os_features.contains(feature) {
            platform.os_features.push(feature.clone());
        }
    }
    let pair = format!("{}/{}", platform.os, platform.architecture);
    if !PLATFORMS.contains(&pair.as_str()) {
        let given = |value: &Option<String>| value.clone().unwrap_or_default();
        return Err(Failure::with_hint(
            format!(
                "manifest entry for image has unsupported os/arch combination: {}/{}",
                given(&arguments.os),
                given(&arguments.arch)
            ),
            format!("the entry would be for {pair}"),
        ));
    }
    lists.set(&target, &reference, &image)
}

fn inspect(context: &Context, arguments: &InspectArguments) -> Result<()> {
    context.usage.between(&arguments.names, 1, 2)?;
    let names = references(&arguments.names)?;
    let lists = Lists::of(context)?;
    let verbose = arguments.verbose;
    if let [list, reference] = &names[..] {
        let image = lists.image(list, reference)?;
        let image = image.ok_or_else(|| no_such(reference))?;
        return print(&form::image(&image, verbose)?);
    }
    let Some(reference) = names.first() else {
        return Ok(());
    };
    if let Some(images) = lists.get(reference)? {
        return print(&form::list(&images, verbose)?);
    }
    let engine = context.engine_for(&names, arguments.insecure)?;
    runtime::heavy(async {
        let found = remote(&engine, reference).await?;
        let Kind::Index(index) = &found.manifest.kind else {
            if !verbose {
                return print(&form::raw(&found.manifest.raw)?);
            }
            let platform = found
                .config
                .map(|config| form::platform_of(&config))
                .transpose()?;
            let image = form::listed(reference, &found.manifest, platform.unwrap_or_default())?;
            return print(&form::image(&image, true)?);
        };
        let mut images = Vec::new();
        for child in &index.manifests {
            let named = with_digest(reference, &child.digest)?;
            images.push(if verbose {
                let one = remote(&engine, &named).await?;
                let platform = child.platform.clone().unwrap_or_default();
                form::listed(&named, &one.manifest, platform.into())?
            } else {
                ListedImage::bare(&named, child)
            });
        }
        print(&form::list(&images, verbose)?)
    })
}

fn push(context: &Context, arguments: &PushArguments) -> Result<()> {
    context.usage.exactly(&arguments.names, 1)?;
    let names = references(&arguments.names)?;
    let Some(target) = names.first() else {
        return Ok(());
    };
    let lists = Lists::of(context)?;
    let images = lists.get(target)?.ok_or_else(|| no_such(target))?;
    let mut parts = Vec::new();
    for image in &images {
        let reference = image.name()?;
        let platform = image.descriptor.platform.as_ref();
        if platform.is_none_or(|p| p.os.is_empty() || p.architecture.is_empty()) {
            return Err(Failure::error(format!(
                "manifest {reference} must have an OS and Architecture to be pushed to a registry"
            )));
        }
        if reference.domain() != target.domain() {
            return Err(Failure::error(format!(
                "cannot use source images from a different registry than the target image: {} != {}",
                reference.domain(),
                target.domain()
            )));
        }
        parts.push((reference, image.descriptor.plain()));
    }
    let (media_type, raw) = form::index(&images);
    let index = Manifest::parse(media_type, raw.into())
        .map_err(|error| Failure::error(format!("the list cannot be sent: {error}")))?;
    let engine = context.engine_for(&names, arguments.insecure)?;
    runtime::heavy(async {
        let watch = Arc::new(Unwatched);
        let sent = engine.push_index(target, &index, &parts, watch).await?;
        for reference in sent {
            let digest = reference.digest().map(ToString::to_string);
            let digest = digest.unwrap_or_default();
            print(&format!("Pushed ref {reference} with digest: {digest}\n"))?;
        }
        print(&format!("{}\n", index.descriptor.digest))?;
        if arguments.purge {
            lists.remove(target)?;
        }
        Ok(())
    })
}

fn remove(context: &Context, arguments: &RmArguments) -> Result<()> {
    context.usage.at_least(&arguments.names, 1)?;
    let lists = Lists::of(context)?;
    let mut errors = Vec::new();
    for name in &arguments.names {
        let done = parse(name)
            .map_err(|error| error.to_string())
            .and_then(|reference| match lists.remove(&reference) {
                Ok(true) => Ok(()),
                Ok(false) => Err(format!("No such manifest: {reference}")),
                Err(_) => Err(format!("the list {reference} cannot be removed")),
            });
        errors.extend(
            done.err()
                .map(|text| EngineError::new(ErrorKind::NotFound, text)),
        );
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Failure::Engine(errors))
    }
}

/// With a digest as it is, else with a tag.
fn parse(text: &str) -> Result<Reference, ReferenceError> {
    Ok(text.parse::<Reference>()?.or_latest())
}

fn references(texts: &[String]) -> Result<Vec<Reference>> {
    let all = texts.iter().map(|text| parse(text));
    all.collect::<Result<_, _>>()
        .map_err(|error: ReferenceError| Failure::error(error.to_string()))
}

/// With the tag, too, as Docker shows an image of a list.
fn with_digest(list: &Reference, digest: &Digest) -> Result<Reference> {
    let text = match list.digest() {
        Some(_) => list.with_digest(digest.clone()).to_string(),
        None => format!("{list}@{digest}"),
    };
    text.parse()
        .map_err(|error: ReferenceError| Failure::error(error.to_string()))
}

fn no_such(reference: &Reference) -> Failure {
    EngineError::new(
        ErrorKind::NotFound,
        format!("No such manifest: {reference}"),
    )
    .into()
}

impl From<Platform> for form::PlatformForm {
    fn from(platform: Platform) -> Self {
        Self {
            architecture: platform.architecture,
            os: platform.os,
            os_version: platform.os_version,
            os_features: platform.os_features,
            variant: platform.variant,
        }
    }
}

impl form::DescriptorForm {
    /// What a copy needs of it.
    fn plain(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.digest.clone(), self.size)
    }
}
