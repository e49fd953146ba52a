//! `db.query` and `db.exec` on SQLite.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use sqlx::{Connection as _, Executor, SqliteConnection};
use wf_engine::Type;

use super::bench::{Bench, unconfigured};

const SCHEMA: &str = "create table contacts (id text primary key, name text, age integer check (age > 0));
create table notes (id integer primary key, contact text not null references contacts (id));
create trigger noted after delete on contacts begin delete from notes where contact = old.id; end;";
const SAMPLE: &str = "insert into contacts values ('ada', 'Ada', 36), ('grace', 'Grace', 85);";

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.project("db/schema.sql", SCHEMA);
    bench.project("db/sample.sql", SAMPLE);
    let stand_in = ["db/schema.sql", "db/sample.sql"].map(String::from).to_vec();
    bench.declare(wf_engine::Connection { stand_in, ..unconfigured("main_db", "postgres", &[]) });
    bench
}

async fn count(bench: &Bench) -> Json {
    bench.run("db.query", json!({"sql": "select count(*) from contacts", "expect": "value"})).await.unwrap()
}

/// The file of the stand-in, as another program would open it.
async fn open(bench: &Bench) -> SqliteConnection {
    let file = bench.store("stand-ins/main_db.sqlite");
    SqliteConnection::connect(&format!("sqlite:{}?mode=rwc", file.display())).await.unwrap()
}

fn insert(id: &str) -> Json {
    json!({"sql": "insert into contacts (id) values (:id)", "params": {"id": id}})
}

#[tokio::test]
async fn a_result_has_the_shape_that_is_expected() {
    let bench = bench();
    let table = [
        (
            "select id, age from contacts order by id",
            "many",
            json!([{"id": "ada", "age": 36}, {"id": "grace", "age": 85}]),
        ),
        ("select id from contacts where id = 'x'", "many", json!([])),
        ("select id, age from contacts where id = 'ada'", "one", json!({"id": "ada", "age": 36})),
        ("select id from contacts where id = 'x'", "optional", json!(null)),
        ("select age from contacts where id = 'ada'", "value", json!(36)),
        ("select null", "value", json!(null)),
        (
            "select 1.5, 'é', x'00ff', 9007199254740993 as big",
            "one",
            json!({"1.5": 1.5, "'é'": "é", "x'00ff'": "AP8=", "big": 9007199254740993_i64}),
        ),
    ];
    for (sql, expect, result) in table {
        assert_eq!(bench.run("db.query", json!({"sql": sql, "expect": expect})).await.unwrap(), result, "{sql}");
    }
    let table = [
        ("select 1 where false", "one", "db.not_found"),
        ("select 1 where false", "value", "db.not_found"),
        ("select id from contacts", "one", "db.too_many"),
        ("select id from contacts", "optional", "db.too_many"),
        ("select 1, 2", "value", "db.too_many"),
        ("select 1 as a, 2 as a", "one", "validation.output"),
        ("select 9e999", "value", "validation.output"),
        ("select cast(x'ff' as text)", "value", "validation.output"),
        ("select id from nowhere", "many", "db.rejected"),
        ("selec 1", "many", "db.rejected"),
        ("select ?", "many", "validation.input"),
        ("select @a", "many", "validation.input"),
        ("select 1; select 2", "many", "validation.input"),
        ("delete from contacts returning id", "many", "db.rejected"),
        (
            "with recursive n(i) as (select 1 union all select i + 1 from n limit 10001) select i from n",
            "many",
            "db.limit",
        ),
        ("select zeroblob(1000000)", "many", "db.limit"),
    ];
    for (sql, expect, code) in table {
        assert_eq!(bench.fails("db.query", json!({"sql": sql, "expect": expect})).await, code, "{sql}");
    }
    let most = "with recursive n(i) as (select 1 union all select i + 1 from n limit 10000) select i from n";
    assert_eq!(bench.run("db.query", json!({"sql": most})).await.unwrap().as_array().unwrap().len(), 10_000);
}

#[tokio::test]
async fn parameters_are_bound() {
    let bench = bench();
    let sql = "select :text as text, :int as int, :real as real, :yes as yes, :none as none, :list as list, :object as object";
    let params = json!({
        "text": "'; drop table contacts; --", "int": -9223372036854775808_i64, "real": 0.5, "yes": true, "none": null,
        "list": [1, "a"], "object": {"a": [true]}
    });
    let expected = json!({
        "text": "'; drop table contacts; --", "int": -9223372036854775808_i64, "real": 0.5, "yes": 1, "none": null,
        "list": "[1,\"a\"]", "object": "{\"a\":[true]}"
    });
    assert_eq!(bench.run("db.query", json!({"sql": sql, "params": params, "expect": "one"})).await.unwrap(), expected);
    let ids = json!({"sql": "select id from contacts where id in (select value from json_each(:ids))", "params": {"ids": ["ada", "x"]}});
    assert_eq!(bench.run("db.query", ids).await.unwrap(), json!([{"id": "ada"}]));
    let body = |params| json!({"sql": "select :a", "params": params});
    assert_eq!(bench.fails("db.query", body(json!({}))).await, "validation.input");
    assert_eq!(bench.fails("db.query", body(json!({"a": 1, "b": 2}))).await, "validation.input");
    assert_eq!(bench.fails("db.query", body(json!({"a": u64::MAX}))).await, "validation.input");
}

