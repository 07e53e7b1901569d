//! What each instruction takes: arguments and flags (buildkit's `instructions`).

use super::lines::Instruction;
use super::{Healthcheck, Mistake, Result, mistake};
use crate::when::{DurationError, duration};

/// What the shell's form of a command runs in.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// The least time between two health checks, in nanoseconds: Docker's.
const INTERVAL_MIN: i64 = 1_000_000;

/// An instruction, read.
pub(super) enum Command {
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

/// Reads an instruction: how many arguments it has, and which flags.
pub(super) fn command(one: &Instruction) -> Result<Command> {
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
