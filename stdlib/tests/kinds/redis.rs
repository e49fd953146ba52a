//! `redis.*`: one suite for the stand-in and for a real server, and a server that misbehaves.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use serde_json::{Value as Json, json};
use wf_engine::{SimulatedClock, Time, Type};

use super::bench::{Bench, NOW};
use super::peers::nobody;
use super::redis_peer::{Fault, RedisPeer};
use super::servers::server;

/// A store, and how another program would reach it: the stand-in cannot be reached.
struct Place {
    bench: Bench,
    other: Option<MultiplexedConnection>,
}

/// The stand-in, and the real server if there is one. Keys and effects of this test are its own.
async fn places() -> Vec<Place> {
    let mut places = vec![Place { bench: Bench::new(), other: None }];
    if let Some(url) = server("WF_TEST_REDIS") {
        let mut bench = Bench::new();
        bench.connect("cache", "redis", &[("url", &url)]);
        let other = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
        places.push(Place { bench, other: Some(other) });
    }
    for place in &mut places {
        place.step("first");
    }
    places
}

impl Place {
    fn step(&mut self, name: &str) {
        let effect = format!("wf_{}_{name}", self.bench.unique());
        self.bench.next_step(&effect);
    }

    fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.bench.unique())
    }

    async fn run(&self, kind: &str, key: &str, more: Json) -> Result<Json, String> {
        let mut body = json!({"key": self.key(key)});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        match self.bench.run(kind, body).await {
            Ok(output) => {
                assert_eq!(output.as_object().unwrap().keys().collect::<Vec<_>>(), ["value"]);
                Ok(output["value"].clone())
            }
            Err(error) => {
                assert!(!error.message.is_empty() && !error.message.contains('\n'), "{error}");
                Err(error.code)
            }
        }
    }

    async fn get(&self, key: &str) -> Result<Json, String> {
        self.run("redis.get", key, json!({})).await
    }

    async fn set(&self, key: &str, value: Json) -> Result<Json, String> {
        self.run("redis.set", key, json!({"value": value})).await
    }

    async fn incr(&self, key: &str) -> Result<Json, String> {
        self.run("redis.incr", key, json!({})).await
    }

    /// A command of another program.
    async fn other<T: redis::FromRedisValue>(&mut self, command: &str, key: &str, arguments: &[&[u8]]) -> Option<T> {
        let key = self.key(key);
        let mut command = redis::cmd(command);
        command.arg(key).arg(arguments);
        let connection = self.other.as_mut()?;
        Some(command.query_async(connection).await.unwrap())
    }
}

#[tokio::test]
async fn what_is_set_is_read() {
    for mut place in places().await {
        assert_eq!(place.get("none").await.unwrap(), json!(null));
        let table = [
            (json!(""), ""),
            (json!("a\r\nb\0é"), "a\r\nb\0é"),
            (json!("\"quoted\""), "\"quoted\""),
            (json!(null), "null"),
            (json!(true), "true"),
            (json!(-7), "-7"),
            (json!(i64::MAX), "9223372036854775807"),
            (json!(1.5), "1.5"),
            (json!([1, "a"]), "[1,\"a\"]"),
            (json!({"b": {"c": null}, "a": 1}), "{\"b\":{\"c\":null},\"a\":1}"),
        ];
        for (value, text) in table {
            assert_eq!(place.set("k", value.clone()).await.unwrap(), value, "a step gives what it has set");
            assert_eq!(place.get("k").await.unwrap(), text);
            if let Some(seen) = place.other::<Vec<u8>>("GET", "k", &[]).await {
                assert_eq!(seen, text.as_bytes(), "other programs read the same");
            }
        }
        assert_eq!(place.run("redis.set", "k", json!({})).await.unwrap_err(), "validation.input");
    }
}

#[tokio::test]
async fn what_is_read_is_of_the_declared_type() {
    for mut place in places().await {
        let table = [
            (json!({"a": [1]}), json!({"a": "int[]"}), Ok(json!({"a": [1]}))),
            (json!([1, 2]), json!({"$list": "int"}), Ok(json!([1, 2]))),
            (json!(7), json!("int"), Ok(json!(7))),
            (json!(1e300), json!("number"), Ok(json!(1e300))),
            (json!(false), json!("bool"), Ok(json!(false))),
            (json!("42"), json!("string"), Ok(json!("42"))),
            (json!("2025-10-01T09:00:00Z"), json!("timestamp"), Ok(json!("2025-10-01T09:00:00Z"))),
            (json!("b"), json!(["a", "b"]), Ok(json!("b"))),
            (json!("c"), json!(["a", "b"]), Err("validation.output".to_owned())),
            (json!("seven"), json!("int"), Err("validation.output".to_owned())),
            (json!({"a": "x"}), json!({"a": "int"}), Err("validation.output".to_owned())),
            (json!("[".repeat(1000)), json!({"a": "int"}), Err("validation.output".to_owned())),
        ];
        for (value, notation, expected) in table {
            place.set("k", value.clone()).await.unwrap();
            let ty = match notation.get("$list") {
                Some(item) => Type::List(Box::new(Type::from_notation(item).unwrap())),
                None => Type::from_notation(&notation).unwrap(),
            };
            place.bench.cx.returns = Some(Arc::new(ty));
            assert_eq!(place.get("k").await, expected, "{value} as {notation}");
            assert_eq!(place.get("none").await.unwrap(), json!(null), "a key that is not there has no type");
            place.bench.cx.returns = None;
        }
    }
}

