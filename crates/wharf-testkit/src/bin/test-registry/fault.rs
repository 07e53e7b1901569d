//! Faults, as they are written on a command line: `ON:WHEN:HOW`.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use wharf_testkit::{Fault, On, When};

pub(crate) fn parse(text: &str) -> Result<(On, When, Fault), String> {
    let wrong = || format!("--fault {text}: expected ON:WHEN:HOW");
    // A path may have colons in it, the other two have none.
    let (rest, how) = text.rsplit_once(':').ok_or_else(wrong)?;
    let (on, when) = rest.rsplit_once(':').ok_or_else(wrong)?;
    Ok((parse_on(on), parse_when(when)?, parse_fault(how)?))
}

fn parse_on(text: &str) -> On {
    match text {
        "any" => On::any(),
        "blobs" => On::blobs(),
        "manifests" => On::manifests(),
        "tokens" => On::tokens(),
        path => On::path(path),
    }
}

fn parse_when(text: &str) -> Result<When, String> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    Ok(match name {
        "always" => When::Always,
        "times" => When::Times(number(text, value)?),
        "after" => When::After(number(text, value)?),
        "chance" => When::Chance(number(text, value)?),
        _ => return Err(format!("{text} is not a time")),
    })
}

fn parse_fault(text: &str) -> Result<Fault, String> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    Ok(match name {
        "cut" => Fault::Cut(number(text, value)?),
        "stall" => Fault::Stall(number(text, value)?),
        "hangup" => Fault::Hangup,
        "status" => Fault::Status(number(text, value)?),
        "retry-after" => Fault::TooManyRequests {
            retry_after: number(text, value)?,
        },
        "flip" => Fault::Flip(number(text, value)?),
        "longer" => Fault::Longer(number(text, value)?),
        "shorter" => Fault::Shorter(number(text, value)?),
        "no-ranges" => Fault::NoRanges,
        "range-not-satisfiable" => Fault::RangeNotSatisfiable,
        "wrong-range" => Fault::WrongRange,
        "wrong-digest" => Fault::WrongDigest,
        "content-type" => Fault::ContentType(value.to_owned()),
        "redirect" => Fault::Redirect,
        "unauthorized" => Fault::Unauthorized,
        "slow" => Fault::Slow {
            bytes: number(text, value)?,
            every: Duration::from_millis(1),
        },
        "any" => Fault::Any,
        _ => return Err(format!("{text} is not a fault")),
    })
}

fn number<T>(text: &str, value: &str) -> Result<T, String>
where
    T: FromStr,
    T::Err: Display,
{
    value.parse().map_err(|error| format!("{text}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_faults_as_scripts_write_them() {
        let (_, when, fault) = parse("/v2/a/blobs/sha256:00:times=3:cut=1000").unwrap();
        assert!(matches!(when, When::Times(3)));
        assert_eq!(fault, Fault::Cut(1000));
        let (_, when, fault) = parse("any:chance=0.25:any").unwrap();
        assert!(matches!(when, When::Chance(p) if (p - 0.25).abs() < f64::EPSILON));
        assert_eq!(fault, Fault::Any);
        for text in [
            "",
            "any",
            "any:always",
            "any:always:cut",
            "any:now:any",
            "any:always:boom",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
