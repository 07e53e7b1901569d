//! From instructions to a config (moby's `dispatch`), for Linux images.

use super::lines::{Instruction, read};
use super::{Healthcheck, Mistake, Result, RunConfig, mistake, words};
use crate::when::{DurationError, duration};

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

/// What the shell's form of a command runs in.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// The least time between two health checks, in nanoseconds: Docker's.
const INTERVAL_MIN: i64 = 1_000_000;

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

/// An instruction, read.
enum Command {
    Cmd(Vec<String>),
    Entrypoint(Option<Vec<String>>),
    Env(Vec<(String, String)>),
    Expose(Vec<String>),
    Healthcheck(Healthcheck),
    Label(Vec<(String, String)>),
    Onbuild(String),
    StopSignal(String),
    User(String),
    Volume(Vec<String>),
    Workdir(String),
}

fn command(one: &Instruction) -> Result<Command> {
    let name = one.name.to_ascii_uppercase();
    let at_least_one = || match one.args.is_empty() {
        true => mistake(format!("{name} requires at least one argument")),
        false => Ok(()),
    };
    let exactly_one = || match one.args.as_slice() {
        [arg] => Ok(arg.clone()),
        _ => mistake(format!("{name} requires exactly one argument")),
    };
    Ok(match name.as_str() {
        "CMD" => {
            Flags::read(one, &[])?;
            Command::Cmd(in_shell(one))
        }
        "ENTRYPOINT" => {
            Flags::read(one, &[])?;
            let empty = one.args.is_empty();
            Command::Entrypoint((!empty).then(|| in_shell(one)))
        }
        "ENV" | "LABEL" => {
            Flags::read(one, &[])?;
            at_least_one()?;
            let pairs = pairs(&name, &one.args)?;
            match name.as_str() {
                "ENV" => Command::Env(pairs),
                _ => Command::Label(pairs),
            }
        }
        "EXPOSE" => {
            at_least_one()?;
            Flags::read(one, &[])?;
            let mut ports = one.args.clone();
            ports.sort();
            Command::Expose(ports)
        }
        "HEALTHCHECK" => {
            at_least_one()?;
            Command::Healthcheck(healthcheck(one)?)
        }
        "ONBUILD" => {
            at_least_one()?;
            Flags::read(one, &[])?;
            Command::Onbuild(trigger(one)?)
        }
        "STOPSIGNAL" => Command::StopSignal(exactly_one()?),
        "USER" => {
            let user = exactly_one()?;
            Flags::read(one, &[])?;
            Command::User(user)
        }
        "VOLUME" => {
            at_least_one()?;
            Flags::read(one, &[])?;
            let volumes: Vec<String> = one.args.iter().map(|v| v.trim().to_owned()).collect();
            if volumes.iter().any(String::is_empty) {
                return mistake("VOLUME specified can not be an empty string");
            }
            Command::Volume(volumes)
        }
        "WORKDIR" => {
            let path = exactly_one()?;
            Flags::read(one, &[])?;
            Command::Workdir(path)
        }
        _ => return mistake(format!("{} is not a valid change command", one.name)),
    })
}

/// What a command's arguments run: by themselves if they are JSON, else in a shell.
fn in_shell(one: &Instruction) -> Vec<String> {
    if one.json {
        return one.args.clone();
    }
    let shell = SHELL.iter().map(|&word| word.to_owned());
    shell.chain(one.args.iter().cloned()).collect()
}

fn pairs(name: &str, args: &[String]) -> Result<Vec<(String, String)>> {
    let pair = |pair: &[String]| match pair {
        [key, value] if !key.is_empty() => Ok((key.clone(), value.clone())),
        _ => mistake(format!("{name} names can not be blank")),
    };
    args.chunks(2).map(pair).collect()
}

