//! The flags that Docker's command line has before the command, for whoever calls wharf `docker`.
//!
//! Most of them say how to reach a daemon. There is none: what names this machine is taken, what names
//! another one is refused, since its images are not the ones that are here.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::exit::{Failure, Result};

/// Where Docker's daemon of this machine listens: who names it means the images that are here.
const OWN_HOSTS: [&str; 2] = ["unix:///var/run/docker.sock", "unix:///run/docker.sock"];
/// The context of this machine.
const OWN_CONTEXT: &str = "default";

/// Gives the program Docker's global flags.
pub(super) fn add(root: Command) -> Command {
    let text = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("string").help(help)
    };
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    let unused = "Taken for Docker's sake: there is no daemon to reach";
    root.mut_arg("config", |arg| {
        arg.help("The folder of Docker's config.json: credentials, formats, filters")
    })
    .arg(text("context", "Only \"default\": this machine").short('c'))
    .arg(
        text(
            "host",
            "Only this machine's own socket: there is no daemon to reach",
        )
        .short('H'),
    )
    .arg(switch("tls", unused))
    .arg(text("tlscacert", unused))
    .arg(text("tlscert", unused))
    .arg(text("tlskey", unused))
    .arg(switch("tlsverify", unused))
}

/// Refuses what names another machine than this one.
pub(super) fn check(matches: &ArgMatches) -> Result<()> {
    if let Some(context) = given(matches, "context").filter(|name| *name != OWN_CONTEXT) {
        return Err(Failure::with_hint(
            format!("cannot use the context {context:?}: wharf knows only this machine's images"),
            "leave --context out",
        ));
    }
    if let Some(host) = given(matches, "host").filter(|host| !OWN_HOSTS.contains(host)) {
        return Err(Failure::with_hint(
            format!("cannot use the daemon at {host}: wharf manages this machine's images itself"),
            "leave --host out; --root names another folder of images",
        ));
    }
    Ok(())
}

fn given<'m>(matches: &'m ArgMatches, name: &str) -> Option<&'m str> {
    let text = matches.try_get_one::<String>(name).ok().flatten();
    text.map(String::as_str).filter(|text| !text.is_empty())
}

/// What `--config` names, taken out of the settings' place: Docker's folder.
pub(super) fn config_folder(config: &mut Option<PathBuf>) -> Option<PathBuf> {
    config
        .take()
        .filter(|folder| !folder.as_os_str().is_empty())
}
