//! A tar header: one block of 512 bytes (POSIX ustar, GNU and the old Unix format).

use super::fault::TarProblem;

/// tar's unit, in bytes.
pub(crate) const BLOCK: usize = 512;

/// A header's block.
pub(crate) type Block = [u8; BLOCK];

/// What a header says, as far as it matters for an image's size.
pub(crate) struct Header<'a> {
    block: &'a Block,
}

/// What follows a header, and what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A file.
    Regular,
    /// A file with holes, in GNU tar's old format.
    Sparse,
    /// A symbolic link.
    Symlink,
    /// A folder, a device, a hard link, a pipe: whatever size it names, no bytes follow it.
    Bare,
    /// A PAX header for the next entry.
    Pax,
    /// A PAX header for all entries that follow.
    PaxGlobal,
    /// GNU tar's long name for the next entry.
    LongName,
    /// GNU tar's long link target for the next entry.
    LongLink,
    /// Something of GNU tar's own that is no file: a volume's label, a folder's listing.
    Note,
}

impl<'a> Header<'a> {
    /// Reads a header whose checksum is right.
    pub(crate) fn read(block: &'a Block) -> Result<Self, TarProblem> {
        let header = Self { block };
        let expected = octal(header.field(148..156)).ok_or(TarProblem::Checksum)?;
        let (unsigned, signed) = header.checksums();
        if expected == unsigned || i64::try_from(expected) == Ok(signed) {
            Ok(header)
        } else {
            Err(TarProblem::Checksum)
        }
    }

    /// The sum of all bytes, with the checksum itself taken for spaces; old tars took bytes for signed.
    fn checksums(&self) -> (u64, i64) {
        let sum = |bytes: &[u8]| bytes.iter().map(|&b| u32::from(b)).sum::<u32>();
        let spaces = 8 * u32::from(b' ');
        let unsigned = sum(&self.block[..148]) + spaces + sum(&self.block[156..]);
        let high = |bytes: &[u8]| bytes.iter().map(|&b| u32::from(b >> 7)).sum::<u32>();
        let high = high(&self.block[..148]) + high(&self.block[156..]);
        (unsigned.into(), i64::from(unsigned) - 256 * i64::from(high))
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.block[156] {
            b'1' | b'3'..=b'6' => Kind::Bare,
            b'2' => Kind::Symlink,
            b'S' => Kind::Sparse,
            b'x' => Kind::Pax,
            b'g' => Kind::PaxGlobal,
            b'L' => Kind::LongName,
            b'K' => Kind::LongLink,
            b'D' | b'M' | b'N' | b'V' => Kind::Note,
            // POSIX: what is unknown is taken for a file.
            _ => Kind::Regular,
        }
    }

    /// The old format had no folders, only names that end with a slash.
    pub(crate) fn has_old_type(&self) -> bool {
        self.block[156] == 0
    }

    /// How many bytes follow, unless a PAX header says otherwise.
    pub(crate) fn size(&self) -> Result<u64, TarProblem> {
        number(self.field(124..136))
    }

    /// How many bytes a [`Kind::Sparse`] file has, holes included.
    pub(crate) fn real_size(&self) -> Result<u64, TarProblem> {
        number(self.field(483..495))
    }

    /// Is a [`Kind::Sparse`] header followed by more of the map?
    pub(crate) fn has_more_map(&self) -> bool {
        self.block[482] != 0
    }

    /// The type's letter.
    pub(crate) fn letter(&self) -> u8 {
        self.block[156]
    }

    /// The name, with what POSIX puts into a field of its own in front of it.
    pub(crate) fn whole_name(&self) -> Vec<u8> {
        let prefix = text(&self.block[345..500]);
        let posix = self.block[257..263] == *b"ustar\0";
        if !posix || prefix.is_empty() {
            return self.name().to_vec();
        }
        [prefix, b"/", self.name()].concat()
    }

    /// Permissions.
    pub(crate) fn mode(&self) -> u32 {
        let mode = number(self.field(100..108)).unwrap_or(0) & 0o7777;
        u32::try_from(mode).unwrap_or(0)
    }

    /// The owner's and the group's numbers; what is no number is root's.
    pub(crate) fn owner(&self) -> (u64, u64) {
        let id = |range| number(self.field(range)).unwrap_or(0);
        (id(108..116), id(116..124))
    }

