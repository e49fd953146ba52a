//! A statement with its parameters, checked.

use serde_json::{Map, Value as Json};
use wf_engine::sql::{Style, first_words, placeholders, rewrite};
use wf_engine::{StepContext, StepError};

use super::FAMILY;
use crate::body::INVALID_INPUT;

/// Words that begin or end a transaction, which is not the statement's to decide.
const TRANSACTION_WORDS: [&str; 9] =
    ["ABORT", "BEGIN", "COMMIT", "END", "PREPARE", "RELEASE", "ROLLBACK", "SAVEPOINT", "START"];

/// One SQL statement and the values that are bound to its named parameters.
#[derive(Debug)]
pub(crate) struct Statement {
    sql: String,
    params: Map<String, Json>,
}

impl Statement {
    /// # Errors
    /// `validation.input` if the parameters of the text and of the step are not the same ones, or if the text holds
    /// several statements.
    pub(crate) fn new(sql: String, params: Option<Map<String, Json>>) -> Result<Self, StepError> {
        let params = params.unwrap_or_default();
        let used = placeholders(&sql);
        if let Some(missing) = used.iter().find(|used| !params.contains_key(used.name)) {
            return Err(invalid(format!("the SQL names `:{}`, which `params` does not have", missing.name)));
        }
        if let Some(unused) = params.keys().find(|name| used.iter().all(|used| used.name != name.as_str())) {
            return Err(invalid(format!("`params` has `{unused}`, which the SQL does not name")));
        }
        let words = first_words(&sql);
        match words.len() {
            0 => Err(invalid("the SQL holds no statement")),
            1 => Ok(Statement { sql, params }),
            _ if is_trigger(&sql, &words) => Ok(Statement { sql, params }),
            _ => Err(invalid("the SQL holds several statements; `statements` takes a list")),
        }
    }

    /// Refuses a statement that would end the transaction around it.
    pub(crate) fn stays_in_transaction(&self) -> Result<(), StepError> {
        match first_words(&self.sql).first() {
            Some(word) if TRANSACTION_WORDS.contains(&word.as_str()) => {
                let message = format!("`{word}` is not allowed: the statement runs in a transaction with its marker");
                Err(FAMILY.error("rejected", message))
            }
            _ => Ok(()),
        }
    }

    /// Whether it is one of those that change rows, so that counting them makes sense.
    pub(super) fn changes_rows(&self) -> bool {
        let words = first_words(&self.sql);
        words.first().is_some_and(|word| ["INSERT", "UPDATE", "DELETE", "REPLACE", "WITH"].contains(&word.as_str()))
    }

    /// The text as a driver wants it, and the values in the order in which they are bound.
    pub(crate) fn bound(&self, style: Style) -> (String, Vec<&Json>) {
        let (sql, names) = rewrite(&self.sql, style);
        let values = names.iter().map(|name| self.params.get(name).unwrap_or(&Json::Null)).collect();
        (sql, values)
    }
}

/// Refuses an SQL file that would end the transaction that it is run in.
pub(super) fn script_stays_in_transaction(sql: &str) -> Result<(), String> {
    let words = first_words(sql);
    let has_triggers = words.iter().any(|word| word == "CREATE") && sql.to_ascii_uppercase().contains("TRIGGER");
    let ends = |word: &&String| TRANSACTION_WORDS.contains(&word.as_str()) && !(has_triggers && *word == "END");
    words.iter().find(ends).map_or(Ok(()), |word| Err(format!("`{word}` is not allowed in it")))
}

/// Which transaction a run's effect is recorded in, for people who look at the table.
pub(super) fn origin(cx: &StepContext) -> String {
    format!("{}/{}", cx.workflow, cx.step)
}

/// Whether what looks like several statements is the body of one trigger: it ends with the only END.
fn is_trigger(sql: &str, words: &[String]) -> bool {
    let ends_there = words.iter().position(|word| word == "END") == Some(words.len() - 1);
    ends_there && words[0] == "CREATE" && sql.to_ascii_uppercase().contains("TRIGGER")
}

fn invalid(message: impl Into<String>) -> StepError {
    StepError::new(INVALID_INPUT, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn statement(sql: &str, params: Json) -> Result<Statement, String> {
        Statement::new(sql.to_owned(), params.as_object().cloned()).map_err(|error| error.message)
    }

    #[test]
    fn text_and_parameters_belong_together() {
        let given = statement("select :b, :a, :b", json!({"a": 1, "b": "x"})).unwrap();
        let (sql, values) = given.bound(Style::NumberedQuestion);
        assert_eq!((sql.as_str(), values), ("select ?1, ?2, ?1", vec![&json!("x"), &json!(1)]));
        assert!(statement("select :a", json!({})).unwrap_err().contains("`:a`"));
        assert!(statement("select 1", json!({"a": 1})).unwrap_err().contains("`a`"));
        assert!(statement("select 1; select 2", json!({})).unwrap_err().contains("several"));
        assert!(statement("create trigger t after insert on a begin select 1; end", json!({})).is_ok());
        for several in
            ["create table t (a); commit", "create trigger t after insert on a begin select 1; end; select 1; end"]
        {
            assert!(statement(several, json!({})).unwrap_err().contains("several"), "{several}");
        }
        assert!(statement("-- nothing", json!({})).unwrap_err().contains("no statement"));
    }

    #[test]
    fn a_statement_does_not_end_its_transaction() {
        for word in TRANSACTION_WORDS {
            let given = statement(&format!(" /* x */ {} work", word.to_lowercase()), json!({})).unwrap();
            assert_eq!(given.stays_in_transaction().unwrap_err().code, "db.rejected", "{word}");
            assert!(script_stays_in_transaction(&format!("select 1; {word};")).is_err(), "{word}");
        }
        assert!(statement("update t set \"commit\" = 'begin;'", json!({})).unwrap().stays_in_transaction().is_ok());
        let trigger = "create table t (a); create trigger x after insert on t begin delete from t; end;";
        assert!(script_stays_in_transaction(trigger).is_ok());
    }
}