#[tokio::test]
async fn a_value_has_a_largest_size() {
    for mut place in places().await {
        let most = "x".repeat(1024 * 1024 - 16);
        place.set("k", json!(most)).await.unwrap();
        assert_eq!(place.get("k").await.unwrap(), most);
        assert_eq!(place.set("k", json!(format!("{most}x"))).await.unwrap_err(), "redis.limit");
        assert_eq!(place.get("k").await.unwrap(), most, "the value is still the old one");
        let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
        assert_eq!(place.set("k", deep).await.unwrap_err(), "redis.limit");
        assert_eq!(place.set("k", json!(vec![1; 300_000])).await.unwrap_err(), "redis.limit");
        if place.other::<u64>("APPEND", "k", &[b"x"]).await.is_some() {
            assert_eq!(place.get("k").await.unwrap_err(), "redis.limit");
        }
    }
}

#[tokio::test]
async fn what_other_programs_wrote_is_read() {
    for mut place in places().await {
        if place.other::<()>("SET", "bytes", &[b"\xff\x00"]).await.is_some() {
            assert_eq!(place.get("bytes").await.unwrap(), "/wA=");
            place.other::<()>("RPUSH", "list", &[b"a"]).await;
            for kind in ["redis.get", "redis.incr"] {
                assert_eq!(place.run(kind, "list", json!({})).await.unwrap_err(), "redis.rejected");
            }
            place.set("list", json!("a")).await.unwrap();
            assert_eq!(place.get("list").await.unwrap(), "a");
        }
    }
}

#[tokio::test]
async fn a_value_lives_as_long_as_it_is_said() {
    for mut place in places().await {
        let set = |ttl: Json| json!({"value": 1, "ttl": ttl});
        for wrong in ["0s", "-1s", "soon", "", "3651d", "P1Y"] {
            assert_eq!(
                place.run("redis.set", "k", set(json!(wrong))).await.unwrap_err(),
                "validation.input",
                "{wrong}"
            );
        }
        for ttl in ["3650d", "1ms", "PT1H"] {
            place.run("redis.set", "k", set(json!(ttl))).await.unwrap();
        }
        if let Some(left) = place.other::<i64>("PTTL", "k", &[]).await {
            assert!((1..=3_600_000).contains(&left), "{left}");
        }
        assert_eq!(place.incr("k").await.unwrap(), 2, "counting leaves it its time");
        if let Some(left) = place.other::<i64>("PTTL", "k", &[]).await {
            assert!((1..=3_600_000).contains(&left), "{left}");
            place.run("redis.set", "k", set(json!("1ms"))).await.unwrap();
            let expired = async { while place.get("k").await.unwrap() != json!(null) {} };
            tokio::time::timeout(Duration::from_secs(10), expired).await.expect("it expires");
        } else {
            let at = |ms| Arc::new(SimulatedClock::starting_at(Time(NOW.0 + ms)));
            place.bench.cx.clock = at(3_599_999);
            assert_eq!(place.get("k").await.unwrap(), "2");
            place.bench.cx.clock = at(3_600_000);
            assert_eq!(place.get("k").await.unwrap(), json!(null));
            place.step("second");
            assert_eq!(place.incr("k").await.unwrap(), 1);
        }
        place.run("redis.set", "k", set(json!("1h"))).await.unwrap();
        place.run("redis.set", "k", set(json!(null))).await.unwrap();
        if let Some(left) = place.other::<i64>("PTTL", "k", &[]).await {
            assert_eq!(left, -1, "without a time it stays");
        } else {
            place.bench.cx.clock = Arc::new(SimulatedClock::starting_at(Time(NOW.0 + 100 * 86_400_000)));
            assert_eq!(place.get("k").await.unwrap(), "1");
        }
    }
}

