//! `wharf images --tree`: each image with its platforms, as Docker 28.5 draws it.
//!
//! DISK USAGE is what SIZE is elsewhere, files unpacked, for all platforms that are here; CONTENT SIZE is what
//! they take in the store. A platform that is not here has the digest that a pull would fetch it by.

use std::io::IsTerminal as _;

use wharf_core::human;
use wharf_engine::{ImageTree, PlatformBranch};

use crate::arguments::terminal_width;
use crate::context::Context;
use crate::exit::Result;
use crate::print::terminal::safe;
use crate::print::width::{ellipsis, width};
use crate::print::{print, print_styled};

/// Docker's words above the tree.
const WARNING: &str =
    "WARNING: This is an experimental feature. The output may change and shouldn't be depended on.";
const LEGEND: &str = " Info ->  U In Use ";

/// The columns behind the names: title, width, and whether numbers stand in it.
const COLUMNS: [(&str, usize, bool); 4] = [
    ("ID", 12, false),
    ("DISK USAGE", 10, true),
    ("CONTENT SIZE", 12, true),
    ("EXTRA", 5, false),
];
const FIRST: &str = "IMAGE";
/// So many spaces stand between two columns.
const SPACING: usize = 3;
/// The names' column is never narrower; others go instead.
const NAMES_MIN: usize = 12;
/// A terminal is taken to be at least this wide.
const TERMINAL_MIN: usize = 20;
/// How wide the branches before a platform count, in Docker's reckoning.
const BRANCH_WIDTH: usize = 7;

/// Draws the tree.
pub(super) fn draw(context: &Context, images: &[ImageTree]) -> Result<()> {
    let terminal = std::io::stdout().is_terminal();
    let style = Style {
        colour: terminal && context.environment.colour(),
    };
    let text = render(images, terminal_width().max(TERMINAL_MIN), terminal, &style);
    if style.colour {
        print_styled(&text)
    } else {
        print(&text)
    }
}

/// Colours, for terminals that may have them.
struct Style {
    colour: bool,
}

const BOLD: &str = "1";
const BOLD_BLUE: &str = "34;1";
const FAINT: &str = "2";
const YELLOW: &str = "93";

impl Style {
    fn apply(&self, code: &str, text: &str) -> String {
        if self.colour && !code.is_empty() {
            let text = safe(text);
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

fn render(images: &[ImageTree], width: usize, terminal: bool, style: &Style) -> String {
    let (names, columns) = fit(images, width);
    let gap = width.saturating_sub(LEGEND.len());
    let mut text = format!("{}\n{:gap$}{LEGEND}\n\n", style.apply(YELLOW, WARNING), "");
    text.push_str(&cell(FIRST, names, false, BOLD, style));
    for (title, width, right) in columns {
        text.push_str(&" ".repeat(SPACING));
        text.push_str(&cell(title, *width, *right, BOLD, style));
    }
    text.push('\n');
    for image in images {
        let mut sorted = image.names.clone();
        sorted.sort_by_key(|name| std::cmp::Reverse(name.len()));
        let last = sorted.pop();
        for name in &sorted {
            // Nothing stands beside these, so they may be as long as the terminal is wide.
            let name = if terminal {
                ellipsis(name, width)
            } else {
                name.clone()
            };
            text.push_str(&style.apply(BOLD_BLUE, &name));
            text.push('\n');
        }
        text.push_str(&match last {
            Some(name) => cell(&name, names, false, BOLD_BLUE, style),
            None => cell("<untagged>", names, false, FAINT, style),
        });
        let here = |number: fn(&PlatformBranch) -> u64| image.platforms.iter().map(number).sum();
        let sizes = (here(|p| p.size), here(|p| p.content));
        details(&mut text, columns, image.id.short(), sizes, "", style);
        for (at, platform) in image.platforms.iter().enumerate() {
            let branch = if at + 1 < image.platforms.len() {
                "├─"
            } else {
                "└─"
            };
            let code = if platform.here { "" } else { FAINT };
            let name = format!("{branch} {}", platform.platform);
            text.push_str(&cell(&name, names, false, code, style));
            let sizes = (platform.size, platform.content);
            details(&mut text, columns, platform.id.short(), sizes, code, style);
        }
        text.push('\n');
    }
    text
}

fn details(
    text: &mut String,
    columns: &[(&str, usize, bool)],
    id: &str,
    (size, content): (u64, u64),
    code: &str,
    style: &Style,
) {
    // Nothing is in use here: wharf runs no containers.
    let values = [
        id.to_owned(),
        human::table_size(size),
        human::table_size(content),
        String::new(),
    ];
    for ((_, width, right), value) in columns.iter().zip(&values) {
        text.push_str(&" ".repeat(SPACING));
        text.push_str(&cell(value, *width, *right, code, style));
    }
    text.push('\n');
}

/// One cell, cut or filled to its column's width.
fn cell(value: &str, columns: usize, right: bool, code: &str, style: &Style) -> String {
    let cut = ellipsis(value, columns);
    let fill = " ".repeat(columns.saturating_sub(width(&cut)));
    let shown = style.apply(code, &cut);
    if right { fill + &shown } else { shown + &fill }
}

/// How wide the names are, and which columns have room beside them.
fn fit(images: &[ImageTree], width: usize) -> (usize, &'static [(&'static str, usize, bool)]) {
    let (mut room, mut shown) = (width, 0);
    for (_, column, _) in COLUMNS {
        let needed = column + SPACING;
        if room < needed + NAMES_MIN {
            break;
        }
        room -= needed;
        shown += 1;
    }
    let names = images
        .iter()
        .flat_map(|image| &image.names)
        .map(String::len);
    let platforms = images.iter().flat_map(|image| &image.platforms);
    let platforms = platforms.map(|p| p.platform.to_string().len() + BRANCH_WIDTH);
    let widest = names.chain(platforms).max().unwrap_or(0).max(FIRST.len());
    (room.min(widest), &COLUMNS[..shown])
}

#[cfg(test)]
mod tests {
    use wharf_core::{Descriptor, Digest, Platform};