#[tokio::test]
async fn returns_converts_where_nothing_is_lost() {
    let mut bench = bench();
    let declare = |notation: Json| Some(Arc::new(Type::from_notation(&notation).unwrap()));
    let sql = "select 1 as yes, '2025-10-01 09:00:00' as at, '[1,2]' as list, '1.50' as amount, null as note, 7 as n";
    let row =
        json!({"yes": "bool", "at": "timestamp", "list": "int[]", "amount": "number", "note?": "string", "n": "int"});
    let expected = json!({
        "yes": true, "at": "2025-10-01T09:00:00Z", "list": [1, 2], "amount": 1.5, "note": null, "n": 7
    });
    bench.cx.returns = declare(row.clone());
    for expect in ["one", "optional"] {
        assert_eq!(bench.run("db.query", json!({"sql": sql, "expect": expect})).await.unwrap(), expected);
    }
    let none = json!({"sql": format!("{sql} where false"), "expect": "optional"});
    assert_eq!(bench.run("db.query", none).await.unwrap(), json!(null));
    bench.cx.returns = Some(Arc::new(Type::List(Box::new(Type::from_notation(&row).unwrap()))));
    assert_eq!(bench.run("db.query", json!({"sql": sql})).await.unwrap(), json!([expected]));
    let wrong = format!("{sql} union all select 2, '2025-10-01 09:00:00', '[]', '1', null, 8");
    let error = bench.run("db.query", json!({"sql": wrong})).await.unwrap_err();
    assert_eq!(error.code, "validation.output");
    assert!(error.message.starts_with("column `yes`, row 2: "), "{}", error.message);
    bench.cx.returns = declare(json!("int"));
    assert_eq!(bench.run("db.query", json!({"sql": "select '12'", "expect": "value"})).await.unwrap(), 12);
    assert_eq!(bench.fails("db.query", json!({"sql": "select 1.5", "expect": "value"})).await, "validation.output");
}

#[tokio::test]
async fn an_effect_happens_once() {
    let mut bench = bench();
    let first = bench.run("db.exec", insert("alan")).await.unwrap();
    assert_eq!(first, json!({"rows_affected": 1}));
    bench.cx.attempt = 2;
    assert_eq!(bench.run("db.exec", insert("alan")).await.unwrap(), first, "a later attempt gives the recorded result");
    bench.restart();
    assert_eq!(bench.run("db.exec", insert("joan")).await.unwrap(), first, "in another process too");
    assert_eq!(count(&bench).await, 3);
    bench.next_step("wf_other");
    assert_eq!(bench.fails("db.exec", insert("alan")).await, "db.constraint");
    assert_eq!(bench.run("db.exec", insert("joan")).await.unwrap(), first, "what failed left no marker");

    bench.cx.key = "explicit".to_owned();
    assert_eq!(bench.run("db.exec", insert("mary")).await.unwrap(), first, "the marker is the automatic key");
    assert_eq!(count(&bench).await, 4);

    let mut file = open(&bench).await;
    let markers: Vec<(String, String, String)> =
        sqlx::query_as("select key, run, step from wf_effects order by key").fetch_all(&mut file).await.unwrap();
    let run = "000000000000000000000001000200aa";
    let marker = |key: &str| (key.to_owned(), run.to_owned(), "welcome/greet".to_owned());
    assert_eq!(markers, [marker("wf_0123456789abcdefghijklmnop"), marker("wf_other")]);
}

#[tokio::test]
async fn markers_go_with_their_run() {
    let mut bench = bench();
    let forget = async |bench: &Bench, runs: &[wf_engine::RunId]| {
        bench.kind("db.exec").forget(&bench.cx, None, runs).await.unwrap();
    };
    forget(&bench, &[bench.cx.run]).await;
    bench.run("db.exec", insert("alan")).await.unwrap();
    let first = bench.cx.run;
    bench.cx.run.nth += 1;
    bench.next_step("wf_other");
    bench.run("db.exec", insert("joan")).await.unwrap();
    forget(&bench, &[first]).await;
    let mut file = open(&bench).await;
    let left: Vec<String> = sqlx::query_scalar("select key from wf_effects").fetch_all(&mut file).await.unwrap();
    assert_eq!(left, ["wf_other"]);
    assert_eq!(count(&bench).await, 4, "what was done stays");
    bench.kind("db.exec").forget(&bench.cx, Some("gone"), &[first]).await.unwrap();
}