#[tokio::test]
async fn a_step_counts_once() {
    for mut place in places().await {
        assert_eq!(place.incr("n").await.unwrap(), 1);
        place.bench.cx.attempt = 2;
        assert_eq!(place.incr("n").await.unwrap(), 1, "a later attempt gives the first one's count");
        place.bench.cx.key = "explicit".to_owned();
        assert_eq!(place.incr("n").await.unwrap(), 1, "the marker is the automatic key");
        if let Some(other) = &mut place.other {
            place.bench.restart();
            let marker = format!("wf:effect:{}", place.bench.cx.effect);
            let left: i64 = redis::cmd("PTTL").arg(&marker).query_async(other).await.unwrap();
            let week = 7 * 86_400_000;
            assert!((week - 600_000..=week).contains(&left), "{left}");
            assert_eq!(place.incr("n").await.unwrap(), 1, "in another process too");
        }
        for (step, by, count) in [("b", 5, 6), ("c", -10, -4), ("d", 0, -4)] {
            place.step(step);
            assert_eq!(place.run("redis.incr", "n", json!({"by": by})).await.unwrap(), count);
        }
        assert_eq!(place.get("n").await.unwrap(), "-4");
    }
}

#[tokio::test]
async fn what_cannot_be_counted_is_refused_and_not_remembered() {
    for mut place in places().await {
        for value in ["", "x", "1.5", " 1", "+1", "01", "9223372036854775808"] {
            place.set("n", json!(value)).await.unwrap();
            assert_eq!(place.incr("n").await.unwrap_err(), "redis.rejected", "{value}");
        }
        // Larger than a double can hold exactly.
        place.set("n", json!(i64::MAX - 1)).await.unwrap();
        assert_eq!(place.incr("n").await.unwrap(), i64::MAX);
        place.step("second");
        assert_eq!(place.incr("n").await.unwrap_err(), "redis.rejected");
        assert_eq!(place.run("redis.incr", "n", json!({"by": -1})).await.unwrap(), i64::MAX - 1);
        place.step("third");
        for wrong in [json!("1"), json!(1.5), json!(u64::MAX)] {
            assert_eq!(place.run("redis.incr", "n", json!({"by": wrong})).await.unwrap_err(), "validation.input");
        }
    }
}

#[tokio::test]
async fn what_is_taken_away_is_gone() {
    for place in places().await {
        place.set("k", json!(1)).await.unwrap();
        assert_eq!(place.run("redis.del", "k", json!({})).await.unwrap(), 1);
        assert_eq!(place.run("redis.del", "k", json!({})).await.unwrap(), 0);
        assert_eq!(place.get("k").await.unwrap(), json!(null));
    }
}

#[tokio::test]
async fn many_steps_at_once_lose_no_count() {
    for place in places().await {
        let count = async |n: usize| {
            let mut cx = place.bench.cx.clone();
            cx.effect = format!("{}_{}", cx.effect, n % 100);
            place.bench.kind("redis.incr").execute(&cx, json!({"key": place.key("n")})).await.unwrap().value
        };
        // Every step makes two attempts at once.
        let counts = futures_util::future::join_all((0..200).map(count)).await;
        assert_eq!(place.get("n").await.unwrap(), "100");
        for (first, second) in counts[..100].iter().zip(&counts[100..]) {
            assert_eq!(first, second);
        }
    }
}

#[tokio::test]
async fn stand_ins_are_apart() {
    let mut bench = Bench::new();
    for name in ["one", "two"] {
        bench.declare(super::bench::unconfigured(name, "redis", &[]));
    }
    bench.run("redis.set", json!({"key": "k", "value": 1, "connection": "one"})).await.unwrap();
    let get = |name: &str| json!({"key": "k", "connection": name});
    assert_eq!(bench.run("redis.get", get("one")).await.unwrap()["value"], "1");
    assert_eq!(bench.run("redis.get", get("two")).await.unwrap()["value"], json!(null));
    bench.cx.stand_ins = Some(bench.store("another").into());
    assert_eq!(bench.run("redis.get", get("one")).await.unwrap()["value"], json!(null), "another store");
}

fn bench(url: &str) -> Bench {
    let mut bench = Bench::new();
    bench.connect("cache", "redis", &[("url", url)]);
    bench
}

fn set() -> Json {
    json!({"key": "k", "value": "v", "ttl": "2h"})
}

#[tokio::test]
async fn commands_are_plain_ones() {
    let peer = RedisPeer::with(&[("DEL", Fault::Says(":1\r\n"))]).await;
    let bench = bench(&peer.url());
    bench.run("redis.set", set()).await.unwrap();
    bench.run("redis.del", json!({"key": "a b\r\nFLUSHALL"})).await.unwrap();
    assert_eq!(peer.commands(), ["SET k v PX 7200000", "DEL a b\r\nFLUSHALL"]);
    assert_eq!(peer.sessions(), 1, "the connection is used again");
}

