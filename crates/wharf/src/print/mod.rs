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
//! | `terminal` | standard output and standard error, through which all text passes |
//!
//! Results go to standard output, in one piece where they are ready at once.

pub(crate) mod columns;
pub(crate) mod listing;
pub(crate) mod table;
pub(crate) mod template;
pub(crate) mod terminal;
pub(crate) mod width;

pub(crate) use wharf_core::go_json as json;

use std::io::Write;

use crate::exit::{Failure, Result};

/// Writes `text` to standard output.
pub(crate) fn print(text: &str) -> Result<()> {
    write(&mut terminal::stdout(), text)
}

/// Writes `text`, which has colours of wharf's own, to standard output. What comes from outside in
/// it has passed [`terminal::safe`].
pub(crate) fn print_styled(text: &str) -> Result<()> {
    write(&mut terminal::stdout_styled(), text)
}

fn write(output: &mut impl Write, text: &str) -> Result<()> {
    output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
        .map_err(Failure::output)
}
