//! From instructions to a config (moby's `dispatch`), for Linux images.

use super::commands::{Command, command};
use super::lines::read;
use super::{Result, RunConfig, mistake, words};

/// The instructions that change a config and need no build.
const INSTRUCTIONS: [&str; 11] = [
    "cmd",
    "entrypoint",
    "healthcheck",
    "env",
    "expose",
    "label",
    "onbuild",
    "stopsignal",
    "user",
    "volume",
    "workdir",
];

/// The signals that have names; `RTMIN+1` and its like are computed.
const SIGNALS: [&str; 36] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
];

/// Makes a config of Dockerfile instructions.
pub(crate) fn apply(changes: &[String]) -> Result<RunConfig> {
    let mut config = RunConfig::default();
    if changes.is_empty() {
        return Ok(config);
    }
    let instructions = read(&changes.join("\n"))?;
    for one in &instructions.all {
        if !INSTRUCTIONS.contains(&one.name.to_ascii_lowercase().as_str()) {
            return mistake(format!("{} is not a valid change command", one.name));
        }
    }
    // All are read before the first counts, as in Docker: the first mistake of form is the one that is told.
    let commands = instructions.all.iter().map(command);
    let commands = commands.collect::<Result<Vec<_>>>()?;
    let mut state = State {
        config: &mut config,
        escape: instructions.escape,
        command_set: false,
    };
    for command in commands {
        state.apply(command)?;
    }
    Ok(config)
}

/// What has been applied so far.
struct State<'c> {
    config: &'c mut RunConfig,
    escape: char,
    /// Did an instruction set the command? Then an entry point leaves it as it is.
    command_set: bool,
}

impl State<'_> {
    fn apply(&mut self, command: Command) -> Result<()> {
        // Variables are those from before the instruction.
        let environment = self.config.env.clone();
        let lookup = |name: &str| {
            let found = environment.iter().find_map(|pair| {
                let (key, value) = pair.split_once('=')?;
                (key == name).then_some(value)
            });
            found.map(str::to_owned)
        };
        let escape = self.escape;
        let expand = |text: &str| words::word(text, escape, &lookup);
        let config = &mut *self.config;
        match command {
            Command::Cmd(line) => {
                self.command_set = !line.is_empty() || self.command_set;
                config.cmd = Some(line);
            }
            Command::Entrypoint(line) => {
                config.entrypoint = line;
                if !self.command_set {
                    config.cmd = None;
                }
            }
            Command::Env(pairs) => {
                for (key, value) in pairs {
                    set_variable(&mut config.env, &expand(&key)?, &expand(&value)?);
                }
            }
            Command::Expose(specs) => {
                for spec in specs {
                    for word in words::words(&spec, escape, &lookup)? {
                        config.exposed_ports.extend(ports(&word)?);
                    }
                }
            }
            Command::Healthcheck(check) => config.healthcheck = Some(check),
            Command::Label(pairs) => {
                for (key, value) in pairs {
                    config.labels.insert(expand(&key)?, expand(&value)?);
                }
            }
            Command::Onbuild(expression) => config.on_build.push(expression),
            Command::StopSignal(signal) => config.stop_signal = signal_of(expand(&signal)?)?,
            Command::User(user) => config.user = expand(&user)?,
            Command::Volume(volumes) => {
                for volume in volumes {
                    let volume = expand(&volume)?;
                    if volume.is_empty() {
                        return mistake("VOLUME specified can not be an empty string");
                    }
                    config.volumes.insert(volume);
                }
            }
            Command::Workdir(path) => {
                config.working_dir = folder(&config.working_dir, &expand(&path)?)?;
            }
        }
        Ok(())
    }
}

fn set_variable(env: &mut Vec<String>, key: &str, value: &str) {
    let new = format!("{key}={value}");
    let old = env
        .iter_mut()
        .find(|old| old.split('=').next() == Some(key));
    match old {
        Some(old) => *old = new,
        None => env.push(new),
    }
}

/// A working folder, seen from the one before it.
fn folder(current: &str, path: &str) -> Result<String> {
    if path.is_empty() {
        return mistake("cannot normalize nothing");
    }
    let whole = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{current}/{path}")
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Ok(format!("/{}", parts.join("/")))
}

/// The ports of `80`, `80-82/udp`, or `127.0.0.1:8080:80`, of which the container's counts.
fn ports(spec: &str) -> Result<Vec<String>> {
    let parts: Vec<&str> = spec.split(':').collect();
    let (host, last) = match parts.as_slice() {
        [.., host, last] => (*host, *last),
        [last] => ("", *last),
        [] => ("", ""),
    };
    let address = parts[..parts.len().saturating_sub(2)].join(":");
    let (port, protocol) = match last.split_once('/') {
        None | Some((_, "")) => (last.trim_end_matches('/'), "tcp"),
        Some((port, protocol)) => (port, protocol.split('/').next().unwrap_or_default()),
    };
    let bare = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(&address);
    if !bare.is_empty() && bare.parse::<std::net::IpAddr>().is_err() {
        return mistake(format!("invalid IP address: {bare}"));
    }
    if port.is_empty() {
        return mistake(format!("no port specified: {spec}<empty>"));
    }
    let Some((from, to)) = range(port) else {
        return mistake(format!("invalid containerPort: {port}"));
    };
    if !host.is_empty() {
        let Some((first, last)) = range(host) else {
            return mistake(format!("invalid hostPort: {host}"));
        };
        if last - first != to - from && from != to {
            return mistake(format!(
                "invalid ranges specified for container and host Ports: {port} and {host}"
            ));
        }
    }
    let protocol_known = protocol.to_ascii_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol_known.as_str()) {
        return mistake(format!("invalid proto: {protocol}"));
    }
    Ok((from..=to)
        .map(|port| format!("{port}/{protocol_known}"))
        .collect())
}

fn range(text: &str) -> Option<(u16, u16)> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| digits)
    };
    let mut parts = text.split('-');
    let from = number(parts.next()?)?;
    let to = parts.next().map_or(Some(from), number)?;
    (from <= to).then_some((from, to))
}

/// A signal, if it is one: a number, or a name with or without `SIG`.
fn signal_of(text: String) -> Result<String> {
    let invalid = format!("invalid signal: {text}");
    if let Ok(number) = text.parse::<i64>() {
        return if number == 0 {
            mistake(invalid)
        } else {
            Ok(text)
        };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |prefix: &str, max: u8| {
        let digits = name.strip_prefix(prefix)?;
        let number: u8 = digits.parse().ok()?;
        (digits == number.to_string() && (1..=max).contains(&number)).then_some(())
    };
    let known =
        SIGNALS.contains(&name) || offset("RTMIN+", 15).is_some() || offset("RTMAX-", 14).is_some();
    if known { Ok(text) } else { mistake(invalid) }
}