#[tokio::test]
async fn answers_of_a_server_are_final_or_not() {
    let table = [
        ("-LOADING Redis is loading the dataset in memory\r\n", "redis.unavailable"),
        ("-OOM command not allowed when used memory > 'maxmemory'.\r\n", "redis.unavailable"),
        ("-READONLY You can't write against a read only replica.\r\n", "redis.unavailable"),
        ("-MASTERDOWN Link with MASTER is down\r\n", "redis.unavailable"),
        ("-BUSY Redis is busy running a script\r\n", "redis.unavailable"),
        ("-NOAUTH Authentication required.\r\n", "redis.auth"),
        ("-NOPERM this user has no permissions\r\n", "redis.auth"),
        ("-MOVED 3999 127.0.0.1:6381\r\n", "redis.config"),
        ("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", "redis.rejected"),
        ("-ERR unknown command `SET`, with args beginning with: `s3cret`\r\n", "redis.rejected"),
        ("-\r\n", "redis.rejected"),
        ("*0\r\n", "redis.unavailable"),
        ("nonsense\r\n", "redis.unavailable"),
        ("$-7\r\n", "redis.unavailable"),
        ("$99999999999999999999\r\n", "redis.unavailable"),
    ];
    for (answer, code) in table {
        let peer = RedisPeer::with(&[("DEL", Fault::Says(answer))]).await;
        let bench = bench(&format!("redis://:s3cret@{}", peer.address));
        let error = bench.run("redis.del", json!({"key": "k"})).await.unwrap_err();
        assert_eq!(error.code, code, "{answer:?}: {error}");
        assert!(!format!("{error} {}", error.data).contains("s3cret"), "{error}");
        bench.run("redis.set", set()).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_went_away_is_replaced() {
    let peer = RedisPeer::with(&[("DEL", Fault::Closes)]).await;
    let bench = bench(&peer.url());
    // On a new connection the loss is an error: somebody may have acted.
    assert_eq!(bench.fails("redis.del", json!({"key": "k"})).await, "redis.unavailable");
    bench.run("redis.set", set()).await.unwrap();
    let peer = RedisPeer::with(&[("DEL", Fault::Closes), ("DEL", Fault::Says(":1\r\n"))]).await;
    let bench = self::bench(&peer.url());
    bench.run("redis.set", set()).await.unwrap();
    assert_eq!(bench.run("redis.del", json!({"key": "k"})).await.unwrap()["value"], 1, "on a kept one it is not");
    assert_eq!(peer.sessions(), 2);
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    for fault in [Fault::Hangs, Fault::Babbles] {
        let peer = RedisPeer::with(&[("SET", fault)]).await;
        let mut bench = bench(&peer.url());
        bench.cx.remaining = Some(Duration::from_millis(100));
        assert_eq!(bench.fails("redis.set", set()).await, "redis.unavailable", "{fault:?}");
        bench.cx.remaining = None;
        bench.run("redis.set", set()).await.unwrap();
        assert_eq!(peer.sessions(), 2, "the connection is not used again");
    }
    let peer = RedisPeer::with(&[("SET", Fault::Hangs)]).await;
    let attempt = bench(&peer.url());
    // Without a limit from the step, there is one of our own; time is virtual here.
    tokio::time::pause();
    assert_eq!(attempt.fails("redis.set", set()).await, "redis.unavailable");
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_unavailable() {
    assert_eq!(bench(&format!("redis://{}", nobody().await)).fails("redis.set", set()).await, "redis.unavailable");
    assert_eq!(bench("redis://nowhere.invalid").fails("redis.set", set()).await, "redis.unavailable");
    let plain = RedisPeer::with(&[]).await;
    let encrypted = plain.url().replace("redis:", "rediss:");
    assert_eq!(bench(&encrypted).fails("redis.set", set()).await, "redis.unavailable");
    assert!(plain.commands().is_empty());
}

#[tokio::test]
async fn credentials_and_settings_are_kept_to_ourselves() {
    let peer = RedisPeer::with(&[("AUTH", Fault::Says("-WRONGPASS s3cret is wrong\r\n"))]).await;
    let bench = bench(&format!("redis://ada:s3cret@{}/3", peer.address));
    let error = bench.run("redis.set", set()).await.unwrap_err();
    assert_eq!(error.code, "redis.auth");
    assert!(!error.message.contains("s3cret"), "{error}");
    bench.run("redis.set", set()).await.unwrap();
    assert!(peer.commands().ends_with(&["SELECT 3".to_owned(), "SET k v PX 7200000".to_owned()]));
    for url in ["", "s3cret", "http://s3cret", "redis://", "redis://h/s3cret", "redis://h:s3cret", "unix:/s3cret"] {
        let error = self::bench(url).run("redis.set", set()).await.unwrap_err();
        assert_eq!(error.code, "redis.config", "{url}: {error}");
        assert!(!error.message.contains("s3cret"), "{error}");
    }
}