#[tokio::test]
async fn without_a_marker_it_happens_again() {
    let bench = bench();
    let body = json!({"sql": "update contacts set age = age + 1 where id = 'ada'", "once": false});
    for age in [37, 38] {
        assert_eq!(bench.run("db.exec", body.clone()).await.unwrap(), json!({"rows_affected": 1}));
        let query = json!({"sql": "select age from contacts where id = 'ada'", "expect": "value"});
        assert_eq!(bench.run("db.query", query).await.unwrap(), age);
    }
    assert_eq!(
        bench.run("db.exec", json!({"sql": "vacuum", "once": false})).await.unwrap(),
        json!({"rows_affected": 0})
    );
}

#[tokio::test]
async fn statements_commit_together() {
    let mut bench = bench();
    let body = |second: &str| json!({"statements": [insert("alan"), {"sql": second}]});
    assert_eq!(bench.fails("db.exec", body("insert into contacts (id) values ('ada')")).await, "db.constraint");
    assert_eq!(count(&bench).await, 2);
    assert_eq!(bench.fails("db.exec", body("insert into notes (contact) values ('nobody')")).await, "db.constraint");
    assert_eq!(
        bench.fails("db.exec", body("insert or rollback into contacts (id) values ('ada')")).await,
        "db.constraint"
    );
    assert_eq!(count(&bench).await, 2);
    let output = bench.run("db.exec", body("update contacts set age = 1 returning id, age")).await.unwrap();
    assert_eq!(output["rows_affected"], 4);
    assert_eq!(output["rows"].as_array().unwrap().len(), 3);
    assert_eq!(bench.run("db.exec", body("select 1")).await.unwrap(), output, "recorded with its rows");
    bench.next_step("wf_other");
    let nothing = json!({"sql": "update contacts set age = 2 where id = 'x' returning id"});
    assert_eq!(bench.run("db.exec", nothing).await.unwrap(), json!({"rows_affected": 0, "rows": []}));
    bench.next_step("wf_ddl");
    let ddl = json!({"sql": "create table more (a)"});
    assert_eq!(bench.run("db.exec", ddl).await.unwrap(), json!({"rows_affected": 0}));
}

#[tokio::test]
async fn a_statement_cannot_leave_its_transaction() {
    let bench = bench();
    for word in ["commit", "BEGIN", "rollback", "savepoint a", "release a", "end"] {
        assert_eq!(bench.fails("db.exec", json!({"sql": word})).await, "db.rejected", "{word}");
        assert_eq!(bench.fails("db.exec", json!({"statements": [insert("x"), {"sql": word}]})).await, "db.rejected");
    }
    let many: Vec<Json> =
        (0..10_001).map(|n| json!({"sql": format!("insert into contacts (id) values ('{n}') returning id")})).collect();
    assert!(bench.run("db.exec", json!({"statements": many[..3]})).await.is_ok());
    for body in [json!({}), json!({"statements": []}), json!({"sql": "select 1", "statements": [insert("x")]})] {
        assert_eq!(bench.fails("db.exec", body).await, "validation.input");
    }
}

#[tokio::test]
async fn a_result_that_is_too_large_changes_nothing() {
    let bench = bench();
    let sql = "insert into contacts (id) with recursive n(i) as (select 1 union all select i + 1 from n limit 10001) select i from n returning id";
    assert_eq!(bench.fails("db.exec", json!({"sql": sql})).await, "db.limit");
    assert_eq!(count(&bench).await, 2);
}

#[tokio::test]
async fn a_table_that_only_looks_like_ours_is_no_marker() {
    let bench = bench();
    bench.project("db/schema.sql", format!("{SCHEMA} create table wf_effects (id int);"));
    let error = bench.run("db.exec", insert("alan")).await.unwrap_err();
    assert_eq!(error.code, "db.marker");
    assert!(error.message.contains("create table if not exists wf_effects"), "{}", error.message);
    assert_eq!(count(&bench).await, 2);
}

#[tokio::test]
async fn a_held_database_is_a_conflict_and_then_works() {
    let bench = bench();
    assert_eq!(count(&bench).await, 2);
    let mut other = open(&bench).await;
    other.execute("begin immediate").await.unwrap();
    assert_eq!(count(&bench).await, 2, "reading goes on");
    assert_eq!(bench.fails("db.exec", insert("alan")).await, "db.conflict");
    other.execute("rollback").await.unwrap();
    assert!(bench.run("db.exec", insert("alan")).await.is_ok());
}

