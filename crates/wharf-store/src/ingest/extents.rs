//! Which parts of a blob are here: ranges that neither overlap nor touch.
//!
//! Their number follows what has arrived, never the size that somebody announced.

use std::collections::BTreeMap;
use std::ops::Range;

/// Parts of a blob, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extents {
    /// Ends by starts.
    ends: BTreeMap<u64, u64>,
    total: u64,
}

impl Extents {
    /// Adds a part. `false`, and nothing changes, if some of it is here already or it is empty.
    pub(super) fn insert(&mut self, part: Range<u64>) -> bool {
        let before = self.ends.range(..part.end).next_back();
        if part.is_empty() || before.is_some_and(|(_, end)| *end > part.start) {
            return false;
        }
        self.total += part.end - part.start;
        let start = match before {
            Some((start, end)) if *end == part.start => *start,
            _ => part.start,
        };
        let end = self.ends.remove(&part.end).unwrap_or(part.end);
        self.ends.insert(start, end);
        true
    }

    /// How many bytes are here.
    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    /// Where the part ends that `at` lies in; `at` itself if that byte is missing.
    pub(super) fn end_of_part(&self, at: u64) -> u64 {
        match self.ends.range(..=at).next_back() {
            Some((_, end)) => at.max(*end),
            None => at,
        }
    }

    /// Where the next part begins behind `at`.
    pub(super) fn next_part(&self, at: u64) -> Option<u64> {
        self.ends.range(at..).next().map(|(start, _)| *start)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_that_touch_are_one() {
        let mut extents = Extents::default();
        for part in [10..20, 30..40, 20..30, 0..10] {
            assert!(extents.insert(part));
        }
        assert_eq!(extents.ends, BTreeMap::from([(0, 40)]));
        assert_eq!(extents.total(), 40);
    }

    proptest! {
        #[test]
        fn is_what_a_list_of_bytes_would_say(
            parts in prop::collection::vec((0_u64..60, 0_u64..12), 0..30),
        ) {
            let (mut extents, mut bytes) = (Extents::default(), vec![false; 80]);
            for (start, len) in parts {
                let range = usize::try_from(start).unwrap()..usize::try_from(start + len).unwrap();
                let free = len > 0 && bytes[range.clone()].iter().all(|here| !here);
                prop_assert_eq!(extents.insert(start..start + len), free);
                if free {
                    bytes[range].fill(true);
                }
                let total = bytes.iter().filter(|here| **here).count() as u64;
                prop_assert_eq!(extents.total(), total);
                let mut runs = 0;
                for (at, here) in (0_u64..).zip(&bytes) {
                    let rest = &bytes[usize::try_from(at).unwrap()..];
                    let run = rest.iter().take_while(|here| **here).count() as u64;
                    prop_assert_eq!(extents.end_of_part(at), at + run);
                    runs += usize::from(*here && (at == 0 || !bytes[usize::try_from(at - 1).unwrap()]));
                }
                prop_assert_eq!(extents.ends.len(), runs);
            }
        }
    }
}
