//! What stands in one page of a b-tree.
//!
//! Every number is checked before it is used: the page may hold anything. A cell that does not make sense is left out,
//! and the rest of the page is read all the same.

use super::pages::{HEADER, PAGE, Page};

/// The most columns that any table of wharf's has, with room for those to come.
const COLUMNS_MAX: usize = 32;

/// One page of a b-tree.
pub(super) struct Node {
    /// Whether it belongs to a table with row numbers; otherwise to an index, or to a table without them.
    pub(super) has_row_numbers: bool,
    /// The pages below it.
    pub(super) children: Vec<u32>,
    /// The rows on it.
    pub(super) rows: Vec<Row>,
    /// Whether everything on the page made sense.
    pub(super) is_whole: bool,
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// Its number; zero in an index.
    pub(super) number: i64,
    pub(super) columns: Vec<Value>,
}

/// What stands in a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Integer(i64),
    Text(String),
    /// A blob, a float, or a text that goes on elsewhere: nothing that is looked for here.
    Other,
}

/// Reads a page; `None` if it is no page of a b-tree.
pub(super) fn node(number: u32, page: &Page) -> Option<Node> {
    let start = if number == 1 { HEADER } else { 0 };
    let header = &page[start..];
    let (has_row_numbers, is_leaf) = match header[0] {
        0x02 => (false, false),
        0x05 => (true, false),
        0x0a => (false, true),
        0x0d => (true, true),
        _ => return None,
    };
    let pointers = start + if is_leaf { 8 } else { 12 };
    let count = usize::from(short(&header[3..]));
    let cells = pointers + 2 * count;
    if cells > PAGE {
        return None;
    }
    let mut node = Node {
        has_row_numbers,
        children: Vec::new(),
        rows: Vec::new(),
        is_whole: true,
    };
    for pointer in page[pointers..cells].chunks_exact(2) {
        let at = usize::from(short(pointer));
        let cell = page.get(at..).filter(|_| at >= cells);
        let read = cell.and_then(|cell| node.read_cell(cell, is_leaf));
        node.is_whole &= read.is_some();
    }
    if !is_leaf {
        node.children.push(word(&header[8..]));
    }
    Some(node)
}

impl Node {
    fn read_cell(&mut self, mut cell: &[u8], is_leaf: bool) -> Option<()> {
        if !is_leaf {
            self.children.push(word(cell.get(..4)?));
            cell = &cell[4..];
            if self.has_row_numbers {
                return varint(&mut cell).map(drop);
            }
        }
        let length = usize::try_from(varint(&mut cell)?).ok()?;
        let number = if self.has_row_numbers {
            varint(&mut cell)?
        } else {
            0
        };
        let here = local_length(length, self.has_row_numbers)?;
        let columns = record(cell.get(..here)?, here == length)?;
        self.rows.push(Row { number, columns });
        Some(())
    }
}

/// How many bytes of a row are on its own page.
fn local_length(length: usize, has_row_numbers: bool) -> Option<usize> {
    let most = if has_row_numbers {
        PAGE - 35
    } else {
        (PAGE - 12) * 64 / 255 - 23
    };
    if length <= most {
        return Some(length);
    }
    let least = (PAGE - 12) * 32 / 255 - 23;
    let length = least + length.checked_sub(least)? % (PAGE - 4);
    Some(if length <= most { length } else { least })
}

/// Reads the columns of a row. One that goes on elsewhere has columns that cannot be read here.
fn record(bytes: &[u8], is_whole: bool) -> Option<Vec<Value>> {
    let mut rest = bytes;
    let header = usize::try_from(varint(&mut rest)?).ok()?;
    let mut types = bytes.get(bytes.len() - rest.len()..header)?;
    let mut content = bytes.get(header..)?;
    let mut columns = Vec::new();
    while !types.is_empty() {
        let kind = varint(&mut types)?;
        if columns.len() == COLUMNS_MAX {
            return None;
        }
        columns.push(match value(kind, &mut content) {
            Some(value) => value,
            None if is_whole => return None,
            None => {
                content = &[];
                Value::Other
            }
        });
    }
    (!is_whole || content.is_empty()).then_some(columns)
}

/// Reads one column. `None` if it does not end within the bytes, or cannot be.
fn value(kind: i64, content: &mut &[u8]) -> Option<Value> {
    let length = match kind {
        0 | 8 | 9 => 0,
        1..=4 => usize::try_from(kind).ok()?,
        5 => 6,
        6 | 7 => 8,
        12.. => usize::try_from((kind - 12) / 2).ok()?,
        _ => return None,
    };
    let (bytes, rest) = content.split_at_checked(length)?;
    *content = rest;
    Some(match kind {
        0 => Value::Null,
        8 => Value::Integer(0),
        9 => Value::Integer(1),
        1..=6 => {
            let first = i64::from(bytes[0].cast_signed());
            let add = |number: i64, byte: &u8| number << 8 | i64::from(*byte);
            Value::Integer(bytes[1..].iter().fold(first, add))
        }
        7 => Value::Other,
        kind if kind % 2 == 1 => Value::Text(String::from_utf8(bytes.to_vec()).ok()?),
        _ => Value::Other,
    })
}

/// Reads a number of one to nine bytes.
fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut number: u64 = 0;
    for place in 0..9 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        if place == 8 {
            number = number << 8 | u64::from(byte);
            break;
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            break;
        }
    }
    Some(number.cast_signed())
}

fn short(bytes: &[u8]) -> u16 {
    bytes
        .first_chunk()
        .map_or(0, |bytes| u16::from_be_bytes(*bytes))
}

fn word(bytes: &[u8]) -> u32 {
    bytes
        .first_chunk()
        .map_or(0, |bytes| u32::from_be_bytes(*bytes))
}
