//! Go's `time.Time` and `time.Duration`: templates print them, ask for their parts, and compare them.

use gotmpl::Value;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::record::{Record, record};

/// Year 1, where Go's zero time lies.
const ZERO: Timestamp = Timestamp::constant(-62_135_596_800, 0);

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// A time in a time zone.
#[derive(Clone, Debug)]
pub(crate) struct GoTime(Zoned);

impl GoTime {
    /// A time in UTC; Go's zero time if there is none.
    pub(crate) fn utc(time: Option<Timestamp>) -> Self {
        Self(time.unwrap_or(ZERO).to_zoned(TimeZone::UTC))
    }

    fn nanos(&self) -> i64 {
        i64::try_from(self.0.timestamp().as_nanosecond()).unwrap_or_default()
    }

    /// The fraction of a second, with a dot and without zeros at its end.
    fn fraction(&self) -> String {
        let digits = format!("{:09}", self.0.subsec_nanosecond());
        match digits.trim_end_matches('0') {
            "" => String::new(),
            digits => format!(".{digits}"),
        }
    }

    /// RFC 3339, as Go writes it into JSON.
    fn rfc3339(&self) -> String {
        let zone = if self.0.time_zone() == &TimeZone::UTC {
            "Z".to_owned()
        } else {
            self.0.strftime("%:z").to_string()
        };
        format!(
            "{}{}{zone}",
            self.0.strftime("%Y-%m-%dT%H:%M:%S"),
            self.fraction()
        )
    }

    fn weekday(&self) -> i64 {
        i64::from(Weekday::to_sunday_zero_offset(self.0.weekday()))
    }
}

impl Record for GoTime {
    const TYPE: &'static str = "time.Time";

    fn field(&self, name: &str) -> Option<Value> {
        let time = &self.0;
        let number = |number: i8| Value::Int(i64::from(number));
        let text = |text: String| Value::String(text.into());
        Some(match name {
            "Year" => Value::Int(i64::from(time.year())),
            "Month" => record(Named::of(&MONTHS, i64::from(time.month()), 1)),
            "Day" => number(time.day()),
            "Hour" => number(time.hour()),
            "Minute" => number(time.minute()),
            "Second" => number(time.second()),
            "Nanosecond" => Value::Int(i64::from(time.subsec_nanosecond())),
            "YearDay" => Value::Int(i64::from(time.day_of_year())),
            "Weekday" => record(Named::of(&DAYS, self.weekday(), 0)),
            "Unix" => Value::Int(time.timestamp().as_second()),
            "UnixMilli" => Value::Int(time.timestamp().as_millisecond()),
            "UnixMicro" => Value::Int(time.timestamp().as_microsecond()),
            "UnixNano" => Value::Int(self.nanos()),
            "IsZero" => Value::Bool(time.timestamp() == ZERO),
            "UTC" => record(Self(time.with_time_zone(TimeZone::UTC))),
            "Local" => record(Self(time.with_time_zone(TimeZone::system()))),
            "Location" => text(time.strftime("%Z").to_string()),
            "String" => text(self.text().unwrap_or_default()),
            _ => return None,
        })
    }

    fn json(&self) -> String {
        format!("\"{}\"", self.rfc3339())
    }

    fn text(&self) -> Option<String> {
        let (day, zone) = (
            self.0.strftime("%Y-%m-%d %H:%M:%S"),
            self.0.strftime("%z %Z"),
        );
        Some(format!("{day}{} {zone}", self.fraction()))
    }

    fn number(&self) -> Option<i64> {
        Some(self.nanos())
    }

    fn method(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
        let other = || match arguments {
            [Value::Function(other)] => super::record::number(other),
            _ => None,
        };
        let needs = |what: &str| format!("wrong number or type of args for {name}: want {what}");
        Some(match name {
            "Format" => match arguments {
                [Value::String(layout)] => Ok(Value::String(format(&self.0, layout).into())),
                _ => Err(needs("a layout")),
            },
            "Before" | "After" | "Equal" => {
                let own = self.nanos();
                let compared = other().map(|other| match name {
                    "Before" => own < other,
                    "After" => own > other,
                    _ => own == other,
                });
                compared.map(Value::Bool).ok_or_else(|| needs("a time"))
            }
            _ => return None,
        })
    }
}

