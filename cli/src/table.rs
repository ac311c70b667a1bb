//! Table: results as people read them: upper-case headings, no lines, at most 80 columns.

use std::fmt;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, presets};

use crate::output::clean;

/// What every terminal has.
const COLUMNS_MAX: u16 = 80;

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Words, to the left; broken where there is no room.
    Text(&'static str),
    /// Words that are never broken, such as an id.
    Id(&'static str),
    /// Numbers, to the right.
    Number(&'static str),
}

/// A table. `Display` prints it with the end of its last line.
pub struct Table(comfy_table::Table);

impl Table {
    /// A table with these columns and no rows.
    pub fn new(columns: &[Column]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(COLUMNS_MAX);
        let headings = columns.iter().map(|column| match column {
            Column::Text(heading) | Column::Id(heading) | Column::Number(heading) => *heading,
        });
        table.set_header(headings);
        for (set, column) in columns.iter().zip(table.column_iter_mut()) {
            set_column(*set, column);
        }
        Self(table)
    }

    /// One more row.
    pub fn row<I: IntoIterator<Item = String>>(&mut self, cells: I) {
        self.0.add_row(cells.into_iter().map(|cell| clean(&cell)));
    }
}

fn set_column(set: Column, column: &mut comfy_table::Column) {
    column.set_padding((0, 2));
    match set {
        Column::Text(_) => {}
        Column::Id(_) => {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        Column::Number(_) => {
            column.set_constraint(ColumnConstraint::ContentWidth);
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.lines().try_for_each(|line| writeln!(f, "{}", line.trim_end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_within_80_columns_and_breaks_only_words() {
        let mut table = Table::new(&[Column::Id("ID"), Column::Text("NAME"), Column::Number("SIZE")]);
        table.row(["0123456789ab".into(), "short\x1b".into(), "1.0 MiB".into()]);
        table.row(["0123456789ac".into(), "long ".repeat(30), "10.0 MiB".into()]);
        table.row(["0123456789ad".into(), "x".repeat(100), "1 B".into()]);
        let text = table.to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let mut lines = text.lines();
        assert!(lines.next().unwrap().starts_with("ID            NAME"), "{text}");
        let first = lines.next().unwrap();
        assert!(first.starts_with("0123456789ab  short\u{fffd}") && first.ends_with(" 1.0 MiB"), "{text}");
        assert!(text.contains("0123456789ac") && text.contains("10.0 MiB\n"), "{text}");
    }
}
