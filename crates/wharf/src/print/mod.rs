//! What commands print.
//!
//! | module | what it holds |
//! |---|---|
//! | `listing` | rows: as a table, as JSON, by a template |
//! | `columns` | rows whose fields are texts |
//! | `table` | columns of even width |
//! | `template` | Go's templates, with Docker's functions |
//! | `json` | JSON as Go writes it: core's |
//! | `width` | how wide a text is on a terminal |
//!
//! Results go to standard output, in one piece where they are ready at once.

pub(crate) mod columns;
pub(crate) mod listing;
pub(crate) mod table;
pub(crate) mod template;
pub(crate) mod width;

pub(crate) use wharf_core::go_json as json;

use std::io::{self, Write as _};

use crate::exit::{Failure, Result};

/// Writes `text` to standard output.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut output = io::stdout().lock();
    output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
        .map_err(Failure::output)
}
