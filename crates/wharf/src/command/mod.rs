//! The commands: one file for each.
//!
//! A command's file holds its arguments, as clap reads them, and `run`. The same arguments and `run`
//! serve `wharf images` and `wharf image ls`.

mod cat;
mod completion;
mod copy;
mod cp;
mod demo;
mod diff;
mod files;
mod history;
mod images;
mod import;
mod info;
mod inspect;
mod load;
mod login;
mod ls;
mod man;
mod manifest;
mod outdated;
mod prune;
mod pull;
mod push;
mod rmi;
mod save;
mod search;
mod serve;
mod store;
mod system;
mod tag;
mod tags;
mod unpack;
mod version;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::Result;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fetch images from a registry
    #[command(override_usage = "[OPTIONS] NAME[:TAG|@DIGEST]...")]
    Pull(pull::Arguments),
    /// Send images to their registry
    #[command(override_usage = "[OPTIONS] NAME[:TAG]")]
    Push(push::Arguments),
    /// List the images that are here
    #[command(override_usage = "[OPTIONS] [REPOSITORY[:TAG]]")]
    Images(images::Arguments),
    /// Manage images
    #[command(override_usage = "COMMAND")]
    Image {
        /// What to do with them.
        #[command(subcommand)]
        command: Option<ImageCommand>,
    },
    /// Look after the folder that holds the images
    #[command(override_usage = "COMMAND")]
    Store {
        /// What to do with it.
        #[command(subcommand)]
        command: Option<store::Command>,
    },
    /// Serve images to others
    #[command(override_usage = "COMMAND")]
    Serve {
        /// How.
        #[command(subcommand)]
        command: Option<serve::Command>,
    },
    /// Show how an image was built
    #[command(override_usage = "[OPTIONS] IMAGE")]
    History(history::Arguments),
    /// Make an image of an archive of files
    #[command(override_usage = "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]")]
    Import(import::Arguments),
    /// Say everything about images, as JSON or by a template
    #[command(override_usage = "[OPTIONS] NAME|ID [NAME|ID...]")]
    Inspect(inspect::AnyArguments),
    /// Load images from a tar archive or standard input
    #[command(override_usage = "[OPTIONS]")]
    Load(load::Arguments),
    /// Print what makes a shell complete commands, flags and images' names
    #[command(override_usage = "bash|fish|zsh")]
    Completion(completion::Arguments),
    /// Find what may stand at the cursor
    #[command(name = "__complete", hide = true, override_usage = "[WORD...]")]
    Complete(completion::CompleteArguments),
    /// Say what is here: images, settings, this machine
    #[command(override_usage = "[OPTIONS]")]
    Info(info::Arguments),
    /// Say which names have moved in their registries
    #[command(override_usage = "[OPTIONS] [NAME[:TAG]...]")]
    Outdated(outdated::Arguments),
    /// Search Docker Hub, or another registry that has a search
    #[command(override_usage = "[OPTIONS] TERM")]
    Search(search::Arguments),
    /// List the tags of a repository in its registry
    #[command(override_usage = "[OPTIONS] NAME")]
    Tags(tags::Arguments),
    /// Print files of an image
    #[command(override_usage = "[OPTIONS] IMAGE:PATH [IMAGE:PATH...]")]
    Cat(cat::Arguments),
    /// Copy files of an image to this machine
    #[command(override_usage = "[OPTIONS] IMAGE:PATH DEST_PATH|-")]
    Cp(cp::Arguments),
    /// Compare two images: config, layers, files
    #[command(override_usage = "[OPTIONS] IMAGE IMAGE")]
    Diff(diff::Arguments),
    /// List files of an image
    #[command(override_usage = "[OPTIONS] IMAGE[:PATH]")]
    Ls(ls::Arguments),
    /// Write an image's files into a new folder, or a bundle for a runtime
    #[command(override_usage = "[OPTIONS] IMAGE FOLDER")]
    Unpack(unpack::Arguments),
    /// Log in to a registry
    #[command(override_usage = "[OPTIONS] [SERVER]")]
    Login(login::Arguments),
    /// Log out from a registry
    #[command(override_usage = "[SERVER]")]
    Logout(login::LogoutArguments),
    /// Write the manual: a page for each command
    #[command(override_usage = "FOLDER")]
    Man(man::Arguments),
    /// Copy an image from registry to registry, or to and from a file or folder
    #[command(override_usage = "[OPTIONS] SOURCE DESTINATION")]
    Copy(copy::Arguments),
    /// Manage manifests and lists of manifests in registries
    #[command(override_usage = "COMMAND")]
    Manifest {
        /// What to do with them.
        #[command(subcommand)]
        command: Option<manifest::Command>,
    },
    /// Remove images, or names of them
    #[command(override_usage = "[OPTIONS] IMAGE [IMAGE...]")]
    Rmi(rmi::Arguments),
    /// Save images to a tar archive (to standard output by default)
    #[command(override_usage = "[OPTIONS] IMAGE [IMAGE...]")]
    Save(save::Arguments),
    /// Look after everything that is here
    #[command(override_usage = "COMMAND")]
    System {
        /// What to do.
        #[command(subcommand)]
        command: Option<system::Command>,
    },
    /// Give an image a further name
    #[command(override_usage = "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]")]
    Tag(tag::Arguments),
    /// Show what wharf does, in a store of its own
    #[command(override_usage = "[OPTIONS]")]
    Demo(demo::Arguments),
    /// Show the version
    #[command(override_usage = "[OPTIONS]")]
    Version(version::Arguments),
    /// Explain a command
    #[command(override_usage = "[COMMAND...]", hide = true)]
    Help {
        /// Which one.
        topic: Vec<String>,
    },
}