    /// In seconds since 1970.
    pub(crate) fn mtime(&self) -> i64 {
        signed(self.field(136..148)).unwrap_or(0)
    }

    /// A device's numbers.
    pub(crate) fn device(&self) -> (u32, u32) {
        let id = |range| number(self.field(range)).unwrap_or(0);
        let short = |id: u64| u32::try_from(id).unwrap_or(0);
        (short(id(329..337)), short(id(337..345)))
    }

    /// The last part of the name: the beginning of a long one is elsewhere.
    pub(crate) fn name(&self) -> &'a [u8] {
        text(&self.block[..100])
    }

    /// A link's target.
    pub(crate) fn link(&self) -> &'a [u8] {
        text(&self.block[157..257])
    }

    /// A field's bytes.
    pub(crate) fn field(&self, range: std::ops::Range<usize>) -> &'a [u8] {
        &self.block[range]
    }
}

/// The fields of a sparse file's map in some bytes of it: places and lengths, up to the first that is empty, as
/// GNU tar, BSD tar and Go read them.
pub(crate) fn map_entries(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let entries = bytes.chunks_exact(24).map(|entry| entry.split_at(12));
    entries.take_while(|(place, _)| place[0] != 0)
}

/// Does another block of a sparse file's map follow this one?
pub(crate) fn map_goes_on(block: &Block) -> bool {
    block[504] != 0
}

/// The bytes before the first zero.
pub(crate) fn text(field: &[u8]) -> &[u8] {
    field.split(|&b| b == 0).next().unwrap_or_default()
}

/// A number, in octal digits or, with the highest bit set, in binary. Those that no file has, negative
/// ones and those above 2⁶³, are refused.
pub(crate) fn number(field: &[u8]) -> Result<u64, TarProblem> {
    let value = match field {
        [first, rest @ ..] if first & 0x80 != 0 => {
            // The second highest bit is the sign.
            let start = (first & 0x40 == 0).then_some(u64::from(first & 0x3f));
            rest.iter()
                .try_fold(start.ok_or(TarProblem::Number)?, |value, &byte| {
                    value.checked_mul(256).map(|value| value | u64::from(byte))
                })
        }
        _ => octal(field),
    };
    value
        .filter(|&value| i64::try_from(value).is_ok())
        .ok_or(TarProblem::Number)
}

/// The same, where it may be negative: times before 1970 are, in binary (GNU tar).
fn signed(field: &[u8]) -> Result<i64, TarProblem> {
    let (Some(true), Some((low, high))) = (
        field.first().map(|b| b & 0xc0 == 0xc0),
        field.split_last_chunk::<8>().map(|(high, low)| (low, high)),
    ) else {
        return Ok(i64::try_from(number(field)?).unwrap_or(0));
    };
    // A time has 64 bits.
    let value = i64::from_be_bytes(*low);
    let fits = high.iter().all(|&b| b == 0xff) && value < 0;
    fits.then_some(value).ok_or(TarProblem::Number)
}

/// Octal digits, with spaces and zero bytes around them; nothing at all is zero.
fn octal(field: &[u8]) -> Option<u64> {
    let blank = |b: &u8| matches!(b, b' ' | 0);
    let start = field.iter().position(|b| !blank(b)).unwrap_or(field.len());
    let digits = text(&field[start..]);
    let end = digits
        .iter()
        .rposition(|b| !blank(b))
        .map_or(0, |last| last + 1);
    digits[..end].iter().try_fold(0_u64, |value, &digit| {
        matches!(digit, b'0'..=b'7').then_some(())?;
        value.checked_mul(8)?.checked_add(u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_may_be_negative_and_sizes_may_not() {
        let binary = |value: i64, high: u8| [&[high; 4][..], &value.to_be_bytes()].concat();
        for value in [-1, -86_400, i64::MIN] {
            let field = binary(value, 0xff);
            assert_eq!(signed(&field), Ok(value));
            assert_eq!(number(&field), Err(TarProblem::Number));
        }
        let mut positive = binary(1_700_000_000, 0);
        positive[0] = 0x80;
        assert_eq!(signed(&positive), Ok(1_700_000_000));
        assert_eq!(signed(b"14524770401\0"), Ok(1_700_000_001));
        // What does not fit 64 bits.
        assert!(signed(&binary(-1, 0xfe)).is_err());
        assert!(signed(&binary(1, 0xff)).is_err());
    }
}
