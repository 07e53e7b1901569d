//! How wide a text is on a terminal.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// How many columns `text` takes.
pub(crate) fn width(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.width()
    }
}

/// Cuts `text` so that it takes no more than `columns`, its last one an ellipsis if it was longer.
pub(crate) fn ellipsis(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let (mut taken, mut cut) = (0, String::new());
    for c in text.chars() {
        taken += c.width().unwrap_or(0);
        if taken + 1 > columns {
            break;
        }
        cut.push(c);
    }
    cut + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_where_docker_cuts() {
        assert_eq!(ellipsis("abcdef", 6), "abcdef");
        assert_eq!(ellipsis("abcdefg", 6), "abcde…");
        assert_eq!(ellipsis("漢字漢字", 8), "漢字漢字");
        assert_eq!(ellipsis("漢字漢字漢", 8), "漢字漢…");
        assert_eq!(ellipsis("", 3), "");
    }
}
