//! What a query gives: rows, counted and measured as they come.

use std::ops::ControlFlow;

use serde_json::{Map, Value as Json};
use wf_engine::StepError;
use wf_engine::run::OUTPUT_BYTES_MAX;

use super::FAMILY;

/// A result with more rows is refused.
pub(super) const ROWS_MAX: usize = 10_000;
/// A larger result is refused: with what surrounds it, it is the largest output that the engine takes.
pub(super) const RESULT_BYTES_MAX: usize = OUTPUT_BYTES_MAX - 64;
/// The code of a result that is not what the step declares.
const INVALID_OUTPUT: &str = "validation.output";

/// One row: values by column, in the order of the columns.
pub(super) type Row = Map<String, Json>;

/// Rows within the limits.
#[derive(Debug)]
pub(super) struct Rows {
    rows: Vec<Row>,
    bytes: usize,
    /// After this many the rest is not read.
    enough: usize,
}

impl Rows {
    /// Takes as many rows as there are, within the limits.
    pub(super) fn all() -> Self {
        Rows { rows: Vec::new(), bytes: 0, enough: usize::MAX }
    }

    /// Takes no more than two rows, which is enough to know that there is more than one.
    pub(super) fn few() -> Self {
        Rows { enough: 2, ..Rows::all() }
    }

    /// Takes a row. Breaks when no more are needed.
    ///
    /// # Errors
    /// `db.limit` if the result exceeds [`ROWS_MAX`] or [`RESULT_BYTES_MAX`].
    pub(super) fn push(&mut self, row: Row) -> Result<ControlFlow<()>, StepError> {
        if self.rows.len() == ROWS_MAX {
            return Err(FAMILY.error("limit", format!("the result has more than {ROWS_MAX} rows")));
        }
        self.bytes += row.iter().map(|(name, value)| name.len() + 4 + bytes(value)).sum::<usize>() + 3;
        if self.bytes > RESULT_BYTES_MAX {
            return Err(FAMILY.error("limit", format!("the result is larger than {RESULT_BYTES_MAX} bytes")));
        }
        self.rows.push(row);
        let enough = self.rows.len() >= self.enough;
        Ok(if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    pub(super) fn into_rows(self) -> Vec<Row> {
        self.rows
    }
}

/// Builds a row of named values.
///
/// # Errors
/// `validation.output` if two columns have one name: one of the values would be lost.
pub(super) fn row(columns: impl Iterator<Item = (String, Json)>) -> Result<Row, StepError> {
    let mut row = Row::new();
    for (name, value) in columns {
        if row.contains_key(&name) {
            return Err(StepError::new(
                INVALID_OUTPUT,
                format!("two columns are called `{name}`; rename one with `as`"),
            ));
        }
        row.insert(name, value);
    }
    Ok(row)
}

/// The error of a value that the language cannot hold.
pub(super) fn invalid_value(column: &str, why: &str) -> StepError {
    StepError::new(INVALID_OUTPUT, format!("column `{column}`: {why}"))
}

/// The error of a result that does not fit `returns`; `pointer` leads to the value.
pub(super) fn mismatch(pointer: &str, why: &str, expect_many: bool) -> StepError {
    let mut parts = pointer.split('/').skip(1);
    let row = if expect_many { parts.next().and_then(|index| index.parse::<usize>().ok()) } else { None };
    let place = match (parts.next(), row) {
        (Some(column), Some(row)) => format!("column `{column}`, row {}: ", row + 1),
        (Some(column), None) => format!("column `{column}`: "),
        (None, Some(row)) => format!("row {}: ", row + 1),
        (None, None) => String::new(),
    };
    StepError::new(INVALID_OUTPUT, format!("{place}{why}"))
}

/// What the engine counts for a column's value.
fn bytes(value: &Json) -> usize {
    match value {
        Json::String(text) => text.len() + 2,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_of(bytes: usize) -> Row {
        Row::from_iter([("a".to_owned(), Json::from("x".repeat(bytes - 10)))])
    }

    #[test]
    fn rows_are_limited_in_number_and_size() {
        let mut rows = Rows::all();
        for _ in 0..ROWS_MAX {
            assert!(rows.push(row_of(10)).unwrap().is_continue());
        }
        assert_eq!(rows.push(row_of(10)).unwrap_err().code, "db.limit");
        assert!(Rows::all().push(row_of(RESULT_BYTES_MAX)).is_ok());
        assert_eq!(Rows::all().push(row_of(RESULT_BYTES_MAX + 1)).unwrap_err().code, "db.limit");
    }

    #[test]
    fn a_mismatch_names_row_and_column() {
        assert_eq!(mismatch("/3/name", "expected a bool", true).message, "column `name`, row 4: expected a bool");
        assert_eq!(mismatch("/name/x", "expected a bool", false).message, "column `name`: expected a bool");
        assert_eq!(mismatch("", "expected a bool", false).message, "expected a bool");
    }
}
