//! Tables for people: columns below their heads, and a line more below a row that has something to tell.

use console::{Alignment, measure_text_width, pad_str};

use crate::terminal::{Look, harmless, wrapped};

/// The least columns that the one that gives way keeps.
const GIVES_WAY_MIN: usize = 8;

/// Rows of cells.
pub(crate) struct Table {
    heads: Vec<&'static str>,
    /// The column that is cut if a terminal is too narrow.
    gives_way: usize,
    rows: Vec<Row>,
}

struct Row {
    cells: Vec<String>,
    note: String,
}

impl Table {
    /// A table without rows. On a screen that is too narrow, the column `gives_way` is cut.
    pub(crate) fn new(heads: &[&'static str], gives_way: usize) -> Table {
        Table { heads: heads.to_vec(), gives_way, rows: Vec::new() }
    }

    /// Adds a row, with what is told below it; nothing if that is empty.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>, note: impl Into<String>) {
        let cells = cells.into_iter().map(|cell| one_line(&cell)).collect();
        self.rows.push(Row { cells, note: one_line(&note.into()) });
    }

    /// The text of the table.
    pub(crate) fn text(&self, look: Look) -> String {
        let mut widths: Vec<usize> = self.heads.iter().map(|head| measure_text_width(head)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(&row.cells) {
                *width = (*width).max(measure_text_width(cell));
            }
        }
        let gaps = 2 * widths.len().saturating_sub(1);
        let too_wide = (widths.iter().sum::<usize>() + gaps).saturating_sub(look.width);
        if let Some(width) = widths.get_mut(self.gives_way).filter(|_| look.is_terminal) {
            *width = width.saturating_sub(too_wide).max(GIVES_WAY_MIN);
        }
        let line = |cells: &[&str]| {
            let cells: Vec<_> = cells
                .iter()
                .zip(&widths)
                .map(|(cell, width)| pad_str(cell, *width, Alignment::Left, Some("…")))
                .collect();
            format!("{}\n", cells.join("  ").trim_end())
        };
        let mut text = look.bold(line(&self.heads).trim_end());
        text.push('\n');
        for Row { cells, note } in &self.rows {
            text.push_str(&line(&cells.iter().map(String::as_str).collect::<Vec<_>>()));
            if !note.is_empty() {
                let note = format!("  {note}");
                text.push_str(&if look.is_terminal { wrapped(&note, 4, look.width) } else { format!("{note}\n") });
            }
        }
        text
    }
}

fn one_line(text: &str) -> String {
    harmless(text).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: Look = Look { is_terminal: false, colour: false, width: 80, columns: 80 };

    fn table() -> Table {
        let mut table = Table::new(&["ID", "NAME", "N"], 1);
        table.row(["a1".to_owned(), "a rather long name".to_owned(), "1".to_owned()], "why\nso");
        table.row(["b".to_owned(), "short".to_owned(), "20".to_owned()], "");
        table
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let text = "ID  NAME                N\na1  a rather long name  1\n  why so\nb   short               20\n";
        assert_eq!(table().text(WIDE), text);
    }

    #[test]
    fn on_a_narrow_screen_one_column_gives_way() {
        let text = table().text(Look { is_terminal: true, width: 20, ..WIDE });
        assert_eq!(text, "ID  NAME          N\na1  a rather lo…  1\n  why so\nb   short         20\n");
    }
}