/// What to do with images: Docker's `docker image …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Show how an image was built
    #[command(override_usage = "[OPTIONS] IMAGE")]
    History(history::Arguments),
    /// Make an image of an archive of files
    #[command(override_usage = "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]")]
    Import(import::Arguments),
    /// Say everything about images, as JSON or by a template
    #[command(override_usage = "[OPTIONS] IMAGE [IMAGE...]")]
    Inspect(inspect::Arguments),
    /// List the images that are here
    #[command(alias = "list", override_usage = "[OPTIONS] [REPOSITORY[:TAG]]")]
    Ls(images::Arguments),
    /// Load images from a tar archive or standard input
    #[command(override_usage = "[OPTIONS]")]
    Load(load::Arguments),
    /// Remove images that nobody needs
    #[command(override_usage = "[OPTIONS]")]
    Prune(prune::Arguments),
    /// Fetch images from a registry
    #[command(override_usage = "[OPTIONS] NAME[:TAG|@DIGEST]...")]
    Pull(pull::Arguments),
    /// Send images to their registry
    #[command(override_usage = "[OPTIONS] NAME[:TAG]")]
    Push(push::Arguments),
    /// Search Docker Hub, or another registry that has a search
    #[command(override_usage = "[OPTIONS] TERM")]
    Search(search::Arguments),
    /// Remove images, or names of them
    #[command(aliases = ["rmi", "remove"], override_usage = "[OPTIONS] IMAGE [IMAGE...]")]
    Rm(rmi::Arguments),
    /// Save images to a tar archive (to standard output by default)
    #[command(override_usage = "[OPTIONS] IMAGE [IMAGE...]")]
    Save(save::Arguments),
    /// Give an image a further name
    #[command(override_usage = "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]")]
    Tag(tag::Arguments),
}

impl Command {
    /// Does it go on until it is told to end? Then its log is read later, and begins by itself.
    pub(crate) const fn is_server(&self) -> bool {
        matches!(self, Self::Serve { command: Some(_) })
    }
}

