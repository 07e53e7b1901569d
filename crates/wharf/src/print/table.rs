//! Columns of even width, as Docker's command line aligns them (Go's text/tabwriter).
//!
//! A tab ends a cell. Cells above one another in lines that follow each other are a column; what
//! stands behind a line's last tab is in none.

use super::width::width;

/// A column is at least this wide.
const WIDTH_MIN: usize = 10;
/// So many spaces stand between two columns, at least.
const PADDING: usize = 3;

/// Aligns `text`.
pub(crate) fn align(text: &str) -> String {
    let lines: Vec<Vec<&str>> = text
        .split('\n')
        .map(|line| line.split('\t').collect())
        .collect();
    let widths = widths(&lines);
    let mut aligned = String::with_capacity(text.len() * 2);
    for (number, (cells, widths)) in lines.iter().zip(&widths).enumerate() {
        if number > 0 {
            aligned.push('\n');
        }
        for (cell, column) in cells.iter().zip(widths) {
            aligned.push_str(cell);
            let gap = column.saturating_sub(width(cell));
            aligned.extend(std::iter::repeat_n(' ', gap));
        }
        aligned.push_str(cells.last().copied().unwrap_or_default());
    }
    aligned
}

/// How wide each cell of each line is, those without a tab behind them left out.
fn widths(lines: &[Vec<&str>]) -> Vec<Vec<usize>> {
    let mut widths: Vec<Vec<usize>> = lines
        .iter()
        .map(|cells| vec![WIDTH_MIN; cells.len() - 1])
        .collect();
    let columns = widths.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..columns {
        let mut from = 0;
        while from < lines.len() {
            let run = widths[from..]
                .iter()
                .take_while(|line| line.len() > column)
                .count();
            let block = from..from + run;
            let widest = lines[block.clone()]
                .iter()
                .map(|cells| width(cells[column]))
                .max();
            for line in &mut widths[block] {
                line[column] = WIDTH_MIN.max(widest.unwrap_or(0) + PADDING);
            }
            from += run + 1;
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::align;

    #[test]
    fn pads_columns_and_leaves_the_last_cell_alone() {
        assert_eq!(
            align("REPOSITORY\tTAG\tSIZE\n127.0.0.1:5000/team/app\t1.1\t3.01MB\n"),
            "REPOSITORY                TAG       SIZE\n127.0.0.1:5000/team/app   1.1       3.01MB\n"
        );
    }

    #[test]
    fn a_line_without_the_column_begins_it_anew() {
        assert_eq!(
            align("aaaaaaaaaaaa\tb\nno cells\nc\td"),
            "aaaaaaaaaaaa   b\nno cells\nc         d"
        );
    }

    #[test]
    fn counts_columns_of_the_terminal_and_not_bytes() {
        assert_eq!(align("éééééééé\tx\nab\ty"), "éééééééé   x\nab         y");
        assert_eq!(
            align("漢字漢字漢\tx\nab\ty"),
            "漢字漢字漢   x\nab           y"
        );
    }

    proptest::proptest! {
        #[test]
        fn keeps_every_cell_and_every_line(text in "[a-z\t\n漢é ]{0,60}") {
            let aligned = align(&text);
            assert_eq!(aligned.matches('\n').count(), text.matches('\n').count());
            let letters = |text: &str| text.replace(['\t', ' '], "");
            assert_eq!(letters(&aligned), letters(&text));
        }
    }
}