/// The parts of Go's layouts, longest first, and what they are in `strftime`.
const LAYOUT: [(&str, &str); 26] = [
    ("January", "%B"),
    ("Jan", "%b"),
    ("Monday", "%A"),
    ("Mon", "%a"),
    ("MST", "%Z"),
    ("2006", "%Y"),
    ("-07:00", "%:z"),
    ("-0700", "%z"),
    ("Z07:00", "\0z"),
    ("002", "%j"),
    ("01", "%m"),
    ("02", "%d"),
    ("03", "%I"),
    ("04", "%M"),
    ("05", "%S"),
    ("06", "%y"),
    ("15", "%H"),
    ("_2", "%e"),
    ("PM", "%p"),
    ("pm", "%P"),
    (".000000000", ".%9f"),
    (".000000", ".%6f"),
    (".000", ".%3f"),
    (".999999999", "\0f"),
    ("1", "%-m"),
    ("2", "%-d"),
];

/// Formats by a layout of Go's.
fn format(time: &Zoned, layout: &str) -> String {
    let mut out = String::new();
    let mut rest = layout;
    while let Some(next) = rest.chars().next() {
        let found = LAYOUT.iter().find(|(part, _)| rest.starts_with(part));
        match found {
            Some((part, "\0z")) => {
                out.push_str(&match time.offset().is_zero() {
                    true => "Z".to_owned(),
                    false => time.strftime("%:z").to_string(),
                });
                rest = &rest[part.len()..];
            }
            Some((part, "\0f")) => {
                out.push_str(&GoTime(time.clone()).fraction());
                rest = &rest[part.len()..];
            }
            Some((part, directive)) => {
                out.push_str(&time.strftime(directive).to_string());
                rest = &rest[part.len()..];
            }
            None => {
                out.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    out
}

/// A month or a day: a number with a name.
#[derive(Clone, Debug)]
struct Named {
    name: &'static str,
    number: i64,
}

impl Named {
    fn of(names: &'static [&'static str], number: i64, first: i64) -> Self {
        let place = usize::try_from(number - first).ok();
        let name = place.and_then(|place| names.get(place)).copied();
        Self {
            name: name.unwrap_or_default(),
            number,
        }
    }
}

impl Record for Named {
    const TYPE: &'static str = "time.Month";

    fn field(&self, name: &str) -> Option<Value> {
        (name == "String").then(|| Value::String(self.name.into()))
    }

    fn json(&self) -> String {
        self.number.to_string()
    }

    fn text(&self) -> Option<String> {
        Some(self.name.to_owned())
    }

    fn number(&self) -> Option<i64> {
        Some(self.number)
    }
}

/// A length of time, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GoDuration(pub i64);

impl Record for GoDuration {
    const TYPE: &'static str = "time.Duration";

    #[expect(clippy::cast_precision_loss, reason = "Go loses the same precision")]
    fn field(&self, name: &str) -> Option<Value> {
        let nanos = self.0;
        Some(match name {
            "Nanoseconds" => Value::Int(nanos),
            "Microseconds" => Value::Int(nanos / 1_000),
            "Milliseconds" => Value::Int(nanos / 1_000_000),
            "Seconds" => Value::Float(nanos as f64 / 1e9),
            "Minutes" => Value::Float(nanos as f64 / 6e10),
            "Hours" => Value::Float(nanos as f64 / 3.6e12),
            "String" => Value::String(go_duration(nanos).into()),
            _ => return None,
        })
    }

    fn json(&self) -> String {
        self.0.to_string()
    }

    fn text(&self) -> Option<String> {
        Some(go_duration(self.0))
    }

    fn number(&self) -> Option<i64> {
        Some(self.0)
    }
}

/// A length of time as Go prints it: `1m30s`, `500ms`.
fn go_duration(nanos: i64) -> String {
    let (sign, n) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let fraction = |unit: u64| {
        let digits = format!("{:0width$}", n % unit, width = unit.ilog10() as usize);
        let digits = digits.trim_end_matches('0');
        if digits.is_empty() {
            String::new()
        } else {
            format!(".{digits}")
        }
    };
    let text = match n {
        0 => "0s".to_owned(),
        1..1_000 => format!("{n}ns"),
        1_000..1_000_000 => format!("{}{}µs", n / 1_000, fraction(1_000)),
        1_000_000..1_000_000_000 => format!("{}{}ms", n / 1_000_000, fraction(1_000_000)),
        _ => {
            let seconds = n / 1_000_000_000;
            let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            let tail = format!("{s}{}s", fraction(1_000_000_000));
            match (h, m) {
                (0, 0) => tail,
                (0, m) => format!("{m}m{tail}"),
                (h, m) => format!("{h}h{m}m{tail}"),
            }
        }
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_durations_as_go_does() {
        for (nanos, text) in [
            (0, "0s"),
            (30_000_000_000, "30s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (1_500_000_000, "1.5s"),
            (500_000_000, "500ms"),
            (1_500_000, "1.5ms"),
            (2_050, "2.05µs"),
            (7, "7ns"),
            (-2_000_000_000, "-2s"),
        ] {
            assert_eq!(go_duration(nanos), text);
        }
    }
}