#[tokio::test]
async fn a_long_statement_is_stopped() {
    let mut bench = bench();
    assert_eq!(count(&bench).await, 2);
    let endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
    bench.cx.remaining = Some(Duration::from_millis(50));
    for _ in 0..8 {
        assert_eq!(bench.fails("db.query", json!({"sql": endless})).await, "db.timeout");
    }
    let write = json!({"sql": format!("insert into contacts (id) {endless}")});
    assert_eq!(bench.fails("db.exec", write).await, "db.timeout");
    bench.cx.remaining = None;
    assert_eq!(count(&bench).await, 2, "the connections are free again");
    assert!(bench.run("db.exec", insert("alan")).await.is_ok());
}

#[tokio::test]
async fn an_attempt_that_is_dropped_leaves_nothing_half_done() {
    let bench = bench();
    assert_eq!(count(&bench).await, 2);
    // Dropped after every possible number of polls: somewhere in between, the statement has run and is not committed.
    let mut polls = 0;
    loop {
        polls += 1;
        let body = insert("alan");
        let mut attempt = bench.kind("db.exec").execute(&bench.cx, body);
        let mut ended = None;
        for _ in 0..polls {
            if let Ok(result) = tokio::time::timeout(Duration::ZERO, &mut attempt).await {
                ended = Some(result);
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(attempt);
        if let Some(result) = ended {
            assert_eq!(result.unwrap().value, json!({"rows_affected": 1}));
            break;
        }
    }
    assert_eq!(count(&bench).await, 3);
}

#[tokio::test]
async fn many_attempts_at_once_count_once() {
    let bench = bench();
    let attempts = (0..20).map(|_| bench.run("db.exec", insert("alan")));
    for result in futures_util::future::join_all(attempts).await {
        assert_eq!(result.unwrap(), json!({"rows_affected": 1}));
    }
    assert_eq!(count(&bench).await, 3);
}

#[tokio::test]
async fn a_stand_in_is_filled_once() {
    let mut bench = bench();
    assert!(bench.run("db.exec", insert("alan")).await.is_ok());
    bench.restart();
    assert_eq!(count(&bench).await, 3);

    // A script that fails leaves nothing behind, so that the next try begins anew.
    let mut bench = self::bench();
    bench.project("db/sample.sql", "insert into contacts (id) values ('ada'); insert into nowhere values (1);");
    let error = bench.run("db.query", json!({"sql": "select 1"})).await.unwrap_err();
    assert_eq!(error.code, "db.config");
    assert!(error.message.contains("db/sample.sql") && error.message.contains("nowhere"), "{}", error.message);
    bench.project("db/sample.sql", SAMPLE);
    bench.restart();
    assert_eq!(count(&bench).await, 2);

    for (script, complaint) in [("begin; select 1;", "BEGIN"), ("commit", "COMMIT")] {
        let bench = self::bench();
        bench.project("db/sample.sql", script);
        assert!(bench.run("db.query", json!({"sql": "select 1"})).await.unwrap_err().message.contains(complaint));
    }
    let mut bench = self::bench();
    bench.declare(wf_engine::Connection {
        stand_in: vec!["../outside.sql".to_owned()],
        ..unconfigured("main_db", "sqlite", &[])
    });
    assert_eq!(bench.fails("db.query", json!({"sql": "select 1"})).await, "db.config");
}

#[tokio::test]
async fn a_configured_file_is_used_as_it_is() {
    let mut bench = Bench::new();
    bench.connect("main_db", "sqlite", &[("url", "sqlite:data/app.db")]);
    assert_eq!(bench.fails("db.query", json!({"sql": "select 1"})).await, "db.unavailable", "it is not created");
    bench.project("data/app.db", "");
    bench.run("db.exec", json!({"sql": "create table t (a)"})).await.unwrap();
    let mode = json!({"sql": "pragma journal_mode", "expect": "value"});
    assert_eq!(bench.run("db.query", mode).await.unwrap(), "delete");
    bench.project("data/app.db", "not a database, but long enough to be read as the header of one: ".repeat(20));
    bench.restart();
    assert_eq!(bench.fails("db.query", json!({"sql": "select * from t"})).await, "db.unavailable");

    for url in ["", "sqlite::memory:", "sqlite:x.db?mode=memory", "postgres://localhost/x", "sqlite:x?mode=s3cret"] {
        bench.connect("main_db", "sqlite", &[("url", url)]);
        let error = bench.run("db.query", json!({"sql": "select 1"})).await.unwrap_err();
        assert_eq!(error.code, "db.config", "{url}");
        assert!(!error.message.contains("s3cret"), "{}", error.message);
    }
}
