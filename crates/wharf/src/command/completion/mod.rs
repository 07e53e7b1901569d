//! `wharf completion`: what a shell is told once, and `wharf __complete`, which it asks at each tab.
//!
//! The scripts know nothing of the commands: what there is to complete is found here, from the same
//! description of the command line that everything else is read by, and from the store's names.

mod candidates;

use clap::{Args, ValueEnum};

use crate::arguments;
use crate::context::Context;
use crate::exit::Result;
use crate::print::print;

/// The line that tells a script to complete files.
const FILES: &str = ":files\n";

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The shell.
    shell: Vec<Shell>,
}

/// A shell that has completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// The arguments of `wharf __complete`.
#[derive(Debug, Args)]
pub(crate) struct CompleteArguments {
    /// What stands on the command line, up to the cursor.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let given: Vec<String> = arguments.shell.iter().map(|_| String::new()).collect();
    context.usage.exactly(&given, 1)?;
    let script = match arguments.shell.first() {
        Some(Shell::Zsh) => include_str!("wharf.zsh"),
        Some(Shell::Fish) => include_str!("wharf.fish"),
        Some(Shell::Bash) | None => include_str!("wharf.bash"),
    };
    print(&script.replace("wharf", context.environment.program.name()))
}

/// Runs `wharf __complete`: a line for each candidate, with what it is behind a tab.
pub(crate) fn complete(context: &Context, arguments: &CompleteArguments) -> Result<()> {
    let root = arguments::root(context.environment.program);
    let found = candidates::find(&root, &arguments.words, &|| names(context));
    let mut text = String::new();
    for candidate in &found.all {
        text.push_str(&format!("{}\t{}\n", candidate.value, candidate.about));
    }
    if found.files {
        text.push_str(FILES);
    }
    print(&text)
}

/// The names of the images that are here. Whatever goes wrong, a tab prints no error.
fn names(context: &Context) -> Vec<String> {
    use wharf_engine::{Engine as _, ListQuery};

    // A tab makes no store.
    let there = context.root().is_ok_and(|root| root.is_dir());
    let Some(engine) = context.engine().ok().filter(|_| there) else {
        return Vec::new();
    };
    let query = ListQuery::default();
    let Ok(Ok(images)) = crate::runtime::light(engine.images(&query)) else {
        return Vec::new();
    };
    let mut all: Vec<String> = images
        .iter()
        .flat_map(|image| image.repo_tags.iter().cloned())
        .collect();
    all.sort();
    all.dedup();
    all
}
