//! PAX headers (POSIX.1-2001): `length key=value\n`, over and over.

use std::collections::HashSet;

use super::fault::TarProblem;
use super::limits::XATTRS_MAX;
use crate::files::Form;
use crate::files::holes::MapWriter;

/// What a PAX header says of the next entry, as far as it matters for an image's size.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pax<'a> {
    /// How many bytes follow the entry's header: it wins over the header's own field.
    pub(crate) size: Option<u64>,
    /// The entry's name.
    pub(crate) path: Option<&'a [u8]>,
    /// A link's target.
    pub(crate) link: Option<&'a [u8]>,
    /// How many bytes a file with holes has.
    pub(crate) real_size: Option<u64>,
    /// Where such a file has content, or how that can be learned.
    pub(crate) map: MapWriter,
    /// The owner's and the group's numbers.
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    /// In seconds since 1970, and nanoseconds.
    pub(crate) mtime: Option<(i64, u32)>,
    /// Extended attributes.
    pub(crate) xattrs: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Pax<'a> {
    /// Reads a whole header. Of a key that is there twice, the last one wins; an empty value is none.
    pub(crate) fn parse(mut bytes: &'a [u8]) -> Result<Self, TarProblem> {
        let mut pax = Self::default();
        let (mut sparse, mut real) = (None, None);
        let (mut version, mut name_of_sparse) = ((0, 0), None);
        let mut map = MapWriter::of(Form::Mapped);
        while !bytes.is_empty() {
            let (key, value, rest) = record(bytes).ok_or(TarProblem::Pax)?;
            bytes = rest;
            let text = (!value.is_empty()).then_some(value);
            match key {
                b"size" => pax.size = number(value)?,
                b"path" => pax.path = name(text)?.or(pax.path),
                b"GNU.sparse.name" => name_of_sparse = name(text)?.or(name_of_sparse),
                b"GNU.sparse.major" => version.0 = digits(value).unwrap_or(u64::MAX),
                b"GNU.sparse.minor" => version.1 = digits(value).unwrap_or(u64::MAX),
                b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => map.number(digits(value)),
                b"GNU.sparse.map" => {
                    map = MapWriter::of(Form::Mapped);
                    let numbers = value.split(|&b| b == b',').map(digits);
                    numbers.for_each(|number| map.number(number));
                }
                b"linkpath" => pax.link = name(text)?,
                b"GNU.sparse.size" => sparse = number(value)?,
                b"GNU.sparse.realsize" => real = number(value)?,
                b"uid" => pax.uid = number(value)?,
                b"gid" => pax.gid = number(value)?,
                b"mtime" => pax.mtime = time(value),
                _ => {
                    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                        pax.xattrs.push((name, value));
                    }
                }
            }
        }
        keep_last(&mut pax.xattrs);
        if pax.xattrs.len() > XATTRS_MAX {
            return Err(TarProblem::Attributes);
        }
        pax.real_size = sparse.or(real);
        // The name of such a file in `path` is one for readers that do not know the format.
        pax.path = name_of_sparse.or(pax.path);
        if pax.real_size.is_some() {
            pax.map = match version {
                (1, 0) => MapWriter::of(Form::MappedWithin),
                (0, 0 | 1) => map,
                _ => MapWriter::of(Form::Unknown),
            };
        }
        Ok(pax)
    }
}

/// Of attributes with one name, keeps the last one.
fn keep_last(xattrs: &mut Vec<(&[u8], &[u8])>) {
    if xattrs.len() < 2 {
        return;
    }
    let mut known = HashSet::with_capacity(xattrs.len());
    xattrs.reverse();
    xattrs.retain(|(name, _)| known.insert(*name));
    xattrs.reverse();
}

/// Splits the first record off: its key, its value, and what is behind it.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().position(|&b| b == b' ')?;
    let len = usize::try_from(digits(&bytes[..space])?).ok()?;
    // The length counts itself, the space, and the line's end.
    let record = bytes.get(..len).filter(|_| len > space)?;
    let record = record[space + 1..].strip_suffix(b"\n")?;
    let equals = record
        .iter()
        .position(|&b| b == b'=')
        .filter(|&at| at > 0)?;
    Some((&record[..equals], &record[equals + 1..], &bytes[len..]))
}

fn number(value: &[u8]) -> Result<Option<u64>, TarProblem> {
    if value.is_empty() {
        return Ok(None);
    }
    let number = digits(value).filter(|&number| i64::try_from(number).is_ok());
    number.ok_or(TarProblem::Pax).map(Some)
}

/// A time like `1700000000.123`. What is none is no time; what is finer than a nanosecond is cut off.
fn time(value: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos: u32 = format!("{part:0<9}").get(..9)?.parse().ok()?;
    // Before 1970 the part counts backwards.
    if text.starts_with('-') && nanos > 0 {
        return Some((seconds.checked_sub(1)?, 1_000_000_000 - nanos));
    }
    Some((seconds, nanos))
}

/// A name with a zero byte would be another one for whoever stops there.
fn name(value: Option<&[u8]>) -> Result<Option<&[u8]>, TarProblem> {
    match value {
        Some(value) if value.contains(&0) => Err(TarProblem::Pax),
        value => Ok(value),
    }
}

/// Decimal digits, and nothing else.
fn digits(text: &[u8]) -> Option<u64> {
    let digits = (!text.is_empty()).then_some(text)?;
    digits.iter().try_fold(0_u64, |value, &digit| {
        digit.is_ascii_digit().then_some(())?;
        value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_parts() {
        assert_eq!(
            time(b"1700000000.123456789"),
            Some((1_700_000_000, 123_456_789))
        );
        assert_eq!(time(b"7"), Some((7, 0)));
        assert_eq!(time(b"7.5"), Some((7, 500_000_000)));
        assert_eq!(time(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time(b"-3"), Some((-3, 0)));
        for none in [&b""[..], b"x", b"1.x", b"99999999999999999999"] {
            assert_eq!(time(none), None);
        }
    }

    fn attributes(count: usize, name: impl Fn(usize) -> String) -> Vec<u8> {
        let record = |n: usize| {
            let body = format!(" SCHILY.xattr.user.{}={n}\n", name(n));
            let length = body.len() + 2;
            format!("{length}{body}").into_bytes()
        };
        (0..count).flat_map(record).collect()
    }

    #[test]
    fn issue_12_extended_attributes_are_bounded() {
        // Of one name the last counts, and thousands of them take no time.
        let same = attributes(30_000, |_| "a".to_owned());
        let pax = Pax::parse(&same).unwrap();
        assert_eq!(pax.xattrs, [(&b"user.a"[..], &b"29999"[..])]);
        let two = attributes(4, |n| (n % 2).to_string());
        let pax = Pax::parse(&two).unwrap();
        assert_eq!(
            pax.xattrs,
            [(&b"user.0"[..], &b"2"[..]), (&b"user.1"[..], &b"3"[..])]
        );
        let most = attributes(XATTRS_MAX, |n| format!("{n:05}"));
        assert_eq!(Pax::parse(&most).unwrap().xattrs.len(), XATTRS_MAX);
        let more = attributes(XATTRS_MAX + 1, |n| format!("{n:05}"));
        assert_eq!(Pax::parse(&more), Err(TarProblem::Attributes));
    }
}