    use super::*;

    fn branch(platform: &str, here: bool, size: u64, content: u64) -> PlatformBranch {
        let platform: Platform = platform.parse().unwrap();
        let id = Digest::of(platform.to_string().as_bytes());
        PlatformBranch {
            platform,
            manifest: Descriptor::of("", b""),
            id,
            here,
            size,
            content,
        }
    }

    #[test]
    fn draws_as_docker_does() {
        let images = [
            ImageTree {
                target: Descriptor::of("", b""),
                id: Digest::of(b"multi"),
                names: vec!["m:2".into(), "team/multi:1".into()],
                platforms: vec![
                    branch("linux/amd64", true, 34_000, 1240),
                    branch("linux/s390x", false, 0, 0),
                ],
            },
            ImageTree {
                target: Descriptor::of("", b""),
                id: Digest::of(b"busybox"),
                names: Vec::new(),
                platforms: vec![branch("linux/amd64", true, 3_040_000, 1_030_000)],
            },
        ];
        let plain = Style { colour: false };
        let amd = Digest::of(b"linux/amd64");
        let s390 = Digest::of(b"linux/s390x");
        let expected = format!(
            "WARNING: This is an experimental feature. The output may change and shouldn't be depended on.
                                                              Info ->  U In Use 

IMAGE                ID             DISK USAGE   CONTENT SIZE   EXTRA
team/multi:1
m:2                  {}         34kB         1.24kB        
├─ linux/amd64       {}         34kB         1.24kB        
└─ linux/s390x       {}           0B             0B        

<untagged>           {}       3.04MB         1.03MB        
└─ linux/amd64       {}       3.04MB         1.03MB        

",
            images[0].id.short(),
            amd.short(),
            s390.short(),
            images[1].id.short(),
            amd.short(),
        );
        assert_eq!(render(&images, 80, false, &plain), expected);
    }

    #[test]
    fn a_narrow_terminal_has_fewer_columns() {
        let plain = Style { colour: false };
        let lines = render(&[], 45, true, &plain);
        assert_eq!(
            lines.lines().last().unwrap(),
            "IMAGE   ID             DISK USAGE"
        );
        let bold = Style { colour: true };
        assert!(render(&[], 80, true, &bold).contains("\x1b[1mIMAGE\x1b[0m"));
    }
}