/// Runs a command; with none, which `--version` means, says the version.
pub(crate) fn run(command: Option<Command>, context: &Context) -> Result<()> {
    match command {
        None => version::line(context.environment.program),
        Some(Command::Pull(arguments)) => pull::run(context, &arguments),
        Some(Command::Push(arguments)) => push::run(context, &arguments),
        Some(Command::Images(arguments)) => images::run(context, &arguments),
        Some(Command::Image { command }) => command.map_or(Ok(()), |c| image(c, context)),
        Some(Command::Store { command }) => command.map_or(Ok(()), |c| store::run(context, &c)),
        Some(Command::Serve { command }) => command.map_or(Ok(()), |c| serve::run(context, &c)),
        Some(Command::History(arguments)) => history::run(context, &arguments),
        Some(Command::Import(arguments)) => import::run(context, &arguments),
        Some(Command::Inspect(arguments)) => inspect::run_any(context, &arguments),
        Some(Command::Load(arguments)) => load::run(context, &arguments),
        Some(Command::Completion(arguments)) => completion::run(context, &arguments),
        Some(Command::Complete(arguments)) => completion::complete(context, &arguments),
        Some(Command::Info(arguments)) => info::run(context, &arguments),
        Some(Command::Outdated(arguments)) => outdated::run(context, &arguments),
        Some(Command::Search(arguments)) => search::run(context, &arguments),
        Some(Command::Tags(arguments)) => tags::run(context, &arguments),
        Some(Command::Cat(arguments)) => cat::run(context, &arguments),
        Some(Command::Cp(arguments)) => cp::run(context, &arguments),
        Some(Command::Diff(arguments)) => diff::run(context, &arguments),
        Some(Command::Ls(arguments)) => ls::run(context, &arguments),
        Some(Command::Unpack(arguments)) => unpack::run(context, &arguments),
        Some(Command::Login(arguments)) => login::run(context, &arguments),
        Some(Command::Logout(arguments)) => login::logout(context, &arguments),
        Some(Command::Man(arguments)) => man::run(context, &arguments),
        Some(Command::Copy(arguments)) => copy::run(context, &arguments),
        Some(Command::Manifest { command }) => {
            command.map_or(Ok(()), |c| manifest::run(context, &c))
        }
        Some(Command::Rmi(arguments)) => rmi::run(context, &arguments),
        Some(Command::Save(arguments)) => save::run(context, &arguments),
        Some(Command::System { command }) => command.map_or(Ok(()), |c| system::run(context, &c)),
        Some(Command::Tag(arguments)) => tag::run(context, &arguments),
        Some(Command::Demo(arguments)) => demo::run(context, &arguments),
        Some(Command::Version(arguments)) => version::run(context, &arguments),
        // Answered while the command line was read.
        Some(Command::Help { .. }) => Ok(()),
    }
}

fn image(command: ImageCommand, context: &Context) -> Result<()> {
    match command {
        ImageCommand::History(arguments) => history::run(context, &arguments),
        ImageCommand::Import(arguments) => import::run(context, &arguments),
        ImageCommand::Inspect(arguments) => inspect::run(context, &arguments),
        ImageCommand::Ls(arguments) => images::run(context, &arguments),
        ImageCommand::Load(arguments) => load::run(context, &arguments),
        ImageCommand::Prune(arguments) => prune::run(context, &arguments),
        ImageCommand::Pull(arguments) => pull::run(context, &arguments),
        ImageCommand::Push(arguments) => push::run(context, &arguments),
        ImageCommand::Rm(arguments) => rmi::run(context, &arguments),
        ImageCommand::Search(arguments) => search::run(context, &arguments),
        ImageCommand::Save(arguments) => save::run(context, &arguments),
        ImageCommand::Tag(arguments) => tag::run(context, &arguments),
    }
}

/// The names of a command that has several.
pub(crate) fn aliases(path: &[&str]) -> Option<&'static [&'static str]> {
    match path {
        ["pull"] | ["image", "pull"] => Some(&["image pull", "pull"]),
        ["push"] | ["image", "push"] => Some(&["image push", "push"]),
        ["info"] | ["system", "info"] => Some(&["system info", "info"]),
        ["images"] | ["image", "ls"] => Some(&["image ls", "image list", "images"]),
        ["history"] | ["image", "history"] => Some(&["image history", "history"]),
        ["import"] | ["image", "import"] => Some(&["image import", "import"]),
        ["load"] | ["image", "load"] => Some(&["image load", "load"]),
        ["save"] | ["image", "save"] => Some(&["image save", "save"]),
        ["rmi"] | ["image", "rm"] => Some(&["image rm", "image remove", "rmi"]),
        ["tag"] | ["image", "tag"] => Some(&["image tag", "tag"]),
        _ => None,
    }
}

/// The commands that help lists first, in this order: Docker's.
pub(crate) const COMMON: [&str; 9] = [
    "pull", "push", "tag", "images", "login", "logout", "search", "version", "info",
];