fn trigger(one: &Instruction) -> Result<String> {
    let trigger = one.args.first().map_or("", |arg| arg.trim());
    let trigger = trigger.to_ascii_uppercase();
    match trigger.as_str() {
        "ONBUILD" => mistake("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        "MAINTAINER" | "FROM" => mistake(format!("{trigger} isn't allowed as an ONBUILD trigger")),
        _ => {
            let original = one.original.trim_start();
            let expression = original.get("ONBUILD".len()..).unwrap_or_default();
            Ok(expression.trim_start().to_owned())
        }
    }
}

fn healthcheck(one: &Instruction) -> Result<Healthcheck> {
    const FLAGS: [&str; 5] = [
        "interval",
        "timeout",
        "start-period",
        "start-interval",
        "retries",
    ];
    let (kind, args) = one
        .args
        .split_first()
        .map_or(("", &[][..]), |(kind, args)| (kind, args));
    let upper = kind.to_ascii_uppercase();
    if upper == "NONE" {
        if !args.is_empty() {
            return mistake("HEALTHCHECK NONE takes no arguments");
        }
        return Ok(Healthcheck {
            test: vec![upper],
            ..Healthcheck::default()
        });
    }
    let flags = Flags::read(one, &FLAGS)?;
    if upper != "CMD" {
        return mistake(format!("Unknown type {upper:?} in HEALTHCHECK (try CMD)"));
    }
    if args.is_empty() {
        return mistake("Missing command after HEALTHCHECK CMD");
    }
    let how = if one.json { "CMD" } else { "CMD-SHELL" };
    let mut test = vec![how.to_owned()];
    test.extend(args.iter().cloned());
    Ok(Healthcheck {
        test,
        interval: flags.interval("interval")?,
        timeout: flags.interval("timeout")?,
        start_period: flags.interval("start-period")?,
        start_interval: flags.interval("start-interval")?,
        retries: flags.retries()?,
    })
}

/// An instruction's flags, by name.
struct Flags<'i>(Vec<(&'i str, &'i str)>);

impl<'i> Flags<'i> {
    fn read(one: &'i Instruction, known: &[&str]) -> Result<Self> {
        let mut all: Vec<(&str, &str)> = Vec::new();
        for word in &one.flags {
            let (flag, value) = match word.split_once('=') {
                Some((flag, value)) => (flag, Some(value)),
                None => (word.as_str(), None),
            };
            let name = flag.trim_start_matches('-');
            if !known.contains(&name) {
                let meant = match nearest(name, known) {
                    Some(meant) => format!(" (did you mean {meant}?)"),
                    None => String::new(),
                };
                return mistake(format!("unknown flag: {flag}{meant}"));
            }
            if all.iter().any(|(other, _)| *other == name) {
                return mistake(format!("duplicate flag specified: {flag}"));
            }
            let Some(value) = value else {
                return mistake(format!("missing a value on flag: {flag}"));
            };
            all.push((name, value));
        }
        Ok(Self(all))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(other, _)| *other == name);
        found
            .map(|(_, value)| *value)
            .filter(|value| !value.is_empty())
    }

    /// A time, in nanoseconds.
    fn interval(&self, name: &str) -> Result<i64> {
        let Some(text) = self.get(name) else {
            return Ok(0);
        };
        let nanos = duration(text)
            .map_err(|error: DurationError| Mistake(error.to_string()))?
            .as_nanos();
        let nanos = i64::try_from(nanos)
            .map_err(|_| Mistake(format!("time: invalid duration {text:?}")))?;
        if nanos != 0 && nanos < INTERVAL_MIN {
            return mistake(format!("Interval {name:?} cannot be less than 1ms"));
        }
        Ok(nanos)
    }

    fn retries(&self) -> Result<i64> {
        let Some(text) = self.get("retries") else {
            return Ok(0);
        };
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let why = if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            "invalid syntax"
        } else {
            "value out of range"
        };
        let number: i32 = text
            .parse()
            .map_err(|_| Mistake(format!("strconv.ParseInt: parsing {text:?}: {why}")))?;
        if number < 0 {
            return mistake(format!("--retries cannot be negative ({number})"));
        }
        Ok(number.into())
    }
}

/// What was meant, if it is at most two letters off.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    const DISTANCE_MAX: usize = 2;
    let near = known.iter().map(|other| (distance(name, other), *other));
    near.filter(|(letters, _)| *letters <= DISTANCE_MAX)
        .min_by_key(|(letters, _)| *letters)
        .map(|(_, other)| other)
}

/// How many letters make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.chars().enumerate() {
            let change = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = change.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.chars().count()]
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
